package triggers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows/expr"
)

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

// TestSynchronousResponseIsTheRunsOutput, or its failure without the message, or 202
// when there is no run or it takes too long.
func TestSynchronousResponseIsTheRunsOutput(t *testing.T) {
	const id = engine.RunID(7)
	ended := func(s engine.RunStatus, output any, e *plan.Error) *engine.AwaitResult {
		return &engine.AwaitResult{Run: &engine.Run{ID: id, Status: s, Error: e}, Names: expr.Names{"output": output,
			"event": map[string]any{"key": "k\r\nX-Evil: 1"}, "run": map[string]any{"id": id.String()}}}
	}
	for _, x := range []struct {
		name, respond string
		ended         *engine.AwaitResult
		err           error
		status        int
		body, kind    string
	}{
		{"the output as JSON", "sync", ended("succeeded", map[string]any{"score": 7}, nil), nil, 200, `{"score":7}`, "application/json"},
		{"a text as text", "sync", ended("succeeded", "<b>hi</b>", nil), nil, 200, "<b>hi</b>", "text/plain; charset=utf-8"},
		{"nothing", "sync", ended("succeeded", nil, nil), nil, 200, "", ""},
		{"status, headers and body", `{mode: sync, status: 201, headers: {Content-Type: text/xml, X-Run: "${{ run.id }}"}, body: "<n>${{ ` +
			`output.n }}</n>"}`, ended("succeeded", map[string]any{"n": 3}, nil), nil, 201, "<n>3</n>", "text/xml"},
		{"a failure", "sync", ended("failed", nil, &plan.Error{Code: "http_status", Message: "s3cret"}), nil, 500,
			`{"error":{"code":"http_status"},"run":"run_0000000000000007"}`, "application/json"},
		{"a cancelled run", "sync", ended("cancelled", nil, nil), nil, 500, `{"error":{"code":"cancelled"},"run":"run_0000000000000007"}`,
			"application/json"},
		{"no run", "sync", &engine.AwaitResult{}, nil, 202, `{"status":"accepted","event":"evt_0000000000000001"}`, "application/json"},
		{"a run that goes on", "{mode: sync, timeout: 10ms}", &engine.AwaitResult{Run: &engine.Run{ID: id, Status: engine.Running}},
			context.DeadlineExceeded, 202, `{"status":"accepted","event":"evt_0000000000000001","run":"run_0000000000000007"}`, "application/json"},
		{"an answer that cannot be written", `{mode: sync, body: "${{ output.a.b }}"}`, ended("succeeded", map[string]any{}, nil), nil, 500,
			`{"error":{"code":"respond"}}`, "application/json"},
		{"a fixed answer that waits for nothing", "{status: 200, body: OK}", nil, nil, 200, "OK", "text/plain; charset=utf-8"},
		{"a fixed status", "{status: 204}", nil, nil, 204, "", ""},
	} {
		p := load(t, "triggers:\n  t: {webhook: {auth: none, respond: "+x.respond+"}}\n")
		m := &memory{events: map[string]engine.EventID{}, await: func(ctx context.Context, _ engine.EventID) (*engine.AwaitResult, error) {
			if x.err != nil {
				<-ctx.Done()
			}
			return x.ended, x.err
		}}
		w := post(hooks(t, p, m), "POST", "/hooks/t", jsonHeader, []byte(`{"a":1}`))
		got := strings.TrimSpace(w.Body.String())
		if x.status == 204 {
			got = ""
		}
		if w.Code != x.status || got != x.body || x.kind != "" && w.Header().Get("Content-Type") != x.kind || !inert(w.Header()) {
			t.Errorf("%s: %d %s %v", x.name, w.Code, got, w.Header())
		}
		if x.status == 201 && w.Header().Get("X-Run") != "run_0000000000000007" {
			t.Errorf("%s: %v", x.name, w.Header())
		}
	}
}

// inert reports whether no browser makes a page of an answer.
func inert(h http.Header) bool {
	plain := h.Get("Content-Type") == "application/json" && h.Get("X-Content-Type-Options") == "nosniff"
	return plain || h.Get("Content-Security-Policy") != ""
}

// TestResponseHeaderCannotBeSplit by what the run gave.
func TestResponseHeaderCannotBeSplit(t *testing.T) {
	p := load(t, "triggers:\n  t: {webhook: {auth: none, respond: {mode: sync, headers: {X-Key: \"${{ event.key }}\"}}}}\n")
	m := &memory{events: map[string]engine.EventID{}, await: func(context.Context, engine.EventID) (*engine.AwaitResult, error) {
		return &engine.AwaitResult{Run: &engine.Run{Status: engine.Succeeded, FinishedAt: time.Now()},
			Names: expr.Names{"event": map[string]any{"key": "k\r\nX-Evil: 1"}, "output": nil, "run": nil}}, nil
	}}
	w := post(hooks(t, p, m), "POST", "/hooks/t", jsonHeader, []byte(`{}`))
	if w.Code != 200 || w.Header().Get("X-Key") != "" || w.Header().Get("X-Evil") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestAListBecomesAnEventOfEachElement, each with its own key, type and data, all
// stored or none.
func TestAListBecomesAnEventOfEachElement(t *testing.T) {
	for _, x := range []struct{ name, webhook, body, want string }{
		{"by the element's hash", "{auth: none, split: body}", `[{"a":1},{"a":2},{"a":1}]`,
			`sha256:fb5c t {"a":1}|sha256:aa2f t {"a":2}|sha256:0a47 t {"a":1}`},
		{"by a key and a type of its own", "{auth: none, split: body.list, key: \"[body.account, item.id]\", event_type: item.kind, data: " +
			"\"{id: item.id, of: body.account}\"}",
			`{"account":"x","list":[{"id":1,"kind":"made"},{"id":2,"kind":"gone"}]}`, `x/1 made {"id":1,"of":"x"}|x/2 gone {"id":2,"of":"x"}`},
		{"by the preset's key, for each element as for a list of one", "{provider: hubspot, secret: \"${{ secrets.T }}\", split: body}",
			`[{"subscriptionId":1,"eventId":2,"occurredAt":3,"subscriptionType":"deal.creation"},{"subscriptionId":1,"eventId":4,"occurredAt":3,` +
				`"subscriptionType":"deal.deletion"}]`,
			`1-2--3 deal.creation {"eventId":2,"occurredAt":3,"subscriptionId":1,"subscriptionType":"deal.creation"}|1-4--3 deal.deletion ` +
				`{"eventId":4,"occurredAt":3,"subscriptionId":1,"subscriptionType":"deal.deletion"}`},
		{"none of an empty one", "{auth: none, split: body}", `[]`, ``},
		{"itself where there is no list", "{auth: none, split: body.list}", `{}`, `sha256:71a5 t {}`},
		{"none where the list is empty", "{auth: none, split: body.list}", `{"list":[]}`, ``},
	} {
		p := load(t, "triggers:\n  t: {webhook: "+x.webhook+"}\n")
		m := &memory{events: map[string]engine.EventID{}}
		h := hooks(t, p, m)
		r := httptest.NewRequest("POST", "/hooks/t", strings.NewReader(x.body))
		r.Header.Set("Content-Type", "application/json")
		if strings.Contains(x.webhook, "provider") {
			signed, err := triggers.Sample(p, "t", lookup, triggers.SampleOrder{Body: []byte(x.body), Base: "http://example.com"})
			if err != nil {
				t.Fatal(err)
			}
			r.Header = signed.Header
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var got []string
		for _, d := range m.taken {
			key := d.Key
			if k, ok := strings.CutPrefix(key, "sha256:"); ok {
				key = "sha256:" + k[:4]
			}
			got = append(got, key+" "+d.Type+" "+string(d.Raw))
		}
		if strings.Join(got, "|") != x.want || w.Code/100 != 2 {
			t.Errorf("%s: %d %s\n%s", x.name, w.Code, w.Body, strings.Join(got, "|"))
		}
	}
	p := load(t, "triggers:\n  t: {webhook: {auth: none, split: body}}\n")
	m := &memory{events: map[string]engine.EventID{}}
	w := post(hooks(t, p, m), "POST", "/hooks/t", jsonHeader, []byte(`{"a":1}`))
	if w.Code != 202 || len(m.taken) != 1 || m.taken[0].Flag != "body not readable: split: body did not return a list" ||
		string(m.taken[0].Raw) != `{"a":1}` {
		t.Errorf("an object in place of a list: %d %s %+v", w.Code, w.Body, m.taken)
	}
}
