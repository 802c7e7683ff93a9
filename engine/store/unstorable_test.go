package store_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// odd is a value that JSON does not have.
var odd = map[string]any{"x": make(chan int)}

// A value that cannot be recorded is refused with its write, wherever it is.
func TestAValueThatCannotBeRecordedIsRefused(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), filledOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := storetest.Content(t, storetest.Opened{Store: s, History: s.History()})
	for name, write := range unstorable(s) {
		if err := write(t.Context()); err == nil || name != "an unknown inlet" && !strings.Contains(err.Error(), "cannot be recorded") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := storetest.Content(t, storetest.Opened{Store: s, History: s.History()}); got != before {
		t.Errorf("something was stored: %s, before: %s", got, before)
	}
}

// unstorable are writes of values that cannot be recorded.
func unstorable(s *store.Store) map[string]func(context.Context) error {
	bad := deliveryAt("more", 1, "{}")
	bad.Inlet, bad.Inputs = "manual", odd
	failure := &plan.Error{Message: "x", Code: "x", Details: odd}
	commit := func(edit func(*engine.RunUpdate), records ...*plan.Record) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.CommitRun(ctx, startLater(1, engine.Waiting, edit, records...))
			return err
		}
	}
	decide := func(m engine.Match) func(context.Context) error {
		m.Event, m.At = laterEvent(1), filledAt
		return func(ctx context.Context) error {
			if _, err := s.Match(ctx, []engine.Match{m}); err == nil {
				return nil
			}
			_, _, err := s.AcceptDecided(ctx, laterEvent(1), deliveryAt("more", 1, "{}"), m)
			return err
		}
	}
	waits := func(w ...plan.Wait) *plan.Record {
		return &plan.Record{Path: "a", Attempt: 1, Status: plan.Waiting, Waits: w}
	}
	return map[string]func(context.Context) error{
		"Accept": func(ctx context.Context) error { _, err := s.Accept(ctx, laterEvent(1), bad); return err },
		"AcceptDecided": func(ctx context.Context) error {
			_, _, err := s.AcceptDecided(ctx, laterEvent(1), bad, engine.Match{Event: laterEvent(1)})
			return err
		},
		"AcceptAll": func(ctx context.Context) error {
			_, err := s.AcceptAll(ctx, []engine.EventID{laterEvent(2), laterEvent(1)}, []*engine.Delivery{deliveryAt("more", 2, ""), bad})
			return err
		},
		"Poll": func(ctx context.Context) error {
			_, err := s.Poll(ctx, []engine.EventID{laterEvent(1)}, &engine.PollBatch{Trigger: "more", Inlet: "poll", Items: []*engine.Delivery{bad}})
			return err
		},
		"Emit": func(ctx context.Context) error {
			_, _, err := s.Emit(ctx, laterEvent(1), bad, engine.Emission{Trigger: "more", Op: "o"})
			return err
		},
		"a condition": decide(engine.Match{Decisions: []engine.Decision{{Workflow: "w", Outcome: engine.Filtered,
			Conditions: []engine.Condition{{Expr: "a", Values: odd}}}}}),
		"a start": decide(engine.Match{Starts: []engine.RunUpdate{startLater(1, engine.Failed,
			func(u *engine.RunUpdate) { u.Run.Error = failure })}}),
		"the output of run": commit(func(u *engine.RunUpdate) { u.Run.Output = odd }),
		"the error of run":  commit(func(u *engine.RunUpdate) { u.Run.Error = failure }),
		"the ending of run": commit(func(u *engine.RunUpdate) { u.Run.Ending = failure }),
		"a called event":    commit(func(u *engine.RunUpdate) { u.Emits = []*engine.Event{{ID: laterEvent(3), Delivery: *bad}} }),
		"an unknown inlet": commit(func(u *engine.RunUpdate) {
			u.Emits = []*engine.Event{{ID: laterEvent(3), Delivery: engine.Delivery{Inlet: "door"}}}
		}),
		"the output of a step": commit(nil, &plan.Record{Path: "a", Attempt: 1, Status: plan.Succeeded, Output: odd}),
		"the error of a step":  commit(nil, &plan.Record{Path: "a", Attempt: 1, Status: plan.Failed, Error: failure}),
		"the end of a wait":    commit(nil, waits(plan.Wait{Kind: plan.WaitCall, Event: laterEvent(4).String(), Ending: failure})),
		"the end of one of several waits": commit(nil, waits(plan.Wait{Kind: plan.WaitApproval, Approval: "?", Any: true},
			plan.Wait{Kind: plan.WaitCall, Event: laterEvent(4).String(), Ending: failure, Any: true})),
		"Redecide": func(ctx context.Context) error {
			u := startLater(1, engine.Failed, func(u *engine.RunUpdate) { u.Run.Error = failure })
			_, err := s.Redecide(ctx, []engine.Redecision{{Event: laterEvent(1), Start: &u, At: filledAt}}, nil)
			return err
		},
		"Cancel": func(ctx context.Context) error {
			_, _, _, err := s.Cancel(ctx, &engine.Run{ID: laterRun(1), Status: engine.Cancelled, FinishedAt: filledAt, Error: failure}, nil)
			return err
		},
		"Cancel with events": func(ctx context.Context) error {
			_, _, _, err := s.Cancel(ctx, &engine.Run{ID: laterRun(1), Status: engine.Cancelled, FinishedAt: filledAt},
				[]*engine.Event{{ID: laterEvent(3), Delivery: *bad}})
			return err
		},
		"End": func(ctx context.Context) error { return s.End(ctx, laterRun(1), failure, filledAt) },
		"Answer": func(ctx context.Context) error {
			return s.Answer(ctx, engine.Answer{Run: laterRun(1), Path: "a", At: filledAt, Answer: plan.Answer{Attempt: 1, Output: odd}})
		},
		"SaveDifference": func(ctx context.Context) error { return s.SaveDifference(ctx, laterEvent(1), "webhook", odd) },
	}
}

// The only node of a database file knows itself, and can be drained.
func TestTheOnlyNodeDescribesAndDrainsItself(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), filledOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	changed := s.Subscribe(t.Context(), engine.SignalNodes)
	if s.Draining() || s.Shared() || !s.MayBegin() || s.Node() != 0 || s.RoundTrips() != 0 || s.Wanted() || s.LastID() != 0 {
		t.Errorf("draining %v shared %v begins %v node %d trips %d wanted %v last %d", s.Draining(), s.Shared(), s.MayBegin(), s.Node(),
			s.RoundTrips(), s.Wanted(), s.LastID())
	}
	if err := s.Announce("http://hooks", "http://admin"); err != nil {
		t.Error(err)
	}
	if err := s.DescribeNode(t.Context(), engine.NodeInfo{Version: "1", Digest: "d", Problem: "p"}); err != nil {
		t.Error(err)
	}
	if err := s.DrainNode(t.Context(), "other"); err == nil || s.Draining() {
		t.Errorf("another node was drained: %v", err)
	}
	list, err := s.Nodes(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	n := list[0]
	if n.Name != "one" || n.State != engine.NodeLive || !n.Self || n.Verb != "serve" || n.Version != "1" || n.Digest != "d" ||
		n.Problem != "p" || n.Hooks != "http://hooks" || n.Admin != "http://admin" || n.PID == 0 || n.Host == "" || n.Runs != 0 || n.Inbox != 0 {
		t.Errorf("%+v", n)
	}
	if err := s.DrainNode(t.Context(), "one"); err != nil || !s.Draining() {
		t.Errorf("draining %v, %v", s.Draining(), err)
	}
	select {
	case <-changed:
	case <-time.After(5 * time.Second):
		t.Error("nobody is told that the node drains")
	}
	if list, err = s.Nodes(t.Context()); err != nil || list[0].State != engine.NodeDraining {
		t.Errorf("%+v %v", list, err)
	}
}
