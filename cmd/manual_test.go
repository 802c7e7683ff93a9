package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/docs"
)

// TestTheReferenceIsWhatTheProgramSays fails when a table of the program has changed and
// the page made of it has not.
func TestTheReferenceIsWhatTheProgramSays(t *testing.T) {
	pages, err := referencePages()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join("../docs", name+".md"))
		if err != nil || string(got) != want {
			t.Errorf("docs/%s.md is not up to date (%v): run go generate ./docs", name, err)
		}
	}
}

var (
	pageLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	pageHead = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinksInTheManualLeadSomewhere follows the links between pages, with their anchors.
func TestLinksInTheManualLeadSomewhere(t *testing.T) {
	anchors := map[string]map[string]bool{}
	for _, p := range docs.Pages() {
		anchors[p.Name] = map[string]bool{}
		for _, m := range pageHead.FindAllStringSubmatch(p.Text, -1) {
			text := noAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
			anchors[p.Name][strings.ReplaceAll(text, " ", "-")] = true
		}
	}
	for _, p := range docs.Pages() {
		for _, m := range pageLink.FindAllStringSubmatch(p.Text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue
			}
			page := p.Name
			if target != "" {
				page = filepath.ToSlash(filepath.Join(filepath.Dir(p.Name), strings.TrimSuffix(target, ".md")))
			}
			if anchors[page] == nil {
				if _, err := os.Stat(filepath.Join("../docs", filepath.Dir(p.Name), target)); err != nil {
					t.Errorf("%s links to %s, which is not there", p.Name, m[1])
				}
			} else if anchor != "" && !anchors[page][anchor] {
				t.Errorf("%s links to %s, which has no such heading", p.Name, m[1])
			}
		}
	}
}
