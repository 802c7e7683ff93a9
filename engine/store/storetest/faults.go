package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testsize"
	"github.com/hookloom/hookloom/workflows"
)

var errCrash = errors.New("the power is gone")

// write is one call of the contract that changes data.
type write struct {
	name string
	do   func(ctx context.Context, s Opened) error
}

// faults executes a script of writes repeatedly, each time with a different failing commit. A
// failed write changes nothing, and has the same result when it is repeated: in the same process
// after ErrBusy, and after a crash in the next one.
func faults(t *testing.T, fresh func(t testing.TB) Open) {
	want := outcome(t, fresh(t))
	t.Run("a write that fails changes nothing and can be repeated", func(t *testing.T) {
		t.Parallel()
		eachFault(t, fresh, false, want)
	})
	t.Run("a crash at any write loses nothing that was answered", func(t *testing.T) {
		t.Parallel()
		eachFault(t, fresh, true, want)
	})
}

// eachFault executes the script once for each of its commits, which fails. The environment may ask for
// every n-th commit only.
func eachFault(t *testing.T, fresh func(t testing.TB) Open, crash bool, want []string) {
	step := testsize.Of(t, "HOOKLOOM_FAULTSTEP", 1)
	for n, more := 1, true; more; n += step {
		t.Run(fmt.Sprint("commit ", n), func(t *testing.T) { more = faulty(t, fresh(t), n, crash, want) })
	}
}

// outcome lists the content of the database after each write of the script, without faults. The
// first entry is the empty database.
func outcome(t *testing.T, open Open) []string {
	t.Helper()
	s, err := open(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{held(t, s)}
	for _, w := range script() {
		if err := w.do(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		if want = append(want, held(t, s)); want[len(want)-1] == want[len(want)-2] {
			t.Errorf("%s changes nothing that can be seen: its fault proves nothing", w.name)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return want
}

// faulty executes the script with a fault at the n-th commit. It reports whether there was one.
func faulty(t *testing.T, open Open, n int, crash bool, want []string) bool {
	t.Helper()
	failed := false
	s, err := open(func(i int) error {
		switch {
		case crash && i >= n:
			failed = true
			return errCrash
		case i == n:
			failed = true
			return engine.ErrBusy
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range script() {
		err := w.do(t.Context(), s)
		if err == nil {
			continue
		}
		if !crash && !errors.Is(err, engine.ErrBusy) {
			t.Errorf("commit %d, %s: %v", n, w.name, err)
		}
		if crash {
			_ = s.Close() // it may fail too: the power is off
			if s, err = open(nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := held(t, s); got != want[i] {
			t.Errorf("commit %d, %s has failed and left something: %s", n, w.name, firstDifference(got, want[i]))
		}
		if err := w.do(t.Context(), s); err != nil {
			t.Errorf("commit %d, %s, repeated: %v", n, w.name, err)
		}
	}
	if got := held(t, s); got != want[len(want)-1] {
		t.Errorf("after a fault at commit %d: %s", n, firstDifference(got, want[len(want)-1]))
	}
	holds(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return failed
}

// firstDifference returns the first lines in which two texts differ.
func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("line %d: %q, want %q", i+1, a[i], strings.Join(b[min(i, len(b)):min(i+1, len(b))], ""))
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}

// held is the content of a database as text.
func held(t testing.TB, s Opened) string {
	t.Helper()
	ctx := t.Context()
	all := map[string]any{}
	add := func(name string, v any, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = v
	}
	events, err := s.History.EventPage(ctx, engine.Query{Limit: 1000})
	add("events", events.Items, err)
	for _, e := range events.Items {
		id, err := engine.ParseEventID(e.ID)
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.History.EventDetail(ctx, id)
		add(e.ID, d, err)
	}
	runs, err := s.History.RunPage(ctx, engine.Query{Limit: 1000})
	add("runs", runs.Items, err)
	for _, r := range runs.Items {
		id, err := engine.ParseRunID(r.ID)
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.History.RunDetail(ctx, id)
		add(r.ID, d, err)
	}
	add("inbox", undecided(t, s), nil)
	add("due", due(t, s, at.AddDate(1, 0, 0)), nil)
	for name, list := range map[string]func(context.Context) (any, error){
		"awaited":      func(ctx context.Context) (any, error) { return s.Awaited(ctx) },
		"switches":     func(ctx context.Context) (any, error) { return s.Switches(ctx) },
		"end calls":    func(ctx context.Context) (any, error) { return s.EndCalls(ctx) },
		"cancelled by": func(ctx context.Context) (any, error) { return s.CancelledBy(ctx) },
		"batches":      func(ctx context.Context) (any, error) { return s.Batches(ctx, "") },
		"alerts":       func(ctx context.Context) (any, error) { return s.OpenAlerts(ctx) },
		"inlet":        func(ctx context.Context) (any, error) { return s.InletState(ctx, "shop", "poll") },
		"values":       func(ctx context.Context) (any, error) { return s.History.Values(ctx, engine.ValueQuery{Now: at}) },
		"refused":      func(ctx context.Context) (any, error) { return s.History.Quarantine(ctx, engine.Query{}) },
		"parked":       func(ctx context.Context) (any, error) { return s.Parked(ctx) },
		"paused":       func(ctx context.Context) (any, error) { return s.Paused(ctx) },
		"audit":        func(ctx context.Context) (any, error) { return s.History.AuditPage(ctx, engine.Query{}) },
		"sessions":     func(ctx context.Context) (any, error) { return s.EndedSessions(ctx) },
		"secrets":      func(ctx context.Context) (any, error) { return s.History.SecretUses(ctx) },
		"uses":         func(ctx context.Context) (any, error) { return s.AllUses(ctx) },
		"version":      func(ctx context.Context) (any, error) { return found(s.Version(ctx, "saved1")) },
		"file":         func(ctx context.Context) (any, error) { return found(s.Version(ctx, "file1")) },
	} {
		v, err := list(ctx)
		add(name, v, err)
	}
	b, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text := spans.ReplaceAllString(string(b), `"${1}": 0`)
	return numbered.ReplaceAllString(text, `"id": $1`)
}

// numbered are ids that the database counts: a transaction that fails may leave a gap.
var numbered = regexp.MustCompile(`"id": ("ref_|"cfl_|)\d+`)

// spans are the durations of open steps: they grow while the test runs.
var spans = regexp.MustCompile(`"((?:waited|worked)_ms)": \d+`)

// script is a sequence of the contract's writes.
func script() []write {
	return slices.Concat(intakeScript(), runScript(), versionScript(), controlScript(), upkeepScript())
}

func intakeScript() []write {
	return []write{
		{"Accept", func(ctx context.Context, s Opened) error {
			_, err := s.Accept(ctx, event(1), delivery("hook", "k1"))
			return err
		}},
		{"Accept of a duplicate with another body", func(ctx context.Context, s Opened) error {
			d := delivery("hook", "k1")
			d.Raw = []byte(`{"a":2}`)
			_, err := s.Accept(ctx, event(2), d)
			return err
		}},
		{"AcceptAll", func(ctx context.Context, s Opened) error {
			_, err := s.AcceptAll(ctx, []engine.EventID{event(3), event(4)}, []*engine.Delivery{delivery("hook", "k3"), delivery("hook", "k4")})
			return err
		}},
		{"Match", func(ctx context.Context, s Opened) error {
			u := start(run(1), event(1))
			u.Cancels, u.Cancelable = []engine.CancelKey{{Trigger: "pay", Rule: "r", Key: "o"}}, true
			_, err := s.Match(ctx, []engine.Match{matched(event(1), u)})
			return err
		}},
		{"AcceptDecided", func(ctx context.Context, s Opened) error {
			_, _, err := s.AcceptDecided(ctx, event(5), delivery("hook", "k5"), matched(event(5), start(run(5), event(5))))
			return err
		}},
		{"Match of two runs of a group", func(ctx context.Context, s Opened) error {
			var ms []engine.Match
			for _, n := range []int64{3, 4} {
				u := start(run(n), event(n))
				u.Run.Status, u.Run.StartedAt, u.Records, u.Slot = engine.Queued, time.Time{}, nil, slot(1)
				ms = append(ms, matched(event(n), u))
			}
			_, err := s.Match(ctx, ms)
			return err
		}},
		{"AcceptDecided of an event that gathers", func(ctx context.Context, s Opened) error {
			u := start(run(6), event(6))
			u.Run.Status, u.Run.StartedAt, u.Records = engine.Queued, time.Time{}, nil
			u.Gather = &engine.Gathering{Kind: workflows.Batch, Key: "k", Wait: time.Minute, Size: 2, Bytes: 1}
			_, _, err := s.AcceptDecided(ctx, event(6), delivery("hook", "k6"), matched(event(6), u))
			return err
		}},
		{"Poll", func(ctx context.Context, s Opened) error {
			_, err := s.Poll(ctx, []engine.EventID{event(7)}, &engine.PollBatch{Trigger: "shop", Inlet: "poll",
				Items: []*engine.Delivery{item("1")}, State: engine.InletState{Cursor: []byte(`"c"`), AskedAt: at}})
			return err
		}},
		{"Refuse", func(ctx context.Context, s Opened) error {
			return s.Refuse(ctx, engine.Refusal{At: at, Trigger: "hook", Reason: "signature", Body: []byte("x"), Size: 1})
		}},
	}
}

func runScript() []write {
	one := func() *engine.Run { return start(run(1), event(1)).Run }
	return []write{
		{"CommitRun that waits for an event, an answer and a called run", func(ctx context.Context, s Opened) error {
			called := &engine.Event{ID: event(20), Delivery: *delivery("other", event(20).String())}
			called.Inlet, called.Only = "call", "other"
			u := engine.RunUpdate{Run: one(), Awaits: []engine.EventWait{awaits("b"), {Key: event(20).String()}}, Emits: []*engine.Event{called}}
			u.Run.Status = engine.Waiting
			for i, w := range []plan.Wait{forEvent("b"), {Kind: plan.WaitApproval, Approval: "?"},
				{Kind: plan.WaitCall, Event: event(20).String(), Workflow: "other"}} {
				r := attempt(string(rune('a'+i)), plan.Waiting)
				r.Waits = []plan.Wait{w}
				u.Records = append(u.Records, r)
			}
			_, err := s.CommitRun(ctx, u)
			return err
		}},
		{"Answer", func(ctx context.Context, s Opened) error {
			return s.Answer(ctx, engine.Answer{Run: run(1), Path: "b", By: "ada", At: at,
				Answer: plan.Answer{Attempt: 1, Verdict: "approve", At: at}})
		}},
		{"Take", func(ctx context.Context, s Opened) error {
			return s.Take(ctx, run(1))
		}},
		{"CommitRun after the answer", func(ctx context.Context, s Opened) error {
			done := attempt("b", plan.Succeeded)
			done.Waited = true
			u := engine.RunUpdate{Run: one(), Answers: 1, Awaits: []engine.EventWait{awaits("b")}, Records: []*plan.Record{done}}
			u.Run.Status = engine.Waiting
			_, err := s.CommitRun(ctx, u)
			return err
		}},
		{"AcceptDecided of the event that the run waits for, which ends the run of a key", func(ctx context.Context, s Opened) error {
			w := awaits("b")
			_, _, err := s.AcceptDecided(ctx, event(21), delivery("back", "b"), engine.Match{Event: event(21), At: at, Wakes: &w,
				Cancels: []engine.CancelKey{{Trigger: "pay", Rule: "r", Key: "o"}}})
			return err
		}},
		{"Cancel", func(ctx context.Context, s Opened) error {
			r := one()
			r.Status, r.FinishedAt, r.Error = engine.Cancelled, at, &plan.Error{Message: "ended", Code: "cancelled"}
			_, _, _, err := s.Cancel(ctx, r, nil)
			return err
		}},
		{"EndedCall", func(ctx context.Context, s Opened) error { return s.EndedCall(ctx, event(20)) }},
		{"CommitRun that fails", func(ctx context.Context, s Opened) error {
			r := attempt("a", plan.Failed)
			r.Error = &plan.Error{Message: "no", Code: "x"}
			u := engine.RunUpdate{Run: start(run(5), event(5)).Run, Answers: -1, Records: []*plan.Record{r}}
			u.Run.Status, u.Run.FinishedAt, u.Run.Error = engine.Failed, at, r.Error
			_, err := s.CommitRun(ctx, u)
			return err
		}},
		{"Emit", func(ctx context.Context, s Opened) error {
			_, _, err := s.Emit(ctx, event(22), delivery("out", "o"), engine.Emission{Trigger: "out", Op: "op", Run: run(5), Path: "a"})
			return err
		}},
		{"ChangeValue", func(ctx context.Context, s Opened) error {
			_, err := s.ChangeValue(ctx, engine.ValueChange{ValueRef: engine.ValueRef{Workflow: "w", Key: "n"}, Op: "op", Run: run(5),
				Kind: engine.ValueIncrement, Add: 1, Now: at, MaxKeys: 9, MaxBytes: 999})
			return err
		}},
	}
}

func controlScript() []write {
	return []write{
		{"Replay", func(ctx context.Context, s Opened) error {
			_, _, err := s.Replay(ctx, engine.Replay{New: run(30), Of: run(5), From: "failed", Version: "v", At: at, By: "ada"})
			return err
		}},
		{"Cancel of the run with the slot", func(ctx context.Context, s Opened) error {
			r := start(run(3), event(3)).Run
			r.Status, r.FinishedAt, r.StartedAt = engine.Cancelled, at, time.Time{}
			_, _, _, err := s.Cancel(ctx, r, nil)
			return err
		}},
		{"CloseGathering", func(ctx context.Context, s Opened) error {
			_, err := s.CloseGathering(ctx, engine.Closing{Run: run(6), Event: event(6), At: at.Add(time.Minute)})
			return err
		}},
		{"SetSwitch", func(ctx context.Context, s Opened) error {
			return s.SetSwitch(ctx, engine.Switch{Workflow: "w", By: "ada", At: at}, false)
		}},
		{"Park", func(ctx context.Context, s Opened) error { return s.Park(ctx, run(4)) }},
		{"Unpark", func(ctx context.Context, s Opened) error {
			_, err := s.Unpark(ctx, []string{"w"}, at)
			return err
		}},
		{"AddBatch", func(ctx context.Context, s Opened) error {
			return s.AddBatch(ctx, &engine.Batch{ID: engine.BatchID(event(40)).String(), At: at, State: engine.BatchRunning, Rate: 1,
				End: event(99)})
		}},
		{"Redecide with a step of the batch", func(ctx context.Context, s Opened) error {
			u := start(run(40), event(21))
			u.Run.Status, u.Run.StartedAt, u.Run.DueAt, u.Records = engine.Queued, time.Time{}, at, nil
			_, err := s.Redecide(ctx, []engine.Redecision{{Event: event(21), At: at, Start: &u, By: "ada",
				Decision: engine.Decision{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: run(40)}}},
				&engine.BatchStep{ID: engine.BatchID(event(40)), Cursor: event(21), Looked: 1, Done: true, At: at})
			return err
		}},
		{"SaveAlert", func(ctx context.Context, s Opened) error {
			return s.SaveAlert(ctx, engine.OpenAlert{Kind: "k", Subject: "s", Message: "m", OpenedAt: at})
		}},
		{"Recover", func(ctx context.Context, s Opened) error {
			_, err := s.Recover(ctx, at.Add(time.Second))
			return err
		}},
	}
}

// Fill executes the script of writes.
func Fill(t testing.TB, s Opened) {
	t.Helper()
	for _, w := range script() {
		if err := w.do(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
	}
}

// Content returns the content of a database as text.
func Content(t testing.TB, s Opened) string {
	t.Helper()
	return held(t, s)
}
