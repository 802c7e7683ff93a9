package workflows_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// reporters are the functions that report a mistake, with the position of its code among their
// arguments.
var reporters = map[string]int{"add": 1, "warn": 1, "report": 1, "Mistake": 0, "fail": 0, "mistake": 1}

// codeForm is the form of a code of two words and more; others are too like keys to be told apart.
var codeForm = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)+$`)

// codesOfSource are the codes that the source of a package reports.
func codesOfSource(t *testing.T, dir string) (codes []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := c.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			first, known := reporters[s.Sel.Name]
			for i := first; known && i < min(first+2, len(c.Args)); i++ {
				if lit, ok := c.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text, err := strconv.Unquote(lit.Value); err == nil && codeForm.MatchString(text) {
						codes = append(codes, text)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

// TestEachCodeOfAMistakeIsExplained compares the table with what the source reports, and with the
// cases of mistakes.
func TestEachCodeOfAMistakeIsExplained(t *testing.T) {
	known := map[string]bool{}
	for _, c := range workflows.MistakeCodes() {
		if known[c.Code] || !strings.HasSuffix(c.Meaning, ".") && !strings.HasSuffix(c.Meaning, ").") {
			t.Errorf("%s is there twice, or its meaning is no sentence: %s", c.Code, c.Meaning)
		}
		known[c.Code] = true
	}
	codes := append(codesOfSource(t, "."), codesOfSource(t, "../triggers")...)
	if len(codes) < 200 {
		t.Errorf("only %d places that report are found", len(codes))
	}
	cases, err := filepath.Glob("testdata/mistakes/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range cases {
		for _, m := range regexp.MustCompile(`(?:error|warning)\[([a-z0-9-]+)\]`).FindAllStringSubmatch(readCase(t, file), -1) {
			codes = append(codes, m[1])
		}
	}
	slices.Sort(codes)
	for _, code := range slices.Compact(codes) {
		if !known[code] {
			t.Errorf("%s is reported, and not in mistakeCodes", code)
		}
	}
}

// TestExampleOfACodeHasItsMistake: the example shows this code and how to mend it.
func TestExampleOfACodeHasItsMistake(t *testing.T) {
	for _, c := range workflows.MistakeCodes() {
		x, ok := c.Example()
		if !ok {
			t.Errorf("%s has no example", c.Code)
			continue
		}
		if !strings.Contains(x.Report, "["+c.Code+"]") || len(x.Wrong) == 0 || len(x.Fixed) == 0 {
			t.Errorf("%s: %d files, %d fixed, report\n%s", c.Code, len(x.Wrong), len(x.Fixed), x.Report)
		}
	}
}

func readCase(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
