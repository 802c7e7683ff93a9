package actions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// sentConfig and sentFlow are a project with a step for each kind of HTTP action.
const sentConfig = `egress: {allow: [127.0.0.1]}
triggers: {shop: {webhook: {provider: generic, secret: "${{ secrets.SHOP }}"}}}
connections:
  crm: {base_url: "URL/api", auth: {basic: {user: "${{ secrets.CRM_USER }}", password: "${{ secrets.CRM_PASS }}"}},
    headers: {X-Tenant: acme}}
`

const sentFlow = `on: shop
steps:
  - id: post
    uses: http/post
    with:
      url: "URL/orders/1?a=[1]"
      query: {token: "${{ secrets.QUERY }}"}
      headers: {X-Note: plain, Authorization: "Bearer ${{ secrets.API }}"}
      body: {key: "${{ secrets.BODY }}", note: "${{ event.data.note }}"}
  - id: crm
    uses: http/patch
    with: {connection: crm, url: /people/7, form: {name: "${{ event.data.note }}"}}
  - id: get
    uses: http/get
    with: {url: "URL/list", auth: {header: {name: X-Api-Key, value: "${{ secrets.API }}"}}}
  - id: hook
    uses: webhook/send
    with: {url: "URL/hook", secret: "${{ secrets.SIGN }}", type: paid, body: {n: 1}}
`

// hostileNote would end a quoted shell word, and looks like a variable and like HTML.
const hostileNote = "it's \"$API\" `id` $(id) \\ \n<script>alert(1)</script> @file"

// request is a request that a server received.
type request struct {
	method, url, body string
	header            http.Header
}

// sentSetup loads the project, and returns what its server receives.
func sentSetup(t *testing.T) (*workflows.Project, *workflows.Workflow, *[]request) {
	t.Helper()
	got := &[]request{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		*got = append(*got, request{r.Method, "http://" + r.Host + r.URL.String(), string(b), r.Header})
	}))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	for name, text := range map[string]string{"hookloom.yaml": sentConfig, "workflows/flow.yaml": sentFlow} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(strings.ReplaceAll(text, "URL", srv.URL)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{Actions: actions.Catalog()}, func(string) bool { return true })
	flow := p.Workflows["flow"]
	if flow == nil {
		t.Fatal(mistakes)
	}
	return p, flow, got
}

// sentSecrets are the real ones.
var sentSecrets = map[string]string{"QUERY": "q-secret", "API": "api-secret", "BODY": "body-secret", "CRM_USER": "crm-user",
	"CRM_PASS": "crm-pass", "SIGN": "whsec_c2lnbi1zZWNyZXQtMDEyMzQ1Njc4OQ=="}

// recordedInputs returns the inputs of the steps as stored.
func recordedInputs(url string) map[string]map[string]any {
	return map[string]map[string]any{
		"post": {"url": url + "/orders/1?a=[1]", "query": map[string]any{"token": "***"},
			"headers": map[string]any{"X-Note": "plain", "Authorization": "***"},
			"body":    map[string]any{"key": "***", "note": hostileNote}},
		"crm":  {"connection": "crm", "url": "/people/7", "form": map[string]any{"name": hostileNote}},
		"get":  {"url": url + "/list", "auth": map[string]any{"header": map[string]any{"name": "X-Api-Key", "value": "***"}}},
		"hook": {"url": url + "/hook", "secret": "***", "type": "paid", "body": map[string]any{"n": 1}},
	}
}

// realInput inserts the secrets into an input, as in the run.
func realInput(id string, in map[string]any) map[string]any {
	out := maps.Clone(in)
	switch id {
	case "post":
		out["query"] = map[string]any{"token": sentSecrets["QUERY"]}
		out["headers"] = map[string]any{"X-Note": "plain", "Authorization": "Bearer " + sentSecrets["API"]}
		out["body"] = map[string]any{"key": sentSecrets["BODY"], "note": hostileNote}
	case "get":
		out["auth"] = map[string]any{"header": map[string]any{"name": "X-Api-Key", "value": sentSecrets["API"]}}
	case "hook":
		out["secret"] = sentSecrets["SIGN"]
	}
	return out
}

// TestShownRequestEqualsTheSentOne makes each attempt for real, and compares what the server
// received with what is shown for the record, also after a shell has parsed the curl command.
func TestShownRequestEqualsTheSentOne(t *testing.T) {
	p, flow, got := sentSetup(t)
	url := strings.TrimSuffix(value.Shown(mustConstant(t, flow.StepAt("get").With.Field("url"))), "/list")
	d := &engine.RunDetail{RunItem: engine.RunItem{ID: engine.RunID(7).String(), Workflow: "flow", Event: engine.EventID(3).String()},
		Keys: engine.RunKeys{Instance: "here", EventHeaders: map[string]string{
			"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}}
	ids := []string{"post", "crm", "get", "hook"}
	table := actions.Executors(actions.Options{Client: client(t, "127.0.0.1")})
	for _, id := range ids {
		step, in := flow.StepAt(id), recordedInputs(url)[id]
		raw, err := value.EncodeStored(in)
		if err != nil {
			t.Fatal(err)
		}
		d.Steps = append(d.Steps, engine.StepItem{Path: id, Action: step.Uses, Attempt: 1, Status: "succeeded", Input: raw,
			Output: json.RawMessage(`{"status": 200, "headers": {"x-a": "b"}, "body": {"ok": true}}`), Error: json.RawMessage("null")})
		ctx := engine.WithTraceparent(t.Context(), engine.TraceOf(3, d.Keys.EventHeaders).Header(engine.AttemptSpan(7, id, 1)))
		if _, err := table[step.Uses].Do(ctx, engine.Input{Spec: step.Spec, With: realInput(id, in), Run: 7, Path: id, Attempt: 1,
			Key: engine.IdempotencyKey("here", engine.RunID(7).String(), id), Connections: p.Connections,
			Secret: func(n string) (string, bool) { return sentSecrets[n], true }}); err != nil {
			t.Fatal(id, err)
		}
	}
	actions.Sent(t.Context(), d, func(string) *workflows.Workflow { return flow }, p)
	if len(*got) != len(ids) {
		t.Fatalf("showing requests sent some: %d", len(*got))
	}
	for i, id := range ids {
		r := d.Steps[i].Request
		if r == nil || r.Method == "" {
			t.Fatalf("%s: %+v", id, r)
		}
		sent := (*got)[i]
		for _, s := range sentSecrets {
			if b, _ := json.Marshal(r); strings.Contains(string(b), s) {
				t.Errorf("%s shows the secret %s: %s", id, s, b)
			}
		}
		real := func(s string) string {
			for n, v := range sentSecrets {
				s = strings.ReplaceAll(s, "$"+n, v)
			}
			return s
		}
		if real(r.Method+" "+r.URL) != sent.method+" "+sent.url {
			t.Errorf("%s: %s %s, sent %s %s", id, r.Method, r.URL, sent.method, sent.url)
		}
		if shown := strings.ReplaceAll(r.Body, "$BODY", sentSecrets["BODY"]); shown != sent.body {
			t.Errorf("%s: body %q, sent %q", id, shown, sent.body)
		}
		for name := range sent.header {
			if name == "Accept-Encoding" || name == "Content-Length" || id == "hook" && strings.HasPrefix(name, "Webhook-") && name != "Webhook-Id" {
				continue
			}
			if shown := real(r.Headers[name]); shown != sent.header.Get(name) && !strings.HasPrefix(shown, "Basic base64(") {
				t.Errorf("%s: %s: %q, sent %q", id, name, shown, sent.header.Get(name))
			}
		}
		compareCurl(t, id, r.Curl, sent)
	}
	if x := d.Steps[0].Response; x == nil || x.Status != 200 || x.Headers["x-a"] != "b" || string(x.Body) != `{"ok": true}` {
		t.Errorf("response %+v", x)
	}
}

func mustConstant(t *testing.T, v *workflows.Value) any {
	t.Helper()
	x, ok := v.IsConstant()
	if !ok {
		t.Fatal("not constant")
	}
	return x
}

// compareCurl has a shell parse a curl command and compares its arguments with what was sent.
func compareCurl(t *testing.T, id, curl string, sent request) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", `curl() { for a; do printf '%s\0' "$a"; done; }; `+curl)
	for n, v := range sentSecrets {
		c.Env = append(c.Env, n+"="+v)
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", id, err, out)
	}
	args := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if args[0] != "-X" || args[1] != sent.method || args[2] != "--globoff" || args[3] != sent.url {
		t.Errorf("%s: curl %q, sent %s %s", id, args, sent.method, sent.url)
	}
	for i, a := range args {
		switch a {
		case "--data-raw":
			if args[i+1] != sent.body {
				t.Errorf("%s: curl sends %q, not %q", id, args[i+1], sent.body)
			}
		case "-H":
			name, text, _ := strings.Cut(args[i+1], ": ")
			if sent.header.Get(name) != text {
				t.Errorf("%s: curl sends %q, not %q", id, args[i+1], sent.header.Get(name))
			}
		case "--user":
			if args[i+1] != "crm-user:crm-pass" {
				t.Errorf("%s: curl logs in as %q", id, args[i+1])
			}
		}
	}
	if sent.body != "" && !slices.Contains(args, "--data-raw") {
		t.Errorf("%s: curl has no body", id)
	}
}

// TestUnsentRequestIsNotShown checks attempts that ended before their request.
func TestUnsentRequestIsNotShown(t *testing.T) {
	p, flow, _ := sentSetup(t)
	for status, failure := range map[string]string{"waiting": "null", "skipped": "null", "failed": `{"code": "address_not_allowed"}`} {
		d := &engine.RunDetail{RunItem: engine.RunItem{ID: engine.RunID(7).String()}, Steps: []engine.StepItem{{Path: "get", Action: "http/get",
			Attempt: 1, Status: status, Input: json.RawMessage(`{"url": "http://127.0.0.1/"}`), Output: json.RawMessage("null"),
			Error: json.RawMessage(failure)}}}
		actions.Sent(t.Context(), d, func(string) *workflows.Workflow { return flow }, p)
		if d.Steps[0].Request != nil {
			t.Errorf("%s %s: %+v", status, failure, d.Steps[0].Request)
		}
	}
}

// TestKeptRequestIsThatOfItsRun checks that an attempt which a replay kept is shown as the earlier run sent
// it, with that run's version, and that nothing is shown if the run was pruned.
func TestKeptRequestIsThatOfItsRun(t *testing.T) {
	p, flow, _ := sentSetup(t)
	raw, err := value.EncodeStored(recordedInputs("http://127.0.0.1:1")["hook"])
	if err != nil {
		t.Fatal(err)
	}
	hook := func(run int64) engine.RunDetail {
		return engine.RunDetail{RunItem: engine.RunItem{ID: engine.RunID(run).String(), Workflow: "flow", Version: fmt.Sprint("v", run)},
			Keys: engine.RunKeys{Instance: "here"}, Steps: []engine.StepItem{{Path: "hook", Action: "webhook/send", Attempt: 1,
				Status: "succeeded", Input: raw, Output: json.RawMessage("null"), Error: json.RawMessage("null")}}}
	}
	var read []string
	shown := func(d engine.RunDetail) *engine.SentRequest {
		actions.Sent(t.Context(), &d, func(v string) *workflows.Workflow { read = append(read, v); return flow }, p)
		return d.Steps[0].Request
	}
	const older, newer = 1 << 40, 1 << 41 // with different times
	first, kept, pruned := hook(older), hook(newer), hook(newer)
	kept.Steps[0].Kept, kept.Steps[0].Origin = true, &engine.StepOrigin{Run: older, Version: "v0"}
	pruned.Steps[0].Kept = true
	a, b, own := shown(first), shown(kept), shown(hook(newer))
	if a.Curl == "" || a.Curl != b.Curl || b.Curl == own.Curl || b.Body == own.Body {
		t.Errorf("sent %s\nshown %s\nits own would be %s", a.Curl, b.Curl, own.Curl)
	}
	if read[1] != "v0" {
		t.Errorf("versions %v are read", read)
	}
	if r := shown(pruned); r.Method != "" || r.Curl != "" || !strings.Contains(r.Note, "pruned") {
		t.Errorf("of a pruned run: %+v", r)
	}
}
