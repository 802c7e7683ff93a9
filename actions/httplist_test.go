package actions_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine/plan"
)

// TestAStepReadsAListPageByPage checks that pages: of http/ actions has the keys of connectors, and
// that the body of the output is the list.
func TestAStepReadsAListPageByPage(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization")+r.Header.Get("Idempotency-Key"))
		n := len(asked)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/linked":
			if n < 3 {
				w.Header().Set("Link", `</linked?p=2`+strings.Repeat("x", n)+`>; rel="next"`)
			}
			give(w, nil, n)
		case "/away":
			give(w, map[string]any{"next": "http://127.0.0.2:1/away"}, n)
		case "/empty":
			w.WriteHeader(http.StatusNotFound)
		case "/broken":
			if n > 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			give(w, nil, 1)
		default:
			serveSevenItems(w, (number(r, "p")-1)*3, 3)
		}
	}))
	defer server.Close()
	rows := func(more map[string]any) map[string]any {
		pages := map[string]any{"items": "response.body.rows"}
		for k, v := range more {
			pages[k] = v
		}
		return pages
	}
	byPage := map[string]any{"page": map[string]any{"query": "p"}, "size": 3}
	bearer := map[string]any{"bearer": "t"}
	for _, c := range []struct {
		name, action string
		with         map[string]any
		body         any
		more         bool
		asked        []string
		err          string
	}{
		{"by number", "http/get", map[string]any{"url": "/l?q=a", "pages": rows(byPage), "auth": bearer},
			[]any{1, 2, 3, 4, 5, 6, 7}, false, []string{"GET /l?p=1&q=a Bearer t", "GET /l?p=2&q=a Bearer t", "GET /l?p=3&q=a Bearer t"}, ""},
		{"max_items cuts", "http/get", map[string]any{"url": "/l", "pages": rows(map[string]any{"page": map[string]any{"query": "p"},
			"max_items": 4})}, []any{1, 2, 3, 4}, true, []string{"GET /l?p=1 ", "GET /l?p=2 "}, ""},
		{"no key of idempotency, which would repeat the first page", "http/post",
			map[string]any{"url": "/l", "pages": rows(map[string]any{"page": map[string]any{"query": "p"}, "max": 1})},
			[]any{1, 2, 3}, true, []string{"POST /l?p=1 "}, ""},
		{"links keep the credential of the query", "http/get", map[string]any{"url": "/linked", "pages": rows(map[string]any{
			"next": "header link"}), "auth": map[string]any{"query": map[string]any{"name": "k", "value": "v"}}},
			[]any{1, 2, 3}, false, []string{"GET /linked?k=v ", "GET /linked?k=v&p=2x ", "GET /linked?k=v&p=2xx "}, ""},
		{"the credential stays with its host", "http/get",
			map[string]any{"url": "/away", "pages": rows(map[string]any{"next": "response.body.next"}), "auth": bearer},
			nil, false, nil, "bad_answer: the link to the next page points to another host: the step's credential is for"},
		{"what accept allows is the body", "http/get", map[string]any{"url": "/empty", "pages": rows(byPage), "accept": []any{200, 404}},
			nil, false, []string{"GET /empty?p=1 "}, ""},
		{"a page that fails", "http/get", map[string]any{"url": "/broken", "pages": rows(map[string]any{"page": map[string]any{"query": "p"}})},
			nil, false, nil, "http_status: page 2 of the list: answered 503"},
		{"no list", "http/get", map[string]any{"url": "/l", "pages": map[string]any{"items": "response.body", "page": map[string]any{
			"query": "p"}}}, nil, false, nil, "bad_answer: the response is not what pages: of the step expects: pages.items: response.body is"},
		{"a file has no pages", "http/get", map[string]any{"url": "/l", "pages": rows(byPage), "save": true},
			nil, false, nil, "invalid_request: pages and save: true are mutually exclusive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked = nil
			c.with["url"] = server.URL + c.with["url"].(string)
			out, err := do(t, t.Context(), c.action, c.with, nil)
			if c.err != "" {
				var e *plan.Error
				if !errors.As(err, &e) || !strings.HasPrefix(e.Code+": "+e.Message, c.err) {
					t.Fatalf("%v %v, want %s", out, err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if m := out.(map[string]any); !reflect.DeepEqual(m["body"], c.body) || m["more"] != c.more {
				t.Errorf("gave %v, more %v", m["body"], m["more"])
			}
			if !reflect.DeepEqual(asked, c.asked) {
				t.Errorf("asked %q", asked)
			}
		})
	}
}
