package expr

import (
	"slices"
	"sync"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/hookloom/hookloom/workflows/value"
)

// Cause is the smallest part of an expression whose value makes the difference between two
// evaluations. A part that only one side has is nil on the other.
type Cause struct {
	Expression    string
	Before, After any
}

// Differ finds causes. Its zero value can be used, by several goroutines at once.
type Differ struct {
	mu sync.Mutex
	// compiled are parts of expressions by their text; trees are expressions by theirs.
	compiled map[string]*Expr
	trees    map[string]ast.Node
}

// mostParts bounds what a Differ keeps.
const mostParts = 4096

// Conditions finds why a list of conditions that must all hold gives another result than
// another list.
func (d *Differ) Conditions(before, after []string, envBefore, envAfter *Env) (Cause, bool) {
	p := &pair{d: d, before: envBefore, after: envAfter}
	return p.operands("&&", p.conjuncts(before), p.conjuncts(after))
}

// Expression finds why one expression gives another value than another.
func (d *Differ) Expression(before, after string, envBefore, envAfter *Env) (Cause, bool) {
	p := &pair{d: d, before: envBefore, after: envAfter}
	b, a := d.tree(before), d.tree(after)
	if b == nil || a == nil {
		return Cause{}, false
	}
	return p.nodes(b, a)
}

// tree parses an expression; nil for one that cannot be parsed.
func (d *Differ) tree(text string) ast.Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, ok := d.trees[text]; ok {
		return n
	}
	tree, err := parser.ParseWithConfig(text, parseConfig)
	if err != nil {
		return nil
	}
	if d.trees == nil || len(d.trees) > mostParts {
		d.trees = map[string]ast.Node{}
	}
	d.trees[text] = tree.Node
	return tree.Node
}

// eval returns the value of a part; what fails is a text that says so.
func (d *Differ) eval(n ast.Node, env *Env) any {
	text := n.String()
	d.mu.Lock()
	e := d.compiled[text]
	d.mu.Unlock()
	if e == nil {
		names := make([]string, 0, len(env.Names))
		for name := range env.Names {
			names = append(names, name)
		}
		var err error
		if e, err = Compile(text, names...); err != nil {
			return "cannot be evaluated alone"
		}
		d.mu.Lock()
		if d.compiled == nil || len(d.compiled) > mostParts {
			d.compiled = map[string]*Expr{}
		}
		d.compiled[text] = e
		d.mu.Unlock()
	}
	v, err := e.Eval(env)
	if err != nil {
		return "error: " + err.Error()
	}
	return v
}

// pair is two sides that are compared.
type pair struct {
	d             *Differ
	before, after *Env
}

// conjuncts are the parts of conditions that must all hold.
func (p *pair) conjuncts(list []string) (out []ast.Node) {
	for _, text := range list {
		if n := p.d.tree(text); n != nil {
			out = append(out, operands(n, "&&")...)
		}
	}
	return out
}

// operands takes a chain of one operator apart.
func operands(n ast.Node, op string) []ast.Node {
	if b, ok := n.(*ast.BinaryNode); ok && boolean(b.Operator) == op {
		return append(operands(b.Left, op), operands(b.Right, op)...)
	}
	return []ast.Node{n}
}

// joint is the operator by which one of two parts joins conditions, if the other one joins none by
// another.
func joint(b, a ast.Node) string {
	op := ""
	for _, n := range []ast.Node{b, a} {
		if x, ok := n.(*ast.BinaryNode); ok && boolean(x.Operator) != "" {
			if op != "" && op != boolean(x.Operator) {
				return ""
			}
			op = boolean(x.Operator)
		}
	}
	return op
}

// boolean returns an operator by its sign; "" for one that joins no conditions.
func boolean(op string) string {
	switch op {
	case "&&", "and":
		return "&&"
	case "||", "or":
		return "||"
	}
	return ""
}

// operands compares two chains: what stands in both and gives the same is left out, and the
// rest is compared in its order. What decides is shown first: false of &&, true of ||.
func (p *pair) operands(op string, before, after []ast.Node) (Cause, bool) {
	before, after = slices.Clone(before), slices.Clone(after)
	for i := 0; i < len(before); i++ {
		j := slices.IndexFunc(after, func(a ast.Node) bool {
			return a.String() == before[i].String() && p.same(before[i], a)
		})
		if j >= 0 {
			before, after = slices.Delete(before, i, i+1), slices.Delete(after, j, j+1)
			i--
		}
	}
	decides := op == "||"
	var found []Cause
	for i := range max(len(before), len(after)) {
		switch {
		case i >= len(before):
			found = append(found, Cause{Expression: after[i].String(), After: p.d.eval(after[i], p.after)})
		case i >= len(after):
			found = append(found, Cause{Expression: before[i].String(), Before: p.d.eval(before[i], p.before)})
		default:
			if c, ok := p.nodes(before[i], after[i]); ok {
				found = append(found, c)
			}
		}
	}
	for _, c := range found {
		if c.Before == decides || c.After == decides {
			return c, true
		}
	}
	if len(found) == 0 {
		return Cause{}, false
	}
	return found[0], true
}

func (p *pair) same(b, a ast.Node) bool {
	return Same(p.d.eval(b, p.before), p.d.eval(a, p.after))
}

// nodes compares two parts.
func (p *pair) nodes(b, a ast.Node) (Cause, bool) {
	vb, va := p.d.eval(b, p.before), p.d.eval(a, p.after)
	if Same(vb, va) {
		return Cause{}, false
	}
	whole := Cause{Expression: a.String(), Before: vb, After: va}
	if op := joint(b, a); op != "" {
		if c, ok := p.operands(op, operands(b, op), operands(a, op)); ok {
			return c, true
		}
		return whole, true
	}
	if !alike(b, a) {
		return whole, true
	}
	var parts Cause
	differing := 0
	left, right := &children{}, &children{}
	left.of(b)
	right.of(a)
	for i := range left.list {
		if left.list[i] == nil || right.list[i] == nil {
			continue
		}
		c, ok := p.nodes(left.list[i], right.list[i])
		if !ok {
			continue
		}
		if constant(left.list[i]) || constant(right.list[i]) {
			return whole, true // the comparison says more than its number
		}
		differing, parts = differing+1, c
	}
	if differing == 1 {
		return parts, true
	}
	return whole, true
}

// alike reports whether two parts do the same with as many values, and whether those can be
// looked at one by one.
func alike(b, a ast.Node) bool {
	switch x := b.(type) {
	case *ast.BinaryNode:
		y, ok := a.(*ast.BinaryNode)
		return ok && x.Operator == y.Operator
	case *ast.UnaryNode:
		y, ok := a.(*ast.UnaryNode)
		return ok && x.Operator == y.Operator
	case *ast.ConditionalNode:
		_, ok := a.(*ast.ConditionalNode)
		return ok
	case *ast.BuiltinNode:
		y, ok := a.(*ast.BuiltinNode)
		return ok && x.Name == y.Name && len(x.Arguments) == len(y.Arguments) && !predicate(x.Arguments) && !predicate(y.Arguments)
	}
	return false
}

func predicate(list []ast.Node) bool {
	return slices.ContainsFunc(list, func(n ast.Node) bool { _, is := n.(*ast.PredicateNode); return is })
}

func constant(n ast.Node) bool {
	switch n.(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.ConstantNode, *ast.ArrayNode, *ast.MapNode:
		return true
	}
	return false
}

// Same reports whether two values are equal as JSON: 1 is 1.0.
func Same(a, b any) bool {
	x, errX := value.EncodeJSON(a)
	y, errY := value.EncodeJSON(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
