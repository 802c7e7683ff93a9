package workflows

import (
	"slices"
	"strings"
)

// ExampleFile is a file of an example.
type ExampleFile struct{ Name, Text string }

// MistakeExample is a project with a mistake, what validate reports of it, and the files without
// the mistake.
type MistakeExample struct {
	Wrong, Fixed []ExampleFile
	Report       string
}

// MistakeCodes returns the codes of all mistakes, sorted.
func MistakeCodes() []MistakeCode { return slices.Clone(mistakeCodes) }

// Example returns the example of the code. ok is false if it has none.
func (c MistakeCode) Example() (x MistakeExample, ok bool) {
	text, err := mistakeExamples.ReadFile("testdata/mistakes/" + c.example + ".txt")
	if c.example == "" || err != nil {
		return x, false
	}
	var files []ExampleFile
	for line := range strings.Lines(string(text)) {
		name, isName := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		switch name, ends := strings.CutSuffix(name, " --"); {
		case isName && ends:
			files = append(files, ExampleFile{Name: name})
		case len(files) > 0:
			files[len(files)-1].Text += line
		}
	}
	for _, f := range files {
		fixed, isFixed := strings.CutPrefix(f.Name, "fixed/")
		switch {
		case f.Name == "want":
			x.Report = f.Text
		case isFixed:
			x.Fixed = append(x.Fixed, ExampleFile{fixed, f.Text})
		default:
			x.Wrong = append(x.Wrong, f)
		}
	}
	return x, true
}
