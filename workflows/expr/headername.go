package expr

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// Names of header fields are the same whatever their case (RFC 9110, section 5.1), and
// they are kept in lower case. headerNames writes the names in an expression so, that
// event.headers["X-Event-Type"] finds what the sender called x-event-type.
type headerNames struct {
	// bare reports whether the name headers alone is the request's: in triggers and presets.
	bare bool
}

// headerHolders have the fields of a message under headers.
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
