package control_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/control"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/store"
)

// full is a store that takes no answer.
type full struct{ *store.Store }

func (full) Answer(context.Context, engine.Answer) error { return errFlaky }

// withLinks is the Control of a world that signs links with a key.
func (w *world) withLinks(s control.Store, key func() ([]byte, error)) *control.Control {
	return control.New(control.Options{Store: s, Registry: w.reg, Machine: w.machine, Redactor: &redact.Redactor{},
		Log: slog.New(slog.DiscardHandler), LinkKey: key})
}

func linkKey() ([]byte, error) { return []byte("a key of 32 bytes, for this test."), nil }

// TestAnAnswerThatIsNotStoredIsAnError, and the run is not told of it.
func TestAnAnswerThatIsNotStoredIsAnError(t *testing.T) {
	w := newWorld(t)
	id := w.run(engine.Waiting, plan.Waiting)
	ctl := w.withLinks(full{w.store}, linkKey)
	if _, err := ctl.Answer(t.Context(), id, engine.Response{Verdict: "approve", By: "ada", Proof: "token"}); !errors.Is(err, errFlaky) {
		t.Error(err)
	}
	if len(w.machine.answered) != 0 {
		t.Error("the machine was told of an answer that is not stored")
	}
}

// TestApprovalRecordsTheApprover in the output of its step.
func TestApprovalRecordsTheApprover(t *testing.T) {
	for verdict, approved := range map[string]bool{"approve": true, "reject": false} {
		w := newWorld(t)
		id := w.run(engine.Waiting, plan.Waiting)
		if _, err := w.Answer(t.Context(), id, engine.Response{Verdict: verdict, By: "ada", Proof: "token", Comment: "fine"}); err != nil {
			t.Fatal(err)
		}
		loaded, err := w.store.LoadRun(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := loaded.Answers["ok"].Output.(map[string]any)
		if out["approved"] != approved || out["by"] != "ada" || out["comment"] != "fine" || out["at"] == nil {
			t.Errorf("%s: %v", verdict, out)
		}
	}
}

func TestApprovalLinkIsBoundToItsQuestionAndKey(t *testing.T) {
	w := newWorld(t)
	id := w.run(engine.Waiting, plan.Waiting)
	ctl := w.withLinks(w.store, linkKey)
	token, _, err := ctl.Link(t.Context(), id, "ok", "ada")
	if err != nil {
		t.Fatal(err)
	}
	if q, err := ctl.LinkQuestion(t.Context(), token); err != nil || q.Path != "ok" {
		t.Errorf("%+v %v", q, err)
	}
	unreadable := w.withLinks(w.store, func() ([]byte, error) { return nil, errFlaky })
	if _, _, err := unreadable.Link(t.Context(), id, "ok", "ada"); !errors.Is(err, errFlaky) {
		t.Errorf("a link without a key: %v", err)
	}
	if a, err := unreadable.AnswerLink(t.Context(), token, "approve", ""); !errors.Is(err, engine.ErrLink) || a.Run != 0 {
		t.Errorf("answered without a key: %+v %v", a, err)
	}
	if len(w.machine.answered) != 0 {
		t.Fatal("the run was answered")
	}
	if a, err := ctl.AnswerLink(t.Context(), token, "approve", "fine"); err != nil || a.Run != id || a.By != "ada" || a.Path != "ok" {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := ctl.LinkQuestion(t.Context(), token); !errors.Is(err, engine.ErrLink) {
		t.Errorf("an answered question: %v", err)
	}
}
