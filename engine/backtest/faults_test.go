package backtest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/store"
)

var errFault = errors.New("the disk cannot be read")

// faulty is a real history of which one read fails.
type faulty struct {
	engine.RecordHistory
	// reads counts the reads; failAt is the number of the one that fails.
	reads, failAt int
	failed        string
	mu            sync.Mutex
}

func (h *faulty) fault(what string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reads++; h.reads == h.failAt {
		h.failed = what
		return errFault
	}
	return nil
}

func (h *faulty) RecordedPage(ctx context.Context, q engine.RecordedQuery) ([]*engine.RecordedEvent, error) {
	if err := h.fault("page"); err != nil {
		return nil, err
	}
	return h.RecordHistory.RecordedPage(ctx, q)
}

func (h *faulty) RecordedIDs(ctx context.Context, q engine.RecordedQuery, do func(engine.EventID)) error {
	if err := h.fault("ids"); err != nil {
		return err
	}
	return h.RecordHistory.RecordedIDs(ctx, q, do)
}

func (h *faulty) AllUses(ctx context.Context) ([]engine.VersionUses, error) {
	if err := h.fault("uses"); err != nil {
		return nil, err
	}
	return h.RecordHistory.AllUses(ctx)
}

func (h *faulty) MadeEvent(ctx context.Context, run engine.RunID, workflow, key string, at time.Time) (engine.EventID, error) {
	if err := h.fault("made"); err != nil {
		return 0, err
	}
	return h.RecordHistory.MadeEvent(ctx, run, workflow, key, at)
}

func (h *faulty) KeySeen(ctx context.Context, trigger, key string) (time.Time, error) {
	if err := h.fault("key"); err != nil {
		return time.Time{}, err
	}
	return h.RecordHistory.KeySeen(ctx, trigger, key)
}

func (h *faulty) FirstReceived(ctx context.Context) (time.Time, error) {
	if err := h.fault("first"); err != nil {
		return time.Time{}, err
	}
	return h.RecordHistory.FirstReceived(ctx)
}

// TestAReadThatFailsIsReported checks for each read of a backtest that its failure ends the backtest, or is
// the reason why a run is unknown: it is never taken for something that is not recorded.
func TestAReadThatFailsIsReported(t *testing.T) {
	flows := maps.Clone(maker)
	flows["quiet"] = "on: hook\ndebounce: {wait: 10s}\n" + acts
	path := record(t, flows, send(t, bodies[1]))
	first, err := engine.ParseEventID(idsOf(t, path)[0])
	if err != nil {
		t.Fatal(err)
	}
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	shop := map[string]bool{"shop": true}
	seen := map[string]bool{}
	for i, x := range []struct {
		edit
		set func(*backtest.Options)
	}{
		{edit{"shop", "n > 0", "n > 9"}, func(o *backtest.Options) { o.Workflows = shop }},
		{edit{"shop", "n > 0", "n > 9"}, nil},
		{edit{"shop", "steps:\n", "steps:\n  - {id: f, uses: hookloom/emit, with: {trigger: inside, key: new, data: {n: 8}}}\n"}, nil},
		{edit{"shop", "x: \"${{ event.data.n }}\"", "x: 3"}, func(o *backtest.Options) {
			o.Query.IDs, o.Chosen = []engine.EventID{first}, map[engine.Chosen]bool{{Event: first, Workflow: "shop"}: true}
		}},
		{edit{"other", acts, "steps: [{call: spare, with: {x: 4}, detach: true}]\n"}, func(o *backtest.Options) {
			o.Workflows, o.Against = map[string]bool{"other": true}, load(t, maker).Workflows["other"]
		}},
		{edit{"other", "on: hook", "on: {workflow_run: {workflows: [callee], status: [succeeded]}}"}, func(o *backtest.Options) {
			o.Workflows = map[string]bool{"other": true}
		}},
		{edit{"quiet", "debounce: {wait: 10s}\n", "concurrency: {limit: 1, on_full: replace}\n"}, nil},
		{edit{}, func(o *backtest.Options) {
			o.Limit = 1
			o.Schedules = func(context.Context, time.Time, time.Time) ([]*engine.ScheduleChange, error) { return nil, nil }
		}},
	} {
		project, actions := load(t, edited(t, flows, x.edit)), table()
		for n := 1; ; n++ {
			f := &faulty{RecordHistory: h, failAt: n}
			var unknown []string
			o := backtest.Options{History: f, Project: project, Actions: actions, Gentle: i == 0,
				Change:  func(backtest.Change) error { return nil },
				Unknown: func(u backtest.Unknown) error { unknown = append(unknown, u.Reason); return nil }}
			if x.set != nil {
				x.set(&o)
			}
			_, err := backtest.Run(context.Background(), o)
			if f.failed == "" {
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
				break
			}
			seen[f.failed] = true
			if !errors.Is(err, errFault) && !strings.Contains(strings.Join(unknown, ";"), errFault.Error()) {
				t.Errorf("%d: read %d (%s) failed: %v, unknown %q", i, n, f.failed, err, unknown)
			}
		}
	}
	if got := slices.Sorted(maps.Keys(seen)); fmt.Sprint(got) != "[first ids key made page uses]" {
		t.Errorf("only %v failed", got)
	}
}

// TestAReaderOfFindingsCanEndTheBacktest checks for each finding that an error of the function that gets it
// ends the backtest.
func TestAReaderOfFindingsCanEndTheBacktest(t *testing.T) {
	flows := maps.Clone(maker)
	flows["busy"] = "on: hook\nconcurrency: {limit: 1, on_full: replace}\nsteps: [{uses: test/act, with: {n: 1}}, {sleep: 7s}]\n"
	flows["quiet"] = "on: hook\ndebounce: {wait: 10s}\n" + acts
	path := record(t, flows, bursts(t, 0, 5, 30))
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for i, changes := range [][]edit{
		{{"shop", "data: {n: \"${{ event.data.n }}\"}", "data: {n: 9}"}, {"heard", "n > 5", "n > 8"}},
		{{"busy", "on_full: replace", "on_full: drop"}, {"quiet", "wait: 10s", "wait: 3s"}},
		{{"busy", "limit: 1, on_full: replace", "limit: 1, on_full: replace, group: event.data.n"}, {"quiet", "debounce: {wait: 10s}\n", ""}},
		{{"busy", "concurrency: {limit: 1, on_full: replace}\n", "concurrency: 1\n"}},
		{{"quiet", "debounce: {wait: 10s}\n", "batch: {size: 2, wait: 10s, key: event.data.gone.deeper}\n"}},
		{{"quiet", "debounce: {wait: 10s}\n", "concurrency: {limit: 1, group: event.data.gone.deeper}\n"}},
	} {
		project := flows
		for _, x := range changes {
			project = edited(t, project, x)
		}
		all := test(t, path, project, nil)
		findings := len(all.changes) + len(all.unknown)
		if findings == 0 {
			t.Errorf("%d: nothing is found", i)
		}
		p, actions := load(t, project), table()
		for n := 1; n <= findings; n++ {
			left := n
			end := func() error {
				if left--; left == 0 {
					return errFault
				}
				return nil
			}
			_, err = backtest.Run(context.Background(), backtest.Options{History: h, Project: p, Actions: actions,
				Change:  func(backtest.Change) error { return end() },
				Unknown: func(backtest.Unknown) error { return end() }})
			if !errors.Is(err, errFault) || left < 0 {
				t.Errorf("%d: the reader of finding %d failed: %v, and %d more are reported", i, n, err, -left)
			}
		}
	}
}

// TestSelectedEventsAreCompared checks which events a limit, a sample, a window and a trigger select, over
// several pages.
func TestSelectedEventsAreCompared(t *testing.T) {
	golden(t)
	flows := map[string]string{"plain": "on: hook\n" + acts}
	path := record(t, flows, bursts(t, make([]int, 203)...))
	edited := map[string]string{"plain": "on: hook\nwhen: event.data.n % 50 != 3\n" + acts}
	ids := pageOf(t, path)
	for _, x := range []struct {
		set  func(*backtest.Options)
		want []int
	}{
		{nil, []int{200, 203}},
		{func(o *backtest.Options) { o.Limit = 1 }, []int{1}},
		{func(o *backtest.Options) { o.Limit = 54 }, []int{54}},
		{func(o *backtest.Options) { o.Query.Before = ids[3].Event.ID }, []int{3}},
		{func(o *backtest.Options) { o.Query.After = ids[199].Event.ID }, []int{3}},
		{func(o *backtest.Options) { o.Query.Trigger = "back" }, nil},
		{func(o *backtest.Options) { o.Query.Trigger = "back"; o.Limit = 2 }, nil},
	} {
		var progress []int
		test(t, path, edited, func(o *backtest.Options) {
			o.Progress = func(events int) { progress = append(progress, events) }
			if x.set != nil {
				x.set(o)
			}
		})
		if !slices.Equal(progress, x.want) {
			t.Errorf("%v, want %v", progress, x.want)
		}
	}
	t.Run("a sample", func(t *testing.T) { // the ids, and with them the chosen events, are others each time
		var found [2]string
		for i := range found {
			f := test(t, path, edited, func(o *backtest.Options) { o.Sample = 90 })
			if f.Events != 90 || f.RunsBefore != 90 || f.Unchanged+len(f.changes) != 90 {
				t.Errorf("%+v", f.Report)
			}
			found[i] = fmt.Sprint(f.changes)
		}
		if found[0] != found[1] {
			t.Errorf("two samples differ:\n%s\n%s", found[0], found[1])
		}
	})
}
