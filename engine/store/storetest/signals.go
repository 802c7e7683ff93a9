package storetest

import (
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

var signals = []test{
	{"what was committed is signalled to those who ask for it", commitsAreSignalled},
	{"a reader that reads no signal holds up nobody", signalsNeverWait},
}

// commitsAreSignalled tries each kind of change several times: a single signal may be lost, but not
// all of them.
func commitsAreSignalled(t *testing.T, s Opened) {
	u := running(t, s, 900)
	put(t, s, u, time.Time{}, plan.Wait{Kind: plan.WaitApproval, Approval: "?"})
	n := int64(0)
	for name, c := range map[string]struct {
		kind   engine.Signal
		change func() error
	}{
		"an event": {engine.SignalEvents, func() error {
			_, err := s.Accept(t.Context(), event(n), delivery("hook", event(n).String()))
			return err
		}},
		"a run": {engine.SignalRuns, func() error { running(t, s, 100+n); return nil }},
		"a run that is due": {engine.SignalDue, func() error {
			put(t, s, running(t, s, 200+n), at, plan.Wait{Kind: plan.WaitSleep, Until: at})
			return nil
		}},
		"an answer": {engine.SignalAnswers, func() error {
			return s.Answer(t.Context(), engine.Answer{Run: run(900), Path: "a", Answer: plan.Answer{Attempt: int(n), Verdict: "approve"}, By: "x",
				At: at})
		}},
		"a switch": {engine.SignalSwitches, func() error {
			return s.SetSwitch(t.Context(), engine.Switch{Workflow: "w", By: "x", At: at}, n%2 == 0)
		}},
		"a pause": {engine.SignalSwitches, func() error { return s.Pause(t.Context(), engine.Pause{Key: event(n).String(), At: at}) }},
	} {
		got, heard := s.Subscribe(t.Context(), c.kind), false
		for range 5 {
			if n++; heard {
				break
			}
			if err := c.change(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			select {
			case x := <-got:
				if heard = true; x != c.kind {
					t.Errorf("%s: signal %b, want %b", name, x, c.kind)
				}
			case <-time.After(time.Second):
			}
		}
		if !heard {
			t.Errorf("%s was never signalled", name)
		}
	}
}

func signalsNeverWait(t *testing.T, s Opened) {
	got := s.Subscribe(t.Context(), engine.SignalEvents)
	for n := range int64(100) {
		accept(t, s, event(n), delivery("hook", event(n).String()))
	}
	if len(got) > 1 {
		t.Errorf("%d signals wait for a reader that wants to know only that there is something", len(got))
	}
}
