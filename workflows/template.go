package workflows

import (
	"html"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Value is the value of a key that is not an expression: data with texts in which ${{ }} inserts.
// It is rendered once; the result is never parsed again.
type Value struct {
	pos Pos
	// exactly one of these is set
	constant any
	expr     *Expr
	parts    []part
	list     []*Value
	keys     []string
	values   []*Value
	kind     valueKind
	// secrets reports whether an expression inside uses a secret.
	secrets bool
	// broken reports whether the value had a mistake and cannot be used.
	broken bool
}

type valueKind int

const (
	constantValue valueKind = iota
	exprValue
	textValue
	listValue
	mapValue
)

type part struct {
	text string
	expr *Expr
}

// Fill says how values are inserted.
type Fill int

const (
	// FillPlain inserts text unchanged; nil inserts nothing.
	FillPlain Fill = iota
	// FillNonempty refuses nil and empty values, for ids and headers.
	FillNonempty
	// FillURL refuses nil and empty values too. It percent-encodes each value as a path segment, or
	// after the first ? as a query value, unless an expression is the complete URL.
	FillURL
	// FillBytes is for an input that takes base64: binary values (fromBase64, fromHex) are encoded,
	// whether they are text or not.
	FillBytes
	// FillParts is for the parts of a multipart body, which have such an input in raw.
	FillParts
	// FillHTML escapes each value for HTML, unless an expression is the complete value: data is
	// never markup.
	FillHTML
)

// nonempty reports whether nil and empty values are refused.
func (f Fill) nonempty() bool { return f == FillNonempty || f == FillURL }

// takeBytes marks the expressions whose result may be binary because their input takes base64. It
// is called when a file is checked.
func (v *Value) takeBytes(fill Fill) {
	switch {
	case v == nil || !(fill == FillBytes || fill == FillParts):
	case v.kind == exprValue:
		v.expr.Bytes = v.expr.Bytes || fill == FillBytes
	case fill == FillParts:
		for _, x := range v.list {
			x.takeBytes(fill)
		}
		for i, x := range v.values {
			if v.keys[i] == "raw" {
				x.takeBytes(FillBytes)
			} else {
				x.takeBytes(fill)
			}
		}
	}
}

// IsConstant reports whether the value contains no expression, and returns the data.
func (v *Value) IsConstant() (any, bool) {
	if v == nil {
		return nil, true
	}
	return v.constant, v.kind == constantValue
}

// IsExpression reports whether the value is a single expression.
func (v *Value) IsExpression() bool { return v != nil && v.kind == exprValue }

// UsesSecrets reports whether an expression inside uses a secret.
func (v *Value) UsesSecrets() bool { return v != nil && v.secrets }

// Field returns the value of a key of a mapping, or nil.
func (v *Value) Field(name string) *Value {
	if v == nil {
		return nil
	}
	if m, ok := v.constant.(map[string]any); ok && v.kind == constantValue && len(v.keys) == 0 {
		if x, there := m[name]; there {
			return &Value{kind: constantValue, constant: x, pos: v.pos}
		}
		return nil
	}
	for i, k := range v.keys {
		if k == name {
			return v.values[i]
		}
	}
	return nil
}

// Same reports whether two values are written the same.
func (v *Value) Same(w *Value) bool {
	if v == nil || w == nil {
		return v == w
	}
	if v.kind != w.kind || len(v.parts) != len(w.parts) || len(v.list) != len(w.list) || !slices.Equal(v.keys, w.keys) {
		return false
	}
	for i, p := range v.parts {
		if q := w.parts[i]; p.text != q.text || (p.expr == nil) != (q.expr == nil) || p.expr != nil && p.expr.Text != q.expr.Text {
			return false
		}
	}
	if (v.expr == nil) != (w.expr == nil) || v.expr != nil && v.expr.Text != w.expr.Text {
		return false
	}
	for i, x := range v.list {
		if !x.Same(w.list[i]) {
			return false
		}
	}
	for i, x := range v.values {
		if !x.Same(w.values[i]) {
			return false
		}
	}
	return reflect.DeepEqual(v.constant, w.constant)
}

// Template returns a text with {} for each insertion; empty if the value is not a text.
func (v *Value) Template() string {
	if v == nil {
		return ""
	}
	switch v.kind {
	case constantValue:
		text, _ := v.constant.(string)
		return text
	case exprValue:
		return "{}"
	case textValue:
		var b strings.Builder
		for _, p := range v.parts {
			if p.expr != nil {
				b.WriteString("{}")
			}
			b.WriteString(p.text)
		}
		return b.String()
	}
	return ""
}

// SecretName returns the secret of a value that is just that secret, as in ${{ secrets.NAME }};
// empty for any other value.
func (v *Value) SecretName() string {
	if v == nil || v.kind != exprValue {
		return ""
	}
	return v.expr.secretName()
}

// secretName returns the secret of an expression that is just that secret; empty for others.
func (e *Expr) secretName() string {
	name, ok := strings.CutPrefix(strings.TrimSpace(e.Text), "secrets.")
	if !ok || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return ""
	}
	return name
}

func (e *Expr) isSecret() bool { return e.UsesSecrets() && e.secretName() != "" }

// Keys returns the keys of a mapping in file order, those of a constant one sorted.
func (v *Value) Keys() []string {
	if v == nil {
		return nil
	}
	if m, ok := v.constant.(map[string]any); ok && v.kind == constantValue {
		return slices.Sorted(maps.Keys(m))
	}
	return v.keys
}

// isMap reports whether the value is written as a map, with or without expressions in it.
func (v *Value) isMap() bool {
	if v == nil {
		return false
	}
	_, constant := v.constant.(map[string]any)
	return v.kind == mapValue || v.kind == constantValue && constant
}

// Render returns the value as data. A value that is exactly one ${{ }} keeps its type; within text
// it is converted to text.
func (v *Value) Render(env *expr.Env, fill Fill) (any, error) { return v.render(env, fill, nil) }

// render implements Render; empty records the expressions that insert nothing, and may be nil.
func (v *Value) render(env *expr.Env, fill Fill, empty *Nothing) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch v.kind {
	case exprValue:
		return v.whole(env, fill)
	case textValue:
		return v.insert(env, fill, empty, nil)
	case listValue:
		out := make([]any, len(v.list))
		for i, x := range v.list {
			r, err := x.render(env, fill, empty)
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return out, nil
	case mapValue:
		out := make(map[string]any, len(v.keys))
		for i, x := range v.values {
			r, err := x.renderUnder(v.keys[i], env, fill, empty)
			if err != nil {
				return nil, err
			}
			out[v.keys[i]] = r
		}
		return out, nil
	}
	return v.constant, nil
}

// RenderGiven is like Render, but omits map keys whose expression gives nil. APIs read null as
// "delete this", which is not what a missing input means. Nulls inside the result of an expression
// are kept.
func (v *Value) RenderGiven(env *expr.Env, fill Fill) (any, error) {
	if v == nil || v.kind != mapValue && v.kind != listValue {
		return v.Render(env, fill)
	}
	if v.kind == listValue {
		out := make([]any, len(v.list))
		for i, x := range v.list {
			r, err := x.RenderGiven(env, fill)
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return out, nil
	}
	out := make(map[string]any, len(v.keys))
	for i, x := range v.values {
		r, err := x.RenderGiven(env, fill)
		if err != nil {
			return nil, err
		}
		if r != nil || x.kind != exprValue {
			out[v.keys[i]] = r
		}
	}
	return out, nil
}

// whole renders a value that is a single expression.
func (v *Value) whole(env *expr.Env, fill Fill) (any, error) {
	r, err := v.expr.Eval(env)
	if err != nil {
		return nil, err
	}
	if fill.nonempty() && (r == nil || r == "") {
		return nil, emptyPiece(v.expr)
	}
	return value.Normalize(r)
}

func emptyPiece(e *Expr) error {
	return &expr.EvalError{Expr: e.Text, Line: 1, Column: 1, Problem: "the value is nil or empty, which is not allowed here"}
}

// insert renders a text. empty records the expressions that insert nothing. If seen is not nil, it
// is called for each part: a literal, or an expression with its result and the inserted text.
func (v *Value) insert(env *expr.Env, fill Fill, empty *Nothing, seen func(p part, result any, piece string)) (string, error) {
	var b strings.Builder
	var inserted []span // in the path of a URL
	for _, p := range v.parts {
		if p.expr == nil {
			b.WriteString(p.text)
			if seen != nil {
				seen(p, nil, p.text)
			}
			continue
		}
		r, err := p.expr.Eval(env)
		if err != nil {
			return "", err
		}
		s, err := value.Text(r)
		if err != nil {
			return "", &expr.EvalError{Expr: p.expr.Text, Line: 1, Column: 1, Problem: err.Error(), Cause: err}
		}
		if s == "" {
			if fill.nonempty() {
				return "", emptyPiece(p.expr)
			}
			empty.note(p.expr)
		}
		if fill == FillURL {
			if query := strings.ContainsAny(b.String(), "?#"); query {
				s = expr.URLEncode(s)
			} else {
				s = url.PathEscape(s)
				inserted = append(inserted, span{b.Len(), b.Len() + len(s), p.expr})
			}
		}
		if fill == FillHTML {
			s = html.EscapeString(s)
		}
		if b.Len()+len(s) > value.MaxSize {
			return "", value.ErrTooLarge
		}
		b.WriteString(s)
		if seen != nil {
			seen(p, r, s)
		}
	}
	if e := climbs(b.String(), inserted); e != nil {
		return "", &expr.EvalError{
			Expr:    e.Text,
			Line:    1,
			Column:  1,
			Problem: "the value makes a path segment . or .., which is not allowed in a URL",
		}
	}
	return b.String(), nil
}

// exprs calls visit for every expression inside.
func (v *Value) exprs(visit func(*Expr)) {
	if v == nil {
		return
	}
	if v.expr != nil {
		visit(v.expr)
	}
	for _, p := range v.parts {
		if p.expr != nil {
			visit(p.expr)
		}
	}
	for _, x := range v.list {
		x.exprs(visit)
	}
	for _, x := range v.values {
		x.exprs(visit)
	}
}

// check compiles every expression inside against a scope.
func (v *Value) check(sc *expr.Scope) {
	v.exprs(func(e *Expr) { e.check(sc, 0) })
	v.markSecrets()
}

func (v *Value) markSecrets() {
	if v == nil {
		return
	}
	v.exprs(func(e *Expr) { v.secrets = v.secrets || e.UsesSecrets() })
	for _, x := range v.list {
		x.markSecrets()
	}
	for _, x := range v.values {
		x.markSecrets()
	}
}
