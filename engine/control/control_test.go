package control_test

import (
	"cmp"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/control"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// noted is a machine that notes what it is told.
type noted struct {
	control.Machine
	answered []engine.RunID
	due      []time.Time
	// starting is a machine that makes no decisions yet; alone is what the last run was begun with.
	starting bool
	alone    atomic.Bool
	runs     atomic.Int64
	noShare  error // of AwaitShare
}

func (m *noted) Answered(id engine.RunID, _ time.Time)   { m.answered = append(m.answered, id) }
func (m *noted) DueAt(t time.Time)                       { m.due = append(m.due, t) }
func (m *noted) ReplayAt(now time.Time) time.Time        { return now.Add(time.Second) }
func (m *noted) Decided(*engine.Event, *engine.Decision) {}

// world is Control over a real database and a project of one workflow.
type world struct {
	*control.Control
	t       *testing.T
	store   *store.Store
	machine *noted
	reg     *registry.Registry
	events  engine.EventID
	version string // of the runs that are stored; empty for the current one
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return worldOf(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: ok, wait: {approval: pay, by: [ada]}, timeout: 1h}\n"},
		func(s *store.Store) control.Store { return s })
}

// worldOf makes a world with workflows, whose Control sees the store through a wrapper.
func worldOf(t *testing.T, flows map[string]string, wrap func(*store.Store) control.Store) *world {
	t.Helper()
	files := map[string]string{"hookloom.yaml": "triggers:\n  hook: {webhook: {auth: none}}\n  other: {webhook: {auth: none}}\n"}
	for name, text := range flows {
		files["workflows/"+name+".yaml"] = text
	}
	p := projecttest.Load(t, files, workflows.Catalog{})
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	log, m := slog.New(slog.DiscardHandler), &noted{}
	reg := registry.New(registry.Options{Store: s, Redactor: &redact.Redactor{}, Log: log, RunURL: engine.RunID.String})
	if err := reg.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, store: s, machine: m, reg: reg,
		Control: control.New(control.Options{Store: wrap(s), Registry: reg, Machine: m, Redactor: &redact.Redactor{}, Log: log})}
}

// run stores an event, and a run of it whose step has a status.
func (w *world) run(status engine.RunStatus, step plan.Status) engine.RunID {
	w.t.Helper()
	return w.runOf("w", status, step)
}

func (w *world) runOf(workflow string, status engine.RunStatus, step plan.Status) engine.RunID {
	w.t.Helper()
	now := time.Now().UTC()
	ev, id := w.next(), engine.RunID(w.reg.NextID())
	version := cmp.Or(w.version, w.reg.Snapshot().Workflows[workflow].Version)
	r := &plan.Record{Path: "ok", Attempt: 1, Action: "wait", Status: step, StartedAt: now}
	u := engine.RunUpdate{New: true, Answers: -1, Records: []*plan.Record{r},
		Run: &engine.Run{ID: id, Event: ev, Workflow: workflow, Version: version, Status: status, CreatedAt: now, StartedAt: now}}
	if step == plan.Waiting {
		r.Waits = []plan.Wait{{Kind: plan.WaitApproval, Approval: "pay", By: []string{"ada"}, Until: now.Add(time.Hour)}}
	} else {
		r.FinishedAt = now
	}
	if status.Ended() {
		u.Run.FinishedAt = now
	}
	if _, _, err := w.store.AcceptDecided(w.t.Context(), ev, &engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: ev.String(),
		Type: "hook",
		Time: now, ReceivedAt: now, Dedupe: time.Hour}, engine.Match{Event: ev, At: now, Starts: []engine.RunUpdate{u},
		Decisions: []engine.Decision{{Workflow: workflow, Version: version, Outcome: engine.Matched, Run: id}}}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func TestAnswerIsAcceptedOnceFromAnApprover(t *testing.T) {
	w := newWorld(t)
	id := w.run(engine.Waiting, plan.Waiting)
	for _, c := range []struct {
		response engine.Response
		want     string
	}{
		{engine.Response{Verdict: "resend", By: "ada", Proof: "token"}, "waits for approve, reject"},
		{engine.Response{Verdict: "approve", By: "eve", Proof: "token"}, "by ada only"},
		{engine.Response{Verdict: "approve", By: "ada"}, "the name must be proved"},
		{engine.Response{Path: "pay", Verdict: "approve", By: "ada", Proof: "token"}, "step pay does not wait"},
	} {
		_, err := w.Answer(t.Context(), id, c.response)
		var no *engine.NotAnswered
		if !errors.As(err, &no) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.response, err)
		}
	}
	if len(w.machine.answered) != 0 {
		t.Errorf("the machine was told of answers that were not taken: %v", w.machine.answered)
	}
	q, err := w.Answer(t.Context(), id, engine.Response{Verdict: "approve", By: "ada", Proof: "token", Comment: "fine"})
	if err != nil || q.Path != "ok" || len(w.machine.answered) != 1 || w.machine.answered[0] != id {
		t.Fatalf("%+v %v %v", q, err, w.machine.answered)
	}
	loaded, err := w.store.LoadRun(t.Context(), id)
	if err != nil || loaded.Answers["ok"] == nil || loaded.Answers["ok"].Verdict != "approve" {
		t.Errorf("%+v %v", loaded, err)
	}
	if _, err := w.Answer(t.Context(), id, engine.Response{Verdict: "reject", By: "ada", Proof: "token"}); err == nil {
		t.Error("a second answer was taken")
	}
}

func TestARunIsReplayedOnceAndOnlyWhenItHasEnded(t *testing.T) {
	w := newWorld(t)
	open := w.run(engine.Waiting, plan.Waiting)
	_, err := w.Replay(t.Context(), open, "start", "pinned", "ada")
	if err == nil || !strings.Contains(err.Error(), "only a run that has ended") {
		t.Errorf("an open run was replayed: %v", err)
	}
	if _, err := w.Replay(t.Context(), 1, "start", "pinned", "ada"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a run that does not exist: %v", err)
	}
	ended := w.run(engine.Failed, plan.Failed)
	first, err := w.ReplayRun(t.Context(), ended, engine.ReplayOrder{From: "start", Version: "current", By: "ada"})
	if err != nil || first.Already || len(w.machine.due) != 1 {
		t.Fatalf("%+v %v %v", first, err, w.machine.due)
	}
	made, err := w.store.Run(t.Context(), first.Run)
	if err != nil || made.Status != engine.Queued || made.Repeats != ended || time.Until(made.DueAt) <= 0 {
		t.Errorf("a replay is queued for the time that the machine gives: %+v %v", made, err)
	}
	again, err := w.ReplayRun(t.Context(), ended, engine.ReplayOrder{From: "start", Version: "current", By: "bob"})
	if err != nil || !again.Already || again.Run != first.Run {
		t.Errorf("who asks again gets another run: %+v %v", again, err)
	}
}

func TestSwitchIsStoredAndAppliesAtOnce(t *testing.T) {
	w := newWorld(t)
	if err := w.SetEnabled(t.Context(), "none", false, "ada"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a workflow that does not exist: %v", err)
	}
	for _, on := range []bool{false, true} {
		if err := w.SetEnabled(t.Context(), "w", on, "ada"); err != nil {
			t.Fatal(err)
		}
		stored, err := w.store.Switches(t.Context())
		if err != nil || (len(stored) == 0) != on || (len(w.reg.SwitchedOff()) == 0) != on {
			t.Errorf("on: %v, stored %+v, in force %+v, %v", on, stored, w.reg.SwitchedOff(), err)
		}
	}
}

func TestRepeatedKeyFindsTheFirstRequest(t *testing.T) {
	w := newWorld(t)
	if o, err := w.BeginOrder(t.Context(), "k", []byte("digest")); err != nil || o.Known {
		t.Fatalf("%+v %v", o, err)
	}
	if err := w.EndOrder(t.Context(), "k", engine.Order{Status: 200, Answer: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if o, err := w.BeginOrder(t.Context(), "k", []byte("digest")); err != nil || !o.Known || o.Status != 200 {
		t.Errorf("%+v %v", o, err)
	}
}

// TestSelectionIsValidatedFirst: what is missing or contradicts the project is an error that says
// what to write, and no event is read.
func TestSelectionIsValidatedFirst(t *testing.T) {
	w := newWorld(t)
	now := time.Now().UTC()
	since := now.Add(-time.Hour)
	for _, c := range []struct {
		s    engine.Selection
		want string
	}{
		{engine.Selection{Trigger: "hook"}, "since is missing"},
		{engine.Selection{Trigger: "hook", Since: since, Until: since}, "since must be before until"},
		{engine.Selection{Trigger: "hook", Since: now.Add(time.Hour)}, "since must be before until"},
		{engine.Selection{Since: since}, "give a trigger or a workflow"},
		{engine.Selection{Since: since, Workflow: "v"}, `no workflow "v"; there are w`},
		{engine.Selection{Since: since, Workflow: "w", Trigger: "other"}, "w does not listen to trigger other"},
		{engine.Selection{Since: since, Trigger: "other"}, `no workflow listens to a trigger "other"`},
		{engine.Selection{Since: since, Trigger: "hook", Statuses: []string{"done"}}, `unknown status "done"`},
		{engine.Selection{Since: since, Trigger: "hook", Statuses: []string{"matched"}}, `unknown status "matched"`},
		{engine.Selection{Since: since, Trigger: "hook", Statuses: []string{"matched"}, Again: true}, ""},
		{engine.Selection{Since: since, Trigger: "hook", Statuses: []string{"matched"}, SkipDone: true}, ""},
		{engine.Selection{Since: since, Workflow: "w", Trigger: "hook", Until: now.Add(time.Hour)}, ""},
	} {
		_, _, err := w.EachSelected(t.Context(), c.s, now.Add(time.Minute), func(engine.Selected) { t.Errorf("%+v: an event", c.s) })
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, engine.ErrQuery) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
	for rate, ok := range map[int]bool{-1: false, 0: true, 1: true, engine.MaxRate: true, engine.MaxRate + 1: false} {
		b, err := w.StartBatch(t.Context(), engine.Selection{Since: since, Workflow: "w"}, rate, "ada")
		if (err == nil) != ok || err == nil && rate == 0 && b.Rate != engine.DefaultRate {
			t.Errorf("rate %d: %+v %v", rate, b, err)
		}
	}
}
