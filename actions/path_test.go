package actions_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// TestPathStaysBelowTheBaseURL checks that a complete URL from a payload cannot climb out of
// base_url.
func TestPathStaysBelowTheBaseURL(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.EscapedPath()) }))
	defer server.Close()
	api := connections(t, "connections: {api: {connector: http, base_url: \""+server.URL+"/v1\"}}")
	for _, path := range []string{"/../../admin", "/x/%2e%2e/%2E./y", "/x/..", "/./x", `/x\..\..\admin`, "/x/..;a=b/y", "/%252e%252e/x",
		server.URL + "/v1/../admin"} {
		if _, err := do(t, t.Context(), "http/get", map[string]any{"connection": "api", "url": path}, api); err == nil ||
			!strings.Contains(err.Error(), ". or .. segments") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("asked for %v", asked)
	}
	for _, path := range []string{"/orders/1.2", "/a..b/...", "/x?file=../y"} {
		if _, err := do(t, t.Context(), "http/get", map[string]any{"connection": "api", "url": path}, api); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestDotSegmentsAreSeenInEveryEncoding(t *testing.T) {
	for path, want := range map[string]bool{"a/b": false, "": false, ".": true, "a/..": true, "a/.b": false, "%2e": true, ".%2E/a": true,
		"%252e%252E": true, "..%2Fa": true,
		"..%5ca": true, "a;b/..;c": true, "a%": false, "%zz/..": true, "...": false, "a%2F..%2Fb": true} {
		if workflows.HasDotSegment(path) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
}
