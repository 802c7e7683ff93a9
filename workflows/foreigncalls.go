package workflows

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/expr-lang/expr/ast"
)

// foreignMethods are methods of JavaScript, Python and Ruby, and how the same is
// written here: %r is what stands before the point, %1 and %2 are the arguments.
var foreignMethods = map[string]string{
	"toUpperCase": "upper(%r)", "upper": "upper(%r)", "upcase": "upper(%r)", "toLowerCase": "lower(%r)", "lower": "lower(%r)", "downcase": "lower(%r)",
	"trim": "trim(%r)", "strip": "trim(%r)", "split": "split(%r, %1)", "join": "join(%r, %1)", "replace": "replace(%r, %1, %2)", "replaceAll": "replace(%r, %1, %2)",
	"startsWith": "%r startsWith %1", "startswith": "%r startsWith %1", "endsWith": "%r endsWith %1", "endswith": "%r endsWith %1",
	"indexOf": "indexOf(%r, %1)", "find": "find(%r, # == ...)", "filter": "filter(%r, # == ...)", "map": "map(%r, #)", "some": "any(%r, # == ...)", "every": "all(%r, # == ...)",
	"toString": "string(%r)", "size": "len(%r)", "length": "len(%r)", "count": "len(%r)", "keys": "keys(%r)", "values": "values(%r)", "concat": "concat(%r, %1)",
	"substring": "%r[%1:%2]", "slice": "%r[%1:%2]", "reverse": "reverse(%r)", "sort": "sort(%r)", "get": "get(%r, %1)", "repeat": "repeat(%r, %1)",
	"test": "... matches %1", "match": "match(%r, %1)", "at": "%r[%1]", "isEmpty": "len(%r) == 0", "getTime": "date(%r).UnixMilli()",
	"toISOString": "isoTime(%r)", "toFixed": "round(%r)", "includes": "%r contains %1", "contains": "%r contains %1", "has": "%1 in %r", "hasOwnProperty": "%1 in %r",
	"items": "toPairs(%r)", "format": "%r.Format(%1)",
}

// method refuses a call of a method on data: data is JSON and has none. Methods of
// times begin with a capital letter, such as date(x).Format(...).
func (l *linter) method(x *ast.CallNode) bool {
	m, ok := x.Callee.(*ast.MemberNode)
	if !ok || l.sc.lenient {
		return false
	}
	p, ok := m.Property.(*ast.StringNode)
	if !ok || p.Value == "" || unicode.IsUpper(rune(p.Value[0])) {
		return false
	}
	l.fail("method", p, len([]rune(p.Value)), fmt.Sprintf("data has no methods such as %s()", p.Value), l.inOurWords(m, p.Value, x.Arguments))
	return true
}

// inOurWords writes the call as it goes here, "" where nothing stands for it.
func (l *linter) inOurWords(m *ast.MemberNode, name string, args []ast.Node) string {
	receiver := l.source(m.Node)
	if name == "toFixed" && len(args) == 1 && l.hasFunction("fixed") {
		return fmt.Sprintf("write fixed(%s, %s)", receiver, l.source(args[0]))
	}
	how, known := foreignMethods[name]
	if !known {
		if l.hasFunction(name) {
			return fmt.Sprintf("functions stand before: %s(%s)", name, receiver)
		}
		return ""
	}
	if (name == "includes" || name == "contains") && len(args) == 1 {
		return fmt.Sprintf("write %s in %s for a list, %s contains %s for text", l.source(args[0]), receiver, receiver, l.source(args[0]))
	}
	arg := func(i int, none string) string {
		if i < len(args) {
			return l.source(args[i])
		}
		return none
	}
	if name == "substring" || name == "slice" {
		return "write " + strings.NewReplacer("%r", receiver, "%1", arg(0, ""), "%2", arg(1, "")).Replace(how)
	}
	return "write " + strings.NewReplacer("%r", receiver, "%1", arg(0, `"..."`), "%2", arg(1, `"..."`)).Replace(how)
}

// source writes a node as an expression.
func (l *linter) source(n ast.Node) string { return clip(n.String(), 80) }

func (l *linter) hasFunction(name string) bool {
	return slices.Contains(functionNames(), name)
}

// lengthField warns of .length of data: it reads a field of that name. A field that is
// meant is written in brackets.
func (l *linter) lengthField(x *ast.MemberNode, keys []string) {
	p, ok := x.Property.(*ast.StringNode)
	if !ok || p.Value != "length" || len(keys) < 2 || l.sc.lenient {
		return
	}
	text := []rune(l.e.Text)
	at := p.Location().From
	if at < 1 || at >= len(text) || text[at] == '"' || text[at] == '\'' || text[at] == '`' {
		return
	}
	receiver := l.source(x.Node)
	l.e.report("method", true, at, at+len("length"), "length is read as a field of the data", fmt.Sprintf(`write len(%s); a field of this name is %s["length"]`, receiver, receiver))
}

// foreignSyntax gives a hint for an expression that another language can read and
// this one cannot.
func foreignSyntax(text string) string {
	switch {
	case strings.Contains(text, "=>"):
		return "write map(list, #.field) or filter(list, #.field == ...): # is the element"
	case strings.Contains(text, "=~"):
		return `write text matches "pattern"`
	case strings.Contains(text, "==="):
		return "compare with =="
	case strings.Contains(text, "!=="):
		return "compare with !="
	case strings.HasPrefix(strings.TrimSpace(text), "new Date"):
		return "write now(), or date(value)"
	}
	return ""
}
