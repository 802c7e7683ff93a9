package control_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/control"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
)

// asking adds a second step that waits to a run of which only the records can be read, and hides a value.
func asking(t *testing.T, attempt int) (*world, *flaky, engine.RunID) {
	w, f := flakyWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: ok, wait: {approval: pay, by: [ada]}, timeout: 1h}\n"})
	w.version = "gone"
	id := w.run(engine.Waiting, plan.Waiting)
	f.loaded = func(r *engine.LoadedRun) {
		r.Records = append(r.Records, &plan.Record{Path: "two", Attempt: attempt, Action: "wait", Status: plan.Waiting,
			Waits: []plan.Wait{{Kind: plan.WaitApproval, Approval: "send s3cret-token"}}})
		r.Event.Hidden = []string{"s3cret-token"}
	}
	return w, f, id
}

func TestAQuestionOfAnUnreadableVersionHidesTheSecretsOfItsEvent(t *testing.T) {
	w, _, id := asking(t, 1)
	questions, err := w.Questions(t.Context(), id)
	if err != nil || len(questions) != 2 || questions[1].Text != "send ***" {
		t.Errorf("%+v %v", questions, err)
	}
}

// TestApprovalLinkFindsItsQuestionAmongOthers, and not that of a later attempt.
func TestApprovalLinkFindsItsQuestionAmongOthers(t *testing.T) {
	w, f, id := asking(t, 1)
	ctl := w.withLinks(f, linkKey)
	token, _, err := ctl.Link(t.Context(), id, "two", "bob")
	if err != nil {
		t.Fatal(err)
	}
	if q, err := ctl.LinkQuestion(t.Context(), token); err != nil || q.Path != "two" {
		t.Errorf("%+v %v", q, err)
	}
	later := f.loaded
	f.loaded = func(r *engine.LoadedRun) {
		later(r)
		r.Records[1].Attempt = 2
	}
	if q, err := ctl.LinkQuestion(t.Context(), token); err == nil {
		t.Errorf("the link of the first attempt finds %+v", q)
	}
	if _, err := ctl.AnswerLink(t.Context(), token, "approve", ""); err == nil {
		t.Error("the link of the first attempt answers the second")
	}
}

func TestApprovalLinkWithoutADeadlineLastsAWeek(t *testing.T) {
	w, f, id := asking(t, 1)
	token, _, err := w.withLinks(f, linkKey).Link(t.Context(), id, "two", "bob")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(token, ".")
	var content struct {
		Until int64 `json:"u"`
	}
	if b, err := base64.RawURLEncoding.DecodeString(text); err != nil || json.Unmarshal(b, &content) != nil {
		t.Fatal(err)
	}
	if left := time.Until(time.Unix(content.Until, 0)); left < 7*24*time.Hour-time.Minute || left > 7*24*time.Hour {
		t.Errorf("it lasts %v", left)
	}
}

// TestAReplayIsNotDroppedByALimit and replaces no other run, whatever the workflow says: a person asked for it.
// It is ended by the same events as the first run.
func TestAReplayIsNotDroppedByALimit(t *testing.T) {
	w, f := flakyWorld(t, map[string]string{"w": "on: hook\nconcurrency: {limit: 1, on_full: drop}\n" +
		"rate: {limit: 1, per: 1h, on_full: drop}\ncancel_on: {event: other, key: event.key}\n" + stops})
	var made engine.Replay
	f.replay = func(r engine.Replay) { made = r }
	if _, err := w.ReplayRun(t.Context(), w.run(engine.Failed, plan.Failed), engine.ReplayOrder{From: "start"}); err != nil {
		t.Fatal(err)
	}
	if s := made.Slot; s == nil || s.OnFull != "queue" || s.MaxQueue != math.MaxInt || s.RateDrop {
		t.Errorf("%+v", s)
	}
	if len(made.Cancels) != 1 || made.Cancels[0].Trigger != "other" || made.Cancels[0].Key == "" {
		t.Errorf("%+v", made.Cancels)
	}
}

// TestAReplayTakesOnlyTheSlotsThatItsWorkflowHas, and the keys of cancel_on without any slot.
func TestAReplayTakesOnlyTheSlotsThatItsWorkflowHas(t *testing.T) {
	for flow, want := range map[string]struct {
		slot    bool
		cancels int
	}{"": {}, "concurrency: 1\n": {slot: true}, "cancel_on: {event: other, key: event.key}\n": {cancels: 1}} {
		w, f := flakyWorld(t, map[string]string{"w": "on: hook\n" + flow + stops})
		var made engine.Replay
		f.replay = func(r engine.Replay) { made = r }
		if _, err := w.ReplayRun(t.Context(), w.run(engine.Failed, plan.Failed), engine.ReplayOrder{From: "start"}); err != nil {
			t.Fatal(err)
		}
		if (made.Slot != nil) != want.slot || len(made.Cancels) != want.cancels {
			t.Errorf("%q: %+v %+v", flow, made.Slot, made.Cancels)
		}
	}
}

// TestARunWhoseGroupCannotBeNamedIsNotReplayed: it would run beside the others of the group.
func TestARunWhoseGroupCannotBeNamedIsNotReplayed(t *testing.T) {
	w, _ := flakyWorld(t, map[string]string{"w": "on: hook\nconcurrency: {limit: 1, group: \"${{ event.data.none.name }}\"}\n" + stops})
	if r, err := w.ReplayRun(t.Context(), w.run(engine.Failed, plan.Failed), engine.ReplayOrder{From: "start"}); err == nil || r.Run != 0 {
		t.Errorf("%+v", r)
	}
}

// TestNoApprovalLinkIsMadeWithoutAQuestion, and none is valid once the run has ended.
func TestNoApprovalLinkIsMadeWithoutAQuestion(t *testing.T) {
	w, f := flakyWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: ok, wait: {approval: pay, by: [ada]}, timeout: 1h}\n"})
	ctl, id := w.withLinks(f, linkKey), w.run(engine.Waiting, plan.Waiting)
	if token, _, err := ctl.Link(t.Context(), id+1, "ok", "ada"); token != "" || !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a run that does not exist: %q %v", token, err)
	}
	if token, _, err := ctl.Link(t.Context(), id, "other", "ada"); token != "" || err == nil {
		t.Errorf("a step that does not wait: %q", token)
	}
	token, _, err := ctl.Link(t.Context(), id, "ok", "ada")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := w.withLinks(full{w.store}, linkKey).AnswerLink(t.Context(), token, "approve", ""); !errors.Is(err, errFlaky) || a.Run != id {
		t.Errorf("an answer that is not stored: %+v %v", a, err)
	}
	f.loaded = func(r *engine.LoadedRun) { r.Run.Status = engine.Cancelled }
	if q, err := ctl.LinkQuestion(t.Context(), token); !errors.Is(err, engine.ErrLink) {
		t.Errorf("a run that has ended: %+v %v", q, err)
	}
}

func TestNoSecretIsWrittenToTheAuditLog(t *testing.T) {
	w, f := flakyWorld(t, map[string]string{"a": "on: hook\n" + stops})
	var written engine.AuditEntry
	f.audited = func(a engine.AuditEntry) { written = a }
	secrets := &redact.Redactor{}
	secrets.Set([]string{"s3cret-token"})
	ctl := control.New(control.Options{Store: f, Registry: w.reg, Machine: w.machine, Redactor: secrets, Log: slog.New(slog.DiscardHandler)})
	if err := ctl.Audit(t.Context(), engine.AuditEntry{Who: "ada s3cret-token", Target: "value s3cret-token", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if written.Who != "ada ***" || written.Target != "value ***" {
		t.Errorf("%+v", written)
	}
}
