package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"regexp"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/rogpeppe/go-internal/diff"
)

// pretty indents JSON; the result is text, whatever a payload contains.
func pretty(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return string(raw)
	}
	return b.String()
}

// bodyText shows a body: JSON indented, text unchanged.
func bodyText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return pretty(raw)
}

// yamlToken is a comment, an expression, a quoted text, or a key.
var yamlToken = regexp.MustCompile(`(^\s*#.*$|\s#.*$)|(\$\{\{.*?\}\})|("(?:[^"\\]|\\.)*"|'[^']*')|(^\s*(?:- )*[\w.$/-]+:(?:\s|$))`)

// highlight shows YAML with highlighted syntax and line numbers. What it does not recognize stays
// plain.
func highlight(text string) template.HTML {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		fmt.Fprintf(&b, `<span class="line" id="L%d">`, i+1)
		for at := 0; at < len(line); {
			m := yamlToken.FindStringSubmatchIndex(line[at:])
			if m == nil || at > 0 && m[0] == 0 && m[8] >= 0 { // a key begins its line
				b.WriteString(html.EscapeString(line[at:]))
				break
			}
			class := "y-comment"
			switch {
			case m[4] >= 0:
				class = "y-expr"
			case m[6] >= 0:
				class = "y-text"
			case m[8] >= 0:
				class = "y-key"
			}
			b.WriteString(html.EscapeString(line[at : at+m[0]]))
			fmt.Fprintf(&b, `<span class="%s">%s</span>`, class, html.EscapeString(line[at+m[0]:at+m[1]]))
			at += m[1]
		}
		b.WriteString("</span>\n")
	}
	return template.HTML(b.String()) // every text in it was escaped
}

// diffLine is a line of a comparison of two texts.
type diffLine struct{ Class, Text string }

// compareTexts returns the differences of two texts, nil if there are none.
func compareTexts(oldName, before, newName, after string) []diffLine {
	var out []diffLine
	for _, line := range strings.Split(strings.TrimRight(string(diff.Diff(oldName, []byte(before), newName, []byte(after))), "\n"), "\n") {
		if line == "" {
			continue
		}
		class := ""
		switch {
		case strings.HasPrefix(line, "@@"), strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "---"),
			strings.HasPrefix(line, "+++"):
			class = "d-head"
		case line[0] == '+':
			class = "d-new"
		case line[0] == '-':
			class = "d-old"
		}
		out = append(out, diffLine{class, line})
	}
	return out
}

// runText formats a run for comparison with another: what it did, without the times, which always
// differ.
func runText(d *engine.RunDetail) string {
	var b strings.Builder
	fmt.Fprintf(&b, "workflow %s\nversion %s\nstatus %s\n", d.Workflow, d.Version, d.Status)
	if d.Error != "" {
		fmt.Fprintf(&b, "error %s\n", d.Error)
	}
	for _, s := range d.Steps {
		fmt.Fprintf(&b, "\nstep %s attempt %d\naction %s\nstatus %s\n", s.Path, s.Attempt, s.Action, s.Status)
		for _, part := range []struct {
			name string
			raw  json.RawMessage
		}{{"input", s.Input}, {"output", s.Output}, {"error", s.Error}} {
			if string(part.raw) != "null" {
				fmt.Fprintf(&b, "%s %s\n", part.name, pretty(part.raw))
			}
		}
	}
	fmt.Fprintf(&b, "\noutput %s\n", pretty(d.Output))
	return b.String()
}

func took(from, to *time.Time) string {
	if from == nil || to == nil {
		return ""
	}
	return shortTime(to.Sub(*from))
}

func took1(from time.Time, to *time.Time) string { return took(&from, to) }

// iso formats a time for scripts.
func iso(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Bytes formats a number of bytes for people.
func Bytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

func percent(f float64) string { return fmt.Sprintf("%.1f %%", 100*f) }

// success formats the share of ended runs that succeeded; a dash if none has ended.
func success(s engine.WorkflowStats) string {
	share, ok := s.Success()
	if !ok {
		return "–"
	}
	return percent(share)
}

// millis formats milliseconds for people.
func millis(n int64) string { return shortTime(time.Duration(n) * time.Millisecond) }
