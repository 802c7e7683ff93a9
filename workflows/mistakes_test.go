package workflows_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/joho/godotenv"
	"golang.org/x/tools/txtar"
)

func catalog(t testing.TB) workflows.Catalog {
	t.Helper()
	presets, err := allPresets()
	if err != nil {
		t.Fatal(err)
	}
	return workflows.Catalog{Actions: actions.Catalog(), Presets: presets, CheckCron: triggers.CheckCron, ExplainCron: triggers.ExplainCron}
}

// allPresets are parsed once for all tests; loading a project does not change them.
var allPresets = sync.OnceValues(triggers.Presets)

// project writes the files of a case to a folder.
func project(t testing.TB, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		if f.Name == "want" || strings.HasPrefix(f.Name, "fixed/") {
			continue
		}
		write(t, filepath.Join(dir, f.Name), f.Data)
	}
	return dir
}

// TestEachMistakeIsReportedWithPlaceAndFix runs one golden file for each kind of mistake: the files
// of a project, and the output of validate for them.
func TestEachMistakeIsReportedWithPlaceAndFix(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			mistakes := checked(t, project(t, a), func(s string) bool { return s != "NOT_SET" })
			var got strings.Builder
			for _, m := range mistakes {
				codes[m.Code] = true
				got.WriteString(generatedSecret.ReplaceAllString(m.String(), strings.Repeat("0123456789abcdef", 4)))
				if m.Line < 1 || m.Column < 1 {
					t.Errorf("no place: %+v", m)
				}
			}
			want := &a.Files[len(a.Files)-1]
			if testgolden.Updating() {
				want.Data = []byte(got.String())
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got.Len() == 0 {
				t.Error("the mistake was not seen")
			}
			if got.String() != string(want.Data) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want.Data)
			}
		})
	}
	if len(codes) < 45 {
		t.Errorf("only %d kinds of mistakes are covered", len(codes))
	}
}

// generatedSecret matches a random secret that a message proposes.
var generatedSecret = regexp.MustCompile(`\b[0-9a-f]{60,64}\b`)

// withoutFix are cases whose message gives no fix, since several are possible.
var withoutFix = []string{"alias_bomb", "file_too_deep"}

// movedAway is the content of a file below fixed/ that a user who follows the hint removes.
const movedAway = "(moved away)\n"

// TestFollowingAHintFixesTheMistake copies the files below fixed/ of each case over its
// project, as a user who follows the hints does, and expects no further mistakes.
func TestFollowingAHintFixesTheMistake(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, fixed := project(t, a), 0
			for _, f := range a.Files {
				if rel, ok := strings.CutPrefix(f.Name, "fixed/"); ok {
					fixed++
					write(t, filepath.Join(dir, rel), f.Data)
				}
			}
			if fixed == 0 {
				if !slices.Contains(withoutFix, name) {
					t.Error("the case does not show that its hint is right: add the project with the hint followed, below fixed/")
				}
				return
			}
			if all := checked(t, dir, func(string) bool { return true }); len(all) > 0 {
				t.Errorf("after the hint was followed:\n%v", all)
			}
		})
	}
}

// checked returns what validate reports of a project. Of the files of a case, hookloom.prod.yaml is that of
// the chosen environment, .env has the values of the secrets, and recorded.json the recorded events.
func checked(t *testing.T, dir string, isSet func(string) bool) workflows.Mistakes {
	t.Helper()
	environment := ""
	if _, err := os.Stat(filepath.Join(dir, "hookloom.prod.yaml")); err == nil {
		environment = "prod"
	}
	c := catalog(t)
	if text, err := os.ReadFile(filepath.Join(dir, "recorded.json")); err == nil {
		var recorded []any
		if err := json.Unmarshal(text, &recorded); err != nil {
			t.Fatal(err)
		}
		c.Recorded = func(string, []string) []any { return recorded }
	}
	files, unreadable := workflows.ReadFiles(dir, environment)
	p, mistakes := workflows.LoadFiles(dir, files, c, isSet)
	_, ofTests := p.LoadTests()
	mistakes = unreadable.With(mistakes).With(ofTests)
	text, err := os.ReadFile(filepath.Join(dir, ".env"))
	if err != nil {
		return mistakes
	}
	values, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	lookup := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	expanded := workflows.ExpandedEnv(text, values)
	return mistakes.With(triggers.Check(p, lookup)).With(p.Warnings(lookup, func(name string) bool { return slices.Contains(expanded, name) }))
}

// write writes a file of a project.
func write(t testing.TB, name string, text []byte) {
	t.Helper()
	if string(text) == movedAway {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
