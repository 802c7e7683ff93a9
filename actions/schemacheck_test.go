package actions_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/plan"
)

// TestResponseIsCheckedAgainstItsSchema checks that a model's output that violates the schema fails the
// step, and that a schema cannot refer to anything outside itself.
func TestResponseIsCheckedAgainstItsSchema(t *testing.T) {
	x := newExchanged(t)
	x.headers = map[string]string{"Content-Type": "application/json"}
	conns := connections(t, "connections: {anthropic: {base_url: \""+x.URL+"\", key: \"${{ secrets.K }}\", model: m}}")
	answered := func(text string) string {
		return `{"content": [{"type": "text", "text": "` + strings.ReplaceAll(text, `"`, `\"`) + `"}], "stop_reason": "end_turn",` +
			`"usage": {"input_tokens": 1, "output_tokens": 1}}`
	}
	urgent := map[string]any{"type": "object", "properties": map[string]any{"urgent": map[string]any{"type": "boolean"}},
		"required": []any{"urgent"}, "additionalProperties": false}
	for name, c := range map[string]struct {
		schema any
		answer string
		code   string
		says   string
	}{
		"it fits":                      {urgent, `{"urgent": true}`, "", ""},
		"another type":                 {urgent, `{"urgent": "yes"}`, "schema", "/urgent"},
		"something more":               {urgent, `{"urgent": true, "why": 1}`, "schema", "why"},
		"no JSON":                      {urgent, `Yes.`, "bad_answer", ""},
		"a schema that is none":        {map[string]any{"type": "yes"}, `{}`, "invalid_input", "JSON Schema"},
		"a schema that reads a file":   {map[string]any{"$ref": "file:///etc/hostname"}, `{}`, "invalid_input", "cannot leave the schema"},
		"a schema that asks elsewhere": {map[string]any{"$ref": "http://127.0.0.1/s.json"}, `{}`, "invalid_input", "cannot leave the schema"},
	} {
		x.answer = answered(c.answer)
		_, err := do(t, t.Context(), "anthropic/json", map[string]any{"input": "Is this urgent?", "schema": c.schema}, conns)
		var e *plan.Error
		switch {
		case c.code == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.code != "" && (!errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Message, c.says) || e.Retryable):
			t.Errorf("%s: %v, want %s with %q", name, err, c.code, c.says)
		}
	}
}
