package machine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/testsize"
)

const (
	debounceFlow = `on: hook
debounce: {key: event.data.k, wait: %s, max: %s}
steps: [{uses: test/act, with: {n: "${{ event.data.k }}:${{ event.data.n }}"}}]
`
	batchFlow = `on: hook
batch: {key: event.data.k, size: %d, wait: %s}
steps: [{uses: test/act, with: {n: "${{ event.data.k }}:${{ map(events, .data.n) | join(',') }}"}}]
`
)

func send(t *testing.T, e *machine.Engine, key, group string) engine.EventID {
	t.Helper()
	r, err := e.Accept(context.Background(), delivery(key, fmt.Sprintf(`{"k": %q, "n": %q}`, group, key)))
	if err != nil {
		t.Fatal(err)
	}
	return r.Event
}

func sortedCopy(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// TestDebounceRunsTheLastEventOfABurst, and each key has a burst of its own.
func TestDebounceRunsTheLastEventOfABurst(t *testing.T) {
	w := newWorld(t, map[string]string{"w": fmt.Sprintf(debounceFlow, "200ms", "1m")})
	e, s, stop := w.start(nil)
	for i := range 5 {
		send(t, e, fmt.Sprint("a", i), "a")
		send(t, e, fmt.Sprint("b", i), "b")
	}
	runs := settled(t, s, 2)
	if got := sortedCopy(w.target.sent("")); len(runs) != 2 || !slices.Equal(got, []string{"a:a4", "b:b4"}) {
		t.Errorf("%d runs, sent %q", len(runs), got)
	}
	for i, want := range []engine.Outcome{engine.Folded, engine.Folded, engine.Folded, engine.Folded, engine.Matched} {
		if d := outcomes(t, s, fmt.Sprint("a", i)); len(d) != 1 || d[0].Outcome != want {
			t.Errorf("a%d: %v, want %s", i, d, want)
		}
	}
	send(t, e, "a5", "a")
	if runs := settled(t, s, 3); len(runs) != 3 {
		t.Errorf("an event after the burst made %d runs in all, want 3", len(runs))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestDebounceMaxBoundsAnEndlessBurst(t *testing.T) {
	w := newWorld(t, map[string]string{"w": fmt.Sprintf(debounceFlow, "150ms", "300ms")})
	e, s, stop := w.start(nil)
	began := time.Now()
	first := time.Duration(0)
	for i := 0; first == 0 && time.Since(began) < 10*time.Second; i++ {
		send(t, e, fmt.Sprint(i), "a")
		time.Sleep(20 * time.Millisecond)
		if w.target.calls() > 0 {
			first = time.Since(began)
		}
	}
	if first < 300*time.Millisecond || first > 3*time.Second {
		t.Errorf("the first run began after %s, want max: 300ms", first)
	}
	settled(t, s, 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestBatchStartsWhenFullOrAfterItsTime(t *testing.T) {
	w := newWorld(t, map[string]string{"w": fmt.Sprintf(batchFlow, 3, "400ms")})
	e, s, stop := w.start(nil)
	began := time.Now()
	for i := range 7 {
		send(t, e, fmt.Sprint(i), "a")
	}
	waitFor(t, func() bool { return w.target.calls() == 2 })
	if full := time.Since(began); full > 350*time.Millisecond {
		t.Skipf("the machine is too slow: two full batches took %s", full)
	}
	settled(t, s, 3)
	if got := sortedCopy(w.target.sent("")); !slices.Equal(got, []string{"a:0,1,2", "a:3,4,5", "a:6"}) {
		t.Errorf("sent %q", got)
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("the last batch waited %s, want 400ms", took)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestACrashAtAnyWriteLosesNoGatheredEvent fails the n-th commit and all after it, for
// every n: each acknowledged event is in exactly one run, and no run is made twice.
func TestACrashAtAnyWriteLosesNoGatheredEvent(t *testing.T) {
	for _, c := range []struct{ name, flow string }{
		{"debounce", fmt.Sprintf(debounceFlow, "30ms", "1m")},
		{"batch", fmt.Sprintf(batchFlow, 3, "30ms")},
		{"batch with a place", fmt.Sprintf(batchFlow, 3, "30ms") + "concurrency: 1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			standard := 1
			if testing.Short() {
				standard = 4
			}
			step := testsize.Of(t, "HOOKLOOM_FAULTSTEP", standard)
			for n := 1; crashWhileGathering(t, c.flow, n); n += step {
				if n > 200 {
					t.Fatal("there is no end of writes")
				}
			}
		})
	}
}

// crashWhileGathering reports whether the n-th write came.
func crashWhileGathering(t *testing.T, flow string, n int) bool {
	w := newWorld(t, map[string]string{"w": flow})
	var mu sync.Mutex
	crashed := false
	e, _, stop := w.start(func(i int) error {
		mu.Lock()
		defer mu.Unlock()
		if i >= n {
			crashed = true
			return errCrash
		}
		return nil
	})
	acked := []string{}
	for i := range 5 {
		key := fmt.Sprint("k", i)
		if _, err := e.Accept(context.Background(), delivery(key, fmt.Sprintf(`{"k": "a", "n": %q}`, key))); err == nil {
			acked = append(acked, key)
		}
	}
	time.Sleep(40 * time.Millisecond)
	if err := stop(); err != nil && !errors.Is(err, errCrash) && !strings.Contains(err.Error(), "power") {
		t.Fatalf("n=%d: %v", n, err)
	}
	_, s, stop2 := w.start(nil)
	settled(t, s, min(1, len(acked)))
	checkGathered(t, s, fmt.Sprintf("n=%d", n), acked)
	if err := stop2(); err != nil {
		t.Fatalf("n=%d: %v", n, err)
	}
	mu.Lock()
	defer mu.Unlock()
	return crashed
}

// checkGathered holds that each event is in exactly one run, and that all rows agree.
func checkGathered(t *testing.T, s database, where string, acked []string) {
	t.Helper()
	ctx := context.Background()
	in := map[string]int{}
	for _, r := range runsIn(t, s.History) {
		if r.Status != "succeeded" {
			t.Errorf("%s: run %s %s: %s", where, r.ID, r.Status, r.Error)
		}
		id, err := engine.ParseRunID(r.ID)
		if err != nil {
			t.Fatal(err)
		}
		ids, _, err := s.Gathered(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		in[r.Event]++
		for _, ev := range ids {
			in[ev.String()]++
		}
	}
	stored := map[string]string{}
	for _, ev := range eventsIn(t, s.History) {
		stored[ev.Key] = ev.ID
		if in[ev.ID] != 1 {
			t.Errorf("%s: event %s is in %d runs", where, ev.Key, in[ev.ID])
		}
	}
	for _, key := range acked {
		if stored[key] == "" {
			t.Errorf("%s: acknowledged %s is lost", where, key)
		}
	}
	if wrong, err := s.wrong(ctx); err != nil || len(wrong) > 0 {
		t.Errorf("%s: %v, %v", where, wrong, err)
	}
}

// checkRows holds what hookloom check does.
func checkRows(t *testing.T, s database, where string) {
	t.Helper()
	s.holds(t, where)
}
