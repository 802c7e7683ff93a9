package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// knownData is what samples say of event.data: the provider's sample, the events of the
// workflow's tests, and the project's fixtures.
type knownData struct {
	samples []any
	// nested tells that a name found deeper is worth a word: the provider puts all of
	// its events into one envelope.
	nested bool
	// own tells that the workflow's own tests are among them. They show what its events
	// look like, so that each field that none of them has is doubted. The others do not
	// show every field that may come: there a field is doubted whose name is nearly that
	// of one they have.
	own   bool
	whose string
}

// knownData gathers the samples for a workflow that one trigger starts, beside people
// and other workflows.
func (c *checker) knownData(w *Workflow) *knownData {
	t := c.onlyTrigger(w)
	if c.stored || t == nil || t.Webhook != nil && t.Webhook.Sample != "" {
		return nil // a sample: file is taken at its word
	}
	simple := t.Webhook != nil && t.Poll == nil && len(t.Schedules) == 0
	k := &knownData{samples: c.testData(w, t.Webhook), whose: "the events of its tests"}
	k.own = simple && len(k.samples) > 0
	preset := (*Preset)(nil)
	if simple {
		preset = presetOf(c.catalog.Presets, t.Webhook.Provider)
	}
	if preset != nil && preset.Sample != nil && preset.Category != "standard" && !preset.BodyFromToken && preset.Split == nil &&
		t.Webhook.Split == nil {
		if data, ok := dataOf(t.Webhook, preset, preset.Sample.Body); ok {
			k.add("the sample of "+preset.Name, data)
			k.nested = preset.Sample.TypeJSON != "" && preset.Data == nil && t.Webhook.Data == nil
		}
	}
	if simple && t.Webhook.Split == nil {
		for _, f := range c.looseFixtures() {
			if data, ok := dataOf(t.Webhook, preset, f.body); ok {
				k.add(f.name, data)
			}
		}
	}
	if len(k.samples) == 0 {
		return nil
	}
	if len(w.Starts) > 1 && len(w.Inputs) > 0 {
		inputs := map[string]any{} // a run by hand has them as its data
		for _, in := range w.Inputs {
			inputs[in.Name] = nil
		}
		k.samples = append(k.samples, inputs)
	}
	return k
}

// add puts a sample beside the others.
func (k *knownData) add(whose string, data any) {
	if _, ok := data.(map[string]any); !ok {
		return
	}
	if k.samples = append(k.samples, data); len(k.samples) == 1 {
		k.whose = whose
	}
}

// onlyTrigger is the one trigger that starts a workflow, nil where there are several or
// where it listens to other runs.
func (c *checker) onlyTrigger(w *Workflow) *Trigger {
	var found *Trigger
	for _, s := range w.Starts {
		switch {
		case s.Kind == "trigger" && found == nil && c.p.Triggers[s.Trigger] != nil:
			found = c.p.Triggers[s.Trigger]
		case s.Kind != "manual" && s.Kind != "call":
			return nil
		}
	}
	return found
}

// testData are the events of the workflow's tests, in its own file and in tests/.
func (c *checker) testData(w *Workflow, hook *Webhook) []any {
	if hook != nil && hook.Split != nil {
		return nil
	}
	preset := (*Preset)(nil)
	if hook != nil {
		preset = presetOf(c.catalog.Presets, hook.Provider)
	}
	var out []any
	for _, n := range append(testNodes(w.tests), c.fixtures().tests[w.ID]...) {
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
			if hook == nil {
				break
			}
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
	v, err := of.Eval(&Env{
		Names: Names{
			"body":    body,
			"headers": none,
			"query":   none,
			"raw":     "",
			"method":  "POST",
			"url":     "",
			"path":    "",
			"claims":  nil,
			"item":    nil,
		},
		Now: time.Unix(0, 0),
	})
	return v, err == nil && v != nil
}

// dataField doubts a field of event.data that no sample has.
func (l *linter) dataField(x *ast.MemberNode, keys []string, at []ast.Node) {
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
		l.doubted[at[1].Location().From] = true
		hint := known.betterName(keys, i, level, names)
		if hint == "" && known.own && !l.absent && !optional(x) && !slices.Contains([]string{"length"}, keys[i]) {
			slices.Sort(names)
			if names = slices.Compact(names); len(names) <= 12 {
				hint = "known are " + strings.Join(names, ", ") + ";"
			}
			hint = strings.TrimSpace(hint + fmt.Sprintf(" where it may be missing write %s ?? nil", "event."+strings.Join(keys[:i+1], ".")))
		}
		if hint != "" {
			from := at[i].Location().From
			l.e.report("unknown-field", true, from, from+len([]rune(keys[i])), fmt.Sprintf("%s: no field %s", known.whose, keys[i]), hint)
		}
		return
	}
}

// betterName says which field was likely meant by the i-th key.
func (k *knownData) betterName(keys []string, i int, level []any, names []string) string {
	better := nearName(keys[i], names)
	if better == "" && k.own {
		better = DidYouMean(keys[i], names)
	}
	if better == "" && i == 1 && (k.nested || k.own) && len(keys[1]) >= 4 {
		if paths := pathsTo(keys[1], level, nil, 0); len(paths) == 1 {
			better = paths[0]
		}
	}
	if better == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s?", strings.Join(append(append([]string{"event"}, keys[:i]...), better), "."))
}

// optional tells whether a chain says somewhere that a part may be missing.
func optional(x *ast.MemberNode) bool {
	for node := ast.Node(x); node != nil; {
		switch n := node.(type) {
		case *ast.MemberNode:
			if n.Optional {
				return true
			}
			node = n.Node
		case *ast.ChainNode:
			node = n.Node
		default:
			return false
		}
	}
	return false
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
		for _, k := range slices.Sorted(maps.Keys(m)) {
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
		for _, k := range slices.Sorted(maps.Keys(m)) {
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
