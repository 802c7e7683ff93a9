package expr

import (
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// Most expressions are a path, or a path with defaults: event.data.id, headers["x-a"] ?? body.type.
// This file evaluates them without the expression machine, with the same result; unusual data takes
// the slow path, which also creates the errors.

// QuickPaths returns the alternatives of an expression that consists of constant paths joined by
// ??, or nil.
func QuickPaths(text string) [][]string {
	tree, err := parser.ParseWithConfig(text, parseConfig)
	if err != nil {
		return nil
	}
	ast.Walk(&tree.Node, headerNames{bare: true})
	var out [][]string
	if !addPaths(tree.Node, &out) {
		return nil
	}
	return out
}

func addPaths(n ast.Node, out *[][]string) bool {
	switch x := n.(type) {
	case *ast.BinaryNode:
		return x.Operator == "??" && addPaths(x.Left, out) && addPaths(x.Right, out)
	case *ast.ChainNode:
		return addPaths(x.Node, out)
	case *ast.MemberNode:
		root, keys := constantChain(x)
		id, ok := root.(*ast.IdentifierNode)
		if !ok || len(keys) != depth(x) {
			return false
		}
		*out = append(*out, append([]string{id.Value}, keys...))
		return true
	}
	return false
}

// depth returns the number of members of a chain.
func depth(n ast.Node) int {
	switch x := n.(type) {
	case *ast.MemberNode:
		return 1 + depth(x.Node)
	case *ast.ChainNode:
		return depth(x.Node)
	}
	return 0
}

// quickEval evaluates the alternatives. ok is false if a part of a path is not an object: only the
// machine knows whether that is an error.
func (e *Expr) quickEval(names Names) (v any, ok bool) {
	for _, path := range e.quick {
		v = names[path[0]]
		for _, k := range path[1:] {
			m, isMap := v.(map[string]any)
			if !isMap {
				return nil, false
			}
			v = m[k]
		}
		if v != nil {
			return v, true
		}
	}
	return nil, true
}
