package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file checks expressions against recorded events: comparisons of types that are never equal,
// and values that are sometimes nil. Both are warnings, since other events may come.

// Recorded is what the recorded events of a trigger show about event.data.
type Recorded struct {
	Trigger string
	// Data are the event.data of its newest events.
	Data []any
	// Guards are the rule of the workflow and the conditions of its steps. A path that one of them
	// reads is not reported in other expressions, which may be evaluated only if the guard holds.
	Guards []string
}

// fewRecorded is the minimum number of events from which types are inferred.
const fewRecorded = 5

// seen is what the recorded events have at one path.
type seen struct {
	path string
	at   ast.Node
	// kinds counts text, number, true or false, object and list; absent counts nil and missing; of
	// is the number of events that have the enclosing object.
	kinds      map[string]int
	absent, of int
}

// seenAt returns the recorded values of a path such as event.data.total; nil if the node is not
// such a path, or if none was recorded.
func (l *linter) seenAt(n ast.Node) *seen {
	if c, is := n.(*ast.ChainNode); is {
		n = c.Node
	}
	m, is := n.(*ast.MemberNode)
	if !is || l.sc.Samples == nil || l.sc.Samples.Recorded == nil || len(l.sc.Samples.Recorded.Data) < fewRecorded {
		return nil
	}
	if _, constant := m.Property.(*ast.StringNode); !constant {
		return nil
	}
	root, keys, at := chain(m)
	id, is := root.(*ast.IdentifierNode)
	if !is || id.Value != "event" || l.declared[id.Value] || len(keys) < 2 || keys[0] != "data" {
		return nil
	}
	s := &seen{path: "event." + strings.Join(keys, "."), at: at[len(at)-1], kinds: map[string]int{}}
	for _, data := range l.sc.Samples.Recorded.Data {
		v := data
		for i, k := range keys[1:] {
			object, is := v.(map[string]any)
			if !is {
				v = nil
				break
			}
			if v = object[k]; i == len(keys)-2 {
				s.of++
				if v == nil {
					s.absent++
				}
			}
		}
		if v != nil {
			s.kinds[kindOf(v)]++
		}
	}
	if len(s.kinds) == 0 {
		return nil // unknown-field reports it
	}
	return s
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	return "a number"
}

// kindsOf returns the kinds of one side of a comparison; nil if unknown.
func (l *linter) kindsOf(n ast.Node) []string {
	switch n.(type) {
	case *ast.StringNode:
		return []string{"text"}
	case *ast.IntegerNode, *ast.FloatNode:
		return []string{"a number"}
	case *ast.BoolNode:
		return []string{"true or false"}
	}
	if s := l.seenAt(n); s != nil {
		return slices.Sorted(maps.Keys(s.kinds))
	}
	return nil
}

// recordedComparison warns about types that are never equal, and about nil where a value is needed.
func (l *linter) recordedComparison(x *ast.BinaryNode) {
	switch x.Operator {
	case "==", "!=", "<", "<=", ">", ">=":
		l.typesMeet(x)
	case "in":
		if list, is := x.Right.(*ast.ArrayNode); is && len(list.Nodes) > 0 {
			l.oneOfMeets(x, list)
		}
	}
	switch x.Operator {
	case "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "**", "^":
		l.needed(x.Left)
		l.needed(x.Right)
	}
}

func (l *linter) typesMeet(x *ast.BinaryNode) {
	left, right := l.kindsOf(x.Left), l.kindsOf(x.Right)
	s, other, others := l.seenAt(x.Left), x.Right, right
	if s == nil {
		s, other, others = l.seenAt(x.Right), x.Left, left
	}
	if s == nil || len(left) == 0 || len(right) == 0 || overlap(left, right) {
		return
	}
	result := "which is always false"
	switch x.Operator {
	case "!=":
		result = "which is always true"
	case "<", "<=", ">", ">=":
		result = "which is an error"
	}
	l.neverEqual(s, strings.Join(others, " or "), result, conversion(s, other))
}

func (l *linter) oneOfMeets(x *ast.BinaryNode, list *ast.ArrayNode) {
	s := l.seenAt(x.Left)
	var kinds []string
	for _, e := range list.Nodes {
		k := l.kindsOf(e)
		if len(k) == 0 {
			return
		}
		kinds = append(kinds, k...)
	}
	if s == nil || overlap(slices.Collect(maps.Keys(s.kinds)), kinds) {
		return
	}
	slices.Sort(kinds)
	l.neverEqual(s, strings.Join(slices.Compact(kinds), " or "), "which is always false", conversion(s, list.Nodes[0]))
}

func (l *linter) neverEqual(s *seen, other, result, hint string) {
	n := 0
	for _, c := range s.kinds {
		n += c
	}
	from := s.at.Location().From
	l.e.report("types-never-meet", true, from, from+len([]rune(s.path[strings.LastIndexByte(s.path, '.')+1:])),
		fmt.Sprintf("%s is %s in all of %d recorded events of %s that have it, and is compared with %s, %s", s.path,
			strings.Join(slices.Sorted(maps.Keys(s.kinds)), " or "), n, l.sc.Samples.Recorded.Trigger, other, result), hint)
}

// conversion says how to convert the two sides of a comparison to one type.
func conversion(s *seen, other ast.Node) string {
	text := value.Clip(other.String(), 40)
	switch o := other.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		if s.kinds["text"] > 0 {
			return fmt.Sprintf("write float(%s), or compare it with text: %q", s.path, text)
		}
	case *ast.StringNode:
		switch {
		case s.kinds["a number"] > 0 && strings.Trim(o.Value, "0123456789.-") == "" && o.Value != "":
			return "write " + o.Value + " without quotes"
		case s.kinds["true or false"] > 0 && (o.Value == "true" || o.Value == "false"):
			return "write " + o.Value + " without quotes"
		case s.kinds["a number"] > 0:
			return fmt.Sprintf("write string(%s)", s.path)
		case s.kinds["a list"] > 0:
			return fmt.Sprintf("write %s in %s", text, s.path)
		}
	}
	return "hookloom shapes shows the received types"
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(k string) bool { return slices.Contains(b, k) })
}

// needed warns if a required value is nil in some of the recorded events.
func (l *linter) needed(n ast.Node) {
	s := l.seenAt(n)
	if s == nil || s.absent == 0 || l.absent || l.guarded(s.path) || l.doubted[s.at.Location().From] {
		return
	}
	l.doubted[s.at.Location().From] = true
	instead := map[string]string{"text": `""`, "a number": "0", "true or false": "false", "a list": "[]", "an object": "{}"}
	most := slices.MaxFunc(slices.Sorted(maps.Keys(s.kinds)), func(a, b string) int { return s.kinds[a] - s.kinds[b] })
	name := s.path[strings.LastIndexByte(s.path, '.')+1:]
	l.e.report("maybe-nil", true, s.at.Location().From, s.at.Location().From+len([]rune(name)),
		fmt.Sprintf("%s is nil or missing in %d of the %d recorded events of %s", s.path, s.absent, s.of, l.sc.Samples.Recorded.Trigger),
		fmt.Sprintf("write (%s ?? %s), or check %s != nil first", s.path, instead[most], s.path))
}

// neededAround warns about reading a field of an object that is nil in some of the events.
func (l *linter) neededAround(x *ast.MemberNode) {
	p, constant := x.Property.(*ast.StringNode)
	if x.Optional || !constant {
		return
	}
	s := l.seenAt(x.Node)
	if s == nil || s.absent == 0 || s.kinds["an object"] == 0 || optionalBelow(x.Node) || l.guarded(s.path) || l.doubted[p.Location().From] {
		return
	}
	l.doubted[p.Location().From] = true
	name := s.path[strings.LastIndexByte(s.path, '.')+1:]
	l.e.report("maybe-nil", true, s.at.Location().From, s.at.Location().From+len([]rune(name)),
		fmt.Sprintf("%s is nil or missing in %d of the %d recorded events of %s", s.path, s.absent, s.of, l.sc.Samples.Recorded.Trigger),
		fmt.Sprintf("write %s?.%s, or check %s != nil first", s.path, p.Value, s.path))
}

func optionalBelow(n ast.Node) bool {
	m, is := n.(*ast.MemberNode)
	return is && optional(m)
}

// guarded reports whether the expression, or a rule before it, tests whether the path exists.
func (l *linter) guarded(path string) bool {
	for _, g := range l.sc.Samples.Recorded.Guards {
		if g != l.e.Text && strings.Contains(g, path) && !strings.Contains(g, path+"?.") {
			return true
		}
	}
	return strings.Contains(l.e.Text, path+" != nil") || strings.Contains(l.e.Text, path+" == nil")
}
