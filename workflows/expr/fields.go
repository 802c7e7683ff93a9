package expr

import (
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/hookloom/hookloom/workflows/value"
)

// AddFields adds to set the fields of name, such as body, that the expression reads: chains of
// constant keys, or everything if name itself is used.
func (e *Expr) AddFields(set *value.FieldSet, name string) {
	if !e.eachChain(name, func(keys []string) { set.Add(keys...) }) {
		set.Add()
	}
}

// ReadsKey reports whether the expression reads one of the keys of name, or name itself.
func (e *Expr) ReadsKey(name string, keys ...string) bool {
	found := false
	parsed := e.eachChain(name, func(chain []string) {
		found = found || len(chain) == 0 || slices.Contains(keys, chain[0])
	})
	return found || !parsed
}

// eachChain calls found for each outermost chain of constant keys that begins with name, and with
// no keys if name itself is used. It reports whether the expression parses; a nil expression reads
// nothing.
func (e *Expr) eachChain(name string, found func(keys []string)) bool {
	if e == nil {
		return true
	}
	tree, err := parser.ParseWithConfig(e.Text, parseConfig)
	if err != nil {
		return false
	}
	f := &chainFinder{name: name, found: found}
	f.visit(tree.Node)
	return true
}

// chainFinder finds the chains of constant keys that begin with a name.
type chainFinder struct {
	name  string
	found func(keys []string)
}

func (f *chainFinder) visit(n ast.Node) {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		if x.Value == f.name {
			f.found(nil)
		}
	case *ast.MemberNode:
		root, keys := constantChain(x)
		if id, ok := root.(*ast.IdentifierNode); ok && id.Value == f.name && len(keys) > 0 {
			f.found(keys)
			f.computed(x)
			return
		}
		f.visit(x.Node)
		f.visit(x.Property)
	default:
		c := &children{}
		c.of(n)
		for _, k := range c.list {
			f.visit(k)
		}
	}
}

// computed visits the keys of a chain that are computed, such as body.i in body.list[body.i].
func (f *chainFinder) computed(n ast.Node) {
	switch x := n.(type) {
	case *ast.MemberNode:
		if _, constant := x.Property.(*ast.StringNode); !constant {
			f.visit(x.Property)
		}
		f.computed(x.Node)
	case *ast.ChainNode:
		f.computed(x.Node)
	}
}

// constantChain follows a.b?.c to its root and returns the keys from the root to the first part
// that is not constant.
func constantChain(n *ast.MemberNode) (ast.Node, []string) {
	var keys []string
	var node ast.Node = n
	for {
		switch x := node.(type) {
		case *ast.MemberNode:
			if p, ok := x.Property.(*ast.StringNode); ok {
				keys = append([]string{p.Value}, keys...)
			} else {
				keys = nil
			}
			node = x.Node
		case *ast.ChainNode:
			node = x.Node
		default:
			return node, keys
		}
	}
}

// children collects a node's direct children.
type children struct{ list []ast.Node }

func (c *children) of(n ast.Node) {
	switch x := n.(type) {
	case *ast.UnaryNode:
		c.list = append(c.list, x.Node)
	case *ast.BinaryNode:
		c.list = append(c.list, x.Left, x.Right)
	case *ast.ChainNode:
		c.list = append(c.list, x.Node)
	case *ast.SliceNode:
		c.list = append(c.list, x.Node, x.From, x.To)
	case *ast.CallNode:
		c.list = append(append(c.list, x.Callee), x.Arguments...)
	case *ast.BuiltinNode:
		c.list = append(c.list, x.Arguments...)
	case *ast.PredicateNode:
		c.list = append(c.list, x.Node)
	case *ast.ConditionalNode:
		c.list = append(c.list, x.Cond, x.Exp1, x.Exp2)
	case *ast.VariableDeclaratorNode:
		c.list = append(c.list, x.Value, x.Expr)
	case *ast.SequenceNode:
		c.list = append(c.list, x.Nodes...)
	case *ast.ArrayNode:
		c.list = append(c.list, x.Nodes...)
	case *ast.MapNode:
		c.list = append(c.list, x.Pairs...)
	case *ast.PairNode:
		c.list = append(c.list, x.Key, x.Value)
	}
}
