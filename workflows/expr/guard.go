package expr

import (
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/hookloom/hookloom/workflows/value"
)

// hidden are the functions with which the guard replaces operators and expr's own functions. Users
// cannot call them.
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
	{name: "__plain", one: func(m *meter, x any) any { return fromDecimal(x) }},
	{name: "__sum", one: func(m *meter, x any) any { return m.sum(x) }},
	{name: "__abs", one: func(m *meter, x any) any { return absolute(x) }},
	{name: "__int", one: func(m *meter, x any) any { return wholeNumber(m.digits(x)) }},
	{name: "__float", one: func(m *meter, x any) any { return toFloat(m.digits(x)) }},
	{name: "__ceil", one: func(m *meter, x any) any { return ceiling(x) }},
	{name: "__floor", one: func(m *meter, x any) any { return floor(x) }},
	{name: "__bitshl", run: func(m *meter, a []any) any { return shiftLeft(a) }},
	{name: "__max", run: func(m *meter, a []any) any { return m.extreme("max", 1, a) }},
	{name: "__min", run: func(m *meter, a []any) any { return m.extreme("min", -1, a) }},
	{name: "__mean", run: func(m *meter, a []any) any { return m.mean(a) }},
	{name: "__median", run: func(m *meter, a []any) any { return m.median(a) }},
	{name: "__type", one: func(m *meter, x any) any { m.work(10); return typeName(x) }},
}

// tickName and keyName are functions that loops call for each element. They are typed, because for
// untyped functions expr allocates an argument list per call.
const tickName, keyName = "__tick", "__key"

var (
	guardedOperators = map[string]string{"+": "__add", "-": "__sub", "*": "__mul", "/": "__div", "%": "__mod", "**": "__pow", "^": "__pow",
		"matches": "__match"}
	// comparisons are replaced only if an operand may be a decimal, or both may be any numbers:
	// expr's own are faster.
	comparisons     = map[string]string{"==": "__eq", "!=": "__ne", "<": "__lt", "<=": "__le", ">": "__gt", ">=": "__ge", "in": "__in"}
	guardedBuiltins = map[string]string{"abs": "__abs", "int": "__int", "float": "__float", "ceil": "__ceil",
		"floor": "__floor", "bitshl": "__bitshl", "type": "__type",
		"mean": "__mean", "median": "__median", "max": "__max", "min": "__min"}
	// keptBytes is the memory that loops keep per element, the machine's stack included.
	keptBytes = map[string]int{"map": 48, "filter": 48, "groupBy": 128, "sortBy": 160}
)

// smallRule is the maximum number of nodes of an expression without loops whose cheapest operators
// are not metered: it reads bounded data a bounded number of times. Most rules are that small and
// run at expr's own speed.
const smallRule = 24

// guard rewrites a program so that its work and memory are metered and its arithmetic never
// overflows. decimals reports whether it may produce decimals, small whether its operators on texts
// and lists need no metering (see smallRule).
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

// sizeOf counts the nodes of an expression and reports whether it has loops.
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

// Visit implements ast.Visitor; children are visited before their parents.
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

// key meters a text that is used as a key or passed to a method.
func (g guard) key(n ast.Node) ast.Node {
	if g.small || literal(n) || isCall(n, keyName) {
		return n
	}
	return call(keyName, n)
}

// literal reports whether n is a literal: comparing with it takes at most time proportional to its
// length.
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
	if name == "" && (g.decimals || !comparable(n.Operator, n.Left) && !comparable(n.Operator, n.Right)) {
		name = comparisons[n.Operator]
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

// comparable reports whether n is a literal that expr's own operator compares exactly with any
// value: an integer that loses digits as a float is beyond 2^53, and so on the same side of all
// smaller numbers. expr cannot order a number and an integer of more than 64 bits.
func comparable(operator string, n ast.Node) bool {
	orders := operator != "==" && operator != "!=" && operator != "in"
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		if orders {
			return false
		}
	}
	switch x := n.(type) {
	case *ast.IntegerNode:
		return x.Value > -value.MaxFloatInt && x.Value < value.MaxFloatInt
	case *ast.FloatNode:
		return math.Abs(x.Value) < value.MaxFloatInt
	}
	return literal(n)
}

// isConstants reports whether n is a list of comparable literals: searching it does not walk nested
// values.
func isConstants(n ast.Node) bool {
	list, ok := n.(*ast.ArrayNode)
	return ok && !slices.ContainsFunc(list.Nodes, func(x ast.Node) bool { return !comparable("in", x) })
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
		if n.Name == "sortBy" {
			ast.Patch(node, g.sortBy(n))
		}
		return
	}
	name := guardedBuiltins[n.Name]
	if name == "" && !(g.small && constantBuiltins[n.Name]) {
		name = meteredNames[n.Name]
	}
	if name != "" {
		ast.Patch(node, call(name, n.Arguments...))
	}
}

// constantBuiltins are so cheap that a small rule may call them unmetered.
var constantBuiltins = map[string]bool{"len": true, "first": true, "last": true, "get": true,
	"hasPrefix": true, "hasSuffix": true, "trimPrefix": true, "trimSuffix": true}

var meteredNames = func() map[string]string {
	out := map[string]string{}
	for _, f := range meteredBuiltins {
		out[strings.TrimPrefix(f.name, "__")] = f.name
	}
	return out
}()

// predicate makes the tick of a loop count the memory kept per element, and meters the keys that
// the loop orders or groups by. Decimals cannot be keys.
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

// sortBy replaces expr's sortBy, which rounds keys: the list becomes pairs of value and key.
func (guard) sortBy(n *ast.BuiltinNode) ast.Node {
	s := n.Arguments[1].(*ast.PredicateNode).Node.(*ast.SequenceNode)
	s.Nodes[1] = &ast.ArrayNode{Nodes: []ast.Node{&ast.PointerNode{}, s.Nodes[1]}}
	pairs := &ast.BuiltinNode{Name: "map", Arguments: n.Arguments[:2]}
	return call("__sortPairs", append([]ast.Node{pairs}, n.Arguments[2:]...)...)
}

// costOf returns the steps and the bytes that one iteration of a loop takes. Inner loops are
// counted separately, calls by their arguments.
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

// constantNumber evaluates an operator on two integer literals; nil if n is something else. A
// result beyond 64 bits is an error.
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

// wholeLiteral returns the value of an integer literal or of a constant integer expression.
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
