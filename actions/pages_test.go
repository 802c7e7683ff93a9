package actions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// service is a fake of a connector's service that records requests.
type service struct {
	*httptest.Server
	t *testing.T
	// asked contains method, URI and body of each request.
	asked []string
	// answer responds to the n-th request, from 1.
	answer func(n int, w http.ResponseWriter, r *http.Request)
	files  *files.Store
}

func newService(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *service {
	t.Helper()
	s := &service{t: t, answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(b)))
		w.Header().Set("Content-Type", "application/json")
		s.answer(len(s.asked), w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// call makes one attempt of the action "call" of a connector file; BASE in it is replaced by the
// server's URL.
func (s *service) call(connector string, with map[string]any) (any, error) {
	s.t.Helper()
	text := strings.ReplaceAll("connector: crm\nbase_url: BASE/v1\n"+connector, "BASE", s.URL)
	c, mistakes := workflows.CheckConnector("connectors/crm.yaml", []byte(text))
	if mistakes.Errors() > 0 {
		s.t.Fatal(mistakes)
	}
	for _, spec := range c.Specs() {
		if spec.Name != "crm/call" {
			continue
		}
		a := actions.Executors(actions.Options{Client: client(s.t, "127.0.0.1")})["connector"]
		return a.Do(s.t.Context(), engine.Input{Spec: spec, With: with, Key: "hl_key", Run: 1, Path: "a", Attempt: 1,
			Connections: map[string]*workflows.Connection{"crm": c.ExampleConnection()},
			Secret:      func(string) (string, bool) { return "secret", true }, Files: s.files})
	}
	s.t.Fatal("the connector has no action call")
	return nil, nil
}

// list returns a connector with an action that reads pages.
func list(request, pages string) string {
	return "actions:\n  call:\n    request: " + request + "\n    pages: " + pages + "\n"
}

// numbers returns the items of a list's output.
func numbers(t *testing.T, out any) (items []int, more bool) {
	t.Helper()
	m, ok := out.(map[string]any)
	if !ok {
		t.Fatalf("the output is %v", out)
	}
	for _, v := range m["items"].([]any) {
		items = append(items, v.(int))
	}
	return items, m["more"].(bool)
}

// give responds with items and other fields.
func give(w io.Writer, fields map[string]any, items ...int) {
	if items == nil {
		items = []int{}
	}
	answer := map[string]any{"rows": items}
	for k, v := range fields {
		answer[k] = v
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// serveSevenItems responds like a service with the items 1 to 7, by page or offset and size.
func serveSevenItems(w io.Writer, from, size int) {
	var items []int
	for i := from; i < min(from+size, 7); i++ {
		items = append(items, i+1)
	}
	give(w, nil, items...)
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.URL.Query().Get(name))
	return n
}

func TestListIsReadToItsEndPageByPage(t *testing.T) {
	tokens := func(n int, w http.ResponseWriter, _ *http.Request) {
		give(w, []map[string]any{{"next": "t 2&x"}, {"next": 3}, {"next": nil}}[n-1], n)
	}
	links := func(next ...string) func(int, http.ResponseWriter, *http.Request) {
		return func(n int, w http.ResponseWriter, r *http.Request) {
			link := strings.ReplaceAll(next[n-1], "HOST", "http://"+r.Host)
			w.Header().Set("Link", link)
			give(w, map[string]any{"next": link}, n)
		}
	}
	for _, c := range []struct {
		name, request, pages string
		with                 map[string]any
		answer               func(n int, w http.ResponseWriter, r *http.Request)
		items                []int
		more                 bool
		asked                []string
	}{
		{"pages by number, until one is empty", "{path: /l, query: {q: a}}", "{items: response.body.rows, page: {query: p}}", nil,
			func(_ int, w http.ResponseWriter, r *http.Request) { serveSevenItems(w, (number(r, "p")-1)*4, 4) },
			[]int{1, 2, 3, 4, 5, 6, 7}, false, []string{"GET /v1/l?p=1&q=a", "GET /v1/l?p=2&q=a", "GET /v1/l?p=3&q=a"}},
		{"pages by number from 0, until one is short", "{path: /l}",
			"{items: response.body.rows, page: {query: p, from: 0}, size: {value: 4, query: n}}", nil,
			func(_ int, w http.ResponseWriter, r *http.Request) {
				serveSevenItems(w, number(r, "p")*4, number(r, "n"))
			},
			[]int{1, 2, 3, 4, 5, 6, 7}, false, []string{"GET /v1/l?n=4&p=0", "GET /v1/l?n=4&p=1"}},
		{"offset", "{path: /l}", "{items: response.body.rows, offset: {query: skip}, until: len(response.body.rows) == 1}", nil,
			func(_ int, w http.ResponseWriter, r *http.Request) { serveSevenItems(w, number(r, "skip"), 3) },
			[]int{1, 2, 3, 4, 5, 6, 7}, false, []string{"GET /v1/l?skip=0", "GET /v1/l?skip=3", "GET /v1/l?skip=6"}},
		{"token in the query, encoded", "{path: /l}", "{items: response.body.rows, token: response.body.next, query: cursor}", nil,
			tokens, []int{1, 2, 3}, false, []string{"GET /v1/l", "GET /v1/l?cursor=t+2%26x", "GET /v1/l?cursor=3"}},
		{"token deep in a JSON body", "{method: POST, path: /l, body: {page: {size: 2}}}",
			"{items: response.body.rows, token: response.body.next, body: page.after}", nil,
			tokens, []int{1, 2, 3}, false, []string{`POST /v1/l {"page":{"size":2}}`,
				`POST /v1/l {"page":{"after":"t 2&x","size":2}}`, `POST /v1/l {"page":{"after":3,"size":2}}`}},
		{"token in a form", "{method: POST, path: /l, form: {q: a}}", "{items: response.body.rows, token: response.body.next, body: c}", nil,
			tokens, []int{1, 2, 3}, false, []string{"POST /v1/l q=a", "POST /v1/l c=t+2%26x&q=a", "POST /v1/l c=3&q=a"}},
		{"a short or empty page with a next token is not the last", "{path: /l}",
			"{items: response.body.rows, token: response.body.next, query: cursor, size: {value: 2, query: n}}", nil,
			func(n int, w http.ResponseWriter, _ *http.Request) {
				give(w, []map[string]any{{"next": "b"}, {"next": "c"}, {"next": ""}}[n-1], [][]int{{1}, nil, {2, 3}}[n-1]...)
			}, []int{1, 2, 3}, false, []string{"GET /v1/l?n=2", "GET /v1/l?cursor=b&n=2", "GET /v1/l?cursor=c&n=2"}},
		{"Link header, among others", "{path: /l}", "{items: response.body.rows, next: header link}", nil,
			links(`<HOST/v1/l?p=1>; rel="prev", <HOST/v1/l?p=2>; rel="next last"`, `<l?p=3>; title="a"; REL=Next`, `<HOST/v1/l?p=1>; rel="first"`),
			[]int{1, 2, 3}, false, []string{"GET /v1/l", "GET /v1/l?p=2", "GET /v1/l?p=3"}},
		{"a link in the body: whole, from the host, from the page", "{path: /l}", "{items: response.body.rows, next: response.body.next}", nil,
			links("HOST/v1/l?p=2", "/v1/l?p=3", "?p=4", ""),
			[]int{1, 2, 3, 4}, false, []string{"GET /v1/l", "GET /v1/l?p=2", "GET /v1/l?p=3", "GET /v1/l?p=4"}},
		{"max_items of the step asks for no more", "{path: /l}",
			"{items: response.body.rows, page: {query: p}, size: {value: 4, query: n}}", map[string]any{"max_items": 2},
			func(_ int, w http.ResponseWriter, r *http.Request) { serveSevenItems(w, 0, number(r, "n")) },
			[]int{1, 2}, true, []string{"GET /v1/l?n=2&p=1"}},
		{"max_items of the file cuts a page", "{path: /l}", "{items: response.body.rows, page: {query: p}, max_items: 5}", nil,
			func(_ int, w http.ResponseWriter, r *http.Request) { serveSevenItems(w, (number(r, "p")-1)*4, 4) },
			[]int{1, 2, 3, 4, 5}, true, []string{"GET /v1/l?p=1", "GET /v1/l?p=2"}},
		{"as many items as max_items on a page that is not full are all", "{path: /l}",
			"{items: response.body.rows, page: {query: p}, size: 100}", map[string]any{"max_items": 7},
			func(_ int, w http.ResponseWriter, _ *http.Request) { serveSevenItems(w, 0, 100) },
			[]int{1, 2, 3, 4, 5, 6, 7}, false, []string{"GET /v1/l?p=1"}},
		{"max pages", "{path: /l}", "{items: response.body.rows, page: {query: p}, max: 1}", nil,
			func(_ int, w http.ResponseWriter, _ *http.Request) { serveSevenItems(w, 0, 2) },
			[]int{1, 2}, true, []string{"GET /v1/l?p=1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t, c.answer)
			out, err := s.call(list(c.request, c.pages), c.with)
			if err != nil {
				t.Fatalf("%v\nasked %q", err, s.asked)
			}
			items, more := numbers(t, out)
			if !reflect.DeepEqual(items, c.items) || more != c.more {
				t.Errorf("items %v, more %v", items, more)
			}
			if !reflect.DeepEqual(s.asked, c.asked) {
				t.Errorf("asked\n%q, want\n%q", s.asked, c.asked)
			}
		})
	}
}

func TestIncompleteListIsAnErrorWithTheReason(t *testing.T) {
	for _, c := range []struct {
		name, pages string
		answer      func(n int, w http.ResponseWriter, r *http.Request)
		code, says  string
		retryable   bool
		asked       int
	}{
		{"the link repeats", "next: response.body.next", func(n int, w http.ResponseWriter, _ *http.Request) {
			give(w, map[string]any{"next": "/v1/l?p=2"}, n)
		}, "endless_list", "the list does not end", false, 2},
		{"the token repeats in a circle", "token: response.body.next, query: c", func(n int, w http.ResponseWriter, _ *http.Request) {
			give(w, map[string]any{"next": n % 2}, n)
		}, "endless_list", "the list does not end", false, 3},
		{"the link leads to another host", "next: response.body.next", func(n int, w http.ResponseWriter, _ *http.Request) {
			give(w, map[string]any{"next": "https://evil.example/v1/l?p=2"}, n)
		}, "bad_answer", "the link to the next page points to another host", false, 1},
		{"the Link header leads to another host", "next: header link", func(n int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<//evil.example/v1/l?p=2>; rel=next`)
			give(w, nil, n)
		}, "bad_answer", "its credential is not sent elsewhere", false, 1},
		{"the link has another scheme", "next: response.body.next", func(n int, w http.ResponseWriter, _ *http.Request) {
			give(w, map[string]any{"next": "file:///etc/passwd"}, n)
		}, "bad_answer", "must begin with http", false, 1},
		{"the link leaves base_url by dots", "next: response.body.next", func(n int, w http.ResponseWriter, r *http.Request) {
			give(w, map[string]any{"next": "http://" + r.Host + "/v1/%2e%2e/admin"}, n)
		}, "bad_answer", "segments", false, 1},
		{"a token where a link is expected", "next: response.body.next", func(n int, w http.ResponseWriter, _ *http.Request) {
			give(w, map[string]any{"next": "abc"}, n)
		}, "bad_answer", "write pages: {token: ..., query: NAME}", false, 1},
		{"the third page is an error that passes", "page: {query: p}", func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 3 {
				w.WriteHeader(503)
			}
			give(w, nil, n)
		}, "http_status", "page 3 of the list: answered 503", true, 3},
		{"the third page is refused", "page: {query: p}", func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 3 {
				w.WriteHeader(403)
			}
			give(w, nil, n)
		}, "http_status", "page 3 of the list: answered 403", false, 3},
		{"the second page is no list", "page: {query: p}", func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 2 {
				fmt.Fprint(w, `{"rows": "none"}`)
				return
			}
			give(w, nil, n)
		}, "bad_answer", "page 2 of the list: the response is not what the connector expects: pages.items: response.body.rows is not a list",
			false, 2},
		{"the second page has no list", "page: {query: p}", func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 2 {
				fmt.Fprint(w, `{"error": "no such view"}`)
				return
			}
			give(w, nil, n)
		}, "bad_answer", "pages.items: response.body.rows is nil; write response.body.rows ?? [] if the service leaves out an empty list",
			false, 2},
		{"the pages together are too large", "page: {query: p}", func(_ int, w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"rows": [%s], "filler": "%s"}`, r.URL.Query().Get("p"), strings.Repeat("x", 3<<20))
		}, "too_large", "set max_items: to fewer than 10", false, 11},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t, c.answer)
			out, err := s.call(list("{path: /l}", "{items: response.body.rows, "+c.pages+"}"), nil)
			var e *plan.Error
			if !errors.As(err, &e) {
				t.Fatalf("%v, %v", out, err)
			}
			if e.Code != c.code || !strings.Contains(e.Message, c.says) || e.Retryable != c.retryable || len(s.asked) != c.asked {
				t.Errorf("%s, retryable %v: %s\nasked %q", e.Code, e.Retryable, e.Message, s.asked)
			}
		})
	}
}

// TestCredentialInTheQueryIsSentForEachPage is for links in responses, which do not contain it.
func TestCredentialInTheQueryIsSentForEachPage(t *testing.T) {
	s := newService(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		give(w, map[string]any{"next": []any{"/v1/l?p=2", nil}[n-1]}, n)
	})
	_, err := s.call("connection: {key: {type: string, secret: true}}\nauth: {query: {name: key, value: \"${{ connection.key }}\"}}\n"+
		list("{path: /l}", "{items: response.body.rows, next: response.body.next}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"GET /v1/l?key=example-key", "GET /v1/l?key=example-key&p=2"}; !reflect.DeepEqual(s.asked, want) {
		t.Errorf("asked %q", s.asked)
	}
}

// TestListEndsWhereTheServiceEndsIt checks that a short page is the last one without
// total, and not with it.
func TestListEndsWhereTheServiceEndsIt(t *testing.T) {
	answer := func(n int, w http.ResponseWriter, _ *http.Request) {
		give(w, map[string]any{"total": 3}, n) // one item per page, although two were requested
	}
	for pages, want := range map[string]int{"page: {query: p}, size: 2, total: response.body.total": 3, "page: {query: p}, size: 2": 1,
		"offset: {query: o}, size: {value: 2, query: limit}, total: response.body.total": 3,
		"page: {query: p}, size: 2, total: response.body.none":                           1} {
		s := newService(t, answer)
		out, err := s.call(list("{path: /l}", "{items: response.body.rows, "+pages+"}"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if items, more := numbers(t, out); len(items) != want || more {
			t.Errorf("%s: %v, more %v", pages, items, more)
		}
	}
}
