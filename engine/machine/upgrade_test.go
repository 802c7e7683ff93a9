package machine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// described is the executor of connectors, which gives the description of the action.
type described struct{}

func (described) Do(_ context.Context, in engine.Input) (any, error) {
	return in.Spec.Action.Description, nil
}

// TestWaitingRunKeepsItsBuiltInConnector over an upgrade of the program that
// changes the action, and over one that no longer has it.
func TestWaitingRunKeepsItsBuiltInConnector(t *testing.T) {
	ctx := context.Background()
	build := func(action, says string) *workflows.Actions {
		c, err := workflows.ParseConnector("connectors/svc.yaml", []byte("connector: svc\nbase_url: https://svc.example.com\nactions:\n  "+action+
			": {description: "+says+", request: {path: /a}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return workflows.NewActions(specs, nil).With(c.Specs()...)
	}
	flows := map[string]string{"w": "on: hook\nsteps:\n  - {wait: {approval: ok}}\n  - {id: a, uses: svc/act}\noutput: ${{ steps.a.output }}"}
	gone := map[string]string{"other": "on: manual\nsteps: [{stop: x}]"}
	for name, after := range map[string]*workflows.Project{
		"changed": projectWith(t, "connections: {svc: {}}\n", flows, build("act", "second")),
		"gone":    projectWith(t, "connections: {}\n", gone, build("other", "second")),
	} {
		w := newWorld(t, gone)
		w.actions = map[string]engine.Action{"connector": described{}}
		w.project = projectWith(t, "connections: {svc: {}}\n", flows, build("act", "first"))
		e, s, stop := w.start(nil)
		if _, err := e.Accept(ctx, delivery("k", `{}`)); err != nil {
			t.Fatal(err)
		}
		id := newest(t, s, "w", "waiting")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		w.project = after
		e, s, stop = w.start(nil)
		if _, err := e.Answer(ctx, id, engine.Response{Verdict: "approve", By: "ada"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the run ends", func() bool { return strings.HasPrefix(output(t, s, id), "succeeded") })
		if got := output(t, s, id); got != `succeeded "first" ` {
			t.Errorf("%s: %s", name, got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}
