package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file warns about constants that always fail. They are not errors because a run that began
// with such a file must still load.

// constantArguments warns about an unknown constant currency or algorithm.
func (l *linter) constantArguments(x *ast.CallNode) {
	id, ok := x.Callee.(*ast.IdentifierNode)
	if !ok {
		return
	}
	text := func(i int) (*ast.StringNode, bool) {
		if i >= len(x.Arguments) {
			return nil, false
		}
		s, ok := x.Arguments[i].(*ast.StringNode)
		return s, ok
	}
	warn := func(s *ast.StringNode, problem, hint string) {
		at := s.Location()
		l.e.report("unknown-word", true, at.From, max(at.To, at.From+1), problem, hint)
	}
	switch id.Value {
	case "money":
		if s, ok := text(1); ok && !slices.Contains(Currencies(), strings.ToUpper(s.Value)) {
			warn(s, fmt.Sprintf("%q is not an ISO 4217 currency code: money always fails", value.Clip(s.Value, 20)),
				currencyHint(s.Value))
		}
	case "hmac":
		if s, ok := text(0); ok && hashes[hashName(s.Value)] == nil {
			warn(s, fmt.Sprintf("hmac has no algorithm %q: it always fails", value.Clip(s.Value, 20)),
				spelling.SuggestOr(hashName(s.Value), slices.Sorted(maps.Keys(hashes))))
		}
		encodings := []string{"hex", "base64", "base64url"}
		if s, ok := text(3); ok && !slices.Contains(encodings, s.Value) {
			warn(s, fmt.Sprintf("hmac has no encoding %q: it always fails", value.Clip(s.Value, 20)), spelling.SuggestOr(s.Value, encodings))
		}
	}
}

// currencyHint suggests the currency with whose code a longer word begins.
func currencyHint(word string) string {
	if code := strings.ToUpper(word); len(code) > 3 && slices.Contains(Currencies(), code[:3]) {
		return fmt.Sprintf("did you mean %q?", code[:3])
	}
	return "write its code of three letters, such as EUR"
}

// hashName normalizes the name of a hash.
func hashName(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }
