//go:build unix

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// page loads a page of the console.
func (x *lively) page(t *testing.T, path string, wants ...string) string {
	t.Helper()
	status, b := x.call(t, "GET", path, "")
	if status != 200 {
		t.Errorf("%s: %d %s", path, status, b)
	}
	for _, want := range wants {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
	if strings.Contains(string(b), hostile) {
		t.Errorf("%s has what a sender wrote as it is", path)
	}
	return string(b)
}

// form posts a form and returns the redirect target.
func (x *lively) form(t *testing.T, path, page string, fields url.Values) string {
	t.Helper()
	token := regexp.MustCompile(`name="csrf" content="(\w+)"`).FindStringSubmatch(page)
	if token == nil {
		t.Fatal("the page has no token")
	}
	fields.Set("csrf", token[1])
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), "POST", x.consoleURL()+path, strings.NewReader(fields.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		t.Errorf("%s: %d %s %v, want a redirect", path, resp.StatusCode, b, err)
	}
	return resp.Header.Get("Location")
}

// TestRepeatedFormsActOnce checks that reloading a page, sending a form again, and a second
// person create no second run, start or batch.
func TestRepeatedFormsActOnce(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	dead := x.first(t, "deadletters")
	page := x.page(t, "/deadletters", dead)
	chosen := url.Values{"run": {dead}, "confirm": {"yes"}, "from": {"failed"}, "version": {"current"}}
	var made []string
	for range 2 {
		shown := x.form(t, "/deadletters/replay", page, chosen)
		run := regexp.MustCompile(`as <a href="/runs/(run_\w+)"`).FindStringSubmatch(x.page(t, shown, dead))
		if run == nil {
			t.Fatalf("%s names no run", shown)
		}
		made = append(made, run[1])
	}
	if made[0] != made[1] {
		t.Errorf("two replays of one dead letter: %v", made)
	}
	status, b := x.call(t, "POST", "/api/v1/runs/"+dead+"/replay", `{}`)
	if status != 200 || !strings.Contains(string(b), made[0]) || !strings.Contains(string(b), `"already_replayed":true`) {
		t.Errorf("the API: %d %s", status, b)
	}
	if to := x.form(t, "/runs/"+dead+"/replay", page, url.Values{}); to != "/runs/"+made[0]+"?said=already" {
		t.Errorf("the run's own page leads to %s", to)
	}
	fire := url.Values{"id": {"refund"}, "input.order": {"A-1"}, "once": {"word"}}
	if a, b := x.form(t, "/workflow/fire", page, fire), x.form(t, "/workflow/fire", page, fire); a != b {
		t.Errorf("two starts: %s and %s", a, b)
	}
	batch := url.Values{"trigger": {"shop"}, "status": {"skipped"}, "since": {"1d"}, "rate": {"20"}, "once": {"other word"}}
	first, second := x.form(t, "/replays", page, batch), x.form(t, "/replays", page, batch)
	if first != second || !strings.HasPrefix(first, "/batches/bat_") {
		t.Errorf("two batches: %s and %s", first, second)
	}
	x.page(t, first, "Do not match")
	x.page(t, "/batches", strings.TrimSuffix(strings.TrimPrefix(first, "/batches/"), "?said=started"))
	sample := url.Values{"name": {"shop"}, "how": {"send"}, "confirm": {"yes"}}
	if sent := x.form(t, "/trigger/send", page, sample); !strings.HasPrefix(sent, "/trigger?name=shop&shown=") {
		t.Errorf("a sample leads to %s", sent)
	} else {
		x.page(t, sent, "Response to the sample")
	}
	x.settled(t)
}

// TestConsoleRunsMissedEvents checks that it offers the form, shows what would run and be
// called, and runs it.
func TestConsoleRunsMissedEvents(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	page := x.page(t, "/workflow?id=pay", "Switch it off", "hold new events")
	x.form(t, "/workflow/disable", page, url.Values{"id": {"pay"}, "confirm": {"yes"}})
	x.send(t, "missed", "paid", "valid", nil)
	x.settled(t)
	x.page(t, "/events?status=disabled", "missed")
	status, b := x.call(t, "POST", "/api/v1/workflows/pay/enable", `{}`)
	var on struct {
		Missed  int
		Command string
	}
	if err := json.Unmarshal(b, &on); err != nil || status != 200 || on.Missed != 1 ||
		!strings.Contains(on.Command, "replay --workflow pay --status disabled --since ") {
		t.Fatalf("%d %s %v", status, b, err)
	}
	link := regexp.MustCompile(`href="(/replays\?workflow=pay[^"]+)"`).FindStringSubmatch(x.page(t, "/workflow?id=pay",
		"1 event came while it was off"))
	if link == nil {
		t.Fatal("no link to run what it missed")
	}
	preview := x.page(t, strings.ReplaceAll(link[1], "&amp;", "&"), "1 run would begin", "http/post at http://127.0.0.1:")
	fields := url.Values{}
	for _, m := range regexp.MustCompile(`type="hidden" name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(preview, -1) {
		fields.Set(m[1], m[2])
	}
	x.form(t, "/replays", preview, fields)
	for matched := false; !matched; {
		_, b := x.call(t, "GET", "/api/v1/events?status=disabled", "")
		matched = strings.Contains(string(b), `"items":[]`)
	}
	x.settled(t)
	x.page(t, "/events/"+x.first(t, "events?type=paid"), "Earlier decisions", "Decide again")
	if status, b := x.call(t, "GET", "/api/v1/runs?workflow=nope", ""); status != 400 {
		t.Errorf("an unknown workflow: %d %s", status, b)
	}
	if status, b := x.call(t, "GET", "/api/v1/events?status=nope", ""); status != 400 {
		t.Errorf("an unknown status: %d %s", status, b)
	}
}
