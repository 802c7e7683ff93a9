package runner

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/testgolden"
)

// deciding decides about the events that runs make, as the intake does, and lets the runs begin.
type deciding struct {
	*arrivals
	rn *Runner
	mu sync.Mutex
	// problems are the decisions that failed.
	problems []error
}

func (a *deciding) Arrived(ev *engine.Event) {
	a.rn.goroutines.Add(1)
	go func() {
		defer a.rn.goroutines.Done()
		if err := a.decide(ev); err != nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.problems = append(a.problems, err)
		}
	}()
}

// decide decides about a stored event.
func (a *deciding) decide(ev *engine.Event) error {
	rn := a.rn
	m := engine.Match{Event: ev.ID, At: time.Now().UTC(), Called: ev.Inlet == "call"}
	var live []*Execution
	names, err := ev.Names()
	if err != nil {
		return err
	}
	if why, is := rn.IsToEnd(ev.ID); is {
		m.Decisions = []engine.Decision{{Workflow: ev.Only, Version: ev.Headers[registry.VersionHeader], Outcome: engine.Dropped, Reason: why}}
	} else {
		list, err := rn.reg.ListenersTo(rn.work, rn.reg.Snapshot(), ev)
		if err != nil {
			return err
		}
		for _, l := range list {
			d := l.Evaluate(ev, names, nil, time.Time{})
			if d.Outcome == engine.Matched {
				d.Run = engine.RunID(rn.reg.NextID())
				start, ex, err := rn.Begin(ev, l.Workflow, d.Run, names, time.Time{})
				if err != nil {
					return err
				}
				m.Starts = append(m.Starts, *start)
				if ex != nil {
					live = append(live, ex)
				}
			}
			m.Decisions = append(m.Decisions, d)
		}
	}
	if rn.reg.Awaited(ev.Trigger) {
		m.Wakes = &engine.EventWait{Trigger: ev.Trigger, Key: ev.Key}
	}
	m.Cancels = rn.reg.CancelsOf(ev, names)
	m.Rules = rn.reg.Rules()
	results, err := rn.store.Match(rn.work, []engine.Match{m})
	if err != nil {
		return err
	}
	rn.Decided(ev, m, results[0].Woken)
	rn.ExecuteAll(rn.Started(m.Starts, live, results[0]))
	return nil
}

// send stores an event and lets it be decided.
func (a *deciding) send(t *testing.T, trigger, key string) {
	t.Helper()
	now := time.Now().UTC()
	ev := &engine.Event{ID: engine.EventID(a.rn.reg.NextID()), Delivery: engine.Delivery{Trigger: trigger, Inlet: "webhook", Key: key,
		Identity: engine.ByKey, Type: trigger, Time: now, ReceivedAt: now, Raw: []byte(`{"n": 5}`),
		Headers: map[string]string{"content-type": "application/json"}, Dedupe: time.Hour}}
	if _, err := a.rn.store.Accept(t.Context(), ev.ID, &ev.Delivery); err != nil {
		t.Fatal(err)
	}
	if err := a.decide(ev); err != nil {
		t.Error(err)
	}
}

// atWork is a runner that executes what is due, over workflows named by their files.
func atWork(t *testing.T, flows map[string]string, act engine.Action) *deciding {
	t.Helper()
	rn, a, _ := storedWith(t, flows, act)
	d := &deciding{arrivals: a, rn: rn}
	rn.o.Arrivals, rn.o.MaxRuns = d, 8
	ctx, stop := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	loops.Go(func() { rn.RunDue(ctx) })
	loops.Go(func() { rn.RunGatherings(ctx) })
	t.Cleanup(func() {
		rn.Stop()
		stop()
		loops.Wait()
		rn.Wait()
	})
	return d
}

// settled waits until a run has ended, or has a status.
func (a *deciding) settled(t *testing.T, id engine.RunID, status engine.RunStatus) *engine.Run {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		r, err := a.rn.store.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status == status || r.Status.Ended() {
			return r
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%s of %s is %s, want %s; %v", id, r.Workflow, r.Status, status, a.problems)
		}
	}
}

// ids are the ids and times in a text, which differ each time.
var ids = regexp.MustCompile(`(run|evt)_[0-9a-f]{16}|\d{4}-\d\d-\d\d[T ][0-9:.]+(Z| \+0000 UTC)`)

// told describes a run and each of its attempts.
func (a *deciding) told(t *testing.T, id engine.RunID) string {
	t.Helper()
	loaded, err := a.rn.store.LoadRun(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	r := loaded.Run
	fmt.Fprintf(&b, "  %s output %v text %q%s\n", r.Status, r.Output, r.Text, shownError(r.Error))
	if r.Ending != nil {
		fmt.Fprintf(&b, "  ending%s\n", shownError(r.Ending))
	}
	slices.SortStableFunc(loaded.Records, func(x, y *plan.Record) int { return strings.Compare(x.Path, y.Path) })
	for _, x := range loaded.Records {
		fmt.Fprintf(&b, "    %s %d %s %s output %v input %v finished %t waits %v%s\n",
			x.Path, x.Attempt, x.Action, x.Status, x.Output, x.Input,
			!x.FinishedAt.IsZero(), plan.Shown(x.Waits), shownError(x.Error))
	}
	return ids.ReplaceAllString(b.String(), "ID")
}

func shownError(e *plan.Error) string {
	if e == nil {
		return ""
	}
	return fmt.Sprintf(" error %s at %q after %d, retryable %t, in doubt %t: %s",
		e.Code, e.Step, e.Attempts, e.Retryable, e.InDoubt, e.Message)
}

// scripts are workflows of one project, and what is done to a run of each of them.
var scripts = []struct {
	name, flow string
	do         func(t *testing.T, a *deciding, id engine.RunID)
}{
	{"callok", "on: call\ninputs: {n: {type: number, default: 1}}\nsteps: [{id: x, uses: test/act, with: {n: \"${{ inputs.n }}\"}}]\n" +
		"output: \"${{ steps.x.output }}\"\n", nil},
	{"callbad", "on: call\nsteps: [{fail: no luck}]\n", nil},
	{"callwait", "on: call\nsteps: [{sleep: 1h}]\n", nil},
	{"callif", "on: call\nwhen: ${{ false }}\nsteps: [{stop: x}]\n", nil},
	{"calloff", "on: call\nenabled: false\nsteps: [{stop: x}]\n", nil},
	{"a_result", "steps: [{id: c, call: callok, with: {n: 4}}, {id: d, uses: test/act, with: {n: \"${{ steps.c.output }}\"}}]\n", nil},
	{"a_failure", "steps: [{id: c, call: callbad, retry: {max: 1, delay: 1ms}}]\n", nil},
	{"a_filter", "steps: [{id: c, call: callif}]\n", nil},
	{"a_switch", "steps: [{id: c, call: calloff}]\n", nil},
	{"a_wrong_input", "steps: [{id: c, call: callok, with: {n: \"${{ event.key }}\"}}]\n", nil},
	{"a_detached", "steps: [{id: c, call: callok, detach: true, output: \"${{ type(result.event) }}\"}]\n", nil},
	{"a_timeout", "steps: [{id: c, call: callwait, timeout: 20ms, retry: 0}]\nfinally: [{uses: test/act, with: {n: cleaned}}]\n", nil},
	{"cancelled_call", "steps: [{id: c, call: callwait}]\n", func(t *testing.T, a *deciding, id engine.RunID) {
		a.settled(t, id, engine.Waiting)
		cancel(t, a, id)
	}},
	{"event", "steps: [{id: e, wait: {event: back, key: \"${{ event.key }}\"}}, " +
		"{uses: test/act, with: {n: \"${{ steps.e.output.data.n }}\"}}]\n",
		func(t *testing.T, a *deciding, id engine.RunID) {
			a.settled(t, id, engine.Waiting)
			a.send(t, "back", "event")
		}},
	{"approval", "steps: [{id: ok, wait: {approval: go}}, {uses: test/act, with: {n: \"${{ steps.ok.output.by }}\"}}]\n",
		func(t *testing.T, a *deciding, id engine.RunID) {
			a.settled(t, id, engine.Waiting)
			answer(t, a, id, "ok")
		}},
	{"beside", "steps:\n  - parallel:\n      - {id: slow, uses: test/act, with: {n: gate}}\n      - {id: ok, wait: {approval: go}}\n" +
		"      - {id: e, wait: {event: back, key: beside}}\n",
		func(t *testing.T, a *deciding, id engine.RunID) {
			a.settled(t, id, engine.Running)
			answer(t, a, id, "0/ok")
			a.send(t, "back", "beside")
			for began := time.Now(); ; time.Sleep(time.Millisecond) {
				if list := records(t, a.rn, id); list["0/ok"].Status == plan.Succeeded && list["0/e"].Status == plan.Succeeded {
					break
				} else if time.Since(began) > 5*time.Second {
					t.Error("what has come is not seen while an attempt is in flight: " + a.told(t, id))
					break
				}
			}
			close(gate)
		}},
	{"cancel_on", "cancel_on: {event: back, key: event.key}\nsteps: [{sleep: 1h}]\nfinally: [{uses: test/act, with: {n: cleaned}}]\n",
		func(t *testing.T, a *deciding, id engine.RunID) {
			a.settled(t, id, engine.Waiting)
			a.send(t, "back", "cancel_on")
		}},
	{"cancelled", "steps: [{sleep: 1h}]\nfinally: [{uses: test/act, with: {n: cleaned}}]\n",
		func(t *testing.T, a *deciding, id engine.RunID) {
			a.settled(t, id, engine.Waiting)
			cancel(t, a, id)
		}},
	{"cancelled_in_finally", "steps: [{stop: x}]\nfinally: [{sleep: 1h}]\n", func(t *testing.T, a *deciding, id engine.RunID) {
		a.settled(t, id, engine.Waiting)
		cancel(t, a, id)
	}},
	{"cut", "steps: [{uses: test/act, with: {n: cut}}]\nfinally: [{uses: test/act, with: {n: cleaned}}]\n",
		func(t *testing.T, a *deciding, id engine.RunID) {
			a.settled(t, id, engine.Running)
			cancel(t, a, id)
		}},
	{"again", "steps: [{uses: test/act, with: {n: again}, retry: {max: 2, delay: 5ms}}, {sleep: 5ms}, " +
		"{uses: test/act, with: {n: last}}]\n", nil},
	{"debounce", "debounce: {wait: 10ms}\nsteps: [{uses: test/act, with: {n: one}}]\n", nil},
	{"batch", "batch: {size: 9, wait: 10ms}\nsteps: [{uses: test/act, with: {n: \"${{ len(events) }}\"}}]\n", nil},
	{"one_at_once", "concurrency: {limit: 1, group: one}\nsteps: [{uses: test/act, with: {n: one}}]\n", nil},
}

// gate ends the attempt that waits for it.
var gate chan struct{}

func cancel(t *testing.T, a *deciding, id engine.RunID) {
	t.Helper()
	if err := a.rn.Cancel(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func answer(t *testing.T, a *deciding, id engine.RunID, path string) {
	t.Helper()
	now := time.Now().UTC()
	if err := a.rn.store.Answer(t.Context(), engine.Answer{Run: id, Path: path, By: "ada", At: now, Answer: plan.Answer{Attempt: 1,
		Verdict: "approve", At: now, Output: map[string]any{"approved": true, "by": "ada"}}}); err != nil {
		t.Error(err)
	}
	a.rn.Answered(id, now)
}

// TestRunsAreRecordedAsTheyWent compares what is stored of runs that call, wait, are cancelled and retried with a
// golden file.
func TestRunsAreRecordedAsTheyWent(t *testing.T) {
	gate = make(chan struct{})
	flows := map[string]string{}
	for _, s := range scripts {
		flows[s.name] = s.flow
		if !strings.HasPrefix(s.flow, "on: ") {
			flows[s.name] = "on: hook\n" + s.flow
		}
	}
	a := atWork(t, flows, acting(func(ctx context.Context, in engine.Input) (any, error) {
		switch {
		case in.With["n"] == "gate":
			<-gate
		case in.With["n"] == "cut":
			<-ctx.Done()
			return nil, ctx.Err()
		case in.With["n"] == "again" && in.Attempt < 3:
			return nil, &plan.Error{Message: "not yet", Code: "busy", Retryable: true}
		}
		return in.With["n"], nil
	}))
	var got strings.Builder
	for _, s := range scripts {
		if strings.HasPrefix(s.flow, "on: ") {
			continue
		}
		id := a.start(t, s.name)
		if s.do != nil {
			s.do(t, a, id)
		}
		a.settled(t, id, engine.Succeeded)
		fmt.Fprintf(&got, "%s\n%s", s.name, a.told(t, id))
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		list, err := a.rn.store.EndCalls(t.Context())
		if err == nil && len(list) == 0 {
			break
		} else if err != nil || time.Since(began) > 5*time.Second {
			t.Fatalf("to be ended are %+v, %v", list, err)
		}
	}
	if err := errors.Join(a.problems...); err != nil {
		t.Error(err)
	}
	testgolden.Compare(t, "runs.txt", got.String())
}

// start lets a run of one workflow begin, by an event whose key is the workflow's name.
func (a *deciding) start(t *testing.T, workflow string) engine.RunID {
	t.Helper()
	now := time.Now().UTC()
	ev := &engine.Event{ID: engine.EventID(a.rn.reg.NextID()), Delivery: engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: workflow,
		Identity: engine.ByKey, Type: "hook", Time: now, ReceivedAt: now, Raw: []byte(`{"n": 5}`),
		Headers: map[string]string{"content-type": "application/json"}, Dedupe: time.Hour}}
	if _, err := a.rn.store.Accept(t.Context(), ev.ID, &ev.Delivery); err != nil {
		t.Fatal(err)
	}
	names, err := ev.Names()
	if err != nil {
		t.Fatal(err)
	}
	w := a.rn.reg.Snapshot().Workflows[workflow]
	id := engine.RunID(a.rn.reg.NextID())
	start, ex, err := a.rn.Begin(ev, w, id, names, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	m := engine.Match{Event: ev.ID, At: now, Rules: a.rn.reg.Rules(), Starts: []engine.RunUpdate{*start},
		Decisions: []engine.Decision{{Workflow: w.ID, Version: w.Version, Outcome: engine.Matched, Run: id}}}
	results, err := a.rn.store.Match(t.Context(), []engine.Match{m})
	if err != nil {
		t.Fatal(err)
	}
	var live []*Execution
	if ex != nil {
		live = append(live, ex)
	}
	a.rn.ExecuteAll(a.rn.Started(m.Starts, live, results[0]))
	return id
}
