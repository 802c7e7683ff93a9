package intake

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
)

// byHand is an Intake whose workflow w is started by hand, with an input that must be given and a secret one.
func byHand(t *testing.T) (*Intake, *fastStore) {
	t.Helper()
	in, s, _ := working(t, oneHook)
	w := in.reg.Snapshot().Workflows["w"]
	w.Starts = []workflows.Start{{Kind: "manual"}}
	return in, s
}

// TestAWorkflowIsFiredWithWhatIsStored: its inputs, who fired it and why; too much data, or a workflow that is off, fires nothing.
func TestAWorkflowIsFiredWithWhatIsStored(t *testing.T) {
	in, s := byHand(t)
	before := time.Now()
	r, err := in.Fire(t.Context(), "w", nil, "ada", "a test")
	if err != nil || r.Event == 0 || r.Duplicate {
		t.Fatalf("%+v %v", r, err)
	}
	in.Wait()
	ev, err := s.Event(t.Context(), r.Event)
	if err != nil || ev.Trigger != "w" || ev.Only != "w" || ev.Inlet != workflows.InletManual || ev.Type != "manual" ||
		ev.Key != r.Event.String() || ev.Headers["x-fired-by"] != "ada" || ev.Headers["x-fired-why"] != "a test" ||
		ev.Time.Before(before.Add(-time.Second)) {
		t.Errorf("%+v %v", ev, err)
	}
	again, err := in.Fire(t.Context(), "w", nil, "ada", "a test")
	if err != nil || again.Event == r.Event || again.Duplicate {
		t.Errorf("a second start is the first: %+v %v", again, err)
	}
	if r, err := in.Fire(t.Context(), "w", map[string]any{"none": 1}, "ada", ""); err == nil || r.Event != 0 ||
		!strings.HasPrefix(err.Error(), "w: ") {
		t.Errorf("an unknown input: %+v %v", r, err)
	}
	w := in.reg.Snapshot().Workflows["w"]
	w.Inputs = []workflows.Input{{Name: "text", Type: "string"}}
	if r, err := in.Fire(t.Context(), "w", map[string]any{"text": strings.Repeat("x", 5<<20)}, "ada", ""); err == nil || r.Event != 0 ||
		!strings.HasPrefix(err.Error(), "w: the inputs: ") || !strings.HasSuffix(err.Error(), ": pass less data") {
		t.Errorf("large inputs: %+v %v", r, err)
	}
	in.reg.Snapshot().Resting["w"] = true
	if r, err := in.Fire(t.Context(), "w", nil, "ada", ""); err == nil || r.Event != 0 || err.Error() != "workflow w is not enabled" {
		t.Errorf("a workflow that is off: %+v %v", r, err)
	}
}

// toldOnce is a store of several nodes that reports the first request for the run of an event.
type toldOnce struct {
	engine.Store
	shared     bool
	subscribed int
	called     func(n int) (engine.CallState, error)
	calls      int
	signals    chan engine.Signal
}

func (s *toldOnce) Shared() bool { return s.shared }

func (s *toldOnce) Subscribe(_ context.Context, on engine.Signal) <-chan engine.Signal {
	if on == engine.SignalRuns|engine.SignalEvents {
		s.subscribed++
	}
	return s.signals
}

func (s *toldOnce) Called(context.Context, engine.EventID) (engine.CallState, error) {
	s.calls++
	return s.called(s.calls)
}

// TestAWaitEndsWithTheRunOfItsEvent, here or at another node, or when there is none; an error of the store is one of the wait.
func TestAWaitEndsWithTheRunOfItsEvent(t *testing.T) {
	away := errors.New("the database is away")
	in, s, _ := working(t, oneHook)
	r, err := in.Accept(t.Context(), arriving("webhook", "k", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	in.Wait()
	ended := &engine.Run{ID: 5, Event: r.Event, Workflow: "w", Status: engine.Succeeded, Output: "done"}
	open := &engine.Run{ID: 5, Event: r.Event, Workflow: "w", Status: engine.Waiting}
	lost := &engine.Run{ID: 5, Event: 99, Workflow: "w", Status: engine.Failed}
	for name, c := range map[string]struct {
		shared bool
		called []engine.CallState
		err    error
		run    bool
		says   string
	}{
		"it has ended":           {called: []engine.CallState{{Run: ended}}, run: true},
		"it ends":                {called: []engine.CallState{{}, {Run: open, Decided: true}, {Run: ended}}, run: true},
		"it ends elsewhere":      {shared: true, called: []engine.CallState{{Run: open}, {Run: ended}}, run: true},
		"there is none":          {called: []engine.CallState{{Decided: true}}},
		"none after a while":     {shared: true, called: []engine.CallState{{}, {Decided: true}}},
		"its event is gone":      {called: []engine.CallState{{Run: lost}}, says: "event evt_0000000000000063: "},
		"the store cannot tell":  {err: away, says: "looking for the run of event " + r.Event.String() + ": the database is away"},
		"it cannot tell anymore": {called: []engine.CallState{{Run: open}}, err: away, says: "the database is away"},
	} {
		told := &toldOnce{Store: s, shared: c.shared, signals: make(chan engine.Signal, 9)}
		told.called = func(n int) (engine.CallState, error) {
			if n > len(c.called) {
				return engine.CallState{}, c.err
			}
			if c.shared {
				told.signals <- engine.SignalRuns
			} else {
				in.waiters.notify(r.Event)
			}
			return c.called[n-1], nil
		}
		stored := in.store
		in.store = persist.New(told, in.o.Log)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		got, err := in.Await(ctx, r.Event)
		cancel()
		in.store = stored
		switch {
		case c.says != "":
			if err == nil || got != nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %+v %v", name, got, err)
			}
		case err != nil || (got.Run == ended) != c.run || !c.run && got.Run != nil:
			t.Errorf("%s: %+v %v", name, got, err)
		case c.run && (got.Names["output"] != "done" || got.Names["run"].(map[string]any)["id"] != ended.ID.String() ||
			got.Names["event"].(map[string]any)["id"] != r.Event.String()):
			t.Errorf("%s: %+v", name, got.Names)
		}
		if (told.subscribed == 1) != c.shared || len(in.waiters.waiting) != 0 {
			t.Errorf("%s: subscribed %d times, %d wait", name, told.subscribed, len(in.waiters.waiting))
		}
	}
}

// TestAnEventOfAnotherNodeIsNotDecidedHere, and one behind those of another node waits for the inbox.
func TestAnEventOfAnotherNodeIsNotDecidedHere(t *testing.T) {
	for name, c := range map[string]struct {
		r                engine.Receipt
		unsubscribed     bool
		decided, backlog bool
	}{
		"new":       {r: engine.Receipt{Event: 7}, decided: true},
		"known":     {r: engine.Receipt{Event: 7, Duplicate: true}},
		"elsewhere": {r: engine.Receipt{Event: 7, Elsewhere: true}},
		"behind":    {r: engine.Receipt{Event: 7, Behind: true}, decided: true, backlog: true},
		"nothing":   {r: engine.Receipt{Event: 7}, unsubscribed: true},
	} {
		in, s, w := working(t, oneHook)
		d := arriving("webhook", "k", `{"text": "`+strings.Repeat("x", 1<<20)+`"}`)
		if _, err := s.Accept(t.Context(), 7, d); err != nil {
			t.Fatal(err)
		}
		d.Unsubscribed = c.unsubscribed
		in.Accepted(d, c.r)
		in.Wait()
		if (len(s.matched) == 1) != c.decided || in.ordered.backlog != c.backlog || w.stored != 1 {
			t.Errorf("%s: decided %d times, read again: %t, reported %d times", name, len(s.matched), in.ordered.backlog, w.stored)
		}
		if c.decided {
			state, err := s.Called(t.Context(), 7)
			if err != nil || state.Run == nil || state.Run.Status != engine.Waiting {
				t.Errorf("%s: its run does not go on: %+v %v", name, state.Run, err)
			}
		}
		if c.decided && (in.runner.AtWork() != 0 || in.store.Decoded.Lent() != 0) {
			t.Errorf("%s: %d runs are at work, %d bytes are lent", name, in.runner.AtWork(), in.store.Decoded.Lent())
		}
	}
}

// TestAnEventThatCannotBeLoadedStaysInTheInbox: it is no longer decided, and the inbox is read.
func TestAnEventThatCannotBeLoadedStaysInTheInbox(t *testing.T) {
	in := over(t, &altered{Store: storetest.New(t).Store})
	in.Start(t.Context())
	in.Wait()
	in.backlog.Store(false)
	in.matching[7] = true
	in.putBack(7, errors.New("it is away"))
	if len(in.matching) != 0 || !in.backlog.Load() {
		t.Errorf("being decided: %v, the inbox is to be read: %t", in.matching, in.backlog.Load())
	}
}
