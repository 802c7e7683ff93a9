package workflows_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
	"golang.org/x/tools/txtar"
)

// TestAProjectWithManyMistakesReportsEach with its place and its hint.
func TestAProjectWithManyMistakesReportsEach(t *testing.T) {
	a, err := txtar.ParseFile("testdata/many.txt")
	if err != nil {
		t.Fatal(err)
	}
	dir := project(t, a)
	p, mistakes := workflows.Load(dir, catalog(t), nil)
	_, ofTests := p.LoadTests()
	var out strings.Builder
	for _, m := range mistakes.With(ofTests) {
		if m.Source = ""; m.Width > 0 {
			fmt.Fprintf(&out, "%s:%d:%d+%d: [%s] %s\n  %s\n", m.File, m.Line, m.Column, m.Width, m.Code, m.Problem,
				generatedSecret.ReplaceAllString(m.Hint, "(random)"))
		}
	}
	testgolden.Compare(t, "many_want.txt", out.String())
}

// damages are how one line of a file becomes wrong.
var damages = map[string]func(line string) string{
	"a tab before":        func(l string) string { return "\t" + l },
	"a space before":      func(l string) string { return " " + l },
	"a space less before": func(l string) string { return strings.TrimPrefix(l, " ") },
	"no colon":            func(l string) string { return strings.Replace(l, ":", "", 1) },
	"no space":            func(l string) string { return strings.Replace(l, ": ", ":", 1) },
	"no quote":            func(l string) string { return strings.Replace(l, `"`, "", 1) },
	"a quote more":        func(l string) string { return l + `"` },
	"an open quote":       func(l string) string { return strings.Replace(l, ": ", ": '", 1) },
	"an open bracket":     func(l string) string { return strings.Replace(l, ": ", ": [", 1) },
	"no closing brace":    func(l string) string { return strings.TrimSuffix(l, "}") },
	"a comment":           func(l string) string { return strings.Replace(l, ": ", ": # ", 1) },
	"a bad escape":        func(l string) string { return strings.Replace(l, `"`, `"\d`, 1) },
	"an unknown anchor":   func(l string) string { return strings.Replace(l, ": ", ": *x ", 1) },
	"a percent sign":      func(l string) string { return strings.Replace(l, ": ", ": %", 1) },
	"an at sign":          func(l string) string { return strings.Replace(l, ": ", ": @", 1) },
	"a colon more":        func(l string) string { return strings.Replace(l, ": ", ": a: ", 1) },
	"a template":          func(l string) string { return strings.Replace(l, ": ", ": ${{ a ", 1) },
	"an open template":    func(l string) string { return strings.Replace(l, "}}", "}", 1) },
	"another dash":        func(l string) string { return strings.Replace(l, "- ", "", 1) },
	"a carriage return":   func(l string) string { return l + "\rx" },
	"no UTF-8":            func(l string) string { return l + "\xff" },
	"a second document":   func(l string) string { return "---\n" + l },
	"a broken document":   func(l string) string { return "---\n[" },
	"twice":               func(l string) string { return l + "\n" + l },
}

// undamaged has each form in which a value is written.
const undamaged = `on: manual
# a comment
inputs:
  name: {type: string, description: "who \"it\" is", default: 'it''s'}

  other:
    type: string
    description: |
      several: lines
      - of "text
vars:
  folded: >-
    one
    ${{ inputs.name }}
  quoted: "two
    lines"
  text: ä ${{ inputs.name }} b
steps:
  - id: first
    uses: log
    with: {message: "${{ inputs.name ?? 'x' }}"}

  - if: inputs.name == "a"
    steps:
      - {set: {a: [1, "b"]}}
    else:
      - stop: "no"
`

// TestADamagedFileIsExplained: each damage of each line, with the place of the message. Equal messages for one
// damage are listed once.
func TestADamagedFileIsExplained(t *testing.T) {
	p, _ := workflows.Load(t.TempDir(), smallCatalog(t), nil)
	if _, mistakes := p.Compile("w", []byte(undamaged), workflows.Pins{}); len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	lines := strings.Split(undamaged, "\n")
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(damages)) {
		seen := map[string]bool{}
		for i, line := range lines {
			changed := damages[name](line)
			if changed == line {
				continue
			}
			text := strings.Join(lines[:i], "\n") + "\n" + changed + "\n" + strings.Join(lines[i+1:], "\n")
			_, mistakes := p.Compile("w", []byte(strings.TrimPrefix(text, "\n")), workflows.Pins{})
			for _, m := range mistakes {
				if key := m.Problem + m.Hint; !seen[key] {
					seen[key] = true
					fmt.Fprintf(&out, "%s in line %d: %d:%d+%d: [%s] %s | %s\n", name, i+1, m.Line, m.Column, m.Width, m.Code,
						m.Problem, m.Hint)
				}
			}
		}
	}
	for _, text := range []string{"", "  \n", "# only\n# comments\n", "---\n", "--- \n# a\n", strings.Repeat("# x\n", 300_000)} {
		_, mistakes := p.Compile("w", []byte(text), workflows.Pins{})
		for _, m := range mistakes {
			fmt.Fprintf(&out, "%.20q: %d:%d+%d: [%s] %s | %s\n", text, m.Line, m.Column, m.Width, m.Code, m.Problem, m.Hint)
		}
	}
	testgolden.Compare(t, "damaged.txt", out.String())
}
