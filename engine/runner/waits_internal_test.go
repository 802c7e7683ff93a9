package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
)

// waiting is a record of a step that waits.
func waiting(path string, waits ...plan.Wait) *plan.Record {
	return &plan.Record{Path: path, Attempt: 2, Status: plan.Waiting, Waits: waits}
}

// TestTheEndOfACalledRunAnswersItsCaller, in each way in which it can have ended.
func TestTheEndOfACalledRunAnswersItsCaller(t *testing.T) {
	rn, _ := idle(t)
	s := alter(rn)
	ran := func(status engine.RunStatus, err *plan.Error) *engine.Run {
		return &engine.Run{ID: 9, Status: status, Output: "out", Error: err}
	}
	long := strings.Repeat("x", 2*plan.MaxErrorText)
	for _, c := range []struct {
		name string
		c    engine.CallState
		err  error
		want string // output, code, message, in doubt
	}{
		{"it has not begun", engine.CallState{}, nil, ""},
		{"it is undecided and has no run", engine.CallState{Outcome: engine.Skipped}, nil, ""},
		{"it runs", engine.CallState{Decided: true, Run: ran(engine.Running, nil)}, nil, ""},
		{"it succeeded", engine.CallState{Decided: true, Run: ran(engine.Succeeded, nil)}, nil, "out"},
		{"it failed", engine.CallState{Decided: true, InDoubt: true, Run: ran(engine.Failed, &plan.Error{Message: "no luck"})}, nil,
			"<nil> call_failed: workflow other failed: no luck true true map[run:" + engine.RunID(9).String() + "] step"},
		{"it timed out", engine.CallState{Decided: true, Run: ran(engine.TimedOut, nil)}, nil,
			"<nil> call_timed_out: workflow other timed out true false map[run:" + engine.RunID(9).String() + "] step"},
		{"its rule did not match", engine.CallState{Decided: true, Outcome: engine.Skipped}, nil, "<nil>"},
		{"its event was filtered", engine.CallState{Decided: true, Outcome: engine.Filtered}, nil, "<nil>"},
		{"it was dropped", engine.CallState{Decided: true, Outcome: engine.Dropped, Reason: "the queue is full"}, nil,
			"<nil> call_failed: workflow other did not run: the queue is full false false map[] step"},
		{"it is gone", engine.CallState{Decided: true}, nil,
			"<nil> call_failed: workflow other did not run: it no longer exists false false map[] step"},
		{"it cannot be read", engine.CallState{}, errRow,
			"<nil> unreadable: the result of the called run cannot be read: a row is damaged false false map[] step"},
		{"the database is away", engine.CallState{}, errDisk, "looking for the run that step called: the disk is broken: " +
			engine.ErrDisk.Error()},
	} {
		ex := at(rn, 1)
		ex.State = &plan.State{Answers: map[string]*plan.Answer{}}
		s.called = func() (engine.CallState, error) { return c.c, c.err }
		call := plan.Wait{Kind: plan.WaitCall, Event: engine.EventID(7).String(), Workflow: "other"}
		err := ex.lookForEvents([]*plan.Record{waiting("step", call), {Path: "done", Status: plan.Succeeded}})
		got := ""
		if a := ex.State.Answers["step"]; a != nil {
			got = fmt.Sprint(a.Output)
			if e := a.Err; e != nil {
				got = fmt.Sprintf("%v %s: %s %t %t %v %s", a.Output, e.Code, e.Message, e.Retryable, e.InDoubt, e.Details, e.Step)
				if e.Details == nil {
					got = strings.Replace(got, "<nil> step", "map[] step", 1)
				}
			}
			if a.Attempt != 2 || a.Verdict != "call" {
				t.Errorf("%s: %+v", c.name, a)
			}
		} else if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
	ex := at(rn, 1)
	ex.State = &plan.State{Answers: map[string]*plan.Answer{}}
	s.called = func() (engine.CallState, error) {
		return engine.CallState{Decided: true, Run: ran(engine.Failed, &plan.Error{Message: long})}, nil
	}
	if err := ex.lookForEvents([]*plan.Record{waiting("s", plan.Wait{Kind: plan.WaitCall, Event: engine.EventID(7).String()})}); err != nil ||
		len(ex.State.Answers["s"].Err.Message) > plan.MaxErrorText+40 {
		t.Errorf("a long message: %v", err)
	}
	if err := ex.lookForEvents([]*plan.Record{waiting("s", plan.Wait{Kind: plan.WaitCall, Event: "x"})}); err == nil ||
		!strings.HasPrefix(err.Error(), `step s waits for "x"`) {
		t.Errorf("an id that is none: %v", err)
	}
}

// awaits is a store in which events have come.
type awaits struct {
	engine.Store
	size   error
	events map[string]*engine.Event
	err    map[string]error
}

func (s *awaits) SizeOf(context.Context, engine.EventWait) (int64, error) { return 0, s.size }

func (s *awaits) EventByKey(_ context.Context, w engine.EventWait, _ *engine.Run) (*engine.Event, error) {
	return s.events[w.Key], s.err[w.Key]
}

// TestTheEarliestEventReleasesAWait, unless a person answered before it; what cannot be read is the step's failure.
func TestTheEarliestEventReleasesAWait(t *testing.T) {
	rn, _ := idle(t)
	now := time.Now()
	came := func(n int, after time.Duration) *engine.Event {
		return &engine.Event{ID: engine.EventID(n), Delivery: engine.Delivery{Trigger: "back", Inlet: "emit", Raw: []byte(`{"n": 1}`),
			Headers: map[string]string{"content-type": "application/json"}, ReceivedAt: now.Add(after)}}
	}
	locked := came(4, 0)
	locked.Locked = errors.New("its key is not configured")
	s := &awaits{Store: rn.store.Store, events: map[string]*engine.Event{"late": came(1, time.Minute), "early": came(2, time.Second),
		"same": came(3, time.Second), "locked": locked}, err: map[string]error{"damaged": errRow, "away": errDisk}}
	rn.store = persist.New(s, rn.o.Log)
	rn.store.Start(rn.work)
	event := func(keys ...string) (out []plan.Wait) {
		for _, k := range keys {
			out = append(out, plan.Wait{Kind: plan.WaitEvent, Trigger: "back", Key: k, Any: len(keys) > 1})
		}
		return out
	}
	for _, c := range []struct {
		keys     []string
		answered *plan.Answer
		want     string // event, index, error
	}{
		{[]string{"none"}, nil, ""}, {[]string{"late"}, nil, "1 0"}, {[]string{"late", "early"}, nil, "2 1"},
		{[]string{"early", "late"}, nil, "2 0"}, {[]string{"early", "same"}, nil, "2 0"}, {[]string{"none", "late"}, nil, "1 1"},
		{[]string{"damaged"}, nil, "0 0 the event it waited for cannot be read: looking for event \"damaged\" of back: a row is damaged"},
		{[]string{"late", "damaged"}, nil, "1 0"}, // the answer of the first event replaces it
		{[]string{"away"}, nil, "error looking for event \"away\" of back: the disk is broken: " + engine.ErrDisk.Error()},
		{[]string{"locked"}, nil, "4 0 event " + engine.EventID(4).String() + ": its key is not configured"},
		{[]string{"early"}, &plan.Answer{Attempt: 2, Verdict: "approve", At: now}, "approve"},
		{[]string{"early"}, &plan.Answer{Attempt: 2, Verdict: "approve", At: now.Add(time.Second)}, "2 0"},
		{[]string{"early"}, &plan.Answer{Attempt: 1, Verdict: "approve", At: now}, "2 0"},
		{[]string{"early"}, &plan.Answer{Attempt: 2, Verdict: "event"}, "2 0"},
	} {
		ex := at(rn, 1)
		ex.State = &plan.State{Answers: map[string]*plan.Answer{}}
		if c.answered != nil {
			ex.State.Answers["s"] = c.answered
		}
		err := ex.lookForEvents([]*plan.Record{waiting("s", event(c.keys...)...)})
		got := ""
		switch a := ex.State.Answers["s"]; {
		case err != nil:
			got = "error " + err.Error()
		case a != nil && a.Verdict != "event":
			got = a.Verdict
		case a != nil:
			got = fmt.Sprintf("%d %d", ex.releasedBy["s"], a.Index)
			if a.Err != nil {
				got += " " + a.Err.Message
				if a.Err.Code != "unreadable" || a.Err.Step != "s" {
					t.Errorf("%q: %+v", c.keys, a.Err)
				}
			} else if names, _ := a.Output.(map[string]any); names["trigger"] != "back" {
				t.Errorf("%q: %v", c.keys, a.Output)
			}
			if a.Attempt != 2 {
				t.Errorf("%q: it answers attempt %d", c.keys, a.Attempt)
			}
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.keys, got, c.want)
		}
	}
	ex := at(rn, 1)
	ex.State = &plan.State{Answers: map[string]*plan.Answer{}}
	for err, want := range map[error]bool{errRow: false, errDisk: true} {
		s.size = err
		got := ex.lookForEvents([]*plan.Record{waiting("s", event("early")...)})
		if want != errors.Is(got, err) || want && !strings.HasPrefix(got.Error(), "looking for the awaited event: ") {
			t.Errorf("no size: %v", got)
		}
		got = ex.lookForEvents([]*plan.Record{waiting("c", plan.Wait{Kind: plan.WaitCall, Event: engine.EventID(7).String()})})
		if want != errors.Is(got, err) || want && !strings.HasPrefix(got.Error(), "looking for what step c waits for: ") {
			t.Errorf("no size: %v", got)
		}
	}
	done := &plan.Record{Path: "s", FinishedAt: now}
	got := ex.came([]*plan.Record{done, {Path: "s"}, {Path: "other", FinishedAt: now}})
	if len(got) != 1 || got[0].Path != "s" || got[0].Event != 2 {
		t.Errorf("came %+v", got)
	}
}

// TestARunIsFoundByWhatItWaitsFor: by events and calls, not by approvals.
func TestARunIsFoundByWhatItWaitsFor(t *testing.T) {
	rn, _ := idle(t)
	ex := at(rn, 1)
	questions := []plan.Question{{Kind: "event", Trigger: "back", Key: "k"}, {Kind: "approval"}, {Kind: "call", Key: "evt_1"}}
	if ex.recordWaits(questions); ex.awaits != nil {
		t.Errorf("it cannot wait: %+v", ex.awaits)
	}
	ex.news = make(chan struct{}, 1)
	if ex.recordWaits(questions); len(ex.awaits) != 2 || ex.awaits[0].Trigger != "back" || ex.awaits[0].Key != "k" ||
		ex.awaits[1].Key != "evt_1" {
		t.Errorf("it waits for %+v", ex.awaits)
	}
	rn.takeSlot(ex)
	due := time.Now().Add(-time.Minute)
	for want, id := range []engine.RunID{2, 1} {
		if rn.Answered(id, due); len(ex.news) != want || !rn.nextDue.Equal(due) {
			t.Errorf("%s: signalled %d times, due at %v", id, len(ex.news), rn.nextDue)
		}
	}
	<-ex.news
	for range 2 { // it holds one signal
		if rn.NewsElsewhere(); len(ex.news) != 1 {
			t.Error("it is not signalled")
		}
	}
	ex.State = &plan.State{}
	ex.answersAre(&engine.LoadedRun{Answers: map[string]*plan.Answer{"a": {Attempt: 1}}, Answered: 3})
	ex.answersAre(&engine.LoadedRun{Answers: map[string]*plan.Answer{"b": {Attempt: 1}}, Answered: 4})
	if len(ex.State.Answers) != 2 || ex.answers != 4 {
		t.Errorf("answers %v, %d in all", ex.State.Answers, ex.answers)
	}
}

// final is an execution of a workflow with finally steps.
func final(rn *Runner, records ...string) *Execution {
	ex := at(rn, 1)
	ex.State = &plan.State{Workflow: &workflows.Workflow{Finally: []*workflows.Step{{}}}, Records: map[string][]*plan.Record{}}
	for _, path := range records {
		ex.State.AddRecord(&plan.Record{Path: path, Status: plan.Waiting, Waits: []plan.Wait{{Kind: plan.WaitSleep}}})
	}
	return ex
}

// TestOnlyAPersonCutsFinallySteps: an event that comes once they have begun changes nothing.
func TestOnlyAPersonCutsFinallySteps(t *testing.T) {
	rn, _ := idle(t)
	none := at(rn, 1)
	none.State = &plan.State{Workflow: &workflows.Workflow{}, Records: map[string][]*plan.Record{plan.FinallyPath + "/0": {{}}}}
	begun, before := final(rn, "a", plan.FinallyPath+"/0"), final(rn, "a")
	for _, ex := range []*Execution{none, begun, before} {
		if ex.noteFinally(); ex.ending != (ex == begun) {
			t.Errorf("%v: ending %t", ex.State.Records, ex.ending)
		}
	}
	due := func(path string) plan.Decision { return plan.Decision{Due: []plan.Due{{Path: path}}} }
	call := plan.Decision{Calls: []plan.Call{{Path: plan.FinallyPath + "/0"}}}
	for _, c := range []struct {
		name        string
		d           plan.Decision
		cut, ending bool // before
		again, ends bool
	}{
		{"another step", due("a"), true, false, false, false}, {"its first step", due(plan.FinallyPath + "/0"), false, false, false, true},
		{"its first step, cancelled", due(plan.FinallyPath + "/0"), true, false, true, false},
		{"a call", call, false, false, false, true}, {"a call, cancelled", call, true, false, true, false},
		{"it is at them", due(plan.FinallyPath + "/1"), true, true, false, true},
	} {
		ex := final(rn)
		ex.ending = c.ending
		if c.cut {
			ex.cancel()
		}
		if got := ex.cutBeforeFinally(c.d); got != c.again || ex.ending != c.ends {
			t.Errorf("%s: planned again %t, ending %t", c.name, got, ex.ending)
		}
	}
	none.cancel()
	if none.cutBeforeFinally(due(plan.FinallyPath+"/0")) || none.toFinally() {
		t.Error("a workflow without finally steps has some")
	}
}

// TestACancelledRunGoesOnWithItsFinallySteps for the reason that is given, and a person cancels them too.
func TestACancelledRunGoesOnWithItsFinallySteps(t *testing.T) {
	rn, _ := idle(t)
	event := &plan.Error{Message: "an event", Code: "cancelled_by_event"}
	for _, c := range []struct {
		why    *plan.Error
		ending bool
		goesOn bool
		want   string
	}{
		{nil, false, true, "the run was cancelled"}, {event, false, true, "an event"}, {nil, true, false, ""}, {event, true, true, ""},
	} {
		ex := final(rn, "a", plan.FinallyPath+"/0")
		ex.ending = c.ending
		ex.cutBy(c.why)
		if !ex.cut() {
			t.Fatal("it is not cancelled")
		}
		if got := ex.toFinally(); got != c.goesOn || ex.why != nil || ex.cut() == c.goesOn || !ex.ending {
			t.Errorf("%+v: it goes on: %t, cancelled %t, why %v", c, got, ex.cut(), ex.why)
		}
		if c.want == "" {
			if ex.Run.Ending != nil || ex.State.Cancelled != nil || len(ex.unsaved) != 0 {
				t.Errorf("%+v: %+v", c, ex.Run)
			}
			continue
		}
		if ex.Run.Ending == nil || ex.Run.Ending.Message != c.want || ex.State.Cancelled != ex.Run.Ending || len(ex.unsaved) != 1 ||
			ex.unsaved[0].Path != "a" {
			t.Errorf("%+v: ending %+v, stored %+v", c, ex.Run.Ending, ex.unsaved)
		}
	}
	ex := at(rn, 3)
	rn.takeSlot(ex)
	ex.ending = true
	if err := rn.cancel(t.Context(), 3, event); err != nil || ex.ctx.Err() != nil {
		t.Errorf("an event cancels finally steps: %v", err)
	}
	if err := rn.Cancel(t.Context(), 3); err != nil || ex.ctx.Err() == nil {
		t.Errorf("a person does not: %v", err)
	}
}

// TestAnAttemptsErrorSaysWhichTimeoutItWas, and is masked.
func TestAnAttemptsErrorSaysWhichTimeoutItWas(t *testing.T) {
	for _, c := range []struct {
		name     string
		l        limit
		deadline time.Duration
		after    time.Duration
		err      error
		want     string
	}{
		{"another error", limit{step: time.Minute}, 0, 0, errors.New("secretPassw0rd2 is wrong"), "failed true *** is wrong"},
		{"its own", limit{step: time.Minute}, 0, time.Minute, &plan.Error{Code: "bad", Message: "m"}, "bad false m"},
		{"the step's", limit{step: time.Minute}, 0, 2 * time.Minute, &plan.Error{Code: "bad", Message: "m"}, "timeout true no answer within 30s"},
		{"the group's", limit{step: time.Hour, end: time.Now().Add(1)}, time.Minute, 2 * time.Minute, errors.New("x"),
			"timeout true cut after 1.5s: its group g took longer than its timeout of 1m0s"},
		{"the run's", limit{step: time.Hour, end: time.Now().Add(1)}, time.Hour, 2 * time.Minute, errors.New("x"),
			"timeout true cut after 1.5s: the run took longer than its timeout of 5m0s"},
		{"the run's, without a group", limit{step: time.Hour, end: time.Now().Add(1)}, 0, 2 * time.Minute, errors.New("x"),
			"timeout true cut after 1.5s: the run took longer than its timeout of 5m0s"},
	} {
		rn, _, _ := stored(t)
		rn.o.Redactor.Set([]string{"secretPassw0rd2"})
		synctest.Test(t, func(t *testing.T) {
			rn.work = t.Context()
			ex := at(rn, 1)
			ex.State = &plan.State{Workflow: &workflows.Workflow{Timeout: 5 * time.Minute}}
			if !c.l.end.IsZero() {
				c.l.end = time.Now().Add(time.Minute)
			}
			d := plan.Due{Path: "s", Attempt: 3, Step: &workflows.Step{Timeout: 30 * time.Second}, Group: "g", GroupTimeout: time.Minute}
			if c.deadline > 0 {
				d.Deadline = time.Now().Add(c.deadline)
			}
			timed, cancel := newAttemptContext(t.Context(), c.l)
			defer cancel()
			time.Sleep(c.after - 1)
			if c.after > time.Minute {
				synctest.Wait()
			}
			got := ex.explain(timed, d, c.err, 1500*time.Millisecond+123*time.Microsecond)
			if text := fmt.Sprint(got.Code, " ", got.Retryable, " ", got.Message); text != c.want || got.Step != "s" || got.Attempts != 3 {
				t.Errorf("%s: %s, want %s; %+v", c.name, text, c.want, got)
			}
			if at, ok := timed.Deadline(); !ok || !at.Equal(timed.deadline) {
				t.Errorf("%s: the deadline is %v", c.name, at)
			}
		})
	}
}

// tracing is a watch that wants a traceparent, or none.
type tracing struct {
	engine.Watch
	on bool
}

func (w tracing) Traces() bool { return w.on }

// TestAttemptsCarryATraceparent if the sender sent one, or traces are exported.
func TestAttemptsCarryATraceparent(t *testing.T) {
	rn, _ := idle(t)
	const sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range []struct {
		watch engine.Watch
		sent  bool
		want  bool
	}{{nil, false, false}, {nil, true, true}, {tracing{}, false, false}, {tracing{}, true, true}, {tracing{on: true}, false, true}} {
		rn.o.Watch = c.watch
		ex := at(rn, 1)
		if c.sent {
			ex.Event.Headers = map[string]string{"traceparent": sent}
		}
		got := engine.Traceparent(ex.traced(t.Context(), "s", 1))
		if (got != "") != c.want || c.sent && got[:36] != sent[:36] || c.want && got == engine.Traceparent(ex.traced(t.Context(), "s", 2)) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestQuestionsToAPersonAreAlertedOn, and others are not.
func TestQuestionsToAPersonAreAlertedOn(t *testing.T) {
	rn, _, _ := stored(t)
	for i, kinds := range [][]string{{"event", "call"}, {"event", "approval", "review"}, {"review"}, nil} {
		ex := rn.newExecution(&engine.Event{}, &engine.Run{ID: engine.RunID(i + 1), Workflow: "w"})
		for n, k := range kinds {
			ex.questions = append(ex.questions, plan.Question{Kind: k, Path: fmt.Sprint(k, n), Text: k})
		}
		rn.noteQuestions(ex)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	rn.alerts.Run(stopped) // publishes what is left
	var got []string
	for _, a := range rn.alerts.OpenAlerts() {
		got = append(got, a.Subject)
	}
	slices.Sort(got)
	if want := []string{engine.RunID(2).String(), engine.RunID(3).String()}; !slices.Equal(got, want) {
		t.Errorf("alerts of %v, want %v", got, want)
	}
}

// TestAChangeIsReportedToEachObserver.
func TestAChangeIsReportedToEachObserver(t *testing.T) {
	rn, _, _ := stored(t)
	var observed, watched int
	update := engine.RunUpdate{Run: &engine.Run{ID: 1, Status: engine.Running}, Records: []*plan.Record{{Path: "a"}}, Mask: &redact.Masker{}}
	for _, c := range []struct{ observe, watch bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		observed, watched = 0, 0
		rn.o.Observe, rn.o.Watch = nil, nil
		if c.observe {
			rn.o.Observe = func(c engine.Change) { observed += len(c.Steps) }
		}
		if c.watch {
			rn.o.Watch = watching(func(c engine.Change) { watched += len(c.Steps) })
		}
		rn.ReportUpdate(&engine.Event{ID: 1}, update)
		if (observed == 1) != c.observe || (watched == 1) != c.watch {
			t.Errorf("%+v: observed %d, watched %d", c, observed, watched)
		}
	}
}

// watching receives changes.
type watching func(engine.Change)

func (w watching) Stored(*engine.Delivery, engine.Receipt) {}
func (w watching) Changed(c engine.Change)                 { w(c) }
func (w watching) Alerted(engine.Alert)                    {}
func (w watching) Polled(*engine.PollBatch, int)           {}
func (w watching) Traces() bool                            { return false }
