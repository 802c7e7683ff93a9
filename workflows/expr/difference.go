package expr

import (
	"slices"
	"sync"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/hookloom/hookloom/workflows/value"
)

// Cause is the smallest part of an expression whose value explains the difference between two
// evaluations. For a part that only one expression has, the other value is nil.
type Cause struct {
	Expression    string
	Before, After any
}

// Differ finds causes. Its zero value is ready to use; it is safe for concurrent use.
type Differ struct {
	mu sync.Mutex
	// compiled caches parts of expressions by text, trees parsed expressions by text.
	compiled map[string]*Expr
	trees    map[string]ast.Node
}

// mostParts limits the size of each cache.
const mostParts = 4096

// Conditions finds why two lists of conditions, all of which must hold, have different results.
func (d *Differ) Conditions(before, after []string, envBefore, envAfter *Env) (Cause, bool) {
	p := &pair{d: d, before: envBefore, after: envAfter}
	return p.operands("&&", p.conjuncts(before), p.conjuncts(after))
}

// Expression finds why two expressions have different values.
func (d *Differ) Expression(before, after string, envBefore, envAfter *Env) (Cause, bool) {
	p := &pair{d: d, before: envBefore, after: envAfter}
	b, a := d.tree(before), d.tree(after)
	if b == nil || a == nil {
		return Cause{}, false
	}
	return p.nodes(b, a)
}

// tree parses an expression; it returns nil if that fails.
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

// eval returns the value of a part, or the error text if the evaluation fails.
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

// pair is a comparison of two evaluations.
type pair struct {
	d             *Differ
	before, after *Env
}

// conjuncts splits conditions into the parts that must all hold.
func (p *pair) conjuncts(list []string) (out []ast.Node) {
	for _, text := range list {
		if n := p.d.tree(text); n != nil {
			out = append(out, operands(n, "&&")...)
		}
	}
	return out
}

// operands flattens a chain of one operator.
func operands(n ast.Node, op string) []ast.Node {
	if b, ok := n.(*ast.BinaryNode); ok && boolean(b.Operator) == op {
		return append(operands(b.Left, op), operands(b.Right, op)...)
	}
	return []ast.Node{n}
}

// joint returns the operator with which one of the parts joins conditions, provided that the other
// part does not join conditions with a different one.
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

// boolean returns the canonical name of a Boolean operator; "" for other operators.
func boolean(op string) string {
	switch op {
	case "&&", "and":
		return "&&"
	case "||", "or":
		return "||"
	}
	return ""
}

// operands compares two chains: operands in both with the same value are skipped, and the rest are
// compared in order. The operands that decide the result come first: false for &&, true for ||.
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
		c, ok := p.nodes(left.list[i], right.list[i])
		if !ok {
			continue
		}
		if constant(left.list[i]) || constant(right.list[i]) {
			return whole, true // a comparison says more than its operand
		}
		differing, parts = differing+1, c
	}
	if differing == 1 {
		return parts, true
	}
	return whole, true
}

// alike reports whether two parts have the same operator and number of operands, and whether the
// operands can be evaluated on their own.
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
