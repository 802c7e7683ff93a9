package engine

import (
	"cmp"
	"encoding/json"
	"time"

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

// StepOrigin is the run that made an attempt which a later run kept.
type StepOrigin struct {
	Run     RunID
	Version string
	// Replays reports that Run is itself a replay.
	Replays bool
	// Began is when the step's first attempt in Run began.
	Began time.Time
	// Kept are the steps of Run that reused the key of an earlier run.
	Kept map[string]KeptKey
}

// KeptText says which run made a kept attempt; it is empty for other attempts.
func (s StepItem) KeptText() string {
	switch {
	case !s.Kept:
		return ""
	case s.KeptFrom == "":
		return "kept from an earlier run, which was pruned"
	}
	return "kept from " + s.KeptFrom
}

// IdempotencyKey is the key that an attempt used.
func (d *RunDetail) IdempotencyKey(s *StepItem) string {
	path, root, replay, kept := s.Path, d.ID, d.Repeats != "", d.Keys.Kept
	if o := s.Origin; o != nil {
		root, replay, kept = o.Run.String(), o.Replays, o.Kept
	}
	if k, ok := kept[path]; ok {
		root, replay = k.Run.String(), k.Replays
	}
	if d.EventItem.Inlet == workflows.InletCall && !replay {
		root = cmp.Or(d.Keys.EventHeaders[CallKeyHeader], root)
	}
	return IdempotencyKey(d.Keys.Instance, root, path)
}
