package alert

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
)

// TestFailedRunIsReportedUntilARunSucceeds: a timeout is a failure, a cancellation is neither.
func TestFailedRunIsReportedUntilARunSucceeds(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	run := func(status engine.RunStatus, err *plan.Error) {
		r.Changed(engine.Change{Run: &engine.Run{ID: 7, Workflow: "w", Status: status, Error: err}})
	}
	for _, c := range []struct {
		status engine.RunStatus
		err    *plan.Error
		want   string
	}{
		{engine.Running, nil, ""}, {engine.Cancelled, nil, ""},
		{engine.Failed, &plan.Error{Message: "no luck", Code: "x", Step: "a"}, "a run of workflow w has failed: no luck"},
		{engine.Cancelled, nil, "a run of workflow w has failed: no luck"},
		{engine.Waiting, nil, "a run of workflow w has failed: no luck"},
		{engine.Succeeded, nil, ""},
		{engine.TimedOut, nil, "a run of workflow w has timed out: timed_out"},
		{engine.Succeeded, nil, ""},
	} {
		run(c.status, c.err)
		r.sendPending()
		got := ""
		for _, a := range r.OpenAlerts() {
			got += a.Message
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.status, got, c.want)
		}
	}
	if data := string(r.heard[0].Raw); !strings.Contains(data, `"run_url":"https://console/`) || !strings.Contains(data, `"step":"a"`) ||
		!strings.Contains(data, `"code":"x"`) {
		t.Error(data)
	}
}

func TestRuleErrorIsReportedUntilAnEvaluationSucceeds(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	ev := &engine.Event{ID: 9, Delivery: engine.Delivery{Trigger: "hook"}}
	r.Changed(engine.Change{Event: ev, Decision: &engine.Decision{Workflow: "w", Outcome: engine.RuleFailed, Reason: "no field x"}})
	r.sendPending()
	r.holds("it cannot", []string{"alert.rule_failed"}, []string{"rule_failed w"})
	if m := r.OpenAlerts()[0].Message; !strings.Contains(m, "no field x") ||
		!strings.Contains(m, "hookloom replay "+ev.ID.String()+" --workflow w") {
		t.Error(m)
	}
	r.Changed(engine.Change{Event: ev, Decision: &engine.Decision{Workflow: "w", Outcome: engine.Matched}})
	r.sendPending()
	r.holds("it can", []string{"alert.rule_failed", "alert.rule_failed.closed"}, nil)
}

// TestRunThatWaitsForAPersonIsReportedUntilAnswered, and until it ends.
func TestRunThatWaitsForAPersonIsReportedUntilAnswered(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	run := &engine.Run{ID: 7, Workflow: "w", Status: engine.Waiting}
	ask := func() {
		r.AwaitsPerson(run, &plan.Question{Path: "ok", Text: "Ship it?"}, r.o.Registry.EveryRun())
		r.sendPending()
		if a := r.OpenAlerts(); len(a) != 1 || !strings.HasSuffix(a[0].Message, "waits for a person: Ship it?") {
			t.Errorf("%+v", a)
		}
	}
	ask()
	r.AwaitsPerson(run, nil, nil)
	r.sendPending()
	if a := r.OpenAlerts(); len(a) != 0 {
		t.Errorf("without a question: %+v", a)
	}
	ask()
	r.Changed(engine.Change{Run: &engine.Run{ID: 7, Workflow: "w", Status: engine.Cancelled}})
	r.sendPending()
	if a := r.OpenAlerts(); len(a) != 0 {
		t.Errorf("at its end: %+v", a)
	}
}

// TestADiskIsLowUntilThereIsRoom. A disk that cannot be asked changes nothing.
func TestADiskIsLowUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	var free int64
	var broken error
	r.o.Disk = func() (int64, int64, error) { return free, 1 << 40, broken }
	for _, c := range []struct {
		free int64
		err  error
		low  bool
	}{
		{6 << 30, nil, false}, {1 << 20, errors.New("?"), false}, {1 << 20, nil, true}, {6 << 30, errors.New("?"), true},
		{6 << 30, nil, false},
	} {
		free, broken = c.free, c.err
		r.lookAtConditions(t.Context(), time.Now())
		r.sendPending()
		if low := len(r.OpenAlerts()) == 1; low != c.low {
			t.Errorf("%d bytes free, %v: low is %v", c.free, c.err, low)
		} else if low && !strings.HasPrefix(r.OpenAlerts()[0].Message, "1 MB are free") {
			t.Error(r.OpenAlerts()[0].Message)
		}
	}
}

func TestABacklogIsOldAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	received := time.Now().UTC().Truncate(time.Millisecond)
	if _, err := r.store.Accept(t.Context(), engine.EventID(engine.FirstID(received)), &engine.Delivery{Trigger: "hook", Inlet: "webhook",
		Key: "k", Time: received, ReceivedAt: received, Raw: []byte("{}"), Dedupe: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		age time.Duration
		old bool
	}{{0, false}, {5*time.Minute - time.Millisecond, false}, {5 * time.Minute, true}, {time.Minute, false}} {
		r.lookAtConditions(t.Context(), received.Add(c.age))
		r.sendPending()
		if old := len(r.OpenAlerts()) == 1; old != c.old {
			t.Errorf("after %v: old is %v", c.age, old)
		} else if m := r.OpenAlerts(); old && m[0].Message != "an event has waited to be decided for 5m0s" {
			t.Errorf("%+v", m)
		}
	}
}

// TestHostIsReportedWhileItIsDown, and is over when nobody uses it any more.
func TestHostIsReportedWhileItIsDown(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	down := destination.State{Name: "https://a.example", Circuit: "open", Waiting: 3, Last: "refused"}
	for _, c := range []struct {
		hosts []destination.State
		open  string
	}{
		{nil, ""}, {[]destination.State{down}, "https://a.example does not answer (refused); 3 attempts wait"},
		{[]destination.State{{Name: down.Name, Circuit: "closed"}}, ""},
		{[]destination.State{down}, "https://a.example does not answer (refused); 3 attempts wait"}, {nil, ""},
	} {
		r.hosts = c.hosts
		r.lookAtConditions(t.Context(), time.Now())
		r.sendPending()
		got := ""
		for _, a := range r.OpenAlerts() {
			got += a.Message
		}
		if got != c.open {
			t.Errorf("%+v: %q, want %q", c.hosts, got, c.open)
		}
	}
}

// TestAlertsOfRemovedSubjectsAreClosed, and those of what is there are not.
func TestAlertsOfRemovedSubjectsAreClosed(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	for _, a := range []engine.Alert{
		{Kind: engine.AlertRunFailed, Subject: "w"}, {Kind: engine.AlertRunFailed, Subject: "gone"},
		{Kind: engine.AlertRuleFailed, Subject: "gone"}, {Kind: engine.AlertSilence, Subject: "hook"},
		{Kind: engine.AlertSilence, Subject: "gone"}, {Kind: engine.AlertPollFailing, Subject: "gone"},
		{Kind: engine.AlertWebhookMissed, Subject: "gone"}, {Kind: engine.AlertRefusals, Subject: "counted by the last process"},
		{Kind: engine.AlertConnectionHeld, Subject: "gone"},
	} {
		r.Alert(t.Context(), a)
	}
	r.sendPending()
	r.lookAtConditions(t.Context(), time.Now())
	r.sendPending()
	open := r.stored()
	slices.Sort(open)
	if want := []string{"connection_held gone", "run_failed w", "silence hook"}; !slices.Equal(open, want) {
		t.Errorf("open %q, want %q", open, want)
	}
}

// TestRefusalsOfUnknownPathsRaiseNoAlert: anybody may ask for one.
func TestRefusalsOfUnknownPathsRaiseNoAlert(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	for range 30 {
		r.Refused(engine.Refusal{Reason: "no such path"})
	}
	r.sendPending()
	r.holds("an unknown path", nil, nil)
	for range 30 {
		r.Refused(engine.Refusal{Trigger: "hook", Reason: "signature"})
	}
	r.sendPending()
	r.holds("a trigger", []string{"alert.refusals"}, []string{"refusals hook"})
	if m := r.OpenAlerts()[0].Message; m != "10 deliveries of trigger hook were refused within 5m0s, usually 0; the last one: signature" {
		t.Error(m)
	}
}
