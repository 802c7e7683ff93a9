package redact

import (
	"html"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// This file finds the fields of history.redact in texts: JSON and XML that is a text itself, that
// stands among other words, or that is escaped as in HTML.

// maxTextDepth limits how many texts inside texts are read. A field that is nested deeper is found by
// its name.
const maxTextDepth = 16

// nested masks the fields of JSON or XML in a text, as fromJSON reads it. In JSON that is truncated
// or invalid the fields are found by name. depth counts the texts that the text is inside of.
func (f *Fields) nested(text string, states []pathState, depth int) string {
	switch {
	case len(states) == 0:
		return text
	case depth > maxTextDepth:
		return string(f.maskByName([]byte(text)))
	case looksXML(text):
		return string(f.xmlIn([]byte(text), states, depth))
	case !opensJSON(text):
		return f.among(text, states, depth)
	}
	if out, err := f.jsonIn([]byte(text), states, depth); err == nil {
		return string(out)
	}
	return string(f.maskByName([]byte(text)))
}

// opensJSON reports whether a text begins like an object or a list in JSON.
func opensJSON(text string) bool {
	t := strings.TrimLeft(text, " \t\r\n\ufeff")
	return t != "" && (t[0] == '{' || t[0] == '[')
}

// among masks the fields of JSON and XML that stand among other words of a text. Where they begin and
// end is unknown, so a field is found by the last name of its path: a quoted name before a colon, an
// element or an attribute.
func (f *Fields) among(text string, states []pathState, depth int) string {
	var root []pathState
	out, numbers := text, strings.Contains(text, `\u`)
	hidden := strings.Contains(text, "&#") // a name may have escaped letters
	for _, n := range f.patterns() {
		if !named(states, n.name) {
			continue
		}
		hidden = hidden || strings.ContainsFunc(n.name, unusual)
		if !strings.Contains(text, n.name) && !numbers {
			continue
		}
		if numbers || afterQuote(text, n.name) {
			out = string(f.maskAfter([]byte(out), n.quoted, valueAt))
		}
		root = append(root, lastName(n.name))
	}
	if len(root) == 0 && !hidden {
		return text
	}
	// Only one of the two is read on, so that texts in texts take linear time.
	if plain := html.UnescapeString(out); plain != out && marks(plain) != marks(out) {
		if safe := f.nested(plain, states, depth+1); safe != plain {
			return html.EscapeString(safe)
		}
		return out
	}
	if len(root) > 0 && strings.Contains(out, "<") {
		w := &xmlWalk{f: f, raw: []byte(out), root: root, depth: depth}
		out = string(w.masked())
	}
	return out
}

// unusual reports whether HTML has names for a character of a field's name.
func unusual(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '@')
}

// afterQuote reports whether a name stands behind what may be the end of a quote, also of an escaped one. It is much
// faster than the pattern.
func afterQuote(text, name string) bool {
	for at := 0; ; {
		n := strings.Index(text[at:], name)
		if n < 0 {
			return false
		}
		at += n
		if at > 0 && strings.IndexByte(`"';`, text[at-1]) >= 0 {
			return true
		}
		at += len(name)
	}
}

// marks counts what JSON and XML begin with, and the escapes of it.
func marks(text string) (n [5]int) {
	for i, c := range []string{"<", "{", `"`, "'", "amp;"} {
		n[i] = strings.Count(text, c)
	}
	return n
}

// named reports whether a name is the last one of a state.
func named(states []pathState, name string) bool {
	return slices.ContainsFunc(states, func(s pathState) bool {
		for _, step := range slices.Backward(s.steps) {
			if step.Name != "" {
				return step.Name == name
			}
		}
		return false
	})
}

// lastName returns the state that finds a name at any depth.
func lastName(name string) pathState {
	return pathState{[]workflows.RedactStep{{Name: name, Index: -1, Deep: true}}}
}

// leavesJSONOpen reports whether JSON begins in a text and does not end there.
func leavesJSONOpen(text string) bool {
	for {
		from := strings.IndexByte(text, '{')
		if from < 0 {
			return false
		}
		n, closed := nestedEnd([]byte(text[from:]))
		if !closed {
			return true
		}
		text = text[from+n:]
	}
}
