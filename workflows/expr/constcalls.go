package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
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
		if s, ok := text(2); ok && otherUnits[s.Value] == nil {
			warn(s, fmt.Sprintf("money knows no provider %q: it always fails", value.Clip(s.Value, 20)),
				"write money(amount, currency) for the units of ISO 4217, or \"stripe\"")
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

// layoutElement matches what a layout of Go is made of; anything else in it is literal text.
// Source: the constants of package time.
var layoutElement = lazyregexp.New(`2006|Jan|Mon|MST|PM|pm|Z07|-07|[0_]?[1-6]|15`)

// layout warns about a layout in the notation of another language, which formats every time as the
// same text and parses nothing.
func (l *linter) layout(s *ast.StringNode) {
	if s.Value == "" || layoutElement.MatchString(s.Value) {
		return
	}
	hint := `write the layout with the time 2006-01-02 15:04:05, such as "02.01.2006"`
	if own := layoutWords.Replace(s.Value); layoutElement.MatchString(own) {
		hint = fmt.Sprintf("write %q", own)
	}
	at := s.Location()
	l.e.report("unknown-word", true, at.From, max(at.To, at.From+1), fmt.Sprintf("%q is no layout: it names no part of a time",
		value.Clip(s.Value, 40)), hint)
}

// formatLayout checks the layout of a call of Format.
func (l *linter) formatLayout(x *ast.CallNode) {
	m, ok := x.Callee.(*ast.MemberNode)
	if !ok || len(x.Arguments) != 1 {
		return
	}
	name, ok := m.Property.(*ast.StringNode)
	s, isText := x.Arguments[0].(*ast.StringNode)
	if ok && isText && name.Value == "Format" {
		l.layout(s)
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

// trailingComment matches what looks like the divisor of a whole division of Python.
var trailingComment = lazyregexp.New(`^//\s*[\w.()\[\]#]+\s*$`)

// divisionComment warns about a // b, of which b is a comment.
func (e *checking) divisionComment() {
	var quote byte
	for i := 0; i < len(e.Text); i++ {
		switch c := e.Text[i]; {
		case quote != 0 && c == '\\' && quote != '`':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '/' && trailingComment.MatchString(e.Text[i:]) && strings.TrimSpace(e.Text[:i]) != "":
			from := utf8.RuneCountInString(e.Text[:i])
			e.report("not-evaluated", true, from, from+2, "// begins a comment: what follows is not evaluated",
				"write int(a / b) to divide without a fraction")
			return
		}
	}
}
