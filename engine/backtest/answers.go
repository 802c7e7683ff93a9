package backtest

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// recorded returns the recorded answers to a run's attempts.
type recorded struct {
	run     *engine.RecordedRun
	records map[string][]*plan.Record
}

func newRecorded(r *engine.RecordedRun) *recorded {
	out := &recorded{run: r, records: make(map[string][]*plan.Record, len(r.Records))}
	for _, x := range r.Records {
		out.records[x.Path] = append(out.records[x.Path], x)
	}
	return out
}

func (a *recorded) find(c *call) (*answer, bool, string) {
	i := slices.IndexFunc(a.records[c.path], func(r *plan.Record) bool { return r.Attempt == c.attempt })
	if i < 0 {
		if !a.run.Run.Status.Ended() {
			return nil, false, "the run has not ended"
		}
		return nil, false, fmt.Sprintf("attempt %d is not recorded", c.attempt)
	}
	r := a.records[c.path][i]
	if r.Status == plan.Running || r.Status == plan.Waiting {
		return nil, false, "the run has not ended"
	}
	out := &answer{status: r.Status, output: r.Output, err: r.Error, took: max(0, r.FinishedAt.Sub(c.began))}
	out.none = (c.action == "wait" || c.action == "call") && r.Status == plan.Failed && r.Error != nil && unanswered[r.Error.Code]
	return out, false, ""
}

// unanswered are the codes of waits and calls that the run ended itself, before anything arrived for
// them.
var unanswered = map[string]bool{"timeout": true, "deadline": true, plan.CutCode: true, "fail_fast": true}

func (a *recorded) person(path string, attempt int) *plan.Answer {
	for i := range a.run.Answers {
		if x := &a.run.Answers[i]; x.Path == path && x.Attempt == attempt {
			return &x.Answer
		}
	}
	return nil
}

// following answers a run's attempts with those of another simulated run.
type following struct {
	base *simulation
	// shared are answers of the runs of other events.
	shared *shared
	mocks  map[string][]workflows.Mock
	// answerMade answers calls and emissions for which nothing is recorded, of the run of.
	answerMade func(c *call) (*answer, string)
	of         *simulation
	// refusal is why the edited project takes no event of a step that emits one; nil if it takes it.
	refusal func(c *call) *plan.Error
	// recall simulates a called run again whose workflow or inputs changed; again is false for others.
	recall func(b, c *call) (out *answer, assumed bool, unknown string, again bool)
	// paths maps the paths of this run to those of the base, where they differ.
	paths map[string]string
	taken map[*call]bool
	calls map[string]int
}

func (a *following) person(path string, attempt int) *plan.Answer {
	if a.base == nil {
		return nil
	}
	return a.base.answers.person(path, attempt)
}

func (a *following) find(c *call) (*answer, bool, string) {
	if c.action == emitAction {
		if err := a.refusal(c); err != nil { // whatever is recorded: the engine decides it before anything is sent
			return &answer{status: plan.Failed, err: err}, false, ""
		}
	}
	out, assumed, unknown := a.known(c)
	if c.action == emitAction && out != nil && out.err != nil && out.err.Code == unknownTrigger {
		out, why := a.answerMade(c) // the trigger exists now
		return out, why == "", why
	}
	if unknown == "" {
		return out, assumed, ""
	}
	if m := a.mock(c); m != nil {
		return m, true, ""
	}
	if c.called != nil || c.action == emitAction {
		out, why := a.answerMade(c)
		return out, why == "", why
	}
	return nil, false, unknown
}

// known returns the recorded answer to a call, or to a similar one.
func (a *following) known(c *call) (*answer, bool, string) {
	if c.attempt > 1 {
		return a.again(c)
	}
	if b := a.equal(c); b != nil {
		return a.take(c, b, len(sentDiffers(b, c)) > 0)
	}
	if c.action == "wait" {
		return nil, false, "it waits for something else than the recorded run"
	}
	if b := a.nearest(c); b != nil {
		return a.take(c, b, true)
	}
	if x, ok := a.shared.find(c); ok {
		return x, true, ""
	}
	if c.host != "" {
		return nil, false, fmt.Sprintf("no answer to %s of %s is recorded", c.action, c.host)
	}
	return nil, false, fmt.Sprintf("no answer to %s is recorded", c.action)
}

// again returns the answer to a further attempt: the recorded answer to the attempt with that
// number.
func (a *following) again(c *call) (*answer, bool, string) {
	path := cmp.Or(a.paths[c.path], c.path)
	if a.base != nil {
		for _, b := range a.base.calls {
			if b.path == path && b.attempt == c.attempt && b.answer != nil && b.action == c.action {
				return a.take(c, b, !sameRequest(b, c) || len(sentDiffers(b, c)) > 0)
			}
		}
	}
	return nil, false, fmt.Sprintf("it was tried %d times, so no answer to attempt %d is recorded", c.attempt-1, c.attempt)
}

// equal returns the equal call of the base: at the same path, otherwise at any.
func (a *following) equal(c *call) (found *call) {
	if a.base == nil {
		return nil
	}
	for _, b := range a.base.calls {
		if b.attempt != 1 || a.taken[b] || b.answer == nil || b.action != c.action || !sameRequest(b, c) {
			continue
		}
		if b.path == c.path {
			return b
		}
		if found == nil {
			found = b
		}
	}
	return found
}

// nearest returns the call of the base with the same action, host and path template and the fewest
// differences.
func (a *following) nearest(c *call) (found *call) {
	if a.base == nil {
		return nil
	}
	best := 0
	for _, b := range a.base.calls {
		if b.attempt != 1 || b.answer == nil || b.key != c.key {
			continue
		}
		n := 2 * len(differences("", b.with, c.with, nil))
		if b.path != c.path {
			n++
		}
		if found == nil || n < best {
			found, best = b, n
		}
	}
	return found
}

// take returns the answer to a call of the base, if it can be used for another call.
func (a *following) take(c, b *call, assumed bool) (*answer, bool, string) {
	equal := !assumed || sameRequest(b, c)
	if equal || b.path == c.path || b.step == nil || b.step.ID == "" || a.of.w.StepAt(b.path) == nil {
		a.paths[c.path] = b.path // otherwise the other step is still there
	}
	if equal {
		a.taken[b] = true
	}
	if c.called != nil && b.called != nil && !c.called.Detach && a.recall != nil {
		if out, assumed, why, again := a.recall(b, c); again {
			return out, assumed, why
		}
	}
	out := *b.answer
	out.exact = c.step != nil && b.step != nil && c.step.Timeout < b.step.Timeout
	if readsDifferently(b, c, out.status != plan.Succeeded) {
		return nil, false, fmt.Sprintf("connector %s reads the response differently, and the response itself is not recorded",
			connectorOf(c).Name)
	}
	if c.step == nil || b.step == nil || out.status != plan.Succeeded || out.raw || c.step.Output.Same(b.step.Output) {
		return &out, assumed, ""
	}
	if b.step.Output != nil {
		return nil, false, "its output: was changed, and the action's result is not recorded"
	}
	out.raw = true
	return &out, assumed, ""
}

// mock returns the answer for a step from the workflow's tests; nil if there is none.
func (a *following) mock(c *call) *answer {
	if c.step == nil || c.step.ID == "" || len(a.mocks[c.step.ID]) == 0 {
		return nil
	}
	list := a.mocks[c.step.ID]
	m := list[min(a.calls[c.step.ID], len(list)-1)]
	a.calls[c.step.ID]++
	if !m.Failed {
		return &answer{status: plan.Succeeded, output: m.Output, raw: true}
	}
	e := &plan.Error{Message: m.Message, Code: m.Code, Status: m.Status, Retryable: m.Status == 0 || plan.RetryableStatus(m.Status)}
	if e.Code == "" {
		e.Code = "http_status"
		if m.Status == 0 {
			e.Code = "network"
		}
	}
	e.Message = cmp.Or(e.Message, fmt.Sprintf("answered %d", m.Status))
	return &answer{status: plan.Failed, err: e}
}

// mostShared is the maximum number of answers kept from other runs.
const mostShared = 2000

// shared are answers of recorded runs, by keyOf. It is filled between pages, and read-only while a
// page is compared.
type shared struct{ answers map[string]*call }

func (s *shared) add(list []*call) {
	for _, c := range list {
		if c.key == "" || c.local || c.action == "wait" || c.answer == nil || c.answer.status != plan.Succeeded {
			continue
		}
		if _, known := s.answers[c.key]; known || len(s.answers) < mostShared {
			s.answers[c.key] = &call{action: c.action, step: c.step, answer: c.answer}
		}
	}
}

func (s *shared) find(c *call) (*answer, bool) {
	b := s.answers[c.key]
	if b == nil || c.key == "" {
		return nil, false
	}
	out := *b.answer
	switch {
	case readsDifferently(b, c, false):
		return nil, false
	case c.step == nil || b.step == nil || out.raw || c.step.Output.Same(b.step.Output):
	case b.step.Output != nil:
		return nil, false
	default:
		out.raw = true
	}
	return &out, true
}

// keyOf returns the part that similar requests have in common.
func keyOf(c *call) string {
	path, _, _ := strings.Cut(c.step.With.Field("url").Template(), "?")
	method := ""
	if m := c.with["method"]; m != nil {
		method = value.Shown(m)
	}
	return strings.Join([]string{c.action, method, c.host, path}, " ")
}

// sameRequest reports whether two calls send the same, apart from times.
func sameRequest(b, c *call) bool {
	if b.called != nil && c.called != nil && (b.called.Workflow != c.called.Workflow || b.called.Detach != c.called.Detach) {
		return false
	}
	if reflect.DeepEqual(b.with, c.with) {
		return true
	}
	moved := c.began.Sub(b.began)
	return len(differences("", b.with, c.with, func(x, y any) bool { return sameMoment(x, y, moved) })) == 0
}

// sameMoment reports whether two values are times that differ by as much as the two calls.
func sameMoment(x, y any, moved time.Duration) bool {
	a, okA := momentOf(x)
	b, okB := momentOf(y)
	if !okA || !okB {
		return false
	}
	d := b.Sub(a) - moved
	return d > -time.Second && d < time.Second
}

func momentOf(v any) (time.Time, bool) {
	switch x := v.(type) {
	case time.Time:
		return x, true
	case string:
		t, err := time.Parse(time.RFC3339Nano, x)
		return t, err == nil
	}
	return time.Time{}, false
}

func asError(err error) *plan.Error {
	var known *plan.Error
	if errors.As(err, &known) {
		e := *known
		return &e
	}
	return &plan.Error{Message: err.Error(), Code: "failed", Retryable: true}
}
