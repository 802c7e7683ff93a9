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

// Inlet is the way by which an event came. Package workflows has the table of its kinds.
type Inlet = workflows.Inlet

// CheckInlet refuses what is no kind of inlet. A store asks it of each event before it
// writes: its schema has no list of kinds, so that a new one needs no migration.
func CheckInlet(i Inlet) error {
	if i.Known() {
		return nil
	}
	return fmt.Errorf("there is no kind of inlet %q", i)
}

// Delivery is one inbound request or polled item, proved genuine.
type Delivery struct {
	Trigger string
	Inlet   Inlet
	// Key is the idempotency key; Flag says how it came about when the named key
	// was empty.
	Key, Flag string
	Type      string
	// Time is the sender's; ReceivedAt ours.
	Time, ReceivedAt time.Time
	Method, Path     string
	// Headers are lower-case; Query as text. Neither holds a signature or token.
	Headers, Query map[string]string
	// Raw is the body as received; Body the same decoded, nil until it is needed.
	Raw  []byte
	Body any
	// Decoded tells that Body is set, also to nil.
	Decoded bool
	// DataExpr is the expression that gives event.data from the body; empty for
	// the body itself. It is stored, so that data stays the same when the
	// configuration changes.
	DataExpr string
	// Dedupe is how long the key is remembered; 0 for not at all.
	Dedupe time.Duration
	// Identity is what names the event.
	Identity Identity
	// Claim is a digest that names the event besides its key, or in place of it where
	// it is identified by content: of what the sender signed for this one delivery.
	// nil for none.
	Claim []byte
	// ClaimFor is how long the claim counts at least: while its signature is genuine.
	ClaimFor time.Duration
	// SameBody says what an equal body under another key means.
	SameBody SameBody
	// ContentSum is a digest of the body without what its signature put there; 0 where
	// the signature stands elsewhere. Bodies of equal sums say the same.
	ContentSum int64
	// Inputs are those of a manual start.
	Inputs map[string]any
	// SecretInputs are the names of those that are kept as ***, and Hidden the values
	// that are masked wherever they stand. Both survive a restart.
	SecretInputs, Hidden []string
	// Unsubscribed tells that no workflow listens, so that nothing has to be matched.
	Unsubscribed bool
	// Recovered tells that it was found by asking, because its webhook did not come.
	Recovered bool
	// Partial tells that its data was not asked for, since the event is known: it
	// cannot be compared.
	Partial bool
	// Only names the one workflow that a manual start is for; empty for all.
	Only string
	// Proof is what showed that a webhook's delivery is genuine.
	Proof Proof
}

// Event is one thing that happened: the first delivery of its key.
type Event struct {
	ID EventID
	Delivery
	// Stripped tells that its body, headers and inputs were pruned.
	Stripped bool
	// share is what it has of the budget of memory. absent is the size of an event
	// that was put down without its body, see withoutBody.
	Share  *memory.Share
	Absent int64
	// unreadable says why its body cannot be decoded, once that was tried.
	unreadable error
	// RepeatsBodyOf is the earlier event with the same body; 0 for none.
	RepeatsBodyOf EventID
	// Locked says why its secret inputs, or its row, cannot be read; nil for events that
	// can be. Then its runs cannot go on.
	Locked error
}

// Receipt answers a delivery.
type Receipt struct {
	Event EventID
	// Duplicate tells that the event was known; Event is the first one's id.
	Duplicate bool
	// Conflict tells that a known event came with another body or type, which is kept.
	Conflict bool
	// RepeatsBodyOf is the earlier event whose body this new one has; 0 for none.
	RepeatsBodyOf EventID
	// Mine tells that the event is stored already, by an earlier call with the same id
	// whose outcome was not known: it is no duplicate.
	Mine bool
}

// Refusal is a delivery that was not accepted.
type Refusal struct {
	At              time.Time
	Trigger, Reason string
	Detail          string
	// Diagnosis is what would have made it genuine, found by trying.
	Diagnosis    string
	RemoteIP     string
	Method, Path string
	// URL is the public URL with its query, secrets masked.
	URL     string
	Headers map[string]string
	// Body is bounded; Size is the whole length in bytes.
	Body []byte
	Size int
	// Whole is the body as it came where history.redact masks some of Body; nil where
	// Body is that. It is stored encrypted.
	Whole []byte
}

// SecretUse tells how often a trigger's secret has proved a delivery.
type SecretUse struct {
	Trigger string `json:"trigger"`
	// Secret is the name of the secret, never its value.
	Secret  string    `json:"secret"`
	Count   int64     `json:"count"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// Names gives the event as expressions see it.
func (e *Event) Names() (map[string]any, error) {
	if e.Locked != nil {
		return nil, fmt.Errorf("event %s: %w", e.ID, e.Locked)
	}
	body, unreadable := e.body()
	headers, query := anyMap(e.Headers), anyMap(e.Query)
	out := map[string]any{"id": e.ID.String(), "trigger": e.Trigger, "inlet": string(e.Inlet), "type": e.Type, "key": e.Key, "body": body,
		"headers": headers, "query": query, "raw": nil, "method": e.Method, "path": e.Path, "time": e.Time, "received_at": e.ReceivedAt}
	kind := e.Inlet.Kind()
	if kind.Data == workflows.DataInputs || kind.Data == workflows.DataFacts {
		out["data"] = e.Inputs
		return out, nil
	}
	if e.Raw != nil {
		out["raw"] = string(e.Raw)
	}
	out["data"] = body
	if kind.Data == workflows.DataItem {
		// What is stored is the data; there was no request.
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

// InputsOf gives those of a run of a workflow that the event begins, whichever way it came;
// what was not given has its default. An event about another run keeps its facts in the
// same place, which are no inputs.
func (e *Event) InputsOf(w *workflows.Workflow) map[string]any {
	if e.Inlet.Kind().Data == workflows.DataFacts {
		return w.WithDefaults(nil)
	}
	return w.WithDefaults(e.Inputs)
}

// body decodes the stored bytes; what is no JSON stays text. The error says why there
// is nothing to see: such an event has its raw bytes, and data that is nil.
func (e *Event) body() (any, error) {
	if e.unreadable != nil || e.Decoded || len(e.Raw) == 0 {
		return e.Body, e.unreadable
	}
	if reason, ok := strings.CutPrefix(e.Flag, UnreadableFlag+": "); ok {
		e.unreadable = errors.New(reason)
		return nil, e.unreadable
	}
	v, err := content.Decode(e.Headers["content-type"], e.Raw)
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

// dataExprs keeps the few data expressions that are in use, compiled; replaced whole.
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
