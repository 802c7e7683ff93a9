package dryrun

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// compare returns where a result differs from the expected one.
func compare(t *workflows.Test, got *Result) []string {
	x := t.Expect
	var out []string
	wrong := func(path, format string, args ...any) {
		out = append(out, t.Where(path)+": expect."+path+": "+fmt.Sprintf(format, args...))
	}
	matched := got.Decision.Outcome == engine.Matched
	if (x.Rule == "matched") != matched {
		wrong("rule", "wanted %s, got %s%s", x.Rule, got.Decision.Outcome, because(got.Decision))
		return out
	}
	if !matched {
		if got.Decision.Outcome == engine.RuleFailed {
			wrong("rule", "wanted skipped, got rule_failed%s", because(got.Decision))
		}
		return out
	}
	status := x.Status
	if status == "" && x.Error == nil {
		status = "succeeded"
	}
	if status != "" && status != string(got.Status) {
		why := ""
		if got.Error != nil {
			why = ": " + got.Error.Step + ": " + got.Error.Message
		}
		wrong("status", "wanted %s, got %s%s", status, got.Status, why)
	}
	for _, id := range slices.Sorted(maps.Keys(x.Steps)) {
		if came := stepStatus(got, id); came != x.Steps[id] {
			wrong("steps."+id, "wanted %s, got %s", x.Steps[id], came)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(x.Attempts)) {
		if n := len(callsOf(got, id)); n != x.Attempts[id] {
			wrong("attempts."+id, "wanted %d, got %d", x.Attempts[id], n)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(x.Calls)) {
		if diff := callsDiffer(x.Calls[id], callsOf(got, id)); diff != "" {
			wrong("calls."+id, "%s", diff)
		}
	}
	if x.HasOutput {
		if diff := differ(x.Output, got.Output, false); diff != "" {
			wrong("output", "%s", diff)
		}
	}
	if x.Error != nil {
		if diff := errorDiffers(x.Error, got.Error); diff != "" {
			wrong("error", "%s", diff)
		}
	}
	for i, e := range x.Assert {
		ok, err := e.Condition(&expr.Env{Names: got.Names, Now: t.Now})
		path := fmt.Sprintf("assert.%d", i)
		if err != nil {
			wrong(path, "%v", err)
		} else if !ok {
			wrong(path, "false: %s, with %s", e.Text, jsonText(e.Values(got.Names)))
		}
	}
	return out
}

func because(d engine.Decision) string {
	if d.Reason == "" {
		return ""
	}
	return ": " + d.Reason
}

// stepStatus returns the status of a step; if it ran several times, the worst.
func stepStatus(got *Result, id string) string {
	last := map[string]string{}
	for _, r := range got.Records {
		segment := r.Path[strings.LastIndexByte(r.Path, '/')+1:]
		if segment == id || r.Path == id {
			last[r.Path] = string(r.Status)
		}
	}
	rank := []string{"failed", "unknown", "waiting", "succeeded", "skipped"}
	for _, s := range rank {
		for _, x := range last {
			if x == s {
				return s
			}
		}
	}
	return "not_reached"
}

func callsOf(got *Result, id string) []Call {
	var out []Call
	for _, c := range got.Calls {
		if c.ID == id {
			out = append(out, c)
		}
	}
	return out
}

// callsDiffer compares the inputs of a step's calls: a map with the last call of a step, or with
// any of a loop's; a list with each call in turn.
func callsDiffer(want any, calls []Call) string {
	if len(calls) == 0 {
		return "the step was not called"
	}
	if list, ok := want.([]any); ok {
		if len(list) != len(calls) {
			return fmt.Sprintf("wanted %d calls, got %d", len(list), len(calls))
		}
		for i, w := range list {
			if diff := differ(w, calls[i].With, true); diff != "" {
				return fmt.Sprintf("call %d: %s", i+1, diff)
			}
		}
		return ""
	}
	diff := ""
	for _, c := range calls {
		if diff = differ(want, c.With, true); diff == "" && calls[0].Path != calls[len(calls)-1].Path {
			return ""
		}
	}
	return diff
}

func errorDiffers(want any, e *plan.Error) string {
	if e == nil {
		return "wanted " + jsonText(want) + ", got none"
	}
	if text, ok := want.(string); ok {
		if !strings.Contains(e.Message, text) {
			return fmt.Sprintf("wanted a message with %q, got %q", text, e.Message)
		}
		return ""
	}
	m, ok := want.(map[string]any)
	if !ok {
		return "write a text, or a map of step, code, status, message"
	}
	m = maps.Clone(m)
	if text, ok := m["message"].(string); ok && strings.Contains(e.Message, text) {
		delete(m, "message")
	}
	return differ(m, map[string]any{"message": e.Message, "code": e.Code, "status": e.Status, "step": e.Step,
		"attempts": e.Attempts, "retryable": e.Retryable, "details": e.Details}, true)
}

// differ returns where two values differ, "" if they do not. With part, maps may contain more than
// expected.
func differ(want, got any, part bool) string { return differAt("", want, got, part) }

func differAt(path string, want, got any, part bool) string {
	unlike := func() string {
		if path != "" {
			path += ": "
		}
		return path + "wanted " + jsonText(want) + ", got " + jsonText(got)
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return unlike()
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			x, there := g[k]
			if !there && w[k] != nil {
				return strings.TrimPrefix(path+"."+k, ".") + ": wanted " + jsonText(w[k]) + ", got nothing"
			}
			if diff := differAt(strings.TrimPrefix(path+"."+k, "."), w[k], x, part); diff != "" {
				return diff
			}
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, there := w[k]; !there && !part {
				return strings.TrimPrefix(path+"."+k, ".") + ": wanted nothing, got " + jsonText(g[k])
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return unlike()
		}
		for i := range w {
			if diff := differAt(fmt.Sprintf("%s[%d]", path, i), w[i], g[i], part); diff != "" {
				return diff
			}
		}
		return ""
	}
	if equalValues(want, got) {
		return ""
	}
	return unlike()
}

// equalValues compares like the language: numbers by value.
func equalValues(a, b any) bool {
	x, err := value.EncodeJSON(a)
	y, err2 := value.EncodeJSON(b)
	if err == nil && err2 == nil && string(x) == string(y) {
		return true
	}
	f, ok := expr.Number(a)
	g, ok2 := expr.Number(b)
	return ok && ok2 && f == g || reflect.DeepEqual(a, b)
}

// maxShown is the maximum number of characters of a value in a failure.
const maxShown = 300

func jsonText(v any) string {
	b, err := value.EncodeJSON(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if r := []rune(string(b)); len(r) > maxShown {
		return string(r[:maxShown-1]) + "…"
	}
	return string(b)
}
