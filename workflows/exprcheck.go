package workflows

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// scope is what an expression at one place of a file may name.
type scope struct {
	// where names the place in messages: "when", "a step's if".
	where string
	names types.Map
	// steps says why a step's id cannot be read here, for ids outside of names.
	hiddenSteps map[string]string
	// laterVars are vars that are set further down, with their lines.
	laterVars map[string]int
	// maybe are steps whose output is nil when they were skipped.
	maybe map[string]bool
	// sampled is names with event.data typed by a sample; nil without one.
	sampled types.Map
	// lenient leaves out what earlier versions accepted: a stored version of a workflow
	// goes on as it began.
	lenient bool
	// known holds what samples say of event.data; nil where nothing is known.
	known *knownData
	// hint says how a name that cannot be read here is read; nil for what fits anywhere.
	hint func(name string) string
}

// allNames are the roots of language.md 2.3. A root outside of its place gets a
// message of its own.
var allNames = []string{"event", "inputs", "vars", "steps", "secrets", "item", "index", "result", "error", "run", "output", "events",
	"body", "headers", "query", "raw", "method", "url", "response", "items", "cursor", "connection"}

var placeReasons = map[string]string{
	"secrets": "secrets are read in with:, in triggers and in connectors only, so that none ends in a condition or a record",
	"steps":   "no step has run yet",
	"error":   "error exists in on_failure, finally and retry.when only",
	"item":    "item exists inside foreach only",
	"index":   "index exists inside foreach only",
	"result":  "result exists in a step's output: only",
	"vars":    "vars are computed after the rule, from the event",
	"event":   "nothing is an event yet",
	"body":    "in workflows read event.body", "headers": "in workflows read event.headers", "query": "in workflows read event.query",
	"events":   "events exists in workflows with batch: only",
	"response": "response exists in a poll and in connectors only", "output": "output exists in respond and in tests only",
}

// githubWords are functions and names of other tools, with the way it goes here.
var githubWords = map[string]string{
	"contains": "contains is an operator: a contains b", "startsWith": "startsWith is an operator: a startsWith b",
	"endsWith": "endsWith is an operator: a endsWith b", "success": "steps run only after success",
	"failure": "use on_failure:", "always": "use finally:", "cancelled": "in finally: compare run.status",
	"format": "write text with ${{ }}", "github": "github.event is event here", "env": "use vars", "matrix": "use item",
	"needs": "use steps.<id>.output", "payload": "use event.data", "json": "use fromJSON or toJSON", "hashFiles": "there are no files",
	"trigger": "use event", "data": "use event.data", "null": "write nil", "undefined": "write nil", "None": "write nil", "NULL": "write nil", "$json": "use event.data",
	"JSON": "use toJSON(value) or fromJSON(text)", "process": "use secrets.NAME in with:, or vars", "Math": "use round, floor, ceil, abs, min or max",
	"Date": "use now(), or date(value)", "Object": "use keys, values or toPairs", "this": "use event.data", "True": "write true", "False": "write false", "states": "use steps or event", "$env": "name one value: event, vars, steps.<id>",
}

var (
	unexpectedToken = regexp.MustCompile(`^unexpected token (\w+)\((.*)\)$`)
	mismatched      = regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types? (.+?)(?: and (.+))?\)$`)
	cannotUse       = regexp.MustCompile(`^cannot use (.+) as argument \(type (.+)\) to call (\w+) *$`)
)

// place reports a mistake at letters from..to of the expression.
func (e *Expr) report(code string, warning bool, from, to int, problem, hint string) {
	e.place.src.report(e.place.mark(from, to), code, warning, problem, hint)
}

// check compiles the expression against what may be named at its place; every
// mistake goes to its file. want is reflect.Bool for conditions, else Invalid.
func (e *Expr) check(sc *scope, want reflect.Kind) {
	if len(e.Text) > maxExprText {
		e.report("too-large", false, 0, 1, fmt.Sprintf("the expression is longer than %d KiB", maxExprText>>10), "")
		return
	}
	tree, err := parser.ParseWithConfig(e.Text, parseConfig)
	if err != nil {
		e.syntaxError(err)
		return
	}
	_, bare := sc.names["headers"]
	ast.Walk(&tree.Node, headerNames{bare})
	lint := &linter{e: e, sc: sc, declared: map[string]bool{}, doubted: map[int]bool{}}
	lint.run(tree.Node)
	if lint.failed {
		return
	}
	prog, err := compileStrict(e.Text, sc.names)
	if err != nil {
		e.typeError(err, false, nil)
		return
	}
	if sc.sampled != nil {
		if _, err := compileStrict(e.Text, sc.sampled); err != nil {
			e.typeError(err, true, sc.sampled)
		}
	}
	if want == reflect.Bool && !e.booleanResult(prog.Node()) {
		return
	}
	if prog, err = compileLoose(e.Text, rootsOf(sc.names)); err != nil {
		e.typeError(err, false, nil)
		return
	}
	e.setProgram(prog)
	e.paths, e.quick, e.zone = lint.paths(), quickPaths(e.Text), e.place.src.zone
}

func rootsOf(m types.Map) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

var parseConfig = func() *conf.Config {
	c := conf.CreateNew()
	c.MaxNodes = maxExprNodes
	return c
}()

func compileStrict(text string, env types.Map) (*vm.Program, error) {
	opts := []expr.Option{expr.Env(env), expr.MaxNodes(maxExprNodes), expr.Optimize(false)}
	for _, f := range functions {
		if f.typ != nil {
			opts = append(opts, expr.Function(f.name, func(...any) (any, error) { return nil, nil }, f.typ))
		}
	}
	return expr.Compile(text, opts...)
}

// booleanResult checks what a condition can give, as far as types are known.
func (e *Expr) booleanResult(n ast.Node) bool {
	t := n.Type()
	if t == nil || t.Kind() == reflect.Interface || t.Kind() == reflect.Bool {
		if _, isNil := n.(*ast.NilNode); !isNil {
			e.constantCondition(n)
			return true
		}
	}
	got := typeWord(t.String())
	if _, isNil := n.(*ast.NilNode); isNil {
		got = "nil"
	}
	hint := "compare it with something: == , > , contains, != nil"
	if _, isText := n.(*ast.StringNode); isText {
		hint = "remove the quotes around the condition"
	}
	e.report("not-a-condition", false, 0, len([]rune(e.Text)), "expected true or false, got "+got, hint)
	return false
}

// constantCondition warns of a comparison that names nothing. A plain true or
// false is fine: people switch steps off with it.
func (e *Expr) constantCondition(n ast.Node) {
	if _, plain := n.(*ast.BoolNode); plain {
		return
	}
	c := constants{constant: true}
	ast.Walk(&n, &c)
	if c.constant {
		e.report("constant-condition", true, 0, len([]rune(e.Text)), "this condition is always the same", "compare with something of the event")
	}
}

type constants struct{ constant bool }

// Visit implements ast.Visitor.
func (c *constants) Visit(node *ast.Node) {
	switch (*node).(type) {
	case *ast.IdentifierNode, *ast.CallNode, *ast.PointerNode:
		c.constant = false
	}
}

func (e *Expr) syntaxError(err error) {
	var at *file.Error
	if !errors.As(err, &at) {
		e.report("expression-syntax", false, 0, 1, err.Error(), "")
		return
	}
	problem, hint, code := ownWords(at.Message), "", "expression-syntax"
	from, to := at.From, at.To
	total := len([]rune(e.Text))
	if m := unexpectedToken.FindStringSubmatch(problem); m != nil {
		tok := strings.Trim(m[2], `"`)
		problem = fmt.Sprintf("%s is not expected here", tok)
		if word, foreign := githubWords[tok]; foreign {
			problem, hint, code = fmt.Sprintf("there is no function %s", tok), word, "unknown-function"
		}
		switch {
		case m[1] == "EOF":
			problem, from, to = "the expression ends too early", max(total-1, 0), total
			if open := unclosed(e.Text); open >= 0 {
				problem = fmt.Sprintf("%c is not closed", []rune(e.Text)[open])
				code, from, to = "unclosed", open, open+1
			}
		case tok == "=" || foreignSyntax(e.Text) != "":
			if hint = foreignSyntax(e.Text); hint == "" {
				hint = "compare with =="
			}
		case tok == "&" || tok == "|":
			hint = "write and, or"
		}
	}
	switch {
	case strings.HasPrefix(problem, "unexpected token EOF"), problem == "unexpected end of expression":
		problem, from, to = "the expression ends too early", max(total-1, 0), total
		if open := unclosed(e.Text); open >= 0 {
			problem = fmt.Sprintf("%c is not closed", []rune(e.Text)[open])
			code, from, to = "unclosed", open, open+1
		}
	case strings.Contains(problem, "literal not terminated"):
		code, problem, hint = "unclosed", "the text is not closed", "add the quote at its end"
	case strings.HasPrefix(problem, "unrecognized character"):
		problem = strings.Replace(problem, "unrecognized character: ", "unexpected character ", 1)
		if strings.Contains(e.Text, "$env") {
			problem, hint = "$env is not available", githubWords["$env"]
			code = "computed-secret"
		}
	case strings.Contains(problem, "maximum allowed nodes"):
		code, problem = "too-large", fmt.Sprintf("the expression has more than %d parts", maxExprNodes)
	}
	if hint == "" {
		hint = foreignSyntax(e.Text)
	}
	if from >= total {
		from = max(total-1, 0)
	}
	e.report(code, false, from, max(to, from+1), problem, hint)
}

// unclosed finds the bracket that is never closed, by letter, or -1.
func unclosed(text string) int {
	var open []int
	var quote rune
	for i, r := range []rune(text) {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'' || r == '`':
			quote = r
		case strings.ContainsRune("([{", r):
			open = append(open, i)
		case strings.ContainsRune(")]}", r) && len(open) > 0:
			open = open[:len(open)-1]
		}
	}
	if len(open) == 0 {
		return -1
	}
	return open[len(open)-1]
}

func typeWord(t string) string {
	switch t {
	case "string":
		return "text"
	case "int", "float64", "int64", "float32":
		return "a number"
	case "bool":
		return "true or false"
	case "time.Time":
		return "a time"
	case "nil", "<nil>":
		return "nil"
	case "unknown", "interface {}", "any":
		return "any"
	}
	if strings.HasPrefix(t, "[]") {
		return "a list"
	}
	if strings.HasPrefix(t, "map[") || strings.HasPrefix(t, "Map{") {
		return "an object"
	}
	return t
}

// typeError rewords what expr's checker says.
func (e *Expr) typeError(err error, warning bool, sample types.Map) {
	var at *file.Error
	if !errors.As(err, &at) {
		e.report("bad-expression", warning, 0, 1, err.Error(), "")
		return
	}
	problem, hint, code := at.Message, "", "bad-expression"
	from, to := at.From, at.To
	switch m := mismatched.FindStringSubmatch(problem); {
	case m != nil && m[3] != "":
		code = "type-mismatch"
		problem = fmt.Sprintf("%s does not fit %s and %s", m[1], typeWord(m[2]), typeWord(m[3]))
		switch {
		case m[1] == "||" || m[1] == "or":
			hint = "for a default write a ?? b; || is for conditions"
		case strings.Contains(m[2]+m[3], "string"):
			hint = "convert one: int(…), float(…) or string(…)"
		}
	case m != nil:
		code, problem = "type-mismatch", fmt.Sprintf("%s does not fit %s", m[1], typeWord(m[2]))
	case strings.HasPrefix(problem, "unknown field "):
		code, hint = "unknown-field", e.fieldHint(strings.TrimPrefix(problem, "unknown field "), sample)
	case strings.Contains(problem, "matches") && strings.Contains(problem, "regexp"), strings.Contains(problem, "error parsing regexp"):
		code = "bad-regexp"
	case strings.HasPrefix(problem, "unknown name "):
		code = "unknown-name"
	case strings.HasPrefix(problem, "not enough arguments"), strings.HasPrefix(problem, "too many arguments"), strings.HasPrefix(problem, "invalid number of arguments"):
		code, hint = "arguments", exampleOf(problem)
	case strings.HasPrefix(problem, "no matching overload"), strings.HasPrefix(problem, "invalid argument"):
		if own := ownWords(problem); own != problem {
			code, problem = "arguments", own
			break
		}
		code, problem = "arguments", typeNames(problem)
	case notAList.MatchString(problem), notFlattened.MatchString(problem), badUnit.MatchString(problem), badSpan.MatchString(problem):
		code, problem = "arguments", ownWords(problem)
	}
	if m := cannotUse.FindStringSubmatch(problem); m != nil {
		code, problem = "arguments", fmt.Sprintf("%s takes %s here, got %s", m[3], typeWord(m[2]), typeWord(m[1]))
	}
	if strings.HasPrefix(problem, "non-bool expression") || strings.HasPrefix(problem, "predicate should return boolean") {
		code = "not-a-condition"
		problem = typeNames(problem)
	}
	e.report(code, warning, from, max(to, from+1), problem, hint)
}

func typeNames(s string) string {
	return strings.NewReplacer("string", "text", "float64", "number", "interface {}", "any", "[]any", "list", "map[text]any", "object").Replace(s)
}

// fieldHint guesses the field that was meant, from all names of the envelope.
func (e *Expr) fieldHint(field string, sample types.Map) string {
	if field == "status" && strings.Contains(e.Text, "run.status") {
		return "run.status exists in finally only"
	}
	if s := suggest(field, sampleFields(sample["event"], nil)); s != "" {
		return s
	}
	return suggest(field, append(append([]string{}, eventFields...), "output", "status", "error", "attempts", "message", "code", "step", "retryable",
		"details", "id", "url", "attempt", "started_at", "finished_at", "workflow", "test"))
}

// linter looks at names before types: what is unknown, or known but not here.
type linter struct {
	e        *Expr
	sc       *scope
	declared map[string]bool
	failed   bool
	chains   map[string]exprPath
	// doubted are the places of fields of event.data that were reported.
	doubted map[int]bool
	// absent tells that what is walked may be missing: it stands left of ?? or beside nil.
	absent bool
}

func (l *linter) fail(code string, n ast.Node, length int, problem, hint string) {
	l.failed = true
	at := n.Location()
	to := at.To
	if length > 0 {
		to = at.From + length
	}
	l.e.report(code, false, at.From, max(to, at.From+1), problem, hint)
}

func (l *linter) run(n ast.Node) {
	l.chains = map[string]exprPath{}
	l.walk(n, 0)
}

// walk goes top down, since let and predicates open scopes.
func (l *linter) walk(n ast.Node, loops int) {
	switch x := n.(type) {
	case nil:
	case *ast.IdentifierNode:
		l.name(x)
	case *ast.MemberNode:
		l.member(x, loops)
	case *ast.CallNode:
		if id, ok := x.Callee.(*ast.IdentifierNode); ok {
			l.function(id)
			l.constantArguments(x)
		} else if l.method(x) {
			return // its arguments are those of another language
		} else {
			l.walk(x.Callee, loops)
		}
		for _, a := range x.Arguments {
			l.walk(a, loops)
		}
	case *ast.BuiltinNode:
		for _, a := range x.Arguments {
			l.walk(a, loops)
		}
	case *ast.PredicateNode:
		if loops+1 > maxLoops && !l.failed {
			l.fail("too-large", x, 0, fmt.Sprintf("loops are nested deeper than %d", maxLoops), "split the expression with vars")
		}
		l.walk(x.Node, loops+1)
	case *ast.VariableDeclaratorNode:
		l.walk(x.Value, loops)
		l.declared[x.Name] = true
		l.walk(x.Expr, loops)
	case *ast.UnaryNode:
		l.walk(x.Node, loops)
	case *ast.BinaryNode:
		l.regexp(x)
		l.idComparison(x)
		l.statusComparison(x)
		if _, err := constantNumber(x); err != nil {
			l.fail("number-too-large", x, 0, err.Error(), "")
		}
		l.binary(x, loops)
	case *ast.ChainNode:
		l.walk(x.Node, loops)
	case *ast.SliceNode:
		l.walk(x.Node, loops)
		l.walk(x.From, loops)
		l.walk(x.To, loops)
	case *ast.ConditionalNode:
		l.walk(x.Cond, loops)
		l.walk(x.Exp1, loops)
		l.walk(x.Exp2, loops)
	case *ast.SequenceNode:
		for _, c := range x.Nodes {
			l.walk(c, loops)
		}
	case *ast.ArrayNode:
		for _, c := range x.Nodes {
			l.walk(c, loops)
		}
	case *ast.MapNode:
		for _, c := range x.Pairs {
			if p, ok := c.(*ast.PairNode); ok {
				l.walk(p.Key, loops)
				l.walk(p.Value, loops)
			}
		}
	}
}

// binary walks both sides of an operator.
func (l *linter) binary(x *ast.BinaryNode, loops int) {
	before := l.absent
	_, leftNil := x.Left.(*ast.NilNode)
	_, rightNil := x.Right.(*ast.NilNode)
	l.absent = before || x.Operator == "??" || leftNil || rightNil
	l.walk(x.Left, loops)
	l.absent = before || leftNil
	l.walk(x.Right, loops)
	l.absent = before
}

func (l *linter) name(id *ast.IdentifierNode) {
	if l.declared[id.Value] {
		return
	}
	if _, ok := l.sc.names[id.Value]; ok {
		if id.Value == "secrets" {
			l.fail("computed-secret", id, 0, "secrets are read by name: secrets.NAME", "a computed name could print them all")
		}
		return
	}
	if l.sc.hint != nil {
		if hint := l.sc.hint(id.Value); hint != "" {
			l.fail("unknown-name", id, 0, fmt.Sprintf("%s cannot be read in %s", id.Value, l.sc.where), hint)
			return
		}
	}
	if hint := l.insteadOf(id.Value); hint != "" {
		l.fail("not-here", id, 0, fmt.Sprintf("%s cannot be read in %s", id.Value, l.sc.where), hint)
		return
	}
	if hint, ok := githubWords[id.Value]; ok {
		l.fail("foreign-name", id, 0, "unknown name "+id.Value, hint)
		return
	}
	for _, n := range allNames {
		if n == id.Value {
			l.fail("not-here", id, 0, fmt.Sprintf("%s cannot be read in %s", id.Value, l.sc.where), placeReasons[n])
			return
		}
	}
	known := sortedWords(rootsOf(l.sc.names))
	hint := suggest(id.Value, known)
	if hint == "" && len(known) > 0 {
		hint = "known here are " + strings.Join(known, ", ")
	}
	l.fail("unknown-name", id, 0, "unknown name "+id.Value, hint)
}

// insteadOf names the same thing as it is called where no event is yet: in polls,
// connectors and triggers.
func (l *linter) insteadOf(name string) string {
	has := func(root string) bool { _, ok := l.sc.names[root]; return ok }
	switch {
	case has("event"):
		return ""
	case has("response"):
		switch {
		case name == "body" || name == "headers" || name == "status":
			return "write response." + name
		case name == "event" && has("item"):
			return "write item for the element, response for the answer"
		case name == "event":
			return "write response.body"
		case name == "data" || name == "items" || name == "results" || name == "payload":
			return "write response.body." + name
		case has("item") && !contains(allNames, name) && suggest(name, rootsOf(l.sc.names)) == "" && githubWords[name] == "":
			return "write item." + name
		}
	case has("body"):
		switch {
		case name == "event":
			return "write body, headers or query: nothing is an event yet"
		case name == "data" || name == "payload":
			return "write body, or body." + name
		case !contains(allNames, name) && suggest(name, rootsOf(l.sc.names)) == "" && githubWords[name] == "":
			return "write body." + name
		}
	}
	return ""
}

func (l *linter) function(id *ast.IdentifierNode) {
	for _, f := range functions {
		if f.name == id.Value {
			return
		}
	}
	hint, foreign := githubWords[id.Value]
	if !foreign {
		hint, foreign = foreignFunctions[id.Value]
	}
	if !foreign {
		if hint = suggest(id.Value, functionNames()); hint == "" {
			hint = "hookloom functions lists them"
		}
	}
	l.fail("unknown-function", id, 0, fmt.Sprintf("there is no function %s", id.Value), hint)
}

// exampleOf gives the example of the function that a problem names last, or "".
func exampleOf(problem string) string {
	name := problem[strings.LastIndexByte(problem, ' ')+1:]
	for _, f := range functions {
		if f.name == name && f.example != "" {
			return "an example is " + callIn(f.example, name)
		}
	}
	return ""
}

// callIn cuts the call of a function out of an expression.
func callIn(example, name string) string {
	rest := example[max(strings.Index(example, name+"("), 0):]
	depth := 0
	for i, c := range rest {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return rest[:i+1]
			}
		}
	}
	return rest
}

// foreignFunctions are functions of other tools, and what does their work.
var foreignFunctions = map[string]string{
	"formatDate": `write date(value).Format("2006-01-02")`, "strftime": `write date(value).Format("2006-01-02")`, "dateFormat": `write date(value).Format("2006-01-02")`,
	"printf": "write text with ${{ }} between", "sprintf": "write text with ${{ }} between", "parseInt": "write int(value)", "parseFloat": "write float(value)",
	"Number": "write float(value)", "String": "write string(value)", "isEmpty": "write len(value) == 0", "length": "write len(value)", "size": "write len(value)",
	"toUpperCase": "write upper(value)", "toLowerCase": "write lower(value)", "coalesce": "write a ?? b", "default": "write a ?? b", "nvl": "write a ?? b",
	"stringify": "write toJSON(value)", "parse": "write fromJSON(text)", "str": "write string(value)", "regexMatch": `write text matches "pattern"`, "not": "not is an operator: not a",
	"defined": "write value != nil", "toFixed": "write fixed(value, 2)", "formatNumber": "write fixed(value, 2)", "formatCurrency": `write money(cents, "EUR")`, "exists": "write value != nil",
	"today": `write now().Format("2006-01-02")`, "slice": "write list[0:2]", "csv": "write toCSV(rows)", "flat": "write flatten(list)", "uuid4": "write uuid()", "uuidv4": "write uuid()",
	"number": "write float(value), or int(value)", "currency": `write money(cents, "EUR")`, "regex_replace": "write regexReplace(text, pattern, new)",
	"replaceRegex": "write regexReplace(text, pattern, new)", "base64": "write toBase64(value)", "btoa": "write toBase64(value)", "atob": "write fromBase64(text)", "encodeURIComponent": "write urlEncode(text)", "empty": "write len(value) == 0",
}

func (l *linter) member(x *ast.MemberNode, loops int) {
	root, keys, at := chain(x)
	if id, ok := root.(*ast.IdentifierNode); ok && !l.declared[id.Value] {
		if _, visible := l.sc.names[id.Value]; visible {
			switch {
			case id.Value == "secrets":
				l.secret(x, id, keys)
				return
			case len(keys) > 0 && (id.Value == "steps" || id.Value == "vars" || id.Value == "inputs"):
				if !l.known(id, keys[0], at[0]) || id.Value == "steps" && !l.stepField(keys, at) {
					return
				}
			case id.Value == "event" && len(keys) > 0:
				if !l.eventField(keys, at) {
					return
				}
				l.dataField(x, keys, at)
			}
			if len(keys) > 0 && contains(shownRoots, id.Value) {
				text := id.Value + "." + strings.Join(keys, ".")
				l.chains[text] = exprPath{text: text, keys: append([]string{id.Value}, keys...)}
			}
		}
	}
	if id, ok := root.(*ast.IdentifierNode); ok && id.Value == "error" && len(keys) == 1 && l.sc.maybe[noError] && throughError.MatchString(l.e.Text) {
		l.e.report("maybe-nil", true, id.Location().From, id.Location().To, "error is nil in finally after a success", "write error?."+keys[0])
	}
	if id, ok := root.(*ast.IdentifierNode); ok && contains(shownRoots, id.Value) {
		l.lengthField(x, keys)
	}
	l.walk(x.Node, loops)
	if _, constant := x.Property.(*ast.StringNode); !constant {
		l.walk(x.Property, loops)
	}
}

func (l *linter) secret(x *ast.MemberNode, id *ast.IdentifierNode, keys []string) {
	l.e.secrets = true
	if len(keys) > 0 && !slices.Contains(l.e.named, keys[0]) {
		l.e.named = append(l.e.named, keys[0])
	}
	if len(keys) == 0 {
		l.fail("computed-secret", id, 0, "secrets are read by name: secrets.NAME", "names must be known when the file is loaded")
	}
}

// known checks the second name of steps.x, vars.x and inputs.x.
func (l *linter) known(id *ast.IdentifierNode, key string, at ast.Node) bool {
	m, ok := l.sc.names[id.Value].(types.Map)
	if !ok {
		return true
	}
	if _, ok := m[key]; ok {
		if id.Value == "steps" && l.sc.maybe[key] {
			l.maybeNil(id, key, at)
		}
		return true
	}
	if why := l.sc.hiddenSteps[key]; why != "" && id.Value == "steps" {
		l.fail("step-not-visible", at, len([]rune(key)), fmt.Sprintf("step %q cannot be read here", key), why)
		return false
	}
	if line := l.sc.laterVars[key]; line > 0 && id.Value == "vars" {
		l.fail("unknown-var", at, len([]rune(key)), fmt.Sprintf("vars.%s is used before it is set (line %d)", key, line), "vars are computed in the order of the file")
		return false
	}
	what := map[string]string{"steps": "no step has the id", "vars": "no var is named", "inputs": "no input is named"}[id.Value]
	hint := suggest(key, sortedStrings(m))
	if hint == "" {
		hint = declare(id.Value, key, sortedStrings(m))
	}
	l.fail("unknown-"+strings.TrimSuffix(id.Value, "s"), at, len([]rune(key)), fmt.Sprintf("%s %q", what, key), hint)
	return false
}

// maybeNil warns when steps.x.output.y is read of a step that may be skipped.
func (l *linter) maybeNil(id *ast.IdentifierNode, key string, at ast.Node) {
	loose := regexp.MustCompile(`steps\.` + key + `\.output\s*(\.|\[)`)
	if loose.MatchString(l.e.Text) {
		l.e.report("maybe-skipped", true, at.Location().From, at.Location().From+len([]rune(key)),
			fmt.Sprintf("step %q may be skipped, and its output is nil then", key), fmt.Sprintf("write steps.%s.output?.…", key))
	}
}

// chain follows a.b["c"] down to its root; keys are the constant names.
func chain(n *ast.MemberNode) (root ast.Node, keys []string, at []ast.Node) {
	var node ast.Node = n
	for {
		switch x := node.(type) {
		case *ast.MemberNode:
			if p, ok := x.Property.(*ast.StringNode); ok {
				keys, at = append([]string{p.Value}, keys...), append([]ast.Node{p}, at...)
			} else {
				keys, at = nil, nil
			}
			node = x.Node
		case *ast.ChainNode:
			node = x.Node
		default:
			return node, keys, at
		}
	}
}

func (l *linter) regexp(x *ast.BinaryNode) {
	p, ok := x.Right.(*ast.StringNode)
	if x.Operator != "matches" || !ok {
		return
	}
	if _, err := regexp.Compile(p.Value); err != nil {
		l.fail("bad-regexp", p, 0, strings.TrimPrefix(err.Error(), "error parsing regexp: "), "this is no valid regular expression")
	}
}

// idComparison warns where an id is compared with a literal: 7 == "7" is false
// without a word when one side is any.
func (l *linter) idComparison(x *ast.BinaryNode) {
	if x.Operator != "==" && x.Operator != "!=" {
		return
	}
	m, ok := x.Left.(*ast.MemberNode)
	if !ok {
		return
	}
	p, ok := m.Property.(*ast.StringNode)
	number, isNumber := x.Right.(*ast.IntegerNode)
	if ok && isNumber && p.Value == "id" {
		l.e.report("id-comparison", true, x.Right.Location().From, x.Right.Location().To,
			"an id compared with a number: 7 and \"7\" are not equal", fmt.Sprintf("if it can be text, write string(…) == \"%d\"", number.Value))
	}
}

func (l *linter) paths() []exprPath {
	var out []exprPath
	for _, k := range sortedStrings(l.chains) {
		longer := false
		for other := range l.chains {
			longer = longer || strings.HasPrefix(other, k+".")
		}
		if !longer {
			out = append(out, l.chains[k])
		}
	}
	return out
}

func sortedStrings[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return sortedWords(out)
}

// noError in scope.maybe tells that error may be nil; no step has that id.
const noError = "error!"

var throughError = regexp.MustCompile(`(^|[^.\w])error\s*\.`)

// shownRoots are those whose parts are shown beside a condition.
var shownRoots = []string{"event", "inputs", "vars", "steps", "output", "error"}

// reads tells whether an expression reads a name.
func (e *Expr) reads(name string) bool { return e.Reads(name) }

// Reads tells whether the expression reads a name.
func (e *Expr) Reads(name string) bool {
	if e == nil {
		return false
	}

	tree, err := parser.ParseWithConfig(e.Text, parseConfig)
	if err != nil {
		return false
	}
	f := &nameFinder{name: name}
	ast.Walk(&tree.Node, f)
	return f.found
}

// nameFinder looks for a name in an expression's tree.
type nameFinder struct {
	name  string
	found bool
}

// Visit implements ast.Visitor.
func (f *nameFinder) Visit(n *ast.Node) {
	if id, ok := (*n).(*ast.IdentifierNode); ok && id.Value == f.name {
		f.found = true
	}
}
