package cmd

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/examples"
	"github.com/hookloom/hookloom/triggers"
)

const slackSigningSecret = "8f742231b10e8888abcd99yyyzzz85a5"

// slackCall is a call of the Web API that the fake of Slack received.
type slackCall struct {
	method string
	body   map[string]any
}

// slackStandIn responds like Slack's Web API, and passes on the calls.
func slackStandIn(t *testing.T) (string, <-chan slackCall) {
	t.Helper()
	calls := make(chan slackCall, 20)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := slackCall{method: strings.TrimPrefix(r.URL.Path, "/")}
		if err := json.NewDecoder(r.Body).Decode(&c.body); err != nil {
			t.Error(err)
		}
		calls <- c
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"ok": true, "channel": "C024BE91L", "ts": "1767225600.000100"}`)
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

func nextCall(t *testing.T, calls <-chan slackCall, method string) map[string]any {
	t.Helper()
	select {
	case c := <-calls:
		if c.method != method {
			t.Fatalf("%s %v, want %s", c.method, c.body, method)
		}
		return c.body
	case <-time.After(time.Minute):
		t.Fatalf("no call of %s", method)
		return nil
	}
}

// press sends a button press like Slack: a form with the payload, signed
// (docs.slack.dev/reference/interaction-payloads/block_actions-payload).
func press(t *testing.T, base, secret, user string, button map[string]any, trigger string) int {
	t.Helper()
	payload, err := json.Marshal(map[string]any{"type": "block_actions", "trigger_id": trigger, "user": map[string]any{"id": user},
		"channel": map[string]any{"id": "C024BE91L"}, "message": map[string]any{"ts": "1767225600.000100"},
		"actions": []any{map[string]any{"action_id": button["action_id"], "block_id": "hookloom", "value": button["value"], "type": "button"}}})
	if err != nil {
		t.Fatal(err)
	}
	body := url.Values{"payload": {string(payload)}}.Encode()
	now := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "v0:%s:%s", now, body)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/hooks/slack", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Slack-Request-Timestamp": {now},
		"X-Slack-Signature": {"v0=" + hex.EncodeToString(mac.Sum(nil))}}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode == 200 && len(b) > 0 {
		t.Errorf("Slack would show %q (%v)", b, err)
	}
	return resp.StatusCode
}

// TestSlackButtonAnswersTheApproval runs examples/approval: only a person in by:, with Slack's
// own signature, can answer; anybody else is told why the press did not count.
func TestSlackButtonAnswersTheApproval(t *testing.T) {
	t.Run("at once", func(t *testing.T) { pressesAnswer(t, "") })
	// A run that collects events reads them from the database.
	t.Run("by an event that is read back", func(t *testing.T) { pressesAnswer(t, "debounce: {key: event.id, wait: 10ms}\n") })
}

// pressesAnswer presses the buttons of examples/approval; more is added to the workflow that
// the presses start.
func pressesAnswer(t *testing.T, more string) {
	t.Helper()
	slack, calls := slackStandIn(t)
	dir := t.TempDir()
	for _, f := range []string{"hookloom.yaml", "workflows/large_order.yaml", "workflows/slack_button.yaml"} {
		text, err := examples.Files.ReadFile("approval/" + f)
		if err != nil {
			t.Fatal(err)
		}
		if f == "hookloom.yaml" {
			text = bytes.ReplaceAll(text, []byte("slack: {token:"), []byte("slack: {base_url: \""+slack+"\", token:"))
			text = append(text, "\negress: {allow: [127.0.0.1]}\n"...)
		}
		if strings.HasSuffix(f, "slack_button.yaml") {
			text = append([]byte(more), text...)
		}
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(f)), string(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeFile(filepath.Join(dir, ".env"), "SLACK_SIGNING_SECRET="+slackSigningSecret+
		"\nSLACK_TOKEN=xoxb-test-token-1234567890\nSHOP_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"); err != nil {
		t.Fatal(err)
	}
	s, stop := startServer(t, dir)
	defer stop()
	l, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	order, err := triggers.Sample(l.project, "shop", l.secrets.Lookup, triggers.SampleOrder{Body: []byte(`{"id":"A-1","total":640}`)})
	if err != nil {
		t.Fatal(err)
	}
	if status, body, err := deliver(t.Context(), s.hooksURL(), order); err != nil || status != 202 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	asked := nextCall(t, calls, "chat.postMessage")
	buttons := asked["blocks"].([]any)[1].(map[string]any)["elements"].([]any)
	approve := buttons[0].(map[string]any)

	for waits := false; !waits; time.Sleep(5 * time.Millisecond) {
		runs, err := s.store.History().Runs(t.Context(), engine.Query{})
		if err != nil {
			t.Fatal(err)
		}
		waits = len(runs) == 1 && runs[0].Status == "waiting"
	}
	if status := press(t, s.hooksURL(), "another-signing-secret-0123456789", "U061F7AUR", approve, "1.forged"); status != 401 {
		t.Errorf("a forged press was answered %d", status)
	}
	if status := press(t, s.hooksURL(), slackSigningSecret, "U0MALLORY", approve, "2.mallory"); status != 200 {
		t.Errorf("a press was answered %d", status)
	}
	if told := nextCall(t, calls, "chat.postMessage")["text"].(string); !strings.Contains(told, "U061F7AUR, U0LAN0Z89 only") {
		t.Errorf("the other person is told %q", told)
	}
	if status := press(t, s.hooksURL(), slackSigningSecret, "U061F7AUR", approve, "3.ada"); status != 200 {
		t.Errorf("a press was answered %d", status)
	}
	closed := nextCall(t, calls, "chat.update")
	if closed["text"] != "Ship order A-1 of 640 EUR? Yes, says <@U061F7AUR>." || fmt.Sprint(closed["blocks"]) != "[]" {
		t.Errorf("the message became %v", closed)
	}
	if d := endedRun(t, s); d.Status != "succeeded" || string(d.Output) != `{"by":"U061F7AUR"}` {
		t.Errorf("run %s: %s %s", d.Status, d.Output, d.Error)
	}
	press(t, s.hooksURL(), slackSigningSecret, "U0LAN0Z89", buttons[1].(map[string]any), "4.bob")
	if told := nextCall(t, calls, "chat.postMessage")["text"].(string); !strings.Contains(told, "has ended as succeeded") {
		t.Errorf("who is late is told %q", told)
	}
}
