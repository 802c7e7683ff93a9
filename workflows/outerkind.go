package workflows

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file compares the outer kind of a value with the one that is meant. It is known when the
// file is loaded: expressions inside a map, a list or a text do not change it. Only a value that
// is a single ${{ }} can be of any kind.

// outerKind returns the kind of a value in words; empty if only its evaluation shows it, and for
// nothing.
func (v *Value) outerKind() string {
	switch {
	case v == nil || v.broken || v.kind == exprValue:
		return ""
	case v.kind == mapValue:
		return "a map"
	case v.kind == listValue:
		return "a list"
	case v.kind == textValue:
		return "text"
	}
	switch v.constant.(type) {
	case nil:
		return ""
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	case string:
		return "text"
	case bool:
		return v.written()
	}
	return "the number " + v.written()
}

// written returns a value as it can be written in YAML; empty for a map or a list with expressions.
func (v *Value) written() string {
	switch v.kind {
	case constantValue:
		return YAMLText(v.constant)
	case exprValue, textValue:
		return `"` + strings.ReplaceAll(v.template(), `"`, `\"`) + `"`
	}
	return ""
}

// template returns a text with its expressions as written.
func (v *Value) template() string {
	if v.kind == exprValue {
		return "${{ " + v.expr.Text + " }}"
	}
	var b strings.Builder
	for _, p := range v.parts {
		if p.expr != nil {
			b.WriteString("${{ " + p.expr.Text + " }}")
		}
		b.WriteString(p.text)
	}
	return b.String()
}

// typeWords are the types of inputs in words.
var typeWords = map[string]string{
	"string": "text", "object": "a map", "list": "a list", "integer": "an integer", "number": "a number", "boolean": "true or false",
	"date": "a date", "duration": "a duration", "size": "a size", "file": "a file",
}

// misfit returns the kind of the values of a type, and that of v, if v cannot be one of them
// whatever its expressions give. Both are empty if it can.
func misfit(t string, v *Value) (want, got string) {
	want, got = typeWords[t], v.outerKind()
	structure := got == "a map" || got == "a list"
	switch {
	case want == "" || got == "" || got == want:
		return "", ""
	case t == "object" || t == "list", structure && (t != "file" || got == "a list"):
		return want, got
	}
	return "", ""
}

// wrongKind reports an input whose kind is another one than that of its type, or a text with
// expressions that is never of its type, and returns whether it did.
func (s *stepChecker) wrongKind(in *ActionInput, v *Value) bool {
	if want, got := misfit(in.Type, v); want != "" {
		s.w.src.add(v.pos, "wrong-kind", fmt.Sprintf("input %s is %s, got %s", in.Name, want, got), kindHint(in, v))
		return true
	}
	if never, hint := neverOfType(in.Type, in.Name, v); never != "" {
		s.w.src.add(v.pos, "wrong-type", fmt.Sprintf("%s must be %s %s: %s", in.Name, article(in.Type), in.Type, never), hint)
		return true
	}
	return false
}

// kindHint returns how an input is written whose value is of the wrong kind.
func kindHint(in *ActionInput, v *Value) string {
	elements := v.elements()
	switch {
	case in.Type == "object":
		return "write " + in.Name + ": {NAME: VALUE}"
	case in.Type == "list" && v.outerKind() != "a map":
		return "write " + in.Name + ": [" + v.written() + "]"
	case in.Type == "string" && len(in.Words)+len(in.Options) == 0:
		if len(elements) == 1 && elements[0].outerKind() != "a map" && elements[0].outerKind() != "a list" && elements[0].written() != "" {
			return "write " + in.Name + ": " + elements[0].written()
		}
		sample := "..."
		if in.Fill == FillURL && in.Name == "url" {
			sample = "https://api.example.com/orders"
		}
		return fmt.Sprintf("write one text, such as %s: %q", in.Name, sample)
	}
	return "write " + in.Name + ": " + YAMLText(in.sample())
}

// neverOfType returns what is wrong with a text with expressions that is never of a type, whatever
// the expressions give; empty if it can be.
func neverOfType(t, name string, v *Value) (problem, hint string) {
	if v == nil || v.kind != textValue {
		return "", ""
	}
	is := fmt.Sprintf("%q", value.Clip(v.template(), 60))
	switch {
	case t == "integer" || t == "number" || t == "boolean":
		if x := v.onlyExpr(); x != nil {
			hint = fmt.Sprintf(`write %s: "${{ %s }}"`, name, x.Text)
		}
		return is + " is text", hint
	case t == "duration" && v.never(durationLetters):
		return is + " is never a duration", v.durationForm()
	case t == "size" && v.never(sizeLetters):
		return is + " is never a size", "write the unit without a blank: B, KiB, MiB or GiB"
	}
	return "", ""
}

// onlyExpr returns the expression of a text that contains just one; nil for others.
func (v *Value) onlyExpr() (only *Expr) {
	for _, p := range v.parts {
		if p.expr != nil {
			if only != nil {
				return nil
			}
			only = p.expr
		}
	}
	return only
}

// What the literal parts of a text may consist of if the text is to be a duration, a size or a time.
var (
	durationLetters = lazyregexp.New(`^[0-9.msdh]*$`)
	sizeLetters     = lazyregexp.New(`^[0-9BKMGi]*$`)
	timeLetters     = lazyregexp.New(`^[0-9TZtz:.,+-]*$`)
)

// never reports whether a text with expressions has a literal part that allowed does not match.
func (v *Value) never(allowed *lazyregexp.Regexp) bool {
	if v.kind != textValue {
		return false
	}
	for _, p := range v.parts {
		if p.expr == nil && !allowed.MatchString(p.text) {
			return true
		}
	}
	return false
}

// durationForm returns how to write a duration of a computed number.
func (v *Value) durationForm() string {
	if len(v.parts) == 2 && v.parts[0].expr != nil {
		if unit, ok := strings.CutPrefix(durationHint("1"+v.parts[1].text), "write 1"); ok {
			return fmt.Sprintf(`write "${{ %s }}%s"`, v.parts[0].expr.Text, unit)
		}
	}
	if x := v.onlyExpr(); x != nil {
		return fmt.Sprintf(`write the number and its unit without a blank, such as "${{ %s }}m"`, x.Text)
	}
	return "write the numbers and their units (ms, s, m, h or d) without blanks"
}
