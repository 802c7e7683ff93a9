//go:build unix

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestAPIMatchesItsDocument calls every operation of openapi.json on a server with data of
// every kind, and validates each response against its schema.
func TestAPIMatchesItsDocument(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	status, raw := x.call(t, "GET", "/api/v1/openapi.json", "")
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil || status != 200 {
		t.Fatal(status, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	dead := x.first(t, "deadletters")
	orders := map[string][2]string{ // operation: path with its names filled in, body
		"replayEvent": {"/api/v1/events/" + x.first(t, "events?type=paid") + "/replay", `{"from": "start", "by": "ada"}`},
		"replayRun":   {"/api/v1/runs/" + dead + "/replay", `{"from": "failed", "version": "current"}`},
		"cancelRun":   {"", ""}, "answerRun": {"/api/v1/runs/" + x.first(t, "runs?status=waiting") + "/approve", `{"by": "ada"}`},
		"admitRefusal":  {"/api/v1/quarantine/ref_1/replay", ""},
		"admitConflict": {"/api/v1/conflicts/cfl_1/admit", `{"by": "ada"}`}, "awaitSecret": {"/api/v1/triggers/quiet/await-secret", ""},
		"resumeEndpoint": {"/api/v1/destinations/resume", `{"endpoint": "none"}`}, "prune": {"/api/v1/prune", `{"keep": "3650d"}`},
		"pollTrigger": {"/api/v1/triggers/shop/poll", ""},
		"sendSample":  {"/api/v1/triggers/quiet/send", `{}`}, "fireWorkflow": {"/api/v1/workflows/refund/fire",
			`{"inputs": {"order": "A-1"}, "why": "asked"}`}, "enableWorkflow": {"/api/v1/workflows/pay/enable", `{}`},
		"disableWorkflow": {"/api/v1/workflows/pay/disable", `{"by": "ada"}`},
		"getEvent":        {"/api/v1/events/" + x.first(t, "events?status=matched"), ""}, "getRun": {"/api/v1/runs/" + dead, ""},
		"testConnection": {"/api/v1/connections/none/test", ""}, "beginConnect": {"/api/v1/connections/none/connect", `{}`},
		"finishConnect": {"/api/v1/connections/none/finish", `{}`},
		"getRefusal":    {"/api/v1/quarantine/ref_1", ""}, "compareTrigger": {"/api/v1/compare/shop", ""},
	}
	// An event whose run waits, to be cancelled.
	x.send(t, "large-cancel", "large", "valid", nil)
	x.settled(t)
	orders["cancelRun"] = [2]string{"/api/v1/runs/" + x.first(t, "runs?status=waiting") + "/cancel", ""}
	var batch struct{ ID string }
	if _, b := x.call(t, "POST", "/api/v1/replays", `{"trigger": "shop", "status": "dropped", "since": "1s"}`); json.Unmarshal(b,
		&batch) != nil || batch.ID == "" {
		t.Fatalf("%s", b)
	}
	for state := ""; state != "done"; {
		var now struct{ State string }
		if _, b := x.call(t, "GET", "/api/v1/batches/"+batch.ID, ""); json.Unmarshal(b, &now) != nil {
			t.Fatalf("%s", b)
		}
		state = now.State
	}
	for op, end := range map[string]string{"getBatch": "", "pauseBatch": "/pause", "resumeBatch": "/resume", "cancelBatch": "/cancel"} {
		orders[op] = [2]string{"/api/v1/batches/" + batch.ID + end, ""}
	}
	for _, key := range []string{"read", "delete"} {
		if status, b := x.call(t, "POST", "/api/v1/store", `{"key": "`+key+`", "value": 1}`); status != 200 {
			t.Fatal(status, string(b))
		}
	}
	orders["setValue"] = [2]string{"/api/v1/store", `{"key": "new", "value": {"n": 1}}`}
	orders["getValue"] = [2]string{"/api/v1/store/value?key=read", ""}
	orders["deleteValue"] = [2]string{"/api/v1/store/delete", `{"key": "delete"}`}
	orders["judgeRefusals"] = [2]string{"/api/v1/quarantine/replay", `{"trigger": "shop"}`}
	orders["replayDeadLetters"] = [2]string{"/api/v1/deadletters/replay", `{"workflow": "refund"}`}
	orders["cancelRuns"] = [2]string{"/api/v1/runs/cancel", `{"workflow": "pay", "status": "queued,waiting"}`}
	orders["startReplays"] = [2]string{"/api/v1/replays", `{"trigger": "shop", "since": "1d", "status": ["skipped"], "rate": 5}`}
	orders["drainNode"] = [2]string{"/api/v1/nodes/none/drain", ""}
	// Still forged; nothing is paused; the batch is done; the provider sends no secret; the
	// connection does not exist, and neither does the node.
	wanted := map[string]int{"drainNode": 404, "admitRefusal": 409, "resumeEndpoint": 404,
		"pauseBatch": 409, "resumeBatch": 409, "cancelBatch": 409,
		"awaitSecret": 409, "testConnection": 422, "beginConnect": 404, "finishConnect": 422}
	paths := doc.(map[string]any)["paths"].(map[string]any)
	n := 0
	for path, ops := range paths {
		for method, op := range ops.(map[string]any) {
			o := op.(map[string]any)
			id := o["operationId"].(string)
			n++
			if id == "stream" {
				continue // TestStreamContinuesWhereItWasInterrupted
			}
			call, named := orders[id]
			if call[0] == "" {
				if call[0] = path; named || strings.Contains(path, "{") {
					t.Errorf("%s is not tried", id)
				}
			}
			want := wanted[id]
			for s := range o["responses"].(map[string]any) {
				if want == 0 && s != "default" {
					fmt.Sscan(s, &want)
				}
			}
			status, body := x.call(t, strings.ToUpper(method), call[0], call[1])
			if status != want {
				t.Errorf("%s: %d %s, want %d", id, status, body, want)
				continue
			}
			where := fmt.Sprintf("openapi.json#/paths/%s/%s/responses/", strings.ReplaceAll(strings.ReplaceAll(path, "/", "~1"), "{", "%7B"), method)
			where = strings.ReplaceAll(where, "}", "%7D")
			if wanted[id] != 0 {
				where += "default"
			} else {
				where += fmt.Sprint(want)
			}
			schema, err := c.Compile(where + "/content/application~1json/schema")
			if err != nil {
				t.Errorf("%s: %v", id, err)
				continue
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
			if err == nil {
				err = schema.Validate(v)
			}
			if err != nil {
				t.Errorf("%s answers what its schema does not say: %v", id, err)
			}
		}
	}
	if n < 25 {
		t.Errorf("only %d operations", n)
	}
}

// follow reads a stream until enough says so.
func follow(t *testing.T, url, after string, enough func([]message) bool) []message {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatal(resp.Status, resp.Header)
	}
	var out []message
	done := false
	err = eachMessage(resp.Body, func(m message) (more bool) {
		if m.name != "" {
			out = append(out, m)
		}
		done = enough(out)
		return !done
	})
	if !done {
		t.Fatalf("the stream ended: %v, after %v", err, out)
	}
	return out
}

// TestStreamContinuesWhereItWasInterrupted checks that a client that was disconnected, even by a restart of
// the server, receives everything when it reconnects: events, runs that ended in the meantime, and
// a replay of an old event. What it receives twice is at most a second old.
func TestStreamContinuesWhereItWasInterrupted(t *testing.T) {
	x := startLively(t)
	has := func(key, status string) func([]message) bool {
		return func(list []message) bool {
			event, run := false, status == ""
			for _, m := range list {
				event = event || m.name == "event" && strings.Contains(m.data, `"key":"`+key+`"`)
				run = run || m.name == "run" && strings.Contains(m.data, `"status":"`+status+`"`)
			}
			return event && run
		}
	}
	got := follow(t, x.consoleURL(), "evt_0000000000000000", has("other-6", ""))
	last := ""
	for _, m := range got {
		if m.id != "" {
			last = m.id
		}
	}
	x.send(t, "missed", "paid", "valid", nil)
	waiting, dead := x.first(t, "runs?status=waiting"), x.first(t, "deadletters")
	if status, b := x.call(t, "POST", "/api/v1/runs/"+waiting+"/approve", `{"by": "ada"}`); status != 202 {
		t.Fatal(status, string(b))
	}
	_, b := x.call(t, "POST", "/api/v1/runs/"+dead+"/replay", `{}`)
	var again struct{ Runs []string }
	if err := json.Unmarshal(b, &again); err != nil || len(again.Runs) != 1 {
		t.Fatalf("%s %v", b, err)
	}
	x.settled(t)
	x.stop()
	x.begin(t)
	defer x.stop()
	told := func(run, status string) func([]message) bool {
		return func(list []message) bool {
			return slices.ContainsFunc(list, func(m message) bool {
				return m.name == "run" && strings.Contains(m.data, `"id":"`+run+`"`) && strings.Contains(m.data, `"status":"`+status+`"`)
			})
		}
	}
	follow(t, x.consoleURL(), last, func(list []message) bool {
		return has("missed", "succeeded")(list) && told(waiting, "succeeded")(list) && told(again.Runs[0], "failed")(list)
	})
	// A second later nothing older is repeated, and the end of an old run is sent.
	x.send(t, "large-later", "large", "valid", nil)
	x.settled(t)
	open := x.first(t, "runs?status=waiting")
	time.Sleep(2200 * time.Millisecond)
	x.send(t, "other-later", "other", "valid", nil)
	beyond := 0
	got = follow(t, x.consoleURL(), last, func(list []message) bool {
		if has("other-later", "")(list) {
			beyond = len(list)
			x.send(t, "other-last", "other", "valid", nil)
		}
		return beyond > 0 && has("other-last", "")(list)
	})
	last = got[len(got)-1].id
	if status, b := x.call(t, "POST", "/api/v1/runs/"+open+"/cancel", ""); status != 202 {
		t.Fatal(status, string(b))
	}
	for _, m := range follow(t, x.consoleURL(), last, told(open, "cancelled")) {
		if m.name == "event" && !strings.Contains(m.data, "other-la") {
			t.Errorf("told again, though it is older than a second: %v", m)
		}
	}
	if status, _ := x.call(t, "GET", "/api/v1/stream?after=nonsense", ""); status != http.StatusBadRequest {
		t.Errorf("%d", status)
	}
}

// TestTraceIsPropagated checks that the sender's trace is passed to the calls of its event's steps.
func TestTraceIsPropagated(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	x.mu.Lock()
	for _, h := range x.seen {
		if h.Get("Traceparent") != "" {
			t.Errorf("a trace that nobody asked for: %s", h)
		}
	}
	x.seen = nil
	x.mu.Unlock()
	x.send(t, "traced", "paid", "valid", http.Header{"Traceparent": {"00-" + trace + "-b7ad6b7169203331-01"}})
	x.settled(t)
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.seen) != 1 || !regexp.MustCompile("^00-"+trace+"-[0-9a-f]{16}-01$").MatchString(x.seen[0].Get("Traceparent")) ||
		strings.Contains(x.seen[0].Get("Traceparent"), "b7ad6b7169203331") {
		t.Errorf("%v", x.seen)
	}
}

// TestWorkflowStaysSwitchedOffAcrossRestarts checks that its events start nothing until it is switched
// on again.
func TestWorkflowStaysSwitchedOffAcrossRestarts(t *testing.T) {
	x := startLively(t)
	h := x.history(t)
	count := func() int {
		runs, err := h.Runs(t.Context(), engine.Query{Workflow: "pay", Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return len(runs)
	}
	before := count()
	if status, b := x.call(t, "POST", "/api/v1/workflows/pay/disable", `{"by": "ada"}`); status != 200 {
		t.Fatal(status, string(b))
	}
	x.send(t, "off-1", "paid", "valid", nil)
	x.settled(t)
	x.stop()
	x.begin(t)
	defer x.stop()
	x.send(t, "off-2", "paid", "valid", nil)
	x.settled(t)
	if n := count(); n != before {
		t.Errorf("%d runs began while it was off", n-before)
	}
	if _, b := x.call(t, "GET", "/api/v1/workflows", ""); !strings.Contains(string(b), `"switched_off_by":"ada"`) {
		t.Errorf("%s", b)
	}
	x.call(t, "POST", "/api/v1/workflows/pay/enable", `{}`)
	x.send(t, "on", "paid", "valid", nil)
	x.settled(t)
	if n := count(); n != before+1 {
		t.Errorf("%d runs after it was switched on", n-before)
	}
}
