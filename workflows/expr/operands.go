package expr

import "github.com/expr-lang/expr/ast"

// Operand is an operand of && or || in a condition. Value is nil if the evaluation did not reach it:
// an earlier operand decided the result, or the evaluation failed.
type Operand struct {
	Text  string
	Value *bool
}

// Operands returns the operands of the && and || that a condition consists of, in order, with their
// values. It returns none for a condition without such an operator, or one that cannot be parsed. An
// env of nil leaves all values out.
func (d *Differ) Operands(text string, env *Env) (out []Operand) {
	n := d.tree(text)
	if n == nil || !joins(n) {
		return nil
	}
	d.operandsOf(n, env, &out)
	return out
}

// joins reports whether a part of a condition has operands: it joins others, or negates such a part.
func joins(n ast.Node) bool {
	switch x := n.(type) {
	case *ast.BinaryNode:
		return boolean(x.Operator) != ""
	case *ast.UnaryNode:
		return (x.Operator == "!" || x.Operator == "not") && joins(x.Node)
	}
	return false
}

// operandsOf appends the operands of a part, evaluated from left to right as far as the result is
// open, and returns the part's value; nil for one that has none.
func (d *Differ) operandsOf(n ast.Node, env *Env, out *[]Operand) *bool {
	if !joins(n) {
		o := Operand{Text: n.String()}
		if env != nil {
			if v, is := d.eval(n, env).(bool); is {
				o.Value = &v
			}
		}
		*out = append(*out, o)
		return o.Value
	}
	if x, ok := n.(*ast.UnaryNode); ok {
		v := d.operandsOf(x.Node, env, out)
		if v != nil {
			not := !*v
			return &not
		}
		return nil
	}
	x := n.(*ast.BinaryNode)
	left := d.operandsOf(x.Left, env, out)
	if decides := boolean(x.Operator) == "||"; left == nil || *left == decides {
		env = nil // the right side is not reached
	}
	right := d.operandsOf(x.Right, env, out)
	if env == nil {
		return left
	}
	return right
}
