package engine

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// Inlet is the way by which an event arrived. Package workflows has the table of its kinds.
type Inlet = workflows.Inlet

// CheckInlet returns an error for an unknown kind of inlet. A store calls it for each event before
// it writes: its schema has no list of kinds, so that a new kind needs no migration.
func CheckInlet(i Inlet) error {
	if i.Known() {
		return nil
	}
	return fmt.Errorf("unknown kind of inlet %q", i)
}

// SampleAgent is the User-Agent of the samples that hookloom send and the console send. An event
// of it is a test: it runs like any other, is marked in lists, and is left out of comparisons.
const SampleAgent = "hookloom-send"

// Delivery is one inbound request or polled item whose sender was verified.
type Delivery struct {
	Trigger string
	Inlet   Inlet
	// Key is the idempotency key; Flag explains its origin if the configured key was empty.
	Key, Flag string
	Type      string
	// Time is the sender's; ReceivedAt is ours.
	Time, ReceivedAt time.Time
	Method, Path     string
	// Headers are lower-case; Query is text. Neither contains a signature or token.
	Headers, Query map[string]string
	// Raw is the body as received; Body is the decoded body, nil until needed.
	Raw  []byte
	Body any
	// Decoded reports that Body is set, possibly to nil.
	Decoded bool
	// Text is Raw as a string, if the strings of Body already share its memory; it saves a copy.
	Text string
	// DataExpr is the expression that computes event.data from the body; empty for the body itself.
	// It is stored, so that data does not change with the configuration.
	DataExpr string
	// Dedupe is how long the key is remembered; 0 for not at all.
	Dedupe time.Duration
	// Identity is what identifies the event.
	Identity Identity
	// Claim is a digest of what the sender signed for this one delivery. It identifies the event in
	// addition to its key, or instead of it if events are identified by content. nil for none.
	Claim []byte
	// ClaimFor is how long the claim is kept at least: as long as its signature is valid.
	ClaimFor time.Duration
	// SameBody is the meaning of an equal body under another key.
	SameBody SameBody
	// ContentSum is a digest of the body without its signature; 0 if the signature is elsewhere.
	// Bodies with equal sums have the same content.
	ContentSum int64
	// Inputs are the inputs of a manual start.
	Inputs map[string]any
	// SecretInputs are the names of inputs that are stored as ***, and Hidden the values that are
	// masked wherever they occur. Both survive a restart.
	SecretInputs, Hidden []string
	// Unsubscribed reports that no workflow listens, so nothing needs to be matched.
	Unsubscribed bool
	// Rules is the state of the rules on which Unsubscribed relies, see SharedStore.Rules. Lane names
	// the group of triggers whose events are decided one after another, in order of arrival, on
	// whichever node; empty if the order of this event does not matter.
	Rules int64
	Lane  string
	// Recovered reports that polling found it because its webhook did not deliver it.
	Recovered bool
	// Partial reports that its data was not fetched because the event is known: it cannot be
	// compared.
	Partial bool
	// Only is the one workflow that a manual start is for; empty for all.
	Only string
	// Proof is how a webhook's delivery was verified.
	Proof Proof
}

// Event is one thing that happened: the first delivery of its key.
type Event struct {
	ID EventID
	Delivery
	// Stripped reports that its body, headers and inputs were pruned.
	Stripped bool
	// Share is its share of the memory budget. absent is the size of an event whose body was
	// released, see WithoutBody.
	Share  *memory.Share
	Absent int64
	// unreadable is why its body cannot be decoded, once that was tried.
	unreadable error
	// RepeatsBodyOf is the earlier event with the same body; 0 for none.
	RepeatsBodyOf EventID
	// Locked is why its secret inputs, or its row, cannot be read; nil if they can. Its runs cannot
	// continue then.
	Locked error
}

// Receipt is the result of accepting a delivery.
type Receipt struct {
	Event EventID
	// Duplicate reports that the event was known; Event is the first one's id.
	Duplicate bool
	// Conflict reports that a known event arrived with another body or type, which is stored.
	Conflict bool
	// RepeatsBodyOf is the earlier event with the same body; 0 for none.
	RepeatsBodyOf EventID
	// Mine reports that an earlier call with the same id, whose outcome was unknown, stored the
	// event: it is no duplicate.
	Mine bool
	// Elsewhere reports that another node decides the event, because it has earlier ones of its lane.
	// Behind reports that earlier ones of its lane, from another node, wait in this node's inbox.
	Elsewhere, Behind bool
}

// Refusal is a delivery that was not accepted.
type Refusal struct {
	At              time.Time
	Trigger, Reason string
	Detail          string
	// Diagnosis is what would have made it valid, found by trying.
	Diagnosis    string
	RemoteIP     string
	Method, Path string
	// URL is the public URL with its query, secrets masked.
	URL     string
	Headers map[string]string
	// Body is truncated; Size is the full length in bytes.
	Body []byte
	Size int
	// Whole is the body as received if history.redact masks parts of Body; nil if Body is unmasked.
	// WholeURL is the URL as received if history.redact masks parts of URL, else empty. Both are stored
	// encrypted.
	Whole    []byte
	WholeURL string
}

// SecretUse is how often a trigger's secret has verified a delivery.
type SecretUse struct {
	Trigger string `json:"trigger"`
	// Secret is the name of the secret, never its value.
	Secret  string    `json:"secret"`
	Count   int64     `json:"count"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// Names returns the event as expressions see it.
func (e *Event) Names() (map[string]any, error) {
	if e.Locked != nil {
		return nil, fmt.Errorf("event %s: %w", e.ID, e.Locked)
	}
	text := e.Text
	if text != string(e.Raw) { // Raw was masked, or there is no Text; the comparison makes no copy
		text = string(e.Raw)
	}
	body, unreadable := e.body(text)
	headers, query := anyMap(e.Headers), anyMap(e.Query)
	out := map[string]any{"id": e.ID.String(), "trigger": e.Trigger, "inlet": string(e.Inlet), "type": e.Type, "key": e.Key, "body": body,
		"headers": headers, "query": query, "raw": nil, "method": e.Method, "path": e.Path, "time": e.Time, "received_at": e.ReceivedAt}
	kind := e.Inlet.Kind()
	if kind.Data == workflows.DataInputs || kind.Data == workflows.DataFacts {
		out["data"] = e.Inputs
		return out, nil
	}
	if e.Raw != nil {
		out["raw"] = text
	}
	out["data"] = body
	if kind.Data == workflows.DataItem {
		// Only the data is stored; there was no request.
		out["body"], out["headers"], out["query"], out["raw"], out["method"], out["path"] = nil, nil, nil, nil, nil, nil
	}
	if e.DataExpr != "" && unreadable == nil {
		data, err := evalData(e.DataExpr, body, headers, query)
		if err != nil {
			return nil, fmt.Errorf("data of event %s: %w", e.ID, err)
		}
		out["data"] = data
	}
	return out, nil
}

// InputsOf returns the inputs of a workflow's run that the event begins, however it arrived;
// missing inputs have their defaults. An event about another run stores its facts in the same
// field; those are not inputs.
func (e *Event) InputsOf(w *workflows.Workflow) map[string]any {
	if e.Inlet.Kind().Data == workflows.DataFacts {
		return w.WithDefaults(nil)
	}
	return w.WithDefaults(e.Inputs)
}

// body decodes the stored bytes; a body that is not JSON stays text. The error is why there is
// none: such an event has its raw bytes, and nil data. text is Raw as a string.
func (e *Event) body(text string) (any, error) {
	if e.unreadable != nil || e.Decoded || len(e.Raw) == 0 {
		return e.Body, e.unreadable
	}
	if reason, ok := strings.CutPrefix(e.Flag, UnreadableFlag+": "); ok {
		e.unreadable = errors.New(reason)
		return nil, e.unreadable
	}
	v, err := content.DecodeWith(e.Headers["content-type"], e.Raw, text)
	if err != nil {
		e.unreadable = err
		return nil, err
	}
	e.Body, e.Decoded = v, true
	return v, nil
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// dataExprs caches the few data expressions in use, compiled. The map is replaced as a whole.
var dataExprs atomic.Pointer[map[string]*expr.Expr]

func dataExpr(text string) (*expr.Expr, error) {
	for {
		known := dataExprs.Load()
		if known != nil && (*known)[text] != nil {
			return (*known)[text], nil
		}
		c, err := expr.Compile(text, "body", "headers", "query", "raw", "method", "url", "path")
		if err != nil {
			return nil, err
		}
		next := map[string]*expr.Expr{text: c}
		if known != nil {
			maps.Copy(next, *known)
		}
		if dataExprs.CompareAndSwap(known, &next) {
			return c, nil
		}
	}
}

func evalData(text string, body any, headers, query map[string]any) (any, error) {
	e, err := dataExpr(text)
	if err != nil {
		return nil, err
	}
	return e.Eval(&expr.Env{Names: expr.Names{"body": body, "headers": headers, "query": query}, Now: time.Time{}})
}
