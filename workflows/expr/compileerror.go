package expr

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/types"
	"github.com/hookloom/hookloom/workflows/value"
)

// CompileError is a text that is no expression, with the place and the advice of Check.
type CompileError struct {
	// Text is the source.
	Text string
	Finding
}

// Error implements error: the problem, the line with carets, and the advice.
func (e *CompileError) Error() string {
	text := []rune(strings.ReplaceAll(e.Text, "\t", " "))
	from := min(e.From, len(text))
	start := from
	for start > 0 && text[start-1] != '\n' {
		start--
	}
	end := len(text)
	if i := slices.Index(text[from:], '\n'); i >= 0 {
		end = from + i
	}
	// At most 60 characters before the place and 100 after it are shown.
	start, end = max(start, from-60), min(end, from+100)
	width := max(1, min(e.To, end)-from)
	return strings.TrimRight(fmt.Sprintf("%s\n  %s\n  %s%s %s", e.Problem, string(text[start:end]), strings.Repeat(" ", from-start),
		strings.Repeat("^", width), e.Hint), " ")
}

// whyNot returns the first error that Check finds in an expression which reads these names; nil if
// it finds none.
func whyNot(text string, names []string) *CompileError {
	sc := &Scope{Where: "this evaluation", Names: types.Map{}}
	for _, n := range names {
		sc.Names[n] = types.Any
		if n == "event" {
			sc.Names[n] = EventType(types.Any)
		}
	}
	for _, f := range (&Expr{Text: text}).Check(sc, reflect.Invalid) {
		if !f.Warning {
			return &CompileError{Text: text, Finding: f}
		}
	}
	return nil
}

// compileError explains why Compile refused a text. What Check has no words for stays as it is.
func compileError(text string, names []string, err error) error {
	if why := whyNot(text, names); why != nil {
		return why
	}
	return fmt.Errorf("compiling %s: %w", value.Clip(text, 80), err)
}
