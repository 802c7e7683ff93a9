package triggers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows/expr"
)

// Described lists the fields of a delivery.
func Described(d *engine.Delivery) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  event %s %s %s type %s, time %s, received %s, %s %s, dedupe %v, identity %s, proof %v\n", d.Inlet, d.Trigger, d.Key,
		d.Type, d.Time.UTC().Format(time.RFC3339Nano), d.ReceivedAt.UTC().Format(time.RFC3339Nano), d.Method, d.Path, d.Dedupe, d.Identity,
		d.Proof)
	fmt.Fprintf(&b, "    headers %v\n    query %v, flag %q, data %q, claim %.4x for %v, same body %v, sum %x, raw %d\n", d.Headers, d.Query,
		d.Flag, d.DataExpr, d.Claim, d.ClaimFor, d.SameBody, d.ContentSum, len(d.Raw))
	fmt.Fprintf(&b, "    unsubscribed %t, decoded %t, text %d, recovered %t, partial %t, only %q\n", d.Unsubscribed, d.Decoded, len(d.Text),
		d.Recovered, d.Partial, d.Only)
	return b.String()
}

// hookRecorder is a sink that records what it is given.
type hookRecorder struct {
	text *strings.Builder
	keys map[string]engine.EventID
	err  error
	// refused is shown beside the response.
	refused strings.Builder
}

func (b *hookRecorder) Accept(_ context.Context, d *engine.Delivery) (engine.Receipt, error) {
	if b.err != nil {
		return engine.Receipt{}, b.err
	}
	b.text.WriteString("  " + strings.ReplaceAll(Described(d), "\n", "\n  ") + fmt.Sprintf("  %.300s\n", d.Raw))
	if id, known := b.keys[d.Key]; known {
		return engine.Receipt{Event: id, Duplicate: true}, nil
	}
	b.keys[d.Key] = engine.EventID(len(b.keys) + 1)
	return engine.Receipt{Event: b.keys[d.Key]}, nil
}

func (b *hookRecorder) AcceptAll(ctx context.Context, ds []*engine.Delivery) (out []engine.Receipt, err error) {
	for _, d := range ds {
		r, err := b.Accept(ctx, d)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (b *hookRecorder) Await(_ context.Context, id engine.EventID) (*engine.AwaitResult, error) {
	if id%2 == 0 {
		return nil, errors.New("no run")
	}
	return &engine.AwaitResult{Run: &engine.Run{ID: 7, Status: engine.Failed, Error: &plan.Error{Code: "timeout"}}, Names: expr.Names{}}, nil
}

func (b *hookRecorder) Refuse(r engine.Refusal) {
	fmt.Fprintf(&b.refused, "    refused %s at %s: %s: %s\n      diagnosis %s\n      from %s, %s %s, %s, %v, %d bytes: %.200q\n", r.Trigger,
		brief(r.At), r.Reason, r.Detail, r.Diagnosis, r.RemoteIP, r.Method, r.Path, r.URL, r.Headers, r.Size, r.Body)
}

const ownSecret, otherSecret = "a-secret-of-this-test-0123", "another-secret-of-this-test"

// signs fills the place of a signature of the body in a request: {hmac}, {base64 key} and so on.
func signs(text string) string {
	_, body, _ := strings.Cut(text, "\n\n")
	for mark, key := range map[string]string{"{hmac}": ownSecret, "{other}": otherSecret, "{line}": ownSecret + "\n"} {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(body))
		text = strings.ReplaceAll(text, mark, hex.EncodeToString(h.Sum(nil)))
	}
	return text
}

// asRequest reads the text of a request; the header Remote is the address of its sender.
func asRequest(t *testing.T, text string) (*http.Request, []byte) {
	t.Helper()
	line, rest, _ := strings.Cut(signs(text), "\n")
	head, body, _ := strings.Cut("\n"+rest, "\n\n")
	head = strings.TrimPrefix(head, "\n")
	raw := line + " HTTP/1.1\r\nHost: hooks.example.com\r\n"
	if head != "" {
		raw += strings.ReplaceAll(head, "\n", "\r\n") + "\r\n"
	}
	raw += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	req.RemoteAddr = "192.0.2.1:1234"
	if a := req.Header.Get("Remote"); a != "" {
		req.RemoteAddr = a
	}
	req.Header.Del("Remote")
	return req, []byte(raw)
}

// TestHooksAnswerAndStore: what the server answers to requests of each kind, what it stores of them and reports, and what hookloom
// verify says to the same request.
func TestHooksAnswerAndStore(t *testing.T) {
	var out strings.Builder
	lookup := func(n string) (string, bool) {
		s, ok := map[string]string{"S": ownSecret, "O": otherSecret, "Q": `"` + ownSecret + `"`, "N": "abc_" + ownSecret, "COLON": "u:v"}[n]
		return s, ok
	}
	for _, c := range hookCases {
		out.WriteString(c.name + "\n")
		config := c.config
		if config == "" {
			config = "triggers:\n  t: {webhook: {" + c.webhook + "}}\n"
		}
		synctest.Test(t, func(t *testing.T) {
			p := projectOf(t, config)
			book := &hookRecorder{text: &out, keys: map[string]engine.EventID{}, err: c.err}
			deps := Deps{Secret: lookup, Answered: func(trigger, outcome string, took time.Duration) {
				fmt.Fprintf(&out, "    outcome %q %s\n", trigger, outcome)
			}, Served: func(s engine.ServedRequest) { fmt.Fprintf(&out, "    served %+v\n", s) },
				Capture: func(trigger, secret, value string) error {
					fmt.Fprintf(&out, "    captured %s %s %s\n", trigger, secret, value)
					return c.err
				},
				Fetch: func(_ context.Context, req *http.Request) ([]byte, error) {
					fmt.Fprintf(&out, "    fetched %s %s\n", req.Method, req.URL)
					return nil, c.err
				}}
			h, err := NewHooks(book, slog.New(slog.DiscardHandler), deps)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			use, err := h.Prepare(p, lookup)
			if err != nil {
				fmt.Fprintf(&out, "  not used: %v\n", err)
				return
			}
			use()
			if c.await {
				if _, err := h.AwaitSecret("t"); err != nil {
					t.Fatal(err)
				}
			}
			for _, text := range c.requests {
				out.WriteString("  " + strings.ReplaceAll(fmt.Sprintf("%.240s", text), "\n", " ⏎ ") + "\n")
				req, raw := asRequest(t, text)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, req)
				h.Flush()
				out.WriteString(book.refused.String())
				book.refused.Reset()
				fmt.Fprintf(&out, "    answer %d %s\n", w.Code, strings.TrimSpace(w.Body.String()))
				for _, k := range slices.Sorted(maps.Keys(w.Header())) {
					fmt.Fprintf(&out, "      %s: %s\n", k, strings.Join(w.Header()[k], " | "))
				}
				for _, from := range c.from {
					deps.From = netip.MustParseAddr(from)
				}
				v, err := Verify(p, "t", &deps, raw, "", time.Now())
				if err != nil {
					fmt.Fprintf(&out, "    verify: %v\n", err)
					continue
				}
				fmt.Fprintf(&out, "    verify: %s %q %q by %q, %v\n", v.Result, v.Reason, v.Diagnosis, v.Secret, v.Notes)
				if v.Event != nil {
					fmt.Fprintf(&out, "      %+v %+v\n", *v.Event, v.Events)
				}
				time.Sleep(time.Second)
			}
			for _, u := range h.SecretUses() {
				fmt.Fprintf(&out, "  uses %+v\n", u)
			}
		})
	}
	testgolden.Compare(t, "hooks.golden", out.String())
}

func TestVerifyNeedsAWebhookAndARequest(t *testing.T) {
	p := projectOf(t, `triggers:
  t: {webhook: {auth: none}}
  polled: {poll: {every: 1h, request: {url: "https://x.example"}, key: item.id}}
  timed: {schedule: {every: 1h}}
`)
	deps := &Deps{Secret: func(string) (string, bool) { return "", false }}
	for _, c := range [][3]string{{"none", "GET / HTTP/1.1\r\n\r\n", `no trigger "none": hookloom triggers lists them`},
		{"polled", "GET / HTTP/1.1\r\n\r\n", `trigger "polled" has no webhook: hookloom poll polled polls it now`},
		{"timed", "GET / HTTP/1.1\r\n\r\n", `trigger "timed" has no webhook, so nothing can be sent to it: to start a workflow by hand, add ` +
			`manual to its on:, and write hookloom send WORKFLOW`},
		{"t", "nonsense", `reading the request's head: malformed HTTP request "nonsense"`}} {
		if _, err := Verify(p, c[0], deps, []byte(c[1]), "", time.Now()); err == nil || err.Error() != c[2] {
			t.Errorf("%s: %v, want %s", c[0], err, c[2])
		}
		if _, err := Sample(p, c[0], deps.Secret, SampleOrder{}); c[0] != "t" && (err == nil || err.Error() != c[2]) {
			t.Errorf("sample of %s: %v, want %s", c[0], err, c[2])
		}
	}
	for body, raw := range map[string]string{
		"a\n":       "POST /hooks/t HTTP/1.1\nHost: x\nContent-Length: 2\n\na\n\n",
		"a\n\nb":    "POST /hooks/t HTTP/1.1\r\nHost: x\r\n\r\na\n\nb",
		"":          "POST /hooks/t HTTP/1.1\r\nHost: x\r\n",
		"a\r\n\r\n": "POST /hooks/t HTTP/1.1\nHost: x\n\na\r\n\r\n",
		"short":     "POST /hooks/t HTTP/1.1\nHost: x\nContent-Length: 9\n\nshort",
	} {
		r, err := newRoute(p, p.Triggers["t"], deps)
		if err != nil {
			t.Fatal(err)
		}
		_, in, err := readCaptured([]byte(raw), r, "", time.Now())
		if err != nil || !bytes.Equal(in.body, []byte(body)) {
			t.Errorf("%q: %v %q", raw, err, in.body)
		}
	}
}
