// Signs deliveries with the providers' own SDKs and sends them to a running
// server. Each signed delivery must be accepted; the same delivery with another body
// must be refused. verify.mjs tests the other direction.
// Usage: node check.mjs HOOKS_URL (see run.sh).
import crypto from 'node:crypto'
import { createRequire } from 'node:module'
import { HEX, LONG, TEXT as secret, WHSEC as whsec } from './secrets.mjs'
const require = createRequire(import.meta.url)

const base = process.argv[2]
const json = { 'Content-Type': 'application/json' }
const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
const url = (name) => 'https://hooks.example.com/hooks/' + name
const now = () => Math.floor(Date.now() / 1000)
const sha256 = (s) => crypto.createHash('sha256').update(s)

// Each returns {headers, body}, signed by the SDK; other is a body of the same
// kind that does not match the signature.
const sdks = {
  stripe: async (body) => {
    const Stripe = (await import('stripe')).default
    return { headers: { ...json, 'Stripe-Signature': new Stripe('sk_test_x').webhooks.generateTestHeaderString({ payload: body, secret }) }, body }
  },
  github: async (body) => {
    const { sign } = await import('@octokit/webhooks-methods')
    return { headers: { ...json, 'X-GitHub-Event': 'push', 'X-GitHub-Delivery': crypto.randomUUID(), 'X-Hub-Signature-256': await sign(secret, body) }, body }
  },
  'standard-webhooks': async (body) => {
    const { Webhook } = await import('standardwebhooks')
    const at = new Date()
    return { headers: { ...json, 'webhook-id': 'msg_1', 'webhook-timestamp': String(Math.floor(at / 1000)), 'webhook-signature': new Webhook(whsec).sign('msg_1', at, body) }, body }
  },
  svix: async (body) => {
    const { Webhook } = await import('svix')
    const at = new Date()
    return { headers: { ...json, 'svix-id': 'msg_1', 'svix-timestamp': String(Math.floor(at / 1000)), 'svix-signature': new Webhook(whsec).sign('msg_1', at, body) }, body }
  },
  twilio: async (_, other) => {
    const { getExpectedTwilioSignature } = require('twilio/lib/webhooks/webhooks')
    const params = { MessageSid: 'SM1', Body: 'Grüße & more', To: '+1', From: '+2', SmsStatus: 'received' }
    return { headers: { ...form, 'X-Twilio-Signature': getExpectedTwilioSignature(secret, url('twilio'), params) }, body: new URLSearchParams(other ? { ...params, Body: 'changed' } : params).toString() }
  },
  hygraph: async (body) => {
    const { generateWebhookSignature } = require('@hygraph/utils')
    return { headers: { ...json, 'gcms-signature': generateWebhookSignature({ rawPayload: body, environmentName: 'master', secret }) }, body }
  },
  contentful: async (body) => {
    const { signRequest } = require('@contentful/node-apps-toolkit')
    const signed = signRequest(LONG, { method: 'POST', path: '/hooks/contentful', headers: { 'X-Contentful-Topic': 'ContentManagement.Entry.publish' }, body }, Date.now())
    return { headers: { ...json, 'X-Contentful-Topic': 'ContentManagement.Entry.publish', ...signed }, body }
  },
  hubspot: async (body) => {
    const { Signature } = require('@hubspot/api-client')
    const timestamp = Date.now()
    return { headers: { ...json, 'X-HubSpot-Request-Timestamp': String(timestamp), 'X-HubSpot-Signature-v3': Signature.getSignature('POST', 'v3', { clientSecret: secret, url: url('hubspot'), requestBody: body, timestamp }) }, body }
  },
  'atlassian-connect': async (body, other) => {
    const jwt = require('atlassian-jwt')
    const req = jwt.fromMethodAndUrl('POST', url('atlassian-connect') + (other ? '?lic=other' : ''))
    const token = jwt.encodeSymmetric({ iss: 'client', iat: now(), exp: now() + 180, qsh: jwt.createQueryStringHash(req, false) }, secret)
    return { headers: { ...json, Authorization: 'JWT ' + token }, body }
  },
  braintree: async (_, other) => {
    const braintree = require('braintree')
    const gateway = new braintree.BraintreeGateway({ environment: braintree.Environment.Sandbox, merchantId: 'm', publicKey: 'public', privateKey: secret })
    const { bt_signature, bt_payload } = await gateway.webhookTesting.sampleNotification(braintree.WebhookNotification.Kind.SubscriptionWentPastDue, 'sub_1')
    return { headers: form, body: new URLSearchParams({ bt_signature, bt_payload: other ? Buffer.from('<x/>').toString('base64') : bt_payload }).toString() }
  },
  livekit: async (body) => {
    const { AccessToken } = await import('livekit-server-sdk')
    const at = new AccessToken('key', secret)
    at.sha256 = sha256(body).digest('base64')
    return { headers: { 'Content-Type': 'application/webhook+json', Authorization: await at.toJwt() }, body }
  },
  sanity: async (body) => {
    const { encodeSignatureHeader } = await import('@sanity/webhook')
    return { headers: { ...json, 'sanity-webhook-signature': await encodeSignatureHeader(body, Date.now(), secret) }, body }
  },
  adyen: async (_, other) => {
    const { hmacValidator } = require('@adyen/api-library')
    const item = { pspReference: '7914073381342284', originalReference: '', merchantAccountCode: 'Test', merchantReference: 'A-1', amount: { value: 1999, currency: 'EUR' }, eventCode: 'AUTHORISATION', success: 'true', eventDate: '2026-01-01T10:00:00+01:00', paymentMethod: 'visa', operations: [], reason: '' }
    const signature = new hmacValidator().calculateHmac(item, HEX)
    if (other) item.amount.value = 1
    return { headers: json, body: JSON.stringify({ live: 'false', notificationItems: [{ NotificationRequestItem: { ...item, additionalData: { hmacSignature: signature } } }] }) }
  },
  workos: async (body) => {
    const { WorkOS } = await import('@workos-inc/node')
    const timestamp = Date.now()
    const signature = await new WorkOS('sk_x').webhooks.computeSignature(timestamp, JSON.parse(body), secret)
    return { headers: { ...json, 'WorkOS-Signature': `t=${timestamp}, v1=${signature}` }, body: JSON.stringify(JSON.parse(body)) }
  },
  retell: async (body) => {
    const { sign } = require('retell-sdk/lib/webhook_auth')
    return { headers: { ...json, 'x-retell-signature': await sign(body, secret) }, body }
  },
}

// Providers that sign like Standard Webhooks or Svix, with the library of each.
const standard = async (body) => {
  const { Webhook } = await import('standardwebhooks')
  const [id, at] = ['msg_' + crypto.randomUUID(), new Date()]
  return { headers: { ...json, 'webhook-id': id, 'webhook-timestamp': String(Math.floor(at / 1000)), 'webhook-signature': new Webhook(whsec).sign(id, at, body) }, body }
}
const bySvix = async (body) => {
  const { Webhook } = await import('svix')
  const [id, at] = ['msg_' + crypto.randomUUID(), new Date()]
  return { headers: { ...json, 'svix-id': id, 'svix-timestamp': String(Math.floor(at / 1000)), 'svix-signature': new Webhook(whsec).sign(id, at, body) }, body }
}
for (const name of ['openai', 'anthropic', 'replicate', 'lithic', 'dodo-payments']) sdks[name] = standard
for (const name of ['clerk', 'resend']) sdks[name] = bySvix
sdks.cloudinary = async (body) => {
  const { v2 } = require('cloudinary')
  const at = now()
  return { headers: { ...json, 'X-Cld-Timestamp': String(at), 'X-Cld-Signature': v2.utils.webhook_signature(body, at, { api_secret: secret, signature_algorithm: 'sha256' }) }, body }
}

for (let i = 0; ; i++) {
  const up = await fetch(`${base}/readyz`).then((r) => r.ok, () => false)
  if (up) break
  if (i === 100) throw new Error(`no server at ${base}`)
  await new Promise((wait) => setTimeout(wait, 100))
}

let passed = 0
let failed = 0
const check = (what, ok, got) => {
  if (ok) return void passed++
  failed++
  console.error(`FAILED: ${what}: ${got}`)
}
for (const [name, make] of Object.entries(sdks)) {
  const post = async ({ headers, body }) => {
    const r = await fetch(`${base}/hooks/${name}`, { method: 'POST', headers, body })
    return `${r.status} ${await r.text()}`
  }
  try {
    const body = JSON.stringify({ id: crypto.randomUUID(), event: 'sample', text: 'Grüße' })
    const good = await make(body, false)
    const got = await post(good)
    check(`${name}: what its SDK signs is accepted`, /^20[02] .*accepted|^200 </.test(got), got)
    const wrong = await make(body, true)
    if (wrong.body === body || name === 'workos') wrong.body = body.replace('sample', 'forged')
    const refused = await post(wrong)
    check(`${name}: another body is refused`, refused.startsWith('401'), refused)
  } catch (e) {
    check(name, false, e.stack)
  }
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
