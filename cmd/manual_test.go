package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/docs"
	"github.com/hookloom/hookloom/triggers"
)

// TestGeneratedReferenceIsUpToDate fails if a table of the program has changed and the
// generated page has not.
func TestGeneratedReferenceIsUpToDate(t *testing.T) {
	pages, err := referencePages(t.Context())
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

// TestLinksInTheManualHaveTargets follows the links between pages, with their anchors.
func TestLinksInTheManualHaveTargets(t *testing.T) {
	anchors := map[string]map[string]bool{}
	for _, p := range docs.Pages() {
		anchors[p.Name] = map[string]bool{}
		for _, m := range pageHead.FindAllStringSubmatch(p.Text, -1) {
			text := noAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
			anchors[p.Name][strings.ReplaceAll(text, " ", "-")] = true
		}
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range pageLink.FindAllStringSubmatch(string(readme), -1) {
		if strings.Contains(m[1], ":") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
			t.Errorf("README.md links to %s, which is not there", m[1])
		}
	}
	if n := strings.Count(string(readme), "\n"); n >= 200 {
		t.Errorf("README.md has %d lines; it is for somebody who has two minutes", n)
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

// TestEachEnvironmentVariableIsInTheManual finds the environment variables that the program reads.
func TestEachEnvironmentVariableIsInTheManual(t *testing.T) {
	known := map[string]bool{}
	for _, v := range environment {
		known[v.Name] = false
	}
	// Names passed to os.Getenv through setting and tokenOf are literals too.
	asked := regexp.MustCompile(`Getenv\("([A-Z_]+)"\)|"(HOOKLOOM_[A-Z_]+|OTEL_[A-Z_]+|VAULT_(?:ADDR|CACERT|NAMESPACE))"`)
	for _, root := range []string{".", "../engine", "../triggers", "../actions", "../workflows"} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "environment.go" ||
				strings.Contains(path, "storetest") { // which is for tests
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range asked.FindAllStringSubmatch(string(text), -1) {
				name := m[1] + m[2]
				if _, ok := known[name]; !ok {
					t.Errorf("%s reads %s, which the table in environment.go lacks", path, name)
				}
				known[name] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, read := range known {
		if !read {
			t.Errorf("nothing reads %s", name)
		}
	}
}

// TestThePromisesNameTestsThatExist looks up each test and experiment of docs/promises.md.
func TestThePromisesNameTestsThatExist(t *testing.T) {
	page, _ := docs.Find("promises")
	for _, m := range regexp.MustCompile(`go test (\S+) -run (\w+)`).FindAllStringSubmatch(page.Text, -1) {
		files, err := filepath.Glob(filepath.Join("..", m[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "func "+m[2])
		}
		if !found {
			t.Errorf("%s has no test %s", m[1], m[2])
		}
	}
	experiments, err := os.ReadFile("../.ci/proof/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"promises", "benchmarks"} {
		page, _ := docs.Find(name)
		for _, m := range regexp.MustCompile("-only \"?([^\"`]+)\"?`").FindAllStringSubmatch(page.Text, -1) {
			if m[1] != "TEXT" && !strings.Contains(string(experiments), m[1]) {
				t.Errorf("%s: no experiment is called %q", name, m[1])
			}
		}
	}
}

// TestDocumentedNumberOfProvidersIsCorrect compares what the documents count with the presets.
func TestDocumentedNumberOfProvidersIsCorrect(t *testing.T) {
	library, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"README.md": string(readme)}
	for _, p := range docs.Pages() {
		texts[p.Name] = p.Text
	}
	counted := 0
	for name, text := range texts {
		for _, m := range regexp.MustCompile(`\b(\d+) providers\b`).FindAllStringSubmatch(text, -1) {
			if counted++; m[1] != strconv.Itoa(len(library.Names())) {
				t.Errorf("%s counts %s providers; there are %d", name, m[1], len(library.Names()))
			}
		}
	}
	if counted == 0 {
		t.Error("no document counts the providers")
	}
}
