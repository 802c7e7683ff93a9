package cmd

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestSendPrintsWhereToFindTheReason: a refused delivery is in the quarantine; one that could not be stored is
// nowhere, and the server knows why.
func TestSendPrintsWhereToFindTheReason(t *testing.T) {
	dir := projectIn(t, map[string]string{".env": "HOOK=93f4fc879f462e2e6321432c\n",
		"hookloom.yaml": "triggers:\n  hook: {webhook: {provider: generic, secret: \"${{ secrets.HOOK }}\"}}\n"})
	for status, want := range map[int]string{
		http.StatusServiceUnavailable: "hookloom doctor say",
		http.StatusUnauthorized:       "hookloom quarantine says",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		code, _, errs := ran(t, "send", "hook", "--dir", dir, "--to", server.URL)
		says(t, http.StatusText(status), code, exitFailure, errs, want)
		server.Close()
	}
}

// TestSendStartsWorkflowWithTheNameOfItsTrigger: a workflow with on: {schedule: ..., manual: ...} has a trigger
// of its name, which takes no deliveries. What cannot be sent to says what to do.
func TestSendStartsWorkflowWithTheNameOfItsTrigger(t *testing.T) {
	steps := "steps:\n  - stop: done\n"
	dir := projectIn(t, map[string]string{
		"hookloom.yaml": "triggers:\n  feed:\n    poll: {every: 1h, request: {url: \"https://a.example\"}, items: response.body, " +
			"key: item.id}\n",
		"workflows/nightly.yaml": "on:\n  schedule: {cron: \"0 2 * * *\"}\n  manual:\n" + steps,
		"workflows/hourly.yaml":  "on:\n  schedule: {every: 1h}\n" + steps,
	})
	path := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		_, _ = w.Write([]byte(`{"event":"evt_1"}`))
	}))
	t.Cleanup(server.Close)
	t.Setenv("HOOKLOOM_ADMIN_ADDR", server.Listener.Addr().String())
	code, out, errs := ran(t, "send", "nightly", "--dir", dir)
	says(t, "by hand", code, exitOK, out+errs, "started: event evt_1")
	if path != "/api/v1/workflows/nightly/fire" {
		t.Errorf("the server was asked for %s", path)
	}
	code, _, errs = ran(t, "send", "hourly", "--dir", dir)
	says(t, "a schedule", code, exitUsage, errs, `trigger "hourly" has no webhook`, "add manual to its on:")
	code, _, errs = ran(t, "send", "feed", "--dir", dir)
	says(t, "a poll", code, exitUsage, errs, "hookloom poll feed polls it now")
}
