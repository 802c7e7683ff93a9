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
