package actions_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestErrorMessageContainsTheReasonOfTheResponse: the message of a failed http/ step names method, host, status
// and the reason in the body, bounded and in one line.
func TestErrorMessageContainsTheReasonOfTheResponse(t *testing.T) {
	var body, kind string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, body)
	}))
	defer s.Close()
	long := strings.Repeat("é", 2000)
	for _, c := range []struct{ kind, body, want string }{
		{"application/json", `{"message": "email is taken"}`, ": email is taken"},
		{"application/json", `{"error": "no such plan"}`, ": no such plan"},
		{"application/json", `{"error": {"code": 7, "message": "no such plan"}}`, ": no such plan"},
		{"application/json", `{"errors": [{"message": "sku is needed"}, {"message": "b"}]}`, ": sku is needed"},
		{"application/json", `{"errors": ["sku is needed"]}`, ": sku is needed"},
		{"application/json", `{"error": "invalid_grant", "error_description": "token revoked"}`, ": token revoked"},
		{"application/problem+json", `{"title": "Bad", "detail": "amount is negative"}`, ": amount is negative"},
		{"application/problem+json", `{"title": "Bad"}`, ": Bad"},
		{"application/json", `{"message": null, "error": {"message": ""}, "title": "x"}`, ": x"},
		{"application/json", `{"ok": false}`, ""},
		{"application/json", `[]`, ""},
		{"text/plain", "no\n  such\tplan\x1b[31m", ": no such plan [31m"},
		{"text/html", "<html><head><title>Not &amp; here</title><body>" + long, ": Not & here"},
		{"text/html", "<p>" + long, ""},
		{"text/plain", "", ""},
	} {
		body, kind = c.body, c.kind
		_, err := do(t, t.Context(), "http/post", map[string]any{"url": s.URL + "/x?key=1", "body": "x"}, nil)
		want := "POST " + strings.TrimPrefix(s.URL, "http://") + " answered 422 Unprocessable Entity" + c.want
		if err == nil || err.Error() != want {
			t.Errorf("%.60s: %v, want %s", c.body, err, want)
		}
	}
	body, kind = long, "text/plain"
	_, err := do(t, t.Context(), "http/post", map[string]any{"url": s.URL, "body": "x"}, nil)
	if err == nil || utf8.RuneCountInString(err.Error()) > 400 {
		t.Errorf("a long reason is not cut: %v", err)
	}
}
