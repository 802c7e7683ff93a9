package expr

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
)

// foreignMethods maps methods of JavaScript, Python and Ruby to this language: %r is the receiver,
// %1 and %2 are the arguments.
var foreignMethods = map[string]string{
	"toUpperCase": "upper(%r)", "upper": "upper(%r)", "upcase": "upper(%r)", "toLowerCase": "lower(%r)",
	"lower": "lower(%r)", "downcase": "lower(%r)",
	"trim": "trim(%r)", "strip": "trim(%r)", "split": "split(%r, %1)", "join": "join(%r, %1)",
	"replace": "replace(%r, %1, %2)", "replaceAll": "replace(%r, %1, %2)",
	"startsWith": "%r startsWith %1", "startswith": "%r startsWith %1", "endsWith": "%r endsWith %1", "endswith": "%r endsWith %1",
	"indexOf": "indexOf(%r, %1)", "find": "find(%r, # == ...)", "filter": "filter(%r, # == ...)", "map": "map(%r, #)",
	"some": "any(%r, # == ...)", "every": "all(%r, # == ...)",
	"toString": "string(%r)", "size": "len(%r)", "length": "len(%r)", "count": "len(%r)", "keys": "keys(%r)",
	"values": "values(%r)", "concat": "concat(%r, %1)",
	"substring": "%r[%1:%2]", "slice": "%r[%1:%2]", "reverse": "reverse(%r)", "sort": "sort(%r)", "get": "get(%r, %1)",
	"repeat": "repeat(%r, %1)",
	"test":   "... matches %1", "match": "match(%r, %1)", "at": "%r[%1]", "isEmpty": "len(%r) == 0", "getTime": "date(%r).UnixMilli()",
	"toISO": "isoTime(%r)", "toMillis": "date(%r).UnixMilli()",
	"toISOString": "isoTime(%r)", "toFixed": "round(%r)", "toLocaleString": "fixed(%r, 2)",
	"includes": "%r contains %1", "contains": "%r contains %1", "has": "%1 in %r", "hasOwnProperty": "%1 in %r",
	"items": "toPairs(%r)",
}

// method reports a method call on data, which is JSON and has no methods. Methods of times begin
// with a capital letter, such as date(x).Format(...).
func (l *linter) method(x *ast.CallNode) bool {
	m, ok := x.Callee.(*ast.MemberNode)
	if !ok || l.sc.Lenient {
		return false
	}
	p, ok := m.Property.(*ast.StringNode)
	if !ok || p.Value == "" || unicode.IsUpper(rune(p.Value[0])) {
		l.formatLayout(x)
		return false
	}
	if id, ok := m.Node.(*ast.IdentifierNode); ok && l.namespace(id, p.Value, x.Arguments) {
		return true
	}
	l.fail("method", p, len([]rune(p.Value)), fmt.Sprintf("data has no methods such as %s()", p.Value),
		l.translateMethod(m, p.Value, x.Arguments))
	return true
}

// translateMethod returns the call in this language, "" if there is no equivalent.
func (l *linter) translateMethod(m *ast.MemberNode, name string, args []ast.Node) string {
	receiver := ownTimes.Replace(l.source(m.Node))
	if name == "toFixed" && !l.hasFunction("fixed") {
		return ""
	}
	if name == "toFixed" && len(args) == 1 {
		return fmt.Sprintf("write fixed(%s, %s)", receiver, l.source(args[0]))
	}
	if (name == "format" || name == "strftime") && len(args) == 1 {
		return l.formatted(m.Node, args[0])
	}
	how, known := foreignMethods[name]
	if !known {
		if l.hasFunction(name) {
			return fmt.Sprintf("call it as a function: %s(%s)", name, receiver)
		}
		return ""
	}
	if name == "concat" && len(args) == 1 {
		return fmt.Sprintf("write concat(%s, %s) for lists, %s + %s for text", receiver, l.source(args[0]), receiver, l.source(args[0]))
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

// formatted returns the formatting of a time with a Go layout, into which the layout of another
// tool is translated.
func (l *linter) formatted(receiver, layout ast.Node) string {
	time := l.source(receiver)
	if !strings.HasPrefix(time, "now(") && !strings.HasPrefix(time, "date(") {
		time = "date(" + time + ")"
	}
	text, ok := layout.(*ast.StringNode)
	if !ok {
		return "write " + time + `.Format("2006-01-02 15:04")`
	}
	return fmt.Sprintf("write %s.Format(%q)", time, layoutWords.Replace(text.Value))
}

// layoutWords translates layouts of moment.js, Luxon, Java and strftime.
var layoutWords = strings.NewReplacer("YYYY", "2006", "yyyy", "2006", "YY", "06", "yy", "06", "MMMM", "January", "MMM", "Jan",
	"MM", "01", "DD", "02", "dd", "02",
	"HH", "15", "hh", "03", "mm", "04", "ss", "05", "SSS", "000", "%Y", "2006", "%m", "01", "%d", "02", "%H", "15", "%M", "04",
	"%S", "05", "%y", "06", "%B", "January", "%b", "Jan", "%F", "2006-01-02", "%T", "15:04:05", "SS", "05")

// namespaceCalls are functions of JavaScript's global objects.
var namespaceCalls = map[string]string{
	"JSON.stringify": "toJSON", "JSON.parse": "fromJSON", "Object.keys": "keys", "Object.values": "values",
	"Object.entries": "toPairs", "Date.now": "now", "Date.parse": "date",
	"DateTime.now": "now", "DateTime.utc": "now", "DateTime.local": "now", "DateTime.fromISO": "date",
	"Math.round": "round", "Math.floor": "floor", "Math.ceil": "ceil", "Math.abs": "abs", "Math.min": "min",
	"Math.max": "max", "Number.parseInt": "int", "Number.parseFloat": "float",
}

// ownTimes translates the present time of JavaScript and Luxon.
var ownTimes = strings.NewReplacer("DateTime.now()", "now()", "DateTime.utc()", "now()", "DateTime.local()", "now()", "Date.now()", "now()",
	"DateTime.fromISO(", "date(")

// newDate matches an expression that begins with a new Date of JavaScript.
var newDate = lazyregexp.New(`^\s*new Date\(([^()]*)\)(\.toISOString\(\))?`)

// ownDate returns what to write for a new Date.
func ownDate(text string) string {
	m := newDate.FindStringSubmatch(text)
	if m == nil {
		return "write now(), or date(value)"
	}
	out := "now()"
	if m[1] != "" {
		out = "date(" + m[1] + ")"
	}
	if m[2] != "" {
		out = "isoTime(" + out + ")"
	}
	return "write " + out
}

// increment matches x++ and ++x, which other languages have.
var increment = lazyregexp.New(`^\s*(?:\+\+\s*([\w.]+)|([\w.]+)\s*\+\+)\s*$`)

// doublePlus adds a mistake for ++, which expr-lang would read as two signs. It returns whether it found one.
func (e *checking) doublePlus() bool {
	at := -1
	var quote rune
	text := []rune(e.Text)
	for i := 0; i < len(text) && at < 0; i++ {
		switch r := text[i]; {
		case quote != 0 && r == '\\' && quote != '`':
			i++
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
		case r == '"' || r == '\'' || r == '`':
			quote = r
		case r == '+' && i+1 < len(text) && text[i+1] == '+':
			at = i
		}
	}
	if at < 0 {
		return false
	}
	hint := "write a + b for numbers and text, concat(a, b) for lists"
	if m := increment.FindStringSubmatch(e.Text); m != nil {
		hint = fmt.Sprintf("an expression changes nothing: write %s + 1, in set: to keep it", m[1]+m[2])
	}
	e.report("expression-syntax", false, at, at+2, "there is no operator ++", hint)
	return true
}

// namespace reports JSON.stringify(x) and the like, and suggests the equivalent function.
func (l *linter) namespace(id *ast.IdentifierNode, name string, args []ast.Node) bool {
	f := namespaceCalls[id.Value+"."+name]
	_, visible := l.sc.Names[id.Value]
	if visible || l.declared[id.Value] {
		return false
	}
	if slices.Contains([]string{"store", "kv", "cache", "storage"}, id.Value) {
		l.fail("unknown-function", id, 0, fmt.Sprintf("there is no %s.%s", id.Value, name),
			"stored values are read and written by steps: uses: store/get, with: {key: ...}")
		return true
	}
	if f == "" {
		return false
	}
	var texts []string
	for _, a := range args {
		texts = append(texts, l.source(a))
	}
	l.fail("unknown-function", id, 0, fmt.Sprintf("there is no %s.%s", id.Value, name),
		fmt.Sprintf("write %s(%s)", f, strings.Join(texts, ", ")))
	return true
}

// eventField checks the first name after event.
func (l *linter) eventField(keys []string, at []ast.Node) bool {
	record, ok := l.sc.Names["event"].(types.Map)
	if _, there := record[keys[0]]; !ok || there || l.sc.Lenient {
		return true
	}
	hint := fmt.Sprintf("the payload is in event.data: write event.data.%s", keys[0])
	for _, f := range EventFields() {
		if spelling.Distance(keys[0], f, 2) < 2 {
			hint = fmt.Sprintf("did you mean %q?", f)
			break
		}
	}
	if slices.Contains([]string{"payload", "json", "content", "message", "params", "event"}, keys[0]) {
		hint = "the payload is in event.data"
	}
	if name := l.otherEventName(keys[0]); name != "" {
		hint = "write event." + name
	}
	l.fail("unknown-field", at[0], len([]rune(keys[0])), "unknown field "+keys[0], hint)
	return false
}

// declare says how to define a step, var or input with this name.
func declare(root, name string, known []string) string {
	switch {
	case len(known) > 0 && len(known) <= 12:
		return "known are " + strings.Join(known, ", ")
	case root == "steps":
		return "add to the step that you mean id: " + name
	case root == "vars":
		return fmt.Sprintf("set it: vars: {%s: ...}", name)
	}
	return fmt.Sprintf("declare it: inputs: {%s: {type: string}}", name)
}

// source returns the source of a node.
func (l *linter) source(n ast.Node) string { return value.Clip(n.String(), 80) }

func (l *linter) hasFunction(name string) bool {
	return slices.Contains(functionNames(), name)
}

// lengthField warns about .length, which reads a field of that name. Brackets show that the field
// is meant.
func (l *linter) lengthField(x *ast.MemberNode, keys []string) {
	p, ok := x.Property.(*ast.StringNode)
	if !ok || p.Value != "length" || len(keys) < 2 || l.sc.Lenient {
		return
	}
	text := []rune(l.e.Text)
	at := p.Location().From
	if text[at] == '"' || text[at] == '\'' || text[at] == '`' {
		return
	}
	receiver := l.source(x.Node)
	l.e.report("method", true, at, at+len("length"), "length is read as a field of the data",
		fmt.Sprintf(`write len(%s); a field of this name is %s["length"]`, receiver, receiver))
}

const noRandom = "there are no random numbers; uuid() is a unique text"

// foreignFunctions maps functions of other tools to their equivalents.
var foreignFunctions = map[string]string{
	"formatDate": `write date(value).Format("2006-01-02")`, "strftime": `write date(value).Format("2006-01-02")`,
	"dateFormat": `write date(value).Format("2006-01-02")`,
	"printf":     "write text with ${{ }} in it, and fixed(x, 2) for decimals",
	"sprintf":    "write text with ${{ }} in it, and fixed(x, 2) for decimals",
	"parseInt":   "write int(value)", "parseFloat": "write float(value)",
	"Number": "write float(value)", "String": "write string(value)", "isEmpty": "write len(value) == 0",
	"length": "write len(value)", "size": "write len(value)",
	"toUpperCase": "write upper(value)", "toLowerCase": "write lower(value)",
	"uppercase": "write upper(value)", "lowercase": "write lower(value)", "toUpper": "write upper(value)", "toLower": "write lower(value)",
	"coalesce": "write a ?? b",
	"default":  "write a ?? b", "nvl": "write a ?? b",
	"stringify": "write toJSON(value)", "parse": "write fromJSON(text)", "str": "write string(value)",
	"regexMatch": `write text matches "pattern"`, "not": "not is an operator: not a",
	"defined": "write value != nil", "toFixed": "write fixed(value, 2)", "formatNumber": "write fixed(value, 2)",
	"formatCurrency": `write money(cents, "EUR")`, "exists": "write value != nil",
	"today": `write now().Format("2006-01-02")`, "slice": "write list[0:2]", "csv": "write toCSV(rows)",
	"range": "write 1..10 for the numbers from 1 to 10", "seq": "write 1..10 for the numbers from 1 to 10",
	"flat": "write flatten(list)", "uuid4": "write uuid()", "uuidv4": "write uuid()",
	"number": "write float(value), or int(value)", "currency": `write money(cents, "EUR")`,
	"regex_replace": "write regexReplace(text, pattern, new)",
	"replaceRegex":  "write regexReplace(text, pattern, new)", "base64": "write toBase64(value)",
	"btoa": "write toBase64(value)", "atob": "write fromBase64(text)", "encodeURIComponent": "write urlEncode(text)",
	"empty": "write len(value) == 0", "strlen": "write len(text)", "substr": "write text[0:2]", "substring": "write text[0:2]",
	"iif": "write condition ? a : b", "iff": "write condition ? a : b",
	"regex": `write text matches "pattern", or match(text, "pattern") for its groups`, "typeof": "write type(value)",
	"regexp":    `write text matches "pattern", or match(text, "pattern") for its groups`,
	"jsonParse": "write fromJSON(text)", "parseJSON": "write fromJSON(text)", "parseJson": "write fromJSON(text)",
	"json_parse": "write fromJSON(text)", "json_decode": "write fromJSON(text)", "jsonStringify": "write toJSON(value)",
	"json_encode": "write toJSON(value)", "random": noRandom, "rand": noRandom, "randomInt": noRandom, "randint": noRandom,
}
