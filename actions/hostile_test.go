package actions_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows"
)

// This file tests every action of the catalog against one contract: whatever the service does, an
// attempt ends within its timeout, with an error that correctly says whether a retry could help,
// stores no secret, and reads no more than permitted. A new connector is tested without a change
// here; a new built-in action that connects to a host needs a call in nativeCalls.

// hostileSecret is the value of every credential in these tests.
const hostileSecret = "k9Q/v3x+7Zp=m2~w8R"

// endlessMost is the maximum number of bytes that an action may read of an endless response: the
// limit of a paginated list, plus what the network buffers.
const endlessMost = 40 << 20

// hostile is what the service does with a request.
type hostile struct {
	name string
	// serve responds; if it is nil, raw takes over the connection.
	serve func(h *hostileServer, w http.ResponseWriter, r *http.Request)
	// timeout is the timeout of the attempt.
	timeout time.Duration
	// codes are the permitted error codes; empty if the attempt may succeed. retry reports whether
	// a retry could help.
	codes []string
	retry bool
	// cut reports whether the timeout may end the attempt.
	cut bool
}

type hostileServer struct {
	*httptest.Server
	valid *workflows.ExampleResponse
	other string
	wrote atomic.Int64
}

// hostileKinds returns the behaviors of the service. An action's own rules may give an error
// another code, so codes apply only to errors that no such rule matches.
func hostileKinds() []hostile {
	const long, short = 20 * time.Second, 150 * time.Millisecond
	answer := func(status int, contentType, body string) func(*hostileServer, http.ResponseWriter, *http.Request) {
		return func(_ *hostileServer, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	return []hostile{
		{name: "429 with a wait", timeout: long, codes: []string{"http_status", "rate_limited"}, retry: true,
			serve: func(_ *hostileServer, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusTooManyRequests)
			}},
		{name: "500", timeout: long, codes: []string{"http_status"}, retry: true, serve: answer(500, "application/json", `{"error":"down"}`)},
		{name: "a page of a proxy", timeout: long, codes: []string{"http_status"}, retry: true,
			serve: answer(502, "text/html", "<html>bad gateway")},
		{name: "reset", timeout: long, codes: []string{"network"}, retry: true,
			serve: func(_ *hostileServer, w http.ResponseWriter, _ *http.Request) { reset(w, "") }},
		{name: "reset in the answer", timeout: long, codes: []string{"network"}, retry: true,
			serve: func(_ *hostileServer, w http.ResponseWriter, _ *http.Request) {
				reset(w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{\"id\":")
			}},
		{name: "endless", timeout: long, codes: []string{"too_large"}, cut: true, serve: endless},
		{name: "endless headers", timeout: long, codes: []string{"network"}, retry: true, cut: true, serve: endlessHeaders},
		{name: "slow", timeout: short, cut: true, retry: true,
			serve: func(_ *hostileServer, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{name: "drip", timeout: short, cut: true, retry: true, serve: drip},
		{name: "redirect to a private address", timeout: long, codes: []string{"http_status", "address_not_allowed"},
			serve: func(_ *hostileServer, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
				w.WriteHeader(http.StatusFound)
			}},
		{name: "redirect to another host", timeout: long, codes: []string{"http_status"},
			serve: func(h *hostileServer, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", h.other)
				w.WriteHeader(http.StatusFound)
			}},
		{name: "secret in the answer", timeout: long, serve: echoed(200)},
		{name: "secret in a refusal", timeout: long, codes: []string{"http_status"}, serve: echoed(400)},
		{name: "200 with an error", timeout: long, codes: []string{"bad_answer", "refused"},
			serve: answer(200, "application/json", `{"error":{"message":"no such thing"},"ok":false}`)},
		{name: "JSON that is none", timeout: long, codes: []string{"bad_answer"}, serve: answer(200, "application/json", "<html>hello</html>")},
		{name: "a page in place of data", timeout: long, codes: []string{"bad_answer"}, serve: answer(200, "text/html", "<html>sign in</html>")},
		{name: "JSON cut short", timeout: long, codes: []string{"bad_answer"},
			serve: answer(200, "application/json", `{"id":"51","list":[{"id":`)},
		{name: "a byte order mark", timeout: long,
			serve: func(h *hostileServer, w http.ResponseWriter, _ *http.Request) { h.example(w, "\ufeff") }},
		{name: "as documented", timeout: long, serve: func(h *hostileServer, w http.ResponseWriter, _ *http.Request) { h.example(w, "") }},
	}
}

// reset writes before and closes the connection with RST.
func reset(w http.ResponseWriter, before string) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, before)
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// endless writes JSON until the client stops reading.
func endless(h *hostileServer, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodHead {
		return // the response has no body
	}
	block := bytes.Repeat([]byte(`"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",`), 700)
	_, _ = io.WriteString(w, "[")
	for r.Context().Err() == nil && h.wrote.Load() < 2*endlessMost {
		n, err := w.Write(block)
		if h.wrote.Add(int64(n)); err != nil {
			return
		}
	}
}

// endlessHeaders writes header lines until the client stops reading.
func endlessHeaders(h *hostileServer, w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
	for h.wrote.Load() < 2*endlessMost {
		n, err := fmt.Fprintf(c, "X-A: %s\r\n", strings.Repeat("a", 4000))
		if h.wrote.Add(int64(n)); err != nil {
			return
		}
	}
}

// drip writes a byte at intervals.
func drip(_ *hostileServer, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, " ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// secretForms returns the encodings in which a response repeats a secret.
func secretForms() []string {
	s := hostileSecret
	return []string{s, base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)),
		hex.EncodeToString([]byte(s)), url.QueryEscape(s), url.PathEscape(s)}
}

// echoed responds with the request, and with the secret in every encoding.
func echoed(status int) func(*hostileServer, http.ResponseWriter, *http.Request) {
	return func(_ *hostileServer, w http.ResponseWriter, r *http.Request) {
		forms := strings.Join(secretForms(), " ")
		b, err := json.Marshal(map[string]any{"id": forms, "message": forms, "error": forms, "ok": true, "headers": r.Header,
			"url": r.URL.String(), "link": "https://example.com/?token=" + url.QueryEscape(hostileSecret)})
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Echo", url.QueryEscape(hostileSecret))
		w.WriteHeader(status)
		_, _ = w.Write(b)
	}
}

// example responds like the action's own example.
func (h *hostileServer) example(w http.ResponseWriter, before string) {
	body, status := []byte(`{"id":"51"}`), 200
	contentType := "application/json"
	if h.valid != nil {
		if h.valid.Status != 0 {
			status = h.valid.Status
		}
		for k, v := range h.valid.Headers {
			if w.Header().Set(k, v); strings.EqualFold(k, "Content-Type") {
				contentType = v
			}
		}
		if text, isText := h.valid.Body.(string); isText && !strings.Contains(contentType, "json") {
			body = []byte(text)
		} else if b, err := json.Marshal(h.valid.Body); err == nil {
			body = b
		}
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(before), body...))
}

// attempt makes one attempt, and returns what would be recorded.
func (c hostileCall) attempt(t *testing.T, kind hostile, log io.Writer) (record string, out any, took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), kind.timeout)
	defer cancel()
	masker := &redact.Redactor{}
	masker.Set([]string{hostileSecret})
	spec, doer := catalog(t)[c.name], c.name
	if spec.Connector != nil {
		doer = "connector"
	}
	began := time.Now()
	all := actions.Executors(actions.Options{Client: client(t, "127.0.0.1"), Auth: auth.Fixed(hostileSecret),
		Log: slog.New(slog.NewTextHandler(log, nil)), Redact: masker.Text})
	out, err = all[doer].Do(ctx, engine.Input{
		Spec: spec, With: maps.Clone(c.with), Key: "hl_key", Run: 1, Path: "a", Attempt: 1, Connections: c.connections,
		Secret: func(string) (string, bool) { return hostileSecret, true }, Redact: masker.Text,
		Files: files.New(c.dir, 1<<20), MaxFile: 1 << 20, Dir: c.dir, Now: time.Now()})
	took = time.Since(began)
	kept := map[string]any{"output": out}
	if err != nil {
		e := failure(err)
		kept["message"], kept["details"] = err.Error(), e.Details
	}
	b, merr := json.Marshal(kept)
	if merr != nil {
		t.Errorf("%s, %s: what is recorded is no JSON: %v", c.name, kind.name, merr)
	}
	b, _ = masker.JSON(b)
	return string(b), out, took, err
}

// TestEveryActionEndsOnAHostileHost tests the contract.
func TestEveryActionEndsOnAHostileHost(t *testing.T) {
	var leaked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if b, _ := io.ReadAll(r.Body); containsSecret(fmt.Sprint(r.URL, r.Header, string(b))) {
			leaked.Add(1)
		}
	}))
	defer other.Close()
	examples := catalog(t)
	calls := hostileCalls(t, "http://BASE")
	if len(calls) < 15 {
		t.Fatalf("only %d actions are tried", len(calls))
	}
	// Attempts mostly wait, so run more of them concurrently than parallel tests would.
	places, tried, group := make(chan struct{}, 16), map[string]bool{}, sync.WaitGroup{}
	for _, call := range calls {
		service, _, _ := strings.Cut(call.name, "/")
		if testing.Short() && tried[service] && examples[call.name].Connector != nil {
			continue
		}
		tried[service] = true
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			call.meet(t, examples[call.name], other.URL+"/landing")
		})
	}
	group.Wait()
	if n := leaked.Load(); n > 0 {
		t.Errorf("%d requests took the credential to another host", n)
	}
}

// meet makes one attempt against each kind of host.
func (c hostileCall) meet(t *testing.T, spec *workflows.ActionSpec, other string) {
	t.Helper()
	h := &hostileServer{other: other}
	if spec.Action != nil {
		h.valid = spec.Action.Call.Response
	}
	var now atomic.Pointer[hostile]
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		now.Load().serve(h, w, r)
	}))
	defer h.Close()
	defer h.CloseClientConnections()
	c.config = strings.ReplaceAll(c.config, "http://BASE", h.URL)
	c.with = maps.Clone(c.with)
	for k, v := range c.with {
		if s, isText := v.(string); isText {
			c.with[k] = strings.ReplaceAll(s, "http://BASE", h.URL)
		}
	}
	c.connections, c.dir = connections(t, c.config), t.TempDir()
	if err := os.MkdirAll(filepath.Join(c.dir, "files", "run_1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "files", "run_1", "a.bin"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range hostileKinds() {
		now.Store(&kind)
		h.wrote.Store(0)
		c.check(t, kind, h)
	}
}

func containsSecret(s string) bool {
	return slices.ContainsFunc(secretForms(), func(form string) bool { return strings.Contains(s, form) })
}

// check makes the attempt and checks the contract.
func (c hostileCall) check(t *testing.T, kind hostile, h *hostileServer) {
	t.Helper()
	var log bytes.Buffer
	at := c.name + ", " + kind.name
	record, out, took, err := c.attempt(t, kind, &log)
	if took > kind.timeout+2*time.Second {
		t.Errorf("%s: it took %v", at, took)
	}
	if containsSecret(record) || containsSecret(log.String()) {
		t.Errorf("%s: the secret is recorded: %s %s", at, record, log.String())
	}
	if n := h.wrote.Load(); n > endlessMost {
		t.Errorf("%s: it took %d bytes", at, n)
	}
	e := failure(err)
	head := c.name == "http/head"
	switch {
	case kind.cut && err != nil && (errors.Is(err, context.DeadlineExceeded) || e.Code == "network" || e.Code == "timeout"):
		return // the caller converts it to a timeout
	case len(kind.codes) == 0 && (kind.name == "as documented" || kind.name == "a byte order mark"):
		if err != nil && c.name != "s3/put" && c.name != "s3/list" {
			t.Errorf("%s: it failed: %v", at, err)
		}
		return
	case len(kind.codes) == 0:
		return
	case err == nil && head, err == nil && kind.codes[0] == "bad_answer" && c.fits(t, out):
		return // such a response is accepted
	case err == nil && kind.name == "redirect to another host" && c.with["redirects"] != nil:
		return // it followed, without the credentials of the first host
	case err == nil:
		t.Errorf("%s: it succeeded: %v", at, out)
	case e.Retryable != kind.retry:
		t.Errorf("%s: retryable: %v: %v", at, e.Retryable, err)
	case !slices.Contains(kind.codes, e.Code) && !ownCode(catalog(t)[c.name], e.Code):
		t.Errorf("%s: code %s: %v", at, e.Code, err)
	case kind.name == "429 with a wait" && e.RetryAfter != 7*time.Second:
		t.Errorf("%s: it waits %v", at, e.RetryAfter)
	}
}

// fits reports whether an output has the declared type. Built-in actions that return the response
// unchanged accept any.
func (c hostileCall) fits(t *testing.T, out any) bool {
	t.Helper()
	if a := catalog(t)[c.name].Action; a != nil && a.Output != nil {
		return a.Returns != nil && a.Returns.Check("output", out) == ""
	}
	return c.loose
}

// ownCode reports whether a code comes from one of a connector's own rules.
func ownCode(s *workflows.ActionSpec, code string) bool {
	if s.Action == nil {
		return false
	}
	for _, f := range s.Action.Fail {
		if f.Code == code {
			return true
		}
	}
	if e := s.Connector.Errors; e != nil {
		for _, list := range [][]workflows.ErrorRule{e.Wait, e.Retry, e.Permanent} {
			for _, rule := range list {
				if rule.Code == code {
					return true
				}
			}
		}
	}
	return false
}
