package console

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"

	"github.com/hookloom/hookloom/docs"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
)

// markdown renders pages of the manual. It omits raw HTML.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

// maxHits is the maximum number of results of a search in the manual.
const maxHits = 100

func (c *Console) manualPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /docs/{page...}", c.manualPage)
	mux.HandleFunc("GET /llms.txt", c.llms)
}

// manualPage shows a page of the manual, its Markdown for a name that ends in .md, or the list of
// pages with a search; or an image of a page.
func (c *Console) manualPage(w http.ResponseWriter, r *http.Request) {
	name := strings.Trim(r.PathValue("page"), "/")
	if name == "" {
		query := r.URL.Query().Get("q")
		c.render(w, r, http.StatusOK, "manual", map[string]any{"Title": "Manual", "Pages": docs.Pages(), "Query": query,
			"Hits": docs.Search(query, maxHits)})
		return
	}
	if b, ok := docs.Picture(name); ok {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(b) // the client has disconnected
		return
	}
	p, ok := docs.Find(name)
	if !ok {
		c.errorPage(w, r, http.StatusNotFound, "The manual has no such page.")
		return
	}
	if strings.HasSuffix(name, ".md") {
		plainText(w, "text/markdown", p.Text)
		return
	}
	if p.Name != name { // links on the page are relative to its full name
		http.Redirect(w, r, "/docs/"+p.Name, http.StatusFound)
		return
	}
	var b bytes.Buffer
	if err := markdown.Convert([]byte(forConsole(p)), &b); err != nil {
		c.fail(w, err)
		return
	}
	//nolint:gosec // the page is the program's own, and goldmark leaves raw HTML out
	c.render(w, r, http.StatusOK, "manualpage", map[string]any{"Title": p.Title, "Name": p.Name, "Page": template.HTML(b.String())})
}

// forConsole removes the title of a page, which the console shows itself, and changes its links to
// the console's pages.
func forConsole(p docs.Page) string {
	_, text, found := strings.Cut(p.Text, "\n")
	if !found || !strings.HasPrefix(p.Text, "# ") {
		text = p.Text
	}
	for _, other := range docs.Pages() {
		for _, from := range []string{other.Name, path.Base(other.Name), "../" + other.Name} {
			text = strings.ReplaceAll(text, "]("+from+".md", "](/docs/"+other.Name)
		}
	}
	return text
}

// llms lists the pages for programs that read documentation (llmstxt.org).
func (c *Console) llms(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	b.WriteString("# Hookloom\n\n> Webhooks to workflows: deliveries are verified, stored before they are answered, and run YAML workflows; " +
		"every run, step and attempt is recorded.\n\n## Manual\n\n")
	for _, p := range docs.Pages() {
		fmt.Fprintf(&b, "- [%s](/docs/%s.md)\n", p.Title, p.Name)
	}
	b.WriteString("\n## API\n\n- [OpenAPI document](/api/v1/openapi.json)\n")
	plainText(w, "text/plain", b.String())
}

func plainText(w http.ResponseWriter, kind, text string) {
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(text)) // the client has disconnected
}
