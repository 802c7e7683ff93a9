package expr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
)

// Expr is an expression of a workflow, trigger or connector.
type Expr struct {
	// Text is the source without ${{ }}.
	Text string
	// Zone is the time zone of now(); nil for UTC.
	Zone *time.Location
	// Vars are those of the project, for an expression that reads vars; the workflow's own of the
	// same name hide them.
	Vars map[string]any
	// Bytes reports whether the result must be encoded as base64 if it is bytes.
	Bytes bool
	// code is the compiled program. later compiles it at the first evaluation; it is nil for an
	// expression that is compiled or cannot be.
	code  *program
	later func() (*program, error)
	// paths are the parts of the event that it reads, for recording decisions.
	paths []exprPath
	// secrets reports whether it uses a secret; named are their names.
	secrets bool
	named   []string
	// quick are the paths of an expression that consists only of paths.
	quick [][]string
}

// program is a compiled expression.
type program struct {
	vm *vm.Program
	// uses are the names that it reads; allNames reports whether it may read any.
	uses     []string
	allNames bool
}

// exprPath is a chain of constant names such as event.data.amount.
type exprPath struct {
	text string
	keys []string
}

// Names are the values that an expression can read, by root name (docs/expressions.md).
type Names map[string]any

// Env is everything that an evaluation depends on: the names, the time for now(), and the seed from
// which uuid() counts. Two evaluations with equal Envs give equal results.
type Env struct {
	Names Names
	Now   time.Time
	Seed  string
	// Until is the time at which an unfinished evaluation fails; zero leaves only the general
	// limit.
	Until time.Time
}

// EvalError is a run-time error of an expression. If the expression exceeded a limit of work or
// memory, it is an ErrTooLarge.
type EvalError struct {
	// Expr is the source; Line and Column count from 1 within it.
	Expr         string
	Line, Column int
	Problem      string
	// Cause is the underlying error, if any.
	Cause error
}

// Unwrap returns the cause.
func (e *EvalError) Unwrap() error { return e.Cause }

// Error implements error.
func (e *EvalError) Error() string {
	return fmt.Sprintf("%s (in %s)", e.Problem, value.Clip(e.Expr, 120))
}

// Eval evaluates the expression. The result is plain data (see Normalize), or a time.Time. Errors
// are of type *EvalError.
func (e *Expr) Eval(env *Env) (any, error) {
	if e.Vars != nil {
		with := *env
		with.Names = e.withVars(env.Names)
		env = &with
	}
	if e.secrets {
		if err := e.secretsSet(env.Names); err != nil {
			return nil, err
		}
	}
	if e.quick != nil {
		if v, ok := e.quickEval(env.Names); ok {
			return e.plain(v)
		}
	}
	now := time.Now()
	deadline := now.Add(maxExprTime)
	if !env.Until.IsZero() && env.Until.Before(deadline) {
		if deadline = env.Until; !now.Before(deadline) {
			return nil, &EvalError{Expr: e.Text, Line: 1, Column: 1, Problem: "no time was left for the expression"}
		}
	}
	code, err := e.program()
	if err != nil {
		return nil, &EvalError{Expr: e.Text, Line: 1, Column: 1, Problem: err.Error(), Cause: err}
	}
	m := meters.Get().(*meter)
	m.start(e, code, env, deadline)
	v, err := m.run(e, code)
	m.end(code, env)
	if err != nil {
		return nil, e.runtimeError(err)
	}
	return v, nil
}

// withVars adds the project's vars to the names.
func (e *Expr) withVars(names Names) Names {
	if e.Vars == nil {
		return names
	}
	vars := e.Vars
	if own, _ := names["vars"].(map[string]any); len(own) > 0 {
		vars = maps.Clone(vars)
		maps.Copy(vars, own)
	}
	names = maps.Clone(names)
	if names == nil {
		names = Names{}
	}
	names["vars"] = vars
	return names
}

// program returns the compiled expression, and compiles it first if that was postponed.
func (e *Expr) program() (*program, error) {
	if e.code == nil && e.later != nil {
		return e.later()
	}
	return e.code, nil
}

// run returns the result as data. The conversion counts as work: if the result contains a list a
// thousand times, the list is walked a thousand times.
func (m *meter) run(e *Expr, code *program) (v any, err error) {
	if v, err = m.vm.Run(code.vm, m.names); err != nil {
		return nil, err
	}
	if e.Bytes {
		v = e.base64Of(v)
	}
	switch v.(type) {
	case nil, bool, int, string, time.Time:
		return v, nil
	}
	defer func() {
		if p := recover(); p != nil {
			var ok bool
			if err, ok = p.(error); !ok {
				panic(p)
			}
		}
	}()
	return m.normalized(v), nil
}

// plain converts a result to data; times are unchanged.
func (e *Expr) plain(v any) (any, error) {
	if t, ok := v.(time.Time); ok {
		return t, nil
	}
	n, err := value.Normalize(v)
	if err != nil {
		return nil, &EvalError{Expr: e.Text, Line: 1, Column: 1, Problem: err.Error()}
	}
	return n, nil
}

// Condition evaluates an expression that must be true or false; nil counts as false.
func (e *Expr) Condition(env *Env) (bool, error) {
	v, err := e.Eval(env)
	if err != nil {
		return false, err
	}
	switch b := v.(type) {
	case bool:
		return b, nil
	case nil:
		return false, nil
	}
	return false, &EvalError{Expr: e.Text, Line: 1, Column: 1, Problem: "a condition must be true or false, got " + value.Describe(v)}
}

// Values returns the parts of the event that the expression reads, for the record of a decision.
// Texts are cut at 200 characters.
func (e *Expr) Values(names Names) map[string]any {
	if len(e.paths) == 0 {
		return nil
	}
	names = e.withVars(names)
	out := make(map[string]any, len(e.paths))
	for _, p := range e.paths {
		var v any = map[string]any(names)
		for _, k := range p.keys {
			m, ok := v.(map[string]any)
			if !ok {
				v = nil
				break
			}
			v = m[k]
		}
		switch x := v.(type) {
		case string:
			v = value.Clip(x, 200)
		case []any:
			v = fmt.Sprintf("list of %d", len(x))
		case map[string]any:
			v = fmt.Sprintf("object of %d", len(x))
		}
		out[p.text] = v
	}
	return out
}

var (
	chainTail   = lazyregexp.New(`[\w.?\[\]"']+$`)
	fetchFrom   = lazyregexp.New(`^cannot fetch (.+) from (.+)$`)
	goTypeNames = strings.NewReplacer("interface {}", "any", "map[string]any", "an object", "map[string]interface {}", "an object",
		"[]interface {}", "a list", "[]any", "a list", "<nil>", "nil", "string", "text", "float64", "a number", "bool",
		"true/false", "int", "a number")
)

// runtimeError converts expr's error of a failed evaluation.
func (e *Expr) runtimeError(err error) error {
	out := &EvalError{Expr: e.Text, Line: 1, Column: 1, Problem: err.Error()}
	var over *LimitError
	if errors.As(err, &over) {
		out.Cause = over
	}
	var at *file.Error
	if !errors.As(err, &at) {
		return out
	}
	out.Line, out.Column, out.Problem = at.Line, at.Column+1, at.Message
	if at.Prev != nil {
		out.Problem, out.Cause = at.Prev.Error(), at.Prev
	}
	runes := []rune(e.Text)
	if m := fetchFrom.FindStringSubmatch(out.Problem); m != nil {
		before := strings.TrimRight(string(runes[:min(at.From, len(runes))]), ".?[ ")
		name := chainTail.FindString(before)
		if name == "" {
			name = "the part before it"
		}
		if m[2] == "<nil>" {
			part := m[1]
			if _, err := strconv.Atoi(part); err == nil { // expr writes an optional index with a dot before it
				part = "[" + part + "]"
			}
			if partWord(m[1]) != m[1] {
				out.Problem = fmt.Sprintf("cannot read an element: %s is nil; if it may be missing, write a default with ??", name)
				return out
			}
			out.Problem = fmt.Sprintf("cannot read %s: %s is nil; write %s?.%s if it may be missing", m[1], name, name, part)
		} else {
			out.Problem = fmt.Sprintf("cannot read %s: %s is %s", partWord(m[1]), name, goKindWord(m[2]))
		}
		return out
	}
	if m := converted.FindStringSubmatch(out.Problem); m != nil {
		out.Problem = fmt.Sprintf("%s is needed here, got %s", goKindWord(m[2]), goKindWord(m[1])) + ifMissing(m[1])
		return out
	}
	if out.Problem == "invalid operation: int(string)" {
		// expr's message for looking up a name in text or in a list.
		out.Problem = "text and lists have no fields; len(…) counts their characters or elements"
		return out
	}
	if strings.Contains(out.Problem, "memory budget exceeded") { // expr's own limit on elements
		out.Problem, out.Cause = errElements.text, errElements
		return out
	}
	out.Problem = ownWords(out.Problem)
	return out
}

// partWord returns the name of a part that was read, or "an element" if it was selected by a value
// that is no name, such as nil.
func partWord(name string) string {
	if name == "" || strings.ContainsAny(name, "<[: ") {
		return "an element"
	}
	return name
}

func call(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}

func isCall(n ast.Node, name string) bool {
	c, ok := n.(*ast.CallNode)
	if !ok {
		return false
	}
	id, ok := c.Callee.(*ast.IdentifierNode)
	return ok && id.Value == name
}

// looseEnv gives types only to our own functions: the program must accept whatever a payload
// contains, and expr's typed instructions would fail on it (docs/expressions.md).
func looseEnv(names []string) types.Map {
	fn := types.TypeOf(func(...any) any { return nil })
	env := types.Map{tickName: types.TypeOf(new(meter).iterate), keyName: types.TypeOf(new(meter).key)}
	for _, list := range [][]hiddenFunction{hidden, meteredBuiltins} {
		for _, f := range list {
			env[f.name] = types.TypeOf(f.bound(nil))
		}
	}
	for _, f := range functions {
		env[f.name] = fn
	}
	for _, n := range names {
		env[n] = types.Any
	}
	return env
}

// compileLoose compiles the program to run.
func compileLoose(text string, names []string) (*vm.Program, error) {
	return expr.Compile(text, expr.Env(looseEnv(names)), expr.MaxNodes(maxExprNodes),
		expr.Patch(headerNames{slices.Contains(names, "headers")}),
		expr.Patch(newGuard(text)), expr.Optimize(true))
}

// Compile compiles an expression that is not in a file, over the given names: triggers' stored data
// expressions, and tests.
func Compile(text string, names ...string) (*Expr, error) {
	if len(text) > maxExprText {
		return nil, fmt.Errorf("the expression is longer than %d KiB", maxExprText>>10)
	}
	prog, err := compileLoose(text, names)
	if err != nil {
		return nil, fmt.Errorf("compiling %s: %w", value.Clip(text, 80), err)
	}
	return &Expr{Text: text, code: newProgram(prog), quick: QuickPaths(text)}, nil
}

// newProgram collects the names that a compiled expression reads.
func newProgram(prog *vm.Program) *program {
	var found usedNames
	node := prog.Node()
	ast.Walk(&node, &found)
	return &program{vm: prog, uses: found.names, allNames: found.all}
}

// usedNames collects the identifiers of a tree.
type usedNames struct {
	names []string
	all   bool
}

// Visit implements ast.Visitor.
func (u *usedNames) Visit(n *ast.Node) {
	if b, ok := (*n).(*ast.BuiltinNode); ok && b.Map != nil {
		// The optimizer folds map into filter, a place that ast.Walk does not visit.
		ast.Walk(&b.Map, u)
	}
	id, ok := (*n).(*ast.IdentifierNode)
	if !ok {
		return
	}
	u.all = u.all || id.Value == "$env"
	if !slices.Contains(u.names, id.Value) {
		u.names = append(u.names, id.Value)
	}
}

// SecretNames returns the names of the secrets that the expression uses.
func (e *Expr) SecretNames() []string { return e.named }

// UsesSecrets reports whether the expression uses a secret.
func (e *Expr) UsesSecrets() bool { return e.secrets }

// Compiled reports whether the expression can be evaluated.
func (e *Expr) Compiled() bool { return e.code != nil || e.later != nil }

// secretsSet returns an error if a secret that the expression uses has no value: nil would be sent
// as null, or as nothing.
func (e *Expr) secretsSet(names Names) error {
	secrets, _ := names["secrets"].(map[string]any)
	for _, n := range e.named {
		if secrets[n] == nil {
			return &EvalError{
				Expr:   e.Text,
				Line:   1,
				Column: 1,
				Problem: fmt.Sprintf("secret %s is not set: set it in the environment, in .env or in /run/secrets, and load "+
					"the project again", n),
			}
		}
	}
	return nil
}
