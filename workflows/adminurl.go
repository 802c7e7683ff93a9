package workflows

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// adminURL reads server.admin_url.
func (d *decoder) adminURL(o *objectNode) string {
	text := o.text("admin_url", "")
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		d.add(o.at("admin_url"), "bad-address", fmt.Sprintf("admin_url %q is not an address of the console", text),
			"write admin_url: https://hookloom.example.com")
		return ""
	}
	return strings.TrimRight(text, "/")
}

// consoleURL returns the URL of the console, as far as hookloom.yaml determines it.
func (s Server) consoleURL() string {
	if s.AdminURL != "" {
		return s.AdminURL
	}
	return "http://" + s.AdminAddr
}

// runLinks warns about run.url in messages that workflows send if it is a loopback URL: the reader
// is on another machine.
func (l *loader) runLinks() {
	u, err := url.Parse(l.p.Server.consoleURL())
	if err != nil || !loopbackHost(u.Hostname()) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(l.p.Workflows)) {
		w := l.p.Workflows[id]
		done := false
		w.eachExpr(func(e *Expr) {
			if done || !strings.Contains(e.Text, "url") || !e.ReadsKey("run", "url") {
				return
			}
			done = true
			at := max(strings.Index(e.Text, "run"), 0)
			e.report("local-link", true, at, at+len("run.url"), "run.url leads to "+u.Host+", which only this machine can reach",
				"set server: {admin_url: https://...} in hookloom.yaml")
		})
	}
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.IsLoopback() || a.IsUnspecified())
}
