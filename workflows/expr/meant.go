package expr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
)

// This file says what was meant by names that nothing here has.

// meantName returns what to write in place of an unknown name, or "".
func (l *linter) meantName(name string) string {
	has := func(root string) bool { _, ok := l.sc.Names[root]; return ok }
	_, field := ErrorType()[name]
	switch {
	case slices.Contains([]string{"yes", "on"}, name):
		return "write true"
	case slices.Contains([]string{"no", "off"}, name):
		return "write false"
	case slices.Contains([]string{"none", "Null", "Nil", "NIL", "NONE", "nothing"}, name):
		return "write nil"
	case has("event") && slices.Contains([]string{"event_name", "event_type", "eventName", "eventType"}, name):
		return "write event.type"
	case has("error") && field && !slices.Contains(allNames, name):
		return "write error." + name
	case name == "now" || name == "uuid":
		return fmt.Sprintf("write %s()", name)
	case l.hasFunction(name) && !slices.Contains(allNames, name):
		return fmt.Sprintf("%s is a function: write %s(…)", name, name)
	}
	return ""
}

// renamedItem reports item and index in a loop that names its item with as:.
func (l *linter) renamedItem(id *ast.IdentifierNode) bool {
	if l.sc.Item == "" || l.sc.Item == "item" || id.Value != "item" {
		return false
	}
	path := operandStart.FindString(string([]rune(l.e.Text)[id.Location().From:]))
	l.fail("not-here", id, 0, fmt.Sprintf("the item is named %s here", l.sc.Item),
		"write "+l.sc.Item+strings.TrimPrefix(path, "item"))
	return true
}

var (
	// plainWords matches what stands for a text without quotes: eur, payment_intent.succeeded, past-due.
	plainWords = lazyregexp.New(`^[A-Za-z_]\w*(?:[.-]\w+)*`)
	dottedPath = lazyregexp.New(`\??\.$`)
)

// leftmost returns the node with which a chain of - and of fields begins.
func leftmost(n ast.Node) ast.Node {
	for {
		switch x := n.(type) {
		case *ast.BinaryNode:
			if x.Operator != "-" {
				return n
			}
			n = x.Left
		case *ast.MemberNode:
			n = x.Node
		case *ast.ChainNode:
			n = x.Node
		default:
			return n
		}
	}
}

// unknownWord reports whether a name is neither readable here nor one that has its own explanation.
func (l *linter) unknownWord(name string) bool {
	_, known := l.sc.Names[name]
	_, foreign := githubWords[name]
	return !known && !foreign && !l.declared[name] && !slices.Contains(allNames, name) && l.sc.Steps()[name] == nil
}

// unquoted reports a text without quotes at the right of a comparison.
func (l *linter) unquoted(operator string, right ast.Node) bool {
	if list, ok := right.(*ast.ArrayNode); ok && operator == "in" {
		found := false
		for _, n := range list.Nodes {
			found = l.unquoted("==", n) || found
		}
		return found
	}
	id, ok := leftmost(right).(*ast.IdentifierNode)
	if !ok || !slices.Contains([]string{"==", "!=", "contains", "startsWith", "endsWith"}, operator) || !l.unknownWord(id.Value) {
		return false
	}
	if l.sc.Hint != nil && l.sc.Hint(id.Value) != "" || !onlyWords(right) ||
		spelling.Typo(id.Value, slices.Sorted(slices.Values(rootsOf(l.sc.Names)))) != "" {
		return false
	}
	if slices.Contains([]string{"yes", "no", "on", "off"}, id.Value) {
		l.fail("unknown-name", id, 0, "unknown name "+id.Value,
			fmt.Sprintf("%s, or for the text: %q", l.meantName(id.Value), id.Value))
		return true
	}
	if l.meantName(id.Value) != "" {
		return false
	}
	words := plainWords.FindString(string([]rune(l.e.Text)[id.Location().From:]))
	l.fail("unknown-name", id, len(words), "unknown name "+id.Value, fmt.Sprintf("put text in quotes: %q", words))
	return true
}

// onlyWords reports whether a node consists of names, fields and - only.
func onlyWords(n ast.Node) bool {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		return true
	case *ast.MemberNode:
		_, constant := x.Property.(*ast.StringNode)
		return constant && !x.Optional && onlyWords(x.Node)
	case *ast.BinaryNode:
		return x.Operator == "-" && onlyWords(x.Left) && onlyWords(x.Right)
	}
	return false
}

// hyphenated reports a field with hyphens in its name, which are minus signs here.
func (l *linter) hyphenated(x *ast.BinaryNode) bool {
	if x.Operator != "-" {
		return false
	}
	left := x.Left
	var parts []ast.Node
	for parts = append(parts, x.Right); ; {
		b, ok := left.(*ast.BinaryNode)
		if !ok || b.Operator != "-" {
			break
		}
		parts, left = append(parts, b.Right), b.Left
	}
	if c, ok := left.(*ast.ChainNode); ok {
		left = c.Node
	}
	m, ok := left.(*ast.MemberNode)
	if !ok {
		return false
	}
	p, ok := m.Property.(*ast.StringNode)
	root, isName := leftmost(m).(*ast.IdentifierNode)
	unknown := slices.ContainsFunc(parts, func(n ast.Node) bool {
		id, ok := leftmost(n).(*ast.IdentifierNode)
		_, visible := l.sc.Names[nameOf(id)]
		return ok && !visible && !l.declared[id.Value]
	})
	if !ok || !isName || !unknown {
		return false
	}
	from := p.Location().From
	text := []rune(l.e.Text)
	name := dashedName.FindString(string(text[from:]))
	path := string(text[root.Location().From:from])
	if name == "" || !dottedPath.MatchString(path) {
		return false
	}
	path = dottedPath.ReplaceAllString(path, "")
	hint := fmt.Sprintf("write %s[%q]", path, name)
	switch path {
	case "secrets":
		hint = fmt.Sprintf("names of secrets consist of A-Z, 0-9 and _: write secrets.%s",
			strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	case "steps", "vars", "inputs":
		hint = fmt.Sprintf("names here consist of letters, digits and _: write %s.%s", path, strings.ReplaceAll(name, "-", "_"))
		if _, known := l.sc.Names[path]; !known {
			return false
		}
	}
	if _, visible := l.sc.Names[root.Value]; !visible && !l.declared[root.Value] {
		return false
	}
	code := map[string]string{"steps": "unknown-step", "vars": "unknown-var", "inputs": "unknown-input"}[path]
	l.fail(cmp.Or(code, "unknown-name"), p, len([]rune(name)), name+" is read as a subtraction: - is minus", hint)
	return true
}

func nameOf(id *ast.IdentifierNode) string {
	if id == nil {
		return ""
	}
	return id.Value
}

// sequence reports values that ; separates: only the last would count.
func (l *linter) sequence(x *ast.SequenceNode) {
	if l.sc.Lenient || len(x.Nodes) < 2 {
		return
	}
	first := &firstPlace{at: len(l.e.Text)}
	ast.Walk(&x.Nodes[1], first)
	at := min(first.at, len([]rune(l.e.Text))-1)
	for at > 0 && []rune(l.e.Text)[at] != ';' {
		at--
	}
	l.failed = true
	l.e.report("expression-syntax", false, at, at+1, "; separates two expressions, and only the last would count",
		"write && between conditions")
}

// firstPlace finds the first character of a tree.
type firstPlace struct{ at int }

// Visit implements ast.Visitor.
func (f *firstPlace) Visit(n *ast.Node) { f.at = min(f.at, (*n).Location().From) }

// alternatives are a comparison and the values that and or or join to it.
type alternatives struct {
	compared *ast.BinaryNode
	values   []ast.Node
}

// alternativesOf returns the comparison at the left of and, or and the values that follow it:
// a == "paid" or "open".
func alternativesOf(x *ast.BinaryNode) (out alternatives, ok bool) {
	if boolean(x.Operator) == "" || !plainValue(x.Right) {
		return out, false
	}
	left, is := x.Left.(*ast.BinaryNode)
	if !is {
		return out, false
	}
	if boolean(left.Operator) != "" {
		if plainValue(left.Right) {
			out, ok = alternativesOf(left)
		} else if c, compared := left.Right.(*ast.BinaryNode); compared {
			out, ok = alternatives{compared: c}, true
		}
	} else {
		out, ok = alternatives{compared: left}, true
	}
	ok = ok && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">=", "contains", "startsWith", "endsWith", "matches"},
		out.compared.Operator) && (plainValue(out.compared.Right) || out.compared.Operator != "==" && out.compared.Operator != "!=")
	out.values = append(out.values, x.Right)
	return out, ok
}

// plainValue reports whether a node is a text or a number.
func plainValue(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}

// notCompared reports values that are joined to a comparison but are not compared.
func (l *linter) notCompared(x *ast.BinaryNode) bool {
	found, ok := alternativesOf(x)
	if !ok {
		if boolean(x.Operator) == "||" && plainValue(x.Right) && readsData(x.Left) {
			l.e.defaultHint = fmt.Sprintf("for a default write %s ?? %s; || is for conditions", l.source(x.Left), l.source(x.Right))
		}
		return false
	}
	c := found.compared
	operand, list := l.source(c.Left), []string{l.source(c.Right)}
	for _, v := range found.values {
		list = append(list, l.source(v))
	}
	hint := ""
	switch c.Operator {
	case "==":
		hint = fmt.Sprintf("write %s in [%s]", operand, strings.Join(list, ", "))
	case "!=":
		hint = fmt.Sprintf("write %s not in [%s]", operand, strings.Join(list, ", "))
	default:
		for i, v := range list {
			list[i] = fmt.Sprintf("%s %s %s", operand, c.Operator, v)
		}
		hint = "write " + strings.Join(list, fmt.Sprintf(" %s ", x.Operator))
	}
	l.fail("type-mismatch", x, 0, fmt.Sprintf("%s cannot be used with true or false and %s", x.Operator, valueWord(x.Right)), hint)
	return true
}

// compared walks what is left of the values that notCompared has reported.
func (l *linter) compared(x *ast.BinaryNode, loops int) {
	left := x.Left
	for {
		b, ok := left.(*ast.BinaryNode)
		if !ok || boolean(b.Operator) == "" || !plainValue(b.Right) {
			break
		}
		left = b.Left
	}
	l.walk(left, loops)
}

// readsData reports whether a node is a path such as event.data.x.
func readsData(n ast.Node) bool {
	switch n.(type) {
	case *ast.MemberNode, *ast.ChainNode, *ast.IdentifierNode:
		return true
	}
	return false
}

func valueWord(n ast.Node) string {
	if _, text := n.(*ast.StringNode); text {
		return "text"
	}
	return "a number"
}

// eventNames are other names of fields of the event.
var eventNames = map[string]string{"event_name": "type", "event_type": "type", "eventName": "type", "eventType": "type"}

// otherEventName returns the name here of a field of the event in other tools, or "".
func (l *linter) otherEventName(name string) string {
	if record, ok := l.sc.Names["event"].(types.Map); !ok || record["type"] == nil {
		return ""
	}
	return eventNames[name]
}
