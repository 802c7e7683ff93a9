package workflows

import (
	"reflect"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Expr is an expression in a file: the compiled code and its position.
type Expr struct {
	expr.Expr
	place place
}

// newExpr returns the expression that begins at byte offset at of src.
func newExpr(text string, src *source, at int) *Expr {
	return &Expr{Expr: expr.Expr{Text: text}, place: place{src: src, at: at, text: text}}
}

// Line is the line of its file on which the expression begins.
func (e *Expr) Line() int { return e.place.mark(0, 1).Line }

// check compiles the expression against the names visible at its position and reports mistakes to
// its file. want is reflect.Bool for conditions, Slice for the lists of loops, otherwise Invalid.
func (e *Expr) check(sc *expr.Scope, want reflect.Kind) {
	if src := e.place.src; len(src.vars) > 0 || src.settings && e.Reads("vars") {
		sc = src.withVars(sc)
	}
	check := func() []expr.Finding { return e.Check(sc, want) }
	if e.place.src.trusted {
		check = func() []expr.Finding { return e.Trust(sc) }
	}
	for _, f := range check() {
		e.report(f.Code, f.Warning, f.From, f.To, f.Problem, f.Hint)
	}
	e.Zone = e.place.src.zone
	if len(e.place.src.vars) > 0 && e.Reads("vars") {
		e.Vars = e.place.src.vars
	}
}

// report adds a mistake for the characters from..to of the expression.
func (e *Expr) report(code string, warning bool, from, to int, problem, hint string) {
	e.place.src.report(e.place.mark(from, to), code, warning, problem, hint)
}

// Reads reports whether the expression reads name. It returns false for nil.
func (e *Expr) Reads(name string) bool { return e != nil && e.Expr.Reads(name) }

// ReadsKey reports whether the expression reads one of the keys of name, or name itself. It returns
// false for nil.
func (e *Expr) ReadsKey(name string, keys ...string) bool {
	return e != nil && e.Expr.ReadsKey(name, keys...)
}

// AddFields adds to set the fields of name, such as body, that the expression reads. A nil
// expression adds none.
func (e *Expr) AddFields(set *value.FieldSet, name string) {
	if e != nil {
		e.Expr.AddFields(set, name)
	}
}
