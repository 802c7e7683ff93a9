package backtest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// TestOriginsOfEventsAreReadFromTheRecord checks what made each kind of event.
func TestOriginsOfEventsAreReadFromTheRecord(t *testing.T) {
	id := engine.RunID(0x123456789)
	for _, x := range []struct {
		ev engine.RecordedEvent
		is origin
		ok bool
	}{
		{engine.RecordedEvent{Event: event("webhook", id.String()), Emitted: id}, origin{}, false},
		{engine.RecordedEvent{Event: event(workflows.InletEmit, "k"), Emitted: id, EmittedAt: "a"}, origin{run: id, step: "a"}, true},
		{engine.RecordedEvent{Event: event(workflows.InletEmit, "k")}, origin{}, false},
		{engine.RecordedEvent{Event: event(workflows.InletCall, id.String()+"/a/b/12")}, origin{run: id, step: "a/b", attempt: 12}, true},
		{engine.RecordedEvent{Event: event(workflows.InletCall, id.String()+"/a/1")}, origin{run: id, step: "a", attempt: 1}, true},
		{engine.RecordedEvent{Event: event(workflows.InletCall, id.String()+"/1")}, origin{}, false},
		{engine.RecordedEvent{Event: event(workflows.InletCall, id.String()+"/a/x")}, origin{run: id, step: "a"}, false},
		{engine.RecordedEvent{Event: event(workflows.InletCall, "x/a/1")}, origin{}, false},
		{engine.RecordedEvent{Event: event(workflows.InletWorkflowRun, id.String())}, origin{run: id, workflow: "w"}, true},
		{engine.RecordedEvent{Event: event(workflows.InletWorkflowRun, "x")}, origin{workflow: "w"}, false},
	} {
		if o, ok := originOf(&x.ev); o != x.is || ok != x.ok {
			t.Errorf("%s %s: %+v %v, want %+v", x.ev.Event.Inlet, x.ev.Event.Key, o, ok, x.is)
		}
	}
	ordered := []origin{{run: 1}, {run: 1, workflow: "a"}, {run: 1, step: "a"}, {run: 1, step: "a", attempt: 1}, {run: 1, step: "b"},
		{run: 2}}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.compare(b); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%+v %+v: %d", a, b, got)
			}
		}
	}
}

func event(inlet engine.Inlet, key string) *engine.Event {
	return &engine.Event{Delivery: engine.Delivery{Inlet: inlet, Key: key, Only: "w", ReceivedAt: noon}}
}

// TestHighestIDsAreChosen checks which events a limit and a sample choose: a sample is spread over all.
func TestHighestIDsAreChosen(t *testing.T) {
	ids := func() (out []engine.EventID) {
		for i := range 1000 {
			out = append(out, engine.EventID(i))
		}
		return out
	}
	rank := func(id engine.EventID) uint64 { return uint64(id) / 2 }
	if got := fmt.Sprint(highest([]engine.EventID{4, 9, 2, 8, 6}, 2, rank)[1] > 7, highest(nil, 3, rank), len(highest(ids(), 2000,
		rank))); got != "true [] 1000" {
		t.Error(got)
	}
	sample := highest(ids(), 100, spread)
	slices.Sort(sample)
	parts := [4]int{}
	for _, id := range sample {
		parts[id/250]++
	}
	for i, n := range parts {
		if n < 15 || n > 35 {
			t.Errorf("part %d of four has %d of 100 events", i+1, n)
		}
	}
}

// chained is an event of a run that is part of a chain.
func chained(runs, emits int) *engine.Event {
	ev := event(workflows.InletEmit, "")
	ev.ID, ev.Headers = 5, map[string]string{registry.ChainHeader: registry.Chain{Runs: runs, Emits: emits, Names: "a"}.String()}
	return ev
}

// TestMadeEventsHaveWhatTheEngineGivesThem checks the events that a simulated run emits and that tell of its end, up
// to the longest chain.
func TestMadeEventsHaveWhatTheEngineGivesThem(t *testing.T) {
	p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers: {inside: {}, hook: {webhook: {auth: none}}}\n"},
		workflows.Catalog{})
	b := &run{o: Options{Project: p}}
	emit := func(with map[string]any, chain int) *made {
		it := &item{workflow: "w", ev: &engine.RecordedEvent{Event: chained(0, chain)}}
		return b.madeAt(it, &call{action: emitAction, path: "e", began: after(9), with: with, answer: &answer{status: plan.Succeeded}},
			afterSide)
	}
	for _, x := range []struct {
		with map[string]any
		want string
	}{
		{map[string]any{"trigger": "inside", "data": 5}, "inside inside  5"},
		{map[string]any{"trigger": "inside", "data": nil, "type": "x", "key": "k"}, "inside x k null"},
		{map[string]any{"trigger": "inside", "data": nil, "type": "", "key": 5}, "inside inside 5 null"},
		{map[string]any{"trigger": "nowhere", "data": 5}, "none"}, {map[string]any{"trigger": "inside", "data": func() {}}, "none"},
	} {
		got := "none"
		if m := emit(x.with, 0); m != nil {
			got = fmt.Sprint(m.event.Trigger, " ", m.event.Type, " ", m.event.Key, " ", string(m.event.Raw))
			if m.cause != (Cause{Workflow: "w", Step: "e", How: "emit"}) || !m.event.ReceivedAt.Equal(after(9)) ||
				!m.event.Time.Equal(after(9)) ||
				m.event.Headers[registry.ChainHeader] != "0;1;a -> w" || m.event.Headers["content-type"] != "application/json" {
				t.Errorf("%+v %+v", m.cause, m.event)
			}
		}
		if got != x.want {
			t.Errorf("%v: %s, want %s", x.with, got, x.want)
		}
	}
	with := map[string]any{"trigger": "inside", "data": 5}
	if emit(with, registry.MaxEmits-1) == nil || emit(with, registry.MaxEmits) != nil {
		t.Error("the longest chain of emitted events")
	}
	l := engine.Listener{Workflow: &workflows.Workflow{ID: "l"}, Start: workflows.Start{Statuses: []string{"failed"}}}
	end := func(chain int, e *plan.End) *made {
		it := &item{workflow: "w", ev: &engine.RecordedEvent{Event: chained(chain, 0)}}
		return b.madeEnd(it, &simulation{st: &plan.State{RunID: "r"}, ended: after(7), end: e}, l)
	}
	failed := &plan.End{Status: "failed", Output: 3, Error: &plan.Error{Message: "m", Code: "c", Step: "s"}}
	m := end(0, failed)
	want := map[string]any{"run_id": "r", "workflow": "w", "status": "failed", "output": 3,
		"error": map[string]any{"message": "m", "code": "c", "step": "s"}}
	if m == nil || !reflect.DeepEqual(m.event.Inputs, want) || m.event.Trigger != "l" || m.event.Only != "l" || m.event.Key != "r" ||
		!m.event.Decoded ||
		m.event.Type != "workflow_run.failed" || m.event.Headers[registry.ChainHeader] != "1;0;a -> w" ||
		m.cause != (Cause{Workflow: "w", How: "workflow_run"}) {
		t.Errorf("%+v", m)
	}
	if end(registry.MaxRuns-1, failed) == nil || end(registry.MaxRuns, failed) != nil || end(0, nil) != nil || end(0,
		&plan.End{Status: "succeeded"}) != nil {
		t.Error("an end that is not reported, or the longest chain of runs")
	}
	for _, code := range []string{"cannot_call", "gone", "too_large", "chain_too_deep", "unknown_trigger", "invalid_input", "secret"} {
		c := &call{called: &plan.Call{}, answer: &answer{err: &plan.Error{Code: code}}}
		if b.madeAt(&item{}, c, afterSide) != nil || b.madeAt(&item{}, &call{}, afterSide) != nil {
			t.Errorf("%s: a step that failed makes an event", code)
		}
	}
	if emitted := (&call{action: emitAction, with: with, answer: &answer{status: plan.Failed}}); b.madeAt(&item{}, emitted,
		afterSide) != nil {
		t.Error("a failed step emits")
	}
}

// keyed is a history that knows when it last saw a key.
type keyed struct {
	engine.RecordHistory
	seen time.Time
}

func (h keyed) KeySeen(context.Context, string, string) (time.Time, error) { return h.seen, nil }

// TestAnEmittedKeyIsKnownWithinTheTimeOfItsTrigger checks when an event that only the edited side emits is a
// duplicate: of one before it, within dedupe.
func TestAnEmittedKeyIsKnownWithinTheTimeOfItsTrigger(t *testing.T) {
	p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers:\n  inside: {webhook: {auth: none, dedupe: 10s}}\n" +
		"  free: {webhook: {auth: none, dedupe: off}}\n"}, workflows.Catalog{})
	for _, x := range []struct {
		trigger, key string
		seen, at     int
		known        bool
	}{
		{"inside", "k", -1, 0, false}, {"inside", "k", 1000, 10_999, true}, {"inside", "k", 1000, 11_000, false}, {"inside", "", 1000,
			2000, false},
		{"free", "k", 1000, 2000, false}, {"nowhere", "k", 1000, 2000, false}, {"inside", "k", 2000, 1000, true}, {"inside", "k", 2001,
			1000, false},
	} {
		b := &run{o: Options{Project: p, History: keyed{seen: after(x.seen)}}, keys: map[[2]string]time.Time{}}
		ev := &engine.Event{Delivery: engine.Delivery{Trigger: x.trigger, Key: x.key, ReceivedAt: after(x.at)}}
		if known, err := b.emittedBefore(t.Context(), ev); known != x.known || err != nil {
			t.Errorf("%+v: %v %v", x, known, err)
		}
	}
	b := &run{o: Options{Project: p, History: keyed{}}, keys: map[[2]string]time.Time{}}
	for _, x := range []struct {
		at    int
		known bool
	}{{0, false}, {9_999, true}, {19_998, true}, {29_998, false}} {
		ev := &engine.Event{Delivery: engine.Delivery{Trigger: "inside", Key: "k", ReceivedAt: after(x.at)}}
		if known, err := b.emittedBefore(t.Context(), ev); known != x.known || err != nil {
			t.Errorf("after %d ms: %v %v", x.at, known, err)
		}
	}
}

// TestACallerSeesHowTheCalledRunEnded checks the answer that a simulated run gives to its caller.
func TestACallerSeesHowTheCalledRunEnded(t *testing.T) {
	s := &simulation{st: &plan.State{StartedAt: after(100)}, ended: after(350), end: &plan.End{Status: "succeeded", Output: 5}}
	if a := calledAnswer("w", s); a.status != plan.Succeeded || a.output != 5 || a.took != 250*time.Millisecond || !a.raw || a.err != nil {
		t.Errorf("%+v", a)
	}
	s.end = &plan.End{Status: "timed_out", Error: &plan.Error{Message: "too slow"}}
	if a := calledAnswer("w", s); a.status != plan.Failed || a.took != 250*time.Millisecond ||
		a.err.Message != "workflow w timed out: too slow" ||
		a.err.Code != "call_timed_out" || !a.err.Retryable {
		t.Errorf("%+v %+v", a, a.err)
	}
	s.end.Error = nil
	if a := calledAnswer("w", s); a.err.Message != "workflow w timed out" {
		t.Errorf("%+v", a.err)
	}
	for _, x := range []struct {
		a, b int
		near bool
	}{{0, 999, true}, {0, 1000, false}, {999, 0, true}, {1000, 0, false}, {5, 5, true}} {
		if near(time.Duration(x.a)*time.Millisecond, time.Duration(x.b)*time.Millisecond) != x.near {
			t.Errorf("%+v", x)
		}
	}
	recorded := event(workflows.InletEmit, "k")
	for _, x := range []struct{ at, want int }{{1000, 0}, {1001, 1001}, {0, 0}} {
		made := &engine.Event{Delivery: engine.Delivery{Type: "n", Time: after(x.at), ReceivedAt: after(x.at), Raw: []byte("1")}}
		if got := as(made, recorded); !got.ReceivedAt.Equal(after(x.want)) || !got.Time.IsZero() != (x.want > 0) || got.Type != "n" ||
			got.Key != "k" {
			t.Errorf("%d: %+v", x.at, got)
		}
	}
	for _, ms := range []int{-1000, -1001} {
		at := noon.Add(time.Duration(ms) * time.Millisecond)
		if got := as(&engine.Event{Delivery: engine.Delivery{ReceivedAt: at}}, recorded); got.ReceivedAt.Equal(at) != (ms == -1001) {
			t.Errorf("%d: %v", ms, got.ReceivedAt)
		}
	}
}
