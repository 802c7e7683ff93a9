package actions_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
)

// TestCachedResponseIsRevalidated checks that cache: true sends the ETag, or the time, of
// the last response, and that another workflow, credential or URL has its own entry.
func TestCachedResponseIsRevalidated(t *testing.T) {
	version, noStore, full := 1, "", 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		etag := fmt.Sprintf(`"%d"`, version)
		if r.URL.Path == "/dated" {
			w.Header().Set("Last-Modified", "Fri, 01 May 2026 10:00:00 GMT")
			if r.Header.Get("If-Modified-Since") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		} else if w.Header().Set("ETag", etag); r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full++
		w.Header().Set("Cache-Control", noStore)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"version": %d, "filler": "%s"}`, version, strings.Repeat("x", len(r.URL.Query().Get("long"))<<10))
	}))
	defer server.Close()
	all := actions.Executors(actions.Options{Client: client(t, "127.0.0.1")})
	ask := func(workflow, path, token string, cached bool) string {
		t.Helper()
		out, err := all["http/get"].Do(t.Context(), engine.Input{Spec: catalog(t)["http/get"], Workflow: workflow,
			With: map[string]any{"url": server.URL + path, "cache": cached, "auth": map[string]any{"bearer": token}}})
		m, _ := out.(map[string]any)
		if err != nil || m["status"] != 200 || m["headers"].(map[string]any)["content-type"] != "application/json" {
			t.Fatalf("%v %v", out, err)
		}
		body := m["body"].(map[string]any)
		body["changed"] = true // a step that changes it does not change the cache
		if _, dirty := body["dirty"]; dirty {
			t.Error("the kept answer was changed")
		}
		return fmt.Sprint(body["version"])
	}
	for i, c := range []struct {
		workflow, path, token string
		cached                bool
		version               int
		want                  string
		full                  int
	}{
		{"w", "/a", "t", true, 1, "1", 1}, {"w", "/a", "t", true, 1, "1", 1},
		{"w", "/a", "t", true, 2, "2", 2}, {"w", "/a", "t", true, 2, "2", 2},
		{"other", "/a", "t", true, 2, "2", 3}, {"w", "/a", "another", true, 2, "2", 4}, {"w", "/b", "t", true, 2, "2", 5},
		{"w", "/a", "t", false, 2, "2", 6}, {"w", "/dated", "t", true, 2, "2", 7}, {"w", "/dated", "t", true, 3, "2", 7},
	} {
		version = c.version
		if got := ask(c.workflow, c.path, c.token, c.cached); got != c.want || full != c.full {
			t.Errorf("%d: version %s, %d whole answers; want %s, %d", i, got, full, c.want, c.full)
		}
	}
	noStore, full = "private, no-store", 0
	ask("w", "/secret", "t", true)
	ask("w", "/secret", "t", true)
	if full != 2 {
		t.Errorf("an answer was kept that must not be")
	}
	noStore, full = "", 0
	for range 2 { // 40 responses of 500 KB exceed the cache
		for i := range 40 {
			ask("w", fmt.Sprintf("/%d?long=%s", i, strings.Repeat("y", 500)), "t", true)
		}
	}
	if full != 80 {
		t.Errorf("%d whole answers: more is kept than may be", full)
	}
}
