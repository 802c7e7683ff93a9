package workflows

import (
	"reflect"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Expr is an expression of a file: what runs it, and where it stands.
type Expr struct {
	expr.Expr
	place place
}

// newExpr is the expression whose first letter is the byte at of a file.
func newExpr(text string, src *source, at int) *Expr {
	return &Expr{Expr: expr.Expr{Text: text}, place: place{src: src, at: at, text: text}}
}

// check compiles the expression against what may be named at its place; what is wrong
// goes to its file. want is reflect.Bool for conditions, else Invalid.
func (e *Expr) check(sc *expr.Scope, want reflect.Kind) {
	check := func() []expr.Finding { return e.Check(sc, want) }
	if e.place.src.trusted {
		check = func() []expr.Finding { return e.Trust(sc) }
	}
	for _, f := range check() {
		e.report(f.Code, f.Warning, f.From, f.To, f.Problem, f.Hint)
	}
	e.Zone = e.place.src.zone
}

// report reports a mistake at letters from..to of the expression.
func (e *Expr) report(code string, warning bool, from, to int, problem, hint string) {
	e.place.src.report(e.place.mark(from, to), code, warning, problem, hint)
}

// Reads reports whether the expression reads a name; nil reads nothing.
func (e *Expr) Reads(name string) bool { return e != nil && e.Expr.Reads(name) }

// ReadsKey reports whether the expression reads one of the keys of a name, or the name
// as a whole; nil reads nothing.
func (e *Expr) ReadsKey(name string, keys ...string) bool {
	return e != nil && e.Expr.ReadsKey(name, keys...)
}

// AddFields adds to set what the expression reads of a name such as body; nil adds
// nothing.
func (e *Expr) AddFields(set *value.FieldSet, name string) {
	if e != nil {
		e.Expr.AddFields(set, name)
	}
}
