package backtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// TestDifferencesAreListedByField compares values, and checks the fields that differ.
func TestDifferencesAreListedByField(t *testing.T) {
	object := func(text string) (v any) {
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, x := range []struct{ before, after, want string }{
		{`{"a": 1}`, `{"a": 1}`, `[]`}, {`1`, `2`, `[{ 1 2}]`}, {`{"a": 1, "b": 2}`, `{"a": 3, "c": 4}`, `[{a 1 3} {b 2 <nil>} {c <nil> 4}]`},
		{`{"a": {"b": [1, {"c": 2}]}}`, `{"a": {"b": [1, {"c": 3}]}}`, `[{a.b[1].c 2 3}]`}, {`{"a": [1, 2]}`, `{"a": [1]}`,
			`[{a [1 2] [1]}]`},
		{`{"a": [1]}`, `{"a": {"0": 1}}`, `[{a [1] map[0:1]}]`}, {`{"a": {"0": 1}}`, `{"a": [1]}`, `[{a map[0:1] [1]}]`},
		{`[1, 2, 3]`, `[1, 5, 6]`, `[{[1] 2 5} {[2] 3 6}]`},
	} {
		if got := fmt.Sprint(differences("", object(x.before), object(x.after), nil)); got != x.want {
			t.Errorf("%s %s: %s, want %s", x.before, x.after, got, x.want)
		}
	}
	if got := differences("p", 1, 2, func(x, y any) bool { return x == 1 && y == 2 }); len(got) > 0 {
		t.Errorf("values that count as equal: %v", got)
	}
	many, list := map[string]any{}, make([]any, 101)
	for i := range list {
		many[fmt.Sprint(i)], list[i] = i, i
	}
	if got := differences("", many, map[string]any{}, nil); len(got) != maxFields {
		t.Errorf("%d of 101 fields are listed", len(got))
	}
	if got := differences("", list, make([]any, 101), nil); len(got) != maxFields {
		t.Errorf("%d of 101 elements are listed", len(got))
	}
}

// TestErrorsDifferInWhatPeopleSee compares the ends of two runs.
func TestErrorsDifferInWhatPeopleSee(t *testing.T) {
	failed := func(edit func(*plan.End)) *simulation {
		e := &plan.End{Status: "failed", Error: &plan.Error{Code: "c", Message: "m", Status: 500, Step: "a"}}
		edit(e)
		return &simulation{end: e}
	}
	nothing := func(*plan.End) {}
	for name, x := range map[string]struct {
		other   *simulation
		differs bool
	}{
		"equal":      {failed(nothing), false},
		"step":       {failed(func(e *plan.End) { e.Error.Step = "b" }), false},
		"code":       {failed(func(e *plan.End) { e.Error.Code = "d" }), true},
		"message":    {failed(func(e *plan.End) { e.Error.Message = "n" }), true},
		"http":       {failed(func(e *plan.End) { e.Error.Status = 501 }), true},
		"status":     {failed(func(e *plan.End) { e.Status = "timed_out" }), true},
		"no error":   {failed(func(e *plan.End) { e.Error = nil }), true},
		"not ended":  {&simulation{}, false},
		"succeeded":  {&simulation{end: &plan.End{Status: "succeeded"}}, true},
		"unexpected": {failed(func(e *plan.End) { e.Error, e.Status = nil, "cancelled" }), true},
	} {
		one := failed(nothing)
		if errorsDiffer(one, x.other) != x.differs || errorsDiffer(x.other, one) != x.differs {
			t.Errorf("%s: %v", name, !x.differs)
		}
	}
	a, b := &simulation{end: &plan.End{Status: "succeeded"}}, &simulation{end: &plan.End{Status: "cancelled"}}
	if errorsDiffer(a, a) || !errorsDiffer(a, b) || errorOf(a) != nil || errorOf(&simulation{}) != nil || outputOf(&simulation{}) != nil {
		t.Error("ends without an error")
	}
}

// TestASimulationThatDiffersFromItsRecordSaysHow checks each difference from the record that makes a run unknown.
func TestASimulationThatDiffersFromItsRecordSaysHow(t *testing.T) {
	record := func(path string, attempt int, status plan.Status) *plan.Record {
		return &plan.Record{Path: path, Attempt: attempt, Status: status}
	}
	recorded := newRecorded(&engine.RecordedRun{Run: &engine.Run{Status: engine.Succeeded},
		Records: []*plan.Record{record("a", 1, plan.Failed), record("a", 2, plan.Succeeded)}})
	for _, x := range []struct {
		records []*plan.Record
		status  string
		want    string
	}{
		{[]*plan.Record{record("a", 1, plan.Failed), record("a", 2, plan.Succeeded)}, "succeeded", ""},
		{nil, "", "its end is not reached"},
		{nil, "failed", "it ends as failed, and is recorded as succeeded"},
		{[]*plan.Record{record("a", 1, plan.Failed)}, "succeeded", "step a has 1 attempts instead of 2"},
		{[]*plan.Record{record("a", 1, plan.Failed), record("a", 2, plan.Skipped)}, "succeeded", "step a is skipped instead of succeeded"},
		{[]*plan.Record{record("a", 1, plan.Failed), record("a", 2, plan.Succeeded), record("b", 1, plan.Succeeded)}, "succeeded",
			"step b is not recorded"},
	} {
		s := &simulation{st: &plan.State{Records: map[string][]*plan.Record{}}}
		for _, r := range x.records {
			s.st.Records[r.Path] = append(s.st.Records[r.Path], r)
		}
		if x.status != "" {
			s.end = &plan.End{Status: x.status}
		}
		if got := agrees(s, recorded); got != x.want {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
}

// TestRecordedAnswersAreThoseOfTheAttempt checks which recorded answer an attempt gets, and what people decided.
func TestRecordedAnswersAreThoseOfTheAttempt(t *testing.T) {
	open := &plan.Record{Path: "r", Attempt: 1, Status: plan.Running}
	timeout := &plan.Error{Code: "timeout"}
	records := []*plan.Record{{Path: "a", Attempt: 1, Status: plan.Failed, Error: timeout, FinishedAt: after(50)},
		{Path: "a", Attempt: 2, Status: plan.Succeeded, Output: 7, FinishedAt: after(80)}, open, {Path: "w", Attempt: 1,
			Status: plan.Waiting}}
	r := newRecorded(&engine.RecordedRun{Run: &engine.Run{Status: engine.Running}, Records: records,
		Answers: []engine.RecordedAnswer{{Path: "p", Answer: plan.Answer{Attempt: 1, Verdict: "done"}}, {Path: "p",
			Answer: plan.Answer{Attempt: 2}}}})
	for _, x := range []struct {
		path    string
		attempt int
		action  string
		ended   bool
		want    string
	}{
		{"a", 1, "test/act", true, "failed <nil> 40ms none=false "}, {"a", 2, "test/act", true, "succeeded 7 70ms none=false "},
		{"a", 1, "wait", true, "failed <nil> 40ms none=true "}, {"a", 1, "call", true, "failed <nil> 40ms none=true "},
		{"a", 2, "wait", true, "succeeded 7 70ms none=false "}, {"a", 3, "test/act", true, "attempt 3 is not recorded"},
		{"a", 3, "test/act", false, "the run has not ended"}, {"r", 1, "test/act", false, "the run has not ended"},
		{"w", 1, "wait", true, "the run has not ended"},
	} {
		r.run.Run.Status = engine.Running
		if x.ended {
			r.run.Run.Status = engine.Succeeded
		}
		a, assumed, got := r.find(&call{path: x.path, attempt: x.attempt, action: x.action, began: after(10)})
		if a != nil {
			got += fmt.Sprintf("%s %v %v none=%v ", a.status, a.output, a.took, a.none)
		}
		if got != x.want || assumed {
			t.Errorf("%s/%d: %q, want %q", x.path, x.attempt, got, x.want)
		}
	}
	for code, none := range map[string]bool{"timeout": true, "deadline": true, "cancelled": true, "fail_fast": true, "network": false} {
		timeout.Code = code
		if a, _, _ := r.find(&call{path: "a", attempt: 1, action: "wait", began: after(90)}); a.none != none || a.took != 0 {
			t.Errorf("%s: nothing came: %v, took %v", code, a.none, a.took)
		}
	}
	records[0].Error = nil
	if a, _, _ := r.find(&call{path: "a", attempt: 1, action: "wait"}); a.none {
		t.Error("a failure without an error is a timeout")
	}
	base := &simulation{answers: r}
	if a := (&following{base: base}).person("p", 1); a == nil || a.Verdict != "done" || r.person("p", 2).Verdict != "" ||
		r.person("p", 3) != nil ||
		r.person("q", 1) != nil || (&following{}).person("p", 1) != nil {
		t.Errorf("the answer of a person: %+v", a)
	}
}

// TestMocksOfTestsAnswerStepsInTheirOrder checks what the mocks of a test become.
func TestMocksOfTestsAnswerStepsInTheirOrder(t *testing.T) {
	a := &following{calls: map[string]int{}, mocks: map[string][]workflows.Mock{"s": {{Output: 1}, {Failed: true, Status: 404},
		{Failed: true, Status: 503, Code: "busy", Message: "later"}, {Failed: true}}}}
	c := &call{step: &workflows.Step{ID: "s"}}
	for i, want := range []string{"succeeded 1 raw=true", "failed answered 404 http_status 404 false", "failed later busy 503 true",
		"failed answered 0 network 0 true", "failed answered 0 network 0 true"} {
		m := a.mock(c)
		got := fmt.Sprint(m.status)
		if m.err == nil {
			got += fmt.Sprintf(" %v raw=%v", m.output, m.raw)
		} else {
			got += fmt.Sprint(" ", m.err.Message, " ", m.err.Code, " ", m.err.Status, " ", m.err.Retryable)
		}
		if got != want {
			t.Errorf("call %d: %s, want %s", i+1, got, want)
		}
	}
	for _, c := range []*call{{}, {step: &workflows.Step{}}, {step: &workflows.Step{ID: "other"}}} {
		if m := a.mock(c); m != nil {
			t.Errorf("%+v", m)
		}
	}
	tests := []*workflows.Test{{Workflow: "w", Mocks: map[string][]workflows.Mock{"a": {{Output: 1}}}},
		{Workflow: "w", Mocks: map[string][]workflows.Mock{"a": {{Output: 2}}, "b": {{Output: 3}}}}, {Workflow: "v",
			Mocks: map[string][]workflows.Mock{"a": {{Output: 4}}}}}
	want := map[string]map[string][]workflows.Mock{"w": {"a": {{Output: 1}}, "b": {{Output: 3}}}, "v": {"a": {{Output: 4}}}}
	if got := mocksOf(tests); !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

// TestAnswersOfOtherRunsAreSharedBySimilarRequests checks which answers are kept for other runs, and for which of
// their calls.
func TestAnswersOfOtherRunsAreSharedBySimilarRequests(t *testing.T) {
	ok := &answer{status: plan.Succeeded, output: 1}
	s := &shared{answers: map[string]*call{}}
	s.add([]*call{{key: "k", answer: ok}, {key: "", answer: ok}, {key: "local", local: true, answer: ok}, {key: "wait",
		action: "wait", answer: ok},
		{key: "none"}, {key: "failed", answer: &answer{status: plan.Failed}}, {key: "k", answer: &answer{status: plan.Succeeded, output: 2}}})
	if a, found := s.find(&call{key: "k"}); len(s.answers) != 1 || !found || a.output != 2 {
		t.Errorf("%v %+v", s.answers, a)
	}
	for _, key := range []string{"", "other"} {
		if _, found := s.find(&call{key: key}); found {
			t.Errorf("an answer for the key %q", key)
		}
	}
	for i := range mostShared {
		s.add([]*call{{key: fmt.Sprint(i), answer: ok}})
	}
	s.add([]*call{{key: "k", answer: &answer{status: plan.Succeeded, output: 3}}})
	if a, found := s.find(&call{key: "k"}); len(s.answers) != mostShared || !found || a.output != 3 {
		t.Errorf("%d are kept; %+v", len(s.answers), a)
	}
	plain, other := workflowOf(t, "on: hook\nsteps: [{id: a, set: {x: 1}}]\n").Steps[0], *workflowOf(t,
		"on: hook\nsteps: [{set: {x: 1}}]\n").Steps[0]
	other.Output = workflowOf(t, "on: hook\nsteps: [{set: {x: 1}}]\noutput: {a: 5}\n").Output
	for _, x := range []struct {
		from, to   *workflows.Step
		raw        bool
		found, asR bool
	}{
		{plain, plain, false, true, false}, {plain, &other, false, true, true}, {&other, plain, false, false, false},
		{&other, &other, false, true, false}, {&other, plain, true, true, true}, {nil, &other, false, true, false}, {&other, nil, false,
			true, false},
	} {
		s := &shared{answers: map[string]*call{}}
		s.add([]*call{{key: "k", step: x.from, answer: &answer{status: plan.Succeeded, raw: x.raw}}})
		if a, found := s.find(&call{key: "k", step: x.to}); found != x.found || found && a.raw != x.asR {
			t.Errorf("%+v: %v %+v", x, found, a)
		}
	}
}

// TestItemsThatCannotBeComparedSayWhy checks what is known of an event before its runs are compared.
func TestItemsThatCannotBeComparedSayWhy(t *testing.T) {
	decided := func(o engine.Outcome) *item {
		return &item{decision: &engine.Decision{Outcome: o}, ev: &engine.RecordedEvent{Event: &engine.Event{}}}
	}
	locked, pruned, pending := decided(engine.Matched), decided(engine.Matched), decided(engine.Matched)
	locked.ev.Event.Locked, pruned.ev.Event.Stripped, pending.ev.Pending = errors.New("no key"), true, true
	for _, x := range []struct {
		it     *item
		chosen bool
		want   string
	}{
		{locked, false, "the event cannot be read: no key elsewhere=false {}"},
		{pruned, false, "its body is pruned (history: bodies) elsewhere=false {}"},
		{pending, false, "it is not decided yet elsewhere=false {}"},
		{&item{ev: &engine.RecordedEvent{Event: &engine.Event{}}}, false, " elsewhere=false {}"},
		{decided(engine.Matched), false, " elsewhere=false {}"},
		{decided(engine.Disabled), false, " elsewhere=false {} skipped {off:1}"}, {decided(engine.Disabled), true, " elsewhere=false {}"},
		{decided(engine.Held), false, " elsewhere=false {} skipped {off:1}"}, {decided(engine.Held), true, " elsewhere=false {}"},
		{decided(engine.Folded), false, " elsewhere=true {gathered:1}"}, {decided(engine.Folded), true, " elsewhere=true {gathered:1}"},
		{decided(engine.Dropped), false, " elsewhere=true {}"},
	} {
		b := &run{}
		if x.chosen {
			b.o.Chosen = map[engine.Chosen]bool{}
		}
		b.prepare(x.it)
		got := x.it.problem + fmt.Sprintf(" elsewhere=%v ", x.it.elsewhere) + counted(x.it.limits)
		if x.it.skipped != nil {
			got += " skipped " + counted(x.it.skipped)
		}
		if got != x.want {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
	b := &run{}
	for _, it := range []*item{pruned, pending, pending, decided(engine.Matched)} {
		b.noteEvent(it.ev)
	}
	if b.report.Limits != (Limits{BodiesPruned: 1, Pending: 2}) {
		t.Errorf("%+v", b.report.Limits)
	}
}

// counted is what a function adds to the limits.
func counted(add func(*Limits)) string {
	var l Limits
	if add != nil {
		add(&l)
	}
	return shortLimits(l)
}

func shortLimits(l Limits) string {
	switch l {
	case Limits{}:
		return "{}"
	case Limits{Off: 1}:
		return "{off:1}"
	case Limits{Gathered: 1}:
		return "{gathered:1}"
	}
	return fmt.Sprintf("%+v", l)
}

// TestWhatIsLackingIsNamed checks the text of each limit, and which answers count as masked.
func TestWhatIsLackingIsNamed(t *testing.T) {
	var l Limits
	if len(l.Lacking()) > 0 {
		t.Error("something is lacking")
	}
	v := reflect.ValueOf(&l).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(int64(i + 1))
	}
	lacking := l.Lacking()
	if len(lacking) != v.NumField() {
		t.Errorf("%d of %d are named", len(lacking), v.NumField())
	}
	want := map[string]int{"events without their body": l.BodiesPruned, "runs without the answers": l.AnswersPruned,
		"runs that have not":          l.Open,
		"events that are not decided": l.Pending, "events that came while": l.Off, "events that are part": l.Gathered,
		"runs that use secrets": l.Secrets,
		"runs with answers":     l.Masked, "runs that would begin": l.Moved, "runs whose record": l.Unreproduced}
	for begin, n := range want {
		if !slices.ContainsFunc(lacking, func(x Lack) bool { return x.N == n && len(x.Text) > len(begin) && x.Text[:len(begin)] == begin }) {
			t.Errorf("%d %s: not in %v", n, begin, lacking)
		}
	}
	for _, x := range []struct {
		v    any
		mask bool
	}{{workflows.Mask, true}, {"x", false}, {1, false}, {nil, false}, {[]any{"x", workflows.Mask}, true}, {[]any{"x"}, false},
		{map[string]any{"a": "x", "b": []any{workflows.Mask}}, true}, {map[string]any{"a": "x"}, false}} {
		if hasMask(x.v) != x.mask {
			t.Errorf("%v: %v", x.v, !x.mask)
		}
		masked := &simulation{st: &plan.State{}, calls: []*call{{}, {answer: &answer{output: x.v}}, {answer: &answer{}}}}
		it := &item{before: masked, after: &simulation{st: &plan.State{}}}
		if (&run{}).noteLimits(it); (it.limits != nil) != x.mask {
			t.Errorf("%v is counted: %v", x.v, it.limits != nil)
		}
	}
}

// TestChangesNameTheirSubjectAndOrigin checks how changes, firings and causes are named.
func TestChangesNameTheirSubjectAndOrigin(t *testing.T) {
	f := &Firing{Trigger: "t", Schedule: "s", Planned: noon, change: &schedule{ScheduleChange: &engine.ScheduleChange{Before: "b",
		After: "a"}}}
	call, end := &Cause{Workflow: "w", Step: "c", How: "call"}, &Cause{Workflow: "w", How: "workflow_run"}
	for _, x := range []struct {
		c               Change
		subject, origin string
	}{
		{Change{Event: "e"}, "e", ""}, {Change{Firing: f}, "t/s 2000-01-01 12:00:00 +00:00", ""},
		{Change{Event: "e", Firing: f}, "e", "t/s 2000-01-01 12:00:00 +00:00"}, {Change{Event: "e", Cause: call}, "e",
			"by call of w, step c"},
		{Change{Event: "e", Cause: end, Firing: f}, "e", "by workflow_run of w"}, {Change{}, "", ""},
	} {
		if x.c.Subject() != x.subject || x.c.Origin() != x.origin {
			t.Errorf("%q %q, want %q %q", x.c.Subject(), x.c.Origin(), x.subject, x.origin)
		}
	}
	for _, x := range []struct {
		got  Because
		want string
	}{
		{call.because(true), "{w.steps.c <nil> call}"}, {call.because(false), "{w.steps.c call <nil>}"}, {end.because(true),
			"{w <nil> workflow_run}"},
		{f.because(), "{schedule s b a}"}, {(&Firing{change: &schedule{ScheduleChange: &engine.ScheduleChange{}}}).because(),
			"{schedule <nil> <nil>}"},
	} {
		if fmt.Sprint(x.got) != x.want {
			t.Errorf("%v, want %s", x.got, x.want)
		}
	}
	if n := (ScheduleCount{Trigger: "t"}).Name(); n != "t" {
		t.Error(n)
	}
	if n := (ScheduleCount{Trigger: "t", Schedule: "s"}).Name(); n != "t/s" {
		t.Error(n)
	}
	it := &item{ev: &engine.RecordedEvent{Event: &engine.Event{ID: 7}}}
	if it.eventID() != engine.EventID(7).String() {
		t.Error(it.eventID())
	}
	for appears, want := range map[bool]string{true: "", false: engine.EventID(7).String()} {
		if it.firing = (&schedule{ScheduleChange: &engine.ScheduleChange{Zone: time.UTC}}).firing(noon, appears); it.eventID() != want {
			t.Errorf("a firing that appears (%v) has the event %q", appears, it.eventID())
		}
	}
}

// TestAReviewIsAnsweredOnceAsRecorded checks that a run that waits for a person's review of an attempt continues when
// the person answered, and waits if nobody did.
func TestAReviewIsAnsweredOnceAsRecorded(t *testing.T) {
	r := newRecorded(&engine.RecordedRun{Run: &engine.Run{}, Answers: []engine.RecordedAnswer{
		{Path: "p", Answer: plan.Answer{Attempt: 1, Verdict: "done", At: after(50)}}}})
	s := &simulation{answers: r, st: &plan.State{Now: after(10), Answers: map[string]*plan.Answer{}}}
	for range 2 {
		s.ask(plan.Question{Kind: "review", Path: "p", Attempt: 1}, nil)
		s.ask(plan.Question{Kind: "review", Path: "q", Attempt: 1}, nil)
		s.ask(plan.Question{Kind: "review", Path: "p", Attempt: 2}, nil)
	}
	if len(s.pending) != 1 || !s.pending[0].at.Equal(after(50)) || len(s.st.Answers) != 1 || s.st.Answers["p"].Verdict != "done" {
		t.Errorf("%+v %+v", s.pending, s.st.Answers)
	}
	late := &simulation{answers: r, st: &plan.State{Now: after(90), Answers: map[string]*plan.Answer{}}}
	if late.ask(plan.Question{Kind: "review", Path: "p", Attempt: 1}, nil); !late.pending[0].at.Equal(after(90)) {
		t.Errorf("an answer before the question: %v", late.pending[0].at)
	}
}

// TestACalledRunThatIsEndedTakesAsLongAsRecorded checks when the end of a called run that its caller orders arrives.
func TestACalledRunThatIsEndedTakesAsLongAsRecorded(t *testing.T) {
	ending := &plan.Error{Code: "timeout"}
	r := &plan.Record{Path: "c", Attempt: 1, Status: plan.Waiting, Waits: []plan.Wait{{Kind: plan.WaitCall, Workflow: "w", Ending: ending}}}
	q := plan.Question{Kind: "call", Path: "c", Attempt: 1}
	world := func(pending ...completion) *simulation {
		return &simulation{pending: pending, st: &plan.State{Now: after(100), Records: map[string][]*plan.Record{"c": {r}}}}
	}
	for name, x := range map[string]struct {
		pending completion
		at      int
		ended   bool
	}{
		"as recorded":       {completion{at: after(500), record: r, unknown: "x"}, 450, true},
		"at once":           {completion{at: after(120), record: r, unknown: "x"}, 100, true},
		"its own end":       {completion{at: after(500), record: r}, 500, false},
		"another step's":    {completion{at: after(500), record: &plan.Record{Path: "d", Attempt: 1}, unknown: "x"}, 500, false},
		"another attempt's": {completion{at: after(500), record: &plan.Record{Path: "c", Attempt: 2}, unknown: "x"}, 500, false},
	} {
		s := world(x.pending)
		s.ask(q, nil)
		if got := s.pending[0]; !got.at.Equal(after(x.at)) || (got.ended != nil) != x.ended || x.ended && (got.unknown != "" ||
			got.ended.Err != ending || got.ended.Verdict != "call" || got.ended.Attempt != 1) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r.Waits[0].Ending = nil
	s := world(completion{at: after(500), record: r, unknown: "x"})
	if s.ask(q, nil); s.pending[0].ended != nil {
		t.Error("a called run that nobody ends is ended")
	}
}
