package workflows

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// A Mistake is one thing wrong in a file, at its place. Its text is what a
// person reads: file:line:column, the line, a caret, and the likely fix.
type Mistake struct {
	// File is the path as the user gave it, or relative to the project folder.
	File string `json:"file"`
	// Line and Column count from 1; Column counts letters, not bytes.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Width is how many letters the carets mark, at least 1.
	Width int `json:"width"`
	// Code names the kind of mistake, such as unknown-key.
	Code string `json:"code"`
	// Warning is true for what does not stop the file from being used.
	Warning bool `json:"warning"`
	// Problem says what is wrong; Hint what to do, and may be empty.
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
	// Source is the line of the file that the carets stand under.
	Source string `json:"source,omitempty"`
}

// SecretNotSet is the code of the warning that a secret has no value. A server
// does not run without it.
const SecretNotSet = "secret-not-set"

// String renders the mistake as the command line prints it.
func (m Mistake) String() string {
	var b strings.Builder
	kind := "error"
	if m.Warning {
		kind = "warning"
	}
	fmt.Fprintf(&b, "%s:%d:%d: %s[%s]: %s\n", m.File, m.Line, m.Column, kind, m.Code, m.Problem)
	if m.Source == "" && m.Hint == "" {
		return b.String()
	}
	// A tab is one letter to the reader of the file but many columns on a
	// screen; as a single space it keeps the caret true.
	line := strings.ReplaceAll(m.Source, "\t", " ")
	start := max(m.Column-1, 0)
	shown, cut := clipAround(line, start)
	fmt.Fprintf(&b, "%5d | %s\n", m.Line, shown)
	caret := strings.Repeat(" ", start-cut) + strings.Repeat("^", max(1, min(m.Width, len([]rune(shown))-(start-cut))))
	b.WriteString("      | " + strings.TrimRight(caret+" "+m.Hint, " ") + "\n")
	return b.String()
}

// clipAround keeps very long lines readable: at most 160 letters around start.
func clipAround(line string, start int) (shown string, cut int) {
	r := []rune(line)
	if len(r) <= 160 {
		return line, 0
	}
	from := max(0, start-80)
	to := min(len(r), from+160)
	return string(r[from:to]), from
}

// Mistakes are all that is wrong in a set of files.
type Mistakes []Mistake

// Errors tells how many of them are no mere warnings.
func (ms Mistakes) Errors() int {
	n := 0
	for _, m := range ms {
		if !m.Warning {
			n++
		}
	}
	return n
}

// Error implements error; the text holds every mistake.
func (ms Mistakes) Error() string {
	var b strings.Builder
	for _, m := range ms {
		b.WriteString(m.String())
	}
	return strings.TrimRight(b.String(), "\n")
}

func (ms Mistakes) sorted() Mistakes {
	sort.SliceStable(ms, func(i, j int) bool {
		a, b := ms[i], ms[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	out := ms[:0]
	for i, m := range ms {
		if i > 0 && m == ms[i-1] {
			continue
		}
		out = append(out, m)
	}
	return out
}

// Mistake makes one about the trigger's webhook, found by those who know more of
// it than its file says. It stands at the secret where there is one.
func (t *Trigger) Mistake(code, problem, hint string) Mistake {
	at := t.Pos
	if w := t.Webhook; w != nil {
		at = w.pos
		if len(w.Secrets) > 0 {
			at = w.Secrets[0].pos
		}
	}
	src := &source{name: t.src.name, text: t.src.text, lines: t.src.lines, zone: t.src.zone, hidden: t.src.hidden}
	src.add(at, code, problem, hint)
	return src.mistakes[0]
}

// Pos is a place in a file. Its zero value means the whole file.
type Pos struct {
	Line, Column, Width int
}

// source is one file being read: its text by lines, and what was found wrong.
type source struct {
	name     string
	text     []byte
	lines    []string
	mistakes Mistakes
	// zone is the project's, for now() in its expressions; nil for UTC.
	zone *time.Location
	// limits bound what is read of it.
	limits yamlLimits
	// trusted reports whether a test of the program checks the file, so that loading need not.
	trusted bool
	// starts are the offsets at which the lines begin.
	starts []int
	// scanned reports whether credentials are looked for, connectorFile whether it is a connector.
	scanned, connectorFile bool
	// found are the credentials of the file; hidden are texts that no message may show.
	found  []foundCredential
	hidden []string
}

func newSource(name string, text []byte) *source {
	s := &source{name: name, text: text, lines: strings.Split(string(text), "\n"), limits: yamlLimits{MaxFileSize, maxYAMLNodes}}
	s.starts = make([]int, len(s.lines))
	for i := 1; i < len(s.lines); i++ {
		s.starts[i] = s.starts[i-1] + len(s.lines[i-1]) + 1
	}
	return s
}

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return strings.TrimRight(s.lines[n-1], "\r")
}

func (s *source) add(p Pos, code, problem, hint string) {
	s.report(p, code, false, problem, hint)
}

func (s *source) warn(p Pos, code, problem, hint string) {
	s.report(p, code, true, problem, hint)
}

func (s *source) report(p Pos, code string, warning bool, problem, hint string) {
	if p.Line == 0 {
		p = Pos{1, 1, 1}
	}
	// YAML also breaks lines at U+0085, U+2028 and U+2029, which no editor counts.
	p.Line = min(p.Line, len(s.lines))
	s.mistakes = append(s.mistakes, Mistake{
		File: s.name, Line: p.Line, Column: max(p.Column, 1), Width: max(p.Width, 1), Code: code,
		Warning: warning, Problem: s.masked(problem), Hint: s.masked(hint), Source: s.masked(s.line(p.Line)),
	})
}
