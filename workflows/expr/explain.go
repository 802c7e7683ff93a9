package expr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/hookloom/hookloom/workflows/value"
)

// Part is a subexpression with its value.
type Part struct {
	// Text is the source of the subexpression.
	Text string `json:"expression"`
	// Depth is the nesting depth; 0 is the complete expression.
	Depth int `json:"depth"`
	Value any `json:"value"`
	// Type is the value's type in words.
	Type string `json:"type"`
	// Problem says why there is no value.
	Problem string `json:"error,omitempty"`
}

// Cost is what an evaluation cost, and the maximum.
type Cost struct {
	Steps    int `json:"steps"`
	MaxSteps int `json:"max_steps"`
	Bytes    int `json:"bytes"`
	MaxBytes int `json:"max_bytes"`
}

// Explanation is an evaluation with all its parts. Parts[0] is the complete expression; each part
// is followed by its own parts.
type Explanation struct {
	Parts []Part `json:"parts"`
	Cost  Cost   `json:"cost"`
}

// Limits of the work that Explain does for the parts of an expression: how many it evaluates, the
// total length of their texts in bytes, since each is compiled separately, and the total size of
// their values in bytes. Together they may take about as many steps as one evaluation.
const (
	maxExplained      = 200
	maxExplainedText  = 256 << 10
	maxExplainedBytes = 2 * value.MaxSize
)

// Explain evaluates an expression and each of its parts. The error means that the text does not
// compile. A part that fails at run time has a Problem. Parts of a predicate, such as the condition
// of filter, have no value of their own.
func Explain(text string, env *Env) (*Explanation, error) {
	return (&explainer{env: env}).explain(text)
}

// explain is Explain within the remaining limits.
func (x *explainer) explain(text string) (*Explanation, error) {
	if x.names == nil {
		x.names = slices.Collect(maps.Keys(x.env.Names))
	}
	whole, err := Compile(text, x.names...)
	if err != nil {
		return nil, compileError(text, x.names, err)
	}
	tree, err := parser.ParseWithConfig(text, parseConfig)
	if err != nil {
		return nil, err
	}
	x.out, x.seen = &Explanation{}, map[string]bool{tree.Node.String(): true}
	x.out.Cost = x.evaluate(whole, text, 0)
	if p := &x.out.Parts[0]; p.Problem != "" {
		// What fails because of how it is written, such as a method of another language, is a mistake
		// that Check knows.
		if why := whyNot(text, x.names); why != nil {
			p.Problem = why.Error()
		}
	}
	for _, n := range parts(tree.Node) {
		x.add(n, 1)
	}
	return x.out, nil
}

// evaluate adds a part and its cost.
func (x *explainer) evaluate(e *Expr, text string, depth int) (cost Cost) {
	v, err := e.measured(x.env, &cost)
	if err == nil {
		v, err = shown(v, depth)
	}
	size, _, _ := value.Size(v)
	x.count, x.steps, x.bytes = x.count+1, x.steps+cost.Steps, x.bytes+size
	x.out.Parts = append(x.out.Parts, partOf(text, depth, v, err))
	return cost
}

// shown returns a value as Explain shows it. A list may contain the same text a thousand times, which
// takes no memory until it is formatted. So a complete expression whose value exceeds the limits of a
// value has an error instead, and the value of a part is truncated.
func shown(v any, depth int) (any, error) {
	var limit *value.LimitError
	switch _, err := value.Fit(v); {
	case !errors.As(err, &limit):
		return v, nil
	case depth == 0:
		return nil, limit
	}
	return value.Cut(v), nil
}

// measured is Eval that also measures the cost.
func (e *Expr) measured(env *Env, cost *Cost) (any, error) {
	m := meters.Get().(*meter)
	m.start(e, e.code, env, time.Now().Add(maxExprTime))
	v, err := m.run(e, e.code)
	*cost = Cost{Steps: m.steps, MaxSteps: maxWork, Bytes: m.bytes, MaxBytes: maxExprBytes}
	m.end(e.code, env)
	if err != nil {
		return nil, e.runtimeError(err)
	}
	return v, nil
}

type explainer struct {
	env   *Env
	names []string
	out   *Explanation
	seen  map[string]bool
	// count is the number of parts so far, text the total length of their texts in bytes, steps
	// their cost, and bytes the size of their values.
	count, text, steps, bytes int
}

// spent reports whether the steps or bytes are used up.
func (x *explainer) spent() bool { return x.steps > maxWork || x.bytes > maxExplainedBytes }

// full reports whether no more parts are evaluated.
func (x *explainer) full() bool {
	return x.count >= maxExplained || x.text > maxExplainedText || x.spent()
}

// add adds a node and its parts.
func (x *explainer) add(n ast.Node, depth int) {
	if saysItsValue(n) || x.full() {
		return
	}
	text := n.String()
	if !x.seen[text] {
		x.seen[text] = true
		x.text += len(text)
		if e, err := Compile(text, x.names...); err == nil {
			x.evaluate(e, text, depth)
		} else {
			x.out.Parts = append(x.out.Parts, partOf(text, depth, nil, err))
		}
	}
	for _, p := range parts(n) {
		x.add(p, depth+1)
	}
}

func partOf(text string, depth int, v any, err error) Part {
	p := Part{Text: text, Depth: depth, Value: v, Type: value.Describe(v)}
	if err != nil {
		p.Value, p.Type, p.Problem = nil, "", fmt.Sprint(err)
	}
	return p
}

// saysItsValue reports whether a node is a literal value.
func saysItsValue(n ast.Node) bool {
	switch n.(type) {
	case *ast.NilNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode, *ast.ConstantNode:
		return true
	}
	return false
}

// parts returns the children of a node that have a value on their own.
func parts(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ChainNode:
		return parts(n.Node)
	case *ast.MemberNode:
		if _, name := n.Property.(*ast.StringNode); name {
			return memberParts(n.Node)
		}
		return append(memberParts(n.Node), n.Property)
	case *ast.SliceNode:
		return []ast.Node{n.Node}
	case *ast.CallNode:
		return n.Arguments
	case *ast.BuiltinNode:
		var out []ast.Node
		for _, a := range n.Arguments {
			if _, is := a.(*ast.PredicateNode); !is {
				out = append(out, a)
			}
		}
		return out
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		var out []ast.Node
		for _, p := range n.Pairs {
			if pair, ok := p.(*ast.PairNode); ok {
				out = append(out, pair.Value)
			}
		}
		return out
	}
	return nil
}

// memberParts omits the prefixes of a plain path such as event.data.order: the value of the path is
// enough, and the first prefix is the complete event.
func memberParts(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return nil
	case *ast.MemberNode:
		return parts(n)
	case *ast.ChainNode:
		return memberParts(n.Node)
	}
	return []ast.Node{n}
}
