// Package docs embeds the manual, so that the program can print and serve it without a network. It
// must not know anything else of Hookloom: the pages under reference are written by the command
// `hookloom docs --write docs`, which reads the tables of the program.
package docs

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strconv"
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
	// Anchor is the id of the heading on the console's page; empty for the title.
	Anchor string
	rank   int
}

// The ranks of hits: a page about the words comes first, an example last.
const (
	inTitle = iota
	inHeading
	inText
	inExample
)

// Search returns the lines that contain all of the words, ignoring case; at most limit. The words
// of the headings above a line count too. Pages whose title has all of the words come first, then
// headings, text and examples.
func Search(query string, limit int) []Hit {
	words := strings.Fields(strings.ToLower(query))
	if len(words) == 0 {
		return nil
	}
	var out []Hit
	for _, p := range Pages() {
		out = append(out, p.search(words)...)
	}
	slices.SortStableFunc(out, func(x, y Hit) int { return x.rank - y.rank })
	return out[:min(limit, len(out))]
}

func (p Page) search(words []string) []Hit {
	var out []Hit
	at := Hit{Page: p.Name, Title: p.Title}
	anchors, fenced := map[string]int{}, false
	for line := range strings.Lines(p.Text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		isHeading := strings.HasPrefix(line, "#") && !fenced // in an example it is a comment
		if isHeading {
			at.Heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
			if at.Anchor = ""; at.Heading != p.Title { // the console shows the title itself
				at.Anchor = anchor(at.Heading, anchors)
			}
		}
		hit := at
		hit.Line = line
		switch own := strings.ToLower(line); {
		case line == "" || !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(own, w) }),
			!containsAll(strings.ToLower(p.Title+" "+at.Heading+" "+line), words):
			continue
		case isHeading && at.Heading == p.Title:
			hit.rank = inTitle
		case isHeading:
			hit.rank = inHeading
		case fenced:
			hit.rank = inExample
		default:
			hit.rank = inText
		}
		out = append(out, hit)
	}
	return out
}

func containsAll(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// anchor returns the id of a heading as goldmark makes it: letters and digits, with dashes for
// blanks, and a number if the page has it already.
func anchor(heading string, seen map[string]int) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r == ' ' || r == '-' || r == '_':
			return '-'
		}
		return -1
	}, heading)
	seen[id]++
	if n := seen[id] - 1; n > 0 {
		id += "-" + strconv.Itoa(n)
	}
	return id
}
