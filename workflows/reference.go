package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// Section describes one kind of mapping for the reference manual.
type Section struct {
	// Name is the mapping's name in the grammar, such as step. It is also the link target.
	Name string
	// Title names the mapping in messages, such as "a step".
	Title string
	Keys  []Key
}

// Key is a key of a mapping.
type Key struct {
	Name     string
	Required bool
	// Type is the type in words. Uses are the names of the sections that it refers to.
	Type string
	Uses []string
	// Help describes the key; it may be empty.
	Help string
}

// Reference returns the sections for a kind of file: workflow, project, connector or test_file. The
// first section is the file itself; those that its keys refer to follow in the order of first use.
// It is generated from the tables that the checker uses.
func Reference(of string) []Section {
	var out []Section
	seen := map[string]bool{}
	next := []string{of}
	if of == "workflow" {
		next = append(next, "on", "filter")
	}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		if seen[name] || shapes[name] == nil {
			continue
		}
		seen[name] = true
		s := section(name)
		out = append(out, s)
		for _, k := range s.Keys {
			next = append(next, k.Uses...)
		}
	}
	return out
}

// readByCode describes keys whose values are checked by code, for which the tables only say "any".
var readByCode = map[string]string{
	"workflow.on":         "a trigger's name, a list of names, or [on](#on)",
	"on.manual":           "nothing, or [filter](#filter)",
	"on.call":             "nothing",
	"project.connections": "map of names to [connection](#connection)",
	"step.cases":          "map of values to lists of [step](#step)",
	"step.sleep":          "duration; or [sleep](#sleep)",
	"test.mock":           "map of step ids to [mock](#mock), or to a list of them",
	"mock.error":          "[mock_error](#mock_error)",
	"action.example":      "[action_example](#action_example)",
	"preset.list":         "[preset_list](#preset_list)",
}

var link = lazyregexp.New(`\(#([a-z_]+)\)`)

// linked returns the sections that a text links to.
func linked(text string) (out []string) {
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

func section(name string) Section {
	s := Section{Name: name, Title: shapes[name].title}
	for _, f := range shapes[name].fields {
		uses := map[string]bool{}
		text := f.typ.describe(uses)
		if words, ok := readByCode[name+"."+f.name]; ok {
			text = words
			for _, u := range linked(words) {
				uses[u] = true
			}
		}
		s.Keys = append(s.Keys, Key{Name: f.name, Required: f.required, Type: text, Uses: slices.Sorted(maps.Keys(uses)), Help: f.help})
	}
	return s
}

var kindWords = map[kind]string{
	kindAny: "any", kindText: "text", kindBool: "true or false", kindInt: "integer", kindDuration: "duration", kindSize: "size",
	kindRate: "rate", kindName: "name", kindExpr: "expression", kindExprs: "expression or list of expressions", kindValue: "value",
	kindTexts: "text or list of texts",
}

// describe describes the type in words, with links to the sections that it refers to, whose names
// it adds to uses.
func (t valueType) describe(uses map[string]bool) string {
	switch t.kind {
	case kindInt:
		if t.max > 0 {
			return fmt.Sprintf("integer, %d to %d", t.min, t.max)
		}
	case kindWord:
		quoted := make([]string, len(t.words))
		for i, w := range t.words {
			quoted[i] = "`" + w + "`"
		}
		return strings.Join(quoted, ", ")
	case kindObject:
		uses[t.ref] = true
		return "[" + t.ref + "](#" + t.ref + ")"
	case kindList:
		return "list of " + t.of.describe(uses)
	case kindMap:
		return "map of names to " + t.of.describe(uses)
	case kindEither:
		parts := make([]string, len(t.either))
		for i, e := range t.either {
			parts[i] = e.describe(uses)
		}
		return strings.Join(parts, "; or ")
	}
	return kindWords[t.kind]
}
