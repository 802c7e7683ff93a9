package workflows

import (
	"maps"

	"github.com/hookloom/hookloom/workflows/value"

	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// This file warns of constants that fail each time they are used. A run that began with
// such a file must still load, so they are no errors.

// constantArguments warns of a currency or an algorithm that is written out and not known.
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
			warn(s, fmt.Sprintf("%q is no currency code of ISO 4217: money fails each time", value.Clip(s.Value, 20)),
				currencyHint(s.Value))
		}
	case "hmac":
		if s, ok := text(0); ok && hashes[hashName(s.Value)] == nil {
			warn(s, fmt.Sprintf("hmac knows no algorithm %q: it fails each time", value.Clip(s.Value, 20)),
				suggestOr(hashName(s.Value), slices.Sorted(maps.Keys(hashes))))
		}
		encodings := []string{"hex", "base64", "base64url"}
		if s, ok := text(3); ok && !slices.Contains(encodings, s.Value) {
			warn(s, fmt.Sprintf("hmac knows no encoding %q: it fails each time", value.Clip(s.Value, 20)), suggestOr(s.Value, encodings))
		}
	}
}

// currencyHint names the currency whose code a longer word begins with.
func currencyHint(word string) string {
	if code := strings.ToUpper(word); len(code) > 3 && slices.Contains(Currencies(), code[:3]) {
		return fmt.Sprintf("did you mean %q?", code[:3])
	}
	return "write its code of three letters, such as EUR"
}

// hashName is the name of a hash without what may stand in it.
func hashName(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }

// savedPath is an expression that is the path of what a step saved.
var savedPath = regexp.MustCompile(`^steps\.([a-z][a-z0-9_]*)(?:\.|\?\.)output(?:\.|\?\.)path$`)

// rawPath warns of the path of a saved answer where its bytes are wanted.
func (s *stepChecker) rawPath(st *Step) {
	v := st.With.Field("raw")
	if st.Spec.Input("raw_file") == nil || !v.IsExpression() {
		return
	}
	m := savedPath.FindStringSubmatch(strings.TrimSpace(v.expr.Text))
	if m == nil {
		return
	}
	s.w.EachStep(func(other *Step) {
		if other.ID == m[1] && other.Spec != nil && other.Spec.Input("save") != nil && other.saves() == yes {
			s.w.src.warn(v.keyPos(s.w.src, "raw"), "wrong-type", "raw is the bytes themselves, and this is the path of a file",
				"write raw_file: ${{ "+v.expr.Text+" }}")
		}
	})
}

// calledWith checks a value that is written out for an input of a called workflow.
func (s *stepChecker) calledWith(st *Step, in Input, at *Value, v any) {
	problem := in.check(v)
	if problem == "" || at.broken {
		return
	}
	hint := ""
	switch v.(type) {
	case map[string]any, []any:
	default:
		if text, err := value.Text(v); err == nil && in.Type == "string" {
			hint = fmt.Sprintf("quote it: %q", text)
		}
	}
	s.w.src.warn(at.pos, "wrong-type", fmt.Sprintf("%s: input %s: %s, so the call fails each time", st.Call, in.Name, problem), hint)
}
