package expr

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
)

// linter checks names before types: unknown names, and names not available here.
type linter struct {
	e        *checking
	sc       *Scope
	declared map[string]bool
	failed   bool
	chains   map[string]exprPath
	// doubted are the positions of fields of event.data that were reported.
	doubted map[int]bool
	// skipped are the positions of steps that were reported because they may be skipped.
	skipped map[int]bool
	// absent reports whether the visited node may be missing: it is left of ?? or compared with
	// nil.
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
	case *ast.FloatNode:
		l.fraction(x)
	case *ast.MemberNode:
		l.member(x, loops)
	case *ast.CallNode:
		if id, ok := x.Callee.(*ast.IdentifierNode); ok {
			l.function(id)
			l.constantArguments(x)
		} else if l.method(x) {
			return // its arguments are in the syntax of another language
		} else {
			l.walk(x.Callee, loops)
		}
		for _, a := range x.Arguments {
			l.walk(a, loops)
		}
	case *ast.BuiltinNode:
		l.builtin(x, loops)
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
		l.sequence(x)
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

// builtin walks the arguments of a function of the expression library.
func (l *linter) builtin(x *ast.BuiltinNode, loops int) {
	if x.Name == "len" && len(x.Arguments) == 1 {
		l.needed(x.Arguments[0])
	}
	if x.Name == "date" && len(x.Arguments) > 1 {
		if s, ok := x.Arguments[1].(*ast.StringNode); ok {
			l.layout(s)
		}
	}
	for _, a := range x.Arguments {
		l.walk(a, loops)
	}
}

// binary checks an operator and walks both operands.
func (l *linter) binary(x *ast.BinaryNode, loops int) {
	l.regexp(x)
	l.idComparison(x)
	l.statusComparison(x)
	l.recordedComparison(x)
	if _, err := constantNumber(x); err != nil {
		l.fail("number-too-large", x, 0, err.Error(), "")
	}
	if l.hyphenated(x) {
		return
	}
	before := l.absent
	_, leftNil := x.Left.(*ast.NilNode)
	_, rightNil := x.Right.(*ast.NilNode)
	l.absent = before || x.Operator == "??" || leftNil || rightNil
	if l.notCompared(x) {
		l.compared(x, loops)
		l.absent = before
		return
	}
	l.walk(x.Left, loops)
	l.absent = before || leftNil
	if !l.unquoted(x.Operator, x.Right) {
		l.walk(x.Right, loops)
	}
	l.absent = before
}

func (l *linter) name(id *ast.IdentifierNode) {
	if l.declared[id.Value] {
		return
	}
	if _, ok := l.sc.Names[id.Value]; ok {
		if id.Value == "secrets" {
			l.fail("computed-secret", id, 0, "secrets are read by name: secrets.NAME", "a computed name could print them all")
		}
		return
	}
	if l.renamedItem(id) {
		return
	}
	if l.sc.Hint != nil {
		if hint := l.sc.Hint(id.Value); hint != "" {
			l.fail("unknown-name", id, 0, fmt.Sprintf("%s cannot be read in %s", id.Value, l.sc.Where), hint)
			return
		}
	}
	if hint := l.insteadOf(id.Value); hint != "" {
		l.fail("not-here", id, 0, fmt.Sprintf("%s cannot be read in %s", id.Value, l.sc.Where), hint)
		return
	}
	if hint, ok := githubWords[id.Value]; ok {
		l.fail("foreign-name", id, 0, "unknown name "+id.Value, hint)
		return
	}
	for _, n := range allNames {
		if n == id.Value {
			l.fail("not-here", id, 0, fmt.Sprintf("%s cannot be read in %s", id.Value, l.sc.Where), placeReasons[n])
			return
		}
	}
	known := slices.Sorted(slices.Values(rootsOf(l.sc.Names)))
	hint := cmp.Or(l.meantName(id.Value), spelling.Suggest(id.Value, known))
	if l.sc.Steps()[id.Value] != nil {
		hint = "write steps." + id.Value
	}
	if hint == "" && len(known) > 0 {
		hint = "known here are " + strings.Join(known, ", ")
	}
	l.fail("unknown-name", id, 0, "unknown name "+id.Value, hint)
}

// insteadOf returns the name of the same value where there is no event yet: in polls, connectors
// and triggers.
func (l *linter) insteadOf(name string) string {
	has := func(root string) bool { _, ok := l.sc.Names[root]; return ok }
	switch {
	case has("event"):
		return ""
	case has("response"):
		switch {
		case name == "body" || name == "headers" || name == "status":
			return "write response." + name
		case name == "event" && has("item"):
			return "write item for the element, response for the response"
		case name == "event":
			return "write response.body"
		case name == "data" || name == "items" || name == "results" || name == "payload":
			return "write response.body." + name
		case has("item") && !slices.Contains(allNames, name) && spelling.Suggest(name, rootsOf(l.sc.Names)) == "" && githubWords[name] == "":
			return "write item." + name
		}
	case has("body"):
		switch {
		case name == "event":
			return "write body, headers or query: there is no event yet"
		case name == "data" || name == "payload":
			return "write body, or body." + name
		case !slices.Contains(allNames, name) && spelling.Suggest(name, rootsOf(l.sc.Names)) == "" && githubWords[name] == "":
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
		hint = "hookloom functions lists them"
		if near := spelling.Typo(id.Value, functionNames()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
	}
	l.fail("unknown-function", id, 0, fmt.Sprintf("there is no function %s", id.Value), hint)
}

// exampleOf returns the example of the last function named in a problem, or "".
func exampleOf(problem string) string {
	name := problem[strings.LastIndexByte(problem, ' ')+1:]
	for _, f := range functions {
		if f.name == name && f.example != "" {
			return "for example " + callIn(f.example, name)
		}
	}
	return ""
}

// callIn extracts the call of a function from an expression.
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

func (l *linter) member(x *ast.MemberNode, loops int) {
	root, keys, at := chain(x)
	if id, ok := root.(*ast.IdentifierNode); ok && !l.declared[id.Value] && l.otherContext(id, keys, at) {
		return
	}
	if id, ok := root.(*ast.IdentifierNode); ok && !l.declared[id.Value] {
		if _, visible := l.sc.Names[id.Value]; visible {
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
			if len(keys) > 0 && slices.Contains(shownRoots, id.Value) {
				text := id.Value + "." + strings.Join(keys, ".")
				l.chains[text] = exprPath{text: text, keys: append([]string{id.Value}, keys...)}
			}
		}
	}
	if id, ok := root.(*ast.IdentifierNode); ok && id.Value == "error" && len(keys) == 1 && l.sc.MaybeNil[NoError] &&
		throughError.MatchString(l.e.Text) {
		l.e.report("maybe-nil", true, id.Location().From, id.Location().To, "error is nil in finally after a success",
			"write error?."+keys[0])
	}
	if id, ok := root.(*ast.IdentifierNode); ok && slices.Contains(shownRoots, id.Value) {
		l.lengthField(x, keys)
	}
	l.neededAround(x)
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
	m, ok := l.sc.Names[id.Value].(types.Map)
	if !ok {
		return true
	}
	if _, ok := m[key]; ok {
		if id.Value == "steps" && l.sc.MaybeNil[key] {
			l.maybeNil(id, key, at)
		}
		return true
	}
	if _, open := m[types.Extra]; open {
		return true // other names are possible
	}
	if why := l.sc.HiddenSteps[key]; why != "" && id.Value == "steps" {
		l.fail("step-not-visible", at, len([]rune(key)), fmt.Sprintf("step %q cannot be read here", key), why)
		return false
	}
	if line := l.sc.LaterVars[key]; line > 0 && id.Value == "vars" {
		l.fail("unknown-var", at, len([]rune(key)), fmt.Sprintf("vars.%s is used before it is set (line %d)", key, line),
			"vars are computed in the order of the file")
		return false
	}
	what := map[string]string{"steps": "no step has the id", "vars": "no var is named", "inputs": "no input is named"}[id.Value]
	hint := spelling.Suggest(key, slices.Sorted(maps.Keys(m)))
	if hint == "" && id.Value == "steps" {
		hint = l.laterStep(key)
	}
	if hint == "" {
		hint = declare(id.Value, key, slices.Sorted(maps.Keys(m)))
	}
	l.fail("unknown-"+strings.TrimSuffix(id.Value, "s"), at, len([]rune(key)), fmt.Sprintf("%s %q", what, key), hint)
	return false
}

// laterStep asks whether a step that runs later was meant, or returns "".
func (l *linter) laterStep(key string) string {
	near := spelling.Typo(key, slices.Sorted(maps.Keys(l.sc.HiddenSteps)))
	if why := l.sc.HiddenSteps[near]; strings.HasPrefix(why, "it runs later") {
		return fmt.Sprintf("did you mean %q? But %s", near, why)
	}
	return ""
}

// dashedName matches a name with dashes, which other tools allow.
var dashedName = lazyregexp.New(`^[A-Za-z_]\w*(-[A-Za-z_]\w*)+`)

// maybeNil warns about steps.x.output.y if the step may be skipped, once for each place: a chain is
// visited once for each of its fields.
func (l *linter) maybeNil(id *ast.IdentifierNode, key string, at ast.Node) {
	from := at.Location().From
	loose := regexp.MustCompile(`^` + regexp.QuoteMeta(key) + `\.output\s*[.\[]`)
	if !l.skipped[from] && loose.MatchString(string([]rune(l.e.Text)[from:])) {
		l.skipped[from] = true
		l.e.report("maybe-skipped", true, from, from+len([]rune(key)),
			fmt.Sprintf("step %q may be skipped, and its output is nil then", key), fmt.Sprintf("write steps.%s.output?.…", key))
	}
}

// chain follows a.b["c"] to its root; keys are the constant names.
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

// fraction refuses a literal such as 9007199254740993.5, which would be rounded to another whole
// number. One with an exponent is meant as a rounded number.
func (l *linter) fraction(x *ast.FloatNode) {
	at, text := x.Location(), []rune(l.e.Text)
	if math.Abs(x.Value) < value.MaxFloatInt {
		return
	}
	written := strings.ReplaceAll(string(text[at.From:at.To]), "_", "")
	exact, ok := new(big.Rat).SetString(written)
	if ok && !strings.ContainsAny(written, "eE") && exact.Cmp(new(big.Rat).SetFloat64(x.Value)) != 0 {
		l.fail("expression-syntax", x, at.To-at.From, value.Clip(written, 40)+" would be rounded",
			fmt.Sprintf("write decimal(%q)", value.Clip(written, 40)))
	}
}

func (l *linter) regexp(x *ast.BinaryNode) {
	p, ok := x.Right.(*ast.StringNode)
	if x.Operator != "matches" || !ok {
		return
	}
	if _, err := regexp.Compile(p.Value); err != nil {
		l.fail("bad-regexp", p, 0, strings.TrimPrefix(err.Error(), "error parsing regexp: "), "this is not a valid regular expression")
	}
}

// idComparison warns about comparing an id with a literal: 7 == "7" is false without an error if
// the type of one side is any.
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
			"an id compared with a number: 7 and \"7\" are not equal",
			fmt.Sprintf("if it can be text, write string(…) == \"%d\"", number.Value))
	}
}

func (l *linter) paths() []exprPath {
	var out []exprPath
	for _, k := range slices.Sorted(maps.Keys(l.chains)) {
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
