package machine_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/plan"
)

// listens is a workflow that notes each alert that it hears of.
const listens = "on: hookloom.alerts\nsteps: [{uses: log, with: {message: x}}]\noutput: ${{ event.type }} ${{ event.data.subject }} ${{ " +
	"event.data.state }}"

// alertMessages waits until the workflow named alerts has had n runs, and gives their
// outputs, in order.
func alertMessages(t *testing.T, s database, n int) []string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		items, err := s.History.Runs(context.Background(), engine.Query{Workflow: "alerts", Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		done := 0
		for _, r := range items {
			if r.Status == "succeeded" {
				done++
			}
		}
		if done < n {
			continue
		}
		var out []string
		for _, r := range items {
			out = append(out, strings.Trim(strings.TrimPrefix(output(t, s, mustRun(t, r.ID)), "succeeded "), `" `))
		}
		slices.Reverse(out)
		return out
	}
	t.Fatalf("%d alerts were not received", n)
	return nil
}

// TestAFailedRunIsReportedOnceUntilOneSucceeds, also over a restart.
func TestAFailedRunIsReportedOnceUntilOneSucceeds(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{if: event.data.bad == true, fail: no luck}]", "alerts": listens})
	e, s, stop := w.start(nil)
	send := func(key, body string) {
		t.Helper()
		if _, err := e.Accept(context.Background(), delivery(key, body)); err != nil {
			t.Fatal(err)
		}
	}
	send("1", `{"bad": true}`)
	alertMessages(t, s, 1)
	send("2", `{"bad": true}`)
	settled(t, s, 3)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	e, s, stop = w.start(nil)
	eventually(t, "the alert is not open after the restart", func() bool { return len(e.OpenAlerts()) == 1 })
	send("3", `{"bad": true}`)
	settled(t, s, 4)
	send("4", `{}`)
	want := []string{"alert.run_failed w open", "alert.run_failed.closed w closed"}
	if got := alertMessages(t, s, 2); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	eventually(t, "the alert is still open", func() bool { return len(e.OpenAlerts()) == 0 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestClosedAlertReportsItsEnd: what a person reads is not the opening again.
func TestClosedAlertReportsItsEnd(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{if: event.data.bad == true, fail: no luck}]",
		"alerts": "on: hookloom.alerts\noutput: \"${{ event.data.message }}\"\nsteps: [{set: {x: 1}}]"})
	e, s, stop := w.start(nil)
	for n, body := range []string{`{"bad": true}`, `{}`} {
		if _, err := e.Accept(context.Background(), delivery(strconv.Itoa(n), body)); err != nil {
			t.Fatal(err)
		}
		alertMessages(t, s, n+1)
	}
	got := alertMessages(t, s, 2)
	if strings.HasPrefix(got[0], "over after") || !strings.HasPrefix(got[1], "over after 0s: ") || !strings.HasSuffix(got[1], got[0]) {
		t.Errorf("heard %q", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestARuleThatCannotBeEvaluatedIsReported until it can be.
// What is reported before the alerts of the last process are known opens none twice, and
// closes one that was mended while no process ran.
func TestAConditionIsReportedOnceAcrossARestart(t *testing.T) {
	w := newWorld(t, map[string]string{"alerts": listens})
	report := func(e *machine.Engine) {
		e.Alert(context.Background(), engine.Alert{Kind: engine.AlertReloadFailed, Message: "one file is broken"})
	}
	for n, before := range []func(*machine.Engine){report, report, func(e *machine.Engine) { e.AlertOver(engine.AlertReloadFailed, "") }} {
		w.before = before
		e, s, stop := w.start(nil)
		open := 1 - n/2
		eventually(t, "the alert is not as it should be", func() bool { return len(e.OpenAlerts()) == open })
		want := []string{"alert.reload_failed  open", "alert.reload_failed.closed  closed"}[:1+n/2]
		if got := alertMessages(t, s, len(want)); !slices.Equal(got, want) {
			t.Errorf("start %d: heard %q, want %q", n, got, want)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// An alert about a workflow that is gone would stay open for ever.
func TestAlertsOfRemovedWorkflowsAreClosed(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{fail: no luck}]", "alerts": listens})
	w.options.ConditionsEvery = 10 * time.Millisecond
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("1", `{}`)); err != nil {
		t.Fatal(err)
	}
	alertMessages(t, s, 1)
	if err := e.Use(context.Background(), newWorld(t, map[string]string{"alerts": listens}).project); err != nil {
		t.Fatal(err)
	}
	want := []string{"alert.run_failed w open", "alert.run_failed.closed w closed"}
	if got := alertMessages(t, s, 2); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestARuleThatCannotBeEvaluatedIsReported(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nwhen: event.data.a.b == 1\nsteps: [{stop: x}]", "alerts": listens})
	e, s, stop := w.start(nil)
	for i, body := range []string{`{}`, `{}`, `{"a": {"b": 2}}`} {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(i), body)); err != nil {
			t.Fatal(err)
		}
		alertMessages(t, s, []int{1, 1, 2}[i])
	}
	if got := alertMessages(t, s, 2); !slices.Equal(got, []string{"alert.rule_failed w open", "alert.rule_failed.closed w closed"}) {
		t.Errorf("heard %q", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestARunThatWaitsForAPersonIsReported until it is answered, cancelled or over.
func TestARunThatWaitsForAPersonIsReported(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{id: ok, wait: {approval: 'Ship?'}}, {id: later, wait: {approval: " +
		"'Really?'}}]", "alerts": listens})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("1", `{}`)); err != nil {
		t.Fatal(err)
	}
	alertMessages(t, s, 1)
	eventually(t, "no alert is open", func() bool { return len(e.OpenAlerts()) == 1 })
	open := e.OpenAlerts()
	if open[0].Kind != engine.AlertApprovalWaiting || !strings.Contains(open[0].Message, "Ship?") {
		t.Fatalf("%+v", open)
	}
	run := mustRun(t, open[0].Subject)
	if _, err := e.Answer(context.Background(), run, engine.Response{Path: "ok", Verdict: "approve", By: "ada"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second question never came", func() bool {
		_, err := e.Answer(context.Background(), run, engine.Response{Path: "later", Verdict: "reject", By: "ada"})
		return err == nil
	})
	// The run fails, since it was rejected: that is an alert of its own.
	eventually(t, "the approval is still open", func() bool {
		return !slices.ContainsFunc(e.OpenAlerts(), func(a engine.OpenAlert) bool { return a.Kind == engine.AlertApprovalWaiting })
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	_ = s
}

// TestRefusalsAreReportedWhenTheyRise: a few are a scanner, many at once are a wrong
// secret.
func TestRefusalsAreReportedWhenTheyRise(t *testing.T) {
	w := newWorld(t, map[string]string{"alerts": listens})
	e, s, stop := w.start(nil)
	for range 9 {
		e.Refuse(engine.Refusal{At: time.Now(), Trigger: "hook", Reason: "signature wrong"})
	}
	if got := e.OpenAlerts(); len(got) != 0 {
		t.Errorf("nine refusals: %+v", got)
	}
	for range 30 {
		e.Refuse(engine.Refusal{At: time.Now(), Trigger: "hook", Reason: "signature wrong"})
		e.Refuse(engine.Refusal{At: time.Now(), Reason: "no such path"}) // anybody's noise
	}
	if got := alertMessages(t, s, 1); !slices.Equal(got, []string{"alert.refusals hook open"}) {
		t.Errorf("heard %q", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// deadHost answers only when it is well.
type deadHost struct{ well atomic.Bool }

func (*deadHost) Destination(engine.Input) string { return "https://dead.example" }

func (h *deadHost) Do(context.Context, engine.Input) (any, error) {
	if h.well.Load() {
		return nil, nil
	}
	return nil, &plan.Error{Message: "refused", Code: "network", Retryable: true}
}

// TestAHostThatDoesNotRespondIsReported until it does.
func TestAHostThatDoesNotRespondIsReported(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{id: a, uses: test/act, retry: {max: 50, delay: 10ms, max_delay: 10ms}}]",
		"alerts": listens})
	host := &deadHost{}
	w.act, w.options.ConditionsEvery, w.options.BreakerPause = host, 2*time.Millisecond, 20*time.Millisecond
	e, s, stop := w.start(nil)
	for i := range 8 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	if got := alertMessages(t, s, 1); got[0] != "alert.circuit_open https://dead.example open" {
		t.Errorf("heard %q", got)
	}
	host.well.Store(true)
	settled(t, s, 9)
	eventually(t, "still open", func() bool { return len(e.OpenAlerts()) == 0 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestALowDiskIsReported until there is room.
func TestALowDiskIsReported(t *testing.T) {
	w := newWorld(t, map[string]string{"alerts": listens})
	free := make(chan int64, 1)
	free <- 1 << 20
	w.options.ConditionsEvery = 2 * time.Millisecond
	w.options.Disk = func() (int64, int64, error) {
		n := <-free
		free <- n
		return n, 1 << 40, nil
	}
	e, s, stop := w.start(nil)
	alertMessages(t, s, 1)
	<-free
	free <- 1 << 39
	if got := alertMessages(t, s, 2); !slices.Equal(got, []string{"alert.disk_low  open", "alert.disk_low.closed  closed"}) {
		t.Errorf("heard %q", got)
	}
	eventually(t, "still open", func() bool { return len(e.OpenAlerts()) == 0 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestEveryWorkflowCanBeListenedTo by one that names none of them.
func TestEveryWorkflowCanBeListenedTo(t *testing.T) {
	watch := "on:\n  workflow_run: {workflows: ['*'], status: [failed, succeeded]}\nsteps: [{uses: log, with: {message: x}}]\noutput: ${{ " +
		"event.data.workflow }} ${{ event.data.status }}"
	w := newWorld(t, map[string]string{"a": "on: hook\nsteps: [{fail: no}]", "b": "on: hook\nsteps: [{uses: log, with: {message: x}}]",
		"alerts": watch, "other": watch})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("1", `{}`)); err != nil {
		t.Fatal(err)
	}
	got := alertMessages(t, s, 2)
	slices.Sort(got)
	if !slices.Equal(got, []string{"a failed", "b succeeded"}) {
		t.Errorf("heard %q", got)
	}
	// Two that watch all do not hear of each other: there are two runs each, and no more.
	if n := len(settled(t, s, 6)); n != 6 {
		t.Errorf("%d runs", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
