//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

// hostile is in every field that a sender controls.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`

// lively is a server with data of every kind: runs that succeeded, failed, and wait for a person,
// duplicates, and refused deliveries, all with hostile content.
type lively struct {
	*project
	server *process
	stop   func() // ends the server by SIGTERM
	sink   *httptest.Server
	mu     sync.Mutex
	seen   []http.Header
}

// begin starts a server, also again after stop.
func (x *lively) begin(t *testing.T) {
	t.Helper()
	x.server = x.start(t)
	x.stop = func() { x.server.stop(t) }
}

const livelyEnv = "SHOP_SECRET=shop-secret-0123456789\nSTRIPE_SECRET=whsec_0123456789abcdef\n"

const livelyConfig = `triggers:
  shop:
    webhook: {provider: generic, secret: "${{ secrets.SHOP_SECRET }}", key: body.id, event_type: body.type, expect: {within: 1h}}
    poll: {every: 24h, request: {url: "SINK/list"}, items: response.body.items, key: item.id}
  quiet:
    webhook: {provider: stripe, secret: "${{ secrets.STRIPE_SECRET }}"}
egress: {allow: [127.0.0.1]}
`

var livelyFlows = map[string]string{
	"pay.yaml": `name: Pay
description: Books what was paid
on: shop
when:
  - event.type == 'paid'
  - event.data.amount > 10
steps:
  - id: book
    uses: http/post
    with: {url: "SINK/book", body: {id: "${{ event.key }}", note: "${{ event.data.note }}"}}
  - id: pick
    switch: event.data.amount > 100
    cases:
      true: [{id: tell, uses: log, with: {message: "large ${{ event.data.note }}"}}]
      false: [{uses: log, with: {message: small}}]
`,
	"fail.yaml": `on: shop
when: event.type == 'broken'
steps:
  - id: call
    uses: http/post
    with: {url: "SINK/fail", body: {note: "${{ event.data.note }}"}}
on_failure:
  - uses: log
    with: {message: "${{ error.message }}"}
`,
	"ask.yaml": `on: shop
when: event.type == 'large'
steps:
  - id: may
    wait: {approval: "Pay ${{ event.data.note }}?"}
  - id: after
    uses: log
    with: {message: approved}
`,
	"refund.yaml": "on: manual\ninputs:\n  order: {type: string, required: true}\nsteps:\n  - uses: log\n" +
		"    with: {message: \"${{ inputs.order }}\"}\n",
}

func startLively(t *testing.T) *lively {
	t.Helper()
	x := &lively{}
	x.sink = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.mu.Lock()
		x.seen = append(x.seen, r.Header.Clone())
		x.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/fail":
			w.WriteHeader(http.StatusBadRequest)
		case "/list":
			_, _ = io.WriteString(w, `{"items": []}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"said": hostile}) // the sink's own response; the test reports a broken one
	}))
	t.Cleanup(x.sink.Close)
	files := map[string]string{"hookloom.yaml": livelyConfig, ".env": livelyEnv}
	for name, text := range livelyFlows {
		files["workflows/"+name] = text
	}
	for name, text := range files {
		files[name] = strings.ReplaceAll(text, "SINK", x.sink.URL)
	}
	x.project = newProject(t, files)
	x.begin(t)
	for i, kind := range []string{"paid", "paid", "broken", "broken", "broken", "large", "other"} {
		x.send(t, fmt.Sprintf("%s-%d", kind, i), kind, "valid", nil)
	}
	x.send(t, "paid-0", "paid", "valid", nil)
	x.send(t, "paid-1", "other", "valid", nil) // a known key with another type: cfl_1
	x.send(t, "forged", "paid", "wrong-secret", nil)
	x.settled(t)
	for refused := ""; !strings.Contains(refused, "ref_1"); { // stored after the response
		_, b := x.call(t, "GET", "/api/v1/quarantine", "")
		refused = string(b)
	}
	return x
}

// send sends a delivery of a type, signed according to variant.
func (x *lively) send(t *testing.T, id, kind, variant string, header http.Header) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{"id": id, "type": kind, "amount": 420, "note": hostile, hostile: hostile})
	if err != nil {
		t.Fatal(err)
	}
	s, err := triggers.Sample(x.flows, "shop", x.secrets.Lookup, triggers.SampleOrder{ID: id, Body: body, Variant: variant})
	if err != nil {
		t.Fatal(err)
	}
	s.Header.Set("X-Note", hostile)
	for k, v := range header {
		s.Header[k] = v
	}
	status, answer, err := deliver(t.Context(), x.hooksURL(), s)
	if err != nil || (status >= 300) != (variant == "wrong-secret") {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	return status
}

// settled waits until nothing is active.
func (x *lively) settled(t *testing.T) {
	t.Helper()
	h, err := store.OpenHistory(x.db)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		s, err := h.CurrentState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Inbox+s.Queued+s.AtWork == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still at work: %+v", s)
		}
	}
}

func (x *lively) call(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, x.consoleURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(console.ClientHeader, "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

// first returns the id of the newest item of a list.
func (x *lively) first(t *testing.T, list string) string {
	t.Helper()
	_, b := x.call(t, "GET", "/api/v1/"+list, "")
	var p struct{ Items []struct{ ID string } }
	if err := json.Unmarshal(b, &p); err != nil || len(p.Items) == 0 {
		t.Fatalf("%s: %s %v", list, b, err)
	}
	return p.Items[0].ID
}

// hooksURL returns the base URL of the hooks address.
func (p *project) hooksURL() string { return "http://" + p.addr }

// consoleURL returns the base URL of the console.
func (p *project) consoleURL() string { return "http://" + p.admin }
