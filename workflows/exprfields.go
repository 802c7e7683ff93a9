package workflows

import (
	"github.com/hookloom/hookloom/workflows/value"

	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// AddFields adds to set what the expression reads of a name such as body: chains of
// constant keys, or the whole where the name itself is used.
func (e *Expr) AddFields(set *value.FieldSet, name string) {
	if e == nil {
		return
	}
	tree, err := parser.ParseWithConfig(e.Text, parseConfig)
	if err != nil {
		set.Add()
		return
	}
	f := &fieldFinder{name: name, set: set}
	f.visit(tree.Node)
}

// fieldFinder looks for the outermost chains that begin with a name.
type fieldFinder struct {
	name string
	set  *value.FieldSet
}

func (f *fieldFinder) visit(n ast.Node) {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		if x.Value == f.name {
			f.set.Add()
		}
	case *ast.MemberNode:
		root, keys := constantChain(x)
		if id, ok := root.(*ast.IdentifierNode); ok && id.Value == f.name && len(keys) > 0 {
			f.set.Add(keys...)
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

// ReadsKey tells whether the expression reads one of the keys of a name, or the name
// as a whole.
func (e *Expr) ReadsKey(name string, keys ...string) bool {
	if e == nil {
		return false
	}
	tree, err := parser.ParseWithConfig(e.Text, parseConfig)
	if err != nil {
		return true
	}
	f := &keyFinder{name: name, keys: keys}
	f.visit(tree.Node)
	return f.found
}

// keyFinder looks for name.key, and for the name by itself.
type keyFinder struct {
	name  string
	keys  []string
	found bool
}

func (f *keyFinder) visit(n ast.Node) {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		f.found = f.found || x.Value == f.name
	case *ast.MemberNode:
		root, chain := constantChain(x)
		if id, ok := root.(*ast.IdentifierNode); ok && id.Value == f.name && len(chain) > 0 {
			f.found = f.found || slices.Contains(f.keys, chain[0])
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

// constantChain follows a.b?.c down to its root and gives the keys from the
// root up to the first part that is not constant.
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

// children lists a node's direct parts.
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
