// Checks the deliveries of hookloom send with the providers' own SDKs: a delivery signed
// with the right secret must be accepted and parsed, one with another secret refused.
// Usage: node verify.mjs HOOKLOOM PROJECT [NAME...] (see run.sh).
import { execFile } from 'node:child_process'
import crypto from 'node:crypto'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { LONG, HEX, TEXT, WHSEC } from './secrets.mjs'
const require = createRequire(import.meta.url)
const run = promisify(execFile)

const [hookloom, project, ...only] = process.argv.slice(2)
const h = (r, name) => r.headers[name]
const assert = (ok, what) => {
  if (!ok) throw new Error(what)
}
const form = (r) => Object.fromEntries(new URLSearchParams(r.body))
const url = (r) => 'https://hooks.example.com' + r.url
const pick = (r, ...names) => Object.fromEntries(names.map((n) => [n, r.headers[n]]))

// Each receives the delivery as {method, url, headers, body}, throws unless the SDK accepts
// the signature, and returns the event as the SDK parses it.
export const verifiers = {
  stripe: async (r) => new (await import('stripe')).default('sk_test_x').webhooks.constructEvent(r.body, h(r, 'stripe-signature'), TEXT),
  github: async (r) => {
    const { Webhooks } = await import('@octokit/webhooks')
    let seen
    const hooks = new Webhooks({ secret: TEXT })
    hooks.onAny((e) => (seen = e))
    await hooks.verifyAndReceive({ id: h(r, 'x-github-delivery'), name: h(r, 'x-github-event'), payload: r.body, signature: h(r, 'x-hub-signature-256') })
    return seen.payload
  },
  'standard-webhooks': async (r) => new (await import('standardwebhooks')).Webhook(WHSEC).verify(r.body, r.headers),
  svix: async (r) => new (await import('svix')).Webhook(WHSEC).verify(r.body, r.headers),
  clerk: async (r) => {
    const { verifyWebhook } = await import('@clerk/backend/webhooks')
    return verifyWebhook(new Request(url(r), { method: 'POST', headers: r.headers, body: r.body }), { signingSecret: WHSEC })
  },
  resend: async (r) => {
    const { Resend } = await import('resend')
    return new Resend('re_x').webhooks.verify({ payload: r.body, headers: { id: h(r, 'svix-id'), timestamp: h(r, 'svix-timestamp'), signature: h(r, 'svix-signature') }, webhookSecret: WHSEC })
  },
  openai: async (r) => new (await import('openai')).default({ apiKey: 'x' }).webhooks.unwrap(r.body, r.headers, WHSEC),
  anthropic: async (r) => new (await import('@anthropic-ai/sdk')).default({ apiKey: 'x' }).beta.webhooks.unwrap(r.body, { headers: r.headers, key: WHSEC }),
  mux: async (r) => new (await import('@mux/mux-node')).default({ tokenId: 'x', tokenSecret: 'x' }).webhooks.unwrap(r.body, r.headers, TEXT),
  lithic: async (r) => new (await import('lithic')).default({ apiKey: 'x' }).webhooks.unwrap(r.body, r.headers, WHSEC),
  'dodo-payments': async (r) => new (await import('dodopayments')).default({ bearerToken: 'x' }).webhooks.unwrap(r.body, { headers: r.headers, key: WHSEC }),
  'modern-treasury': async (r) => {
    const MT = (await import('modern-treasury')).default
    assert(await new MT({ apiKey: 'x', organizationID: 'x' }).webhooks.validateSignature(r.body, r.headers, { key: TEXT }), 'not valid')
    return JSON.parse(r.body)
  },
  replicate: async (r) => {
    const { validateWebhook } = require('replicate')
    assert(await validateWebhook({ id: h(r, 'webhook-id'), timestamp: h(r, 'webhook-timestamp'), signature: h(r, 'webhook-signature'), body: r.body, secret: WHSEC }), 'not valid')
    return JSON.parse(r.body)
  },
  polar: async (r) => {
    const { validateEvent } = require('@polar-sh/sdk/webhooks')
    return validateEvent(r.body, r.headers, TEXT)
  },
  easypost: async (r) => {
    const EasyPost = require('@easypost/api')
    return new EasyPost('k').Utils.validateWebhook(Buffer.from(r.body), { ...r.headers, 'X-Hmac-Signature': h(r, 'x-hmac-signature') }, TEXT)
  },
  gocardless: async (r) => require('gocardless-nodejs/webhooks').parse(r.body, TEXT, h(r, 'webhook-signature')),
  box: async (r) => {
    const { WebhooksManager } = require('box-node-sdk/lib/managers/webhooks')
    assert(await WebhooksManager.validateMessage(r.body, r.headers, TEXT), 'not valid')
    return JSON.parse(r.body)
  },
  pusher: async (r) => {
    const Pusher = require('pusher')
    const hook = new Pusher({ appId: '1', key: h(r, 'x-pusher-key'), secret: TEXT }).webhook({ headers: r.headers, rawBody: r.body })
    assert(hook.isValid(), 'not valid')
    return hook.getEvents()
  },
  vonage: async (r) => {
    const { verifySignature } = require('@vonage/jwt')
    assert(verifySignature(h(r, 'authorization').replace('Bearer ', ''), TEXT), 'not valid')
    return JSON.parse(r.body)
  },
  paddle: async (r) => {
    const { Paddle } = require('@paddle/paddle-node-sdk')
    return new Paddle('x').webhooks.unmarshal(r.body, TEXT, h(r, 'paddle-signature'))
  },
  linear: async (r) => {
    const { LinearWebhookClient } = await import('@linear/sdk/webhooks')
    const body = Buffer.from(r.body)
    const client = new LinearWebhookClient(TEXT)
    return client.parseData(body, h(r, 'linear-signature'), JSON.parse(r.body).webhookTimestamp)
  },
  elevenlabs: async (r) => {
    const { ElevenLabsClient } = require('@elevenlabs/elevenlabs-js')
    return new ElevenLabsClient({ apiKey: 'x' }).webhooks.constructEvent(r.body, h(r, 'elevenlabs-signature'), TEXT)
  },
  cloudinary: async (r) => {
    const { v2 } = require('cloudinary')
    v2.config({ api_secret: TEXT, signature_algorithm: 'sha256' })
    assert(v2.utils.verifyNotificationSignature(r.body, Number(h(r, 'x-cld-timestamp')), h(r, 'x-cld-signature')), 'not valid')
    return JSON.parse(r.body)
  },
  plivo: async (r) => {
    const { validateV3Signature } = require('plivo')
    const ok = validateV3Signature(r.method, url(r), h(r, 'x-plivo-signature-v3-nonce'), TEXT, h(r, 'x-plivo-signature-v3'), form(r))
    assert(ok, 'not valid')
    return form(r)
  },
  messagebird: async (r) => {
    const { verify } = require('messagebird/lib/webhook-signature-jwt')
    await verify(url(r), r.body, h(r, 'messagebird-signature-jwt'), crypto.createSecretKey(Buffer.from(TEXT)))
    return JSON.parse(r.body)
  },
  'mercado-pago': async (r) => {
    const { WebhookSignatureValidator } = require('mercadopago')
    WebhookSignatureValidator.validate({ xSignature: h(r, 'x-signature'), xRequestId: h(r, 'x-request-id'), dataId: new URL(url(r)).searchParams.get('data.id'), secret: TEXT })
    return JSON.parse(r.body)
  },
  webflow: async (r) => {
    const { WebflowClient } = require('webflow-api')
    assert(await new WebflowClient({ accessToken: 'x' }).webhooks.verifySignature({ headers: r.headers, body: r.body, secret: TEXT }), 'not valid')
    return JSON.parse(r.body)
  },
  cashfree: async (r) => {
    const { Cashfree, CFEnvironment } = require('cashfree-pg')
    return new Cashfree(CFEnvironment.SANDBOX, 'id', TEXT).PGVerifyWebhookSignature(h(r, 'x-webhook-signature'), r.body, h(r, 'x-webhook-timestamp')).object
  },
  qstash: async (r) => {
    const { Receiver } = require('@upstash/qstash')
    assert(await new Receiver({ currentSigningKey: TEXT, nextSigningKey: 'another' }).verify({ signature: h(r, 'upstash-signature'), body: r.body, url: url(r) }), 'not valid')
    return JSON.parse(r.body)
  },
  fintoc: async (r) => {
    require('fintoc').WebhookSignature.verifyHeader(r.body, h(r, 'fintoc-signature'), TEXT)
    return JSON.parse(r.body)
  },
  twilio: async (r) => {
    assert(require('twilio').validateRequest(TEXT, h(r, 'x-twilio-signature'), url(r), form(r)), 'not valid')
    return form(r)
  },
  slack: async (r) => {
    const { verifySlackRequest } = require('@slack/bolt/dist/receivers/verify-request')
    verifySlackRequest({ signingSecret: TEXT, body: r.body, headers: pick(r, 'x-slack-signature', 'x-slack-request-timestamp') })
    return JSON.parse(r.body)
  },
  line: async (r) => {
    assert(require('@line/bot-sdk').validateSignature(r.body, TEXT, h(r, 'x-line-signature')), 'not valid')
    return JSON.parse(r.body)
  },
  square: async (r) => {
    const { WebhooksHelper } = require('square')
    assert(await WebhooksHelper.verifySignature({ requestBody: r.body, signatureHeader: h(r, 'x-square-hmacsha256-signature'), signatureKey: TEXT, notificationUrl: url(r) }), 'not valid')
    return JSON.parse(r.body)
  },
  razorpay: async (r) => {
    assert(require('razorpay').validateWebhookSignature(r.body, h(r, 'x-razorpay-signature'), TEXT), 'not valid')
    return JSON.parse(r.body)
  },
  shopify: async (r) => {
    await import('@shopify/shopify-api/adapters/web-api')
    const { shopifyApi, ApiVersion } = await import('@shopify/shopify-api')
    const api = shopifyApi({ apiKey: 'k', apiSecretKey: TEXT, hostName: 'hooks.example.com', apiVersion: Object.values(ApiVersion).at(-1), isEmbeddedApp: false, logger: { log: () => {} } })
    const result = await api.webhooks.validate({ rawBody: r.body, rawRequest: new Request(url(r), { method: 'POST', headers: r.headers, body: r.body }) })
    assert(result.valid, JSON.stringify(result))
    return result
  },
  adyen: async (r) => {
    const { hmacValidator } = require('@adyen/api-library')
    const items = JSON.parse(r.body).notificationItems.map((i) => i.NotificationRequestItem)
    for (const item of items) assert(new hmacValidator().validateHMAC(item, HEX), 'not valid')
    return items
  },
  hubspot: async (r) => {
    const { Signature } = require('@hubspot/api-client')
    const timestamp = Number(h(r, 'x-hubspot-request-timestamp'))
    assert(Signature.isValid({ signatureVersion: 'v3', signature: h(r, 'x-hubspot-signature-v3'), method: r.method, clientSecret: TEXT, requestBody: r.body, url: url(r), timestamp }), 'not valid')
    return JSON.parse(r.body)
  },
  'coinbase-commerce': async (r) => require('coinbase-commerce-node').Webhook.verifyEventBody(r.body, h(r, 'x-cc-webhook-signature'), TEXT),
  workos: async (r) => {
    const { WorkOS } = await import('@workos-inc/node')
    return new WorkOS('sk_x').webhooks.constructEvent({ payload: JSON.parse(r.body), sigHeader: h(r, 'workos-signature'), secret: TEXT })
  },
  sanity: async (r) => {
    const { isValidSignature } = await import('@sanity/webhook')
    assert(await isValidSignature(r.body, h(r, 'sanity-webhook-signature'), TEXT), 'not valid')
    return JSON.parse(r.body)
  },
  retell: async (r) => {
    assert(await require('retell-sdk/lib/webhook_auth').verify(r.body, TEXT, h(r, 'x-retell-signature')), 'not valid')
    return JSON.parse(r.body)
  },
  contentful: async (r) => {
    const { verifyRequest } = require('@contentful/node-apps-toolkit')
    assert(verifyRequest(LONG, { method: r.method, path: r.url, headers: r.headers, body: r.body }, 30), 'not valid')
    return JSON.parse(r.body)
  },
  hygraph: async (r) => {
    const { verifyWebhookSignature } = require('@hygraph/utils')
    assert(verifyWebhookSignature({ rawPayload: r.body, signature: h(r, 'gcms-signature'), secret: TEXT }), 'not valid')
    return JSON.parse(r.body)
  },
  braintree: async (r) => {
    const braintree = require('braintree')
    const gateway = new braintree.BraintreeGateway({ environment: braintree.Environment.Sandbox, merchantId: 'm', publicKey: 'public', privateKey: TEXT })
    return gateway.webhookNotification.parse(form(r).bt_signature, form(r).bt_payload)
  },
  'atlassian-connect': async (r) => {
    const jwt = require('atlassian-jwt')
    const claims = jwt.decodeSymmetric(h(r, 'authorization').replace('JWT ', ''), TEXT, 'HS256')
    assert(claims.qsh === jwt.createQueryStringHash(jwt.fromMethodAndUrl(r.method, url(r)), false), 'qsh is another')
    return JSON.parse(r.body)
  },
  livekit: async (r) => {
    const { WebhookReceiver } = await import('livekit-server-sdk')
    return new WebhookReceiver('key', TEXT).receive(r.body, h(r, 'authorization'))
  },
  viber: async (r) => {
    const Validator = require('viber-bot/lib/message/message-validator')
    assert(new Validator({ debug: () => {} }, TEXT).validateMessage(h(r, 'x-viber-content-signature'), r.body), 'not valid')
    return JSON.parse(r.body)
  },
  worldline: async (r) => {
    const { webhooks } = require('onlinepayments-sdk-nodejs')
    return webhooks.init({ getSecretKey: async () => TEXT }).unmarshal(r.body, r.headers)
  },
  phonepe: async (r) => {
    const { CommonUtils } = require('pg-sdk-node/dist/common/CommonUtils')
    assert(CommonUtils.isCallbackValid('user', TEXT, h(r, 'authorization')), 'not valid')
    return JSON.parse(r.body)
  },
  hookdeck: async (r) => {
    const { verifyWebhookSignature } = require('@hookdeck/sdk/webhooks/helpers')
    const result = await verifyWebhookSignature({ headers: r.headers, rawBody: r.body, signingSecret: TEXT, config: { checkSourceVerification: false } })
    assert(result.isValidSignature, 'not valid')
    return JSON.parse(r.body)
  },
}

// capture starts a server that records its requests.
const capture = () =>
  new Promise((done) => {
    const seen = []
    const server = createServer((req, res) => {
      const parts = []
      req.on('data', (p) => parts.push(p))
      req.on('end', () => {
        seen.push({ method: req.method, url: req.url, headers: req.headers, body: Buffer.concat(parts).toString() })
        res.writeHead(202).end('{}')
      })
    })
    server.listen(0, '127.0.0.1', () => done({ seen, server, to: `http://127.0.0.1:${server.address().port}` }))
  })

const { seen, server, to } = await capture()
let passed = 0
let failed = 0
const check = (what, ok, got) => {
  if (ok) return void passed++
  failed++
  console.error(`FAILED: ${what}: ${got}`)
}
const send = async (name, variant) => {
  seen.length = 0
  await run(hookloom, ['send', name.replaceAll('-', '_'), '--dir', project, '--to', to, '--variant', variant])
  return seen[0]
}
for (const [name, verify] of Object.entries(verifiers)) {
  if (only.length && !only.includes(name)) continue
  try {
    const event = await verify(await send(name, 'valid'))
    check(`${name}: its SDK reads what send makes`, event && typeof event === 'object', event)
    if (process.env.SHOW) console.log(name, JSON.stringify(event)?.slice(0, 200))
    const forged = await send(name, 'wrong-secret')
    const refused = await verify(forged).then(
      (e) => e,
      () => null,
    )
    check(`${name}: its SDK refuses what another secret signs`, refused === null, JSON.stringify(refused))
  } catch (e) {
    check(name, false, e.stack)
  }
}
server.close()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
