package expr

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// Header names are case-insensitive (RFC 9110, section 5.1) and are stored in lower case.
// headerNames lowers the names in an expression, so that event.headers["X-Event-Type"] finds
// x-event-type.
type headerNames struct {
	// bare reports whether the name headers alone is the request's, as in triggers and presets.
	bare bool
}

// headerHolders are the names whose field headers contains header fields.
var headerHolders = []string{"event", "response", "detail"}

// Visit implements ast.Visitor.
func (h headerNames) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		if h.fields(n.Node) {
			lowerText(n.Property)
		}
	case *ast.BinaryNode:
		if n.Operator == "in" && h.fields(n.Right) {
			lowerText(n.Left)
		}
	case *ast.BuiltinNode:
		if n.Name == "get" && len(n.Arguments) == 2 && h.fields(n.Arguments[0]) {
			lowerText(n.Arguments[1])
		}
	}
}

func lowerText(n ast.Node) {
	if s, ok := n.(*ast.StringNode); ok {
		s.Value = strings.ToLower(s.Value)
	}
}

// fields reports whether a node is the header fields of a message.
func (h headerNames) fields(n ast.Node) bool {
	switch x := n.(type) {
	case *ast.ChainNode:
		return h.fields(x.Node)
	case *ast.IdentifierNode:
		return h.bare && x.Value == "headers"
	case *ast.MemberNode:
		p, ok := x.Property.(*ast.StringNode)
		id, isName := x.Node.(*ast.IdentifierNode)
		return ok && isName && p.Value == "headers" && slices.Contains(headerHolders, id.Value)
	}
	return false
}
