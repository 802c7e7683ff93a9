package actions_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// exchanged is a server that keeps the last request and responds as configured.
type exchanged struct {
	*httptest.Server
	uri, body string
	header    http.Header
	status    int
	answer    string
	headers   map[string]string
}

func newExchanged(t *testing.T) *exchanged {
	t.Helper()
	x := &exchanged{status: 200}
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		x.uri, x.body, x.header = r.URL.RequestURI(), string(b), r.Header
		for k, v := range x.headers {
			w.Header().Set(k, v)
		}
		w.WriteHeader(x.status)
		_, _ = io.WriteString(w, x.answer)
	}))
	t.Cleanup(x.Close)
	return x
}

// TestLinksDoNotRepeatTheBaseURL checks that a path in the file is relative to the base,
// and that a link in a response is followed, whether it is a complete URL or relative to the host.
func TestLinksDoNotRepeatTheBaseURL(t *testing.T) {
	x := newExchanged(t)
	api := connections(t, "connections: {api: {connector: http, base_url: \""+x.URL+"/api/v1/\"}}")
	for url, want := range map[string][2]string{
		"/items":                             {"/api/v1/items", "/api/v1/items"},
		"/api/v1/items":                      {"/api/v1/api/v1/items", "/api/v1/items"},
		"/api/v1/items?page=2":               {"/api/v1/api/v1/items?page=2", "/api/v1/items?page=2"},
		"/api/v1?page=2":                     {"/api/v1/api/v1?page=2", "/api/v1?page=2"},
		"/api/v10/items":                     {"/api/v1/api/v10/items", "/api/v1/api/v10/items"},
		x.URL + "/api/v1/items?page=3":       {"/api/v1/items?page=3", "/api/v1/items?page=3"},
		"HTTP" + x.URL[4:] + "/api/v1/items": {"/api/v1/items", "/api/v1/items"},
	} {
		for i, link := range []bool{false, true} {
			a := actions.Executors(actions.Options{Client: client(t, "127.0.0.1")})["http/get"]
			_, err := a.Do(t.Context(), engine.Input{Spec: catalog(t)["http/get"], With: map[string]any{"connection": "api", "url": url},
				Link: link, Connections: api, Secret: func(string) (string, bool) { return "", false }})
			if err != nil || x.uri != want[i] {
				t.Errorf("%s, link %v: asked for %s, %v; want %s", url, link, x.uri, err, want[i])
			}
		}
	}
}

func TestFormsAndQueriesWriteListsAndMapsByStyle(t *testing.T) {
	x := newExchanged(t)
	value := map[string]any{"a": []any{1, nil, 2}, "m": map[string]any{"k": "v", "n": nil, "deep": map[string]any{"x": true}},
		"items": []any{map[string]any{"price": "p"}}, "none": nil}
	for style, want := range map[string]string{
		"":         "a=1&a=2&items%5B0%5D%5Bprice%5D=p&m%5Bdeep%5D%5Bx%5D=true&m%5Bk%5D=v",
		"repeat":   "a=1&a=2&items%5B0%5D%5Bprice%5D=p&m%5Bdeep%5D%5Bx%5D=true&m%5Bk%5D=v",
		"brackets": "a%5B%5D=1&a%5B%5D=2&items%5B0%5D%5Bprice%5D=p&m%5Bdeep%5D%5Bx%5D=true&m%5Bk%5D=v",
		"json": "a=%5B1%2Cnull%2C2%5D&items=%5B%7B%22price%22%3A%22p%22%7D%5D&" +
			"m=%7B%22deep%22%3A%7B%22x%22%3Atrue%7D%2C%22k%22%3A%22v%22%2C%22n%22%3Anull%7D",
	} {
		with := map[string]any{"url": x.URL, "form": value, "query": value}
		if style != "" {
			with["form_style"] = style
		}
		if _, err := do(t, t.Context(), "http/post", with, nil); err != nil || x.body != want || x.uri != "/?"+want {
			t.Errorf("%q: %v\nform  %s\nquery %s\nwant  %s", style, err, x.body, x.uri, want)
		}
	}
}

// TestUnreadableJSONResponseIsAnError checks that a response declared as JSON is either parsed, or
// an error with the reason.
func TestUnreadableJSONResponseIsAnError(t *testing.T) {
	x := newExchanged(t)
	for _, c := range []struct{ media, answer, want string }{
		{"application/json", "\ufeff{\"a\": 1}", "map[a:1]"},
		{"application/problem+json; charset=utf-8", `[1]`, "[1]"},
		{"application/json", " \n", "<nil>"},
		{"application/json", `{"a": 1, "a": 2}`, "bad_answer"},
		{"application/json", `{"a": `, "bad_answer"},
		{"application/json", "[" + strings.TrimSuffix(strings.Repeat("1,", 250_000), ",") + "]", "too_large"},
		{"application/x-ndjson", "{}\n{}\n", "{}\n{}\n"},
		{"text/html", "{", "{"},
	} {
		x.answer, x.headers = c.answer, map[string]string{"Content-Type": c.media}
		out, err := do(t, t.Context(), "http/get", map[string]any{"url": x.URL}, nil)
		var e *plan.Error
		got := ""
		if errors.As(err, &e) {
			got = e.Code
		} else if m, ok := out.(map[string]any); ok {
			got = fmt.Sprint(m["body"])
		}
		if got != c.want {
			t.Errorf("%s %.20q: %.80s, want %s", c.media, c.answer, got, c.want)
		}
	}
}

// TestErrorOfATooLargeResponseGivesAdvice checks the advice of the error.
func TestErrorOfATooLargeResponseGivesAdvice(t *testing.T) {
	x := newExchanged(t)
	x.answer = strings.Repeat("x", 5<<20)
	for most, want := range map[string]string{"2MiB": "max_response: allows up to 4MiB",
		"20MiB": "larger than 4MiB, the limit of a step's output; save: true writes it to a file"} {
		if _, err := do(t, t.Context(), "http/get", map[string]any{"url": x.URL, "max_response": most}, nil); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", most, err)
		}
	}
}

func TestRetryAfterIsParsed(t *testing.T) {
	x := newExchanged(t)
	x.status = 429
	for header, want := range map[string]time.Duration{
		"0.5": 500 * time.Millisecond, "2": 2 * time.Second, "1.25": 1250 * time.Millisecond, "0": 0, "-1": 0, "1.2.3": 0, "NaN": 0, "1e9": 0,
		"999999": 24 * time.Hour,
		fmt.Sprint(time.Now().Add(time.Minute).Unix()):      time.Minute,
		fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()): time.Minute,
		fmt.Sprint(time.Now().Add(-time.Hour).Unix()):       0,
		"99999999999999999999":                              24 * time.Hour,
	} {
		x.headers = map[string]string{"Retry-After": header}
		_, err := do(t, t.Context(), "http/get", map[string]any{"url": x.URL}, nil)
		var e *plan.Error
		if !errors.As(err, &e) || e.RetryAfter > want || e.RetryAfter < want-10*time.Second && want == time.Minute || want != time.Minute &&
			e.RetryAfter != want {
			t.Errorf("Retry-After %s: %v, %v", header, e, err)
		}
	}
}

// TestConnectorSendsExplicitNulls also checks that missing inputs are omitted.
func TestConnectorSendsExplicitNulls(t *testing.T) {
	x := newExchanged(t)
	x.answer = `{"id": "1", "ok": true, "updatedAt": "2026-05-01T10:00:00Z", "ts": "1", "channel": "c"}`
	x.headers = map[string]string{"Content-Type": "application/json"}
	conns := connections(t, "connections:\n  hubspot: {connector: hubspot, base_url: \""+x.URL+"\", token: \"${{ secrets.T }}\"}\n"+
		"  slack: {connector: slack, base_url: \""+x.URL+"\", token: \"${{ secrets.T }}\"}\n")
	for _, c := range []struct {
		action string
		with   map[string]any
		want   string
	}{
		{"hubspot/deals.update", map[string]any{"id": "1", "properties": map[string]any{"closedate": nil, "stage": "won"}},
			`{"properties":{"closedate":null,"stage":"won"}}`},
		{"slack/post", map[string]any{"channel": "c", "text": "t"}, `{"channel":"c","text":"t"}`},
		{"slack/post", map[string]any{"channel": "c", "text": "t", "blocks": []any{map[string]any{"a": nil}}},
			`{"blocks":[{"a":null}],"channel":"c","text":"t"}`},
	} {
		if _, err := do(t, t.Context(), c.action, c.with, conns); err != nil || x.body != c.want {
			t.Errorf("%s: %v, sent %s, want %s", c.action, err, x.body, c.want)
		}
	}
}

const shopConnector = `
connector: shop
base_url: https://shop.example
actions:
  create:
    idempotency: none
    inputs: {ref: {type: string, required: true}}
    request: {method: POST, path: /orders, body: {ref: "${{ inputs.ref }}"}}
    output: {id: "${{ response.body.id }}"}
    already:
      - when: response.status == 409 and response.body.code == "exists"
        output: {id: "${{ response.body.existing }}"}
    fail:
      - {when: response.status == 400, code: refused, message: no}
`

// TestExistingObjectIsASuccess checks it for responses that the connector knows, and for
// statuses that the step accepts.
func TestExistingObjectIsASuccess(t *testing.T) {
	x := newExchanged(t)
	c, err := workflows.ParseConnector("shop.yaml", []byte(shopConnector))
	if err != nil {
		t.Fatal(err)
	}
	spec := c.Specs()[0]
	conns := connections(t, "connections: {shop: {connector: http, base_url: \""+x.URL+"\"}}")
	for _, k := range []struct {
		status int
		answer string
		accept any
		want   string
	}{
		{201, `{"id": "1"}`, nil, "map[id:1]"},
		{409, `{"code": "exists", "existing": "7"}`, nil, "map[id:7]"},
		{409, `{"code": "other"}`, nil, "http_status"},
		{409, `{"code": "other"}`, []any{200, 201, 409}, "map[body:map[code:other]"},
		{400, `{}`, nil, "refused"},
		{400, `{}`, 400, "map[body:map[]"},
		{201, `{"id": "1"}`, 409, "http_status"},
	} {
		x.status, x.answer, x.headers = k.status, k.answer, map[string]string{"Content-Type": "application/json"}
		with := map[string]any{"ref": "a", "idempotency_key": "own"}
		if k.accept != nil {
			with["accept"] = k.accept
		}
		out, err := actions.Executors(actions.Options{Client: client(t, "127.0.0.1")})["connector"].Do(t.Context(),
			engine.Input{Spec: spec, With: with, Key: "hl_key",
				Connections: conns, Secret: func(string) (string, bool) { return "", false }})
		got := fmt.Sprint(out)
		var e *plan.Error
		if errors.As(err, &e) {
			got = e.Code
		}
		if !strings.HasPrefix(got, k.want) || x.header.Get("Idempotency-Key") != "own" {
			t.Errorf("%d %s, accept %v: %s %v; key %q", k.status, k.answer, k.accept, got, err, x.header.Get("Idempotency-Key"))
		}
	}
	if spec.Safe || spec.Retry == nil || !spec.Retry.OnlyUndone {
		t.Errorf("an action that acts again is repeated by default: %+v", spec)
	}
}

// TestNonIdempotentActionsAreMarked checks the built-in connectors.
func TestNonIdempotentActionsAreMarked(t *testing.T) {
	for name, spec := range catalog(t) {
		if a := spec.Action; a != nil && (a.Method == "POST" || a.Method == "PATCH") && a.Idempotency == "" {
			t.Errorf("%s does not say what its service does with the same request again", name)
		}
	}
	for name, again := range map[string]bool{"hubspot/deals.create": true, "slack/post": true, "hubspot/contacts.upsert": false,
		"hubspot/deals.update": false} {
		if spec := catalog(t)[name]; spec.Retry.OnlyUndone != again || spec.Safe == again {
			t.Errorf("%s: %+v %+v", name, spec, spec.Retry)
		}
	}
}

func TestMultipartHoldsFieldsAndFiles(t *testing.T) {
	var files, fields []string
	var bodies [][]byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, b)
		r.Body = io.NopCloser(bytes.NewReader(b))
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			t.Error(err)
			return
		}
		files, fields = nil, []string{r.FormValue("name"), fmt.Sprint(r.MultipartForm.Value["tag"]), r.FormValue("data")}
		for _, h := range r.MultipartForm.File["file"] {
			f, _ := h.Open()
			b, _ := io.ReadAll(f)
			files = append(files, h.Filename+" "+h.Header.Get("Content-Type")+" "+string(b))
		}
	}))
	defer s.Close()
	with := map[string]any{"url": s.URL, "multipart": map[string]any{"name": "Ünï", "tag": []any{1, "two", nil},
		"data": map[string]any{"body": map[string]any{"a": nil}},
		"file": []any{map[string]any{"filename": `a "b".csv`, "type": "text/csv", "text": "a,b"},
			map[string]any{"filename": "x.bin", "raw": "//4="}}}}
	for range 2 {
		if _, err := do(t, t.Context(), "http/post", with, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprintf("%q %q", fields, files); got != `["Ünï" "[1 two]" "{\"a\":null}"] ["a %22b%22.csv text/csv a,b" "x.bin `+
		`application/octet-stream \xff\xfe"]` {
		t.Error(got)
	}
	if !bytes.Equal(bodies[0], bodies[1]) {
		t.Error("two attempts differ")
	}
	for name, bad := range map[string]any{"line break": map[string]any{"a\r\nX: y": "v"},
		"no content":   map[string]any{"a": map[string]any{"filename": "x"}},
		"two contents": map[string]any{"a": map[string]any{"text": "x", "raw": ""}},
		"unknown key":  map[string]any{"a": map[string]any{"file": "x"}}, "not valid base64": map[string]any{"a": map[string]any{"raw": "?"}},
		"no type": map[string]any{"a": map[string]any{"text": "", "type": "x\r\ny"}}} {
		if _, err := do(t, t.Context(), "http/post", map[string]any{"url": s.URL, "multipart": bad}, nil); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
}

// TestJSONTextIsSentUnchanged also checks that other texts are sent as JSON strings.
func TestJSONTextIsSentUnchanged(t *testing.T) {
	x := newExchanged(t)
	for body, want := range map[string]string{`{"a": "b"}`: `{"a": "b"}`, " [1]\n": " [1]\n", `{"a": `: `"{\"a\": "`, "plain": `"plain"`,
		"7": `"7"`} {
		if _, err := do(t, t.Context(), "http/post", map[string]any{"url": x.URL, "body": body}, nil); err != nil || x.body != want ||
			x.header.Get("Content-Type") != "application/json" {
			t.Errorf("%q: %v, sent %s", body, err, x.body)
		}
	}
}

// TestNowInAConnectorIsTheTimeOfTheStep checks that now() has the project's time zone and is the same
// in a retry.
func TestNowInAConnectorIsTheTimeOfTheStep(t *testing.T) {
	x := newExchanged(t)
	x.answer = `{"id": "1"}`
	x.headers = map[string]string{"Content-Type": "application/json"}
	c, err := workflows.ParseConnector("clock.yaml", []byte("connector: clock\nbase_url: "+x.URL+"\nactions:\n  post:\n"+
		"    request: {method: POST, path: /, body: {at: \"${{ now().Format('2006-01-02T15:04Z07:00') }}\"}}\n    output: {at: "+
		"\"${{ now().Hour() }}\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 7, 1, 10, 0, 0, 0, time.FixedZone("CEST", 7200))
	doers := actions.Executors(actions.Options{Client: client(t, "127.0.0.1")})
	out, err := doers["connector"].Do(t.Context(), engine.Input{Spec: c.Specs()[0], With: map[string]any{}, Now: now,
		Connections: connections(t, "connections: {clock: {connector: http, base_url: \""+x.URL+"\"}}"),
		Secret:      func(string) (string, bool) { return "", false }})
	if err != nil || x.body != `{"at":"2026-07-01T10:00+02:00"}` || fmt.Sprint(out) != "map[at:10]" {
		t.Errorf("%v, sent %s, gave %v", err, x.body, out)
	}
}
