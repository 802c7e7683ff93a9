package actions

import (
	"context"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
)

var webhookSpec = workflows.ActionSpec{Name: "webhook/send", Help: "an outbound webhook, signed by Standard Webhooks", SideEffects: true,
	Example: map[string]any{"id": "hl_example", "status": 200, "duration_ms": 0},
	Inputs: []workflows.ActionInput{
		{Name: "url", Type: "string", Required: true, Help: "where to", Fill: workflows.FillURL},
		{Name: "secret", Type: "string", Help: "signs the webhook; whsec_ and base64, or any text", Fill: workflows.FillNonempty, Secret: true},
		{Name: "type", Type: "string", Help: "the event's type; the payload becomes {type, timestamp, data}"},
		{Name: "body", Type: "any", Required: true, Help: "the data"},
		{Name: "id", Type: "string", Help: "webhook-id; the same for every attempt by default", Fill: workflows.FillNonempty},
		{Name: "headers", Type: "object", Fill: workflows.FillNonempty},
		{Name: "scheme", Type: "string", Words: []string{"standard", "github", "stripe"}, Help: "standard by default"},
	}}

// webhookAction is webhook/send.
type webhookAction struct{}

// maxWebhookAnswer is how much of the receiver's answer is read, in bytes.
const maxWebhookAnswer = 64 << 10

// Destination implements engine.Destined.
func (webhookAction) Destination(in engine.Input) string {
	return destination("", text(in.With["url"]))
}

// Endpoint implements engine.Endpointed.
func (webhookAction) Endpoint(in engine.Input) string { return text(in.With["url"]) }

// Do implements engine.Action. Each attempt has the same id and body; timestamp
// and signature are fresh, as Standard Webhooks asks.
func (webhookAction) Do(ctx context.Context, in engine.Input) (any, error) {
	id := in.Key
	if s, ok := in.With["id"].(string); ok {
		id = s
	}
	payload := in.With["body"]
	if t, ok := in.With["type"].(string); ok && t != "" {
		// The time is the run's, which every attempt shares.
		payload = map[string]any{"type": t, "timestamp": in.Run.Time().Format(time.RFC3339), "data": payload}
	}
	o := order{method: http.MethodPost, url: text(in.With["url"]), header: http.Header{}, limit: maxWebhookAnswer, parse: "text"}
	if err := jsonBody(&o, payload); err != nil {
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
	if err := sign(&o, text(in.With["scheme"]), in.With["secret"]); err != nil {
		return nil, err
	}
	r, err := send(ctx, in.Client, o)
	if err != nil {
		return nil, err
	}
	if err := judge(r, success); err != nil {
		return nil, err
	}
	return map[string]any{"id": id, "status": r.status, "duration_ms": int(r.took.Milliseconds())}, nil
}

func sign(o *order, scheme string, secret any) error {
	if secret == nil {
		return nil
	}
	s := signature.Standard()
	switch scheme {
	case "github":
		s = signature.GitHub()
	case "stripe":
		s = signature.Stripe()
	}
	v, err := signature.Compile(s)
	if err != nil {
		return permanent("invalid_request", "scheme: %v", err)
	}
	var key signature.Key
	if s.KeyEncoding == "whsec_base64" {
		key, err = v.StandardKey(text(secret))
	} else {
		key, err = v.NewKey(text(secret))
	}
	if err != nil {
		return permanent("no_credential", "secret: %v", err)
	}
	if _, err := v.Sign(&signature.Request{Method: o.method, Header: o.header, Body: o.body}, key, time.Now()); err != nil {
		return permanent("invalid_request", "signing: %v", err)
	}
	return nil
}
