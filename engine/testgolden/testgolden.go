// Package testgolden compares what tests produce with their golden files, and writes these files with
// go test -update. It knows nothing of Hookloom.
package testgolden

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// Updating reports whether the golden files are to be written.
func Updating() bool { return *update }

// Compare compares a text with the golden file testdata/NAME, after writing it with -update. The test
// fails with the first lines that differ.
func Compare(t testing.TB, name, got string) {
	t.Helper()
	if want := Read(t, name, got); got != want {
		t.Errorf("testdata/%s differs; if the new text is right, write it with -update\n%s", name, difference(got, want))
	}
}

// Read returns the text of the golden file testdata/NAME. With -update it first writes got to it.
func Read(t testing.TB, name, got string) string {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	return strings.ReplaceAll(string(want), "\r\n", "\n") // Git on Windows may convert the line ends
}

// escapes are the marks for characters that a line of a golden file cannot show.
var escapes = strings.NewReplacer("⏎", "\n", "⇥", "\t", "␍", "\r", "␀", "")

// Answers compares what answer returns for each input in the golden file testdata/NAME. A line is an input,
// the lines after it that begin with a tab are its answer, and a line that begins with == names the section
// of the inputs after it. In inputs ⏎ is a line feed, ⇥ a tab, ␍ a carriage return, ␀ the empty text. With
// -update it writes the answers of the inputs that the file has.
func Answers(t testing.TB, name string, answer func(section, input string) string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	section := ""
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\r\n", "\n")) {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		got.WriteString(line)
		line = strings.TrimSuffix(line, "\n")
		if next, is := strings.CutPrefix(line, "== "); is {
			section = next
			continue
		}
		got.WriteString("\t" + strings.ReplaceAll(answer(section, escapes.Replace(line)), "\n", "\n\t") + "\n")
	}
	Compare(t, name, got.String())
}

// shown is the number of differing lines in the message of a failed test.
const shown = 5

// difference lists the first lines that differ.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	var out strings.Builder
	for i, n := 0, 0; i < max(len(a), len(b)) && n < shown; i++ {
		if x, y := line(a, i), line(b, i); x != y {
			fmt.Fprintf(&out, "line %d\n got %s\nwant %s\n", i+1, x, y)
			n++
		}
	}
	return out.String()
}

func line(lines []string, i int) string {
	if i >= len(lines) {
		return "(no line)"
	}
	return lines[i]
}
