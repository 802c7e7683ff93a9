package triggers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/lograte"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// awaitingSink answers with one end of a run.
type awaitingSink struct {
	engine.Sink
	ended *engine.AwaitResult
	err   error
}

func (s awaitingSink) Await(context.Context, engine.EventID) (*engine.AwaitResult, error) {
	return s.ended, s.err
}

// written is an answer in one line.
func written(w *httptest.ResponseRecorder) string {
	return fmt.Sprintf("%d %v %q", w.Code, w.Header(), w.Body)
}

// TestAnswersFollowWhatWasStored: the status of a list is that of its best event, and a run,
// a refusal and a failed store have their own.
func TestAnswersFollowWhatWasStored(t *testing.T) {
	var out strings.Builder
	h := &Hooks{log: slog.New(slog.DiscardHandler), often: lograte.New(lograte.Flood)}
	r := &route{webhook: &workflows.Webhook{Events: []string{"a"}}, trigger: &workflows.Trigger{Name: "t"}}
	for _, kinds := range []string{"", "a", "x", "d", "xa", "ax", "dx", "xd", "da", "ad", "xdax", "dd"} {
		var ds []*engine.Delivery
		var receipts []engine.Receipt
		for i, k := range kinds {
			ds = append(ds, &engine.Delivery{Type: strings.ReplaceAll(string(k), "d", "a")})
			receipts = append(receipts, engine.Receipt{Event: engine.EventID(i + 1), Duplicate: k == 'd'})
		}
		status, body := r.stored(ds, receipts)
		fmt.Fprintf(&out, "stored %q: %d %+v\n", kinds, status, body)
	}
	run := func(status engine.RunStatus, code string) *engine.AwaitResult {
		e := &engine.AwaitResult{Run: &engine.Run{Status: status}, Names: expr.Names{"output": map[string]any{"n": 1}}}
		if code != "" {
			e.Run.Error = &plan.Error{Code: code}
		}
		return e
	}
	for i, s := range []awaitingSink{{ended: run(engine.Succeeded, "")}, {ended: run(engine.Failed, "")},
		{ended: run(engine.Failed, "http_status")},
		{ended: &engine.AwaitResult{}}, {err: context.DeadlineExceeded}, {ended: run(engine.Running, ""), err: context.DeadlineExceeded},
		{ended: run(engine.Running, ""), err: errors.New("broken")}, {ended: &engine.AwaitResult{}, err: context.DeadlineExceeded}} {
		h.sink = s
		r.webhook.Respond = &workflows.Respond{Sync: true, Timeout: time.Second, Status: 201}
		w := httptest.NewRecorder()
		done := h.answerWithRun(w, httptest.NewRequest(http.MethodPost, "/", nil), r, engine.EventID(7))
		fmt.Fprintf(&out, "run %d: %t %s\n", i, done, written(w))
	}
	for _, v := range []any{nil, "", "text", 7, true, []any{}, map[string]any{"a": 1}} {
		w := httptest.NewRecorder()
		r.render(w, &workflows.Respond{Status: 202}, expr.Names{"output": v}, time.Time{})
		fmt.Fprintf(&out, "output %v: %s\n", v, written(w))
	}
	for _, j := range []verdict{{status: 401, reason: "a", detail: "b"}, {status: 422, reason: "a", detail: "b"}, {status: 503,
		reason: "a", detail: "b"},
		{status: 405, reason: "a", detail: "b"}} {
		w := httptest.NewRecorder()
		r.answerRefused(w, &inbound{}, j)
		fmt.Fprintf(&out, "refused %s\n", written(w))
	}
	for _, err := range []error{engine.ErrFull, engine.ErrBusy, engine.ErrClosed, errors.New("broken")} {
		var log strings.Builder
		h.log, h.often = slog.New(slog.NewTextHandler(&log, nil)), lograte.New(lograte.Flood)
		w := httptest.NewRecorder()
		h.unavailable(w, fmt.Errorf("storing: %w", err))
		fmt.Fprintf(&out, "unavailable %s, logged %t\n", written(w), log.Len() > 0)
	}
	for _, wait := range []time.Duration{1, time.Second, 90 * time.Second} {
		r.limiter = fixedLimiter{wait: wait}
		w := httptest.NewRecorder()
		h.limited(w, httptest.NewRequest(http.MethodPost, "/", nil), r, &inbound{})
		fmt.Fprintf(&out, "limited %s: %s\n", wait, written(w))
	}
	for _, a := range []Answer{{Status: 200}, {Status: 204, Headers: map[string]string{"X-A": "b"}}, {Status: 200, Body: "ok"}} {
		w := httptest.NewRecorder()
		a.write(w)
		fmt.Fprintf(&out, "given %s\n", written(w))
	}
	testgolden.Compare(t, "answers.golden", out.String())
}

// TestBodiesAreReadAsTheirSenderSendsThem: the declared type chooses only among the known ones.
func TestBodiesAreReadAsTheirSenderSendsThem(t *testing.T) {
	var out strings.Builder
	const form = "application/x-www-form-urlencoded"
	for _, sent := range [][]string{nil, {"application/json"}, {form, "application/json"}, {"application/json", "text/xml"}} {
		for _, declared := range []string{"", "application/json", "Application/JSON; charset=utf-8", form, "text/plain", "text/xml"} {
			for _, body := range []string{"", "{}", " [1]", `"a"`, "<a/>", "a=1", "--x"} {
				in := &inbound{header: http.Header{"Content-Type": {declared}}, body: []byte(body), mediaTypes: sent}
				fmt.Fprintf(&out, "%v, %q, %q: %s\n", sent, declared, body, in.contentType())
			}
		}
	}
	preset := &workflows.Preset{MediaTypes: []string{"a"}}
	for _, r := range []*route{{webhook: &workflows.Webhook{}}, {webhook: &workflows.Webhook{}, preset: preset},
		{webhook: &workflows.Webhook{MediaTypes: []string{"b"}}, preset: preset}} {
		fmt.Fprintf(&out, "sent %v\n", r.mediaTypes())
	}
	testgolden.Compare(t, "mediatypes.golden", out.String())
}

// TestStoredRequestsHaveNoTokens: in the query, the path or the body.
func TestStoredRequestsHaveNoTokens(t *testing.T) {
	secrets := []*secretUse{{text: `to"ken`}}
	for i, c := range []struct {
		from      signature.Place
		algorithm string
		query     string
		body      string
	}{
		{signature.Place{Query: "key"}, "static-token", "map[a:1, 2 key:***]", `{"t":"to\"ken"}`},
		{signature.Place{JSON: "t"}, "static-token", `map[a:1, 2 key:to"ken]`, `{"t":"***"}`},
		{signature.Place{Form: "t"}, "static-token", `map[a:1, 2 key:to"ken]`, `{"t":"***"}`},
		{signature.Place{Header: "X-T"}, "static-token", `map[a:1, 2 key:to"ken]`, `{"t":"to\"ken"}`},
		{signature.Place{JSON: "t"}, "hmac-sha256", `map[a:1, 2 key:to"ken]`, `{"t":"to\"ken"}`},
	} {
		s := signature.Scheme{Algorithm: c.algorithm, From: c.from, Encodings: []string{"raw"}}
		if c.algorithm == "hmac-sha256" {
			s.Encodings, s.SignedContent = []string{"hex"}, []string{"{body}"}
		}
		v, err := signature.Compile(s)
		if err != nil {
			t.Fatal(i, err)
		}
		r := &route{secrets: secrets, proofs: []*proof{{verifier: v}}, webhook: &workflows.Webhook{}}
		if got := fmt.Sprint(r.keepQuery(url.Values{"key": {`to"ken`}, "a": {"1", "2"}})); got != c.query {
			t.Errorf("%d: %s", i, got)
		}
		if got := string(r.maskTokens([]byte(`{"t":"to\"ken"}`))); got != c.body {
			t.Errorf("%d: %s", i, got)
		}
	}
}

// TestBrowsersAreAnsweredByTheirOrigin: a preflight, a request of an allowed page, one of another page, and one of no page.
func TestBrowsersAreAnsweredByTheirOrigin(t *testing.T) {
	var out strings.Builder
	for _, origins := range [][]string{nil, {"https://a.example"}, {"*"}} {
		c := newCORS(origins, []string{"POST", "PUT"})
		for _, method := range []string{http.MethodOptions, http.MethodPost} {
			for _, origin := range []string{"", "https://a.example", "https://A.example", "https://b.example"} {
				for _, asked := range []string{"", "POST"} {
					req := httptest.NewRequest(method, "/", nil)
					for k, v := range map[string]string{"Origin": origin, "Access-Control-Request-Method": asked,
						"Access-Control-Request-Headers": "x-a, x-b"} {
						if v != "" {
							req.Header.Set(k, v)
						}
					}
					is, allowed := c.preflight(req)
					fmt.Fprintf(&out, "%v %s %q %q: %t %t", origins, method, origin, asked, is, allowed)
					if c != nil {
						w := httptest.NewRecorder()
						fmt.Fprintf(&out, ", served %t %s", c.serve(w, req), written(w))
					}
					out.WriteString("\n")
				}
			}
		}
	}
	testgolden.Compare(t, "cors.golden", out.String())
}

// TestSampleBodiesAreSetByPath: keys and indexes, whose maps are made on the way; ids are put into texts.
func TestSampleBodiesAreSetByPath(t *testing.T) {
	for path, want := range map[string]string{"a": "map[a:9 l:[1 map[x:2]] t:SAMPLE_ID]",
		"b.c": "map[a:map[] b:map[c:9] l:[1 map[x:2]] t:SAMPLE_ID]",
		"a.c": "map[a:map[c:9] l:[1 map[x:2]] t:SAMPLE_ID]", "l.0": "map[a:map[] l:[9 map[x:2]] t:SAMPLE_ID]",
		"l.1.x": "map[a:map[] l:[1 map[x:9]] t:SAMPLE_ID]", "l.2": "map[a:map[] l:[1 map[x:2]] t:SAMPLE_ID]",
		"l.x": "map[a:map[] l:[1 map[x:2]] t:SAMPLE_ID]", "l.00": "map[a:map[] l:[1 map[x:2]] t:SAMPLE_ID]",
		"t.x": "map[a:map[] l:[1 map[x:2]] t:SAMPLE_ID]"} {
		body := map[string]any{"a": map[string]any{}, "l": []any{1, map[string]any{"x": 2}}, "t": "SAMPLE_ID"}
		if set(body, path, 9); fmt.Sprint(body) != want {
			t.Errorf("%s: %v, want %s", path, body, want)
		}
		if got := fmt.Sprint(clone(body, "7")); got != strings.ReplaceAll(want, "SAMPLE_ID", "7") {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, c := range []struct {
		fields []string
		form   bool
		want   string
	}{
		{nil, false, "map[a:1]"}, {[]string{"sig", "a"}, false, "map[a:1 sig:id]"}, {[]string{"payload"}, false,
			`map[payload:{"a":1,"m":{}}]`},
		{[]string{"sig"}, true, "map[a:1 m:map[] sig:id]"},
	} {
		s := &SampleRequest{Header: http.Header{}, form: c.form, body: map[string]any{"a": 1, "m": map[string]any{}}}
		if s.becomeForm(c.fields, "id"); fmt.Sprint(s.body) != c.want || !s.form || (s.Header.Get("Content-Type") == "") != c.form {
			t.Errorf("%v: %v", c.fields, s.body)
		}
	}
	r := &route{webhook: &workflows.Webhook{}}
	for _, c := range []struct {
		events []string
		sample workflows.Sample
		want   string
	}{
		{nil, workflows.Sample{}, "sample"}, {[]string{"a.*", "b"}, workflows.Sample{Type: "c"}, "b"}, {[]string{"*"},
			workflows.Sample{Type: "c"}, "c"},
		{nil, workflows.Sample{Body: map[string]any{"type": "d"}}, "d"}, {nil, workflows.Sample{Body: map[string]any{}}, ""},
	} {
		if r.webhook.Events = c.events; r.sampleType(&c.sample) != c.want {
			t.Errorf("%v: %s, want %s", c.events, r.sampleType(&c.sample), c.want)
		}
	}
}
