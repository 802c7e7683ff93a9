package cmd

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

// canaries are the secrets of the project under test, by kind.
var canaries = map[string]string{
	"API_KEY":  `canary-key/<0017>+=`,
	"PASSWORD": "canary-password-0018",
	"HOOK":     "canary-hook-secret-0019",
	"card":     "4111222233334444",
	"iban":     "DE89370400440532013000",
}

const canaryConfig = `triggers:
  shop: {webhook: {provider: generic, secret: "${{ secrets.HOOK }}"}}
connections:
  api: {base_url: "SINK", auth: {basic: {user: bob, password: "${{ secrets.PASSWORD }}"}}, headers: {X-Team: "${{ secrets.API_KEY }}"}}
egress: {allow: [127.0.0.1]}
history: {redact: ["$..iban"]}
`

var canaryFlows = map[string]string{
	"shop.yaml": `on: shop
steps:
  - id: echo
    uses: http/post
    with:
      connection: api
      url: /echo
      headers: {X-Key: "${{ secrets.API_KEY }}", Authorization: "Bearer ${{ event.data.iban }}"}
      body: {key: "${{ secrets.API_KEY }}", cut: "${{ secrets.API_KEY[0:10] }}"}
  - {id: log, uses: log, with: {message: "said ${{ toJSON(steps.echo.output) }}"}}
  - {id: bad, uses: http/post, continue_on_error: true, with: {connection: api, url: /fail, text: "${{ secrets.API_KEY }}"}}
output: ${{ steps.echo.output }}
`,
	"pay.yaml": `on: manual
inputs:
  card: {type: string, secret: true}
  pin: {type: string, secret: true}
steps:
  - id: first
    uses: http/post
    with: {connection: api, url: /echo, body: {card: "${{ inputs.card }}", pin: "${{ inputs.pin }}", text: "card ${{ inputs.card }}"}}
  - {id: log, uses: log, with: {message: "card ${{ inputs.card }}"}}
  - {id: ask, wait: {approval: "charge ${{ inputs.card }}?"}}
  - id: then
    uses: http/post
    with:
      connection: api
      url: /echo
      body: {card: "${{ inputs.card }}", pin: "${{ inputs.pin }}", before: "${{ steps.first.output.headers['set-cookie'] }}"}
output: ${{ inputs.card }}
`,
}

// echo repeats each request in every encoding that a service may use in a response.
type echo struct {
	mu   sync.Mutex
	seen []string
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e.mu.Lock()
	e.seen = append(e.seen, string(b))
	e.mu.Unlock()
	all := map[string]any{"headers": r.Header, "url": r.URL.String(), "body": string(b)}
	for name, c := range canaries {
		if name != "iban" && (name != "card" || strings.Contains(string(b), c)) {
			all[name] = append(encodings(c), base64.StdEncoding.EncodeToString([]byte("bob:"+c)),
				base64.URLEncoding.EncodeToString([]byte("al:"+c+":x")), "user:"+c)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Set-Cookie", "session=canary-cookie-0020")
	w.Header().Set("X-Echo", strings.Join(r.Header.Values("X-Key"), ","))
	if r.URL.Path == "/fail" {
		w.WriteHeader(http.StatusBadRequest)
	}
	_ = json.NewEncoder(w).Encode(all) // the test reports a broken response
}

// encodings returns the forms in which a secret must not be found anywhere.
func encodings(s string) []string {
	b := []byte(s)
	q, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	out := []string{s, base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), hex.EncodeToString(b),
		strings.ToUpper(hex.EncodeToString(b)),
		url.QueryEscape(s), url.PathEscape(s), string(q[1 : len(q)-1]), strings.ReplaceAll(s, "/", `\/`)}
	return out
}

// TestNoSecretLeaks checks that secrets of the project, secret inputs, credentials in
// responses and redacted fields reach only their recipients, and are in no file, log, page,
// response or metric, in no encoding, even after a restart.
func TestNoSecretLeaks(t *testing.T) {
	target := &echo{}
	sink := httptest.NewServer(target)
	defer sink.Close()
	dir := t.TempDir()
	files := map[string]string{"hookloom.yaml": canaryConfig, ".env": ""}
	for _, n := range []string{"API_KEY", "PASSWORD", "HOOK"} {
		files[".env"] += n + "='" + canaries[n] + "'\n"
	}
	for name, text := range canaryFlows {
		files["workflows/"+name] = text
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(dir, name), strings.ReplaceAll(text, "SINK", sink.URL)); err != nil {
			t.Fatal(err)
		}
	}
	log := &lockedBuffer{}
	s, stop := startLogged(t, dir, log)
	sendCanaries(t, s, dir)
	if _, err := s.engine.Fire(t.Context(), "pay", map[string]any{"card": canaries["card"], "pin": "77"}, "ada", ""); err != nil {
		t.Fatal(err)
	}
	id := waitFor(t, s, engine.Waiting)
	waitFor(t, s, engine.Succeeded)
	found := newFinder(t)
	found.server(s)
	stop()
	s, stop = startLogged(t, dir, log)
	found.link(s, id)
	if q, err := s.engine.Answer(t.Context(), id, engine.Response{Verdict: "approve", By: "ada"}); err != nil || q.Text != "charge ***?" {
		t.Fatal(q, err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r, err := s.store.Run(t.Context(), id)
		if err != nil || time.Now().After(deadline) {
			t.Fatal(r, err)
		}
		if r.Status.Ended() {
			if r.Status != engine.Succeeded {
				t.Fatalf("%s: %+v", r.Status, r.Error)
			}
			break
		}
	}
	found.server(s)
	found.commands(dir)
	found.files(dir, "running")
	stop()
	found.files(dir, "stopped")
	found.in("the log", log.Bytes())
	target.mu.Lock()
	defer target.mu.Unlock()
	last := target.seen[len(target.seen)-1]
	if !strings.Contains(last, canaries["card"]) || !strings.Contains(last, `"pin":"77"`) || !strings.Contains(last, "canary-cookie") {
		t.Errorf("after the restart the step sent %s", last)
	}
	if !strings.Contains(strings.Join(target.seen, "\n"), `"key":"canary-key`) {
		t.Error("the secret was not sent")
	}
}

// link creates a link for a question, with an idempotency key, and checks what is shown about the
// question.
func (f *finder) link(s *server, id engine.RunID) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, s.consoleURL()+"/api/v1/runs/"+id.String()+"/approve",
		strings.NewReader(`{"by":"ada","link":true}`))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "X-Hookloom": {"1"}, "Idempotency-Key": {"link"}}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ Question, Link string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.Question != "charge ***?" || out.Link == "" {
		f.t.Fatalf("%d %+v %v", resp.StatusCode, out, err)
	}
	page, err := http.Get(out.Link)
	if err != nil {
		f.t.Fatal(err)
	}
	defer page.Body.Close()
	text, err := io.ReadAll(page.Body)
	if err != nil || page.StatusCode != http.StatusOK {
		f.t.Fatal(page.StatusCode, err)
	}
	f.in("the page of a link", text)
	_, mac, _ := strings.Cut(out.Link[strings.LastIndexByte(out.Link, '/'):], ".")
	for _, file := range []string{"hookloom.db", "hookloom.db-wal"} {
		b, err := os.ReadFile(filepath.Join(s.o.dir, file))
		if err != nil {
			f.t.Fatal(err)
		}
		if bytes.Contains(b, []byte(mac)) {
			f.t.Errorf("%s holds a link with which anybody can answer", file)
		}
	}
}

// sendCanaries sends secrets where no sender should put them, and once with a wrong signature.
func sendCanaries(t *testing.T, s *server, dir string) {
	t.Helper()
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"id": "1", "type": "x", "note": canaries["API_KEY"],
		"list": []any{map[string]any{"iban": canaries["iban"]}}, "iban": canaries["iban"]})
	if err != nil {
		t.Fatal(err)
	}
	for _, variant := range []string{"valid", "wrong-secret"} {
		x, err := triggers.Sample(l.project, "shop", l.secrets.Lookup, triggers.SampleOrder{ID: "1", Body: body, Variant: variant})
		if err != nil {
			t.Fatal(err)
		}
		x.Header.Set("X-Api-Key", "canary-cookie-0020")
		x.Header.Set("X-Note", canaries["API_KEY"])
		if _, _, err := deliver(t.Context(), s.hooksURL(), x); err != nil {
			t.Fatal(err)
		}
	}
	s.hooks.Flush()
}

func startLogged(t *testing.T, dir string, log io.Writer) (*server, func()) {
	t.Helper()
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(t.Context(), serveOptions{dir: dir, addr: "127.0.0.1:0", adminAddr: "127.0.0.1:0", grace: time.Second,
		log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, l)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	return s, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func waitFor(t *testing.T, s *server, status engine.RunStatus) engine.RunID {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		runs, err := s.store.History().Runs(t.Context(), engine.Query{Status: string(status)})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) > 0 {
			id, err := engine.ParseRunID(runs[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
	t.Fatalf("no run is %s", status)
	return 0
}

// finder searches for canaries.
type finder struct {
	t     *testing.T
	forms map[string]string
}

func newFinder(t *testing.T) *finder {
	f := &finder{t, map[string]string{"canary-cookie-0020": "a cookie"}}
	for name, c := range canaries {
		for _, e := range encodings(c) {
			f.forms[e] = name
		}
		for n := range 3 { // in the middle of base64, at each alignment
			inner := base64.RawStdEncoding.EncodeToString([]byte("bob"[:n] + c))
			f.forms[inner[4:len(inner)-2]] = name
		}
	}
	return f
}

func (f *finder) in(where string, b []byte) {
	f.t.Helper()
	for e, name := range f.forms {
		if i := bytes.Index(b, []byte(e)); i >= 0 {
			f.t.Errorf("%s holds %s as %q: ...%q", where, name, e, b[max(0, i-60):min(len(b), i+len(e)+20)])
		}
	}
}

// server checks the responses of the admin address.
func (f *finder) server(s *server) {
	f.t.Helper()
	paths := []string{"/", "/events", "/runs", "/quarantine", "/triggers", "/workflows", "/metrics", "/api/v1/overview", "/api/v1/events",
		"/api/v1/runs", "/api/v1/quarantine", "/api/v1/triggers"}
	for i := 0; i < len(paths); i++ {
		req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, s.consoleURL()+paths[i], nil)
		if err != nil {
			f.t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			f.t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			f.t.Fatal(err)
		}
		resp.Body.Close()
		f.in(paths[i], b)
		list, isList := strings.CutPrefix(paths[i], "/api/v1/")
		var page struct{ Items []struct{ ID string } }
		if isList && strings.Count(list, "/") == 0 && json.Unmarshal(b, &page) == nil {
			for _, it := range page.Items {
				paths = append(paths, paths[i]+"/"+it.ID, "/"+list+"/"+it.ID)
			}
		}
	}
	if len(paths) < 18 {
		f.t.Errorf("only %q were looked at", paths)
	}
}

// commands checks what the commands print.
func (f *finder) commands(dir string) {
	f.t.Helper()
	run := func(args ...string) []byte {
		var out bytes.Buffer
		Main(args, &out, &out)
		f.in("hookloom "+strings.Join(args, " "), out.Bytes())
		return out.Bytes()
	}
	for _, kind := range []string{"event", "run"} {
		var items []struct{ ID string }
		b := run(kind+"s", "--dir", dir, "-o", "json")
		var page struct{ Items []struct{ ID string } }
		if json.Unmarshal(b, &items) != nil && json.Unmarshal(b, &page) == nil {
			items = page.Items
		}
		if len(items) == 0 {
			f.t.Errorf("no %ss in %s", kind, b)
		}
		for _, it := range items {
			run(kind, it.ID, "--dir", dir)
			run(kind, it.ID, "--dir", dir, "-o", "json")
		}
	}
	run("quarantine", "--dir", dir, "-o", "json")
	run("doctor", "--dir", dir)
	run("validate", dir)
}

// files checks all files that the server has written.
func (f *finder) files(dir, when string) {
	f.t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "hookloom.db*"))
	if err != nil || len(names) == 0 {
		f.t.Fatal(names, err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.t.Fatal(err)
		}
		f.in(fmt.Sprintf("%s (%s)", filepath.Base(n), when), b)
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// Bytes returns what was written so far.
func (b *lockedBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}
