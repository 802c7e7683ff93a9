package plan

import (
	"fmt"
	"maps"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// maxItems is the largest number of items of one loop: the list is walked at each decision.
const maxItems = 10_000

// loop walks a step once for each item of a list, several items at once.
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

// items evaluates the list. The time is recorded, so that now() in the expression returns the same
// list when it is evaluated again.
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
		return nil, &Error{Message: fmt.Sprintf("foreach has %d items, the limit is %d", len(items), maxItems),
			Code: "too_large", Step: path}
	}
	if head == nil {
		r := &Record{Path: path + "/foreach", Attempt: 1, Action: "foreach", Status: Succeeded, StartedAt: at, FinishedAt: at, Output: len(items)}
		p.st.AddRecord(r)
		p.out.Finished = append(p.out.Finished, r)
	}
	return items, nil
}

// listOf returns the items of a list, or the pairs of a map, sorted by key.
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
	// Functions of the expression language return typed lists.
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
		once.Timeout = 0 // it is the timeout of the whole loop
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
	all, tooLarge := fit(l.outputs, "the output, a list of each item's output,", keepLessEach, path)
	if tooLarge != nil {
		return p.loopFails(s, path, p.put(s, path, Failed, nil, tooLarge))
	}
	p.bind(s, p.put(s, path, Succeeded, all, nil), 1)
	return done
}

// mostPaused is the largest number of iterations of a loop that pause without a slot. Each is
// visited whenever the loop is walked, and a target that is down should not be tried with all
// items.
const mostPaused = 100

// iterating is the walk of a loop.
type iterating struct {
	s, once *workflows.Step
	path    string
	items   []any
	outputs []any
	failure *Error
	start   mark
}

// round walks the iterations once. Running ones keep their slots. One that pauses before a retry
// holds no slot, so that another iteration can run meanwhile, unless iterations run one after
// another. again asks for another round: a slot was freed after an iteration that needed it was
// passed, or the holders changed, since a wait began or ended, while others need a slot. The next
// decision begins with the new holders, so this one must do so too: two iterations would begin in one
// slot if the runner asked twice.
func (p *planner) round(l *iterating) (o outcome, again bool) {
	l.failure = nil
	holders, failing := p.holders(l.path)
	ended, free := len(p.out.Finished), l.s.MaxParallel-len(holders)
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
			continue // another iteration failed; this one has not begun, or was cut
		}
		if free <= 0 && !holders[i] {
			passed = true
			continue
		}
		opened := p.out.open
		c := p.child(expr.Names{l.s.As: item, "index": i})
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
				continue // the failed iteration comes later, or was visited
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
	case (passed || paused > 0) && len(p.out.Finished) > ended && !maps.Equal(holders, p.holding(l.path)):
		return done, true
	case open:
		return pending, false
	}
	return done, false
}

// failsFast ends a loop after its first failure: nothing new begins, and running iterations end
// first. Iterations that pause before a retry are not retried.
func (p *planner) failsFast(l *iterating) outcome {
	p.rewind(l.start)
	if open := p.cut(l.path, failedFast(l.path), "fail_fast"); open || p.running(l.path) {
		return pending
	}
	return done
}

// loopTooLarge ends a loop whose outputs so far exceed a limit together: it can only fail, so
// nothing more of it begins.
func (p *planner) loopTooLarge(l *iterating, n int) outcome {
	p.rewind(l.start)
	if open := p.cut(l.path, "the outputs of its loop are too large together", "cancelled"); open || p.running(l.path) {
		return pending
	}
	what := fmt.Sprintf("the output, a list of each item's output, is too large after %d of %d items (at most %d MiB as JSON and %d values)",
		n, len(l.items), value.MaxSize>>20, value.MaxJSONNodes)
	e := &Error{Message: what + ": " + keepLessEach, Code: "too_large", Step: l.path, Attempts: 1}
	return p.loopFails(l.s, l.path, p.put(l.s, l.path, Failed, nil, e))
}

// failedFast is the reason recorded for iterations that were cut after another one failed.
func failedFast(loop string) string {
	return fmt.Sprintf("another iteration of %s failed (fail_fast)", loop)
}

// cutByLoop reports whether an error is that of an iteration that the loop has cut.
func cutByLoop(e *Error, loop string) bool {
	return e != nil && e.Code == "fail_fast" && e.Message == "cut: "+failedFast(loop)
}

// holders are the iterations of a loop that have a slot: something in them is running or waiting.
// failing reports whether some were cut because another failed.
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

// holding are the holders now.
func (p *planner) holding(path string) map[int]bool {
	out, _ := p.holders(path)
	return out
}

// loopFails closes a loop in which an iteration failed; its output holds the outputs of the others.
func (p *planner) loopFails(s *workflows.Step, path string, r *Record) outcome {
	return p.groupFails(s, path, r.Error, r.Output)
}
