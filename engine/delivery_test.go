package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// TestEventHasTheNamesOfItsInlet checks what expressions read of an event, by the way it arrived.
func TestEventHasTheNamesOfItsInlet(t *testing.T) {
	at := time.Unix(1_800_000_000, 0).UTC()
	for name, c := range map[string]struct {
		change func(*engine.Event)
		want   map[string]any
	}{
		"a request": {func(*engine.Event) {}, map[string]any{"data": map[string]any{"n": 1}, "body": map[string]any{"n": 1}, "raw": `{"n":1}`,
			"method": "POST", "path": "/in", "key": "k", "type": "paid", "trigger": "hook", "inlet": "webhook", "id": "evt_0000000000000007",
			"time": at, "received_at": at.Add(1), "query": map[string]any{"q": "1"},
			"headers": map[string]any{"content-type": "application/json"}}},
		"a masked body": {func(e *engine.Event) { e.Text = `{"n":2}` }, map[string]any{"raw": `{"n":1}`}},
		"text": {func(e *engine.Event) { e.Headers, e.Raw = nil, []byte("plain") },
			map[string]any{"data": "plain", "body": "plain", "raw": "plain", "headers": map[string]any{}}},
		"no body": {func(e *engine.Event) { e.Raw = nil }, map[string]any{"data": nil, "body": nil, "raw": nil}},
		"a decoded body": {func(e *engine.Event) { e.Decoded, e.Body = true, "decoded" },
			map[string]any{"data": "decoded", "body": "decoded", "raw": `{"n":1}`}},
		"data of an expression": {func(e *engine.Event) { e.DataExpr = `[body.n, headers["content-type"], query.q]` },
			map[string]any{"data": []any{1, "application/json", "1"}, "body": map[string]any{"n": 1}}},
		"no JSON, with an expression": {func(e *engine.Event) { e.DataExpr, e.Raw = `body.n`, []byte("{") },
			map[string]any{"data": nil, "body": nil, "raw": "{"}},
		"a marked body": {func(e *engine.Event) { e.Flag = engine.UnreadableFlag + ": why" },
			map[string]any{"data": nil, "body": nil, "raw": `{"n":1}`}},
		"an item": {func(e *engine.Event) { e.Inlet = workflows.InletPoll }, map[string]any{"data": map[string]any{"n": 1}, "body": nil,
			"headers": nil, "query": nil, "raw": nil, "method": nil, "path": nil, "inlet": "poll"}},
		"inputs": {func(e *engine.Event) { e.Inlet, e.Inputs = workflows.InletManual, map[string]any{"a": 1} },
			map[string]any{"data": map[string]any{"a": 1}, "raw": nil, "path": "/in"}},
		"facts": {func(e *engine.Event) { e.Inlet, e.Inputs = workflows.InletWorkflowRun, map[string]any{"run": 1} },
			map[string]any{"data": map[string]any{"run": 1}, "raw": nil}},
	} {
		e := &engine.Event{ID: 7, Delivery: engine.Delivery{Trigger: "hook", Inlet: workflows.InletWebhook, Type: "paid", Key: "k",
			Method: "POST", Path: "/in", Raw: []byte(`{"n":1}`), Headers: map[string]string{"content-type": "application/json"},
			Time: at, ReceivedAt: at.Add(1), Query: map[string]string{"q": "1"}}}
		c.change(e)
		for range 2 { // the second time, the decoded body is kept
			names, err := e.Names()
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for k, want := range c.want {
				if !reflect.DeepEqual(names[k], want) {
					t.Errorf("%s: %s is %#v, want %#v", name, k, names[k], want)
				}
			}
		}
	}
	for want, e := range map[string]*engine.Event{
		"event evt_0000000000000007: locked": {ID: 7, Locked: errors.New("locked")},
		"data of event evt_0000000000000007: cannot read n: body is nil": {ID: 7,
			Delivery: engine.Delivery{Inlet: "webhook", DataExpr: "body.n"}},
		"data of event evt_0000000000000007: compiling body..": {ID: 7, Delivery: engine.Delivery{Inlet: "webhook", DataExpr: "body.."}},
	} {
		if _, err := e.Names(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if engine.CheckInlet(workflows.InletPoll) != nil || fmt.Sprint(engine.CheckInlet("pigeon")) != `unknown kind of inlet "pigeon"` {
		t.Error("an unknown inlet is accepted, or a known one refused")
	}
}

// TestFactsOfARunAreNotInputs checks the inputs with which an event begins a run.
func TestFactsOfARunAreNotInputs(t *testing.T) {
	w := projecttest.Load(t, map[string]string{"hookloom.yaml": "{}\n",
		"workflows/w.yaml": "on: manual\ninputs: {a: {type: integer, default: 5}}\nsteps: [{sleep: 1m}]\n"}, workflows.Catalog{}).Workflows["w"]
	for inlet, want := range map[engine.Inlet]any{workflows.InletManual: 7, workflows.InletWorkflowRun: 5} {
		e := &engine.Event{Delivery: engine.Delivery{Inlet: inlet, Inputs: map[string]any{"a": 7}}}
		if got := e.InputsOf(w)["a"]; got != want {
			t.Errorf("%s: %v, want %v", inlet, got, want)
		}
	}
}

// TestFlagsSayWhatIsWrongWithADelivery checks the flags of unreadable and unfitting deliveries, and their order.
func TestFlagsSayWhatIsWrongWithADelivery(t *testing.T) {
	long := errors.New(strings.Repeat("ä", 600))
	for name, c := range map[string]struct {
		mark                func(*engine.Delivery)
		want                string
		unreadable, invalid bool
	}{
		"nothing":    {func(d *engine.Delivery) { d.NotReadable(nil); d.NotFitting(nil, true) }, "", false, false},
		"unreadable": {func(d *engine.Delivery) { d.NotReadable(errors.New("why")) }, "body not readable: why", true, false},
		"unfitting":  {func(d *engine.Delivery) { d.NotFitting(errors.New("why"), false) }, "schema not met: why", false, true},
		"dead":       {func(d *engine.Delivery) { d.NotFitting(errors.New("why"), true) }, "schema not met, dead letter: why", false, true},
		"flagged before": {func(d *engine.Delivery) { d.Flag = "no key"; d.NotFitting(errors.New("why"), false) },
			"schema not met: why; no key", false, true},
		"both": {func(d *engine.Delivery) { d.NotFitting(errors.New("a"), true); d.NotReadable(errors.New("b")) },
			"body not readable: b; schema not met, dead letter: a", true, false},
		"long, unreadable": {func(d *engine.Delivery) { d.NotReadable(long) }, "body not readable: " + strings.Repeat("ä", 240), true, false},
		"long, unfitting": {func(d *engine.Delivery) { d.NotFitting(long, false) },
			"schema not met: " + strings.Repeat("ä", 400) + "…", false, true},
	} {
		d := engine.Delivery{Body: 1, Decoded: true, Text: "x"}
		c.mark(&d)
		item := engine.EventItem{Flag: d.Flag}
		if d.Flag != c.want || item.Unreadable() != c.unreadable || item.Invalid() != c.invalid {
			t.Errorf("%s: %q (%d bytes), %t %t", name, d.Flag, len(d.Flag), item.Unreadable(), item.Invalid())
		}
		if d.Decoded == c.unreadable || (d.Text == "") != c.unreadable || (d.Body == nil) != c.unreadable {
			t.Errorf("%s: the body %v, decoded %t, text %q", name, d.Body, d.Decoded, d.Text)
		}
	}
}

// TestDeadLetterOfASchemaIsDecidedBeforeItsRule checks the outcome of an event whose data does not fit its schema.
func TestDeadLetterOfASchemaIsDecidedBeforeItsRule(t *testing.T) {
	for name, c := range map[string]struct {
		flag     string
		replayed bool
		want     engine.Outcome
		reason   string
	}{
		"dead":             {"schema not met, dead letter: n is missing", false, engine.RuleFailed, "schema not met: n is missing"},
		"replayed":         {"schema not met, dead letter: n is missing", true, engine.Matched, ""},
		"marked":           {"schema not met: n is missing", false, engine.Matched, ""},
		"unreadable, dead": {"body not readable: b; schema not met, dead letter: a", false, engine.RuleFailed, "schema not met: a"},
		"other":            {"no key; schema not met, dead letter: a", false, engine.Matched, ""},
	} {
		l := listener(t, "")
		l.Replayed = c.replayed
		ev := came("{}")
		ev.Flag = c.flag
		if d := l.Evaluate(ev, map[string]any{}, nil, time.Time{}); d.Outcome != c.want || d.Reason != c.reason {
			t.Errorf("%s: %s, %q", name, d.Outcome, d.Reason)
		}
	}
	ruled := listener(t, "when: [event.data.n > 0, event.data.x.y > 1]\n")
	ev := came(`{"n": 1}`)
	names, err := ev.Names()
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	want := []engine.Condition{{Expr: "event.data.n > 0", Result: &yes, Values: map[string]any{"event.data.n": 1}},
		{Expr: "event.data.x.y > 1", Error: "cannot read y: event.data.x is nil; write event.data.x?.y if it may be missing " +
			"(in event.data.x.y > 1)", Values: map[string]any{"event.data.x.y": nil}}}
	if d := ruled.Evaluate(ev, names, nil, time.Time{}); !reflect.DeepEqual(d.Conditions, want) {
		t.Errorf("the conditions: %+v", d.Conditions)
	}
	l := listener(t, "")
	if d := l.Evaluate(came("{}"), nil, errors.New("no names"), time.Time{}); d.Outcome != engine.RuleFailed || d.Reason != "no names" {
		t.Errorf("an event without names: %+v", d)
	}
	l.Off = engine.Held
	if d := l.Evaluate(came("{}"), nil, nil, time.Time{}); d.Outcome != engine.Matched {
		t.Errorf("a held workflow: %+v", d)
	}
	l.Off = engine.Disabled
	if d := l.Evaluate(came("{}"), nil, nil, time.Time{}); d.Outcome != engine.Disabled || d.Reason != "the workflow is switched off" {
		t.Errorf("a workflow that is off: %+v", d)
	}
	l.Workflow.Enabled = false
	if d := l.Away(); d.Reason != "enabled: false in its file" || d.Workflow != "w" || d.Version == "" {
		t.Errorf("a workflow that is off in its file: %+v", d)
	}
	l.Off = engine.Held
	if d := l.Away(); d.Reason != "held until the workflow is switched on" || d.Outcome != engine.Held {
		t.Errorf("a held workflow: %+v", d)
	}
}

// TestLargeEventWaitsWithoutItsBody checks the size of an event in memory, and what is kept of a large one.
func TestLargeEventWaitsWithoutItsBody(t *testing.T) {
	large := strings.Repeat("x", memory.Small+1)
	for name, c := range map[string]struct {
		ev    engine.Event
		large bool
	}{
		"small":         {engine.Event{Delivery: engine.Delivery{Raw: []byte("{}")}}, false},
		"a large body":  {engine.Event{Delivery: engine.Delivery{Raw: []byte(large), Trigger: "hook", Inlet: "webhook"}}, true},
		"large inputs":  {engine.Event{Delivery: engine.Delivery{Inputs: map[string]any{"a": large}}}, true},
		"small inputs":  {engine.Event{Delivery: engine.Delivery{Inputs: map[string]any{"a": "x"}}}, false},
		"released":      {engine.Event{Absent: 1}, true},
		"with a share":  {engine.Event{Absent: 5, Share: &memory.Share{}}, true},
		"an empty body": {engine.Event{}, false},
	} {
		c.ev.ID = 7
		n := c.ev.MemorySize()
		if (n > 0) != c.large || c.ev.Absent > 0 && n != c.ev.Absent {
			t.Errorf("%s: %d bytes", name, n)
		}
		held := c.ev.WithoutBody()
		if keeps := !c.large || c.ev.Share != nil; keeps != (held == &c.ev) {
			t.Errorf("%s: %+v", name, held)
		} else if !keeps && (held.Raw != nil || held.Inputs != nil || held.Absent != n || held.ID != 7 || held.Trigger != c.ev.Trigger ||
			held.Inlet != c.ev.Inlet || held.MemorySize() != n) {
			t.Errorf("%s: %+v is kept", name, held)
		}
	}
}

// TestConflictNamesWhereADeliveryDiffers checks the comparison of a later delivery with its event.
func TestConflictNamesWhereADeliveryDiffers(t *testing.T) {
	first := func() *engine.Event { return came(`{"n": 1, "s": "a"}`) }
	for name, c := range map[string]struct {
		first    *engine.Event
		body     string
		typ      string
		delivery bool
		want     string
	}{
		"the data":       {first(), `{"n": 2, "s": "a"}`, "paid", true, "map[n:[1 2]]"},
		"the type":       {first(), `{"n": 1, "s": "a"}`, "sent", true, "map[type:[paid sent]]"},
		"nothing":        {first(), `{"n": 1, "s": "a"}`, "paid", true, "map[]"},
		"no delivery":    {first(), "", "sent", false, "map[type:[paid sent]]"},
		"stripped":       {&engine.Event{Stripped: true, Delivery: first().Delivery}, `{"n": 2}`, "paid", true, "map[]"},
		"a locked event": {&engine.Event{Locked: errors.New("x"), Delivery: first().Delivery}, `{"n": 2}`, "paid", true, "map[]"},
		"too large":      {first(), `{"n": 2, "s": "` + strings.Repeat("x", 4<<20) + `"}`, "paid", true, "map[]"},
	} {
		conflict := &engine.Conflict{Type: c.typ}
		if c.delivery {
			d := came(c.body).Delivery
			conflict.Delivery = &d
		}
		conflict.Compare(c.first)
		if got := fmt.Sprint(conflict.Differences); got != c.want {
			t.Errorf("%s: %.200s, want %s", name, got, c.want)
		}
	}
	d := came(`{}`).Delivery
	d.DataExpr = "body.x.y"
	failing := &engine.Conflict{Type: "paid", Delivery: &d}
	if failing.Compare(first()); len(failing.Differences) != 0 {
		t.Errorf("a delivery without data: %v", failing.Differences)
	}
}

// TestEventShowsWhatIsUnusual checks the marks and the outcome of events in lists.
func TestEventShowsWhatIsUnusual(t *testing.T) {
	for want, i := range map[string]engine.EventItem{
		"[] matched":      {Outcome: "matched"},
		"[test] filtered": {Test: true, Outcome: "filtered"},
		"[test by content same body as evt_1 2 conflicting schema not met] matched (1 rule failed)": {Test: true, Identity: "content",
			RepeatsBodyOf: "evt_1", Conflicts: 2, Flag: engine.InvalidFlag + ": x", Outcome: "matched", RuleFailures: 1},
		"[] rule_failed": {Outcome: "rule_failed", RuleFailures: 2},
	} {
		if got := fmt.Sprint(i.Marks(), " ", i.Shown()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for i, want := range map[engine.Identity]string{engine.Unnamed: "", engine.ByKey: "key", engine.ByProvider: "provider",
		engine.ByHeader: "header", engine.ByContent: "content", -1: "", 5: ""} {
		if i.String() != want {
			t.Errorf("identity %d: %q", int(i), i.String())
		}
	}
}

// TestProofIsDescribed checks what is said about how a delivery was verified.
func TestProofIsDescribed(t *testing.T) {
	for want, p := range map[string]struct {
		proof engine.Proof
		inlet engine.Inlet
	}{
		"sender and body, by a signature":                                        {engine.ProofOf(engine.BySignature, ""), "webhook"},
		"sender and body, by a signature with KEY":                               {engine.ProofOf(engine.BySignature, "KEY"), "webhook"},
		"the sender only, by a token with KEY; the body is not signed":           {engine.ProofOf(engine.ByToken, "KEY"), "webhook"},
		"the sender, by a signature with KEY that does not cover the whole body": {engine.ProofOf(engine.BySender, "KEY"), "webhook"},
		"the sender only, by its TLS client certificate":                         {engine.ByCertificate, "webhook"},
		"nothing: the trigger has auth: none, so anyone can send this":           {engine.NoProof, "webhook"},
		"not recorded": {"", "webhook"},
		"not needed: it arrived by schedule, not from outside": {"", "schedule"},
	} {
		if got := p.proof.Words(p.inlet); got != want {
			t.Errorf("%q: %s, want %s", p.proof, got, want)
		}
	}
}

// TestIDsAreReadAsTheyAreWritten checks ids of events, runs, batches and cursors, and what is none.
func TestIDsAreReadAsTheyAreWritten(t *testing.T) {
	for _, n := range []int64{0, 1, 0x123456789abcdef, math.MaxInt64} {
		e, err := engine.ParseEventID(engine.EventID(n).String())
		r, err2 := engine.ParseRunID(engine.RunID(n).String())
		b, err3 := engine.ParseBatchID(engine.BatchID(n).String())
		c, err4 := engine.ParseCursor(engine.Cursor(n).String())
		if err := errors.Join(err, err2, err3, err4); err != nil || int64(e) != n || int64(r) != n || int64(b) != n || int64(c) != n {
			t.Errorf("%x: %v %v %v %v, %v", n, e, r, b, c, err)
		}
	}
	if s := engine.BatchID(0x1f).String(); s != "bat_000000000000001f" {
		t.Error(s)
	}
	for _, s := range []string{"", "evt_", "0000000000000001", "run_0000000000000001", "evt_000000000000001", "evt_00000000000000001",
		"evt_000000000000000g", "evt_-000000000000001", "evt_+000000000000001", "evt_8000000000000000", "evt_ffffffffffffffff",
		"EVT_0000000000000001"} {
		expected := "expected evt_ and 16 hex digits"
		if strings.HasPrefix(s, "evt_8") || strings.HasPrefix(s, "evt_f") {
			expected = "the first of its 16 digits is at most 7"
		}
		if id, err := engine.ParseEventID(s); err == nil || id != 0 ||
			err.Error() != fmt.Sprintf("%q is not an ID (%s)", s, expected) {
			t.Errorf("%q: %v, %v", s, id, err)
		}
		if c, err := engine.ParseCursor(s); err == nil || c != 0 || !strings.HasPrefix(err.Error(), "reading a cursor: ") {
			t.Errorf("the cursor %q: %v, %v", s, c, err)
		}
	}
	events, runs := engine.ChangedIDs([]engine.FeedChange{{Event: 1}, {Run: 2}, {Event: 3, Run: 4}})
	if !slices.Equal(events, []engine.EventID{1, 3}) || !slices.Equal(runs, []engine.RunID{2}) {
		t.Errorf("changes: %v, %v", events, runs)
	}
}

// TestErrorOfRowsIsToldFromOneOfTheStore checks which errors would occur again with the same rows only.
func TestErrorOfRowsIsToldFromOneOfTheStore(t *testing.T) {
	for _, err := range []error{nil, engine.ErrStale, engine.ErrNotFound, engine.ErrPending, engine.ErrDisk, engine.ErrClosed,
		engine.ErrUnknown, engine.ErrFull, engine.ErrBusy, engine.ErrRules, context.Canceled, context.DeadlineExceeded, &engine.HasEnded{Run: 1},
		fmt.Errorf("wrapped: %w", engine.ErrDisk)} {
		if engine.RowsFault(err) {
			t.Errorf("%v concerns the rows", err)
		}
	}
	cause := errors.New("too long")
	err := &engine.UnstorableError{Workflow: "w", Err: cause}
	if !engine.RowsFault(err) || !errors.Is(err, cause) || err.Error() != "too long" {
		t.Errorf("%v does not concern the rows", err)
	}
	d := engine.Unrecorded("w", "v", cause)
	if d.Workflow != "w" || d.Version != "v" || d.Outcome != engine.RuleFailed || d.Reason != "the decision cannot be recorded: too long" {
		t.Errorf("%+v", d)
	}
}
