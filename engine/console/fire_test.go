package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/workflows"
)

// refunds returns a console with a workflow that has inputs of several types.
func refunds(t *testing.T) (*console.Console, *operator) {
	c, op, p := madeOf(t, tokens("a-token", ""))
	w := &workflows.Workflow{ID: "refund", Enabled: true, Starts: []workflows.Start{{Kind: "manual"}}, Inputs: []workflows.Input{
		{Name: "reason", Type: "string", Options: []any{"late", "broken"}, Default: "broken"}, {Name: "full", Type: "boolean"},
		{Name: "amount", Type: "integer", Min: 1, Max: 500, Required: true}, {Name: "lines", Type: "list"},
		{Name: "card", Type: "string", Secret: true}}}
	p.Workflows["refund"] = w
	return c, op
}

func TestAFormHasAControlForEachTypeAndTheDefaults(t *testing.T) {
	c, _ := refunds(t)
	page := get(c, "GET", "/workflow?id=refund", map[string]string{"Authorization": "Bearer a-token"}, "").Body.String()
	for _, want := range []string{`<select name="input.reason"`, `<option selected>broken</option>`, `<select name="input.full"`,
		`type="number" step="1" min="1" max="500" required`, `<textarea name="input.lines"`, `type="password"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is missing in %s", want, page)
		}
	}
}

// TestInvalidValueKeepsTheFormAndMarksTheField checks that all entered values except secrets are kept.
func TestInvalidValueKeepsTheFormAndMarksTheField(t *testing.T) {
	c, op := refunds(t)
	k, _ := login(t, c, "a-token", "/", nil)
	w := form(c, "/workflow/fire", k, url.Values{"csrf": {csrfOf(t, c, "/workflow?id=refund", k)}, "id": {"refund"},
		"input.amount": {"lots"}, "input.reason": {"late"}, "input.lines": {"[1]"}, "input.card": {"4242"}, "why": {"by phone"}})
	page := w.Body.String()
	if w.Code != http.StatusUnprocessableEntity || len(op.asked) != 0 {
		t.Errorf("%d %v", w.Code, op.asked)
	}
	for _, want := range []string{`value="lots"`, `aria-describedby="problem-amount"`, `is not an integer`,
		`<option selected>late</option>`, `[1]</textarea>`,
		`value="by phone"`} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(page, "4242") {
		t.Error("the page has the secret")
	}
	for body, want := range map[string]string{`{"inputs": {}}`: "input amount is missing", `{"inputs": {"amount": "x"}}`: "is not an integer",
		`{"inputs": {"amount": 900}}`: "500", `{"inputs": {"amount": 5, "reson": "late"}}`: "reson"} {
		w := get(c, "POST", "/api/v1/workflows/refund/fire", map[string]string{"Authorization": "Bearer a-token"}, body)
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if len(op.asked) != 0 {
		t.Errorf("started: %v", op.asked)
	}
}
