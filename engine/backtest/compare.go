package backtest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/expr"
)

// compare returns the differences between two simulated runs; nil if there are none. paths gives
// the path before for a path after, if it changed.
func compare(before, after *simulation, paths map[string]string) *Change {
	c := &Change{Requests: compareRequests(before, after, paths)}
	c.Path = comparePaths(before, after, paths)
	if errorsDiffer(before, after) {
		c.Error = &ErrorChange{Before: errorOf(before), After: errorOf(after)}
	}
	if x, y := outputOf(before), outputOf(after); before.end != nil && after.end != nil && !sameOutput(x, y) {
		c.Output = &Values{Before: x, After: y}
	}
	requests := len(c.Requests.Added)+len(c.Requests.Removed)+len(c.Requests.Changed) > 0
	switch {
	case c.Error != nil:
		c.Kind = ErrorChanged
	case slices.ContainsFunc(c.Path, func(x StepChange) bool { return x.Before != "" && x.After != "" || decides(before, after, x) }):
		c.Kind = PathChanged
	case requests:
		c.Kind = RequestChanged
	case len(c.Path) > 0:
		c.Kind = PathChanged
	case c.Output != nil:
		c.Kind = OutputChanged
	default:
		return nil
	}
	return c
}

// decides reports whether a step that only one side reached exists in both versions: then an
// earlier decision differs.
func decides(before, after *simulation, x StepChange) bool {
	return before.w.StepAt(x.Step) != nil && after.w.StepAt(x.Step) != nil
}

// inverse returns the paths of a run by those that they are compared with. Of several, it is the path that
// did not change, or otherwise the first.
func inverse(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		if old, ok := out[v]; !ok || old != v && (k == v || k < old) {
			out[v] = k
		}
	}
	return out
}

func outputOf(s *simulation) any {
	if s.end == nil {
		return nil
	}
	return s.end.Output
}

func errorOf(s *simulation) *plan.Error {
	if s.end == nil {
		return nil
	}
	return s.end.Error
}

// errorsDiffer reports whether an error appears, vanishes, or changes. A run whose end is unknown
// has no error yet.
func errorsDiffer(before, after *simulation) bool {
	if before.end == nil || after.end == nil {
		return false
	}
	a, b := before.end.Error, after.end.Error
	if a == nil || b == nil {
		return a != b || before.end.Status != after.end.Status
	}
	return a.Code != b.Code || a.Status != b.Status || a.Message != b.Message || before.end.Status != after.end.Status
}

func sameOutput(a, b any) bool {
	return reflect.DeepEqual(a, b) || expr.Same(a, b)
}

// compareRequests lists the requests that differ, except those of a step that moved and sends the
// same.
func compareRequests(before, after *simulation, paths map[string]string) Requests {
	out := Requests{Added: []Request{}, Removed: []Request{}, Changed: []RequestChange{}}
	type key struct {
		path    string
		attempt int
	}
	left := map[key]*call{}
	for _, b := range before.calls {
		if b.action != "wait" {
			left[key{b.path, b.attempt}] = b
		}
	}
	var added []*call
	for _, c := range after.calls {
		if c.action == "wait" {
			continue
		}
		at := key{c.path, c.attempt}
		if p, ok := paths[c.path]; ok && left[key{p, c.attempt}] != nil {
			at.path = p
		}
		b := left[at]
		if b == nil || b.action != c.action && b.step.ID == "" {
			added = append(added, c)
			continue
		}
		delete(left, at)
		same := b.action == c.action && sameRequest(b, c)
		sent := sentDiffers(b, c)
		switch {
		case !same:
			x := changeOf(b, c)
			x.Fields = append(x.Fields, sent...)
			out.Changed = append(out.Changed, x)
		case len(sent) > 0:
			out.Changed = append(out.Changed, RequestChange{Step: c.path, Attempt: c.attempt, Action: c.action, Before: b.request(),
				After: c.request(), Fields: sent, sent: true})
		}
	}
	for _, c := range added {
		if c.local {
			continue // reaching the step is part of the path
		}
		out.Added = append(out.Added, requestOf(c))
	}
	for _, b := range before.calls {
		if after.unknown == "" && !b.local && left[key{b.path, b.attempt}] == b { // otherwise it may come after what is unknown
			out.Removed = append(out.Removed, requestOf(b))
		}
	}
	return out
}

func requestOf(c *call) Request {
	return Request{Step: c.path, Attempt: c.attempt, Action: c.action, Host: c.host, Request: c.shown}
}

func changeOf(b, c *call) RequestChange {
	out := RequestChange{Step: c.path, Attempt: c.attempt, Action: c.action, Before: b.shown, After: c.shown}
	moved := c.began.Sub(b.began)
	same := func(x, y any) bool { return sameMoment(x, y, moved) }
	if b.action != c.action {
		out.Fields = append(out.Fields, FieldChange{Field: "uses", Before: b.action, After: c.action})
	}
	if x, y := b.called, c.called; x != nil && y != nil && x.Workflow != y.Workflow {
		out.Fields = append(out.Fields, FieldChange{Field: "call", Before: x.Workflow, After: y.Workflow})
	} else if x != nil && y != nil && x.Detach != y.Detach {
		out.Fields = append(out.Fields, FieldChange{Field: "detach", Before: x.Detach, After: y.Detach})
	}
	out.Fields = append(out.Fields, differences("", b.shown, c.shown, same)...)
	if len(out.Fields) == 0 { // another secret: report its name
		out.Fields = differences("", b.with, c.with, same)
	}
	return out
}

// maxFields is the maximum number of differences listed for one request.
const maxFields = 100

// differences lists where two values differ; same may treat two leaves as equal.
func differences(path string, a, b any, same func(x, y any) bool) (out []FieldChange) {
	if m, ok := a.(map[string]any); ok {
		if n, ok := b.(map[string]any); ok {
			keys := maps.Clone(m)
			maps.Copy(keys, n)
			for _, k := range slices.Sorted(maps.Keys(keys)) {
				if x, y := m[k], n[k]; !reflect.DeepEqual(x, y) && len(out) < maxFields {
					out = append(out, differences(strings.TrimPrefix(path+"."+k, "."), x, y, same)...)
				}
			}
			return out
		}
	}
	if l, ok := a.([]any); ok {
		if r, ok := b.([]any); ok && len(l) == len(r) {
			for i := range l {
				if !reflect.DeepEqual(l[i], r[i]) && len(out) < maxFields {
					out = append(out, differences(path+"["+strconv.Itoa(i)+"]", l[i], r[i], same)...)
				}
			}
			return out
		}
	}
	if reflect.DeepEqual(a, b) || same != nil && same(a, b) {
		return nil
	}
	return []FieldChange{{Field: path, Before: a, After: b}}
}

// skipped is the outcome of a step whose condition is false.
const skipped = string(plan.Skipped)

// comparePaths lists the steps whose outcome differs, in the order in which they ended.
func comparePaths(before, after *simulation, paths map[string]string) []StepChange {
	out, moved := []StepChange{}, inverse(paths)
	a, b := outcomes(before), outcomes(after)
	seen := map[string]bool{}
	for _, path := range order(before) {
		to := path
		if p, ok := moved[path]; ok {
			to = p
		} else if p, ok := paths[path]; ok && p != path {
			to = "" // another step has this path now
		}
		seen[to] = true
		if a[path] != b[to] && !(after.unknown != "" && b[to] == "") {
			out = append(out, StepChange{Step: path, Before: a[path], After: b[to]})
		}
	}
	for _, path := range order(after) {
		if !seen[path] && !(before.unknown != "" && a[path] == "") {
			out = append(out, StepChange{Step: path, After: b[path]})
		}
	}
	// A step that only one version has, and that is skipped there, does nothing on either side.
	elsewhere := func(m map[string]string, path string) bool { return m[path] != "" && m[path] != path }
	return slices.DeleteFunc(out, func(x StepChange) bool {
		return x.Before == "" && x.After == skipped && (before.w.StepAt(x.Step) == nil || elsewhere(moved, x.Step)) ||
			x.After == "" && x.Before == skipped && (after.w.StepAt(x.Step) == nil || elsewhere(paths, x.Step))
	})
}

// outcomes returns how the steps of a run ended, by path; for a switch the chosen case, for a
// loop the number of items, and for stop its text.
func outcomes(s *simulation) map[string]string {
	out := make(map[string]string, len(s.st.Records))
	for path, list := range s.st.Records {
		r := list[len(list)-1]
		switch r.Action {
		case "switch", "foreach":
			if strings.HasSuffix(path, "/switch") || strings.HasSuffix(path, "/foreach") {
				out[path] = fmt.Sprintf("%s: %v", r.Action, r.Output)
				continue
			}
		case "stop":
			if text, ok := r.Output.(string); ok && r.Status == plan.Succeeded {
				out[path] = "stop: " + text
				continue
			}
		}
		out[path] = r.Shown()
	}
	return out
}

// order lists the paths of a run by start time.
func order(s *simulation) []string {
	paths := slices.Sorted(maps.Keys(s.st.Records))
	slices.SortStableFunc(paths, func(a, b string) int {
		return s.st.Records[a][0].StartedAt.Compare(s.st.Records[b][0].StartedAt)
	})
	return paths
}

// agrees returns why a simulation of the version that ran differs from the record; "" if it does
// not.
func agrees(s *simulation, r *recorded) string {
	if s.end == nil {
		return "its end is not reached"
	}
	if got, want := s.end.Status, string(r.run.Run.Status); got != want {
		return fmt.Sprintf("it ends as %s, and is recorded as %s", got, want)
	}
	for path, list := range r.records {
		if got := s.st.Records[path]; len(got) != len(list) {
			return fmt.Sprintf("step %s has %d attempts instead of %d", path, len(got), len(list))
		}
		for i, x := range list {
			if got := s.st.Records[path][i]; got.Shown() != x.Shown() {
				return fmt.Sprintf("step %s is %s instead of %s", path, got.Shown(), x.Shown())
			}
		}
	}
	for path := range s.st.Records {
		if r.records[path] == nil {
			return fmt.Sprintf("step %s is not recorded", path)
		}
	}
	return ""
}
