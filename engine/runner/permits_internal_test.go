package runner

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// due is an attempt of a step with side effects.
func due(path string) plan.Due {
	return plan.Due{Path: path, Attempt: 1, Step: &workflows.Step{Uses: "test/act", Timeout: time.Minute,
		Spec: &workflows.ActionSpec{Name: "test/act", SideEffects: true}}}
}

// TestLateAttemptIsCheckedAgainstTheRateAgain: other attempts may have been made since it got its permit.
func TestLateAttemptIsCheckedAgainstTheRateAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rn, _ := idle(t)
		rn.UseLimits(map[string]workflows.Limit{"api.example": {Rate: 1, Per: time.Minute}})
		time.Sleep(3 * time.Minute)
		p, h := rn.destinations.Acquire(host, workflows.Limit{}, 1)
		if h != nil {
			t.Fatal(h.Why)
		}
		taken := time.Now()
		time.Sleep(time.Second)
		ex := at(rn, 1)
		r := ex.attempt(due("a"), limit{step: time.Minute}, p)
		if after := r.StartedAt.Sub(taken); after < time.Minute {
			t.Errorf("it begins %v after its permit, at a rate of one a minute", after)
		}
	})
}

// TestOneAttemptTakesOnePermit, however often it is planned, and only if it calls a host.
func TestOneAttemptTakesOnePermit(t *testing.T) {
	rn, _, _ := storedWith(t, nil, calling{})
	ex := at(rn, 1)
	local, none := due("local"), due("none")
	local.Step.Spec = &workflows.ActionSpec{Name: "test/act"}
	none.Step.Spec = nil
	for _, d := range []plan.Due{local, none} {
		if h := ex.permit(d); h != nil || len(ex.permits) != 0 {
			t.Errorf("%s: %+v, %d permits", d.Path, h, len(ex.permits))
		}
	}
	for range 2 {
		if h := ex.permit(due("a")); h != nil || len(ex.permits) != 1 || ex.permits["a"].Name() != host {
			t.Errorf("%+v, permits %+v", h, ex.permits)
		}
	}
	if list := rn.Destinations(); len(list) != 1 || list[0].InUse != 1 {
		t.Errorf("%+v", list)
	}
	if isLocal(none) || !isLocal(local) || isLocal(due("a")) {
		t.Error("an attempt is local if its action has no side effects")
	}
}

// TestARunThatWaitsForAPermitIsSignalled when it is ready, while it is at work.
func TestARunThatWaitsForAPermitIsSignalled(t *testing.T) {
	rn, _, _ := storedWith(t, nil, calling{})
	rn.UseLimits(map[string]workflows.Limit{"api.example": {Concurrency: 1}})
	for _, held := range []bool{false, true} {
		p, _ := rn.destinations.Acquire(host, workflows.Limit{}, 99)
		ex := at(rn, 1)
		ex.held = held
		rn.takeSlot(ex)
		if h := ex.permit(due("a")); h == nil || !ex.held {
			t.Fatalf("it does not wait: %+v", h)
		}
		p.Release(destination.Outcome{})
		if len(ex.permitReady) != 1 {
			t.Errorf("held before: %t; it is signalled %d times", held, len(ex.permitReady))
		}
		if h := ex.permit(due("a")); h != nil {
			t.Errorf("it waits again: %+v", h)
		}
		ex.giveBack()
		rn.Release(ex)
	}
}

// TestPermitsAreRequestedWhenNeeded, and again after a pause if the store gives no answer. One node alone asks
// for none.
func TestPermitsAreRequestedWhenNeeded(t *testing.T) {
	rn, _ := idle(t)
	rn.RunPermits(t.Context()) // returns at once
	var asked atomic.Int32
	var early atomic.Bool
	s := &altered{Store: rn.store.Store, shared: true, take: func(asks []permit.Ask) ([]permit.Grant, error) {
		if asked.Add(1); len(asks) == 0 {
			return nil, nil
		}
		if asked.Load() == 1 {
			return []permit.Grant{{Slots: 1}}, errors.New("the transaction was rolled back")
		}
		early.Store(early.Load() || asked.Load() == 2 && rn.destinations.HasReservation(1))
		return []permit.Grant{{Slots: 1}}, nil
	}}
	o := rn.o
	o.Store = persist.New(s, o.Log)
	rn = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	rn.work = ctx
	rn.UseLimits(map[string]workflows.Limit{"api.example": {Concurrency: 1}})
	ended := make(chan struct{})
	go func() { defer close(ended); rn.RunPermits(ctx) }()
	time.Sleep(20 * time.Millisecond)
	if n := asked.Load(); n != 0 {
		t.Errorf("asked %d times for nothing", n)
	}
	rn.takeSlot(at(rn, 1))
	began := time.Now()
	if _, h := rn.destinations.Acquire(host, workflows.Limit{}, 1); h == nil {
		t.Error("a permit that was not given")
	}
	for !rn.destinations.HasReservation(1) && time.Since(began) < 5*time.Second {
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(began); took < askAgainAfter || !rn.destinations.HasReservation(1) || asked.Load() != 2 {
		t.Errorf("asked %d times in %v; given: %t", asked.Load(), took, rn.destinations.HasReservation(1))
	}
	cancel()
	<-ended
	if early.Load() {
		t.Error("a permit of a failed transaction was given")
	}
}

// TestACalledRunsEndSignalsItsCaller while that is at work.
func TestACalledRunsEndSignalsItsCaller(t *testing.T) {
	rn, _ := idle(t)
	caller := at(rn, 1)
	caller.awaits, caller.news = []engine.EventWait{{Key: engine.EventID(7).String()}}, make(chan struct{}, 1)
	rn.takeSlot(caller)
	for i, u := range []engine.RunUpdate{{Run: &engine.Run{Event: 7, Status: engine.Failed}},
		{Run: &engine.Run{Event: 7, Status: engine.Waiting}, Called: true}, {Run: &engine.Run{Event: 7, Status: engine.Failed}, Called: true}} {
		if rn.began(u); len(caller.news) != i/2 {
			t.Errorf("update %d: %d signals", i, len(caller.news))
		}
	}
}
