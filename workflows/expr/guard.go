package expr

import (
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/hookloom/hookloom/workflows/value"
)

// hidden are the functions that the guard puts in place of operators and of expr's own
// functions. Nobody writes them.
var hidden = []hiddenFunction{
	{name: "__sortKey", one: func(m *meter, x any) any { return m.sortKey(x) }},
	{name: "__given", one: func(m *meter, x any) any { return m.given(x) }},
	{name: "__contains", two: func(m *meter, x, y any) any { return m.contains(x, y) }},
	{name: "__add", two: func(m *meter, x, y any) any { return m.arithmetic("+", x, y) }},
	{name: "__sub", two: func(m *meter, x, y any) any { return m.arithmetic("-", x, y) }},
	{name: "__mul", two: func(m *meter, x, y any) any { return m.arithmetic("*", x, y) }},
	{name: "__div", two: func(m *meter, x, y any) any { return m.arithmetic("/", x, y) }},
	{name: "__mod", two: func(m *meter, x, y any) any { return m.arithmetic("%", x, y) }},
	{name: "__pow", two: func(m *meter, x, y any) any { return m.arithmetic("**", x, y) }},
	{name: "__neg", one: func(m *meter, x any) any { return unaryMinus(x) }},
	{name: "__eq", two: func(m *meter, x, y any) any { return m.equal(x, y, 0) }},
	{name: "__ne", two: func(m *meter, x, y any) any { return !m.equal(x, y, 0) }},
	{name: "__lt", two: func(m *meter, x, y any) any { return m.compare("<", x, y) }},
	{name: "__le", two: func(m *meter, x, y any) any { return m.compare("<=", x, y) }},
	{name: "__gt", two: func(m *meter, x, y any) any { return m.compare(">", x, y) }},
	{name: "__ge", two: func(m *meter, x, y any) any { return m.compare(">=", x, y) }},
	{name: "__in", two: func(m *meter, x, y any) any { return m.among(x, y) }},
	{name: "__slice", run: func(m *meter, a []any) any { return m.slice(a[0], a[1], a[2]) }},
	{name: "__match", two: func(m *meter, x, y any) any { return m.matches(x, y) }},
	{name: "__plain", one: func(m *meter, x any) any { return undecimal(x) }},
	{name: "__sum", one: func(m *meter, x any) any { return m.sum(x) }},
	{name: "__abs", one: func(m *meter, x any) any { return absolute(x) }},
	{name: "__int", one: func(m *meter, x any) any { return wholeNumber(m.digits(x)) }},
	{name: "__float", one: func(m *meter, x any) any { return toFloat(m.digits(x)) }},
	{name: "__ceil", one: func(m *meter, x any) any { return ceiling(x) }},
	{name: "__floor", one: func(m *meter, x any) any { return floor(x) }},
	{name: "__bitshl", run: func(m *meter, a []any) any { return shiftLeft(a) }},
	{name: "__decimal_max", run: func(m *meter, a []any) any { return m.extreme("max", 1, a) }},
	{name: "__decimal_min", run: func(m *meter, a []any) any { return m.extreme("min", -1, a) }},
	{name: "__mean", run: func(m *meter, a []any) any { return m.mean(a) }},
	{name: "__median", run: func(m *meter, a []any) any { return m.median(a) }},
	{name: "__decimal_type", one: func(m *meter, x any) any { return typeName(x) }},
}

// tickName and keyName are the functions that loops call for each element. They are
// typed: expr gives others a new list of arguments at each call.
const tickName, keyName = "__tick", "__key"

var (
	guardedOperators = map[string]string{"+": "__add", "-": "__sub", "*": "__mul", "/": "__div", "%": "__mod", "**": "__pow", "^": "__pow",
		"matches": "__match"}
	// decimalOperators are replaced only where a decimal may stand: expr's own are faster.
	decimalOperators = map[string]string{"==": "__eq", "!=": "__ne", "<": "__lt", "<=": "__le", ">": "__gt", ">=": "__ge", "in": "__in"}
	guardedBuiltins  = map[string]string{"abs": "__abs", "int": "__int", "float": "__float", "ceil": "__ceil",
		"floor": "__floor", "bitshl": "__bitshl",
		"mean": "__mean", "median": "__median"}
	decimalBuiltins = map[string]string{"max": "__decimal_max", "min": "__decimal_min", "type": "__decimal_type"}
	// keptBytes is what loops keep of each element, the machine's stack included.
	keptBytes = map[string]int{"map": 48, "filter": 48, "groupBy": 128, "sortBy": 96}
)

// smallRule is how many parts an expression without loops may have for its cheapest
// operators to go unmetered: the data that it reads is bounded, and read that often at
// most. Most rules are such, and keep expr's own speed.
const smallRule = 24

// guard rewrites a running program so that its work and growth are metered and its
// arithmetic never wraps around. decimals is whether it may make decimals, small
// whether its operators over texts and lists need no metering (see smallRule).
type guard struct{ decimals, small bool }

func newGuard(text string) guard {
	g := guard{decimals: strings.Contains(text, "decimal")}
	if tree, err := parser.ParseWithConfig(text, parseConfig); err == nil {
		c := sizeOf{}
		ast.Walk(&tree.Node, &c)
		g.small = !c.loops && c.nodes <= smallRule
	}
	return g
}

// sizeOf counts the parts of an expression, and tells whether it has loops.
type sizeOf struct {
	nodes int
	loops bool
}

// Visit implements ast.Visitor.
func (c *sizeOf) Visit(node *ast.Node) {
	c.nodes++
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		c.loops = true
	case *ast.BuiltinNode:
		c.loops = c.loops || n.Name == "count"
	}
}

// Visit implements ast.Visitor; parts come before what they are part of.
func (g guard) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		if s, ok := n.Node.(*ast.SequenceNode); ok && len(s.Nodes) == 2 && isCall(s.Nodes[0], tickName) {
			return
		}
		steps, bytes := costOf(n.Node)
		n.Node = &ast.SequenceNode{
			Nodes: []ast.Node{call(tickName, &ast.IntegerNode{Value: 4 + steps}, &ast.IntegerNode{Value: bytes}), n.Node},
		}
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
	case *ast.MemberNode:
		n.Property = g.key(n.Property)
	case *ast.PairNode:
		n.Key = g.key(n.Key)
	case *ast.CallNode:
		if _, method := n.Callee.(*ast.MemberNode); method {
			for i := range n.Arguments {
				if !g.small && !literal(n.Arguments[i]) {
					n.Arguments[i] = call("__given", n.Arguments[i])
				}
			}
		}
	}
}

// key meters a text that is looked up or given to a method.
func (g guard) key(n ast.Node) ast.Node {
	if g.small || literal(n) || isCall(n, keyName) {
		return n
	}
	return call(keyName, n)
}

// literal tells values of the text of an expression: comparing with one takes no longer
// than the one is.
func literal(n ast.Node) bool {
	switch n.(type) {
	case *ast.IntegerNode, *ast.StringNode, *ast.BoolNode, *ast.NilNode, *ast.FloatNode:
		return true
	}
	return false
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
	if name == "" && (g.decimals || !g.small && !literal(n.Left) && !literal(n.Right)) {
		name = decimalOperators[n.Operator]
	}
	switch {
	case n.Operator == "in" && !g.decimals && isConstants(n.Right):
		n.Left = g.key(n.Left) // expr's own lookup of constants
	case name != "":
		ast.Patch(node, call(name, n.Left, n.Right))
	case g.small:
	case n.Operator == "contains":
		ast.Patch(node, call("__contains", n.Left, n.Right))
	case n.Operator == "startsWith" || n.Operator == "endsWith":
		n.Right = g.key(n.Right)
	}
}

// isConstants tells lists of literals: to look in one takes no walk of what is in it.
func isConstants(n ast.Node) bool {
	list, ok := n.(*ast.ArrayNode)
	return ok && !slices.ContainsFunc(list.Nodes, func(x ast.Node) bool { return !literal(x) })
}

func (g guard) builtin(node *ast.Node, n *ast.BuiltinNode) {
	switch {
	case n.Name == "sum":
		list := n.Arguments[0]
		if len(n.Arguments) == 2 {
			list = &ast.BuiltinNode{Name: "map", Arguments: n.Arguments}
			g.predicate(list.(*ast.BuiltinNode))
		}
		ast.Patch(node, call("__sum", list))
		return
	case n.Name == "count" && len(n.Arguments) == 1:
		var each ast.Node = &ast.PredicateNode{Node: &ast.PointerNode{}}
		g.Visit(&each)
		n.Arguments = append(n.Arguments, each)
		return
	case len(n.Arguments) > 1 && g.predicate(n):
		return
	}
	name := guardedBuiltins[n.Name]
	if name == "" && g.decimals {
		name = decimalBuiltins[n.Name]
	}
	if name == "" && !(g.small && constantBuiltins[n.Name]) {
		name = meteredNames[n.Name]
	}
	if name != "" {
		ast.Patch(node, call(name, n.Arguments...))
	}
}

// constantBuiltins are so cheap that a small rule may call them as they are.
var constantBuiltins = map[string]bool{"len": true, "first": true, "last": true, "get": true, "type": true,
	"hasPrefix": true, "hasSuffix": true, "trimPrefix": true, "trimSuffix": true}

var meteredNames = func() map[string]string {
	out := map[string]string{}
	for _, f := range meteredBuiltins {
		out[strings.TrimPrefix(f.name, "__")] = f.name
	}
	return out
}()

// predicate adds to the tick of a loop what it keeps of each element, and meters the
// keys that it orders or groups by. Decimals are no keys.
func (g guard) predicate(n *ast.BuiltinNode) bool {
	p, ok := n.Arguments[1].(*ast.PredicateNode)
	if !ok {
		return false
	}
	s, ok := p.Node.(*ast.SequenceNode)
	if !ok || len(s.Nodes) != 2 {
		return true
	}
	wrap := ""
	switch n.Name {
	case "groupBy":
		wrap = keyName
	case "sortBy":
		wrap = "__sortKey"
	}
	if bytes, ok := s.Nodes[0].(*ast.CallNode).Arguments[1].(*ast.IntegerNode); ok {
		bytes.Value += keptBytes[n.Name]
	}
	if wrap != "" && !isCall(s.Nodes[1], wrap) {
		if g.decimals {
			s.Nodes[1] = call("__plain", s.Nodes[1])
		}
		s.Nodes[1] = call(wrap, s.Nodes[1])
	}
	return true
}

// costOf is what one pass over the parts of a loop takes, in steps, and makes, in bytes.
// Inner loops count for themselves, calls for what they are given.
func costOf(n ast.Node) (steps, bytes int) {
	steps = 1
	switch x := n.(type) {
	case nil, *ast.PredicateNode:
		return 0, 0
	case *ast.StringNode:
		return 1 + len(x.Value)/32, 0
	case *ast.ConditionalNode:
		s0, b0 := costOf(x.Cond)
		s1, b1 := costOf(x.Exp1)
		s2, b2 := costOf(x.Exp2)
		return 1 + s0 + max(s1, s2), b0 + max(b1, b2)
	case *ast.CallNode:
		steps = 4
		if _, method := x.Callee.(*ast.MemberNode); method {
			steps = 30
		}
	case *ast.BuiltinNode:
		steps = 4
	case *ast.MemberNode:
		steps = 3
	case *ast.ArrayNode:
		bytes = 24 + 16*len(x.Nodes)
	case *ast.MapNode:
		steps, bytes = 4+4*len(x.Pairs), value.MapBytes(len(x.Pairs))
	}
	parts := &children{}
	parts.of(n)
	for _, part := range parts.list {
		s, b := costOf(part)
		steps, bytes = steps+s, bytes+b
	}
	return steps, bytes
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
