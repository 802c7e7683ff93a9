package destination

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// get takes a permit that must be there.
func get(t *testing.T, table *Table, limit workflows.Limit, run int64) *Permit {
	t.Helper()
	p, h := table.Acquire(api, limit, run)
	if h != nil {
		t.Fatalf("run %d waits: %s", run, h.Why)
	}
	return p
}

// mustWait asks for a permit that must not be there.
func mustWait(t *testing.T, table *Table, limit workflows.Limit, run int64) *Denial {
	t.Helper()
	p, h := table.Acquire(api, limit, run)
	if p != nil {
		t.Fatalf("run %d does not wait", run)
	}
	return h
}

// TestStatus500OpensTheCircuitAnd499DoesNot: the host's own failures, not those of the request.
func TestStatus500OpensTheCircuitAnd499DoesNot(t *testing.T) {
	for status, want := range map[int]string{499: "closed", 500: "open"} {
		synctest.Test(t, func(t *testing.T) {
			table := newCrowd().table
			attempts(t, table, Outcome{Status: status}, breakerFailures)
			if s := stateOf(t, table); s.Circuit != want {
				t.Errorf("status %d: %s", status, s.Circuit)
			}
		})
	}
}

// TestCancelledProbeLeavesTheCircuitHalfOpen, and the host's share at one.
func TestCancelledProbeLeavesTheCircuitHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled()
		attempts(t, c.Table, Outcome{Failed: true}, breakerFailures)
		time.Sleep(6 * time.Second)
		get(t, c.Table, workflows.Limit{}, 1).Release(Outcome{Cut: true})
		if s := stateOf(t, c.Table); s.Circuit != "half-open" || s.Limit != 1 {
			t.Errorf("%+v", s)
		}
		get(t, c.Table, workflows.Limit{}, 1).Release(Outcome{Status: 200})
		if s := stateOf(t, c.Table); s.Circuit != "closed" || s.Limit != 2 {
			t.Errorf("after an answer: %+v", s)
		}
	})
}

// TestTheShareOfAHostDoublesWithEachAnswer after an outage, up to its maximum.
func TestTheShareOfAHostDoublesWithEachAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newCrowd().table
		table.Use(map[string]workflows.Limit{"api.example": {Concurrency: 10}})
		attempts(t, table, Outcome{Failed: true}, breakerFailures)
		time.Sleep(6 * time.Second)
		for _, want := range []int{2, 4, 8, 10, 10} {
			attempts(t, table, Outcome{Status: 200}, 1)
			if s := stateOf(t, table); s.Limit != want {
				t.Errorf("a share of %d, expected %d", s.Limit, want)
			}
			time.Sleep(time.Second)
		}
	})
}

// TestALowerLimitCountsDuringRecovery, and a higher one does not end it.
func TestALowerLimitCountsDuringRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newCrowd().table
		use := func(n int) int {
			table.Use(map[string]workflows.Limit{"api.example": {Concurrency: n}})
			return stateOf(t, table).Limit
		}
		attempts(t, table, Outcome{Failed: true}, breakerFailures)
		time.Sleep(6 * time.Second)
		for range 3 {
			attempts(t, table, Outcome{Status: 200}, 1)
			time.Sleep(time.Second)
		}
		for _, c := range []struct{ set, want int }{{20, 8}, {5, 5}, {9, 9}, {3, 3}} {
			if got := use(c.set); got != c.want {
				t.Errorf("a limit of %d in the project: %d, expected %d", c.set, got, c.want)
			}
		}
	})
}

// TestAPermitIssuedBeforeAnOutageWaitsForItsEnd and frees its place.
func TestAPermitIssuedBeforeAnOutageWaitsForItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled()
		c.Use(map[string]workflows.Limit{"api.example": {Concurrency: 6}})
		var list []*Permit
		for run := range int64(6) {
			list = append(list, get(t, c.Table, workflows.Limit{}, run+1))
		}
		mustWait(t, c.Table, workflows.Limit{}, 7)
		list[0].Release(Outcome{Status: 200}) // run 7 has a reservation
		if !c.HasReservation(7) {
			t.Fatal("no reservation")
		}
		for _, p := range list[1:] {
			p.Release(Outcome{Failed: true, Message: "refused"})
		}
		if h := mustWait(t, c.Table, workflows.Limit{}, 7); !h.Down {
			t.Errorf("%+v", h)
		}
		if s := stateOf(t, c.Table); s.InUse != 0 || s.Waiting != 1 || s.Circuit != "open" {
			t.Errorf("%+v", s)
		}
	})
}

// TestResponseWithoutRetryAfterEndsNoDelay that another answer asked for.
func TestResponseWithoutRetryAfterEndsNoDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newCrowd().table
		one, other := get(t, table, workflows.Limit{}, 1), get(t, table, workflows.Limit{}, 2)
		one.Release(Outcome{Status: 429, RetryAfter: time.Minute})
		other.Release(Outcome{Status: 200})
		s := stateOf(t, table)
		if s.Until == nil || time.Until(*s.Until) != time.Minute || s.Until.Location() != time.UTC {
			t.Errorf("%+v", s)
		}
	})
}

// TestWaitingRunIsNotOvertaken, even if there is a free permit: not by the queue, and not by
// TryAcquire.
func TestWaitingRunIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled()
		c.Use(map[string]workflows.Limit{"api.example": {Concurrency: 1}})
		first := get(t, c.Table, workflows.Limit{}, 1)
		mustWait(t, c.Table, workflows.Limit{}, 2)
		c.busy = true
		wakes := c.wakes
		first.Release(Outcome{Status: 200}) // run 2 keeps its place, as no run can be resumed
		if p := c.TryAcquire(api, workflows.Limit{}); p != nil {
			t.Error("TryAcquire passes the queue")
		}
		if h := mustWait(t, c.Table, workflows.Limit{}, 3); h.Why != "1 runs are ahead of this one for "+api {
			t.Errorf("%+v", h)
		}
		for range 2 { // a run that was put back still waits only once
			mustWait(t, c.Table, workflows.Limit{}, 2)
		}
		if s := stateOf(t, c.Table); s.Waiting != 2 || c.wakes != wakes {
			t.Errorf("%+v, woken %d times", s, c.wakes-wakes)
		}
		now := time.Now()
		if at := c.Tick(now); at.Sub(now) != 100*time.Millisecond {
			t.Errorf("while no run can be resumed, it looks again after %s", at.Sub(now))
		}
	})
}

// TestTheDispatcherIsWokenForAHostThatOpensLater, even if only one run waits.
func TestTheDispatcherIsWokenForAHostThatOpensLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled()
		c.Use(map[string]workflows.Limit{"api.example": {Concurrency: 1}})
		first := get(t, c.Table, workflows.Limit{}, 1)
		mustWait(t, c.Table, workflows.Limit{}, 2)
		if c.wakes != 1 {
			t.Errorf("the first run that waits wakes it %d times", c.wakes)
		}
		first.Release(Outcome{Status: 429, RetryAfter: time.Minute})
		if c.wakes != 2 || len(c.runs) != 0 {
			t.Errorf("woken %d times, called %v", c.wakes, c.runs)
		}
	})
}

// TestAHostHasAtLeastOnePermit, however few runs there may be.
func TestAHostHasAtLeastOnePermit(t *testing.T) {
	table := New(Options{MaxRuns: 2, Pause: time.Second})
	get(t, table, workflows.Limit{}, 1)
	if s := stateOf(t, table); s.Limit != 1 {
		t.Errorf("%+v", s)
	}
}

// TestDelayedIssuedPermitIsCheckedAgainstTheRateAgain, as one that was taken.
func TestDelayedIssuedPermitIsCheckedAgainstTheRateAgain(t *testing.T) {
	for idle, waits := range map[time.Duration]time.Duration{99 * time.Millisecond: 0, 100 * time.Millisecond: 9900 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			c := newCalled()
			limit := workflows.Limit{Rate: 1, Per: 10 * time.Second}
			time.Sleep(time.Minute) // the process has not just begun
			get(t, c.Table, limit, 1).Release(Outcome{Status: 200})
			mustWait(t, c.Table, limit, 2)
			time.Sleep(10 * time.Second)
			c.Tick(time.Now())
			if !c.HasReservation(2) {
				t.Fatal("no reservation")
			}
			time.Sleep(idle)
			p := get(t, c.Table, limit, 2)
			at := time.Now()
			p.Renew(context.Background())
			if took := time.Since(at); took != waits {
				t.Errorf("after %s, the attempt waits for %s, expected %s", idle, took, waits)
			}
			p.Release(Outcome{Status: 200})
		})
	}
}

// TestMissingPermitIsNoError: steps without a host have none.
func TestMissingPermitIsNoError(t *testing.T) {
	var p *Permit
	p.Renew(t.Context())
	p.Release(Outcome{Status: 200})
	if p.Name() != "" {
		t.Errorf("named %q", p.Name())
	}
}

// TestRateIsKeptAcrossReloads: the same rate goes on with what was sent, another one begins with
// nothing to spare, and without one nothing waits.
func TestRateIsKeptAcrossReloads(t *testing.T) {
	for name, c := range map[string]struct {
		limit workflows.Limit
		waits time.Duration
	}{
		"the same":       {workflows.Limit{Rate: 6, Per: time.Minute}, 10 * time.Second},
		"another rate":   {workflows.Limit{Rate: 12, Per: time.Minute}, 10 * time.Second},
		"another period": {workflows.Limit{Rate: 6, Per: 2 * time.Minute}, 40 * time.Second},
		"none":           {workflows.Limit{}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			called := newCalled()
			use := func(l workflows.Limit) { called.Use(map[string]workflows.Limit{"api.example": l}) }
			use(workflows.Limit{Rate: 6, Per: time.Minute})
			time.Sleep(time.Hour) // the process has not just begun
			get(t, called.Table, workflows.Limit{}, 1).Release(Outcome{Status: 200})
			use(c.limit)
			if c.waits == 0 {
				get(t, called.Table, workflows.Limit{}, 2)
				return
			}
			mustWait(t, called.Table, workflows.Limit{}, 2)
			if s := stateOf(t, called.Table); s.Until == nil || time.Until(*s.Until) != c.waits {
				t.Errorf("%s: it opens after %s, expected %s", name, time.Until(*s.Until), c.waits)
			}
		})
	}
}

// TestNewProcessStartsWithoutABurst, until the period of the rate is over.
func TestNewProcessStartsWithoutABurst(t *testing.T) {
	for after, owes := range map[time.Duration]bool{59 * time.Second: true, time.Minute: false} {
		synctest.Test(t, func(t *testing.T) {
			table := newCrowd().table
			time.Sleep(after)
			if p, _ := table.Acquire(api, workflows.Limit{Rate: 6, Per: time.Minute}, 1); (p == nil) != owes {
				t.Errorf("after %s: %v", after, p)
			}
		})
	}
}

// TestAWindowOpensWhenItsOldestAttemptLeavesIt, at that moment and not before; between its attempts
// the bucket says when.
func TestAWindowOpensWhenItsOldestAttemptLeavesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := newPace(workflows.Limit{Rate: 100, Per: time.Second}, began, false)
		n := 0
		for p.allow(time.Now()) {
			n++
		}
		if n != 10 {
			t.Errorf("%d attempts at once, expected a tenth of a second's", n)
		}
		time.Sleep(5 * time.Millisecond)
		if wait := time.Until(p.opens(time.Now())).Round(time.Microsecond); wait != 5*time.Millisecond {
			t.Errorf("half a token: it opens after %s", wait)
		}
		for time.Since(began) < 990*time.Millisecond && n < 100 {
			time.Sleep(5 * time.Millisecond)
			for p.allow(time.Now()) {
				n++
			}
		}
		if at := p.opens(time.Now()); n != 100 || at.Sub(began) != time.Second {
			t.Errorf("%d attempts in %s; it opens %s after the first", n, time.Since(began), at.Sub(began))
		}
		time.Sleep(time.Until(began.Add(time.Second)))
		if !p.allow(time.Now()) {
			t.Error("the oldest attempt has left the window")
		}
	})
}

func TestHostIsDownWhileAttemptsWaitForIt(t *testing.T) {
	for _, c := range []struct {
		s    State
		want bool
	}{
		{State{Circuit: "open"}, true}, {State{Circuit: "half-open", Waiting: 1}, true},
		{State{Circuit: "half-open"}, false}, {State{Circuit: "closed", Waiting: 1}, false},
	} {
		if c.s.Down() != c.want {
			t.Errorf("%+v", c.s)
		}
	}
}
