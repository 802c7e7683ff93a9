package machine_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/dryrun"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// TestSkipDoneRepeatsNoEffect: events that are decided again with skip_done run without the steps
// whose effect an earlier run had, in loops too; later steps read the earlier results. What was
// not done is carried out, a step that does something else by now too, and the forecast says so
// before.
func TestSkipDoneRepeatsNoEffect(t *testing.T) {
	const first = `on: hook
steps:
  - {id: a, uses: test/act, with: {n: one}}
  - {id: each, foreach: "[1, 2, 3]", as: x, uses: test/act, with: {n: "${{ x }}"}}
  - {id: b, uses: test/act, with: {n: "${{ steps.a.output.got }}"}}
`
	second := strings.Replace(first, "{id: b,", "{id: new, uses: test/act, with: {n: new}}\n  - {id: b,", 1)
	onBothPaths(t, map[string]string{"w": first}, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var calls []string
		failing := true
		w.target.do = func(in engine.Input, _ int) (any, error) {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, in.Path)
			if failing && in.Path == "each/1" {
				return nil, plan.Permanent("failed", "no")
			}
			return map[string]any{"got": in.With["n"]}, nil
		}
		taken := func() []string {
			mu.Lock()
			defer mu.Unlock()
			out := calls
			calls = nil
			slices.Sort(out)
			return out
		}
		e, s, stop := w.start(nil)
		defer func() { mustStop(t, stop) }()
		before := time.Now().Add(-time.Second)
		accept(t, e, s, "k", `{}`)
		settled(t, s, 1)
		did := taken()
		failing = false
		use(t, w, e, map[string]string{"w": second})
		sel := engine.Selection{Workflow: "w", Since: before, SkipDone: true}
		f, err := (&dryrun.Forecaster{Events: e, Project: func() *workflows.Project { return w.project }, Secret: noSecret,
			Redact: strings.Clone}).Forecast(context.Background(), sel)
		if err != nil || len(f.Workflows) != 1 || f.Workflows[0].Repeated != 1 || f.Workflows[0].DoneSteps != len(did)-1 ||
			f.Workflows[0].Calls[0].Done != len(did)-1 || !f.SkipDone {
			t.Errorf("%+v %v", f, err)
		}
		if b := batched(t, e, sel, 1000); b.Runs != 1 || b.Failed != 0 {
			t.Errorf("%+v", b)
		}
		runs := settled(t, s, 2)
		again := taken()
		for _, path := range did {
			if path != "each/1" && slices.Contains(again, path) {
				t.Errorf("%s is carried out again; first %v, then %v", path, did, again)
			}
		}
		if !slices.Contains(again, "each/1") || !slices.Contains(again, "new") || !slices.Contains(again, "b") {
			t.Errorf("first %v, then %v", did, again)
		}
		newest := slices.MaxFunc(runs, func(a, b engine.RunItem) int { return strings.Compare(a.ID, b.ID) })
		id, _ := engine.ParseRunID(newest.ID)
		d, err := s.History.RunDetail(context.Background(), id)
		if err != nil || d.Status != "succeeded" || !strings.Contains(string(d.Steps[len(d.Steps)-1].Output), "one") {
			t.Errorf("%+v %v", d, err)
		}
		// Everything is done now: a third time nothing is called.
		batched(t, e, sel, 1000)
		if settled(t, s, 3); len(taken()) != 0 {
			t.Error("a third run carries something out")
		}
		// Without it all is repeated.
		batched(t, e, engine.Selection{Workflow: "w", Since: before, Again: true}, 1000)
		if settled(t, s, 4); len(taken()) != 6 {
			t.Error("again alone does not repeat all")
		}
	})
}
