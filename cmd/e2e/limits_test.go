//go:build unix

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// limitFlows are workflows that record what a sender and a service send, each with the expected end
// of its run: a word of its status, code or error.
var limitFlows = map[string]struct{ text, ends string }{
	"loop": {`on: go
steps:
  - {id: a, foreach: "1..2100", max_parallel: 20, uses: http/get, with: {url: "TARGET/2000"}}
`, "too_large"},
	"nodes": {`on: go
steps:
  - {id: a, foreach: "1..8", uses: http/get, with: {url: "TARGET/list"}}
  - {sleep: 2s}
`, "200000 values"},
	"group": {`on: go
steps:
  - id: g
    steps:
      - {id: x, uses: http/get, with: {url: "TARGET/3900000", max_response: 4MiB}}
      - {id: y, uses: http/get, with: {url: "TARGET/3900000", max_response: 4MiB}}
`, "4 MiB"},
	"result": {`on: go
steps:
  - {id: x, uses: http/get, with: {url: "TARGET/3900000", max_response: 4MiB}}
  - {id: y, uses: http/get, with: {url: "TARGET/3900000", max_response: 4MiB}}
output: ${{ [steps.x.output, steps.y.output] }}
`, "4 MiB"},
	"echo": {`on: big
steps:
  - {foreach: "1..6", uses: http/post, with: {url: "TARGET/echo", body: "${{ event.data }}"}}
`, "too_large"},
	"approval": {`on: big
steps:
  - wait: {approval: "${{ event.data.x }}${{ event.data.x }}${{ event.data.x }}${{ event.data.x }}${{ event.data.x }}"}
    timeout: 1s
`, "too_large"},
	"fails": {`on: big
steps:
  - {fail: "${{ event.data.x }}"}
`, "fail"},
	"waits": {`on: order
steps:
  - {id: w, wait: {event: bank, key: "${{ event.data.k }}"}, timeout: 1h}
  - {sleep: 2s}
`, "200000 values"},
	"keeps": {`on: order
steps:
  - {id: w, wait: {event: bank, key: "${{ event.data.k }}"}, timeout: 1h, output: "${{ len(result.data.rows) }}"}
  - {sleep: 2s}
`, "succeeded"},
	"reads": {`on: wide
steps:
  - {sleep: 2s}
  - {id: n, set: {n: "${{ len(event.data.rows) }}"}}
`, "succeeded"},
}

// TestNoSenderEndsTheProcess sends bodies and responses below, at and above the limits through a
// real server with default settings, which is killed in between. It always responds, each run ends
// as it should, and each row can be decoded.
func TestNoSenderEndsTheProcess(t *testing.T) {
	realProcess(t)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		n := 0
		switch _, err := fmt.Sscan(r.URL.Path[1:], &n); {
		case r.URL.Path == "/echo":
			_, _ = io.Copy(w, r.Body) // the server may be killed in the meantime
		case err == nil:
			_, _ = fmt.Fprintf(w, `{"x":%q}`, strings.Repeat("a", n))
		default:
			_, _ = io.WriteString(w, "["+strings.TrimSuffix(strings.Repeat("1,", 30_000), ",")+"]")
		}
	}))
	t.Cleanup(target.Close)
	files := map[string]string{"hookloom.yaml": `egress: {allow: [127.0.0.1]}
triggers:
  go: {webhook: {auth: none, dedupe: "off"}}
  big: {webhook: {auth: none, dedupe: "off"}}
  wide: {webhook: {auth: none, dedupe: "off"}}
  order: {webhook: {auth: none, key: body.id}}
  bank: {webhook: {auth: none, key: body.k}}
`}
	for name, f := range limitFlows {
		files["workflows/"+name+".yaml"] = strings.ReplaceAll(f.text, "TARGET", target.URL)
	}
	p := newProject(t, files)
	rows := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]" }
	s := p.start(t)
	send := func(trigger, body string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := sendUntilTaken(ctx, http.DefaultClient, p.hookURL(trigger), []byte(body)); err != nil {
			t.Fatalf("%s: %v\n%s", trigger, err, s.log.String())
		}
	}
	send("go", "{}")
	send("big", `{"x":"`+strings.Repeat("y", 1_000_000)+`"}`)
	send("order", `{"id":"o1","k":"A"}`)
	for _, n := range []int{199_997, 199_998} { // with the object and its list at most 200,000
		send("wide", `{"rows":`+rows(n)+`}`)
	}
	time.Sleep(time.Second)
	s.kill()
	s = p.start(t)
	send("bank", `{"k":"A","rows":`+rows(110_000)+`}`)
	send("wide", `{"rows":`+rows(199_999)+`}`)
	p.idle(t)
	s.stop(t)
	h := p.history(t)
	runs, err := h.Runs(t.Context(), engine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	ended := map[string]int{}
	for _, r := range runs {
		f := limitFlows[r.Workflow]
		if how := r.Status + " " + r.ErrorCode + " " + r.Error; strings.Contains(how, f.ends) {
			ended[r.Workflow]++
		} else {
			t.Logf("%s: %.200s", r.Workflow, how)
		}
	}
	for name := range limitFlows {
		if want := map[bool]int{true: 2, false: 1}[name == "reads"]; ended[name] != want {
			t.Errorf("%s: %d runs ended with %q, not %d", name, ended[name], limitFlows[name].ends, want)
		}
	}
	if unreadable, err := h.Events(t.Context(), engine.Query{Status: engine.Unreadable, Limit: 10}); err != nil || len(unreadable) != 1 {
		t.Errorf("%d bodies of too many values are shown as not readable: %v", len(unreadable), err)
	}
	if bad, _, err := h.Unreadable(t.Context()); err != nil || len(bad) > 0 {
		t.Errorf("%v %v", bad, err)
	}
}
