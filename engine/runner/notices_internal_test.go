package runner

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/alert"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
)

func TestArrivalWakesOnlyTheRunsThatWaitForIt(t *testing.T) {
	rn, _ := idle(t)
	mine, other := engine.EventWait{Trigger: "back", Key: "7"}, engine.EventWait{Trigger: "back", Key: "8"}
	waits, beside := at(rn, 1), at(rn, 2)
	for ex, w := range map[*Execution]engine.EventWait{waits: mine, beside: other} {
		ex.awaits, ex.news = []engine.EventWait{w}, make(chan struct{}, 1)
		if !rn.takeSlot(ex) {
			t.Fatal("no slot is free")
		}
	}
	for range 2 { // it holds one signal
		rn.notifyWaiting(mine)
	}
	if len(waits.news) != 1 || len(beside.news) != 0 {
		t.Errorf("%d signals for the run that waits, %d for another", len(waits.news), len(beside.news))
	}
}

// TestAnUpdateIsReportedMasked by what the run masks, or by what every run does, with each of its attempts.
func TestAnUpdateIsReportedMasked(t *testing.T) {
	rn, _ := idle(t)
	r := rn.o.Redactor
	r.Set([]string{"of-the-project"})
	rn.reg = registry.New(registry.Options{Store: rn.store.Store, Redactor: r})
	rn.alerts = alert.New(alert.Options{Store: rn.store.Store, Registry: rn.reg, Redactor: r, Log: rn.o.Log})
	var got engine.Change
	rn.o.Observe = func(c engine.Change) { got = c }
	began := time.Now()
	records := []*plan.Record{
		{Path: "a", Attempt: 2, Action: "http/post", Status: plan.Failed, StartedAt: began, FinishedAt: began.Add(time.Second),
			Input: map[string]any{"method": "POST"}, Output: map[string]any{"status": 200}, Destination: "https://h.example",
			Error: &plan.Error{Message: "of-the-project and of-the-run", Code: "http_status", Status: 503}},
		{Path: "b", Attempt: 1, Status: plan.Succeeded, StartedAt: began, Output: map[string]any{"status": 201}}}
	run := &engine.Run{ID: 1, Workflow: "w", Status: engine.Running}
	for mask, want := range map[*redact.Masker]string{nil: "*** and of-the-run", r.With([]string{"of-the-run"}): "*** and ***"} {
		rn.ReportUpdate(&engine.Event{ID: 1}, engine.RunUpdate{Run: run, Records: records, Mask: mask})
		if len(got.Steps) != 2 || got.Run != run || got.Mask == nil {
			t.Fatalf("%+v", got)
		}
		a, b := got.Steps[0], got.Steps[1]
		if a.Error != want || a.Code != "http_status" || a.HTTPStatus != 503 || a.Method != "POST" || a.Took != time.Second ||
			a.Attempt != 2 || a.Destination != "https://h.example" {
			t.Errorf("failed: %+v, want error %q", a, want)
		}
		if b.Error != "" || b.HTTPStatus != 201 || b.Took != 0 || b.Path != "b" {
			t.Errorf("succeeded: %+v", b)
		}
	}
}

// altered is a store that answers some calls in another way.
type altered struct {
	engine.Store
	size   int64
	paused []engine.Pause
	err    error
	// Each of these answers its call if it is set.
	commit func(engine.RunUpdate) error
	called func() (engine.CallState, error)
	run    func() (*engine.Run, error)
	ends   []engine.EndCall
	// shared makes it a store of several nodes, whose permits take gives.
	shared bool
	take   func([]permit.Ask) ([]permit.Grant, error)
}

func (s *altered) Shared() bool { return s.shared || s.Store.Shared() }

func (s *altered) TakePermits(ctx context.Context, asks []permit.Ask) ([]permit.Grant, error) {
	if s.take == nil {
		return s.Store.TakePermits(ctx, asks)
	}
	return s.take(asks)
}

func (s *altered) CommitRun(ctx context.Context, u engine.RunUpdate) (time.Time, error) {
	if s.commit == nil {
		return s.Store.CommitRun(ctx, u)
	}
	return time.Time{}, s.commit(u)
}

func (s *altered) Called(ctx context.Context, id engine.EventID) (engine.CallState, error) {
	if s.called == nil {
		return s.Store.Called(ctx, id)
	}
	return s.called()
}

func (s *altered) Run(ctx context.Context, id engine.RunID) (*engine.Run, error) {
	if s.run == nil {
		return s.Store.Run(ctx, id)
	}
	return s.run()
}

func (s *altered) EndCalls(ctx context.Context) ([]engine.EndCall, error) {
	if s.ends == nil {
		return s.Store.EndCalls(ctx)
	}
	return s.ends, nil
}

func (s *altered) SizeOf(context.Context, engine.EventWait) (int64, error) { return s.size, nil }
func (s *altered) Paused(context.Context) ([]engine.Pause, error)          { return s.paused, s.err }

// alter makes the runner use such a store.
func alter(rn *Runner) *altered {
	s := &altered{Store: rn.store.Store}
	rn.store = persist.New(s, rn.o.Log)
	rn.store.Start(rn.work)
	return s
}

// TestLargeArrivalsWaitForTheirMemory: a run waits for it while it holds none, and gives all of it back.
func TestLargeArrivalsWaitForTheirMemory(t *testing.T) {
	rn, _ := idle(t)
	s := alter(rn)
	rn.o.Budgets.Lookups = memory.NewBudget(10 * storedGrowth * memory.LargeAnswer)
	ex := at(rn, 1)
	lent := func(size, want int64) {
		t.Helper()
		s.size = size
		if err := ex.roomFor(engine.EventWait{}); err != nil {
			t.Fatal(err)
		}
		if got := rn.o.Budgets.Lookups.Lent(); got != want || ex.looked != want {
			t.Errorf("for %d bytes, %d are lent, and %d are to be given back; want %d", size, got, ex.looked, want)
		}
	}
	lent(memory.LargeAnswer, 0)
	lent(6*memory.LargeAnswer, 6*storedGrowth*memory.LargeAnswer)
	lent(6*memory.LargeAnswer, 12*storedGrowth*memory.LargeAnswer) // it must not wait for what it holds itself
	stopped, stop := context.WithCancel(t.Context())
	stop()
	rn.work = stopped
	second := at(rn, 2)
	if err := second.roomFor(engine.EventWait{}); err == nil || second.looked != 0 {
		t.Errorf("a second run is given %d bytes although none are left (%v)", second.looked, err)
	}
	for range 2 {
		ex.lookedUp()
	}
	if got := rn.o.Budgets.Lookups.Lent(); got != 0 || ex.looked != 0 {
		t.Errorf("%d bytes are lent for nobody", got)
	}
}

// TestSuspectsOfOneKindAreRunByOneGoroutine, and later ones after it.
func TestSuspectsOfOneKindAreRunByOneGoroutine(t *testing.T) {
	rn, _ := idle(t)
	goOn := make(chan struct{})
	var mu sync.Mutex
	tried := 0
	execute := func(list []engine.RunID) {
		<-goOn
		mu.Lock()
		defer mu.Unlock()
		tried += len(list)
	}
	begin := func() bool { return rn.beginSuspects(rn.suspects.few, []engine.RunID{1, 2}, execute) }
	if !begin() || begin() || !rn.beginSuspects(rn.suspects.few, nil, execute) {
		t.Error("two goroutines try suspects of one kind, or none does")
	}
	close(goOn)
	rn.Wait()
	if !begin() {
		t.Error("suspects are not tried once the first are done")
	}
	rn.Wait()
	if tried != 4 {
		t.Errorf("%d were tried, want 4", tried)
	}
}

// TestPausedEndpointsAreReadFromTheDatabase: what another node pauses or resumes; one that is paused here just now
// stays. That they cannot be read is an error: a start must not send to them.
func TestPausedEndpointsAreReadFromTheDatabase(t *testing.T) {
	rn, _ := idle(t)
	s := alter(rn)
	long := time.Now().Add(-time.Hour)
	for key, since := range map[string]time.Time{"kept": long, "resumed": long, "just now": time.Now()} {
		rn.paused.Store(key, engine.Pause{Key: key, At: since})
	}
	s.paused = []engine.Pause{{Key: "kept", At: long}, {Key: "elsewhere", At: long}}
	if err := rn.ReloadPaused(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, p := range rn.Paused() {
		got[p.Key] = true
	}
	if len(got) != 3 || !got["kept"] || !got["elsewhere"] || !got["just now"] {
		t.Errorf("paused are %v", got)
	}
	s.err = errors.New("the database is away")
	if err := rn.ReloadPaused(t.Context()); !errors.Is(err, s.err) || len(rn.Paused()) != 3 {
		t.Errorf("%v, and %d are paused", err, len(rn.Paused()))
	}
	if err := rn.Load(t.Context()); !errors.Is(err, s.err) {
		t.Errorf("the start: %v", err)
	}
}
