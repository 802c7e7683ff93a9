package expr

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/testgolden"
)

// readers are functions of this package that read one text.
var readers = map[string]func(text string) string{
	"words": ownWords,
	"end": func(s string) string {
		at, err := End(s)
		return fmt.Sprint(at, err)
	},
	"unclosed": func(s string) string { return fmt.Sprint(Unclosed(s)) },
	"time in New York": func(s string) string {
		zone, err := time.LoadLocation("America/New_York")
		if err != nil {
			return err.Error()
		}
		t, err := ParseTime(s, zone)
		if err != nil {
			return err.Error()
		}
		return t.Format(time.RFC3339Nano)
	},
	"seconds": func(s string) string {
		d, err := toDecimal(s)
		if err != nil {
			return err.Error()
		}
		t, err := unixTime(d)
		if err != nil {
			return err.Error()
		}
		return t.Format(time.RFC3339Nano)
	},
	"near": func(s string) string { // the word, then the names
		words := strings.Fields(s)
		return nearName(words[0], words[1:])
	},
	"paths": func(s string) string { return fmt.Sprintf("%q", QuickPaths(s)) },
	"carets": func(s string) string { // the marked part is in < >
		from, to := strings.Index(s, "<"), strings.Index(s, ">")-1
		text := strings.NewReplacer("<", "", ">", "").Replace(s)
		from, to = len([]rune(s[:from])), len([]rune(text[:to]))
		return (&CompileError{Text: text, Finding: Finding{From: from, To: to, Problem: "P", Hint: "H"}}).Error()
	},
	"pattern": func(s string) (said string) {
		defer func() {
			if err := recover(); err != nil {
				said = fmt.Sprint(err)
			}
		}()
		p := compilePattern(s)
		return fmt.Sprint(p.size, p.looksBack, " ", p.steps(0), " ", p.steps(160))
	},
}

// The file testdata/readers.golden holds what each reader finds in a text, in the form of testgolden.Answers.
func TestReadersOfTextFindWhatIsWritten(t *testing.T) {
	t.Parallel()
	testgolden.Answers(t, "readers.golden", func(section, text string) string {
		read := readers[section]
		if read == nil {
			t.Fatalf("there is no reader %s", section)
		}
		return read(text)
	})
}
