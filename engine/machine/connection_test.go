package machine_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/machine"
)

// connectedTarget is an action whose attempts use connection crm.
type connectedTarget struct{ *target }

func (connectedTarget) Connection(in engine.Input) string {
	if in.With["n"] == "slow" {
		return ""
	}
	return "crm"
}

const whyHeld = "connection crm needs a person: run hookloom connect crm"

const overConnection = "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: 1}, retry: 0}"

// heldWorld is a database whose connection crm needs a person while revoked is set, which
// attempts find out by themselves.
func heldWorld(t *testing.T) (w *world, revoked *atomic.Bool) {
	w, revoked = newWorld(t, map[string]string{"w": overConnection}), &atomic.Bool{}
	revoked.Store(true)
	var e *machine.Engine
	w.before = func(x *machine.Engine) { e = x }
	w.target.do = func(engine.Input, int) (any, error) {
		if revoked.Load() {
			e.HoldConnection(context.Background(), "crm", whyHeld) // as package auth does it
			return nil, &engine.HeldError{Connection: "crm", Why: whyHeld}
		}
		return map[string]any{"n": 1}, nil
	}
	w.act = connectedTarget{w.target}
	return w, revoked
}

func acceptMany(t *testing.T, e *machine.Engine, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if _, err := e.Accept(context.Background(), delivery(k, `{}`)); err != nil {
			t.Fatal(err)
		}
	}
}

// waitingForCRM waits until n runs wait on record for connection crm.
func waitingForCRM(t *testing.T, s database, n int) {
	t.Helper()
	var items []engine.RunItem
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var err error
		if items, err = s.History.Runs(context.Background(), engine.Query{Limit: 100, Status: "waiting"}); err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, x := range items {
			if x.Host == engine.HeldDestination("crm") {
				found++
			}
		}
		if found == n && len(items) == n {
			return
		}
	}
	t.Fatalf("%d runs should wait for connection crm: %+v", n, items)
}

// TestStepsWaitWhileTheirConnectionNeedsAPerson: none fails, no attempt is made while it
// is held, people are told once, and all go on when it is ready, each with one attempt.
func TestStepsWaitWhileTheirConnectionNeedsAPerson(t *testing.T) {
	w, revoked := heldWorld(t)
	e, s, stop := w.start(nil)
	acceptMany(t, e, "first")
	waitingForCRM(t, s, 1)
	acceptMany(t, e, "second", "third", "fourth")
	waitingForCRM(t, s, 4)
	if n := w.target.calls(); n != 1 {
		t.Errorf("%d attempts were made; want the one that found out", n)
	}
	alerts := alertsOf(t, e, 1)
	if alerts[0].Subject != "crm" || alerts[0].Message != whyHeld {
		t.Errorf("alert: %+v", alerts[0])
	}
	revoked.Store(false)
	n, err := e.ConnectionReady(context.Background(), "crm")
	if err != nil || n != 4 {
		t.Errorf("%d runs went on, %v; want 4", n, err)
	}
	for _, x := range settled(t, s, 4) {
		if x.Status != string(engine.Succeeded) {
			t.Errorf("%s: %s", x.ID, x.Status)
		}
	}
	if n := w.target.calls(); n != 5 {
		t.Errorf("%d attempts; want one more for each of 4 runs", n)
	}
	alertsOf(t, e, 0)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// hosted is a connected action whose attempts go to one host.
type hosted struct{ connectedTarget }

func (hosted) Destination(engine.Input) string { return "https://crm.example" }

// TestHeldAttemptDoesNotCountForItsHost: its permit comes back, and the host has neither answered nor failed.
func TestHeldAttemptDoesNotCountForItsHost(t *testing.T) {
	w, _ := heldWorld(t)
	w.act = hosted{connectedTarget{w.target}}
	var e *machine.Engine
	found, during := w.target.do, make(chan []destination.State, 1)
	w.target.do = func(in engine.Input, n int) (any, error) {
		during <- e.Destinations()
		return found(in, n)
	}
	before := w.before
	w.before = func(x *machine.Engine) { e = x; before(x) }
	_, s, stop := w.start(nil)
	acceptMany(t, e, "first")
	waitingForCRM(t, s, 1)
	was, is := <-during, e.Destinations()
	if len(was) != 1 || len(is) != 1 || was[0].InUse != 1 || is[0].InUse != 0 || is[0].Limit != was[0].Limit || is[0].Last != "" {
		t.Errorf("during the attempt %+v, after it %+v", was, is)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// alertsOf waits until n alerts of connections are open.
func alertsOf(t *testing.T, e *machine.Engine, n int) []engine.OpenAlert {
	t.Helper()
	var out []engine.OpenAlert
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		out = nil
		for _, a := range e.OpenAlerts() {
			if a.Kind == engine.AlertConnectionHeld {
				out = append(out, a)
			}
		}
		if len(out) == n {
			return out
		}
	}
	t.Fatalf("open alerts of connections: %+v; want %d", out, n)
	return nil
}

// suspensions is a store that counts the runs that are recorded as waiting after their start.
type suspensions struct {
	engine.Store
	n atomic.Int64
}

func (x *suspensions) CommitRun(ctx context.Context, u engine.RunUpdate) (time.Time, error) {
	due, err := x.Store.CommitRun(ctx, u)
	if err == nil && u.Run.Status == engine.Waiting {
		x.n.Add(1)
	}
	return due, err
}

// TestConnectionConnectedDuringDowntimeHoldsNoRuns: the next process closes the
// alert that the one before left open, and the runs go on.
func TestConnectionConnectedDuringDowntimeHoldsNoRuns(t *testing.T) {
	w, revoked := heldWorld(t)
	e, s, stop := w.start(nil)
	e.HoldConnection(context.Background(), "crm", whyHeld)
	acceptMany(t, e, "first", "second")
	waitingForCRM(t, s, 2)
	alertsOf(t, e, 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// A process that starts makes the runs due, finds their connection held, and suspends them again.
	var again suspensions
	w.before = func(e *machine.Engine) { e.HoldConnection(context.Background(), "crm", whyHeld) }
	w.store = func(s engine.Store) engine.Store { again.Store = s; return &again }
	e, s, stop = w.start(nil)
	for deadline := time.Now().Add(time.Minute); again.n.Load() < 2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	waitingForCRM(t, s, 2)
	alertsOf(t, e, 1)
	if n := w.target.calls(); n != 0 {
		t.Errorf("%d attempts were made over a held connection", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	revoked.Store(false)
	w.before = func(e *machine.Engine) {
		if _, err := e.ConnectionReady(context.Background(), "crm"); err != nil {
			t.Error(err)
		}
	}
	other, err := w.open(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := other.ResumeHeld(context.Background(), engine.HeldDestination("crm"), time.Now()); err != nil || n != 2 {
		t.Errorf("%d runs made due, %v; want 2", n, err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	e, s, stop = w.start(nil)
	for _, x := range settled(t, s, 2) {
		if x.Status != string(engine.Succeeded) {
			t.Errorf("%s: %s", x.ID, x.Status)
		}
	}
	alertsOf(t, e, 0)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// readyMeanwhile is a store in which connection crm becomes ready just before the run that
// found it held is recorded as waiting.
type readyMeanwhile struct {
	engine.Store
	ready func()
}

func (x readyMeanwhile) CommitRun(ctx context.Context, u engine.RunUpdate) (time.Time, error) {
	if u.Run.Status == engine.Waiting {
		x.ready()
	}
	return x.Store.CommitRun(ctx, u)
}

func (x readyMeanwhile) Match(ctx context.Context, list []engine.Match) ([]engine.MatchResult, error) {
	for _, m := range list {
		if slices.ContainsFunc(m.Starts, func(u engine.RunUpdate) bool { return u.Run.Status == engine.Waiting }) {
			x.ready()
		}
	}
	return x.Store.Match(ctx, list)
}

// TestRunContinuesIfItsConnectionIsReadyDuringSuspension, at its start or later, at once and not when it looks by
// itself.
func TestRunContinuesIfItsConnectionIsReadyDuringSuspension(t *testing.T) {
	for _, steps := range []string{"", "  - {uses: test/act, with: {n: slow}}\n"} {
		w, revoked := heldWorld(t)
		w.project = project(t, map[string]string{"w": "on: hook\nsteps:\n" + steps + "  - {uses: test/act, with: {n: 1}, retry: 0}"})
		revoked.Store(false)
		var e *machine.Engine
		calls := 0
		w.before = func(x *machine.Engine) {
			e = x
			e.HoldConnection(context.Background(), "crm", whyHeld)
		}
		w.store = func(s engine.Store) engine.Store {
			return readyMeanwhile{s, func() {
				calls++
				if _, err := e.ConnectionReady(context.Background(), "crm"); err != nil {
					t.Error(err)
				}
			}}
		}
		_, s, stop := w.start(nil)
		acceptMany(t, e, "first")
		if x := settled(t, s, 1)[0]; x.Status != string(engine.Succeeded) {
			t.Errorf("%s", x.Status)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if calls == 0 {
			t.Error("the run never waited")
		}
	}
}

// TestStepContinuesOnceItsConnectionIsReady: the run is not put down, and
// must not wait for the other step's end.
func TestStepContinuesOnceItsConnectionIsReady(t *testing.T) {
	w, _ := heldWorld(t)
	w.project = project(t, map[string]string{"w": "on: hook\nsteps:\n  - parallel:\n      - {uses: test/act, with: {n: slow}}\n" +
		"      - {uses: test/act, with: {n: 1}, retry: 0}"})
	began, end, went := make(chan struct{}), make(chan struct{}), make(chan struct{})
	w.target.do = func(in engine.Input, _ int) (any, error) {
		if in.With["n"] == "slow" {
			close(began)
			<-end
		} else {
			close(went)
		}
		return nil, nil
	}
	w.before = func(e *machine.Engine) { e.HoldConnection(context.Background(), "crm", whyHeld) }
	e, s, stop := w.start(nil)
	acceptMany(t, e, "first")
	<-began
	if _, err := e.ConnectionReady(context.Background(), "crm"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-went:
	case <-time.After(time.Minute):
		t.Error("the step did not go on while the other was at work")
	}
	close(end)
	settled(t, s, 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
