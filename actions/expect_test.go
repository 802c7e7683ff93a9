package actions_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/plan"
)

// TestResponseOfAnotherTypeIsAnError checks that expect: of http/ actions has the types of
// connectors.
func TestResponseOfAnotherTypeIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/none" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, r.URL.Query().Get("body"))
	}))
	defer server.Close()
	contact := map[string]any{"id": "string", "age?": "integer", "tags": []any{"string"}}
	for _, c := range []struct {
		name, path, body string
		with             map[string]any
		err              string
	}{
		{"as declared, with more", "/", `{"id": "a", "tags": ["x"], "other": 1}`, map[string]any{"expect": contact}, ""},
		{"a field is missing", "/", `{"tags": []}`, map[string]any{"expect": contact},
			"bad_answer: the response is not of the type that expect: declares: body has no id"},
		{"another type inside of a list", "/", `{"id": "a", "tags": ["x", {}]}`, map[string]any{"expect": contact},
			"bad_answer: the response is not of the type that expect: declares: body.tags[1]"},
		{"no object", "/", `[]`, map[string]any{"expect": contact}, "bad_answer: the response is not of the type that expect: declares: body"},
		{"a word", "/", `[1]`, map[string]any{"expect": "list"}, ""},
		{"a status that only accept allows", "/none", `{"error": "x"}`, map[string]any{"expect": contact, "accept": []any{200, 404}}, ""},
		{"the items of pages", "/", `{"rows": [{"id": 1}, {"id": "b"}]}`, map[string]any{"expect": []any{map[string]any{"id": "integer"}},
			"pages": map[string]any{"items": "response.body.rows", "page": map[string]any{"query": "p"}, "max": 1}},
			"bad_answer: the response is not of the type that expect: declares: body[1].id"},
		{"no type", "/", `{}`, map[string]any{"expect": map[string]any{"id": "strin"}}, "invalid_request: expect: there is no type"},
	} {
		c.with["url"], c.with["query"] = server.URL+c.path, map[string]any{"body": c.body}
		out, err := do(t, t.Context(), "http/get", c.with, nil)
		if c.err == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var e *plan.Error
		if !errors.As(err, &e) || !strings.HasPrefix(e.Code+": "+e.Message, c.err) || e.Retryable {
			t.Errorf("%s: %v %v, want %s", c.name, out, err, c.err)
		}
	}
}
