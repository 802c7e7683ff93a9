package actions

import (
	"context"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

var webhookSpec = workflows.ActionSpec{Name: "webhook/send", Help: "an outbound webhook, signed by Standard Webhooks", SideEffects: true,
	Example: map[string]any{"id": "hl_example", "status": 200, "duration_ms": 0},
	Inputs: []workflows.ActionInput{
		{Name: "url", Type: "string", Required: true, Fill: workflows.FillURL,
			Help: "the URL to call; a path if connection: has a base_url"},
		{Name: "secret", Type: "any", Fill: workflows.FillNonempty, Secret: true,
			Help: "signs the webhook: whsec_ and base64, any text, or for Ed25519 a private key, whsk_ and base64 or PEM; a list signs " +
				"with each, for key rotation"},
		{Name: "type", Type: "string", Help: "the event's type; the payload becomes {type, timestamp, data}"},
		{Name: "body", Type: "any", Required: true, Help: "the data"},
		{Name: "id", Type: "string", Help: "webhook-id; the same for every attempt by default", Fill: workflows.FillNonempty},
		{Name: "headers", Type: "object", Fill: workflows.FillNonempty},
		{Name: "connection", Type: "string", Help: "a connection of hookloom.yaml, for a receiver that asks for a credential too"},
		{Name: "scheme", Type: "string", Words: []string{"standard", "github", "stripe"}, Help: "standard by default"},
		{Name: "signing", Type: "object", Help: "instead of scheme, your own, written like a trigger's verify: {algorithm, key_encoding, " +
			"signature: {from, prefix, encoding}, timestamp: {from, unit}, signed_content}"},
		{Name: "raw", Type: "boolean", Help: "true: body is text and is sent unchanged, not as JSON"},
	},
	Outputs: []workflows.ActionOutput{{Name: "id", Type: "string", Help: "webhook-id, the same for every attempt"},
		{Name: "status", Type: "integer", Help: "of the response"}, {Name: "duration_ms", Type: "integer", Help: "how long it took"}},
	Usage: `- uses: webhook/send
  with:
    url: https://partner.example.com/hooks
    secret: ["${{ secrets.PARTNER_NEW }}", "${{ secrets.PARTNER_OLD }}"]
    type: order.paid
    body: {order: "${{ event.data.order }}"}
`}

// webhookAction is webhook/send.
type webhookAction struct{ outbound }

// maxWebhookAnswer is the maximum number of bytes read of the receiver's response.
const maxWebhookAnswer = 64 << 10

// Destination implements engine.Destined.
func (a webhookAction) Destination(in engine.Input) string {
	return destination("", a.Endpoint(in))
}

// Connection implements engine.Connected.
func (webhookAction) Connection(in engine.Input) string { return value.Shown(in.With["connection"]) }

// Endpoint implements engine.Endpointed. It is the complete URL: the same path may be an endpoint
// of several connections.
func (webhookAction) Endpoint(in engine.Input) string {
	raw := value.Shown(in.With["url"])
	conn, err := pick(in, value.Shown(in.With["connection"]))
	if err != nil || conn.name == "" {
		return raw
	}
	if whole, err := conn.resolve(raw, false, nil, ""); err == nil {
		return whole
	}
	return raw // Do reports what is wrong with it
}

// Do implements engine.Action. Each attempt has the same id and body; timestamp and signature are
// new, as Standard Webhooks requires.
func (a webhookAction) Do(ctx context.Context, in engine.Input) (any, error) {
	id := in.Key
	if s, ok := in.With["id"].(string); ok {
		id = s
	}
	payload := in.With["body"]
	if t, ok := in.With["type"].(string); ok && t != "" {
		// The time is that of the run, which all attempts share.
		payload = map[string]any{"type": t, "timestamp": in.Run.Time().Format(time.RFC3339), "data": payload}
	}
	o := order{method: http.MethodPost, header: http.Header{}, limit: maxWebhookAnswer, parse: "text"}
	conn, err := pick(in, value.Shown(in.With["connection"]))
	if err != nil {
		return nil, err
	}
	if o.url, err = conn.resolve(value.Shown(in.With["url"]), false, nil, ""); err != nil {
		return nil, err
	}
	if err := conn.apply(&o, a.auth); err != nil {
		return nil, err
	}
	if err := webhookBody(&o, in.With, payload); err != nil {
		return nil, err
	}
	h, _ := in.With["headers"].(map[string]any)
	for k, v := range h {
		if err := setHeader(o.header, k, v); err != nil {
			return nil, err
		}
	}
	if err := setHeader(o.header, "webhook-id", id); err != nil {
		return nil, err
	}
	if err := sign(&o, value.Shown(in.With["scheme"]), in.With["signing"], in.With["secret"]); err != nil {
		return nil, err
	}
	r, err := send(ctx, a.client, o)
	if err != nil {
		return nil, err
	}
	if err := checkStatus(r, success); err != nil {
		return nil, err
	}
	return map[string]any{"id": id, "status": r.status, "duration_ms": int(r.took.Milliseconds())}, nil
}

// webhookBody encodes the body: JSON, or with raw: the text unchanged.
func webhookBody(o *order, with map[string]any, payload any) error {
	if raw, _ := with["raw"].(bool); !raw {
		return jsonBody(o, payload)
	}
	t, isText := with["body"].(string)
	if !isText || with["type"] != nil {
		return plan.Permanent("invalid_request", "raw: true sends body unchanged: body must be text, without type:")
	}
	o.body = []byte(t)
	o.header.Set("Content-Type", "text/plain; charset=utf-8")
	if isJSONText(t) {
		o.header.Set("Content-Type", "application/json")
	}
	return nil
}
