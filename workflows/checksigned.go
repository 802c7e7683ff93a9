package workflows

import (
	"fmt"

	"github.com/hookloom/hookloom/workflows/value"
)

// This file checks that a webhook/send step signs what it sends. A secret that is empty or not a
// text would leave the delivery unsigned, or sign it with what no receiver has.

const signIt = `write secret: "${{ secrets.NAME }}"`

// signed checks secret: of webhook/send.
func (s *stepChecker) signed(st *Step) {
	if s.c.stored || st.Uses != "webhook/send" {
		return
	}
	src, v := s.w.src, st.With.Field("secret")
	if constant, isConstant := v.IsConstant(); isConstant && constant == nil {
		s.unsigned(st, v)
		return
	}
	switch kind := v.outerKind(); kind {
	case "", "text":
		s.signingKey(v)
	case "a list":
		keys := v.elements()
		if len(keys) == 0 {
			src.add(v.pos, "empty", "secret is an empty list, so the delivery would be sent unsigned", signIt)
		}
		for _, key := range keys {
			s.signingKey(key)
		}
	case "a map":
		src.add(v.pos, "wrong-kind", "input secret is text or a list of texts, got a map", signIt)
	default:
		s.signingKey(v)
	}
}

// signingKey checks one secret.
func (s *stepChecker) signingKey(v *Value) {
	kind := v.outerKind()
	text, isConstant := v.constantText()
	switch {
	case v.broken || v.kind == exprValue || v.kind == textValue:
	case isConstant && text == "" && kind == "text", kind == "":
		s.w.src.add(v.pos, "empty", "a secret that signs a delivery must not be empty", signIt)
	case kind == "a map", kind == "a list":
		s.w.src.add(v.pos, "wrong-kind", fmt.Sprintf("each secret is text, got %s", kind), signIt)
	case kind != "text":
		written, err := value.Text(v.constant)
		if err != nil {
			return
		}
		s.w.src.add(v.pos, "wrong-type", "a secret is text, got "+kind, fmt.Sprintf("%s, or put it in quotes: %q", signIt, written))
	}
}

// unsigned reports a step without a secret.
func (s *stepChecker) unsigned(st *Step, v *Value) {
	if v != nil && v.broken {
		return
	}
	at := st.usesPos(s.w.src)
	for _, name := range []string{"signing", "scheme"} {
		if x := st.With.Field(name); x != nil {
			s.w.src.add(x.keyPos(s.w.src, name), "missing-input", fmt.Sprintf("%s needs secret:, so the step always fails", name),
				`add to with: secret: "${{ secrets.NAME }}"`)
			return
		}
	}
	s.w.src.warn(at, "missing-input", "the delivery is sent unsigned: webhook/send has no secret:",
		`add to with: secret: "${{ secrets.NAME }}", or use http/post for a call that needs no signature`)
}

// elements returns the elements of a list, constant or not.
func (v *Value) elements() []*Value {
	out := v.list
	if list, ok := v.constant.([]any); ok {
		for _, x := range list {
			out = append(out, &Value{pos: v.pos, constant: x})
		}
	}
	return out
}
