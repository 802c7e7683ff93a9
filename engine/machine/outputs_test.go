package machine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
)

// TestManyLargeRunsAtWorkTakeBoundedMemory: 200 runs begin at once, each takes two
// answers of 4 MiB, one of them from a run that it calls, and sleeps. None fails, and what they hold together
// never exceeds the budgets by much.
func TestManyLargeRunsAtWorkTakeBoundedMemory(t *testing.T) {
	runs, most := 80, uint64(400<<20)
	if testing.Short() {
		runs = 8
	}
	list := "[" + strings.TrimSuffix(strings.Repeat(`{"a":"`+strings.Repeat("x", 430)+`"},`, 9_000), ",") + "]"
	server := large(t, list)
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n" +
		"  - {id: a, uses: test/act, with: {n: 1}}\n  - {id: b, call: other, with: {n: \"${{ len(steps.a.output.body) }}\"}}\n" +
		"  - {sleep: 20ms}\n  - {id: c, uses: log, with: {message: \"${{ len(steps.a.output.body) + len(steps.b.output.body) }}\"}}\n",
		"other": "on: call\ninputs: {n: {type: integer}}\nsteps: [{id: b, uses: test/act, with: {n: \"${{ inputs.n }}\"}}]\noutput: ${{ " +
			"steps.b.output }}\n"})
	get := actions.Executors(actions.Options{Client: server.Client(), Log: w.log})["http/get"]
	w.act = actFunc(func(ctx context.Context, in engine.Input) (any, error) {
		if n := in.With["n"]; n != 1 && n != 9_000 {
			return nil, fmt.Errorf("%v items came back", n)
		}
		in.With = map[string]any{"url": server.URL, "max_response": "4MiB"}
		return get.Do(ctx, in)
	})
	e, s, stop := w.start(nil)
	peak, done := peakHeap()
	for i := range runs {
		if _, err := e.Accept(t.Context(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(8 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := s.History.Counts(t.Context())
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v %v", c, err)
		}
		if c.Open == 0 && c.Inbox == 0 {
			break
		}
	}
	close(done)
	list2, err := s.History.Runs(t.Context(), engine.Query{Status: "succeeded", Limit: 1000})
	if err != nil || len(list2) != 2*runs {
		failed, err2 := s.History.Runs(t.Context(), engine.Query{Status: "failed", Limit: 3})
		t.Errorf("%d of %d runs succeeded: %v; of the others %+v, %v", len(list2), 2*runs, err, failed, err2)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d runs: %d MiB of heap at the peak", runs, peak.Load()>>20)
	if peak.Load() > most {
		t.Errorf("%d MiB of heap at the peak, at most %d", peak.Load()>>20, most>>20)
	}
}

// peakHeap watches what is live on the heap.
func peakHeap() (*atomic.Uint64, chan struct{}) {
	peak, done := &atomic.Uint64{}, make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
		}
	}()
	return peak, done
}

// TestLoopWithoutMemoryContinuesWhereItWas: a loop whose answers come back while the
// run is being put down loses none of them and repeats none.
func TestLoopWithoutMemoryContinuesWhereItWas(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: l, foreach: \"1..12\", max_parallel: 6, uses: test/act, with: {n: " +
		"\"${{ event.key }}-${{ item }}\"}}\n" +
		"output: ${{ map(steps.l.output, len(#)) }}\n"})
	var calls atomic.Int64
	w.act = actFunc(func(_ context.Context, in engine.Input) (any, error) {
		calls.Add(1)
		time.Sleep(time.Millisecond)
		return slices.Repeat([]any{in.With["n"]}, 15_000), nil
	})
	e, s, stop := w.start(nil)
	e.ShrinkMemory(6 << 20)
	for i := range 8 {
		if _, err := e.Accept(t.Context(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range settled(t, s, 8) {
		if got := output(t, s, mustRun(t, r.ID)); got != "succeeded ["+strings.TrimSuffix(strings.Repeat("15000,", 12), ",")+"] " {
			t.Error(got)
		}
	}
	if calls.Load() != 8*12 {
		t.Errorf("%d calls, not %d", calls.Load(), 8*12)
	}
	if n := e.MemoryLent(); n != 0 {
		t.Errorf("%d bytes are still lent", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// large serves one JSON document.
func large(t *testing.T, document string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, document) // a reader that is gone needs none
	}))
	t.Cleanup(server.Close)
	return server
}
