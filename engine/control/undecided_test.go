package control_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/control"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// TestUndecidedWorkflowsAreThoseThatHadNoRun: of those that listen to the event today and are switched on.
func TestUndecidedWorkflowsAreThoseThatHadNoRun(t *testing.T) {
	w := worldOf(t, map[string]string{"w": "on: hook\n" + stops, "fresh": "on: hook\n" + stops,
		"off":    "on: hook\nenabled: false\n" + stops,
		"paused": "on: hook\n" + stops, "elsewhere": "on: other\n" + stops, "called": "on: call\n" + stops},
		func(s *store.Store) control.Store { return s })
	if err := w.SetEnabled(t.Context(), "paused", false, "ada"); err != nil {
		t.Fatal(err)
	}
	event := w.eventOf(w.runOf("w", engine.Failed, plan.Failed))
	if names, err := w.Undecided(t.Context(), event); err != nil || !slices.Equal(names, []string{"fresh"}) {
		t.Errorf("%q %v", names, err)
	}
	if names, err := w.Undecided(t.Context(), 77); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("an event that does not exist: %q %v", names, err)
	}
	id := w.next()
	now := time.Now().UTC()
	if _, err := w.store.Accept(t.Context(), id, &engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: "new", Type: "hook", Time: now,
		ReceivedAt: now, Dedupe: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if names, err := w.Undecided(t.Context(), id); !errors.Is(err, engine.ErrPending) {
		t.Errorf("an event that is not decided yet: %q %v", names, err)
	}
	for workflow, want := range map[string]string{"none": `workflow "none"`, "elsewhere": "workflow elsewhere does not use trigger hook",
		"off": "workflow off has enabled: false in workflows/off.yaml", "fresh": "", "called": "workflow called does not use trigger hook"} {
		a, err := w.DecideAgain(t.Context(), event, workflow, false, "ada")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && a.Workflow != workflow {
			t.Errorf("%s: %+v %v", workflow, a, err)
		}
	}
	var off *engine.OffError
	if a, err := w.DecideAgain(t.Context(), event, "paused", false, "ada"); !errors.As(err, &off) || off.Workflow != "paused" {
		t.Errorf("a workflow that is switched off: %+v %v", a, err)
	}
}

// eventOf is the event of a run.
func (w *world) eventOf(id engine.RunID) engine.EventID {
	w.t.Helper()
	r, err := w.store.Run(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Event
}

// TestWhatTheStoreCannotDoIsAnError: whoever asks gets the error of the store, and no answer that looks like success.
func TestWhatTheStoreCannotDoIsAnError(t *testing.T) {
	w := newWorld(t)
	id, open := w.run(engine.Failed, plan.Failed), w.run(engine.Waiting, plan.Waiting)
	event := w.eventOf(id)
	b, err := w.StartBatch(t.Context(), engine.Selection{Since: time.Now().Add(-time.Hour), Workflow: "w"}, 5, "ada")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := engine.ParseBatchID(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	list, err := w.Batches(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != b.ID || list[0].Rate != 5 {
		t.Errorf("%+v %v", list, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ask := range map[string]func() error{
		"again":     func() error { _, err := w.DecideAgain(ctx, event, "w", true, "ada"); return err },
		"undecided": func() error { _, err := w.Undecided(ctx, event); return err },
		"questions": func() error { _, err := w.Questions(ctx, open); return err },
		"answer": func() error {
			_, err := w.Answer(ctx, open, engine.Response{Verdict: "approve", By: "ada", Proof: "x"})
			return err
		},
		"replay":  func() error { _, err := w.Replay(ctx, id, "start", "pinned", "ada"); return err },
		"batches": func() error { _, err := w.Batches(ctx); return err },
		"batch":   func() error { _, err := w.Batch(ctx, batch); return err },
		"change":  func() error { _, err := w.ChangeBatch(ctx, batch, "paused"); return err },
		"start": func() error {
			_, err := w.StartBatch(ctx, engine.Selection{Since: time.Now().Add(-time.Hour), Workflow: "w"}, 5,
				"ada")
			return err
		},
		"switch": func() error { return w.SetEnabled(ctx, "w", false, "ada") },
		"set value": func() error {
			_, err := w.SetValue(ctx, engine.ValueChange{ValueRef: engine.ValueRef{Workflow: "w", Key: "k"}, Value: "1"})
			return err
		},
		"delete value": func() error {
			return w.DeleteValue(ctx, engine.ValueChange{ValueRef: engine.ValueRef{Workflow: "w", Key: "k"}})
		},
		"conflict": func() error { _, err := w.AdmitConflict(ctx, "c", "ada"); return err },
		"prune":    func() error { _, err := w.Prune(ctx, workflows.History{Keep: time.Hour}); return err },
		"selection": func() error {
			_, _, err := w.EachSelected(ctx, engine.Selection{Since: time.Now().Add(-time.Hour), Workflow: "w"}, time.Now().Add(time.Minute),
				func(engine.Selected) {})
			return err
		},
	} {
		if err := ask(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if len(w.machine.answered) > 0 || len(w.machine.due) > 0 {
		t.Errorf("the machine is told of what was not stored: %v %v", w.machine.answered, w.machine.due)
	}
}
