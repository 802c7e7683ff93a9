//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is a real Chromium that records all errors of a page.
type browser struct {
	t   *testing.T
	ctx context.Context
	url string
	mu  sync.Mutex
	bad []string
}

// openBrowser starts Chromium (Debian's package; .ci/run installs it). Without it the test is
// skipped with a message.
func openBrowser(t *testing.T, base string) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a browser")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("SKIPPED: no Chromium here; apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(time.Minute))
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() { cancel(); cancelAlloc() })
	b := &browser{t: t, ctx: ctx, url: base}
	chromedp.ListenTarget(ctx, func(e any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			b.bad = append(b.bad, "exception: "+e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError {
				b.bad = append(b.bad, fmt.Sprintf("console error: %v", e.Args))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				b.bad = append(b.bad, e.Entry.Text+" "+e.Entry.URL)
			}
		case *page.EventJavascriptDialogOpening:
			b.bad = append(b.bad, "a payload opened a dialog: "+e.Message)
			go func() { _ = chromedp.Run(ctx, page.HandleJavaScriptDialog(true)) }() // it would block the page
		}
	})
	if err := chromedp.Run(ctx); err != nil { // it lives as long as the context of its first call
		t.Fatal(err)
	}
	b.do(log.Enable(), runtime.Enable(), emulation.SetDeviceMetricsOverride(1280, 900, 1, false))
	return b
}

// do executes actions within a minute, since the machine may be busy.
func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatalf("%v; the page complains of %v", err, b.complaints())
	}
}

// goTo opens a page and waits until it is there.
func (b *browser) goTo(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url+path), chromedp.WaitVisible("main h1", chromedp.ByQuery))
}

func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	bad := b.bad
	b.bad = nil
	return bad
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	var s string
	b.do(chromedp.Text(selector, &s, chromedp.ByQuery))
	return s
}

// until waits for a condition, across page loads, which destroy a script's context.
func (b *browser) until(condition string) {
	b.t.Helper()
	deadline := time.Now().Add(50 * time.Second)
	for {
		var holds bool
		err := chromedp.Run(b.ctx, chromedp.Evaluate(`!!(`+condition+`)`, &holds))
		if holds {
			return
		}
		if time.Now().After(deadline) {
			var text string
			_ = chromedp.Run(b.ctx, chromedp.Evaluate(`location.href + " " + document.body.innerText.slice(0, 1500)`, &text)) // only for the message
			b.t.Fatalf("not so: %s (%v); the page complains of %v; it is %s", condition, err, b.complaints(), text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sees waits for a text in the page.
func (b *browser) sees(text string) {
	b.t.Helper()
	b.until(`document.body && document.body.innerText.includes(` + inScript(text) + `)`)
}

// fill sets a field.
func (b *browser) fill(selector, value string) {
	b.t.Helper()
	b.do(chromedp.Evaluate(`document.querySelector(`+inScript(selector)+`).value = `+inScript(value), nil))
}

func (b *browser) path() string {
	b.t.Helper()
	var s string
	b.do(chromedp.Location(&s))
	u, err := url.Parse(s)
	if err != nil {
		b.t.Fatal(err)
	}
	return u.RequestURI()
}

// click presses what a selector finds and waits for the next page.
func (b *browser) click(selector string) {
	b.t.Helper()
	var was float64
	b.do(chromedp.Evaluate(`performance.timeOrigin`, &was), chromedp.Click(selector, chromedp.ByQuery))
	b.until(fmt.Sprintf(`performance.timeOrigin !== %f && document.readyState === "complete" && document.querySelector("main h1")`, was))
}

func inScript(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(q)
}

// pagesOf lists every page, each with something on it.
func (x *lively) pagesOf(t *testing.T) []string {
	t.Helper()
	dead, waiting, event := x.first(t, "deadletters"), x.first(t, "runs?status=waiting"), x.first(t, "events?status=matched")
	return []string{"/", "/?range=7d", "/live", "/events", "/events/" + event, "/runs", "/runs/" + dead, "/runs/" + waiting,
		"/runs/" + dead + "?with=" + waiting, "/runs/" + dead + "/replay?from=failed&version=current", "/deadletters", "/quarantine",
		"/quarantine/ref_1",
		"/waiting", "/destinations", "/destination?name=" + strings.TrimPrefix(x.sink.URL, "http://"), "/search?q=paid", "/runs?status=bogus",
		"/triggers", "/trigger?name=shop", "/trigger?name=quiet", "/workflows", "/workflow?id=pay", "/workflow?id=refund",
		"/workflow/changes?id=pay", "/playground?event=" + event, "/audit",
		"/docs/", "/docs/deploy", "/docs/reference/errors", "/login"}
}

// TestEveryPageLoadsWithoutErrors checks that there is no error in the console, no script from
// a payload, and no violation of the content security policy.
func TestEveryPageLoadsWithoutErrors(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	for _, path := range x.pagesOf(t) {
		b.goTo(path)
		var wide, images int
		b.do(chromedp.Evaluate(`document.documentElement.scrollWidth - innerWidth`, &wide),
			chromedp.Evaluate(`document.images.length + document.querySelectorAll("main script, main iframe").length`, &images))
		// The browser itself reports the 400 for a filter with an unknown value.
		refused := func(s string) bool {
			return strings.Contains(path, "bogus") && strings.Contains(s, "status of 400")
		}
		if bad := slices.DeleteFunc(b.complaints(), refused); len(bad) > 0 || images > 0 {
			t.Errorf("%s: %v, %d images or scripts", path, bad, images)
		}
		if wide > 0 {
			t.Errorf("%s is %d pixels too wide", path, wide)
		}
	}
	b.goTo("/events/" + x.first(t, "events?status=matched"))
	b.sees(hostile) // as text
}

// TestPagesFitAPhone checks that only tables and pictures, in their own frames, are wider than the
// screen, in light and dark mode. HOOKLOOM_SHOTS is a folder for screenshots.
func TestPagesFitAPhone(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	shots := os.Getenv("HOOKLOOM_SHOTS")
	for i, path := range x.pagesOf(t) {
		for _, look := range []struct {
			name, scheme string
			width        int64
		}{{"phone-light", "light", 390}, {"phone-dark", "dark", 390}, {"desk-light", "light", 1280}, {"desk-dark", "dark", 1280}} {
			if shots == "" && look.scheme == "dark" {
				continue
			}
			b.do(emulation.SetDeviceMetricsOverride(look.width, 900, 1, look.width < 500),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}))
			b.goTo(path)
			var wide int
			b.do(chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide))
			if wide > 0 {
				t.Errorf("%s in %s is %d pixels too wide", path, look.name, wide)
			}
			if shots != "" {
				var png []byte
				b.do(chromedp.FullScreenshot(&png, 100))
				if err := os.WriteFile(filepath.Join(shots, fmt.Sprintf("%02d-%s.png", i, look.name)), png, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestPagesAreAccessible runs the rules of axe-core on every page, in light and dark mode.
// HOOKLOOM_AXE is its file; .ci/run fetches it.
func TestPagesAreAccessible(t *testing.T) {
	file := os.Getenv("HOOKLOOM_AXE")
	if file == "" {
		t.Skip("SKIPPED: HOOKLOOM_AXE names no axe.min.js (npm pack axe-core)")
	}
	axe, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	b.do(page.SetBypassCSP(true)) // for axe alone; the other tests keep the policy
	for _, scheme := range []string{"light", "dark"} {
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		for _, path := range x.pagesOf(t) {
			b.goTo(path)
			var found []struct {
				ID, Impact, Help string
				Nodes            []string
			}
			b.do(chromedp.Evaluate(string(axe)+`;0`, nil),
				chromedp.Evaluate(`document.querySelectorAll("details").forEach(d => d.open = true), axe.run().then(r => r.violations.map(v => ({ID: `+
					`v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))})))`,
					&found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
			for _, v := range found {
				if v.Impact == "serious" || v.Impact == "critical" {
					t.Errorf("%s in %s: %s (%s): %s", path, scheme, v.ID, v.Help, strings.Join(v.Nodes, " | "))
				}
			}
		}
	}
}

// TestAPersonFindsARunAndActsOnIt follows a user: did it arrive, did it run, why not, replay it.
func TestAPersonFindsARunAndActsOnIt(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())

	b.goTo("/events")
	b.fill(`select[name=trigger]`, "shop")
	b.fill(`input[name=type]`, "other")
	b.click("form.filters button")
	if rows := b.text("table.rows tbody"); !strings.Contains(rows, "other-6") || strings.Contains(rows, "paid-0") {
		t.Errorf("filtered by type: %s", rows)
	}
	b.fill(`input[name=type]`, "")
	b.fill(`main input[name=q]`, "broken-3")
	b.click("form.filters button")
	b.click("table.rows tbody a")
	b.sees("event.type == 'broken'") // the decision, with the values of its parts
	b.sees(`"broken"`)
	b.click(`main ul a[href^="/runs/"]`)
	b.sees("answered 400")

	// Replay it with one button, and compare.
	dead := b.path()
	b.click(`form[action$="/replay"] button`)
	b.sees("These made outside calls.")
	b.click(`form[action$="/replay"] button`)
	b.sees("Replayed. This is the new run.")
	x.settled(t)
	b.goTo(strings.Split(b.path(), "?")[0] + "?with=" + strings.TrimPrefix(dead, "/runs/"))
	b.sees("Compare with another run")

	// Approve what waits.
	b.goTo("/runs/" + x.first(t, "runs?status=waiting"))
	b.sees("It waits for a person")
	b.fill(`textarea[name=comment]`, "fine")
	b.fill(`input[name=by]`, "grace")
	b.click(`button[value=approve]`)
	b.sees("Your answer is recorded.")
	x.settled(t)
	b.do(chromedp.Reload())
	b.sees("succeeded")
	b.sees("grace not proved: approve may fine")

	// Choose all dead letters of a cause; the count comes first.
	b.goTo("/deadletters")
	b.do(chromedp.Click("input.all", chromedp.ByQuery))
	b.sees("chosen")
	b.click("form button.primary")
	b.sees("would be replayed")
	b.click("form button.primary")
	b.sees("replayed")
	x.settled(t)

	// A manual start, and a sample of a provider.
	b.goTo("/workflow?id=refund")
	b.fill(`input[name="input.order"]`, "A-1")
	b.fill(`input[name=why]`, "asked by phone")
	b.click(`form[action="/workflow/fire"] button`)
	b.sees("Started by hand")
	b.goTo("/trigger?name=quiet")
	b.click(`form[action="/trigger/send"] button`)
	b.sees("Nothing was stored, and nothing ran.")
	b.fill(`select[name=how]`, "send")
	b.click(`form[action="/trigger/send"] button`)
	b.sees("No workflow would run.")
	b.click("form button.primary")
	b.sees(`"status":"accepted"`)
	b.goTo("/audit")
	for _, what := range []string{"run.replay", "run.answer", "workflow.fire", "trigger.send"} {
		b.sees(what)
	}
	if bad := b.complaints(); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
}

func TestLivePageShowsEventsAsTheyHappen(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	b.goTo("/live")
	b.sees("Following.")
	x.send(t, "live-1", "paid", "valid", nil)
	b.sees("live-1")
	b.sees("succeeded")
	b.do(chromedp.Click("#live-pause", chromedp.ByQuery))
	x.send(t, "live-2", "paid", "valid", nil)
	b.sees("Go on (")
	if strings.Contains(b.text("#live tbody"), "live-2") {
		t.Error("it goes on though it is paused")
	}
	b.do(chromedp.Click("#live-pause", chromedp.ByQuery))
	b.sees("live-2")
	if bad := b.complaints(); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
}

func TestPagesAreUsableByKeyboard(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	b.goTo("/runs")
	var at string
	b.do(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(`document.activeElement.className`, &at))
	if at != "skip" {
		t.Errorf("the first tab leads to %q, not to the link that skips the menu", at)
	}
	b.do(chromedp.KeyEvent("j"), chromedp.KeyEvent("j"), chromedp.KeyEvent("k"),
		chromedp.Evaluate(`document.activeElement.getAttribute("href")`, &at))
	if want := "/runs/" + x.first(t, "runs"); at != want {
		t.Errorf("j j k stands on %s, not %s", at, want)
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until(`location.pathname.startsWith("/runs/run_") && document.readyState === "complete"`)
	b.do(chromedp.KeyEvent("g"), chromedp.KeyEvent("e"))
	b.until(`location.pathname === "/events" && document.readyState === "complete"`)
	b.do(chromedp.KeyEvent("/"))
	b.until(`document.activeElement.name === "q"`)
	b.fill("main input[name=q]", "") // the protocol also types the /, which a real key press would not
	b.do(chromedp.KeyEvent("paid-1" + kb.Enter))
	b.until(`location.search.includes("q=paid-1") && document.readyState === "complete"`)
	b.sees("paid-1")
	b.do(chromedp.KeyEvent("?"), chromedp.WaitVisible("#keys", chromedp.ByQuery), chromedp.KeyEvent(kb.Escape),
		chromedp.WaitNotVisible("#keys", chromedp.ByQuery))
}

func TestALoginInABrowser(t *testing.T) {
	t.Setenv("HOOKLOOM_TOKEN", "a-token-of-the-operator")
	t.Setenv("HOOKLOOM_VIEW_TOKEN", "a-token-of-a-viewer")
	x := &lively{project: newProject(t, map[string]string{"hookloom.yaml": strings.ReplaceAll(livelyConfig, "SINK", "http://127.0.0.1:1"),
		".env": livelyEnv, "workflows/refund.yaml": livelyFlows["refund.yaml"]})}
	x.begin(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	enter := func(token string) {
		b.fill(`input[name=name]`, "ada")
		b.fill(`input[name=token]`, token)
		b.click("form button")
	}
	b.goTo("/workflow?id=refund")
	if p := b.path(); !strings.HasPrefix(p, "/login?to=") {
		t.Fatalf("without a session: %s", p)
	}
	enter("wrong")
	b.sees("Unknown token.")
	b.complaints() // the 401
	enter("a-token-of-a-viewer")
	if p := b.path(); p != "/workflow?id=refund" {
		t.Errorf("after the login: %s", p)
	}
	b.sees("ada (view)")
	if strings.Contains(b.text("main"), "Start it by hand") {
		t.Error("who may look only is offered to act")
	}
	b.click(`form[action="/logout"] button`)
	b.goTo("/workflow?id=refund")
	enter("a-token-of-the-operator")
	b.sees("Start it by hand")
	// A form whose token is not ours is refused.
	b.fill(`form[action="/workflow/fire"] input[name=csrf]`, "00")
	b.fill(`input[name="input.order"]`, "A-1")
	b.click(`form[action="/workflow/fire"] button`)
	b.sees("this form has expired or came from another site")
	resp, err := http.Get(x.consoleURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("metrics without a token: %d", resp.StatusCode)
	}
}
