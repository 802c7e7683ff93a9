package backtest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
)

// bursts sends events with n from 1 at the given seconds.
func bursts(t *testing.T, seconds ...int) func(context.Context, *machine.Engine) {
	return func(ctx context.Context, e *machine.Engine) {
		at := 0
		for i, s := range seconds {
			time.Sleep(time.Duration(s-at) * time.Second)
			at = s
			if _, err := e.Accept(ctx, delivery("hook", fmt.Sprint("k", i), fmt.Sprintf(`{"n": %d, "kind": "x"}`, i+1))); err != nil {
				t.Error(err)
			}
		}
	}
}

const acts = "steps: [{uses: test/act, with: {n: \"${{ event.data.n }}\"}}]\n"

// TestChangedDebounceAndBatchAreSimulated checks that the engine's rules determine in virtual time
// which events share a run, and that events that gain or lose their own run are reported. An edit
// without effect changes nothing: the simulation reproduces the engine's groups.
func TestChangedDebounceAndBatchAreSimulated(t *testing.T) {
	golden(t)
	head := "on: hook\n"
	flows := map[string]string{
		"quiet": head + "debounce: {wait: 10s}\n" + acts,
		"many":  head + "batch: {size: 3, wait: 1m}\nsteps: [{uses: test/act, with: {n: \"${{ len(events) }}\"}}]\n",
		"plain": head + acts,
		"busy":  head + "concurrency: 1\nsteps: [{uses: test/act, with: {n: 1}}, {sleep: 7s}]\n",
		"newer": head + "concurrency: {limit: 1, on_full: replace}\nsteps: [{uses: test/act, with: {n: 1}}, {sleep: 7s}]\n",
	}
	// quiet: {1 2} {3 4} {5}, runs of 2, 4 and 5. many: {1 2 3} {4 5}, runs of 1 and 4.
	path := record(t, flows, bursts(t, 0, 5, 30, 36, 60))
	for _, x := range []struct {
		workflow, from, to string
		want               []string
	}{
		{"quiet", "wait: 10s", "key: 'event.data.kind', wait: 10s", nil},
		{"quiet", "wait: 10s", "wait: 9s", nil},
		{"quiet", "wait: 10s", "wait: 3s", []string{"1 starts_matching", "3 starts_matching"}},
		{"quiet", "wait: 10s", "wait: 40s", []string{"2 stops_matching", "4 stops_matching"}},
		{"quiet", "wait: 10s", "wait: 40s, max: 45s", []string{"2 stops_matching"}},
		{"quiet", "wait: 10s", "wait: 10s, key: event.data.n", []string{"1 starts_matching", "3 starts_matching"}},
		{"quiet", "debounce: {wait: 10s}\n", "", []string{"1 starts_matching", "3 starts_matching"}},
		{"quiet", "debounce: {wait: 10s}\n", "batch: {size: 2, wait: 40s}\n",
			[]string{"1 starts_matching", "2 stops_matching", "3 starts_matching", "4 stops_matching"}},
		{"quiet", head, "on: hook\nwhen: event.data.n != 2\n", []string{"1 starts_matching", "2 stops_matching"}},
		{"many", "size: 3", "key: \"'all'\", size: 3", nil},
		{"many", "size: 3", "size: 2", []string{"1 requests", "3 starts_matching", "4 stops_matching", "5 starts_matching"}},
		{"many", "wait: 1m", "wait: 7s",
			[]string{"1 requests", "3 starts_matching", "4 stops_matching", "5 starts_matching"}},
		{"plain", head, "on: hook\ndebounce: {wait: 10s}\n", []string{"1 stops_matching", "3 stops_matching"}},
		{"plain", head, "on: hook\ndebounce: {wait: 10s}\nrate: {limit: 1, per: 1h, on_full: drop}\n",
			[]string{"1 stops_matching", "3 stops_matching", "4 stops_matching", "5 stops_matching"}},
		{"busy", "concurrency: 1", "concurrency: {limit: 1, on_full: replace}", []string{"1 error", "3 error"}},
		{"newer", "on_full: replace", "on_full: drop", []string{"1 error", "2 stops_matching", "3 error", "4 stops_matching"}},
	} {
		edited := maps.Clone(flows)
		if edited[x.workflow] = strings.Replace(flows[x.workflow], x.from, x.to, 1); edited[x.workflow] == flows[x.workflow] {
			t.Fatalf("%s: %s is not in it", x.workflow, x.from)
		}
		for _, against := range []bool{false, true} {
			f := test(t, path, edited, func(o *backtest.Options) {
				if o.Workflows = map[string]bool{x.workflow: true}; against {
					o.Against = load(t, flows).Workflows[x.workflow]
				}
			})
			if got := startsAndStops(t, path, x.workflow, f); !slices.Equal(got, x.want) || len(f.unknown) > 0 {
				t.Errorf("%s: %q, against a file: %v:\n got %q\nwant %q; %+v", x.workflow, x.to, against, got, x.want, f.unknown)
			}
		}
	}
}

// startsAndStops lists the changes of a workflow by the number of their event.
func startsAndStops(t *testing.T, path, workflow string, f found) (got []string) {
	t.Helper()
	order := idsOf(t, path)
	for _, c := range f.changes {
		if c.Workflow != workflow {
			t.Errorf("%s: something else is changed: %+v", workflow, c)
		}
		got = append(got, fmt.Sprint(slices.Index(order, c.Event)+1, " ", c.Kind))
	}
	slices.Sort(got)
	return got
}

// TestAgainstAnotherVersionSimulatesBothStreams compares two versions neither of which ran: both
// are simulated over all events, so that what one of them drops or collects is found, and two
// equivalent ones do not differ.
func TestAgainstAnotherVersionSimulatesBothStreams(t *testing.T) {
	golden(t)
	head := "on: hook\n"
	flows := map[string]string{
		"plain": head + acts,
		"quiet": head + "debounce: {wait: 10s}\n" + acts,
	}
	path := record(t, flows, bursts(t, 0, 5, 30, 36, 60))
	debounce := head + "debounce: {wait: 10s}\n" + acts
	for _, x := range []struct {
		workflow, before, after string
		runs                    [2]int
		want                    []string
	}{
		{"plain", debounce, debounce, [2]int{3, 3}, nil},
		{"plain", debounce, head + "debounce: {wait: 40s}\n" + acts, [2]int{3, 1}, []string{"2 stops_matching", "4 stops_matching"}},
		{"plain", debounce, head + "concurrency: {limit: 1, on_full: drop}\n" + acts, [2]int{3, 5},
			[]string{"1 starts_matching", "3 starts_matching"}},
		{"plain", head + "rate: {limit: 1, per: 50s, on_full: drop}\n" + acts, head + "rate: {limit: 1, per: 20s, on_full: drop}\n" + acts,
			[2]int{2, 3}, []string{"3 starts_matching"}},
		{"plain", debounce, "on: hook\nwhen: event.data.n < 4\ndebounce: {wait: 10s}\n" + acts, [2]int{3, 2},
			[]string{"3 starts_matching", "4 stops_matching", "5 stops_matching"}},
		{"quiet", head + acts, strings.ReplaceAll(head+acts, "n }}", "n + 1 }}"), [2]int{5, 5},
			[]string{"1 requests", "2 requests", "3 requests", "4 requests", "5 requests"}},
		{"quiet", head + acts, head + acts, [2]int{5, 5}, nil},
	} {
		edited := maps.Clone(flows)
		edited[x.workflow] = x.after
		f := test(t, path, edited, func(o *backtest.Options) {
			o.Workflows = map[string]bool{x.workflow: true}
			o.Against = load(t, map[string]string{x.workflow: x.before}).Workflows[x.workflow]
		})
		got := startsAndStops(t, path, x.workflow, f)
		if !slices.Equal(got, x.want) || len(f.unknown) > 0 || f.RunsBefore != x.runs[0] || f.RunsAfter != x.runs[1] {
			t.Errorf("%s\n%s: got %q with %d and %d runs, want %q with %v; %+v", x.before, x.after, got, f.RunsBefore, f.RunsAfter, x.want, x.runs,
				f.unknown)
		}
	}
}

// TestChosenEventsAreComparedByThemselves checks that only these events and workflows are compared,
// as if no other event had arrived: a dropped one runs.
func TestChosenEventsAreComparedByThemselves(t *testing.T) {
	golden(t)
	flows := map[string]string{
		"plain":   "on: hook\n" + acts,
		"dropped": "on: hook\nconcurrency: {limit: 1, on_full: drop}\nsteps: [{uses: test/act, with: {n: 1}}, {sleep: 7s}]\n",
	}
	path := record(t, flows, bursts(t, 0, 5, 30))
	order := idsOf(t, path)
	chosen := map[engine.Chosen]bool{}
	for i, id := range order[:2] {
		event, err := engine.ParseEventID(id)
		if err != nil {
			t.Fatal(err)
		}
		chosen[engine.Chosen{Event: event, Workflow: "dropped"}] = true
		if i == 0 {
			chosen[engine.Chosen{Event: event, Workflow: "plain"}] = true
		}
	}
	f := test(t, path, flows, func(o *backtest.Options) { o.Chosen = chosen })
	if got := startsAndStops(t, path, "dropped", f); !slices.Equal(got, []string{"2 starts_matching"}) || f.Unchanged != 2 ||
		f.RunsBefore != 2 || f.RunsAfter != 3 || len(f.unknown) > 0 {
		t.Errorf("%q %+v %+v", got, f.Report, f.unknown)
	}
}

// TestBacktestWithPausesFindsTheSame checks that a backtest that rests in between reports the same in the
// same order, and ends when it is told to while it rests.
func TestBacktestWithPausesFindsTheSame(t *testing.T) {
	golden(t)
	flows := map[string]string{"plain": "on: hook\n" + acts}
	path := record(t, flows, bursts(t, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20))
	edited := map[string]string{"plain": "on: hook\nwhen: event.data.n > 10\n" + acts}
	quick := test(t, path, edited, nil)
	gentle := test(t, path, edited, func(o *backtest.Options) { o.Gentle = true })
	if len(quick.changes) != 10 || fmt.Sprint(quick.changes) != fmt.Sprint(gentle.changes) || gentle.Events != quick.Events {
		t.Errorf("%+v %+v\n%+v %+v", quick.Report, quick.changes, gentle.Report, gentle.changes)
	}
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o := backtest.Options{History: h, Project: load(t, edited), Actions: table(), Gentle: true}
	if _, err := backtest.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}
