package plan

import (
	"fmt"
	"maps"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// maxItems bounds the items of one loop: the list is walked at each decision.
const maxItems = 10_000

// within walks a group that may have a timeout of its own. When that has passed,
// nothing of the group begins any more, and it fails once what is open has ended.
func (p *planner) within(s *workflows.Step, path string, walk func() outcome) outcome {
	ofTheStep := s.Body == "uses" || s.Body == "wait" || s.Body == "call" // an attempt's
	if s.Timeout <= 0 || ofTheStep || p.last(path) != nil {
		return walk()
	}
	outer, before := p.limit, p.mark()
	mine := limit{at: p.began(path).Add(s.Timeout), path: path, timeout: s.Timeout}
	if p.limit.at.IsZero() || mine.at.Before(p.limit.at) {
		p.limit = mine
	}
	o := walk()
	p.limit = outer
	if o != pending {
		return o
	}
	if p.st.Now.Before(mine.at) {
		p.wake(mine.at)
		return pending
	}
	p.rewind(before)
	if open := p.cut(path, mine.over(), "timeout"); open || p.running(path) {
		return pending
	}
	return p.fails(s, path, p.put(s, path, Failed, nil, &Error{Message: fmt.Sprintf("the group took longer than %s", s.Timeout), Code: "timeout", Step: path}))
}

// limit is when a group has run out of time, or a deadline passes: of a step or, with no
// path, of the run.
type limit struct {
	at       time.Time
	path     string
	timeout  time.Duration
	deadline bool
}

// over says what happened to a step that the limit has cut.
func (l limit) over() string {
	switch {
	case l.deadline && l.path == "":
		return "the run took longer than its deadline of " + workflows.DurationText(l.timeout)
	case l.deadline:
		return fmt.Sprintf("step %s took longer than its deadline of %s", l.path, workflows.DurationText(l.timeout))
	}
	return fmt.Sprintf("its group %s took longer than its timeout of %s", l.path, l.timeout)
}

// CutByGroup says that an attempt was cut by the timeout of the group around it.
func (d Due) CutByGroup() string {
	return limit{d.Deadline, d.Group, d.GroupTimeout, d.byDeadline}.over()
}

// cut ends what waits at or below a path, with the reason on record. A called run is
// ended first, which takes its time: cut tells that there is one still. It leaves the
// handler of the workflow alone, and attempts that are open, which have their own end.
func (p *planner) cut(path, why, code string) (open bool) {
	var list []string
	for k, records := range p.st.Records {
		inside := path == "" && !strings.HasPrefix(k, "on_failure/") || k == path || strings.HasPrefix(k, path+"/") && path != ""
		if inside && records[len(records)-1].Status == Waiting {
			list = append(list, k)
		}
	}
	sort.Strings(list)
	for _, k := range list {
		last := p.last(k)
		e := &Error{Message: "cut: " + why, Code: code, Step: k}
		if id := Called(last); id == "" {
			p.endWait(last, Failed, nil, e)
		} else if p.endCall(last, e).Status == Waiting {
			p.out.Questions = append(p.out.Questions, Question{Path: k, Attempt: last.Attempt, Kind: "call", Key: id})
			p.out.open++
			open = true
		}
	}
	return open
}

// mark is how far a decision has come.
type mark struct {
	due, calls, questions, open int
	wake                        time.Time
}

func (p *planner) mark() mark {
	return mark{len(p.out.Due), len(p.out.Calls), len(p.out.Questions), p.out.open, p.out.Wake}
}

// rewind takes back what was to begin since the mark.
func (p *planner) rewind(m mark) {
	p.out.Due, p.out.Calls, p.out.Questions, p.out.Wake = p.out.Due[:m.due], p.out.Calls[:m.calls], p.out.Questions[:m.questions], m.wake
	p.out.open = m.open
}

// wake asks to be asked again at a moment.
func (p *planner) wake(t time.Time) {
	if p.out.Wake.IsZero() || t.Before(p.out.Wake) {
		p.out.Wake = t
	}
}

// began is when the first record below a path was made, though not before the
// run: a replay has records of another. It is now when there is none.
func (p *planner) began(path string) time.Time {
	out := p.st.Now
	for k, list := range p.st.Records {
		if strings.HasPrefix(k, path+"/") && list[0].StartedAt.Before(out) {
			out = list[0].StartedAt
		}
	}
	if out.Before(p.st.StartedAt) {
		return p.st.StartedAt
	}
	return out
}

// running tells whether an attempt at or below a path is open.
func (p *planner) running(path string) bool {
	for k, list := range p.st.Records {
		if (k == path || strings.HasPrefix(k, path+"/")) && list[len(list)-1].Status == Running {
			return true
		}
	}
	return false
}

// parallel walks branches that run at once. One that fails does not stop the
// others; the group fails when all have ended.
func (p *planner) parallel(s *workflows.Step, path string) outcome {
	return p.within(s, path, func() outcome {
		start := p.mark()
		before := p.steps
		merged := map[string]any{}
		var failure *Error
		open, stop := false, false
		for _, b := range s.Parallel {
			c := p.child(nil)
			switch c.step(b, path+"/"+b.Key) {
			case pending:
				open = true
			case failed:
				if failure == nil {
					failure = c.err
				}
			case stopped:
				stop, p.text = true, c.text
			}
			for id, x := range c.steps {
				if _, known := before[id]; !known {
					merged[id] = x
				}
			}
		}
		for id, x := range merged {
			p.steps[id] = x
		}
		switch {
		case stop:
			return p.stops(path, start)
		case open:
			return pending
		case failure != nil:
			return p.groupFails(s, path, failure, nil)
		}
		return p.closeGroup(s, path, p.outputs(s.Parallel))
	})
}

// stops ends the run from inside of something wide: nothing else begins, and
// what is open ends first.
func (p *planner) stops(path string, start mark) outcome {
	p.rewind(start)
	if open := p.cut(path, "the run was stopped", "cancelled"); open || p.running(path) {
		return pending
	}
	return stopped
}

// loop walks a step once for each item of a list, some of them at once.
func (p *planner) loop(s *workflows.Step, path string) outcome {
	return p.within(s, path, func() outcome {
		if last := p.last(path); last != nil {
			if last.Status == Failed {
				return p.loopFails(s, path, last)
			}
			p.bind(s, last, 1)
			return done
		}
		items, err := p.items(s, path)
		if err != nil {
			return p.fails(s, path, p.put(s, path, Failed, nil, err))
		}
		return p.iterations(s, path, items)
	})
}

// items evaluates the list. The moment is put on record, so that now() in it
// gives the same list when it is asked again.
func (p *planner) items(s *workflows.Step, path string) ([]any, *Error) {
	at := p.st.Now
	head := p.last(path + "/foreach")
	if head != nil {
		at = head.StartedAt
	}
	v, err := s.ForEach.Eval(p.env(at, path))
	if err != nil {
		return nil, expressionError(err, path)
	}
	items, ok := listOf(v)
	if !ok {
		return nil, &Error{Message: fmt.Sprintf("foreach needs a list or a map, got %s", kindOf(v)), Code: "expression", Step: path}
	}
	if len(items) > maxItems {
		return nil, &Error{Message: fmt.Sprintf("foreach has %d items, at most %d are walked", len(items), maxItems), Code: "too_large", Step: path}
	}
	if head == nil {
		r := &Record{Path: path + "/foreach", Attempt: 1, Action: "foreach", Status: Succeeded, StartedAt: at, FinishedAt: at, Output: len(items)}
		p.st.AddRecord(r)
		p.out.Finished = append(p.out.Finished, r)
	}
	return items, nil
}

// listOf gives the items of a list, or the pairs of a map, sorted by key.
func listOf(v any) ([]any, bool) {
	switch x := v.(type) {
	case []any:
		return x, true
	case map[string]any:
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		out := make([]any, len(keys))
		for i, k := range keys {
			out[i] = map[string]any{"key": k, "value": x[k]}
		}
		return out, true
	}
	// Functions of the expression language give typed lists.
	r := reflect.ValueOf(v)
	if v == nil || r.Kind() != reflect.Slice {
		return nil, false
	}
	out := make([]any, r.Len())
	for i := range out {
		out[i] = r.Index(i).Interface()
	}
	return out, true
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case string:
		return "text"
	case bool:
		return "true or false"
	}
	return "a number"
}

func (p *planner) iterations(s *workflows.Step, path string, items []any) outcome {
	once := *s
	once.ID, once.If, once.ForEach, once.OnFailure, once.ContinueOnError, once.Timeout = "", nil, nil, nil, false, s.Timeout
	if s.Body != "uses" && s.Body != "wait" && s.Body != "call" {
		once.Timeout = 0 // of the whole loop
	}
	l := &iterating{s: s, once: &once, path: path, items: items, outputs: make([]any, len(items)), start: p.mark()}
	for {
		o, again := p.round(l)
		if o != done {
			return o
		}
		if !again {
			break
		}
		p.rewind(l.start)
	}
	if l.failure != nil {
		return p.loopFails(s, path, p.put(s, path, Failed, l.outputs, l.failure))
	}
	all, tooLarge := fit(l.outputs, "the output, a list of what each item gave,", keepLessEach, path)
	if tooLarge != nil {
		return p.loopFails(s, path, p.put(s, path, Failed, nil, tooLarge))
	}
	p.bind(s, p.put(s, path, Succeeded, all, nil), 1)
	return done
}

// mostPaused is how many iterations of a loop pause without a slot: each is looked at
// whenever the loop is walked, and a target that is down is not tried with all items.
const mostPaused = 100

// iterating is a loop that is walked.
type iterating struct {
	s, once *workflows.Step
	path    string
	items   []any
	outputs []any
	failure *Error
	start   mark
}

// round walks the iterations once. Those at work keep their slots; what pauses before
// its next try has none, so that another iteration goes on meanwhile, unless they go
// one after another. again asks for another round: a slot came free behind an
// iteration that was passed by.
func (p *planner) round(l *iterating) (o outcome, again bool) {
	l.failure = nil
	holders, failing := p.holders(l.path)
	free := l.s.MaxParallel - len(holders)
	open, passed, paused := false, false, 0
	var kept sizes
	for i, item := range l.items {
		at := l.path + "/" + strconv.Itoa(i)
		if r := p.last(at); r != nil && r.Status == Succeeded {
			l.outputs[i] = r.Output
			kept.add(r)
			continue
		}
		if kept.full() {
			return p.loopTooLarge(l, i), false
		}
		if r := p.last(at); failing && !holders[i] && (r == nil || r.Status != Failed || cutByLoop(r.Error, l.path)) {
			continue // another has failed: what has not begun, or was cut, is not it
		}
		if free <= 0 && !holders[i] {
			passed = true
			continue
		}
		opened := p.out.open
		c := p.child(workflows.Names{l.s.As: item, "index": i})
		o := c.body(l.once, at)
		takes := o == pending && (p.out.open > opened || l.s.MaxParallel == 1)
		if o == pending && !takes {
			paused++
			takes = paused > mostPaused
		}
		switch {
		case holders[i] && !takes:
			free++
		case !holders[i] && takes:
			free--
		}
		switch o {
		case pending:
			open = true
		case failed:
			if cutByLoop(c.err, l.path) {
				continue // the one that failed comes, or has come
			}
			if l.failure == nil {
				l.failure = c.err
			}
			if l.s.FailFast {
				return p.failsFast(l), false
			}
		case stopped:
			p.text = c.text
			return p.stops(l.path, l.start), false
		default:
			if r := p.last(at); r != nil {
				l.outputs[i] = r.Output
				kept.add(r)
			}
		}
	}
	switch {
	case passed && free > 0 && !(l.s.MaxParallel == 1 && open):
		return done, true
	case open:
		return pending, false
	}
	return done, false
}

// failsFast ends a loop after its first failure: nothing begins any more, and what is
// at work ends first. What only paused before its next try does not get it.
func (p *planner) failsFast(l *iterating) outcome {
	p.rewind(l.start)
	if open := p.cut(l.path, failedFast(l.path), "fail_fast"); open || p.running(l.path) {
		return pending
	}
	return done
}

// loopTooLarge ends a loop of which the outputs so far pass a limit together: it can
// only fail, so nothing more of it begins.
func (p *planner) loopTooLarge(l *iterating, n int) outcome {
	p.rewind(l.start)
	if open := p.cut(l.path, "the outputs of its loop are too large together", "cancelled"); open || p.running(l.path) {
		return pending
	}
	what := fmt.Sprintf("the output, a list of what each item gave, is too large after %d of %d items (at most %d MiB as JSON and %d values)",
		n, len(l.items), workflows.MaxValueSize>>20, workflows.MaxJSONNodes)
	e := &Error{Message: what + ": " + keepLessEach, Code: "too_large", Step: l.path, Attempts: 1}
	return p.loopFails(l.s, l.path, p.put(l.s, l.path, Failed, nil, e))
}

// failedFast says why the other iterations of a loop were cut after one had failed.
func failedFast(loop string) string {
	return fmt.Sprintf("another iteration of %s failed (fail_fast)", loop)
}

// cutByLoop tells that an error is that of an iteration which a loop has cut.
func cutByLoop(e *Error, loop string) bool {
	return e != nil && e.Code == "fail_fast" && e.Message == "cut: "+failedFast(loop)
}

// holders are the iterations of a loop that have a slot: something of them is at work
// or waits. failing tells that some were cut since another had failed.
func (p *planner) holders(path string) (out map[int]bool, failing bool) {
	for k, list := range p.st.Records {
		rest, below := strings.CutPrefix(k, path+"/")
		last := list[len(list)-1]
		failing = failing || below && cutByLoop(last.Error, path)
		if !below || last.Status != Running && last.Status != Waiting {
			continue
		}
		number, _, _ := strings.Cut(rest, "/")
		if i, err := strconv.Atoi(number); err == nil {
			if out == nil {
				out = map[int]bool{}
			}
			out[i] = true
		}
	}
	return out, failing
}

// loopFails closes a loop of which an iteration failed; its output holds what the
// others gave.
func (p *planner) loopFails(s *workflows.Step, path string, r *Record) outcome {
	return p.groupFails(s, path, r.Error, r.Output)
}

// waits puts a step on record that waits.
func (p *planner) waits(s *workflows.Step, path string, what map[string]any) *Record {
	r := &Record{Path: path, Attempt: 1, Action: s.Body, Status: Waiting, StartedAt: p.st.Now, Output: what}
	p.st.AddRecord(r)
	p.out.Finished = append(p.out.Finished, r)
	return r
}

// endWait closes the record of a step that waited.
func (p *planner) endWait(r *Record, status Status, output any, err *Error) *Record {
	ended := &Record{Path: r.Path, Attempt: r.Attempt, Action: r.Action, Status: status, StartedAt: r.StartedAt, FinishedAt: p.st.Now, Output: output, Error: err}
	p.st.AddRecord(ended)
	p.out.Finished = append(p.out.Finished, ended)
	return ended
}

// waitsUntil reads when a waiting record has waited long enough; zero for never.
func waitsUntil(r *Record) time.Time {
	m, _ := r.Output.(map[string]any)
	text, _ := m["until"].(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// SetBack gives a waiting record whose end is moved with a clock that was set back; nil
// for one that does not wait for a stretch of time.
func SetBack(r *Record, by time.Duration) *Record {
	m, _ := r.Output.(map[string]any)
	until := waitsUntil(r)
	if r.Status != Waiting || until.IsZero() || m["fixed"] != nil {
		return nil
	}
	moved := *r
	output := maps.Clone(m)
	output["until"] = until.Add(-by).UTC().Format(time.RFC3339Nano)
	moved.Output = output
	return &moved
}
