#!/usr/bin/env bash
# Signs deliveries with the official SDKs of npm and sends them to a running server, and
# checks with the SDKs what hookloom send signs. The product itself needs none of them.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
server=""
finish() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT
# The packages are kept for the next run: there are many, and their versions are pinned.
sdks="${XDG_CACHE_HOME:-$HOME/.cache}/hookloom-sdk/$(cksum <"$here/package.json" | tr ' ' -)"
mkdir -p "$sdks"
cp "$here/package.json" "$here"/*.mjs "$sdks/"
if ! command -v npm >/dev/null || ! (cd "$sdks" && npm install --no-audit --no-fund --ignore-scripts --legacy-peer-deps --silent); then
  echo "SKIPPED: npm's packages cannot be had here"
  exit 0
fi
mkdir "$work/project"
cat >"$work/project/.env" <<'ENV'
TEXT=sdk-secret-0123456789abcdef
WHSEC=whsec_c2RrLXNlY3JldC0wMTIzNDU2Nzg5YWJjZGVm
LONG=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
HEX=44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056
USER_PASS=user:sdk-secret-0123456789abcdef
ENV
{
  echo 'server: {public_url: https://hooks.example.com}'
  echo 'triggers:'
  for p in stripe github standard-webhooks:WHSEC svix:WHSEC twilio hygraph contentful:LONG hubspot atlassian-connect braintree livekit sanity adyen:HEX workos \
    retell clerk:WHSEC resend:WHSEC openai:WHSEC anthropic:WHSEC lithic:WHSEC dodo-payments:WHSEC replicate:WHSEC cloudinary mux modern-treasury polar easypost \
    gocardless box pusher vonage paddle linear elevenlabs plivo messagebird mercado-pago webflow cashfree qstash fintoc slack line square razorpay shopify \
    coinbase-commerce viber worldline phonepe:USER_PASS hookdeck; do
    name="${p%%:*}" secret=TEXT
    case "$p" in *:*) secret="${p##*:}" ;; esac
    params='{}'
    [ "$name" = braintree ] && params='{public_key: public}'
    [ "$name" = livekit ] && params='{api_key: key}'
    echo "  ${name//-/_}: {webhook: {provider: $name, path: /hooks/$name, params: $params, secret: \"\${{ secrets.$secret }}\"}}"
  done
} >"$work/project/hookloom.yaml"
port=$((20000 + RANDOM % 20000))
(cd "$here/../.." && go build -o "$work/hookloom" .)
"$work/hookloom" serve "$work/project" --addr "127.0.0.1:$port" --admin-addr 127.0.0.1:0 --log-level warn &
server=$!
(cd "$sdks" && node check.mjs "http://127.0.0.1:$port" && node verify.mjs "$work/hookloom" "$work/project")
