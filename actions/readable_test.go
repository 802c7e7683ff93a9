package actions_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestResponsesAreDecodedLikeBodies is for APIs that write a byte order mark, or another charset.
func TestResponsesAreDecodedLikeBodies(t *testing.T) {
	for _, c := range []struct{ name, kind, parse, answer, want string }{
		{"a byte order mark", "application/json", "auto", "\ufeff{\"a\":1}", `{"a":1}`},
		{"a byte order mark where JSON is asked for", "text/plain", "json", "\ufeff{\"a\":1}", `{"a":1}`},
		{"half of a surrogate pair", "application/json", "auto", `{"a":"\ud83d"}`, "{\"a\":\"\ufffd\"}"},
		{"JSON in a declared charset", "application/json; charset=iso-8859-1", "auto", "{\"a\":\"\xe9\"}", `{"a":"é"}`},
		{"text in a declared charset", "text/plain; charset=windows-1252", "auto", "5 \x80", `"5 €"`},
		{"text that is asked for in a declared charset", "text/csv; charset=windows-1252", "text", "5 \x80", `"5 €"`},
		{"bytes as they are", "text/plain; charset=windows-1252", "base64", "5 \x80", `"NSCA"`},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			_, _ = w.Write([]byte(c.answer)) // the test below reports a broken response
		}))
		out, err := do(t, t.Context(), "http/get", map[string]any{"url": server.URL, "parse": c.parse}, nil)
		server.Close()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		m, _ := out.(map[string]any)
		if got, err := json.Marshal(m["body"]); err != nil || string(got) != c.want {
			t.Errorf("%s: %s %v, want %s", c.name, got, err, c.want)
		}
	}
}
