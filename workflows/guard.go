package workflows

import (
	"math"

	"github.com/expr-lang/expr/ast"
)

// hidden are the functions that the guard puts in place of operators and of expr's own
// functions. Nobody writes them.
var hidden = []struct {
	name string
	run  func(m *meter, a []any) any
}{
	{"__add", func(m *meter, a []any) any { return m.arithmetic("+", a[0], a[1]) }},
	{"__sub", func(m *meter, a []any) any { return m.arithmetic("-", a[0], a[1]) }},
	{"__mul", func(m *meter, a []any) any { return m.arithmetic("*", a[0], a[1]) }},
	{"__div", func(m *meter, a []any) any { return m.arithmetic("/", a[0], a[1]) }},
	{"__mod", func(m *meter, a []any) any { return m.arithmetic("%", a[0], a[1]) }},
	{"__pow", func(m *meter, a []any) any { return m.arithmetic("**", a[0], a[1]) }},
	{"__neg", func(m *meter, a []any) any { return unaryMinus(a[0]) }},
	{"__eq", func(m *meter, a []any) any { return comparison("==", a[0], a[1]) }},
	{"__ne", func(m *meter, a []any) any { return comparison("!=", a[0], a[1]) }},
	{"__lt", func(m *meter, a []any) any { return comparison("<", a[0], a[1]) }},
	{"__le", func(m *meter, a []any) any { return comparison("<=", a[0], a[1]) }},
	{"__gt", func(m *meter, a []any) any { return comparison(">", a[0], a[1]) }},
	{"__ge", func(m *meter, a []any) any { return comparison(">=", a[0], a[1]) }},
	{"__in", func(m *meter, a []any) any { return m.among(a[0], a[1]) }},
	{"__slice", func(m *meter, a []any) any { return m.slice(a[0], a[1], a[2]) }},
	{"__match", func(m *meter, a []any) any { return m.matches(a[0], a[1]) }},
	{"__plain", func(m *meter, a []any) any { return undecimal(a[0]) }},
	{"__sum", func(m *meter, a []any) any { return m.sum(a[0]) }},
	{"__abs", func(m *meter, a []any) any { return absolute(a[0]) }},
	{"__int", func(m *meter, a []any) any { return wholeNumber(a[0]) }},
	{"__float", func(m *meter, a []any) any { return toFloat(a[0]) }},
	{"__ceil", func(m *meter, a []any) any { return ceiling(a[0]) }},
	{"__floor", func(m *meter, a []any) any { return floor(a[0]) }},
	{"__bitshl", func(m *meter, a []any) any { return shiftLeft(a) }},
	{"__max", func(m *meter, a []any) any { return m.extreme("max", 1, a) }},
	{"__min", func(m *meter, a []any) any { return m.extreme("min", -1, a) }},
	{"__mean", func(m *meter, a []any) any { return m.mean(a) }},
	{"__median", func(m *meter, a []any) any { return m.median(a) }},
	{"__type", func(m *meter, a []any) any { return typeName(a[0]) }},
}

var (
	guardedOperators = map[string]string{"+": "__add", "-": "__sub", "*": "__mul", "/": "__div", "%": "__mod", "**": "__pow", "^": "__pow",
		"matches": "__match"}
	// decimalOperators are replaced only where a decimal may stand: expr's own are faster.
	decimalOperators = map[string]string{"==": "__eq", "!=": "__ne", "<": "__lt", "<=": "__le", ">": "__gt", ">=": "__ge", "in": "__in"}
	guardedBuiltins  = map[string]string{"abs": "__abs", "int": "__int", "float": "__float", "ceil": "__ceil", "floor": "__floor", "bitshl": "__bitshl"}
	decimalBuiltins  = map[string]string{"max": "__max", "min": "__min", "mean": "__mean", "median": "__median", "type": "__type"}
	// keyedBuiltins order or group by what their predicate gives; decimals are no keys.
	keyedBuiltins = map[string]bool{"groupBy": true, "sortBy": true}
)

// guard rewrites a running program so that its loops and growth are metered and its
// arithmetic never wraps around. decimals is whether it may make decimals.
type guard struct{ decimals bool }

// Visit implements ast.Visitor.
func (g guard) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		if s, ok := n.Node.(*ast.SequenceNode); ok && len(s.Nodes) == 2 && isCall(s.Nodes[0], "__tick") {
			return
		}
		n.Node = &ast.SequenceNode{Nodes: []ast.Node{call("__tick"), n.Node}}
	case *ast.SliceNode:
		from, to := n.From, n.To
		if from == nil {
			from = &ast.NilNode{}
		}
		if to == nil {
			to = &ast.NilNode{}
		}
		ast.Patch(node, call("__slice", n.Node, from, to))
	case *ast.UnaryNode:
		g.unary(node, n)
	case *ast.BinaryNode:
		g.binary(node, n)
	case *ast.BuiltinNode:
		g.builtin(node, n)
	}
}

func (guard) unary(node *ast.Node, n *ast.UnaryNode) {
	if n.Operator != "-" {
		return
	}
	if x, ok := n.Node.(*ast.IntegerNode); ok && x.Value != math.MinInt {
		ast.Patch(node, &ast.IntegerNode{Value: -x.Value})
		return
	}
	switch x := n.Node.(type) {
	case *ast.FloatNode:
		ast.Patch(node, &ast.FloatNode{Value: -x.Value})
	default:
		ast.Patch(node, call("__neg", n.Node))
	}
}

func (g guard) binary(node *ast.Node, n *ast.BinaryNode) {
	if v, err := constantNumber(n); err == nil && v != nil {
		ast.Patch(node, &ast.IntegerNode{Value: *v})
		return
	}
	name := guardedOperators[n.Operator]
	if name == "" && g.decimals {
		name = decimalOperators[n.Operator]
	}
	if name != "" {
		ast.Patch(node, call(name, n.Left, n.Right))
	}
}

func (g guard) builtin(node *ast.Node, n *ast.BuiltinNode) {
	if n.Name == "sum" {
		list := n.Arguments[0]
		if len(n.Arguments) == 2 {
			list = &ast.BuiltinNode{Name: "map", Arguments: n.Arguments}
		}
		ast.Patch(node, call("__sum", list))
		return
	}
	name := guardedBuiltins[n.Name]
	if name == "" && g.decimals {
		name = decimalBuiltins[n.Name]
	}
	if name != "" {
		ast.Patch(node, call(name, n.Arguments...))
		return
	}
	if g.decimals && keyedBuiltins[n.Name] && len(n.Arguments) > 1 {
		p, ok := n.Arguments[1].(*ast.PredicateNode)
		if !ok {
			return
		}
		if s, ok := p.Node.(*ast.SequenceNode); ok && len(s.Nodes) == 2 && !isCall(s.Nodes[1], "__plain") {
			s.Nodes[1] = call("__plain", s.Nodes[1])
		}
	}
}

// constantNumber computes an operator over two whole numbers of the text; nil when it
// is none, an error when the result leaves 64 bits.
func constantNumber(n *ast.BinaryNode) (v *int, err error) {
	x, ok := wholeLiteral(n.Left)
	y, ok2 := wholeLiteral(n.Right)
	if !ok || !ok2 {
		return nil, nil
	}
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, p.(error)
		}
	}()
	switch n.Operator {
	case "+", "-", "*":
		out := intArithmetic(n.Operator, x, y).(int)
		return &out, nil
	case "**", "^":
		if y >= 0 {
			out := power(x, y)
			return &out, nil
		}
	}
	return nil, nil
}

// wholeLiteral is the value of a whole number of the text, also one that is computed.
func wholeLiteral(n ast.Node) (int, bool) {
	switch x := n.(type) {
	case *ast.IntegerNode:
		return x.Value, true
	case *ast.UnaryNode:
		if v, ok := x.Node.(*ast.IntegerNode); ok && x.Operator == "-" && v.Value != math.MinInt {
			return -v.Value, true
		}
	case *ast.BinaryNode:
		if v, err := constantNumber(x); err == nil && v != nil {
			return *v, true
		}
	}
	return 0, false
}
