package triggers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// TestEndOfAListIsDoubtedByWhatTheAnswerHas besides the field that is named: a flag, another next page, a full page.
func TestEndOfAListIsDoubtedByWhatTheAnswerHas(t *testing.T) {
	var out strings.Builder
	type page struct {
		turned, second, link string
		rows                 int
	}
	bodies := []string{`{}`, `{"next":null}`, `{"has_more":true}`, `{"has_more":false}`, `{"last":false}`, `{"last":true}`,
		`{"next":null,"more":true}`,
		`{"page":{"has-next":true,"last":true}}`, `{"a":{"b":{"c":{"has_more":true}}}}`, `{"a":{"b":{"has_more":true}}}`,
		`{"next_page":"/b"}`,
		`{"next_token":"x"}`, `{"nextOffset":7}`, `{"next_page":""}`, `{"nextt":"/b"}`, `{"nextt":"b"}`, `{"cursor":"x"}`,
		`{"cursor":""}`,
		`{"links":{"next":{"href":"/b"}}}`, `{"links":{"next":{"url":"/b"}}}`, `{"links":{"next":{}}}`, `{"@odata.nextLink":"/b"}`,
		`{"next":7}`,
		`{"has_more":"yes"}`, `[]`, `"a"`}
	for _, pages := range []string{"next: response.body.next", "token: response.body.next, query: t", "next: header link",
		`next: "response.body?.next ?? ''"`, "token: response.body.page.next, query: t"} {
		p := pollerOf(t, strings.Replace(asksAll, `limit: "2"`, "limit: 3", 1)+", pages: {"+pages+"}")
		for i, body := range bodies {
			v, err := value.DecodeJSON([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			cases := []page{{}, {rows: 3}, {second: "x", rows: 3}, {link: "<a>; rel=next"}, {turned: "response.body.next", rows: 3}}
			if i > 3 {
				cases = cases[:1]
			}
			for _, c := range cases {
				resp := map[string]any{"body": v, "headers": map[string]any{"link": c.link}}
				pr := &progress{Walk: &walk{Second: c.second}, Turned: c.turned}
				p.lastPage(pr, resp, nil, c.rows, make([]row, c.rows))
				fmt.Fprintf(&out, "%s, %s %+v: ", pages, body, c)
				if pr.doubt == nil {
					out.WriteString("the end\n")
				} else {
					fmt.Fprintf(&out, "sure %t, %s\n", pr.doubt.sure, pr.doubt.text)
				}
			}
		}
	}
	for _, text := range []string{"header link", "response.body.a", `response.body["a-b"]`, "a ?? b", "a + b", "f(a)", "A0_z.Z9",
		"a,b", "$.@a-b?"} {
		fmt.Fprintf(&out, "path %s: %t\n", text, isPath(text))
	}
	testgolden.Compare(t, "doubts.golden", out.String())
}

// TestListsOfABodyAreReplacedInPlace: an element is read with the rest of its body, which stays as it is.
func TestListsOfABodyAreReplacedInPlace(t *testing.T) {
	for text, want := range map[string]string{
		"body":                  "[9]",
		"body.list":             "map[a:map[list:[3 4]] list:[9] text:[5]]",
		"body.a.list":           "map[a:map[list:[9]] list:[1 2] text:[5]]",
		"body?.a?.list":         "map[a:map[list:[9]] list:[1 2] text:[5]]",
		"fromJSON(body.text)":   "map[a:map[list:[3 4]] list:[1 2] text:[9]]",
		"body.list.x":           "map[a:map[list:[3 4]] list:[1 2] text:[5]]",
		"body.list.x.y":         "map[a:map[list:[3 4]] list:[1 2] text:[5]]",
		"filter(body.list)":     "map[a:map[list:[3 4]] list:[1 2] text:[5]]",
		"fromJSON(body.a.text)": "map[a:map[list:[3 4]] list:[1 2] text:[5]]",
	} {
		body := map[string]any{"list": []any{1, 2}, "a": map[string]any{"list": []any{3, 4}}, "text": "[5]"}
		before := fmt.Sprint(body)
		r := &route{list: &workflows.Expr{Expr: expr.Expr{Text: text}}}
		with := r.withList(body)
		with([]any{8})
		if got := fmt.Sprint(with([]any{9})); got != want || fmt.Sprint(body) != before {
			t.Errorf("%s: %s, want %s; the body is %v", text, got, want, body)
		}
	}
}

// TestContentOfAnEventIsItsIdentity: each part of it makes another event; of signed content only the signed part counts.
func TestContentOfAnEventIsItsIdentity(t *testing.T) {
	r := &route{}
	seen := map[[32]byte]string{}
	type event struct{ method, path, query, kind, content, signed, element string }
	for _, e := range []event{{}, {method: "a"}, {path: "a"}, {query: "a"}, {kind: "a"}, {content: "a"}, {element: "a"},
		{kind: "a", content: "b"},
		{kind: "ab"}, {content: "ab"}, {method: "a", path: "b"}, {signed: "s"}, {signed: "s2"}, {signed: "s", element: "a"},
		{signed: "s", element: "a", content: "b"}} {
		d := &engine.Delivery{Method: e.method, Path: e.path, Type: e.kind, Query: map[string]string{"q": e.query}}
		sum := r.contentDigest(d, []byte(e.content), []byte(e.signed), e.signed != "", e.element)
		if other, known := seen[sum]; known {
			t.Errorf("%+v is %s", e, other)
		}
		seen[sum] = fmt.Sprintf("%+v", e)
		if again := r.contentDigest(d, []byte(e.content), []byte(e.signed), e.signed != "", e.element); again != sum {
			t.Errorf("%+v is not itself", e)
		}
	}
	d := &engine.Delivery{}
	if r.contentDigest(d, []byte("a"), []byte("s"), true, "") != r.contentDigest(d, []byte("b"), []byte("s"), true, "") {
		t.Error("another body under the same signature is another event")
	}
}

// TestFieldsThatASchemeWritesAreKnown: its signature and its time, and the fields that it signs unless it signs the whole body.
func TestFieldsThatASchemeWritesAreKnown(t *testing.T) {
	at := func(f signature.Place) *signature.Timestamp { return &signature.Timestamp{From: f} }
	for i, c := range []struct {
		s    signature.Scheme
		want string
	}{
		{signature.Scheme{}, "[]"}, {signature.Scheme{From: signature.Place{Header: "X-S"}}, "[]"},
		{signature.Scheme{From: signature.Place{JSON: "a.b"}}, "[[a b]]"}, {signature.Scheme{From: signature.Place{Form: "a.b"}},
			"[[a.b]]"},
		{signature.Scheme{From: signature.Place{JSON: "a"}, Each: "x"}, "[]"},
		{signature.Scheme{From: signature.Place{JSON: "a"}, Timestamp: at(signature.Place{JSON: "t"}),
			SignedContent: []string{"{json:c}"}},
			"[[a] [t] [c]]"},
		{signature.Scheme{From: signature.Place{JSON: "a"}, Timestamp: at(signature.Place{Header: "T"}),
			SignedContent: []string{"{body}"}}, "[[a]]"},
		{signature.Scheme{From: signature.Place{JSON: "a"}, SignedContent: []string{"{json:c}"}}, "[[a]]"},
	} {
		if got := fmt.Sprint(inBody(&workflows.Verify{Scheme: c.s})); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
	for path, want := range map[string]string{"a": "map[b:map[c:1]]", "b.c": "map[a:1 b:map[]]", "b": "map[a:1]",
		"x.y": "map[a:1 b:map[c:1]]"} {
		body := map[string]any{"a": 1, "b": map[string]any{"c": 1}}
		if remove(body, strings.Split(path, ".")); fmt.Sprint(body) != want {
			t.Errorf("%s: %v, want %s", path, body, want)
		}
	}
	berlin := time.FixedZone("x", 3600)
	if got := (&route{zone: berlin}).localTime(time.Unix(0, 0)).Hour(); got != 1 {
		t.Error(got)
	}
	if got := (&route{}).localTime(time.Unix(0, 0).In(berlin)); got.Location() != time.UTC {
		t.Error(got)
	}
}
