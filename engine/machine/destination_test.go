package machine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// hosts is an action whose input n is "HOST WHAT".
type hosts struct{ *target }

func (h hosts) Destination(in engine.Input) string {
	host, _, _ := strings.Cut(fmt.Sprint(in.With["n"]), " ")
	return "https://" + host
}

func (h hosts) Endpoint(in engine.Input) string { return h.Destination(in) + "/hook?token=s3cret" }

func (h hosts) Do(ctx context.Context, in engine.Input) (any, error) {
	if strings.HasPrefix(fmt.Sprint(in.With["n"]), "hangs") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.target.Do(ctx, in)
}

const toHost = "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: \"${{ event.data.host }} ${{ event.key }} ${{ now() " +
	"}}\"}, timeout: 1h, retry: 0}"

func (w *world) sendTo(t *testing.T, e *machine.Engine, host string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := part; i < n; i += 8 {
				if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(host, i), fmt.Sprintf(`{"host": %q}`, host))); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
}

func ended(t *testing.T, e interface {
	Runs(context.Context, engine.Query) ([]engine.RunItem, error)
}, status string) int {
	t.Helper()
	n := 0
	q := engine.Query{Limit: 1000, Status: status}
	for {
		items, err := e.Runs(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		n += len(items)
		if len(items) < 1000 {
			return n
		}
		q.After = items[len(items)-1].ID
	}
}

// TestHangingHostDelaysNoOther: ten times as many runs wait for it as may be at
// work, and all that go elsewhere end while it still hangs.
func TestHangingHostDelaysNoOther(t *testing.T) {
	w := newWorld(t, map[string]string{"w": toHost})
	w.act, w.options.MaxRuns = hosts{w.target}, 64
	e, s, stop := w.start(nil)
	w.sendTo(t, e, "hangs.example", 640)
	w.sendTo(t, e, "well.example", 400)
	waitFor(t, func() bool { return w.target.calls() == 400 })
	waitFor(t, func() bool { return ended(t, s.History, "succeeded") == 400 })
	for _, d := range e.Destinations() {
		if d.Name == "https://hangs.example" && (d.InUse > 32 || d.Waiting < 600) {
			t.Errorf("%+v", d)
		}
	}
	// One of those that wait says so.
	waiting, err := s.History.Runs(context.Background(), engine.Query{Limit: 1, Status: "waiting"})
	if err != nil || len(waiting) != 1 {
		t.Fatalf("%v %v", waiting, err)
	}
	d, err := s.History.RunDetail(context.Background(), parseRun(t, waiting[0].ID))
	if err != nil || !strings.Contains(d.GoesOn(time.UTC), "https://hangs.example") {
		t.Errorf("%q %v", d.GoesOn(time.UTC), err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func parseRun(t *testing.T, id string) engine.RunID {
	t.Helper()
	r, err := engine.ParseRunID(id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFailingHostIsPausedUntilItResponds: while it is down few attempts are
// made and the others wait without losing one; when it is well again all go
// through, also those that waited over a restart.
func TestFailingHostIsPausedUntilItResponds(t *testing.T) {
	const runs = 200
	w := newWorld(t, map[string]string{"w": strings.Replace(toHost, "retry: 0", "retry: {max: 50, delay: 10ms, factor: 1}", 1)})
	var down atomic.Bool
	var tries atomic.Int64
	down.Store(true)
	w.target.do = func(engine.Input, int) (any, error) {
		if down.Load() {
			tries.Add(1)
			return nil, &plan.Error{Message: "broken", Code: "http_status", Status: 503, Retryable: true}
		}
		return nil, nil
	}
	w.act, w.options.MaxRuns, w.options.BreakerPause = hosts{w.target}, 32, 300*time.Millisecond
	e, _, stop := w.start(nil)
	w.sendTo(t, e, "down.example", runs)
	waitFor(t, func() bool {
		d := e.Destinations()
		return len(d) == 1 && d[0].Circuit != "closed" && d[0].Waiting > runs*9/10
	})
	before := tries.Load()
	time.Sleep(time.Second)
	if n := tries.Load() - before; n > 10 {
		t.Errorf("%d attempts in a second while the circuit was open", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	e, s, stop := w.start(nil)
	waitFor(t, func() bool { return tries.Load() > before+5 })
	down.Store(false)
	for _, r := range settled(t, s, runs) {
		if r.Status != "succeeded" {
			t.Errorf("%s %s: %s", r.ID, r.Status, r.Error)
		}
	}
	if d := e.Destinations(); d[0].Circuit != "closed" || d[0].InUse != 0 || d[0].Waiting != 0 {
		t.Errorf("%+v", d)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.target.mu.Lock()
	defer w.target.mu.Unlock()
	for key, bodies := range w.target.seen {
		for _, b := range bodies {
			if b != bodies[0] {
				t.Errorf("%s: %s and %s: a wait changed what is sent", key, bodies[0], b)
			}
		}
	}
}

// TestWaitForADeadHostIsBounded: the wait counts as a failed attempt then, and
// the run ends as its schedule says.
func TestWaitForADeadHostIsBounded(t *testing.T) {
	w := newWorld(t, map[string]string{"w": strings.Replace(toHost, "retry: 0", "retry: {max: 1, delay: 1ms}", 1)})
	w.target.do = func(engine.Input, int) (any, error) {
		return nil, &plan.Error{Message: "no route", Code: "network", Retryable: true}
	}
	w.act, w.options.BreakerPause, w.options.MaxHeld = hosts{w.target}, time.Minute, 100*time.Millisecond
	e, s, stop := w.start(nil)
	w.sendTo(t, e, "dead.example", 40)
	held := 0
	for _, r := range settled(t, s, 40) {
		if r.Status != "failed" {
			t.Errorf("%s %s", r.ID, r.Status)
		}
		if strings.HasPrefix(r.Error, "not sent: https://dead.example does not answer (no route), for 100ms") {
			held++
		}
	}
	if held < 20 {
		t.Errorf("%d ended by waiting", held)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestARetryAfterHoldsAllRunsToThatHost, and a rate of hookloom.yaml too.
func TestARetryAfterHoldsAllRunsToThatHost(t *testing.T) {
	w := newWorld(t, map[string]string{"w": strings.Replace(toHost, "retry: 0", "retry: {max: 3, delay: 1ms}", 1)})
	var asked time.Time
	var mu sync.Mutex
	early := 0
	w.target.do = func(engine.Input, int) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		if asked.IsZero() {
			asked = time.Now()
			return nil, &plan.Error{Message: "slow down", Code: "http_status", Status: 429, Retryable: true, RetryAfter: 500 * time.Millisecond}
		}
		if time.Since(asked) < 450*time.Millisecond {
			early++
		}
		return nil, nil
	}
	w.act = hosts{w.target}
	w.project.Destinations = map[string]workflows.Limit{"slow.example": {Concurrency: 1},
		"steady.example": {Rate: 10, Per: 200 * time.Millisecond}}
	e, s, stop := w.start(nil)
	w.sendTo(t, e, "slow.example", 20)
	settled(t, s, 20)
	if early > 0 {
		t.Errorf("%d attempts came before the host wanted to be asked again", early)
	}
	began := time.Now()
	w.sendTo(t, e, "steady.example", 21)
	settled(t, s, 41)
	if took := time.Since(began); took < 350*time.Millisecond {
		t.Errorf("21 attempts at 10 in 200 ms took %s", took)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestResumingADestinationEndsTheRetryPauseOfItsRun, also after a restart,
// when the destination itself is not held any more.
func TestResumingADestinationEndsTheRetryPauseOfItsRun(t *testing.T) {
	for name, restart := range map[string]bool{"held": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"w": strings.Replace(toHost, "retry: 0", "retry: {max: 3, delay: 1h, max_delay: 2h}", 1)})
			w.target.do = func(_ engine.Input, nth int) (any, error) {
				if nth == 1 {
					return nil, &plan.Error{Message: "slow down", Code: "http_status", Status: 429, Retryable: true, RetryAfter: time.Hour}
				}
				return nil, nil
			}
			w.act = hosts{w.target}
			e, s, stop := w.start(nil)
			w.sendTo(t, e, "slow.example", 1)
			waitFor(t, func() bool { return ended(t, s.History, "waiting") == 1 && e.Destinations()[0].Until != nil })
			if restart {
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				e, s, stop = w.start(nil)
			}
			if n, err := e.Unpause(context.Background(), "other.example"); n != 0 || err != nil {
				t.Errorf("another host: %d %v", n, err)
			}
			if n, err := e.Unpause(context.Background(), "slow.example"); n != 1 || err != nil {
				t.Errorf("%d %v", n, err)
			}
			waitFor(t, func() bool { return ended(t, s.History, "succeeded") == 1 })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestEndpointThatIsGoneGetsNoMoreRequests until a person says so, over restarts, and
// nothing of a secret in its URL is kept.
func TestEndpointThatIsGoneGetsNoMoreRequests(t *testing.T) {
	w := newWorld(t, map[string]string{"w": toHost})
	w.target.do = func(_ engine.Input, nth int) (any, error) {
		if w.target.calls() == 1 {
			return nil, &plan.Error{Message: "answered 410 Gone", Code: "http_status", Status: 410}
		}
		return nil, nil
	}
	w.act = hosts{w.target}
	e, s, stop := w.start(nil)
	w.sendTo(t, e, "gone.example", 1)
	if r := settled(t, s, 1)[0]; r.Error != "answered 410 Gone; the endpoint is paused: hookloom destinations --resume "+
		"https://gone.example/hook resumes it" {
		t.Errorf("%s: %s", r.Status, r.Error)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	e, s, stop = w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("again", `{"host": "gone.example"}`)); err != nil {
		t.Fatal(err)
	}
	if r := settled(t, s, 2)[0]; w.target.calls() != 1 ||
		!strings.HasPrefix(r.Error, "not sent: https://gone.example/hook answered 410 Gone before and is paused") {
		t.Errorf("%d calls, %s", w.target.calls(), r.Error)
	}
	if n, err := e.Unpause(context.Background(), "https://gone.example/hook"); n != 1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if _, err := e.Replay(context.Background(), parseRun(t, settled(t, s, 2)[0].ID), "start", "pinned", "ada"); err != nil {
		t.Fatal(err)
	}
	if r := settled(t, s, 3)[0]; r.Status != "succeeded" {
		t.Errorf("%s %s", r.Status, r.Error)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
