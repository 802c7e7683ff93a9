package engine

import (
	"cmp"
	"encoding/json"

	"github.com/hookloom/hookloom/workflows"
)

// CallKeyHeader is the header of an event that calls a workflow, with the idempotency key of the
// calling step: all its attempts use the same key.
const CallKeyHeader = "x-idempotency-key"

// SentRequest is the HTTP request of an attempt. It is computed from the recorded input, so it
// holds no secret: a secret is written as $NAME, or as *** if its name is not known.
type SentRequest struct {
	Method  string            `json:"method,omitempty"`
	URL     string            `json:"url,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	// Curl is the same request as a shell command. It is empty if the body is not shown in full.
	Curl string `json:"curl,omitempty"`
	// Note says what differs from what was sent, or why the request cannot be shown.
	Note string `json:"note,omitempty"`
}

// SentResponse is the response to a SentRequest, as far as it is recorded.
type SentResponse struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body,omitempty"`
}

// RunKeys is what the idempotency keys of a run's attempts are derived from.
type RunKeys struct {
	Instance string
	// Kept are the steps that reuse the key of an earlier run.
	Kept map[string]KeptKey
	// EventHeaders are the headers of the run's event.
	EventHeaders map[string]string
}

// IdempotencyKey is the key that the attempts of a step used.
func (d *RunDetail) IdempotencyKey(path string) string {
	root, replay := d.ID, d.Repeats != ""
	if k, ok := d.Keys.Kept[path]; ok {
		root, replay = k.Run.String(), k.Replays
	}
	if d.EventItem.Inlet == workflows.InletCall && !replay {
		root = cmp.Or(d.Keys.EventHeaders[CallKeyHeader], root)
	}
	return IdempotencyKey(d.Keys.Instance, root, path)
}
