package workflows

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// A Mistake is an error or a warning at a position in a file. Its text has the form that people
// read: file:line:column, the line, a caret, and the likely fix.
type Mistake struct {
	// File is the path as the user gave it, or relative to the project folder.
	File string `json:"file"`
	// Line and Column count from 1; Column counts characters, not bytes.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Width is the number of characters that the carets mark, at least 1.
	Width int `json:"width"`
	// Code names the kind of mistake, such as unknown-key.
	Code string `json:"code"`
	// Warning is true if the file can still be used.
	Warning bool `json:"warning"`
	// Problem says what is wrong; Hint says what to do, and may be empty.
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
	// Secret is the name of the secret, if Code is SecretNotSet.
	Secret string `json:"-"`
	// Source is the line above the carets.
	Source string `json:"source,omitempty"`
}

// SecretNotSet is the code of the warning that a secret has no value. The server does not start
// without it.
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
	// A tab is one character in the file but several columns on a screen; replaced by a space it
	// keeps the caret aligned.
	line := strings.ReplaceAll(m.Source, "\t", " ")
	start := max(m.Column-1, 0)
	shown, cut := clipAround(line, start)
	fmt.Fprintf(&b, "%5d | %s\n", m.Line, shown)
	caret := strings.Repeat(" ", start-cut) + strings.Repeat("^", max(1, min(m.Width, len([]rune(shown))-(start-cut))))
	b.WriteString("      | " + strings.TrimRight(caret+" "+m.Hint, " ") + "\n")
	return b.String()
}

// clipAround shortens long lines to at most 160 characters around start.
func clipAround(line string, start int) (shown string, cut int) {
	r := []rune(line)
	if len(r) <= 160 {
		return line, 0
	}
	from := max(0, start-80)
	to := min(len(r), from+160)
	return string(r[from:to]), from
}

// Mistakes are the mistakes in a set of files.
type Mistakes []Mistake

// Errors returns the number of mistakes that are not warnings.
func (ms Mistakes) Errors() int {
	n := 0
	for _, m := range ms {
		if !m.Warning {
			n++
		}
	}
	return n
}

// Error implements error; the text contains every mistake.
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

// Mistake returns a mistake about the trigger's webhook, for callers that know more than its file.
// Its position is that of the secret, if there is one.
func (t *Trigger) Mistake(code, problem, hint string) Mistake {
	at := t.Pos
	if w := t.Webhook; w != nil {
		at = w.pos
		if len(w.Secrets) > 0 {
			at = w.Secrets[0].pos
		}
	}
	src := &source{name: t.src.name, text: t.src.text, lines: t.src.lines, zone: t.src.zone, hidden: t.src.hidden, over: t.src.over}
	src.add(at, code, problem, hint)
	return src.mistakes[0]
}

// Pos is a position in a file. Its zero value means the whole file.
type Pos struct {
	Line, Column, Width int
}

// source is a file being read: its lines, and the mistakes found.
type source struct {
	name     string
	text     []byte
	lines    []string
	mistakes Mistakes
	// zone is the project's time zone, for now() in its expressions; nil for UTC.
	zone *time.Location
	// over is the second file of two that are read as one; nil for none.
	over *overlay
	// vars are the project's, for its expressions; settings reports whether the file is
	// hookloom.yaml, whose plain values may read them too.
	vars     map[string]any
	settings bool
	// varNodes are the values of vars: as written; nil for one that has a mistake.
	varNodes map[string]*yaml.Node
	// limits are the size limits of the file.
	limits yamlLimits
	// trusted reports whether a test checks this embedded file, so that loading can skip the
	// checks.
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
	file, line := s.at(p.Line)
	s.mistakes = append(s.mistakes, Mistake{
		File: file, Line: line, Column: max(p.Column, 1), Width: max(p.Width, 1), Code: code,
		Warning: warning, Problem: s.masked(problem), Hint: s.masked(hint), Source: s.masked(s.line(p.Line)),
	})
}
