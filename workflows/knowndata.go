package workflows

import (
	"fmt"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"gopkg.in/yaml.v3"
)

// knownData is what samples say of event.data: the provider's sample, and the events
// of the workflow's own tests. They do not show every field that may come, so only a
// field is doubted whose name is nearly that of one they have.
type knownData struct {
	samples []any
	// nested tells that a name found deeper is worth a word: the provider puts all of
	// its events into one envelope.
	nested bool
	whose  string
}

// knownData gathers the samples for a workflow that one trigger starts.
func (c *checker) knownData(w *Workflow) *knownData {
	if c.stored || len(w.Starts) != 1 || w.Starts[0].Kind != "trigger" {
		return nil
	}
	t := c.p.Triggers[w.Starts[0].Trigger]
	if t == nil || t.Webhook == nil || t.Poll != nil || len(t.Schedules) > 0 || t.Webhook.Sample != "" {
		return nil // a sample: file is taken at its word
	}
	k := &knownData{samples: c.testData(w, t.Webhook), whose: "the events of its tests"}
	preset := presetOf(c.catalog.Presets, t.Webhook.Provider)
	if preset != nil && preset.Sample != nil && !preset.BodyFromToken && preset.Split == nil && t.Webhook.Split == nil {
		if data, ok := dataOf(t.Webhook, preset, preset.Sample.Body); ok {
			k.samples = append(k.samples, data)
			k.nested = preset.Sample.TypeJSON != "" && preset.Data == nil && t.Webhook.Data == nil
			if len(k.samples) == 1 {
				k.whose = "the sample of " + preset.Name
			}
		}
	}
	if len(k.samples) == 0 {
		return nil
	}
	return k
}

// testData are the events of the tests in the workflow's own file.
func (c *checker) testData(w *Workflow, hook *Webhook) []any {
	if w.tests == nil || w.tests.Kind != yaml.SequenceNode || hook.Split != nil {
		return nil
	}
	preset := presetOf(c.catalog.Presets, hook.Provider)
	var out []any
	for _, n := range w.tests.Content {
		var test struct {
			Event struct {
				Fixture    string
				Body, Data any
			}
		}
		if n.Decode(&test) != nil {
			continue
		}
		bodies := []any{test.Event.Body}
		if test.Event.Fixture != "" {
			if v, err := c.p.readJSON(test.Event.Fixture); err == nil {
				bodies = append(bodies, v)
			}
		}
		for _, b := range bodies {
			if data, ok := dataOf(hook, preset, b); ok {
				out = append(out, data)
			}
		}
		if test.Event.Data != nil {
			out = append(out, test.Event.Data)
		}
	}
	return out
}

// dataOf is event.data of a body.
func dataOf(hook *Webhook, preset *Preset, body any) (any, bool) {
	of := hook.Data
	if of == nil && preset != nil {
		of = preset.Data
	}
	if body == nil || of == nil {
		return body, body != nil
	}
	if of.prog == nil {
		return nil, false
	}
	none := map[string]any{}
	v, err := of.Eval(&Env{Names: Names{"body": body, "headers": none, "query": none, "raw": "", "method": "POST", "url": "", "path": "", "claims": nil, "item": nil}, Now: time.Unix(0, 0)})
	return v, err == nil && v != nil
}

// dataField doubts a field of event.data whose name is nearly one that samples have.
func (l *linter) dataField(keys []string, at []ast.Node) {
	known := l.sc.known
	if known == nil || len(keys) < 2 || keys[0] != "data" || l.doubted[at[1].Location().From] {
		return
	}
	level := known.samples
	for i := 1; i < len(keys); i++ {
		next, names := fieldOf(level, keys[i])
		if len(names) == 0 {
			return
		}
		if next != nil {
			level = next
			continue
		}
		better := nearName(keys[i], names)
		if better == "" && i == 1 && known.nested && len(keys[1]) >= 4 {
			if paths := pathsTo(keys[1], level, nil, 0); len(paths) == 1 {
				better = paths[0]
			}
		}
		if better != "" {
			l.doubted[at[1].Location().From] = true
			path := strings.Join(append(append([]string{"event"}, keys[:i]...), better), ".")
			from := at[i].Location().From
			l.e.report("unknown-field", true, from, from+len([]rune(keys[i])), fmt.Sprintf("%s: no field %s", known.whose, keys[i]), fmt.Sprintf("did you mean %s?", path))
		}
		return
	}
}

// fieldOf gives what the samples have under a name, nil where none has it, and the
// names that they have instead.
func fieldOf(level []any, name string) (found []any, names []string) {
	for _, v := range level {
		m, ok := v.(map[string]any)
		if !ok {
			if v != nil {
				return nil, nil // no object, or none that is known
			}
			continue
		}
		for _, k := range sortedStrings(m) {
			if names = append(names, k); k == name {
				found = append(found, m[k])
			}
		}
	}
	return found, names
}

// nearName is a name that differs by a slip of the hand: one letter, or two in long
// names, and not by its digits alone (line1 and line2 are two fields).
func nearName(word string, names []string) string {
	for _, n := range names {
		limit := 2
		if short := min(len(word), len(n)); short < 4 {
			continue
		} else if short >= 7 {
			limit = 3
		}
		sameOtherwise := strings.TrimRight(word, "0123456789s") == strings.TrimRight(n, "0123456789s")
		if distance(strings.ToLower(word), strings.ToLower(n), limit) < limit && !sameOtherwise {
			return n
		}
	}
	return ""
}

// pathsTo lists where a name stands deeper in the samples, as dotted paths.
func pathsTo(name string, level []any, before []string, depth int) []string {
	if depth > 4 {
		return nil
	}
	seen := map[string]bool{}
	var out []string
	for _, v := range level {
		m, _ := v.(map[string]any)
		for _, k := range sortedStrings(m) {
			path := append(append([]string{}, before...), k)
			if k == name && depth > 0 && !seen[strings.Join(path, ".")] {
				seen[strings.Join(path, ".")] = true
				out = append(out, strings.Join(path, "."))
			}
			out = append(out, pathsTo(name, []any{m[k]}, path, depth+1)...)
		}
	}
	return out
}
