package machine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
)

// longWay is a store that cannot store events with what was decided about them, so
// that all go by the inbox.
type longWay struct{ engine.Store }

func (longWay) AcceptDecided(context.Context, engine.EventID, *engine.Delivery, engine.Match) (engine.Receipt, engine.MatchResult, error) {
	return engine.Receipt{}, engine.MatchResult{}, engine.ErrBusy
}

func viaInbox(s engine.Store) engine.Store { return longWay{s} }

// ways counts which way events go.
type ways struct {
	engine.Store
	short, long atomic.Int64
}

func (w *ways) AcceptDecided(ctx context.Context, id engine.EventID, d *engine.Delivery, m engine.Match) (engine.Receipt,
	engine.MatchResult, error) {
	w.short.Add(1)
	return w.Store.AcceptDecided(ctx, id, d, m)
}

func (w *ways) Accept(ctx context.Context, id engine.EventID, d *engine.Delivery) (engine.Receipt, error) {
	w.long.Add(1)
	return w.Store.Accept(ctx, id, d)
}

// warm starts a world whose first event has been through, so that nothing is behind,
// and counts the ways from then on.
func (w *world) warm(t *testing.T) (e *machine.Engine, s database, count *ways, stop func()) {
	t.Helper()
	count = &ways{}
	w.store = func(s engine.Store) engine.Store { count.Store = s; return count }
	e, s, end := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("warm", `{"host": "warm"}`)); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 1)
	count.short.Store(0)
	count.long.Store(0)
	return e, s, count, func() {
		t.Helper()
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
}

// onFastPath receives the event "warm" again until it takes the fast path, and counts from then on:
// after the first event, the inbox may not yet have been seen to be empty.
func onFastPath(t *testing.T, e *machine.Engine, count *ways) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); count.short.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no event takes the fast path")
		}
		if _, err := e.Accept(context.Background(), delivery("warm", `{"host": "warm"}`)); err != nil {
			t.Fatal(err)
		}
	}
	count.short.Store(0)
	count.long.Store(0)
}

// TestAcknowledgedEventAlreadyHasItsRun: event, decision, run and first attempt are
// one transaction; nothing of it waits to be decided when the sender is answered.
func TestAcknowledgedEventAlreadyHasItsRun(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{id: a, uses: test/act}]", "no": "on: hook\nwhen: false\nsteps: [{stop: x}]"})
	e, s, count, stop := w.warm(t)
	onFastPath(t, e, count)
	r, err := e.Accept(context.Background(), delivery("x", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.History.EventDetail(context.Background(), r.Event)
	if err != nil || len(d.Decisions) != 2 || len(d.RunItems) != 1 {
		t.Errorf("%+v %v", d, err)
	}
	if count.short.Load() != 1 || count.long.Load() != 0 {
		t.Errorf("%d went the short way, %d the long", count.short.Load(), count.long.Load())
	}
	settled(t, s, 2)
	stop()
}

// TestDuplicatesHoldNoSlotsOrPermits: a duplicate is decided before it is known to be one, but
// no slot, no permit of its destination and no place in its queue stays with it.
func TestDuplicatesHoldNoSlotsOrPermits(t *testing.T) {
	w := newWorld(t, map[string]string{"w": toHost})
	w.options = machine.Options{MaxRuns: 16} // two attempts at once at a host that has not answered yet
	w.act = hosts{w.target}
	e, s, count, stop := w.warm(t)
	onFastPath(t, e, count)
	for range 200 {
		if _, err := e.Accept(context.Background(), delivery("hangs", `{"host": "hangs.example"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if count.short.Load() != 200 {
		t.Fatalf("only %d went the short way", count.short.Load())
	}
	second, err := e.Accept(context.Background(), delivery("second", `{"host": "hangs.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	runs, err := s.History.Runs(context.Background(), engine.Query{Limit: 100})
	if err != nil || len(runs) != 3 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for _, r := range runs {
		if r.Event == second.Event.String() && r.Status != string(engine.Running) {
			t.Errorf("the second event's run is %s: its permit went to a duplicate", r.Status)
		}
	}
	for _, r := range runs {
		if r.Status == string(engine.Running) {
			id, err := engine.ParseRunID(r.ID)
			if err == nil {
				err = e.Cancel(context.Background(), id)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	settled(t, s, 3)
	stop()
}

// TestADuplicateWritesNoLogLine: what acts at once waits until its event is known to be
// new.
func TestADuplicateWritesNoLogLine(t *testing.T) {
	var lines bytes.Buffer
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{uses: log, with: {message: \"line ${{ event.key }}\"}}]"})
	w.log = slog.New(slog.NewTextHandler(&lines, nil))
	e, s, _, stop := w.warm(t)
	for range 5 {
		if _, err := e.Accept(context.Background(), delivery("x", `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	settled(t, s, 2)
	stop()
	if n := strings.Count(lines.String(), `"line x"`); n != 1 {
		t.Errorf("%d lines:\n%s", n, &lines)
	}
}

// TestSlowDecisionsDelayNoSender: the events are stored by themselves,
// and decided afterwards as if there had been no hurry.
func TestSlowDecisionsDelayNoSender(t *testing.T) {
	step := "  - set: {x: \"${{ event.key == 'warm' or all(1..8000, # > 0) }}\"}\n"
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n" + strings.Repeat(step, 300) + "  - {id: a, uses: test/act}"})
	e, s, count, stop := w.warm(t)
	for i := range 3 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if count.short.Load() != 0 || count.long.Load() != 3 {
		t.Errorf("%d went the short way, %d the long", count.short.Load(), count.long.Load())
	}
	for _, r := range settled(t, s, 4) {
		if r.Status != string(engine.Succeeded) {
			t.Errorf("%+v", r)
		}
	}
	stop()
}

// faulty is an action that has a bug.
type faulty struct{ *target }

func (faulty) Destination(in engine.Input) string {
	if strings.HasPrefix(fmt.Sprint(in.With["n"]), "bug") {
		panic("a bug")
	}
	return "https://fine"
}

// TestPanicInADecisionIsRecorded: one event that brings a bug out ends neither the
// request nor the process, on either way; the others go on.
func TestPanicInADecisionIsRecorded(t *testing.T) {
	for name, way := range map[string]func(engine.Store) engine.Store{"short way": nil, "long way": viaInbox} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"w": toHost, "other": "on: hook\nsteps: [{id: a, uses: test/act, with: {n: fine}}]"})
			w.options = machine.Options{MaxRuns: 4}
			w.act, w.store = faulty{w.target}, way
			e, s, stop := w.start(nil)
			for i := range 20 {
				r, err := e.Accept(context.Background(), delivery(fmt.Sprint("x", i), `{"host": "bug"}`))
				if err != nil {
					t.Fatal(err)
				}
				settled(t, s, i+1)
				d, err := s.History.EventDetail(context.Background(), r.Event)
				if err != nil || len(d.Decisions) != 2 || len(d.RunItems) != 1 {
					t.Fatalf("%+v %v", d, err)
				}
				for _, x := range d.Decisions {
					if x.Workflow == "w" && (x.Outcome != string(engine.RuleFailed) || !strings.Contains(x.Reason, "a bug")) {
						t.Errorf("%+v", x)
					}
				}
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestSlowRunsDelayNoEvent: runs that take long leave the slots that are free to
// the events that come, which do not wait until the slow ones have ended.
func TestSlowRunsDelayNoEvent(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{id: a, uses: test/act, with: {n: \"${{ event.key }}\"}, timeout: 1h}]"})
	w.options = machine.Options{MaxRuns: 16} // of which events take ten, when they are quick
	hold := make(chan struct{})
	w.target.do = func(in engine.Input, _ int) (any, error) {
		if strings.HasPrefix(fmt.Sprint(in.With["n"]), "slow") {
			<-hold
		}
		return nil, nil
	}
	e, s, _, stop := w.warm(t)
	for i := range 15 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("slow", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("quick", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return ended(t, s.History, "succeeded") == 21 })
	close(hold)
	settled(t, s, 36)
	stop()
}
