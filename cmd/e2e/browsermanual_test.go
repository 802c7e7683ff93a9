//go:build unix

package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestManualIsSearchableByKeyboard types a search, follows the first result to its heading, and
// searches for something that no page has. A page loads nothing from elsewhere.
func TestManualIsSearchableByKeyboard(t *testing.T) {
	x := startLively(t)
	defer x.stop()
	b := openBrowser(t, x.consoleURL())
	b.goTo("/docs/")
	b.do(chromedp.Focus("main input[name=q]", chromedp.ByQuery), chromedp.KeyEvent("behind nginx"+kb.Enter))
	b.until(`location.search.includes("q=behind") && document.readyState === "complete"`)
	b.do(chromedp.Focus("main li a", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter))
	b.until(`location.pathname + location.hash === "/docs/deploy#behind-nginx" && document.readyState === "complete"`)
	b.until(`document.getElementById("behind-nginx") !== null`)
	b.until(`performance.getEntriesByType("resource").every(e => e.name.startsWith(location.origin + "/"))`)
	b.goTo("/docs/?q=zzqqx")
	b.sees("No page has all of these words.")
	for _, bad := range b.complaints() {
		t.Error(bad)
	}
}
