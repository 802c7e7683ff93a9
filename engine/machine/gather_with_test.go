package machine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// This file holds debounce and batch against what else the language and people do with
// runs and events.

// gathered waits until a number of events is in the gathering of the only open run.
func gathered(t *testing.T, s database, n int) engine.RunID {
	t.Helper()
	var id engine.RunID
	waitFor(t, func() bool {
		runs, err := s.History.Runs(context.Background(), engine.Query{Status: "queued"})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) != 1 {
			return false
		}
		id = parseRun(t, runs[0].ID)
		d, err := s.History.RunDetail(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		return d.Gathering != nil && d.Gathering.Events == n
	})
	return id
}

// TestAReplayOfABatchHasItsEvents, and an event that is decided again by hand runs alone.
func TestAReplayOfABatchHasItsEvents(t *testing.T) {
	w := newWorld(t, map[string]string{"w": fmt.Sprintf(batchFlow, 3, "1h")})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	var last engine.EventID
	for i := range 3 {
		last = send(t, e, fmt.Sprint(i), "a")
	}
	first := parseRun(t, settled(t, s, 1)[0].ID)
	if _, err := e.Replay(ctx, first, "start", "pinned", "ada"); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 2)
	if got := w.target.sent(""); !slices.Equal(got, []string{"a:0,1,2", "a:0,1,2"}) {
		t.Errorf("sent %q", got)
	}
	a, err := e.DecideAgain(ctx, last, "w", true, "ada")
	if err != nil || a.Outcome != "matched" || a.Run == "" {
		t.Fatalf("%+v %v", a, err)
	}
	settled(t, s, 3)
	if got := sortedCopy(w.target.sent("")); !slices.Contains(got, "a:2") {
		t.Errorf("sent %q", got)
	}
	// What took part in a run has had its run: a batch order leaves it alone.
	if _, err := e.StartBatch(ctx, engine.Selection{Workflow: "w", Since: time.Now().Add(-time.Hour)}, engine.MaxRate, "ada"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		list, err := e.Batches(ctx)
		return err == nil && len(list) == 1 && list[0].State == engine.BatchDone
	})
	if runs := settled(t, s, 3); len(runs) != 3 {
		t.Errorf("%d runs, want 3", len(runs))
	}
	checkRows(t, s, "replays")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestHeldEventsAreGatheredWhenTheWorkflowIsSwitchedOn, in their order.
func TestHeldEventsAreGatheredWhenTheWorkflowIsSwitchedOn(t *testing.T) {
	w := newWorld(t, map[string]string{"w": fmt.Sprintf(batchFlow, 3, "1h"), "last": fmt.Sprintf(debounceFlow, "200ms", "1m")})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	for _, id := range []string{"w", "last"} {
		if _, err := e.Switch(ctx, engine.SwitchOrder{Workflow: id, Hold: true, By: "ada"}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		send(t, e, fmt.Sprint(i), "a")
	}
	waitFor(t, func() bool { c, err := s.History.Counts(ctx); return err == nil && c.Inbox == 0 })
	for _, id := range []string{"w", "last"} {
		if _, err := e.Switch(ctx, engine.SwitchOrder{Workflow: id, On: true, By: "ada"}); err != nil {
			t.Fatal(err)
		}
	}
	settled(t, s, 2)
	if got := sortedCopy(w.target.sent("")); !slices.Equal(got, []string{"a:0,1,2", "a:2"}) {
		t.Errorf("sent %q", got)
	}
	checkRows(t, s, "held")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestGatheredEventsAreNotPruned while its run is open, nor are its bodies; both go after.
func TestGatheredEventsAreNotPruned(t *testing.T) {
	w := newWorld(t, map[string]string{"w": fmt.Sprintf(batchFlow, 3, "1h")})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	send(t, e, "0", "a")
	send(t, e, "1", "a")
	gathered(t, s, 2)
	for _, h := range []workflows.History{{Bodies: time.Nanosecond}, {Keep: time.Nanosecond}} {
		if n, err := e.Prune(ctx, h); err != nil || n.Events+n.Runs+n.Bodies != 0 {
			t.Errorf("pruned while it gathers: %+v %v", n, err)
		}
	}
	send(t, e, "2", "a")
	settled(t, s, 1)
	if got := w.target.sent(""); !slices.Equal(got, []string{"a:0,1,2"}) {
		t.Errorf("sent %q", got)
	}
	time.Sleep(2 * time.Millisecond) // what ended in this millisecond is not older than it
	if n, err := e.Prune(ctx, workflows.History{Keep: time.Nanosecond}); err != nil || n.Events != 3 || n.Runs != 1 {
		t.Errorf("pruned after it ended: %+v %v", n, err)
	}
	checkRows(t, s, "pruned")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestGatheringBesideOtherKeys: a rule that says no gathers nothing, an empty key is a
// failed rule, a manual start is not held back, and a place is asked for at the end.
func TestGatheringBesideOtherKeys(t *testing.T) {
	flow := "on: [hook, manual]\nwhen: event.inlet == 'manual' or event.data.k != 'no'\ndebounce: {key: event.data.k, wait: 100ms}\n" +
		"concurrency: {limit: 1, on_full: drop}\nsteps: [{uses: test/act, with: {n: \"${{ event.data.k ?? 'manual' }}\"}}, {sleep: 10s}]\n"
	w := newWorld(t, map[string]string{"w": flow})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	send(t, e, "skipped", "no")
	send(t, e, "empty", "")
	waitFor(t, func() bool { c, err := s.History.Counts(ctx); return err == nil && c.Inbox == 0 })
	for key, want := range map[string]engine.Outcome{"skipped": engine.Skipped, "empty": engine.RuleFailed} {
		if d := outcomes(t, s, key); len(d) != 1 || d[0].Outcome != want {
			t.Errorf("%s: %v, want %s", key, d, want)
		}
	}
	began := time.Now()
	if _, err := e.Fire(ctx, "w", nil, "ada", ""); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return len(w.target.sent("manual")) == 1 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a manual start waited %s", took)
	}
	id := runOf(t, s, send(t, e, "full", "a"))
	waitFor(t, func() bool { r, err := s.Run(ctx, id); return err == nil && r.Status.Ended() })
	if r, err := s.Run(ctx, id); err != nil || r.Status != engine.Cancelled || r.Error == nil || r.Error.Code != "dropped" ||
		!strings.Contains(r.Error.Message, "on_full: drop") {
		t.Errorf("a run without a place: %+v %v", r, err)
	}
	checkRows(t, s, "others")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAGatheredRunCanBeCancelled: the next event begins another.
func TestAGatheredRunCanBeCancelled(t *testing.T) {
	w := newWorld(t, map[string]string{"w": fmt.Sprintf(batchFlow, 2, "1h")})
	e, s, stop := w.start(nil)
	send(t, e, "0", "a")
	if err := e.Cancel(context.Background(), gathered(t, s, 1)); err != nil {
		t.Fatal(err)
	}
	send(t, e, "1", "a")
	send(t, e, "2", "a")
	settled(t, s, 2)
	if got := w.target.sent(""); !slices.Equal(got, []string{"a:1,2"}) {
		t.Errorf("sent %q", got)
	}
	checkRows(t, s, "cancelled")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestGatheredRunHasTheVersionOfTheLastDecision, when the workflow changes meanwhile.
func TestGatheredRunHasTheVersionOfTheLastDecision(t *testing.T) {
	w := newWorld(t, map[string]string{"w": fmt.Sprintf(debounceFlow, "300ms", "1m")})
	e, s, stop := w.start(nil)
	send(t, e, "0", "a")
	gathered(t, s, 1)
	next := project(t, map[string]string{"w": strings.Replace(fmt.Sprintf(debounceFlow, "300ms", "1m"), "n: \"", "n: \"new ", 1)})
	if err := e.Use(context.Background(), next); err != nil {
		t.Fatal(err)
	}
	send(t, e, "1", "a")
	settled(t, s, 1)
	if got := w.target.sent(""); !slices.Equal(got, []string{"new a:1"}) {
		t.Errorf("sent %q", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestGatheringAcrossRandomRestarts is a model: events of random keys go to a debounce and
// a batch while the store fails at random commits and the process starts again. Each event
// is in exactly one run of each, a batch is no larger than its size, and the run of a
// burst has its newest event.
func TestGatheringAcrossRandomRestarts(t *testing.T) {
	seeds, rounds := 3, 5
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			gatherOverRestarts(t, rand.New(rand.NewPCG(uint64(seed), 7)), rounds)
		})
	}
}

func gatherOverRestarts(t *testing.T, r *rand.Rand, rounds int) {
	w := newWorld(t, map[string]string{"all": fmt.Sprintf(batchFlow, 4, "40ms"), "last": fmt.Sprintf(debounceFlow, "15ms", "60ms")})
	acked, sent := []string{}, 0
	for range rounds {
		var mu sync.Mutex
		n := 5 + r.IntN(60)
		e, _, stop := w.start(func(i int) error {
			mu.Lock()
			defer mu.Unlock()
			if i >= n {
				return errCrash
			}
			return nil
		})
		for range 25 {
			sent++
			key := fmt.Sprint("k", sent)
			if _, err := e.Accept(context.Background(), delivery(key, fmt.Sprintf(`{"k": "g%d", "n": %q}`, r.IntN(3), key))); err == nil {
				acked = append(acked, key)
			}
			time.Sleep(time.Duration(r.IntN(8)) * time.Millisecond)
		}
		if err := stop(); err != nil && !errors.Is(err, errCrash) && !strings.Contains(err.Error(), "power") {
			t.Fatal(err)
		}
	}
	_, s, stop := w.start(nil)
	settled(t, s, 1)
	in := map[string]int{}
	runs, err := s.History.Runs(context.Background(), engine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		ids, _, err := s.Gathered(context.Background(), parseRun(t, run.ID))
		if err != nil {
			t.Fatal(err)
		}
		if run.Workflow == "all" && len(ids) > 3 {
			t.Errorf("%s has %d events, size: 4", run.ID, len(ids)+1)
		}
		in[run.Workflow+run.Event]++
		for _, id := range ids {
			in[run.Workflow+id.String()]++
			if run.Workflow == "last" && id.String() > run.Event {
				t.Errorf("%s is of %s, and %s is newer", run.ID, run.Event, id)
			}
		}
	}
	events, err := s.History.Events(context.Background(), engine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]bool{}
	for _, ev := range events {
		stored[ev.Key] = true
		if in["all"+ev.ID] != 1 || in["last"+ev.ID] != 1 {
			t.Errorf("event %s is in %d batches and %d bursts", ev.Key, in["all"+ev.ID], in["last"+ev.ID])
		}
	}
	for _, key := range acked {
		if !stored[key] {
			t.Errorf("acknowledged %s is lost", key)
		}
	}
	checkRows(t, s, "after restarts")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
