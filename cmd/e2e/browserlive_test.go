//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/hookloom/hookloom/engine"
)

// TestRunPageUpdatesWithItsRun checks that a run's page is updated without a reload.
func TestRunPageUpdatesWithItsRun(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	run := x.first(t, "runs?status=waiting")
	b.goTo("/runs/" + run)
	b.sees("Follows the run.")
	b.sees("for an approval")
	b.do(chromedp.Evaluate(`window.same = true`, nil))
	if status, body := x.call(t, "POST", "/api/v1/runs/"+run+"/approve", `{"by": "ada"}`); status != 202 {
		t.Fatal(status, string(body))
	}
	b.sees("The run has ended.")
	b.until(`window.same && document.querySelector("#run .status").textContent === "succeeded"`)
	b.sees("ada not proved: approve")
	if bad := b.complaints(); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
}

// TestPageUpdateKeepsAnUnsentAnswer checks that an answer being written is not lost when the run
// changes.
func TestPageUpdateKeepsAnUnsentAnswer(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	run := x.first(t, "runs?status=waiting")
	b.goTo("/runs/" + run)
	b.sees("Follows the run.")
	b.fill("textarea[name=comment]", "half a sent")
	x.call(t, "POST", "/api/v1/runs/"+run+"/approve", `{"by": "ada"}`)
	b.sees("Load the page again when you have written your answer.")
	b.until(`document.querySelector("textarea[name=comment]").value === "half a sent"`)
}

// TestSentRequestIsCopiedAsCurl copies what an attempt sent as a shell command, whose text is never
// run as a script.
func TestSentRequestIsCopiedAsCurl(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	run := x.first(t, "runs?workflow=pay&status=succeeded")
	status, raw := x.call(t, "GET", "/api/v1/runs/"+run, "")
	var d engine.RunDetail
	if err := json.Unmarshal(raw, &d); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	var sent *engine.StepItem
	at := 0
	for i := range d.Steps {
		if d.Steps[i].Path == "book" {
			sent, at = &d.Steps[i], i
		}
	}
	if sent == nil || sent.Request == nil || sent.Response == nil || sent.Response.Status != 200 {
		t.Fatalf("%s", raw)
	}
	r, key := sent.Request, ""
	x.mu.Lock()
	for _, h := range x.seen {
		if h.Get("Idempotency-Key") == r.Headers["Idempotency-Key"] {
			key = h.Get("Idempotency-Key")
		}
	}
	x.mu.Unlock()
	if r.Method != "POST" || !strings.HasSuffix(r.URL, "/book") || key == "" || !strings.Contains(r.Body, "<script>") {
		t.Errorf("%+v", r)
	}
	b.goTo("/runs/" + run)
	b.do(chromedp.Evaluate(`navigator.clipboard.writeText = async (t) => { window.copied = t; }`, nil))
	b.do(chromedp.Evaluate(fmt.Sprintf(`for (const e of document.querySelectorAll("#s%d, #s%d details")) e.open = true`, at, at), nil))
	for _, id := range []string{"curl", "req", "res", "in", "out"} {
		b.do(chromedp.Click(fmt.Sprintf("[data-copy=%s%d]", id, at), chromedp.ByQuery))
		b.until(fmt.Sprintf(`window.copied === document.getElementById("%s%d").textContent`, id, at))
	}
	b.do(chromedp.Click(fmt.Sprintf("[data-copy=curl%d]", at), chromedp.ByQuery))
	b.until(fmt.Sprintf(`window.copied === %s`, inScript(r.Curl)))
	if bad := b.complaints(); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
}

// TestPagesShowNewEntriesAndTheEndOfTheSession checks lists and live pages.
func TestPagesShowNewEntriesAndTheEndOfTheSession(t *testing.T) {
	t.Setenv("HOOKLOOM_TOKEN", "a-token-of-the-operator")
	x := &lively{project: newProject(t, map[string]string{"hookloom.yaml": "timezone: Asia/Tokyo\n" + strings.ReplaceAll(livelyConfig,
		"SINK", "http://127.0.0.1:1"),
		".env": livelyEnv, "workflows/refund.yaml": livelyFlows["refund.yaml"]})}
	x.begin(t)
	b := openBrowser(t, x.consoleURL())
	b.goTo("/events")
	b.fill(`input[name=name]`, "ada")
	b.fill(`input[name=token]`, "a-token-of-the-operator")
	b.click(`form[action="/login"] button`)
	b.sees("Times in Asia/Tokyo (UTC+09:00)")
	x.send(t, "new-1", "paid", "valid", nil)
	b.sees("1 new")
	b.click(".news a")
	b.sees("new-1")
	b.click(`.zone a[href*="zone=utc"]`)
	b.sees("Times in UTC")
	b.goTo("/live")
	b.sees("Following.")

	// The session is also valid for the next process.
	x.stop()
	b.sees("Cut off; connecting again…")
	x.begin(t)
	b.sees("Following.")
	x.send(t, "new-2", "paid", "valid", nil)
	b.sees("new-2")

	// With another token it is over.
	x.stop()
	t.Setenv("HOOKLOOM_TOKEN", "another-token-of-the-operator")
	x.begin(t)
	defer x.stop()
	b.sees("Your session is over.")
	b.sees("Log in again")
	b.complaints() // the 401, and the stopped server
	b.click("#live-login")
	b.sees("Your name, for the audit log")
}

// TestDeadLettersAreReplayedByCause shows a plan first; dead letters that are not on the page are
// included.
func TestDeadLettersAreReplayedByCause(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	b.goTo("/deadletters")
	b.sees("3 failed and were not replayed, for 1 cause")
	b.click(`section.group form button`)
	b.sees("3 would be replayed from the failed step")
	b.sees(strings.TrimPrefix(x.sink.URL, "http://"))
	b.sees("http_status")
	b.click("form button.primary")
	b.sees("3 replayed")
	b.goTo("/destinations")
	b.click(`table.rows a.title`)
	b.sees("Dead letters")
	if bad := b.complaints(); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
}
