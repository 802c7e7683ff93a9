package workflows

import (
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Shown renders values both for sending and for the record: it evaluates each expression once, with
// the real secrets, and writes *** to the record where an expression inserts a secret. Other values
// derived from a secret are masked by value when they are stored.
type Shown struct {
	// Hidden are values, as text, that are masked if they are the complete result of an expression:
	// secret inputs, however short.
	Hidden []string
	// Derived collects the parts of secrets that expressions extracted.
	Derived []string
	// Nothing records the expressions that insert nothing into text for people; it may be nil.
	Nothing *Nothing
}

// Render returns a value as Value.Render does, and as it may be recorded.
func (s *Shown) Render(v *Value, env *expr.Env, fill Fill) (value, shown any, err error) {
	if v == nil || !v.secrets && len(s.Hidden) == 0 {
		value, err = v.render(env, fill, s.Nothing)
		return value, value, err
	}
	switch v.kind {
	case exprValue:
		if value, err = v.whole(env, fill); err != nil {
			return nil, nil, err
		}
		return value, s.show(v.expr, env, value), nil
	case textValue:
		return s.text(v, env, fill)
	case listValue:
		list, masked := make([]any, len(v.list)), make([]any, len(v.list))
		for i, x := range v.list {
			if list[i], masked[i], err = s.Render(x, env, fill); err != nil {
				return nil, nil, err
			}
		}
		return list, masked, nil
	case mapValue:
		m, masked := make(map[string]any, len(v.keys)), make(map[string]any, len(v.keys))
		for i, x := range v.values {
			k := v.keys[i]
			before := s.Nothing.enter(k)
			m[k], masked[k], err = s.Render(x, env, fill)
			s.Nothing.leave(before)
			if err != nil {
				return nil, nil, err
			}
		}
		return m, masked, nil
	}
	return v.constant, v.constant, nil
}

// text renders a text with insertions in both forms.
func (s *Shown) text(v *Value, env *expr.Env, fill Fill) (rendered, shown any, err error) {
	var masked strings.Builder
	whole, err := v.insert(env, fill, s.Nothing, func(p part, result any, piece string) {
		if p.expr == nil {
			masked.WriteString(piece)
			return
		}
		if x := s.show(p.expr, env, result); x == Mask {
			piece = Mask
		} else if t, err := value.Text(x); err == nil && x != result && fill != FillURL {
			piece = t
		}
		masked.WriteString(piece)
	})
	if err != nil {
		return nil, nil, err
	}
	return whole, masked.String(), nil
}

// show returns the result of an expression as it may be recorded.
func (s *Shown) show(e *Expr, env *expr.Env, v any) any {
	if e.isSecret() {
		return Mask
	}
	var values []string
	if e.UsesSecrets() {
		secrets, _ := env.Names["secrets"].(map[string]any)
		for _, n := range e.SecretNames() {
			if t, ok := secrets[n].(string); ok && t != "" {
				values = append(values, t)
			}
		}
	}
	if len(values) == 0 && len(s.Hidden) == 0 {
		return v
	}
	return s.maskLeaves(v, values)
}

func (s *Shown) maskLeaves(v any, secrets []string) any {
	switch x := v.(type) {
	case nil, bool:
		return v
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = s.maskLeaves(e, secrets)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = s.maskLeaves(e, secrets)
		}
		return out
	}
	t, err := value.Text(v)
	if err != nil || t == "" {
		return v
	}
	for _, h := range s.Hidden {
		if t == h {
			return Mask
		}
	}
	for _, secret := range secrets {
		if s.partOf(t, secret) || len(secret) < ShortestMasked && strings.Contains(t, secret) {
			return Mask
		}
	}
	return v
}

// partOf reports whether a text is part of a secret, ignoring case, and records it if it is long
// enough to be masked.
func (s *Shown) partOf(t, secret string) bool {
	if len(t) > len(secret) || !strings.Contains(strings.ToLower(secret), strings.ToLower(t)) {
		return false
	}
	if len(t) >= ShortestMasked {
		s.Derived = append(s.Derived, t)
	}
	return true
}
