package machine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// busy notes how many attempts are under way at once, in all and by group, and in
// which order they came.
type busy struct {
	mu    sync.Mutex
	now   map[string]int
	most  map[string]int
	order []string
	pause time.Duration
}

func newBusy(pause time.Duration) *busy {
	return &busy{now: map[string]int{}, most: map[string]int{}, pause: pause}
}

func (b *busy) do(in engine.Input, _ int) (any, error) {
	n := fmt.Sprint(in.With["n"])
	group, _, _ := strings.Cut(n, " ")
	b.mu.Lock()
	b.order = append(b.order, n)
	for _, g := range []string{"", group} {
		b.now[g]++
		b.most[g] = max(b.most[g], b.now[g])
	}
	b.mu.Unlock()
	time.Sleep(b.pause)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now[""]--
	b.now[group]--
	return nil, nil
}

func outcomes(t *testing.T, s database, key string) []engine.Decision {
	t.Helper()
	events, err := s.History.Events(context.Background(), engine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		if ev.Key == key {
			id, err := engine.ParseEventID(ev.ID)
			if err != nil {
				t.Fatal(err)
			}
			d, err := s.History.EventDetail(context.Background(), id)
			if err != nil {
				t.Fatal(err)
			}
			var out []engine.Decision
			for _, x := range d.Decisions {
				out = append(out, engine.Decision{Workflow: x.Workflow, Outcome: engine.Outcome(x.Outcome), Reason: x.Reason})
			}
			return out
		}
	}
	t.Fatalf("no event %s", key)
	return nil
}

// TestRunsOfAGroupStayWithinItsLimit, and those of other groups run beside them.
func TestRunsOfAGroupStayWithinItsLimit(t *testing.T) {
	w := newWorld(t, map[string]string{"w": `on: hook
concurrency: {group: "${{ event.data.g }}", limit: 2}
steps:
  - {uses: test/act, with: {n: "${{ event.data.g }} ${{ event.key }}"}}
  - {sleep: 1ms}
  - {uses: test/act, with: {n: "${{ event.data.g }} ${{ event.key }}"}}
`})
	b := newBusy(20 * time.Millisecond)
	w.target.do = b.do
	e, s, stop := w.start(nil)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", i), fmt.Sprintf(`{"g": "g%d"}`, i%3))); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	for _, r := range settled(t, s, 30) {
		if r.Status != "succeeded" {
			t.Errorf("%s %s", r.ID, r.Status)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if b.most["g0"] > 2 || b.most["g1"] > 2 || b.most["g2"] > 2 || b.most[""] < 2 {
		t.Errorf("at once: %v", b.most)
	}
}

// TestGroupOfOneKeepsArrivalOrderAcrossRestarts: events come one after another
// while the process is ended again and again, now by a failing disk, now politely.
func TestGroupOfOneKeepsArrivalOrderAcrossRestarts(t *testing.T) {
	w := newWorld(t, map[string]string{"w": `on: hook
concurrency: {group: "${{ event.data.g }}", limit: 1}
steps:
  - {uses: test/act, with: {n: "${{ event.data.g }} ${{ event.data.i }}"}}
`, "beside": "on: hook\nsteps: [{uses: log, with: {message: x}}]"})
	w.options.MaxMatches, w.options.MaxRuns = 16, 8 // so that the lane overflows
	b := newBusy(0)
	w.target.do = b.do
	const rounds, each = 8, 40
	acked := 0
	for round := range rounds {
		var gone atomic.Bool
		e, _, stop := w.start(func(n int) error {
			if round%2 == 0 && n > 25 {
				gone.Store(true)
				return errCrash
			}
			return nil
		})
		for i := range each {
			n := round*each + i
			if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", n), fmt.Sprintf(`{"g": "g%d", "i": "%05d"}`, n%2, n))); err == nil {
				acked++
			}
		}
		if err := stop(); err != nil && !gone.Load() {
			t.Fatal(err)
		}
	}
	_, s, stop := w.start(nil)
	settled(t, s, acked)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	seen := map[string]bool{}
	for _, n := range b.order {
		g, i, _ := strings.Cut(n, " ")
		if i < last[g] {
			t.Errorf("%s began after %s of its group", n, last[g])
		}
		last[g], seen[n] = i, true
	}
	if len(seen) < acked {
		t.Errorf("%d of %d acknowledged events ran", len(seen), acked)
	}
	if b.most["g0"] > 1 || b.most["g1"] > 1 {
		t.Errorf("at once: %v", b.most)
	}
}

// TestRunsRefusedByAFullGroupAreRecorded as dropped, with the reason.
func TestRunsRefusedByAFullGroupAreRecorded(t *testing.T) {
	for _, x := range []struct{ flow, reason string }{
		{"concurrency: {on_full: drop}", "concurrency: 1 running, on_full: drop"},
		{"concurrency: {limit: 1, max_queue: 1, group: \"${{ event.type }}\"}",
			`concurrency: 1 already queued in group "t", the limit of max_queue`},
		{"rate: {limit: 1, per: 1h, on_full: drop}", "rate: 1 started within 1h, on_full: drop"},
	} {
		w := newWorld(t, map[string]string{"w": "on: hook\n" + x.flow + "\nsteps:\n  - {uses: test/act}"})
		hold := make(chan struct{})
		w.target.do = func(engine.Input, int) (any, error) { <-hold; return nil, nil }
		e, s, stop := w.start(nil)
		for i := range 3 {
			if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
				t.Fatal(err)
			}
		}
		for w.target.calls() < 1 {
			time.Sleep(time.Millisecond)
		}
		waitFor(t, func() bool { c, _ := s.History.Counts(context.Background()); return c.Inbox == 0 })
		d := outcomes(t, s, "k2")
		if len(d) != 1 || d[0].Outcome != engine.Dropped || d[0].Reason != x.reason {
			t.Errorf("%s: %+v", x.flow, d)
		}
		close(hold)
		settled(t, s, 1)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about")
		}
	}
}

// TestNewerRunReplacesTheActiveOne and all that wait: only the newest goes on, and
// the others say what became of them, also when the process ends in between.
func TestNewerRunReplacesTheActiveOne(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nconcurrency: {on_full: replace}\nsteps:\n  - {wait: {event: back, key: " +
		"\"${{ event.key }}\"}}\n  - {uses: test/act, with: {n: \"${{ event.key }}\"}}"})
	e, s, stop := w.start(nil)
	for i := range 5 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { c, _ := s.History.Counts(context.Background()); return c.Inbox == 0 && c.Open == 1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	e, s, stop = w.start(nil)
	back := delivery("k4", `{}`)
	back.Trigger = "back"
	if _, err := e.Accept(context.Background(), back); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range settled(t, s, 5) {
		got = append(got, r.Status)
		if r.Status == "cancelled" && r.Error != "a newer run took its place (on_full: replace)" {
			t.Errorf("%s: %q", r.ID, r.Error)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if strings.Join(got, " ") != "cancelled cancelled cancelled cancelled succeeded" || w.target.calls() != 1 {
		t.Errorf("%v, %d calls", got, w.target.calls())
	}
}

// TestARateSpreadsStarts so that no stretch of its length has more, and what was cut
// by a restart is not counted anew.
func TestARateSpreadsStarts(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nrate: {limit: 2, per: 150ms}\nsteps:\n  - {uses: test/act, with: {n: " +
		"\"${{ event.key }}\"}}"})
	var mu sync.Mutex
	var order []string
	w.target.do = func(in engine.Input, _ int) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, fmt.Sprint(in.With["n"]))
		return nil, nil
	}
	e, _, stop := w.start(nil)
	for i := range 7 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return w.target.calls() >= 3 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	_, s, stop := w.start(nil)
	settled(t, s, 7)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// What counts are the moments that were given: a loaded machine is late.
	if n := count(t, w.path, `SELECT count(*) FROM places`); n < 3 { // those that count no more are removed
		t.Errorf("%d starts are recorded", n)
	}
	if n := count(t, w.path, `SELECT count(*) FROM (SELECT starts_at - lag(starts_at, 2) OVER (ORDER BY starts_at) AS gap FROM places) WHERE `+
		`gap < 150`); n != 0 {
		t.Errorf("%d starts came within 150 ms of the one two before", n)
	}
	if n := count(t, w.path, `SELECT count(*) FROM places p JOIN runs r ON r.id = p.run_id WHERE r.started_at < p.starts_at`); n != 0 {
		t.Errorf("%d runs began before their moment", n)
	}
	// Those of one moment may begin in any order, on a loaded machine neighbours too.
	if len(order) != 7 {
		t.Errorf("order: %v", order)
	}
}

// TestEventOlderThanTheLastAppliedIsDropped, and what failed was not applied.
func TestEventOlderThanTheLastAppliedIsDropped(t *testing.T) {
	w := newWorld(t, map[string]string{"w": `on: hook
concurrency: {group: "${{ event.data.id }}", stale: event.data.at}
steps:
  - {if: event.data.bad == true, fail: no luck}
  - {uses: test/act, with: {n: "${{ event.key }}"}}
`})
	e, s, stop := w.start(nil)
	runs := 0
	for _, x := range []struct {
		body, outcome, reason string
	}{
		{`{"id": 1, "at": "2026-05-01T10:00:00Z"}`, "matched", ""},
		{`{"id": 1, "at": "2026-05-01T09:00:00Z"}`, "dropped", `stale: 2026-05-01T09:00:00Z is older than 2026-05-01T10:00:00Z, the last one ` +
			`applied in group "1"`},
		{`{"id": 2, "at": "2026-05-01T09:00:00Z"}`, "matched", ""},
		{`{"id": 1, "at": "2026-05-01T12:00:00.5+02:00"}`, "matched", ""}, // the same moment, half a second later
		{`{"id": 1, "at": "2026-05-03T10:00:00Z", "bad": true}`, "matched", ""},
		{`{"id": 1, "at": "2026-05-02T10:00:00Z"}`, "matched", ""},
		{`{"id": 3, "at": 7}`, "matched", ""},
		{`{"id": 3, "at": 6.5}`, "dropped", `stale: 6.5 is older than 7, the last one applied in group "3"`},
		{`{"id": 3, "at": 9007199254740993}`, "matched", ""},
		{`{"id": 3, "at": 9007199254740992}`, "dropped", `stale: 9007199254740992 is older than 9007199254740993, the last one applied in ` +
			`group "3"`},
		{`{"id": 3}`, "rule_failed", "concurrency.stale: it is nil, but must be a time or a number"},
		{`{"id": 3, "at": "soon"}`, "rule_failed", `concurrency.stale: "soon" is neither a time nor a number`},
	} {
		key := x.body
		if _, err := e.Accept(context.Background(), delivery(key, x.body)); err != nil {
			t.Fatal(err)
		}
		if x.outcome == "matched" {
			runs++
		}
		settled(t, s, runs)
		if d := outcomes(t, s, key); len(d) != 1 || string(d[0].Outcome) != x.outcome || d[0].Reason != x.reason {
			t.Errorf("%s: %+v", x.body, d)
		}
	}
	// A dead letter that newer events have overtaken is not replayed over them.
	for _, r := range settled(t, s, runs) {
		if r.Status != "failed" {
			continue
		}
		id, err := engine.ParseRunID(r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Replay(context.Background(), id, "start", "pinned", "ada"); err != nil {
			t.Errorf("the newest of its group: %v", err)
		}
		if _, err := e.Accept(context.Background(), delivery("later", `{"id": 1, "at": "2026-06-01"}`)); err != nil {
			t.Fatal(err)
		}
		settled(t, s, runs+2)
		var dropped *engine.DroppedError
		if _, err := e.ReplayRun(context.Background(), id, engine.ReplayOrder{From: "start", Version: "pinned", By: "ada",
			Again: true}); !errors.As(err, &dropped) || !strings.HasPrefix(dropped.Reason, "stale: ") {
			t.Errorf("an overtaken one: %v", err)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestEndedOrCancelledRunReleasesItsPlace, whichever way it ended, and a replay
// waits in the queue like any other.
func TestEndedOrCancelledRunReleasesItsPlace(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nconcurrency: 1\nsteps:\n  - {if: event.key == 'k0', wait: {approval: go " +
		"on}}\n  - {if: event.key == 'k1', fail: no}\n  - {uses: test/act, with: {n: \"${{ event.key }}\"}}"})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	for i := range 4 {
		if _, err := e.Accept(ctx, delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { c, _ := s.History.Counts(ctx); return c.Inbox == 0 && c.Open == 4 })
	items, err := s.History.Runs(ctx, engine.Query{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	id := func(r engine.RunItem) engine.RunID {
		id, err := engine.ParseRunID(r.ID)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	slices.SortFunc(items, func(a, b engine.RunItem) int { return strings.Compare(a.ID, b.ID) })
	if w.target.calls() != 0 {
		t.Fatal("a run began beside the one at work")
	}
	if err := e.Cancel(ctx, id(items[2])); err != nil { // one that waits for its turn
		t.Fatal(err)
	}
	if err := e.Cancel(ctx, id(items[0])); err != nil { // the one at work
		t.Fatal(err)
	}
	var got []string
	for _, r := range settled(t, s, 4) {
		got = append(got, r.Status)
	}
	slices.Sort(got)
	if strings.Join(got, " ") != "cancelled cancelled failed succeeded" {
		t.Errorf("%v", got)
	}
	if _, err := e.Replay(ctx, id(items[2]), "start", "pinned", "ada"); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 5)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if w.target.calls() != 2 {
		t.Errorf("%d calls", w.target.calls())
	}
}

// TestQueuedRunShowsWhichRunHoldsItsPlace and what that run waits for itself.
func TestQueuedRunShowsWhichRunHoldsItsPlace(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nconcurrency: {group: g, limit: 1}\nsteps: [{id: ok, wait: {approval: ok, by: " +
		"[ada, bob]}}]"})
	e, s, stop := w.start(nil)
	for _, key := range []string{"a", "b"} {
		if _, err := e.Accept(context.Background(), delivery(key, `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	holder := newest(t, s, "w", "waiting")
	d, err := s.History.RunDetail(context.Background(), newest(t, s, "w", "queued"))
	if err != nil {
		t.Fatal(err)
	}
	if q := d.Queue; q == nil || len(q.Holders) != 1 || q.Holders[0].Run != holder.String() || q.Holders[0].Status != "waiting" {
		t.Fatalf("%+v", d.Queue)
	}
	for _, want := range []string{`in group "g": 1 running, 0 ahead of it; ` + holder.String() + " has had the slot for ",
		"when it is answered by ada or bob: hookloom approve " + holder.String() + " --step ok"} {
		if !strings.Contains(d.GoesOn(time.UTC), want) {
			t.Errorf("%s: want %s", d.GoesOn(time.UTC), want)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
