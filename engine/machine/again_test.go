package machine_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// accept stores one event and waits until it is decided.
func accept(t *testing.T, e *machine.Engine, s database, key, body string) engine.EventID {
	t.Helper()
	r, err := e.Accept(context.Background(), delivery(key, body))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, key+" is decided", func() bool {
		d, err := s.Decided(context.Background(), r.Event)
		return err == nil && !d.Pending
	})
	return r.Event
}

func ofEvent(t *testing.T, s database, id engine.EventID) *engine.EventDetail {
	t.Helper()
	d, err := s.History.EventDetail(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func use(t *testing.T, w *world, e *machine.Engine, flows map[string]string) {
	t.Helper()
	w.project = project(t, flows)
	if err := e.Use(context.Background(), w.project); err != nil {
		t.Fatal(err)
	}
}

// onBothPaths tries a test on the short way of events and on the way by the inbox.
func onBothPaths(t *testing.T, flows map[string]string, try func(t *testing.T, w *world)) {
	for name, way := range map[string]func(engine.Store) engine.Store{"short way": nil, "by the inbox": viaInbox} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, flows)
			w.store = way
			try(t, w)
		})
	}
}

const acts = "steps: [{id: a, uses: test/act, with: {n: \"${{ event.key }}\"}}]"

// TestFixedRuleRunsForAnOldEvent: the event is decided again by that workflow
// alone, the earlier decision is kept, and asking again gives the run that was made.
func TestFixedRuleRunsForAnOldEvent(t *testing.T) {
	other := "on: hook\n" + acts
	onBothPaths(t, map[string]string{"w": "on: hook\nwhen: event.data.a.b == 1\n" + acts, "other": other}, func(t *testing.T, w *world) {
		var log strings.Builder
		var mu sync.Mutex
		w.options.Log = slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))
		e, s, stop := w.start(nil)
		defer func() { mustStop(t, stop) }()
		ctx := context.Background()
		id := accept(t, e, s, "k", `{"a": null}`)
		settled(t, s, 1)
		dead, err := s.History.DeadLetters(ctx, engine.Query{})
		if err != nil || len(dead.Items) != 1 || dead.Items[0].Kind != "rule_failed" || dead.Items[0].Event != id.String() ||
			dead.Items[0].Workflow != "w" {
			t.Errorf("dead letters: %+v %v", dead.Items, err)
		}
		eventually(t, "the log says it", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "event="+id.String()+" workflow=w") &&
				strings.Contains(log.String(), "kind=rule_failed")
		})
		use(t, w, e, map[string]string{"w": "on: hook\nwhen: event.data.a == nil\n" + acts, "other": other})
		first, err := e.DecideAgain(ctx, id, "w", false, "ada")
		if err != nil || first.Outcome != "matched" || first.Run == "" || len(first.Rule) != 1 || first.AlreadyReplayed {
			t.Fatalf("%+v %v", first, err)
		}
		runs := settled(t, s, 2)
		again, err := e.DecideAgain(ctx, id, "w", false, "bob")
		if err != nil || again.Run != first.Run || !again.AlreadyReplayed || len(runs) != 2 || w.target.calls() != 2 {
			t.Errorf("%+v %v, %d runs, %d calls", again, err, len(runs), w.target.calls())
		}
		d := ofEvent(t, s, id)
		if len(d.Earlier) != 1 || d.Earlier[0].Outcome != "rule_failed" || d.Outcome != "matched" || d.RuleFailures != 0 {
			t.Errorf("%+v, earlier %+v", d.EventItem, d.Earlier)
		}
		if dead, err := s.History.DeadLetters(ctx, engine.Query{}); err != nil || len(dead.Items) != 0 {
			t.Errorf("still dead: %+v %v", dead.Items, err)
		}
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func mustStop(t *testing.T, stop func() error) {
	t.Helper()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestEventFromBeforeItsWorkflowCanBeRun: no workflow listened, so that there is no
// decision at all.
func TestEventFromBeforeItsWorkflowCanBeRun(t *testing.T) {
	w := newWorld(t, map[string]string{"x": "on: back\n" + acts})
	e, s, stop := w.start(nil)
	defer func() { mustStop(t, stop) }()
	ctx := context.Background()
	id := accept(t, e, s, "k", `{}`)
	if list, err := s.History.Events(ctx, engine.Query{Status: "unmatched"}); err != nil || len(list) != 1 {
		t.Errorf("unmatched: %+v %v", list, err)
	}
	use(t, w, e, map[string]string{"w": "on: hook\n" + acts})
	if names, err := e.Undecided(ctx, id); err != nil || !slices.Equal(names, []string{"w"}) {
		t.Errorf("%v %v", names, err)
	}
	if a, err := e.DecideAgain(ctx, id, "w", false, "ada"); err != nil || a.Run == "" {
		t.Fatalf("%+v %v", a, err)
	}
	settled(t, s, 1)
	if names, err := e.Undecided(ctx, id); err != nil || len(names) != 0 {
		t.Errorf("%v %v", names, err)
	}
	if _, err := e.DecideAgain(ctx, id, "none", false, "ada"); err == nil {
		t.Error("a workflow that is not there decides")
	}
	if list, err := s.History.Events(ctx, engine.Query{Status: "unmatched"}); err != nil || len(list) != 0 {
		t.Errorf("unmatched: %+v %v", list, err)
	}
	if _, err := s.History.Events(ctx, engine.Query{Status: "bogus"}); err == nil {
		t.Error("a status that there is not is no error")
	}
}

// TestARunIsReplayedOnce: a second click, and a second person, get the run that was made.
func TestARunIsReplayedOnce(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\n" + acts})
	w.target.do = func(_ engine.Input, nth int) (any, error) { return nil, &plan.Error{Message: "no", Code: "refused"} }
	e, s, stop := w.start(nil)
	defer func() { mustStop(t, stop) }()
	accept(t, e, s, "k", `{}`)
	of := parseRun(t, settled(t, s, 1)[0].ID)
	var made [8]engine.Replayed
	var wg sync.WaitGroup
	for i := range made {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var err error
			if made[i], err = e.ReplayRun(context.Background(), of, engine.ReplayOrder{From: "start", Version: "pinned",
				By: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	fresh := 0
	for _, m := range made {
		if m.Run != made[0].Run {
			t.Errorf("%v and %v", m.Run, made[0].Run)
		}
		if !m.Already {
			fresh++
		}
	}
	if runs := settled(t, s, 2); len(runs) != 2 || fresh != 1 {
		t.Errorf("%d runs, %d of the orders made one", len(runs), fresh)
	}
	if m, err := e.ReplayRun(context.Background(), of, engine.ReplayOrder{From: "start", Version: "pinned", Again: true}); err != nil ||
		m.Already || m.Run == made[0].Run {
		t.Errorf("again: %+v %v", m, err)
	}
	settled(t, s, 3)
}

// TestSwitchedOffWorkflowRecordsMissedEvents: each event is recorded, and a batch runs it.
func TestSwitchedOffWorkflowRecordsMissedEvents(t *testing.T) {
	onBothPaths(t, map[string]string{"w": "on: hook\nwhen: event.data.ok\n" + acts}, func(t *testing.T, w *world) {
		e, s, stop := w.start(nil)
		defer func() { mustStop(t, stop) }()
		ctx := context.Background()
		before := time.Now().Add(-time.Second)
		if err := e.SetEnabled(ctx, "w", false, "ada"); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			id := accept(t, e, s, fmt.Sprint(i), fmt.Sprintf(`{"ok": %v}`, i%2 == 0))
			if d := ofEvent(t, s, id); len(d.Decisions) != 1 || d.Decisions[0].Outcome != "disabled" {
				t.Errorf("%+v", d.Decisions)
			}
		}
		if _, err := e.StartBatch(ctx, engine.Selection{Workflow: "w", Since: before}, 0, "ada"); err == nil ||
			!strings.Contains(err.Error(), "hookloom enable w") {
			t.Errorf("a batch of a workflow that is off: %v", err)
		}
		x, err := e.Switch(ctx, engine.SwitchOrder{Workflow: "w", On: true, By: "ada"})
		if err != nil || x.Missed != 5 || x.Since == nil {
			t.Fatalf("%+v %v", x, err)
		}
		sel := engine.Selection{Workflow: "w", Statuses: []string{"disabled"}, Since: *x.Since}
		time.Sleep(2 * time.Millisecond) // a selection ends before the millisecond in which it is made
		f, err := (&dryrun.Forecaster{Events: e, Project: func() *workflows.Project { return w.project }, Secret: noSecret,
			Redact: strings.Clone}).Forecast(ctx, sel)
		if err != nil || f.Runs != 3 || len(f.Workflows) != 1 || f.Workflows[0].NotMatched != 2 || len(f.Workflows[0].Calls) != 1 ||
			f.Workflows[0].Calls[0].Action != "test/act" || w.target.calls() != 0 {
			t.Errorf("%+v %v", f, err)
		}
		for range 2 { // the second finds nothing more to run
			if b := batched(t, e, sel, 1000); b.Failed != 0 {
				t.Errorf("%+v", b)
			}
			if runs := settled(t, s, 3); len(runs) != 3 {
				t.Errorf("%d runs", len(runs))
			}
		}
		if x, err := s.Missed(ctx, "w"); err != nil || x.Missed != 0 {
			t.Errorf("still missed: %+v %v", x, err)
		}
	})
}

// batched carries a batch out.
func batched(t *testing.T, e *machine.Engine, sel engine.Selection, rate int) *engine.Batch {
	t.Helper()
	b, err := e.StartBatch(context.Background(), sel, rate, "ada")
	if err != nil {
		t.Fatal(err)
	}
	return finished(t, e, b.ID)
}

func finished(t *testing.T, e *machine.Engine, text string) *engine.Batch {
	t.Helper()
	id, err := engine.ParseBatchID(text)
	if err != nil {
		t.Fatal(err)
	}
	var b *engine.Batch
	eventually(t, "the batch is done", func() bool {
		if b, err = e.Batch(context.Background(), id); err != nil {
			t.Fatal(err)
		}
		return b.State == engine.BatchDone
	})
	return b
}

// TestHeldEventsRunInOrderAcrossRestarts: what comes while a workflow is held, and while
// what was held is being decided, runs in the order in which it came, each once.
func TestHeldEventsRunInOrderAcrossRestarts(t *testing.T) {
	onBothPaths(t, map[string]string{"w": "on: hook\nconcurrency: 1\n" + acts}, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var order []string
		w.target.do = func(in engine.Input, _ int) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, fmt.Sprint(in.With["n"]))
			return nil, nil
		}
		e, s, stop := w.start(nil)
		ctx := context.Background()
		if _, err := e.Switch(ctx, engine.SwitchOrder{Workflow: "w", Hold: true, By: "ada"}); err != nil {
			t.Fatal(err)
		}
		var want []string
		add := func(e *machine.Engine, n int) {
			for range n {
				key := fmt.Sprintf("k%03d", len(want))
				want = append(want, key)
				if _, err := e.Accept(ctx, delivery(key, `{}`)); err != nil {
					t.Fatal(err)
				}
			}
		}
		add(e, 70)
		mustStop(t, stop)
		e, s, stop = w.start(nil)
		add(e, 70)
		eventually(t, "all are held", func() bool { x, err := s.Missed(ctx, "w"); return err == nil && x.Held == 140 })
		if w.target.calls() != 0 {
			t.Errorf("%d calls while it is held", w.target.calls())
		}
		x, err := e.Switch(ctx, engine.SwitchOrder{Workflow: "w", On: true, By: "ada"})
		if err != nil || x.Held != 140 {
			t.Fatalf("%+v %v", x, err)
		}
		add(e, 20)
		mustStop(t, stop) // while it is under way
		e, s, stop = w.start(nil)
		add(e, 20)
		if runs := settled(t, s, 180); len(runs) != 180 {
			t.Errorf("%d runs", len(runs))
		}
		eventually(t, "it is on", func() bool { return len(e.SwitchedOff()) == 0 })
		mustStop(t, stop)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(order, want) {
			t.Errorf("ran in the order %v", order)
		}
	})
}

// TestRepeatedHoldLosesNothing switches a workflow on and off again while what
// was held is being decided.
func TestRepeatedHoldLosesNothing(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\n" + acts})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	order := func(on bool) {
		if _, err := e.Switch(ctx, engine.SwitchOrder{Workflow: "w", On: on, Hold: !on, By: "ada"}); err != nil {
			t.Fatal(err)
		}
	}
	order(false)
	const events = 400
	for i := range events {
		if _, err := e.Accept(ctx, delivery(fmt.Sprintf("k%03d", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are held", func() bool { x, err := s.Missed(ctx, "w"); return err == nil && x.Held == events })
	for left := events; left > 0; {
		order(true)
		order(false)
		x, err := s.Missed(ctx, "w")
		if err != nil {
			t.Fatal(err)
		}
		if x.Held == left { // it had not begun
			order(true)
			eventually(t, "some are decided", func() bool { x, err = s.Missed(ctx, "w"); return err == nil && x.Held < left })
			order(false)
		}
		left = x.Held
	}
	order(true)
	eventually(t, "it is on", func() bool { return len(e.SwitchedOff()) == 0 })
	if runs := settled(t, s, events); len(runs) != events {
		t.Errorf("%d runs of %d events", len(runs), events)
	}
	mustStop(t, stop)
}

// TestQueuedRunsOfADisabledWorkflowWait: those that have begun go on, the others begin
// when it is enabled, also after a restart.
func TestQueuedRunsOfADisabledWorkflowWait(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nconcurrency: 1\n" + acts})
	open := make(chan struct{})
	w.target.do = func(engine.Input, int) (any, error) { <-open; return nil, nil }
	e, s, stop := w.start(nil)
	ctx := context.Background()
	for i := range 4 {
		accept(t, e, s, fmt.Sprint(i), `{}`)
	}
	eventually(t, "the first is at work", func() bool { return w.target.calls() == 1 })
	if err := e.SetEnabled(ctx, "w", false, "ada"); err != nil {
		t.Fatal(err)
	}
	close(open)
	held := func(s database) int {
		n := 0
		runs, err := s.History.Runs(ctx, engine.Query{Status: "queued"})
		for _, r := range runs {
			d, derr := s.History.RunDetail(ctx, parseRun(t, r.ID))
			if derr == nil && d.Held && strings.Contains(d.GoesOn(time.UTC), "hookloom enable w") {
				n++
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "the next one in line is held", func() bool { return held(s) == 1 })
	mustStop(t, stop)
	e, s, stop = w.start(nil)
	eventually(t, "it is held after the restart", func() bool { return held(s) == 1 })
	if w.target.calls() != 1 {
		t.Errorf("%d calls", w.target.calls())
	}
	if err := e.SetEnabled(ctx, "w", true, "ada"); err != nil {
		t.Fatal(err)
	}
	for _, r := range settled(t, s, 4) {
		if r.Status != "succeeded" {
			t.Errorf("%+v", r)
		}
	}
	mustStop(t, stop)
}
