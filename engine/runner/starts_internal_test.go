package runner

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// connected is an action of the connection crm, at a receiver that can be paused.
type connected struct{ calling }

func (connected) Connection(in engine.Input) string {
	if in.With["n"] == "local" {
		return ""
	}
	return "crm"
}

func (connected) Endpoint(engine.Input) string { return host + "/hook?token=x" }

// TestWhatHoldsAnAttempt: its connection, its host, or nothing. A run that is not known to be new is declined.
func TestWhatHoldsAnAttempt(t *testing.T) {
	rn, _, _ := storedWith(t, nil, nil)
	long := func(n int) engine.Action { return named(strings.Repeat("x", n)) }
	limited := due("a")
	limited.Step.Spec = &workflows.ActionSpec{Name: "test/act", SideEffects: true, Connector: &workflows.Connector{
		Limit: workflows.Limit{Concurrency: 1}}}
	for _, c := range []struct {
		name                 string
		action               engine.Action
		held, provisional    bool
		d                    plan.Due
		busy                 bool
		host                 string // of the denial
		declined, has, watch bool
	}{
		{name: "no connection", action: calling{}, held: true, d: due("a"), has: true},
		{name: "a connection", action: connected{}, d: due("a"), has: true},
		{name: "a held one", action: connected{}, held: true, d: due("a"), host: "connection crm", watch: true},
		{name: "a held one, on the fast path", action: connected{}, held: true, provisional: true, d: due("a"), host: "connection crm",
			declined: true, watch: true},
		{name: "a host, on the fast path", action: calling{}, provisional: true, d: due("a"), has: true},
		{name: "a busy host, on the fast path", action: calling{}, provisional: true, d: limited, busy: true, host: "-", declined: true},
		{name: "a busy host", action: calling{}, d: limited, busy: true, host: host, watch: true},
		{name: "no host", action: acting(nil), d: due("a")},
		{name: "the longest name", action: long(maxDestination), d: due("a"), has: true},
		{name: "a longer name", action: long(maxDestination + 1), d: due("a")},
	} {
		rn := New(rn.o)
		rn.work = t.Context()
		rn.o.Actions = map[string]engine.Action{engine.ActionName(c.d.Step): c.action}
		if c.held {
			rn.heldConnections.Store("crm", "needs a person")
		}
		if c.busy {
			if p, _ := rn.destinations.Acquire(host, workflows.Limit{Concurrency: 1}, 9); p == nil {
				t.Fatal("no permit")
			}
		}
		ex := at(rn, 1)
		ex.provisional = c.provisional
		h := ex.permit(c.d)
		got := ""
		if h != nil {
			if got = h.Host; got == "" {
				got = "-"
			}
		}
		if got != c.host || ex.declined != c.declined || (ex.permits["a"] != nil) != c.has || (ex.permitReady != nil) != c.watch {
			t.Errorf("%s: held by %q, declined %t, permits %d, watched %t", c.name, got, ex.declined, len(ex.permits), ex.permitReady != nil)
		}
		if ex.giveBack(); len(ex.permits) != 0 {
			t.Errorf("%s: it keeps its permit", c.name)
		}
	}
}

// named is an action with a destination.
type named string

func (named) Do(context.Context, engine.Input) (any, error) { return nil, nil }
func (n named) Destination(engine.Input) string             { return string(n) }

// TestAPausedEndpointGetsNothing, and one that is gone is paused once that is stored.
func TestAPausedEndpointGetsNothing(t *testing.T) {
	var calls int
	gone := &plan.Error{Message: "answered 410 Gone", Status: 410, Code: "http_status"}
	rn, _, _ := storedWith(t, nil, connected{calling{func(context.Context, engine.Input) (any, error) { calls++; return nil, gone }}})
	s, log := broken(rn)
	s.fail("Pause", errRow)
	ex := at(rn, 1)
	for i, want := range []struct {
		code, message string
		calls         int
	}{{"http_status", "answered 410 Gone", 1}, {"http_status", "answered 410 Gone; the endpoint is paused: hookloom destinations --resume " +
		host + "/hook resumes it", 2}, {"endpoint_paused", "not sent: " + host + "/hook answered 410 Gone before and is paused; hookloom " +
		"destinations --resume " + host + "/hook resumes it", 2}} {
		_, err := ex.do(t.Context(), due("a"))
		var e *plan.Error
		if !errors.As(err, &e) || e.Code != want.code || e.Message != want.message || calls != want.calls {
			t.Errorf("call %d: %v, %d were made; want %+v", i, err, calls, want)
		}
		s.fail("", nil)
	}
	if n := strings.Count(log.String(), "was not paused"); n != 1 {
		t.Errorf("logged %d times that it was not paused: %s", n, log)
	}
	s.fail("Unpause", errRow)
	if n, err := rn.Unpause(t.Context(), host+"/hook"); n != 0 || !errors.Is(err, errRow) || len(rn.Paused()) != 1 {
		t.Errorf("resumed %d, %v", n, err)
	}
	rn.o.Actions = nil
	if _, err := ex.do(t.Context(), due("a")); err == nil || err.Error() != "there is no action test/act" {
		t.Errorf("no action: %v", err)
	}
}

// TestAnAttemptWaitsForItsHostUpToALimit, and then fails, so that a run does not wait forever.
func TestAnAttemptWaitsForItsHostUpToALimit(t *testing.T) {
	rn, _, _ := storedWith(t, nil, calling{})
	now := time.Now().UTC()
	for _, c := range []struct {
		name   string
		down   bool
		since  time.Duration // before now, 0 for never
		failed bool
		until  time.Duration
	}{
		{"busy", false, 0, false, destination.RecheckAfter}, {"down", true, 0, false, time.Minute},
		{"down for a while", true, 20 * time.Second, false, 40 * time.Second}, {"down for too long", true, time.Minute, true, 0},
		{"busy for long", false, time.Hour, false, destination.RecheckAfter},
	} {
		rn := New(rn.o)
		rn.work = t.Context()
		hold(rn, c.down)
		ex := at(rn, 1)
		ex.State = &plan.State{Now: now, Records: map[string][]*plan.Record{}}
		d := due("a")
		d.Shown = map[string]any{"n": 1}
		if c.since > 0 {
			d.HeldSince = now.Add(-c.since)
		}
		later := due("later")
		later.NotBefore = now.Add(time.Hour)
		for range 2 { // it is recorded once
			ready, next, failed := ex.ready(plan.Decision{Due: []plan.Due{later, d}, Wake: now.Add(2 * time.Hour)})
			want := now.Add(c.until)
			if c.failed {
				want = later.NotBefore
			}
			if len(ready) != 0 || failed != c.failed || !next.Equal(want) {
				t.Errorf("%s: ready %d, next after %s, failed %t", c.name, len(ready), next.Sub(now), failed)
			}
			if c.failed {
				break
			}
		}
		if len(ex.unsaved) != 1 {
			t.Fatalf("%s: %d records", c.name, len(ex.unsaved))
		}
		r := ex.unsaved[0]
		if c.failed != (r.Status == plan.Failed) || r.Action != "test/act" || r.Attempt != 1 || !r.StartedAt.Equal(now) || r.Input == nil {
			t.Errorf("%s: %+v", c.name, r)
		}
		if c.failed && (r.Error.Code != "destination_down" || !r.Error.Retryable || r.Error.Step != "a" || r.Error.Attempts != 1 ||
			!strings.HasSuffix(r.Error.Message, ", for 1m") || !r.FinishedAt.Equal(now)) {
			t.Errorf("%s: %+v", c.name, r.Error)
		}
		if !c.failed && (r.Destination == "" || r.Waits[0].Kind != plan.WaitDestination || r.Waits[0].Destination == "") {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// hold makes the host of calling busy, or one that does not answer.
func hold(rn *Runner, down bool) {
	rn.UseLimits(map[string]workflows.Limit{"api.example": {Concurrency: 1}})
	for range 20 {
		p, h := rn.destinations.Acquire(host, workflows.Limit{}, 9)
		if h != nil || !down {
			return
		}
		p.Release(destination.Outcome{Failed: true, Message: "refused"})
	}
}

// TestAPermitResumesAStoredRun if a slot is free; the destination keeps it for the next one otherwise.
func TestAPermitResumesAStoredRun(t *testing.T) {
	rn, _, _ := storedWith(t, asleep, nil)
	id := begin(t, rn, "w", true).ID
	busy := []*Execution{at(rn, 1), at(rn, 2)}
	for _, ex := range busy {
		rn.takeSlot(ex)
	}
	if rn.permitReady(id) {
		t.Error("it has no slot")
	}
	busy[0].permitReady = make(chan struct{}, 1)
	for i, run := range []engine.RunID{1, 1, 2} {
		if !rn.permitReady(run) {
			t.Errorf("call %d: run %d is at work", i, run)
		}
	}
	if n := len(busy[0].permitReady); n != 1 {
		t.Errorf("a run at work is signalled %d times", n)
	}
	rn.Release(busy[0])
	if !rn.permitReady(id) {
		t.Error("a slot is free")
	}
	rn.Wait()
	if r, err := rn.store.Run(t.Context(), id); err != nil || r.Status != engine.Waiting {
		t.Errorf("the run: %+v %v", r, err)
	}
}

// TestRunsAreExecutedBesideEachOther: those that begin, new suspects, and those that are due.
func TestRunsAreExecutedBesideEachOther(t *testing.T) {
	var atOnce, made atomic.Int32
	both := make(chan struct{})
	rn, _, _ := storedWith(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act}]\n"},
		acting(func(context.Context, engine.Input) (any, error) {
			if atOnce.Add(1) == 2 {
				close(both)
			}
			select {
			case <-both:
				made.Add(1)
			case <-time.After(5 * time.Second):
			}
			return nil, nil
		}))
	expect := func(what string) {
		t.Helper()
		rn.Wait()
		if made.Load() != 2 || rn.AtWork() != 0 {
			t.Errorf("%s: %d of two were executed at once", what, made.Load())
		}
		atOnce.Store(0)
		made.Store(0)
		both = make(chan struct{})
	}
	few := []engine.RunID{begin(t, rn, "w", true).ID, begin(t, rn, "w", true).ID}
	rn.resumeFew(append(few, engine.RunID(9<<40)))
	expect("suspects")
	begin(t, rn, "w", true)
	begin(t, rn, "w", true)
	rn.nextDue = time.Now()
	if err := rn.takeDue(t.Context()); err != nil {
		t.Error(err)
	}
	expect("due runs")
	rn.ExecuteAll([]*Execution{taken(t, rn), taken(t, rn)})
	expect("runs that begin")
}

// taken is the execution of a stored run.
func taken(t *testing.T, rn *Runner) *Execution {
	t.Helper()
	ex := rn.newExecution(nil, &engine.Run{ID: begin(t, rn, "w", true).ID})
	ex.slot = true
	if !rn.takeSlot(ex) {
		t.Fatal("no slot")
	}
	if err := rn.load(ex); err != nil {
		t.Fatal(err)
	}
	return ex
}

// TestARunThatCannotBeLoadedFreesItsSlot, and says so unless it has changed.
func TestARunThatCannotBeLoadedFreesItsSlot(t *testing.T) {
	rn, _, _ := storedWith(t, asleep, nil)
	s, log := broken(rn)
	for _, c := range []struct {
		method string
		err    error
		status engine.RunStatus
		logged string
	}{
		{"LoadRun", errRow, engine.Running, "a run cannot continue"}, {"LoadRun", engine.ErrStale, engine.Running, ""},
		{"Version", errRow, engine.Waiting, ""}, {"", nil, engine.Waiting, ""},
	} {
		r := begin(t, rn, "w", true)
		log.Reset()
		s.fail(c.method, c.err)
		done := rn.resume(r.ID, false)
		if done == nil {
			t.Fatal("no slot")
		}
		<-done
		rn.Wait()
		s.fail("", nil)
		got, err := s.Run(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != c.status || rn.AtWork() != 0 || c.logged == "" && strings.Contains(log.String(), "level=ERROR") ||
			!strings.Contains(log.String(), c.logged) {
			t.Errorf("%s fails by %v: it is %s; %s", c.method, c.err, got.Status, log)
		}
	}
}

// TestAPanicFailsOnlyItsRun, and says that it is a bug.
func TestAPanicFailsOnlyItsRun(t *testing.T) {
	rn, _, _ := storedWith(t, asleep, nil)
	s, log := broken(rn)
	id := begin(t, rn, "w", true).ID
	ex := rn.newExecution(nil, &engine.Run{ID: id})
	if err := rn.store.Take(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	ex.Run, ex.slot = r, true
	ex.Event = &engine.Event{ID: r.Event}
	rn.takeSlot(ex)
	rn.Execute(ex) // its state is missing
	if r, err = s.Run(t.Context(), id); err != nil || rn.AtWork() != 0 || !strings.Contains(log.String(), "a run panicked") {
		t.Errorf("%+v %v; %s", r, err, log)
	}
	if got := panicked("x").Error(); got != "this run panicked, which is a bug in Hookloom: x" {
		t.Error(got)
	}
	if r.Status != engine.Failed || r.Error == nil || !strings.HasPrefix(r.Error.Message, "this run panicked") {
		t.Errorf("%s: %+v", r.Status, r.Error)
	}
}
