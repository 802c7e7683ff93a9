package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A run's page follows its run, without being loaded again by hand.
func TestARunsPageFollowsItsRun(t *testing.T) {
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

// Somebody who writes an answer does not lose it when the run changes.
func TestAPageDoesNotChangeUnderWhoWrites(t *testing.T) {
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

// Lists tell what has come since; live pages say when the session is over.
func TestPagesTellWhatIsNewAndWhenTheSessionIsOver(t *testing.T) {
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

	// The session is good for the next process, too.
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
	b.complaints() // the 401, and the server that was away
	b.click("#live-login")
	b.sees("Your name, for the audit log")
}

// Dead letters are replayed by cause, with a plan first; nothing is lost of those that are
// not on the page.
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
