package runner

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
)

// arrivals keeps what the runner reports.
type arrivals struct {
	mu       sync.Mutex
	freed    int
	accepted []*engine.Delivery
}

func (a *arrivals) Accepted(d *engine.Delivery, _ engine.Receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepted = append(a.accepted, d)
}

func (a *arrivals) Answer(context.Context, engine.RunID, engine.Response) (plan.Question, error) {
	return plan.Question{}, engine.ErrNotFound
}

func (a *arrivals) Arrived(*engine.Event)   {}
func (a *arrivals) RunEnded(engine.EventID) {}

func (a *arrivals) SlotFreed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.freed++
}

func (a *arrivals) slots() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.freed
}

// idle is a Runner that was not started, for what it keeps in memory. It has two slots.
func idle(t *testing.T) (*Runner, *arrivals) {
	t.Helper()
	a := &arrivals{}
	log := slog.New(slog.DiscardHandler)
	rn := New(Options{Store: persist.New(storetest.New(t).Store, log), Arrivals: a, Budgets: NewBudgets(), Redactor: &redact.Redactor{},
		Log: log, MaxRuns: 2, BreakerPause: time.Second, MaxHeld: time.Minute})
	rn.work = t.Context()
	return rn, a
}

// at makes the execution of a run that has a slot.
func at(rn *Runner, id engine.RunID) *Execution {
	ex := rn.newExecution(&engine.Event{ID: 1}, &engine.Run{ID: id, Status: engine.Running})
	ex.slot = true
	return ex
}

func woken(rn *Runner) bool {
	select {
	case <-rn.wake:
		return true
	default:
		return false
	}
}

// TestTheEarliestRunWakesTheLoop: a later one does not, and no time is no run.
func TestTheEarliestRunWakesTheLoop(t *testing.T) {
	rn, _ := idle(t)
	now := time.Now()
	for i, c := range []struct {
		at    time.Time
		wakes bool
		next  time.Time
	}{
		{time.Time{}, false, time.Time{}}, {now.Add(time.Minute), true, now.Add(time.Minute)},
		{now.Add(time.Minute), false, now.Add(time.Minute)}, {now.Add(2 * time.Minute), false, now.Add(time.Minute)},
		{now.Add(time.Second), true, now.Add(time.Second)}, {time.Time{}, false, now.Add(time.Second)},
	} {
		if rn.DueAt(c.at); woken(rn) != c.wakes || !rn.nextDue.Equal(c.next) {
			t.Errorf("%d: the next is due at %v, want %v, and wakes the loop: %t", i, rn.nextDue, c.next, c.wakes)
		}
	}
}

// TestTheLoopSleepsUntilARunIsDue, at most five seconds, because clocks step, and a millisecond at least.
func TestTheLoopSleepsUntilARunIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			in     time.Duration
			known  bool
			atWork int
			want   time.Duration
		}{
			{0, false, 0, 5 * time.Second}, {3 * time.Second, true, 0, 3 * time.Second}, {time.Hour, true, 0, 5 * time.Second},
			{0, true, 0, time.Millisecond}, {-time.Hour, true, 1, time.Millisecond}, {time.Second, true, 2, 5 * time.Second},
		} {
			rn, _ := idle(t)
			if c.known {
				rn.nextDue = time.Now().Add(c.in)
			}
			for i := range c.atWork {
				rn.atWork[engine.RunID(i)] = nil
			}
			if got := rn.pause(); got != c.want {
				t.Errorf("%+v: it sleeps for %s", c, got)
			}
		}
	})
}

// TestReplaysStartAtIntervals: each begins 50 milliseconds after the one before, and the first at once.
func TestReplaysStartAtIntervals(t *testing.T) {
	rn, _ := idle(t)
	now := time.Now()
	for i, c := range []struct{ asked, want time.Duration }{
		{0, 0}, {0, 50 * time.Millisecond}, {60 * time.Millisecond, 100 * time.Millisecond}, {150 * time.Millisecond, 150 * time.Millisecond},
		{time.Hour, time.Hour}, {time.Hour, time.Hour + 50*time.Millisecond},
	} {
		if got := rn.ReplayAt(now.Add(c.asked)); !got.Equal(now.Add(c.want)) {
			t.Errorf("replay %d begins after %s, want %s", i, got.Sub(now), c.want)
		}
	}
	rn.wakeDue(time.Hour) // the clock was set back
	if got := rn.ReplayAt(now); !got.Equal(now.Add(100 * time.Millisecond)) {
		t.Errorf("an hour back, a replay begins after %s", got.Sub(now))
	}
}

// TestARunTakesOneSlot: there are so many, a run has one at most, and none is given at a stop; a suspect
// does not count.
func TestARunTakesOneSlot(t *testing.T) {
	rn, a := idle(t)
	first, second, third := at(rn, 1), at(rn, 2), at(rn, 3)
	if !rn.takeSlot(first) || rn.AtWork() != 1 {
		t.Fatal("the first run has no slot")
	}
	if rn.takeSlot(at(rn, 1)) || !rn.nextDue.IsZero() {
		t.Error("a run has two slots, or is looked for while it has one")
	}
	if !rn.takeSlot(second) || rn.takeSlot(third) || rn.AtWork() != 2 || rn.nextDue.IsZero() {
		t.Errorf("%d runs in two slots; the third is due at %v", rn.AtWork(), rn.nextDue)
	}
	third.suspect = true
	if !rn.takeSlot(third) || rn.AtWork() != 3 {
		t.Error("a suspect finds no slot")
	}
	woken(rn)
	rn.Release(third)
	if !woken(rn) || rn.AtWork() != 2 || a.slots() != 1 || third.ctx.Err() == nil {
		t.Errorf("released: %d runs, %d slots freed, %v", rn.AtWork(), a.slots(), third.ctx.Err())
	}
	rn.Release(second)
	if !woken(rn) || rn.AtWork() != 1 {
		t.Errorf("released from full slots: %d runs", rn.AtWork())
	}
	rn.Release(first)
	if woken(rn) || rn.AtWork() != 0 || a.slots() != 3 {
		t.Errorf("released from free slots: %d runs, %d slots freed", rn.AtWork(), a.slots())
	}
	without := at(rn, 4)
	without.slot = false
	if rn.Release(without); a.slots() != 3 || without.ctx.Err() == nil {
		t.Error("a run without a slot has freed one, or goes on")
	}
	rn.Stop()
	if rn.takeSlot(at(rn, 5)) {
		t.Error("a run begins at a stop")
	}
}

// TestSlowRunsAreCounted: those at work for 250 milliseconds, counted anew every 50.
func TestSlowRunsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rn, _ := idle(t)
		ex := at(rn, 1)
		rn.takeSlot(ex)
		for i, c := range []struct {
			after time.Duration
			want  int
		}{
			{0, 0}, {250*time.Millisecond - 1, 0}, {1, 0}, {49*time.Millisecond - 1, 0}, {time.Millisecond, 1},
		} {
			time.Sleep(c.after)
			if got := rn.Slow(); got != c.want {
				t.Errorf("%d: %d slow runs, want %d", i, got, c.want)
			}
		}
		rn.Release(ex)
		if got := rn.Slow(); got != 0 {
			t.Errorf("%d slow runs after the last was released", got)
		}
	})
}

// TestWaitsFollowAClockThatIsSetBack, those of runs at work too; a time that was given stays.
func TestWaitsFollowAClockThatIsSetBack(t *testing.T) {
	rn, _ := idle(t)
	ex := at(rn, 1)
	rn.takeSlot(ex)
	until := time.Now().Add(time.Hour)
	waiting := func(fixed bool) []*plan.Record {
		return []*plan.Record{{Status: plan.Failed}, {Status: plan.Waiting, Waits: []plan.Wait{{Until: until, Fixed: fixed}}}}
	}
	ex.State = &plan.State{Records: map[string][]*plan.Record{"sleep": waiting(false), "moment": waiting(true)}}
	ex.followClock()
	rn.wakeDue(20 * time.Minute)
	rn.wakeDue(10 * time.Minute)
	if !woken(rn) || time.Since(rn.nextDue) > time.Minute {
		t.Error("due runs are not looked for")
	}
	for range 2 { // once for both
		ex.followClock()
		if got := ex.State.Records["sleep"][1].Until(); !got.Equal(until.Add(-30 * time.Minute)) {
			t.Errorf("the sleep ends %s earlier", until.Sub(got))
		}
	}
	if got := ex.State.Records["moment"][1].Until(); !got.Equal(until) {
		t.Errorf("the moment has moved by %s", until.Sub(got))
	}
}

// TestOutputsAreHeldToTheMemoryBudget: a run that finds none is crowded, and what it holds goes back.
func TestOutputsAreHeldToTheMemoryBudget(t *testing.T) {
	rn, _ := idle(t)
	rn.o.Budgets.Outputs = memory.NewBudget(10 * memory.Small)
	with := func(size int) *Execution {
		ex := at(rn, engine.RunID(size))
		ex.State = &plan.State{Records: map[string][]*plan.Record{}}
		ex.State.AddRecord(&plan.Record{Path: "a", Status: plan.Succeeded, Output: strings.Repeat("x", size)})
		return ex
	}
	small, large, larger := with(100), with(6*memory.Small), with(7*memory.Small)
	for _, ex := range []*Execution{small, large, larger} {
		ex.grow()
	}
	if small.lent != 0 || small.crowded || large.lent != large.State.Memory() || large.crowded || larger.lent != 0 || !larger.crowded {
		t.Errorf("lent %d, %d, %d; crowded %t, %t, %t", small.lent, large.lent, larger.lent, small.crowded, large.crowded, larger.crowded)
	}
	large.grow()
	if got := rn.o.Budgets.Outputs.Lent(); got != large.lent {
		t.Errorf("asked twice, %d bytes are lent, of %d", got, large.lent)
	}
	// With attempts in flight, a crowded run drops the outputs that are stored.
	done, open := &plan.Record{FinishedAt: time.Now(), Output: "x"}, &plan.Record{Output: "y"}
	larger.stored([]*plan.Record{done, open})
	if larger.forgot || done.Output == nil {
		t.Error("outputs are dropped although nothing is in flight")
	}
	larger.inFlight = 1
	larger.stored([]*plan.Record{done, open})
	if !larger.forgot || done.Output != nil || open.Output == nil {
		t.Errorf("forgot %t, %v, %v", larger.forgot, done.Output, open.Output)
	}
	large.putDown()
	if got := rn.o.Budgets.Outputs.Lent(); got != 0 || large.lent != 0 {
		t.Errorf("%d bytes are lent for nobody", got)
	}
	// What a suspended run takes is reserved before it is loaded again.
	again := at(rn, large.Run.ID)
	if err := rn.makeRoom(again); err != nil || !again.large || again.lent != large.State.Memory() {
		t.Errorf("%d bytes are reserved, %v", again.lent, err)
	}
	for _, size := range []int{8 * memory.Small, 100, 2 * memory.Small} {
		again.State = with(size).State
		again.fitRoom()
		if want := rn.o.Budgets.Outputs.Need(again.State.Memory()); again.lent != want || rn.o.Budgets.Outputs.Lent() != want {
			t.Errorf("%d bytes need %d; lent are %d and %d", size, want, again.lent, rn.o.Budgets.Outputs.Lent())
		}
	}
	again.Run.Status = engine.Succeeded
	again.putDown()
	if err := rn.makeRoom(again); err != nil || again.lent != 0 {
		t.Errorf("a run that has ended takes %d bytes, %v", again.lent, err)
	}
	if err := rn.makeRoom(small); err != nil || small.large || small.lent != 0 {
		t.Errorf("a small run takes %d bytes, %v", small.lent, err)
	}
}

// TestAttemptIsHeldToTheRemainingTime: its own, that of its group, and that of the run, but for finally
// steps and what handles a run that timed out.
func TestAttemptIsHeldToTheRemainingTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name     string
			path     string
			deadline time.Duration
			active   time.Duration
			timedOut bool
			want     time.Duration
		}{
			{"its own", "a", 0, 0, false, 30 * time.Second}, {"its group's", "a", 10 * time.Second, 0, false, 10 * time.Second},
			{"a later group's", "a", time.Hour, 0, false, 30 * time.Second}, {"the run's", "a", 0, 50 * time.Second, false, 9 * time.Second},
			{"nothing", "a", 0, time.Hour, false, time.Millisecond}, {"a finally step", "finally/0", 0, time.Hour, false, 30 * time.Second},
			{"a handler", "on_failure.0", 0, time.Hour, true, 30 * time.Second},
		} {
			rn, _ := idle(t)
			ex := at(rn, 1)
			ex.Run.Active, ex.since = c.active, time.Now()
			time.Sleep(time.Second)
			ex.State = &plan.State{Workflow: &workflows.Workflow{Timeout: time.Minute}, TimedOut: c.timedOut}
			d := plan.Due{Path: c.path, Step: &workflows.Step{Timeout: 30 * time.Second}}
			if c.deadline > 0 {
				d.Deadline = time.Now().Add(c.deadline)
			}
			l := ex.allowed(d)
			if got := l.duration(l.step); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
			ex.Run.Active = time.Minute - time.Second
			if ex.timedOut() {
				t.Error("a run that has worked for its timeout has timed out")
			}
			if ex.Run.Active++; !ex.timedOut() {
				t.Error("a run that has worked for longer has not")
			}
		}
	})
}

// TestAttemptReportsToItsDestination what counts against that: no answer, or a delay that is asked for, up to the
// step's own.
func TestAttemptReportsToItsDestination(t *testing.T) {
	step, patient := &workflows.Step{}, &workflows.Step{Retry: &workflows.Retry{MaxDelay: 3 * time.Hour}}
	if o := outcome(step, nil, true); o.Failed || !o.Cut || o.Status != 0 {
		t.Errorf("cut: %+v", o)
	}
	for code, failed := range map[string]bool{"network": true, "timeout": true, "http_status": false, "panic": false} {
		if o := outcome(step, &plan.Error{Code: code, Status: 503, Message: "m"}, false); o.Failed != failed || o.Cut || o.Status != 503 ||
			o.Message != "m" {
			t.Errorf("%s: %+v", code, o)
		}
	}
	most := workflows.DefaultRetry().MaxDelay
	for _, c := range []struct {
		step        *workflows.Step
		asked, want time.Duration
	}{{step, most, most}, {step, most + 1, most}, {patient, 2 * time.Hour, 2 * time.Hour}, {patient, 4 * time.Hour, 3 * time.Hour}} {
		if o := outcome(c.step, &plan.Error{RetryAfter: c.asked}, false); o.RetryAfter != c.want {
			t.Errorf("asked for %s, it waits %s, want %s", c.asked, o.RetryAfter, c.want)
		}
	}
}

// TestCalledRunsAreEndedOnceWithTheirCaller, from what is recorded of their calls.
func TestCalledRunsAreEndedOnceWithTheirCaller(t *testing.T) {
	id := engine.EventID(1 << 40)
	call := func(event string, ending *plan.Error) *plan.Record {
		return &plan.Record{Status: plan.Waiting, Waits: []plan.Wait{{Kind: plan.WaitCall, Event: event, Ending: ending}}}
	}
	why := &plan.Error{Message: "timed out"}
	got := ending([]*plan.Record{call(id.String(), why), call(id.String(), nil), call("x", why), {Status: plan.Succeeded}})
	if len(got) != 1 || got[0].Event != id || got[0].Why != "timed out" {
		t.Errorf("%+v", got)
	}
	rn, _ := idle(t)
	if _, is := rn.IsToEnd(id); is {
		t.Error("it is to be ended before anybody said so")
	}
	rn.toEnd.Store(id, "timed out")
	if why, is := rn.IsToEnd(id); !is || why != "timed out" {
		t.Errorf("%q %t", why, is)
	}
}

// TestEndpointsAreShownWithoutTheirSecrets: an address may hold a token, a password or a secret.
func TestEndpointsAreShownWithoutTheirSecrets(t *testing.T) {
	rn, _ := idle(t)
	rn.o.Redactor.Set([]string{"secretPassw0rd2"})
	for raw, want := range map[string]string{
		"https://h.example/a?token=x": "https://h.example/a", "https://u:p@h.example/a#f": "https://h.example/a",
		"https://h.example/secretPassw0rd2/b": "https://h.example/***/b", "https://h.example/%zz": "***",
	} {
		if got := rn.showEndpoint(raw); got != want {
			t.Errorf("%s is shown as %s", raw, got)
		}
		if k := endpointKey(raw); len(k) != 24 || strings.Contains(raw, k) {
			t.Errorf("the key of %s is %s", raw, k)
		}
	}
	if endpointKey("https://h.example/a?token=x") == endpointKey("https://h.example/a?token=y") {
		t.Error("two endpoints have one key")
	}
}
