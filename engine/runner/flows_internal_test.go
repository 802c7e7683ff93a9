package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// acting is the action test/act.
type acting func(ctx context.Context, in engine.Input) (any, error)

func (a acting) Do(ctx context.Context, in engine.Input) (any, error) { return a(ctx, in) }

// calling is an action that calls a host; a step whose n is local calls none.
type calling struct{ acting }

func (calling) Destination(in engine.Input) string {
	if in.With["n"] == "local" {
		return ""
	}
	return host
}

const host = "https://api.example"

// begin begins a run of a workflow, stores it and executes it until it waits or ends. With queued, it is only stored.
func begin(t *testing.T, rn *Runner, workflow string, queued bool) *engine.Run {
	t.Helper()
	now := time.Now().UTC()
	w := rn.reg.Snapshot().Workflows[workflow]
	ev := &engine.Event{ID: engine.EventID(rn.reg.NextID()), Delivery: engine.Delivery{Trigger: "hook", Inlet: "webhook", Type: "hook",
		Time: now, ReceivedAt: now, Raw: []byte(`{}`), Headers: map[string]string{"content-type": "application/json"}, Dedupe: time.Hour}}
	ev.Key = ev.ID.String()
	names, err := ev.Names()
	if err != nil {
		t.Fatal(err)
	}
	var start *engine.RunUpdate
	var live []*Execution
	if id := engine.RunID(rn.reg.NextID()); queued {
		start, err = rn.BeginQueued(ev, w, id, names, false)
	} else {
		var ex *Execution
		start, ex, err = rn.Begin(ev, w, id, names, time.Time{})
		live = append(live, ex)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, result, err := rn.store.AcceptDecided(t.Context(), ev.ID, &ev.Delivery, engine.Match{Event: ev.ID, At: now,
		Starts: []engine.RunUpdate{*start}, Decisions: []engine.Decision{{Workflow: w.ID, Version: w.Version, Outcome: engine.Matched,
			Run: start.Run.ID}}})
	if err != nil {
		t.Fatal(err)
	}
	if !queued {
		for _, ex := range rn.Started([]engine.RunUpdate{*start}, live, result) {
			rn.Execute(ex)
		}
	}
	return start.Run
}

// records are the stored records of a run, the last one of each path.
func records(t *testing.T, rn *Runner, id engine.RunID) map[string]*plan.Record {
	t.Helper()
	loaded, err := rn.store.LoadRun(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]*plan.Record{}
	for _, r := range loaded.Records {
		last[r.Path] = r
	}
	return last
}

// TestARetryIsMadeWhileAnotherAttemptIsInFlight, at its time.
func TestARetryIsMadeWhileAnotherAttemptIsInFlight(t *testing.T) {
	retried := make(chan struct{})
	var late atomic.Bool
	rn, _, _ := storedWith(t, map[string]string{"w": "on: hook\nsteps:\n  - parallel:\n      - {id: slow, uses: test/act, with: {n: slow}}\n" +
		"      - {id: again, uses: test/act, with: {n: again}, retry: {max: 1, delay: 10ms}}\n"}, acting(func(_ context.Context, in engine.Input,
	) (any, error) {
		switch {
		case in.With["n"] == "slow":
			select {
			case <-retried:
			case <-time.After(2 * time.Second):
				late.Store(true)
			}
		case in.Attempt == 1:
			return nil, &plan.Error{Message: "not yet", Code: "busy", Retryable: true}
		default:
			close(retried)
		}
		return nil, nil
	}))
	if r := begin(t, rn, "w", false); r.Status != engine.Succeeded || late.Load() {
		t.Errorf("%s; the retry waited for the other attempt: %t", r.Status, late.Load())
	}
}

// TestAnAttemptWithoutAnAnswerIsInDoubt: the request may have arrived. One that was refused is not.
func TestAnAttemptWithoutAnAnswerIsInDoubt(t *testing.T) {
	for want, err := range map[plan.Status]error{plan.Unknown: fmt.Errorf("reset: %w", engine.ErrUnanswered),
		plan.Failed: errors.New("refused")} {
		rn, _, _ := storedWith(t, map[string]string{"w": "on: hook\nsteps: [{id: a, uses: test/act, on_unknown: fail, retry: 0}]\n"},
			acting(func(context.Context, engine.Input) (any, error) { return nil, err }))
		if r := begin(t, rn, "w", false); r.Status != engine.Failed || records(t, rn, r.ID)["a"].Status != want {
			t.Errorf("%v: run %s, step %+v", err, r.Status, records(t, rn, r.ID)["a"])
		}
	}
}

// TestOutputsHoldMemoryWhileTheirRunIsActive, and none after it.
func TestOutputsHoldMemoryWhileTheirRunIsActive(t *testing.T) {
	var rn *Runner
	var lent int64
	rn, _, _ = storedWith(t, map[string]string{"w": "on: hook\nsteps:\n  - {uses: test/act, with: {n: large}}\n" +
		"  - {uses: test/act, with: {n: next}}\n"},
		acting(func(_ context.Context, in engine.Input) (any, error) {
			if in.With["n"] == "large" {
				return strings.Repeat("x", 4*memory.Small), nil
			}
			lent = rn.o.Budgets.Outputs.Lent()
			return nil, nil
		}))
	if r := begin(t, rn, "w", false); r.Status != engine.Succeeded || lent < 4*memory.Small || rn.o.Budgets.Outputs.Lent() != 0 {
		t.Errorf("%s; %d bytes were lent, %d are", r.Status, lent, rn.o.Budgets.Outputs.Lent())
	}
}

// TestCancelledRunPassesItsPermitOn: one that was given to it while it was at work, and that it does not use.
func TestCancelledRunPassesItsPermitOn(t *testing.T) {
	inFlight, goOn := make(chan struct{}), make(chan struct{})
	rn, _, _ := storedWith(t, map[string]string{"w": "on: hook\nsteps:\n  - parallel:\n      - {uses: test/act, with: {n: local}}\n" +
		"      - {uses: test/act, with: {n: there}}\n"}, calling{func(_ context.Context, in engine.Input) (any, error) {
		if in.With["n"] == "local" {
			close(inFlight)
			<-goOn
		}
		return nil, nil
	}})
	rn.UseLimits(map[string]workflows.Limit{"api.example": {Concurrency: 1}})
	first, _ := rn.destinations.Acquire(host, workflows.Limit{}, 1)
	ended := make(chan *engine.Run)
	go func() { ended <- begin(t, rn, "w", false) }()
	<-inFlight
	rn.mu.Lock()
	for _, ex := range rn.atWork {
		ex.cancel()
	}
	rn.mu.Unlock()
	first.Release(destination.Outcome{})
	// The other attempt of the run is in flight for longer.
	for deadline := time.Now().Add(5 * time.Second); !rn.destinations.HasReservation(2); time.Sleep(time.Millisecond) {
		if p, _ := rn.destinations.Acquire(host, workflows.Limit{}, 2); p != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the next run has no permit")
		}
	}
	close(goOn)
	if r := <-ended; r.Status != engine.Cancelled {
		t.Errorf("the run is %s", r.Status)
	}
}

// TestARunWhoseUpdateIsRefusedFreesItsSlot: another node has it, for example.
func TestARunWhoseUpdateIsRefusedFreesItsSlot(t *testing.T) {
	rn, a, _ := storedWith(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act}]\n"},
		acting(func(context.Context, engine.Input) (any, error) { return nil, nil }))
	alter(rn).commit = func(engine.RunUpdate) error { return engine.ErrStale }
	begin(t, rn, "w", false)
	if rn.AtWork() != 0 || a.slots() != 1 {
		t.Errorf("%d runs are at work, %d slots were freed", rn.AtWork(), a.slots())
	}
}

// TestSuspectsRunOneAfterAnother, although no slot is free.
func TestSuspectsRunOneAfterAnother(t *testing.T) {
	t.Parallel() // it waits for a second
	var atOnce, most, made atomic.Int32
	rn, _, _ := storedWith(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act}]\n"},
		acting(func(context.Context, engine.Input) (any, error) {
			most.Store(max(most.Load(), atOnce.Add(1)))
			time.Sleep(20 * time.Millisecond)
			atOnce.Add(-1)
			made.Add(1)
			return nil, nil
		}))
	for id := range engine.RunID(2) {
		rn.takeSlot(at(rn, id))
	}
	rn.resumeAlone(t.Context(), []engine.RunID{begin(t, rn, "w", true).ID, begin(t, rn, "w", true).ID})
	if made.Load() != 2 || most.Load() != 1 {
		t.Errorf("%d were tried, %d at once", made.Load(), most.Load())
	}
}

// TestRunThatCannotContinueReleasesWhatItHolds: its slot, its keys and its steps, and the run that called it goes on.
func TestRunThatCannotContinueReleasesWhatItHolds(t *testing.T) {
	for inlet, called := range map[workflows.Inlet]bool{"call": true, "webhook": false} {
		rn, _, _ := stored(t)
		var u engine.RunUpdate
		alter(rn).commit = func(x engine.RunUpdate) error { u = x; return nil }
		waits := at(rn, 2)
		waits.awaits, waits.news = []engine.EventWait{{Key: engine.EventID(7).String()}}, make(chan struct{}, 1)
		rn.takeSlot(waits)
		ex := rn.newExecution(&engine.Event{ID: 7, Delivery: engine.Delivery{Inlet: inlet}}, &engine.Run{ID: 1, Event: 7, Workflow: "w"})
		if err := rn.giveUp(ex, errors.New("a row cannot be read")); !errors.Is(err, errGaveUp) {
			t.Fatal(err)
		}
		if u.Called != called || !u.FreesSlot || !u.Cancelable || !u.CloseSteps ||
			u.Run.Status != engine.Failed || u.Run.Error.Code != "cannot_run" {
			t.Errorf("%s: %+v", inlet, u)
		}
		if (len(waits.news) == 1) != called {
			t.Errorf("%s: the caller is signalled %d times", inlet, len(waits.news))
		}
	}
}

// TestEndingAnEndedCalledRunIsNoError; a store that does not answer is one.
func TestEndingAnEndedCalledRunIsNoError(t *testing.T) {
	away := errors.New("the database is away")
	for _, c := range []struct{ is, want error }{{engine.ErrNotFound, nil}, {&engine.HasEnded{Run: 1, Status: engine.Failed}, nil},
		{away, away}} {
		rn, _, _ := stored(t)
		s := alter(rn)
		s.called = func() (engine.CallState, error) {
			return engine.CallState{Decided: true, Run: &engine.Run{ID: 1, Status: engine.Waiting}}, nil
		}
		s.run = func() (*engine.Run, error) { return nil, c.is }
		if c.want == nil && errors.Is(c.is, engine.ErrStale) {
			s.run = func() (*engine.Run, error) { return &engine.Run{ID: 1, Status: engine.Failed}, nil }
		}
		atWork, err := rn.endCall(t.Context(), engine.EndCall{Event: 1, Why: "timed out"})
		if !atWork || !errors.Is(err, c.want) {
			t.Errorf("%v: %t %v", c.is, atWork, err)
		}
		err = rn.carryOut(t.Context(), engine.NodeOrder{Kind: engine.OrderCancel, Subject: engine.RunID(1).String()})
		if !errors.Is(err, c.want) {
			t.Errorf("ordered by another node, %v: %v", c.is, err)
		}
	}
}

func TestCancellationsAreReadBeforeAnyRunContinues(t *testing.T) {
	rn, _, _ := stored(t)
	alter(rn).ends = []engine.EndCall{{Event: 7, Why: "timed out"}}
	rn.Stop() // nothing is carried out
	if err := rn.loadEnds(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why, is := rn.IsToEnd(7); !is || why != "timed out" {
		t.Errorf("%q %t", why, is)
	}
}

// TestABatchBeginsWithItsEvent, and another run has no list of events.
func TestABatchBeginsWithItsEvent(t *testing.T) {
	rn, _, _ := storedWith(t, map[string]string{"b": "on: hook\nbatch: {size: 9, wait: 1h}\nsteps: [{stop: x}]\n",
		"w": "on: hook\nsteps: [{stop: x}]\n"}, nil)
	for id, want := range map[string]int{"b": 1, "w": 0} {
		ex := rn.newRun(&engine.Event{ID: 1}, rn.reg.Snapshot().Workflows[id], 1, map[string]any{"key": "k"})
		if len(ex.State.Events) != want {
			t.Errorf("%s: %v", id, ex.State.Events)
		}
	}
}

// TestRunEndCountsAsOneRunOfTheChain, and as no emitted event.
func TestRunEndCountsAsOneRunOfTheChain(t *testing.T) {
	rn, _, _ := storedWith(t, map[string]string{"w": "on: hook\nsteps: [{stop: x}]\n",
		"after": "on: {workflow_run: {workflows: [w]}}\nsteps: [{stop: x}]\n"}, nil)
	list := rn.subscriberEvents(&engine.Run{ID: 1, Workflow: "w", Status: engine.Succeeded}, &engine.Event{ID: 1})
	if len(list) != 1 || list[0].Headers[registry.ChainHeader] != "1;0;w" {
		t.Errorf("%+v", list)
	}
}

// TestARunThatEndsClosesWhatItWaitsFor, and the run that it has called is ended.
func TestARunThatEndsClosesWhatItWaitsFor(t *testing.T) {
	rn, _ := idle(t)
	ex, called := at(rn, 1), engine.EventID(1<<40)
	ex.State = &plan.State{Records: map[string][]*plan.Record{}}
	for path, wait := range map[string]plan.Wait{"call": {Kind: plan.WaitCall, Event: called.String()}, "ask": {Kind: plan.WaitApproval},
		"finally/0": {Kind: plan.WaitSleep}} {
		ex.State.AddRecord(&plan.Record{Path: path, Status: plan.Waiting, Waits: []plan.Wait{wait}})
	}
	now := time.Now()
	ex.stopWaiting(now) // it goes on with its finally steps
	if len(ex.ends) != 1 || ex.ends[0].Event != called || ex.ends[0].Why == "" || len(ex.unsaved) != 2 {
		t.Errorf("ended %+v, stored %d records", ex.ends, len(ex.unsaved))
	}
	for path, want := range map[string]plan.Status{"call": plan.Failed, "ask": plan.Failed, "finally/0": plan.Waiting} {
		list := ex.State.Records[path]
		last := list[len(list)-1]
		if last.Status != want || want == plan.Failed && (last.Error.Code != plan.CutCode || !last.FinishedAt.Equal(now)) {
			t.Errorf("%s: %+v", path, last)
		}
	}
	ex.Run.Status = engine.Failed
	if ex.stopWaiting(now); len(ex.unsaved) != 3 {
		t.Errorf("%d records are stored at the end", len(ex.unsaved))
	}
}

func TestARunThatWaitsForASlotHoldsNoMemory(t *testing.T) {
	rn, _ := idle(t)
	ex := at(rn, 1)
	ex.slot, ex.Run.DueAt = false, time.Now()
	ex.State = &plan.State{Records: map[string][]*plan.Record{}}
	ex.State.AddRecord(&plan.Record{Path: "a", Status: plan.Succeeded, Output: strings.Repeat("x", 4*memory.Small)})
	ex.grow()
	if rn.o.Budgets.Outputs.Lent() == 0 {
		t.Fatal("nothing is lent")
	}
	if rn.follow(ex) || rn.o.Budgets.Outputs.Lent() != 0 || !rn.nextDue.Equal(ex.Run.DueAt) {
		t.Errorf("%d bytes are lent; the next run is due at %v", rn.o.Budgets.Outputs.Lent(), rn.nextDue)
	}
}
