package redact_test

import (
	"fmt"
	"testing"

	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
)

// TestFieldsOfAStepAreMaskedInItsPart checks which steps a path of history.redact concerns, in which part, and
// that one of a loop is masked in each of its items.
func TestFieldsOfAStepAreMaskedInItsPart(t *testing.T) {
	path := func(step, part string, keys ...workflows.RedactStep) workflows.RedactPath {
		return workflows.RedactPath{Step: step, Part: part, Steps: keys}
	}
	key := func(name string) workflows.RedactStep { return workflows.RedactStep{Name: name, Index: -1} }
	r := &redact.Redactor{}
	if out, changed := r.StepJSON("pay", "output", []byte(`{"iban":"x"}`)); changed || string(out) != `{"iban":"x"}` {
		t.Errorf("without paths: %s", out)
	}
	r.SetSteps([]workflows.RedactPath{path("pay", "output", key("iban")), path("pay", "output", key("card"), key("number")),
		path("pay", "input", key("pin")), path("each", "output", workflows.RedactStep{Any: true, Index: -1}, key("iban")), path("",
			"output", key("all"))})
	for _, c := range []struct{ path, part, in, want string }{
		{"pay", "output", `{"iban":"DE1","card":{"number":5,"kind":"c"},"pin":1}`, `{"iban":"***","card":{"number":"***","kind":"c"},"pin":1}`},
		{"pay", "input", `{"iban":"DE1","pin":1}`, `{"iban":"DE1","pin":"***"}`},
		{"2/paid/pay/0", "output", `{"iban":"DE1"}`, `{"iban":"***"}`},
		{"pay/3", "output", `{"iban":"DE1"}`, `{"iban":"***"}`},
		{"pay/refund", "output", `{"iban":"DE1"}`, ""},
		{"other", "output", `{"iban":"DE1","all":1}`, ""},
		{"0/1", "output", `{"iban":"DE1"}`, ""},
		{"", "output", `{"iban":"DE1"}`, ""},
		{"pay", "output", `{"other":1}`, ""},
		{"pay", "output", `{"iban":`, `"***"`},
		{"each", "output", `[{"iban":"DE1"},{"iban":"DE2"}]`, `[{"iban":"***"},{"iban":"***"}]`},
		{"each/1", "output", `{"iban":"DE1"}`, `{"iban":"***"}`},
	} {
		out, changed := r.StepJSON(c.path, c.part, []byte(c.in))
		if changed != (c.want != "") || changed && string(out) != c.want || !changed && string(out) != c.in {
			t.Errorf("%s of %s: %s, %t; want %s", c.part, c.path, out, changed, c.want)
		}
	}
	for _, c := range []struct {
		path string
		v    any
		want string
	}{
		{"pay", map[string]any{"iban": "DE00 1234", "card": map[string]any{"number": "4111 2222"}, "pin": "1"},
			"[4111 2222 DE00 1234]"},
		{"pay", map[string]any{"pin": "1"}, "[]"}, {"other", map[string]any{"iban": "DE1"}, "[]"}, {"pay", make(chan int), "[]"},
	} {
		if got := fmt.Sprint(r.StepValues(c.path, "output", c.v)); got != c.want {
			t.Errorf("the texts of %s: %s, want %s", c.path, got, c.want)
		}
	}
	r.SetSteps(nil)
	if _, changed := r.StepJSON("pay", "output", []byte(`{"iban":"DE1"}`)); changed {
		t.Error("a path that was removed is masked")
	}
	var none *redact.Redactor
	if out, changed := none.StepJSON("pay", "output", []byte(`{}`)); changed || string(out) != `{}` || none.StepValues("pay", "output",
		1) != nil {
		t.Errorf("no redactor: %s", out)
	}
}
