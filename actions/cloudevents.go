package actions

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// cloudEventsSpec describes cloudevents/send: CloudEvents 1.0.2 over HTTP
// (github.com/cloudevents/spec, bindings/http-protocol-binding.md).
var cloudEventsSpec = workflows.ActionSpec{Name: "cloudevents/send", Help: "sends an event as CloudEvents 1.0 over HTTP", SideEffects: true,
	Example: map[string]any{"id": "hl_example", "status": 202, "body": nil, "duration_ms": 0},
	Inputs: []workflows.ActionInput{
		{Name: "url", Type: "string", Required: true, Help: "the URL to call; a path if connection: has a base_url", Fill: workflows.FillURL},
		{Name: "type", Type: "string", Required: true, Fill: workflows.FillNonempty, Help: "such as com.example.order.paid"},
		{Name: "source", Type: "string", Required: true, Fill: workflows.FillNonempty, Help: "the origin of the event, such as /shop/eu"},
		{Name: "data", Type: "any", Help: "what happened"},
		{Name: "id", Type: "string", Fill: workflows.FillNonempty, Help: "the same for every attempt by default"},
		{Name: "subject", Type: "string", Help: "the subject of the event, such as order/A-1"},
		{Name: "time", Type: "string", Help: "the time of the event; the start of the run by default"},
		{Name: "dataschema", Type: "string", Help: "the URI of the schema of data"},
		{Name: "extensions", Type: "object", Help: "further attributes; names consist of lower-case letters and digits"},
		{Name: "mode", Type: "string", Words: []string{"structured", "binary"},
			Help: "structured by default: one JSON document; binary: attributes are ce-... headers, data is the body"},
		{Name: "headers", Type: "object", Fill: workflows.FillNonempty, Help: "further headers"},
		{Name: "auth", Type: "object", Help: "as in http/request"},
		{Name: "connection", Type: "string", Help: "a connection of hookloom.yaml"},
	},
	Outputs: []workflows.ActionOutput{{Name: "id", Type: "string", Help: "the event's id"},
		{Name: "status", Type: "integer", Help: "of the response"},
		{Name: "body", Type: "any", Help: "of the response"}, {Name: "duration_ms", Type: "integer", Help: "how long it took"}},
	Usage: `- uses: cloudevents/send
  with:
    url: https://broker.example.com/events
    type: com.example.order.paid
    source: /shop/eu
    subject: order/${{ event.data.order }}
    data: {order: "${{ event.data.order }}", total: "${{ event.data.total }}"}
`}

// cloudEventsAction is cloudevents/send.
type cloudEventsAction struct{ outbound }

// Destination implements engine.Destined.
func (a cloudEventsAction) Destination(in engine.Input) string {
	return httpAction{"POST", a.outbound, nil}.Destination(in)
}

// Connection implements engine.Connected.
func (cloudEventsAction) Connection(in engine.Input) string {
	return value.Shown(in.With["connection"])
}

// Do implements engine.Action.
func (a cloudEventsAction) Do(ctx context.Context, in engine.Input) (any, error) {
	attributes, err := cloudAttributes(in)
	if err != nil {
		return nil, err
	}
	request := in
	request.With = map[string]any{"url": in.With["url"], "headers": in.With["headers"], "auth": in.With["auth"],
		"connection": in.With["connection"]}
	o, accepted, err := httpAction{"POST", a.outbound, nil}.order(request)
	if err != nil {
		return nil, err
	}
	data, hasData := in.With["data"]
	if in.With["mode"] == "binary" {
		if hasData {
			if err := jsonBody(&o, data); err != nil {
				return nil, err
			}
		}
		for name, v := range attributes {
			if err := setHeader(o.header, "ce-"+name, cloudHeader(value.Shown(v))); err != nil {
				return nil, err
			}
		}
	} else {
		if hasData {
			attributes["data"], attributes["datacontenttype"] = data, "application/json"
		}
		if err := jsonBody(&o, attributes); err != nil {
			return nil, err
		}
		o.header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	}
	r, err := send(ctx, a.client, o)
	if err != nil {
		return nil, err
	}
	if err := checkStatus(r, accepted); err != nil {
		return nil, err
	}
	return map[string]any{"id": attributes["id"], "status": r.status, "body": r.body, "duration_ms": int(r.took.Milliseconds())}, nil
}

// cloudAttributes returns the context attributes of an event.
func cloudAttributes(in engine.Input) (map[string]any, error) {
	out := map[string]any{"specversion": "1.0", "id": in.Key, "time": in.Run.Time().UTC().Format(time.RFC3339)}
	for _, name := range []string{"type", "source", "id", "subject", "time", "dataschema"} {
		if s := value.Shown(in.With[name]); in.With[name] != nil && s != "" {
			out[name] = s
		}
	}
	if _, err := time.Parse(time.RFC3339, value.Shown(out["time"])); err != nil {
		return nil, plan.Permanent("invalid_input", "time %q is not an RFC 3339 time, such as 2026-05-01T10:00:00Z",
			value.CutText(value.Shown(out["time"]), 40))
	}
	more, ok := in.With["extensions"].(map[string]any)
	if !ok && in.With["extensions"] != nil {
		return nil, plan.Permanent("invalid_input", "extensions is a map of names to values")
	}
	for name, v := range more {
		if name == "" || name == "data" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || out[name] != nil {
			return nil, plan.Permanent("invalid_input",
				"extensions: %q cannot be an attribute: names consist of lower-case letters and digits, and are not those "+
					"of the standard attributes", clipName(value.CutText(name, 40)))
		}
		switch v.(type) {
		case string, bool, int:
			out[name] = v
		default:
			return nil, plan.Permanent("invalid_input", "extensions: %s must be text, a whole number, true or false", name)
		}
	}
	return out, nil
}

// cloudHeader encodes a value as a header (HTTP binding, 3.1.3.2): characters other than printable
// ASCII, spaces, quotes and percent signs are percent-encoded.
func cloudHeader(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= 0x20 || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
