package console_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/console"
)

// TestEveryErrorOfTheAPIIsJSON sends requests that no handler matches: the response must be
// {"error": text}, like all errors of the API.
func TestEveryErrorOfTheAPIIsJSON(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true})
	act, foreign := map[string]string{"X-Hookloom": "1"}, map[string]string{"X-Hookloom": "1", "Origin": "https://evil.example"}
	for _, x := range []struct {
		method, path string
		header       map[string]string
		status       int
		says         string
	}{
		{"POST", "/api/v1/runs", act, http.StatusMethodNotAllowed, "GET"},
		{"DELETE", "/api/v1/events", act, http.StatusMethodNotAllowed, "not with DELETE"},
		{"POST", "/api/v1/workflows/orders/disable", foreign, http.StatusForbidden, "another site"},
		{"GET", "/api/v1/nothing", nil, http.StatusNotFound, ""},
	} {
		w := get(c, x.method, x.path, x.header, "")
		var said map[string]string
		err := json.Unmarshal(w.Body.Bytes(), &said)
		if w.Code != x.status || err != nil || said["error"] == "" || !strings.Contains(said["error"], x.says) ||
			w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %v %s %v", x.method, x.path, w.Code, w.Header(), w.Body, err)
		}
		if allow := w.Header().Get("Allow"); (allow != "") != (x.status == http.StatusMethodNotAllowed) {
			t.Errorf("%s %s: Allow is %q", x.method, x.path, allow)
		}
	}
	if w := get(c, "POST", "/workflow/fire", foreign, ""); w.Code != http.StatusForbidden ||
		!strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("a page: %d %v", w.Code, w.Header())
	}
}
