//go:build unix

package e2e

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestWorkflowPageShowsWhatWouldChange compares with the file on disk and with a pasted text;
// each line links to its event, and hostile data is shown as text.
func TestWorkflowPageShowsWhatWouldChange(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	b.goTo("/workflow?id=pay")
	b.click(`a[href="/workflow/changes?id=pay"]`)
	b.sees("Compares an edited pay with what ran")
	b.click(`form[action="/workflow/changes"] button`)
	b.sees("0 of 7 events would have another result")
	b.sees("2 unchanged, 0 changed")
	b.do(chromedp.Click(`input[value="text"]`, chromedp.ByQuery))
	edited := strings.ReplaceAll(livelyFlows["pay.yaml"], "SINK", x.sink.URL)
	edited = strings.Replace(edited, "note: \"${{", "remark: \"${{", 1)
	b.fill(`textarea[name=text]`, edited)
	b.click(`form[action="/workflow/changes"] button`)
	b.sees("2 of 7 events would have another result")
	b.sees("book body.remark: - → ")
	b.sees(hostile)
	if bad := b.complaints(); len(bad) > 0 {
		t.Error(bad)
	}
	b.click(`table.changes a[href^="/events/evt_"]`)
	b.sees("paid-0")
	// Mistakes in a file are shown; the file on disk is read again.
	file := filepath.Join(x.dir, "workflows", "pay.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(edited, "amount > 10", "amount > 1000", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	b.goTo("/workflow/changes?id=pay")
	b.click(`form[action="/workflow/changes"] button`)
	b.sees("stops matching")
	b.sees("event.data.amount > 1000")
	b.do(chromedp.Click(`input[value="text"]`, chromedp.ByQuery))
	b.fill(`textarea[name=text]`, "on: shop\nsteps: [{uses: htp/post}]\n")
	b.click(`form[action="/workflow/changes"] button`)
	b.sees("The files have mistakes")
	for _, c := range []struct {
		field, value, want string
		status             int
	}{{"limit", "100000000", "events is a number from 1 to 20000", 400}, {"since", "never", "since", 400}, {"id", "none", "Not found", 404}} {
		form := url.Values{"id": {"pay"}, "from": {"disk"}}
		form.Set(c.field, c.value)
		if status, body := x.submitted(t, "/workflow/changes", form); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s=%s: %d %s", c.field, c.value, status, body)
		}
	}
}

// TestPlaygroundShowsEachPart evaluates an expression for a recorded event, and a text for
// pasted data; hostile data is shown as text, and mistakes are explained.
func TestPlaygroundShowsEachPart(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	b.goTo("/events/" + x.first(t, "events?type=paid"))
	b.click(`a[href^="/playground?event="]`)
	b.fill(`textarea[name=expression]`, "event.data.amount / 100 > 4 && event.data.note != ''")
	b.click(`form[action="/playground"] button`)
	b.until(`document.querySelector("#value")?.textContent === "true"`)
	if parts := b.text("table.parts tbody"); !strings.Contains(parts, "event.data.amount / 100") || !strings.Contains(parts, "4.2") {
		t.Error(parts)
	}
	b.sees(hostile[:8])
	b.sees("Cost: ")
	b.fill(`input[name=event]`, "")
	b.fill(`textarea[name=data]`, `{"a": {"b": [1, 2, 3]}}`)
	b.fill(`textarea[name=expression]`, "sum ${{ sum(event.data.a.b) }}")
	b.click(`form[action="/playground"] button`)
	b.until(`document.querySelector("#value")?.textContent === '"sum 6"' && document.querySelector("#type").textContent === "text"`)
	if bad := b.complaints(); len(bad) > 0 {
		t.Error(bad)
	}
	for _, c := range []struct{ event, data, expression, want string }{
		{"", "{", "1", "the pasted event"}, {"evt_1", "", "1", "evt_1"}, {"last", "{}", "1", "not both"},
		{"last", "", "evnt", "unknown name evnt"},
		{"evt_0000000000000001", "", "1", "no event"}, {"", "", " ", "type an expression"},
		{"last", "", strings.Repeat("1+", 40_000) + "1", "at most 65536 are allowed"},
		{"last", "", "secrets.SHOP_SECRET", "secrets cannot be read in this evaluation"},
	} {
		status, body := x.submitted(t, "/playground", url.Values{"event": {c.event}, "data": {c.data}, "expression": {c.expression}})
		if status != http.StatusBadRequest || !strings.Contains(body, c.want) {
			t.Errorf("%.40s: %d %s", c.expression, status, body)
		}
	}
}

// submitted submits a form of a page, with the page's own token.
func (x *lively) submitted(t *testing.T, path string, form url.Values) (int, string) {
	t.Helper()
	_, page := x.call(t, "GET", "/playground", "")
	_, rest, _ := strings.Cut(string(page), `name="csrf" content="`)
	token, _, _ := strings.Cut(rest, `"`)
	form.Set("csrf", token)
	resp, err := http.PostForm(x.consoleURL()+path, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}
