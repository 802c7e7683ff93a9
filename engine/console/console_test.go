package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

const script = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{.}}`

// operator records the calls it receives.
type operator struct {
	asked   []string
	audited []engine.AuditEntry
	orders  map[string]*engine.Order
	digests map[string][]byte
	// full makes pruning fail because the disk is full.
	full bool
}

func (o *operator) Fire(_ context.Context, w string, in map[string]any, who, why string) (engine.Receipt, error) {
	o.asked = append(o.asked, fmt.Sprint("fire ", w, in, who, why))
	if w == "none" {
		return engine.Receipt{}, fmt.Errorf("workflow %q: %w", w, engine.ErrNotFound)
	}
	return engine.Receipt{Event: 7}, nil
}

func (o *operator) Replay(_ context.Context, of engine.RunID, from, version, by string) (engine.RunID, error) {
	o.asked = append(o.asked, fmt.Sprint("replay ", of, from, version, by))
	return 8, nil
}

func (o *operator) SetEnabled(_ context.Context, w string, on bool, by string) error {
	o.asked = append(o.asked, fmt.Sprint("enabled ", w, on, by))
	return nil
}

func (o *operator) SwitchedOff() map[string]engine.Switch { return nil }

func (o *operator) SetValue(context.Context, engine.ValueChange) (engine.ValueItem, error) {
	return engine.ValueItem{}, nil
}

func (o *operator) DeleteValue(context.Context, engine.ValueChange) error { return nil }

func (o *operator) AdmitConflict(_ context.Context, id, who string) (engine.Receipt, error) {
	if id != "cfl_1" {
		return engine.Receipt{}, engine.ErrNotFound
	}
	return engine.Receipt{Event: 9}, nil
}

func (o *operator) Audit(_ context.Context, a engine.AuditEntry) error {
	o.audited = append(o.audited, a)
	return nil
}

func (o *operator) Destinations() []destination.State { return nil }
func (o *operator) Paused() []engine.Pause            { return nil }
func (o *operator) Unpause(context.Context, string) (int, error) {
	return 0, nil
}

func (o *operator) Prune(context.Context, workflows.History) (engine.Pruned, error) {
	if o.full {
		return engine.Pruned{}, engine.ErrFull
	}
	return engine.Pruned{}, nil
}

func (o *operator) OpenAlerts() []engine.OpenAlert {
	return []engine.OpenAlert{{Kind: engine.AlertRunFailed, Subject: script, Trigger: script, Message: script}}
}

func (o *operator) Cancel(_ context.Context, id engine.RunID) error {
	o.asked = append(o.asked, "cancel "+id.String())
	return engine.ErrStale
}

func (o *operator) Answer(_ context.Context, id engine.RunID, response engine.Response) (plan.Question, error) {
	o.asked = append(o.asked, fmt.Sprint("answer ", id, response))
	return plan.Question{Path: "ok"}, nil
}

func (o *operator) Link(_ context.Context, id engine.RunID, path, by string) (string, plan.Question, error) {
	o.asked = append(o.asked, fmt.Sprint("link ", id, path, by))
	return "token", plan.Question{Path: "ok"}, nil
}

// made returns a console over a real store, in which every field that a sender controls contains a
// script.
func made(t *testing.T, o console.Options) (*console.Console, *operator) {
	t.Helper()
	c, op, _ := madeOf(t, o)
	return c, op
}

// madeOf is made with a given project.
func madeOf(t *testing.T, o console.Options) (*console.Console, *operator, *workflows.Project) {
	t.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	body, err := json.Marshal(map[string]string{script: script})
	if err != nil {
		t.Fatal(err)
	}
	d := &engine.Delivery{Trigger: "shop", Inlet: "webhook", Key: script, Flag: script, Type: script, Time: at, ReceivedAt: at, Raw: body,
		Headers: map[string]string{script: script}, Dedupe: time.Hour}
	if _, err := s.Accept(ctx, 1, d); err != nil {
		t.Fatal(err)
	}
	run := &engine.Run{ID: 2, Event: 1, Workflow: script, Version: script, Status: engine.Failed, CreatedAt: at, StartedAt: at,
		FinishedAt: at, Output: script, Text: script, Error: &plan.Error{Message: script}}
	rec := &plan.Record{Path: script, Attempt: 1, Action: script, Status: plan.Failed, StartedAt: at, FinishedAt: at, Input: script,
		Output: script, Error: run.Error}
	yes := true
	if _, err := s.Match(ctx, []engine.Match{{Event: 1, At: at,
		Decisions: []engine.Decision{{Workflow: script, Version: script, Outcome: engine.Matched, Reason: script, Run: 2,
			Conditions: []engine.Condition{{Expr: script, Result: &yes, Values: map[string]any{script: script}}}}},
		Starts: []engine.RunUpdate{{Run: run, New: true, Records: []*plan.Record{rec}}}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Refuse(ctx, engine.Refusal{At: at, Trigger: script, Reason: script, Detail: script, RemoteIP: script, Path: script,
		Body: []byte(script)}); err != nil {
		t.Fatal(err)
	}
	op := &operator{}
	p := &workflows.Project{Triggers: map[string]*workflows.Trigger{"shop": {Name: "shop"}},
		Workflows: map[string]*workflows.Workflow{"w": {ID: "w"}}}
	o.Log, o.Operator, o.Project, o.Logger, o.Ready = s.History(), op, func() *workflows.Project { return p },
		slog.New(slog.DiscardHandler), func() console.Readiness { return console.Readiness{} }
	c, err := console.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, op, p
}

func get(c http.Handler, method, path string, header map[string]string, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8081"
	for k, v := range header {
		r.Header.Set(k, v)
		if k == "Host" {
			r.Host = v
		}
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

// TestPruneOnAFullDiskAdvisesToFreeSpace checks that the message says what frees space.
func TestPruneOnAFullDiskAdvisesToFreeSpace(t *testing.T) {
	c, op := made(t, console.Options{Loopback: true})
	op.full = true
	w := get(c, "POST", "/api/v1/prune", map[string]string{"X-Hookloom": "1"}, `{"keep": "30d"}`)
	if text := w.Body.String(); w.Code != http.StatusServiceUnavailable || strings.Contains(text, "run hookloom prune") ||
		!strings.Contains(text, "shorter --keep") {
		t.Errorf("%d %s", w.Code, text)
	}
}

func TestPagesShowPayloadsAsTextOnly(t *testing.T) {
	c, _ := made(t, console.Options{Loopback: true})
	for _, path := range []string{"/", "/live", "/triggers", "/trigger?name=shop", "/workflows", "/workflow?id=w", "/deadletters",
		"/quarantine/ref_1", "/audit?q=%3Cscript%3E", "/login?to=%3Cscript%3E", "/runs/run_0000000000000002?with=run_0000000000000002",
		"/events?q=%3Cscript%3E&type=%3Cscript%3E", "/runs", "/runs?status=failed&q=" + "%22%3E%3Cscript%3E",
		"/runs/run_0000000000000002", "/events", "/events/evt_0000000000000001", "/quarantine"} {
		w := get(c, "GET", path, nil, "")
		if w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		html := w.Body.String()
		html = strings.Replace(html, `<script src="/static/console.js" defer></script>`, "", 1)
		for _, bad := range []string{"<script", "<img", "onerror=alert(2)>"} {
			if strings.Contains(html, bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") ||
			w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, w.Header())
		}
	}
	if w := get(c, "GET", "/static/console.css", nil, ""); w.Code != 200 {
		t.Errorf("style: %d", w.Code)
	}
}

func TestAPIResponsesFollowTheContract(t *testing.T) {
	c, op := made(t, console.Options{Loopback: true})
	for path, want := range map[string]string{
		"/api/v1/events": `"next":""`, "/api/v1/events/evt_0000000000000001": `"decisions":[{`,
		"/api/v1/runs?status=failed":        `"items":[{"id":"run_0000000000000002"`,
		"/api/v1/runs/run_0000000000000002": `"steps":[{`, "/api/v1/deadletters": `run_0000000000000002`, "/api/v1/quarantine": `ref_1`,
		"/api/v1/triggers":  `"shop"`,
		"/api/v1/workflows": `"id":"w"`, "/api/v1/runs?limit=1": `"next":"run_0000000000000002"`, "/api/v1/runs?since=1h": `"items":[]`,
	} {
		w := get(c, "GET", path, nil, "")
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for path, want := range map[string]int{"/api/v1/runs/run_0000000000000009": 404, "/api/v1/runs/x": 400, "/api/v1/runs?limit=0": 400,
		"/api/v1/runs?since=soon": 400, "/api/v1/runs?after=x": 400, "/api/v1/runs?event=x": 400, "/api/v1/quarantine/x": 400,
		"/api/v1/quarantine/ref_9": 404, "/runs?after=x": 400, "/quarantine/ref_x": 400, "/quarantine/ref_9": 404, "/runs/x": 400,
		"/trigger?name=none": 404, "/workflow?id=none": 404, "/none": 404, "/api/v1/none": 404, "/healthz": 200, "/readyz": 200} {
		if w := get(c, "GET", path, nil, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	for _, x := range []struct {
		path, body string
		status     int
		asked      string
	}{
		{"/api/v1/runs/run_0000000000000002/replay", `{"from":"failed"}`, 202, "replay run_0000000000000002failedpinned"},
		{"/api/v1/runs/run_0000000000000002/replay", ``, 202, "replay run_0000000000000002startpinned"},
		{"/api/v1/runs/run_0000000000000002/replay", `{"from":"middle"}`, 400, ""},
		{"/api/v1/runs/run_0000000000000002/replay", `{"form":"failed"}`, 400, ""},
		{"/api/v1/events/evt_0000000000000001/replay", `{}`, 202, "replay run_0000000000000002startpinned"},
		{"/api/v1/events/evt_0000000000000001/replay", `{"workflow":"nope","dry_run":true}`, 404, ""},
		{"/api/v1/runs/run_0000000000000002/cancel", ``, 409, "cancel run_0000000000000002"},
		{"/api/v1/runs/run_0000000000000002/approve", `{"by": "ada"}`, 202, "answer run_0000000000000002 { approve ada   <nil>}"},
		{"/api/v1/runs/run_0000000000000002/approve", `{"step": "a", "verdict": "done", "result": {"n": 1}}`, 202,
			"answer run_0000000000000002 {a done local   map[n:1]}"},
		{"/api/v1/workflows/billing/refund/fire", `{"inputs":{"n":12345678901234567},"by":"ada","why":"asked"}`, 202,
			"fire billing/refundmap[n:12345678901234567]adaasked"},
		{"/api/v1/workflows/none/fire", `{}`, 404, "fire none"},
		{"/api/v1/workflows/w/fire", `{"inputs":[]}`, 400, ""},
	} {
		op.asked = nil
		w := get(c, "POST", x.path, map[string]string{"X-Hookloom": "1"}, x.body)
		if w.Code != x.status || x.asked != "" && (len(op.asked) != 1 || !strings.HasPrefix(op.asked[0], x.asked)) {
			t.Errorf("%s %s: %d %s, asked %q", x.path, x.body, w.Code, w.Body, op.asked)
		}
		if x.asked == "" && len(op.asked) > 0 {
			t.Errorf("%s %s was carried out", x.path, x.body)
		}
	}
}

func TestUnauthorizedRequestsAreRefused(t *testing.T) {
	if _, err := console.New(console.Options{Project: func() *workflows.Project { return &workflows.Project{} }}); err == nil {
		t.Error("a public address without a token is served")
	}
	open, op := made(t, console.Options{Loopback: true})
	for name, h := range map[string]map[string]string{
		"a rebound name": {"Host": "evil.example.com:8081", "X-Hookloom": "1"},
		"another site":   {"Sec-Fetch-Site": "cross-site", "X-Hookloom": "1"},
		"another origin": {"Origin": "https://evil.example.com", "X-Hookloom": "1"},
	} {
		if w := get(open, "POST", "/api/v1/runs/run_0000000000000002/cancel", h, ""); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if len(op.asked) != 0 {
		t.Errorf("carried out: %v", op.asked)
	}
	guarded, _ := made(t, tokens("a-token", ""))
	for _, path := range []string{"/runs", "/", "/api/v1/runs", "/api/v1/stream", "/metrics", "/events/evt_0000000000000001", "/nothing"} {
		for _, auth := range []string{"", "a-toke"} {
			if w := get(guarded, "GET", path, map[string]string{"Authorization": auth}, ""); w.Code != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d", path, auth, w.Code)
			}
		}
	}
	for _, auth := range []string{"Bearer wrong", "Bearer "} {
		if w := get(guarded, "GET", "/metrics", map[string]string{"Authorization": auth}, ""); w.Code != http.StatusUnauthorized {
			t.Errorf("with %q: %d", auth, w.Code)
		}
	}
	if w := get(guarded, "GET", "/api/v1/runs", map[string]string{"Authorization": "Bearer a-token", "Host": "hooks.example.com"},
		""); w.Code != 200 {
		t.Errorf("with the token: %d", w.Code)
	}
	if w := get(guarded, "GET", "/healthz", nil, ""); w.Code != 200 {
		t.Errorf("health: %d", w.Code)
	}
}

func TestReadinessFailsWhenNothingCanBeStored(t *testing.T) {
	w := httptest.NewRecorder()
	console.Health(w, httptest.NewRequest("GET", "/readyz", nil),
		func() console.Readiness { return console.Readiness{Err: errors.New("disk")} })
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "disk") ||
		!strings.Contains(w.Body.String(), `"reason":"the database cannot store events: the server's log says why"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
