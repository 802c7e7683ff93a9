// Package docs embeds the manual, so that the program can print and serve it without a network. It
// must not know anything else of Hookloom: the pages under reference are written by the command
// `hookloom docs --write docs`, which reads the tables of the program.
package docs

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:generate go run .. docs --write .

//go:embed *.md reference/*.md *.png
var files embed.FS

// Page is one page of the manual.
type Page struct {
	// Name is the page's path without .md, such as reference/cli.
	Name string
	// Title is its first heading.
	Title string
	// Text is the page in Markdown.
	Text string
}

// first is the first page of the list.
const first = "tutorial"

// Pages lists the pages: the tutorial, the guides in alphabetical order, then the reference.
func Pages() []Page {
	var out []Page
	for _, dir := range []string{".", "reference"} {
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			continue // the pattern above names it
		}
		for _, e := range entries {
			if e.IsDir() || path.Ext(e.Name()) != ".md" {
				continue
			}
			text, err := fs.ReadFile(files, path.Join(dir, e.Name()))
			if err != nil {
				continue
			}
			out = append(out, page(strings.TrimSuffix(path.Join(dir, e.Name()), ".md"), string(text)))
		}
	}
	slices.SortStableFunc(out, func(x, y Page) int {
		switch {
		case x.Name == first:
			return -1
		case y.Name == first:
			return 1
		}
		return 0
	})
	return out
}

func page(name, text string) Page {
	title := name
	for line := range strings.Lines(text) {
		if t, ok := strings.CutPrefix(line, "# "); ok {
			title = strings.TrimSpace(t)
			break
		}
	}
	return Page{Name: name, Title: title, Text: text}
}

// Find returns the page with a name: the full name, or its last part.
func Find(name string) (Page, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, ".md"))
	pages := Pages()
	for _, match := range []func(string) bool{
		func(n string) bool { return n == name },
		func(n string) bool { return path.Base(n) == name },
	} {
		if i := slices.IndexFunc(pages, func(p Page) bool { return match(p.Name) }); i >= 0 {
			return pages[i], true
		}
	}
	return Page{}, false
}

// Picture returns a PNG image of a page.
func Picture(name string) ([]byte, bool) {
	if path.Ext(name) != ".png" {
		return nil, false
	}
	b, err := fs.ReadFile(files, name)
	return b, err == nil
}

// Hit is a place in the manual that contains the words of a search.
type Hit struct {
	Page, Title, Heading, Line string
}

// Search returns the lines that contain all of the words, ignoring case; at most limit. The words
// of the headings above a line count too.
func Search(query string, limit int) []Hit {
	words := strings.Fields(strings.ToLower(query))
	if len(words) == 0 {
		return nil
	}
	var out []Hit
	for _, p := range Pages() {
		heading := ""
		for line := range strings.Lines(p.Text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "#") {
				heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
			}
			where := strings.ToLower(p.Title + " " + heading + " " + line)
			own := strings.ToLower(line)
			if line == "" || !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(own, w) }) {
				continue
			}
			if slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(where, w) }) {
				continue
			}
			if out = append(out, Hit{Page: p.Name, Title: p.Title, Heading: heading, Line: line}); len(out) == limit {
				return out
			}
		}
	}
	return out
}
