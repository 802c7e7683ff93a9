package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// TestRefusalsOfOneReasonAreCheckedAgainTogether checks that the page asks for confirmation first, and that
// the response gives the results and why others are still refused.
func TestRefusalsOfOneReasonAreCheckedAgainTogether(t *testing.T) {
	o := tokens("a-token", "")
	var asked []string
	var refused error
	o.Admit = func(_ context.Context, id string) (engine.Receipt, error) {
		asked = append(asked, id)
		return engine.Receipt{Event: 9}, refused
	}
	c, _ := made(t, o)
	auth := map[string]string{"Authorization": "Bearer a-token"}
	k, _ := login(t, c, "a-token", "/", nil)
	fields := url.Values{"csrf": {csrfOf(t, c, "/runs/run_0000000000000002", k)}, "trigger": {script}}
	if page := get(c, "GET", "/quarantine", auth, "").Body.String(); !strings.Contains(page, "Judge all again…") ||
		!strings.Contains(page, "100.0 %") {
		t.Errorf("no groups: %s", page)
	}
	if w := form(c, "/quarantine/admit", k, fields); w.Code != http.StatusOK || len(asked) != 0 ||
		!strings.Contains(w.Body.String(), "1 of ") {
		t.Errorf("%d %v %s", w.Code, asked, w.Body)
	}
	fields.Set("confirm", "yes")
	w := form(c, "/quarantine/admit", k, fields)
	if w.Code != http.StatusSeeOther || len(asked) != 1 {
		t.Fatalf("%d %v %s", w.Code, asked, w.Body)
	}
	shown := get(c, "GET", w.Header().Get("Location"), auth, "").Body.String()
	if !strings.Contains(shown, "1 became an event; 0 are still refused.") || !strings.Contains(shown, "/events/evt_0000000000000009") {
		t.Errorf("%s", shown)
	}
	refused = errors.New("signature does not match")
	body, err := json.Marshal(map[string]string{"trigger": script})
	if err != nil {
		t.Fatal(err)
	}
	if w := get(c, "POST", "/api/v1/quarantine/replay", auth, string(body)); w.Code != http.StatusAccepted ||
		!strings.Contains(w.Body.String(), `"refused":1,"problem":"ref_1: signature does not match"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(c, "POST", "/api/v1/quarantine/replay", auth, `{}`); w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
