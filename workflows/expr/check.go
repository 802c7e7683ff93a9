package expr

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// allNames are the root names of docs/expressions.md. One that is used where it is not available
// gets a specific message.
var allNames = []string{"event", "inputs", "vars", "steps", "secrets", "item", "index", "result", "error", "run", "output", "events",
	"body", "headers", "query", "raw", "method", "url", "response", "items", "cursor", "connection"}

var placeReasons = map[string]string{
	"secrets": "secrets can be read only in with:, triggers and connectors, so that they never reach conditions or the history",
	"steps":   "no step has run yet",
	"error":   "error exists only in on_failure, finally and retry.when",
	"item":    "item exists only inside foreach",
	"index":   "index exists only inside foreach",
	"result":  "result exists only in a step's output:",
	"vars":    "vars are computed after the rule, from the event",
	"event":   "there is no event yet",
	"body":    "in workflows read event.body", "headers": "in workflows read event.headers", "query": "in workflows read event.query",
	"events":   "events exists only in workflows with batch:",
	"response": "response exists only in polls and in connectors", "output": "output exists only in respond and in tests",
}

// githubWords maps functions and names of other tools to advice.
var githubWords = map[string]string{
	"contains": "contains is an operator: a contains b", "startsWith": "startsWith is an operator: a startsWith b",
	"endsWith": "endsWith is an operator: a endsWith b", "success": "steps run only after success",
	"failure": "use on_failure:", "always": "use finally:", "cancelled": "in finally: compare run.status",
	"format": "write text with ${{ }}", "github": "github.event is event.data here", "matrix": "use item",
	"env":   "use secrets.NAME for a variable of the environment, vars for a constant",
	"needs": "use steps.<id>.output", "payload": "use event.data", "json": "use fromJSON or toJSON", "hashFiles": "there are no files",
	"trigger": "use event", "data": "use event.data", "null": "write nil", "undefined": "write nil",
	"None": "write nil", "NULL": "write nil", "$json": "use event.data", "$node": "use steps.<id>.output",
	"JSON": "use toJSON(value) or fromJSON(text)", "process": "use secrets.NAME in with:, or vars",
	"Math": "use round, floor, ceil, abs, min or max",
	"Date": "use now(), or date(value)", "Object": "use keys, values or toPairs", "this": "use event.data",
	"True": "write true", "False": "write false", "states": "use steps or event", "$env": "name one value: event, vars, steps.<id>",
}

var (
	unexpectedToken = lazyregexp.New(`^unexpected token (\w+)(?:\((.*)\))?$`)
	mismatched      = lazyregexp.New(`^invalid operation: (\S+) \(mismatched types? (.+?)(?: and (.+))?\)$`)
	cannotUse       = lazyregexp.New(`^cannot use (.+) as argument \(type (.+)\) to call (\w+) *$`)
)

// Finding is an error or warning of Check.
type Finding struct {
	// Code names the kind of mistake, such as unknown-name.
	Code string
	// Warning is true if the expression can still run.
	Warning bool
	// From and To are the range of characters in the text, counted from 0; To is exclusive.
	From, To int
	// Problem says what is wrong; Hint says what to do, and may be empty.
	Problem, Hint string
}

// checking is the state of checking one expression.
type checking struct {
	*Expr
	found []Finding
	// defaultHint is how the default is written that an || seems to give.
	defaultHint string
}

// report records a finding for the characters from..to of the expression.
func (e *checking) report(code string, warning bool, from, to int, problem, hint string) {
	e.found = append(e.found, Finding{code, warning, from, to, problem, hint})
}

// Check compiles the expression against the scope of its position, and returns its errors and
// warnings in the order found. An expression with an error cannot be evaluated. want is
// reflect.Bool for conditions, Slice for the lists of loops, otherwise Invalid.
func (e *Expr) Check(sc *Scope, want reflect.Kind) []Finding {
	c := &checking{Expr: e}
	c.check(sc, want)
	return c.found
}

// Trust is Check for an expression that a test of the program checks, such as one of a built-in
// connector: its types are not checked again, and it is compiled at its first evaluation. Most are
// never evaluated.
func (e *Expr) Trust(sc *Scope) []Finding {
	c := &checking{Expr: e}
	lint := c.lint(sc)
	if lint == nil {
		return c.found
	}
	names := rootsOf(sc.Names)
	e.later = sync.OnceValues(func() (*program, error) {
		prog, err := compileLoose(e.Text, names)
		if err != nil {
			return nil, err
		}
		return newProgram(prog), nil
	})
	e.paths, e.quick = lint.paths(), QuickPaths(e.Text)
	return c.found
}

// lint parses the expression and checks everything but types; it returns nil if the expression
// cannot be evaluated.
func (e *checking) lint(sc *Scope) *linter {
	if len(e.Text) > maxExprText {
		e.report("too-large", false, 0, 1, fmt.Sprintf("the expression is longer than %d KiB", maxExprText>>10), "")
		return nil
	}
	if e.doublePlus() {
		return nil
	}
	tree, err := parser.ParseWithConfig(e.Text, parseConfig)
	if err != nil {
		e.syntaxError(err)
		return nil
	}
	_, bare := sc.Names["headers"]
	ast.Walk(&tree.Node, headerNames{bare})
	l := &linter{e: e, sc: sc, declared: map[string]bool{}, doubted: map[int]bool{}, skipped: map[int]bool{}}
	l.run(tree.Node)
	e.divisionComment()
	if l.failed {
		return nil
	}
	return l
}

func (e *checking) check(sc *Scope, want reflect.Kind) {
	lint := e.lint(sc)
	if lint == nil {
		return
	}
	prog, err := compileStrict(e.Text, sc.Names)
	if err != nil {
		e.typeError(err, false, Map{"connection": sc.Names["connection"]})
		return
	}
	if sc.Sampled != nil {
		if _, err := compileStrict(e.Text, sc.Sampled); err != nil {
			e.typeError(err, true, sc.Sampled)
		}
	}
	if want == reflect.Bool && !e.booleanResult(prog.Node()) || want == reflect.Slice && !e.listResult(prog.Node()) {
		return
	}
	if prog, err = compileLoose(e.Text, rootsOf(sc.Names)); err != nil {
		e.typeError(err, false, nil)
		return
	}
	e.code = newProgram(prog)
	e.paths, e.quick = lint.paths(), QuickPaths(e.Text)
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

// booleanResult checks that the result can be a condition, as far as types are known.
func (e *checking) booleanResult(n ast.Node) bool {
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
	hint := "compare it, for example with ==, >, contains or != nil"
	if _, isText := n.(*ast.StringNode); isText {
		hint = "remove the quotes around the condition"
	}
	e.report("not-a-condition", false, 0, len([]rune(e.Text)), "expected true or false, got "+got, hint)
	return false
}

// listResult checks that the result can be the list of a loop, as far as types are known.
func (e *checking) listResult(n ast.Node) bool {
	t, got := n.Type(), ""
	if _, isNil := n.(*ast.NilNode); isNil {
		got = "nil"
	} else if t == nil {
		return true
	}
	hint := "name a list of the event, or write one: '[1, 2, 3]'"
	switch {
	case got != "":
	case t.Kind() == reflect.String, t.Kind() == reflect.Bool, t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64,
		t == reflect.TypeFor[time.Time]():
		got = typeWord(t.String())
	default:
		return true
	}
	switch x := n.(type) {
	case *ast.IntegerNode:
		hint = fmt.Sprintf("to repeat the step %d times write 1..%d", x.Value, x.Value)
	case *ast.StringNode:
		hint = fmt.Sprintf("write a list of it: '[%q]'", x.Value)
	}
	e.report("type-mismatch", false, 0, len([]rune(e.Text)), "a loop takes a list or an object, got "+got, hint)
	return false
}

// constantCondition warns about a comparison without names. A plain true or false is fine: people
// use it to disable steps.
func (e *checking) constantCondition(n ast.Node) {
	if _, plain := n.(*ast.BoolNode); plain {
		return
	}
	c := constants{constant: true}
	ast.Walk(&n, &c)
	if c.constant {
		e.report("constant-condition", true, 0, len([]rune(e.Text)), "this condition is always the same",
			"compare with a value of the event")
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

// NoError in Scope.MaybeNil means that error may be nil; no step has that id.
const NoError = "error!"

var throughError = lazyregexp.New(`(^|[^.\w])error\s*\.`)

// shownRoots are the names whose parts are shown with a condition.
var shownRoots = []string{"event", "inputs", "vars", "steps", "output", "error"}

// Reads reports whether the expression reads a name.
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

// nameFinder searches an expression's tree for a name.
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
