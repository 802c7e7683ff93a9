package console

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/docs"
)

// TestManualIsServedAsMarkdown follows llms.txt to each page.
func TestManualIsServedAsMarkdown(t *testing.T) {
	mux := http.NewServeMux()
	(&Console{}).manualPages(mux)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	list := get("/llms.txt").Body.String()
	for _, p := range docs.Pages() {
		if !strings.Contains(list, "](/docs/"+p.Name+".md)") {
			t.Errorf("llms.txt does not list %s", p.Name)
		}
		w := get("/docs/" + p.Name + ".md")
		if w.Body.String() != p.Text || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/markdown") {
			t.Errorf("%s is not served as Markdown", p.Name)
		}
	}
}

// TestLinksOnPagesLeadToPages checks the links as the console shows them.
func TestLinksOnPagesLeadToPages(t *testing.T) {
	for _, p := range docs.Pages() {
		text := forConsole(p)
		if strings.HasPrefix(text, "# ") {
			t.Errorf("%s shows its title twice", p.Name)
		}
		for _, part := range strings.Split(text, "](/docs/")[1:] {
			name, _, _ := strings.Cut(part, ")")
			name, _, _ = strings.Cut(name, "#")
			if found, ok := docs.Find(name); !ok || found.Name != name {
				t.Errorf("%s links to /docs/%s, which is no page", p.Name, name)
			}
		}
	}
}

// TestImagesOfPagesAreServed follows the pictures of each page.
func TestImagesOfPagesAreServed(t *testing.T) {
	mux := http.NewServeMux()
	(&Console{}).manualPages(mux)
	seen := 0
	for _, p := range docs.Pages() {
		for _, part := range strings.Split(p.Text, "](")[1:] {
			name, _, _ := strings.Cut(part, ")")
			if !strings.HasSuffix(name, ".png") {
				continue
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/docs/"+name, nil))
			if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "\x89PNG") {
				t.Errorf("%s shows %s, which is answered %d", p.Name, name, w.Code)
			}
			seen++
		}
	}
	if seen == 0 {
		t.Error("no page has a picture")
	}
}

// TestSearchResultsLinkToHeadings follows the results of searches to the headings that they name. A page
// about the words comes first.
func TestSearchResultsLinkToHeadings(t *testing.T) {
	mux := http.NewServeMux()
	(&Console{}).manualPages(mux)
	for query, first := range map[string]string{"dead letters": "retries", "oauth": "connections", "nginx": "deploy",
		"concurrency": "workflow", "backtest": "backtest"} {
		hits := docs.Search(query, maxHits)
		if len(hits) == 0 || path.Base(hits[0].Page) != first {
			t.Errorf("a search for %q leads to %+v, not to %s", query, hits[:min(1, len(hits))], first)
			continue
		}
		for _, h := range hits[:min(20, len(hits))] {
			p, _ := docs.Find(h.Page)
			var b bytes.Buffer
			if err := markdown.Convert([]byte(forConsole(p)), &b); err != nil {
				t.Fatal(err)
			}
			if h.Anchor != "" && !strings.Contains(b.String(), `id="`+h.Anchor+`"`) {
				t.Errorf("%q: %s has no heading with the id %q", query, h.Page, h.Anchor)
			}
		}
	}
}
