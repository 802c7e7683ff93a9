package redact

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/workflows"
)

// This file finds the fields of history.redact in bodies that cannot be parsed: truncated JSON,
// incomplete forms, deliveries that failed verification. There the position of a field is unknown,
// so only its name counts: too much is masked rather than too little.

// Refused masks the body of a refused delivery. It is unknown where the trigger would have found
// event.data in it, so fields are masked at any depth.
func (f *Fields) Refused(contentType string, raw []byte) []byte {
	if kind, _ := content.MediaType(contentType); kind == content.FormType {
		if !content.LooksJSON("", raw) {
			return f.form(raw, f.states(anyData))
		}
		contentType = "" // curl -d declares a form whatever it sends
	}
	if out, kind := f.Body(contentType, raw, anyData); kind == contentType && !bytes.Equal(out, raw) {
		return out
	}
	return f.maskByName(raw)
}

// anyData is an expression whose data may be anywhere.
const anyData = "?"

// fieldPattern matches the text before a value with a name, the same only if the name is in quotes, and
// the form part with the name.
type fieldPattern struct {
	name                string
	value, quoted, part *regexp.Regexp
}

// A quote and the end of a tag, as they are and as JSON, HTML and XML escape them, also repeatedly.
const (
	escapedQuote = `(?:\\*["']|\\+u002[27]|\\*&(?:amp;)*(?:quot|apos|#0*3[49]|#[xX]0*2[27]);)`
	escapedClose = `(?:>|\\+u003[eE]|&(?:amp;)*(?:gt|#0*62|#[xX]0*3[eE]);)`
)

// fieldPatterns returns matchers for the last names of the paths.
func fieldPatterns(paths []workflows.RedactPath) (list []fieldPattern) {
	for _, p := range paths {
		if p.Query {
			continue
		}
		for _, s := range slices.Backward(p.Steps) {
			if s.Name == "" {
				continue
			}
			q := regexp.QuoteMeta(s.Name)
			name := escapedName(s.Name)
			list = append(list, fieldPattern{
				name:   s.Name,
				value:  regexp.MustCompile(`(?:^|[^\pL\pN_-]|\\+u00[23][0-9a-fA-F])` + name + escapedQuote + `?\s*(?:[:=]|` + escapedClose + `)\s*`),
				quoted: regexp.MustCompile(escapedQuote + name + escapedQuote + `\s*:\s*`),
				part:   regexp.MustCompile(`(?i:content-disposition:)[^\r\n]*\bname="?` + q + `"?[^\r\n]*(?:\r?\n[^\r\n]+)*\r?\n\r?\n`),
			})
			break
		}
	}
	return list
}

// byName returns states that match the last name of each path at any depth.
func byName(paths []workflows.RedactPath) (list []pathState) {
	for _, p := range paths {
		if p.Query {
			continue
		}
		for _, s := range slices.Backward(p.Steps) {
			if s.Name != "" {
				list = append(list, lastName(s.Name))
				break
			}
		}
	}
	return list
}

// escapedName returns a pattern of a name whose characters may be escaped as in JSON, also in JSON
// inside a string.
func escapedName(name string) string {
	var b strings.Builder
	for _, r := range name {
		b.WriteString("(?:" + regexp.QuoteMeta(string(r)) + "|")
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\\+u(?i:%04x)`, u)
		}
		b.WriteString(")")
	}
	return b.String()
}

// patterns returns the patterns of the last names of the paths.
func (f *Fields) patterns() []fieldPattern {
	f.once.Do(func() { f.byName = fieldPatterns(f.paths) })
	return f.byName
}

// hasName reports whether a text has one of the names before a value.
func (f *Fields) hasName(text string) bool {
	return slices.ContainsFunc(f.patterns(), func(n fieldPattern) bool { return n.value.MatchString(text) })
}

// maskByName masks the values of the names: in JSON, also in JSON inside a string, in forms and XML, and
// in the parts of a multipart form.
func (f *Fields) maskByName(raw []byte) []byte {
	for _, n := range f.patterns() {
		raw = f.maskAfter(raw, n.value, valueAt)
		raw = f.maskAfter(raw, n.part, partAt)
	}
	return raw
}

// maskAfter masks the value after each match. value returns its start and end.
func (f *Fields) maskAfter(raw []byte, name *regexp.Regexp, value func(b []byte, at int) (from, to int)) []byte {
	var out []byte
	done := 0
	for at := 0; at < len(raw); {
		m := name.FindIndex(raw[at:])
		if m == nil {
			break
		}
		from, to := value(raw, at+m[1])
		if at = max(to, at+m[1]); to == from || alreadyMasked.Match(raw[from:to]) {
			continue
		}
		safe := f.masked(string(raw[from:to]))
		if raw[from] == '{' || raw[from] == '[' {
			safe = `"` + safe + `"`
		}
		out = append(append(out, raw[done:from]...), safe...)
		done = to
	}
	if done == 0 {
		return raw
	}
	return append(out, raw[done:]...)
}

// valueAt finds the value at an offset: a quoted text (also with escaped quotes) without its
// quotes, a complete object or list, or the text up to the next delimiter.
func valueAt(b []byte, at int) (from, to int) {
	if at >= len(b) {
		return at, at
	}
	if quote := entityQuote.Find(b[at:min(len(b), at+longestQuote)]); quote != nil {
		at += len(quote)
		return at, at + sameEnd(b[at:], quote)
	}
	switch rest := b[at:]; {
	case rest[0] == '{' || rest[0] == '[':
		n, _ := nestedEnd(rest)
		return at, at + n
	case rest[0] == '"' || rest[0] == '\'':
		return at + 1, at + 1 + textEnd(rest[1:], rest[0])
	case rest[0] == '\\':
		// JSON inside a string: its quotes are escaped once or more.
		n := len(rest) - len(bytes.TrimLeft(rest, `\`))
		if n == len(rest) || rest[n] != '"' {
			break
		}
		return at + n + 1, at + n + 1 + escapedEnd(rest[n+1:], n)
	}
	end := bytes.IndexAny(b[at:], ",}]&<\r\n")
	if end < 0 {
		end = len(b) - at
	}
	return at, at + end
}

// entityQuote matches a quote that is escaped as in HTML or XML, or by its number as in JSON, at the
// beginning of a text.
var entityQuote = regexp.MustCompile(`^(?:\\+u002[27]|\\*&(?:amp;)*(?:quot|apos|#0*3[49]|#[xX]0*2[27]);)`)

// longestQuote is the maximum length of an escaped quote in bytes.
const longestQuote = 256

// textEnd returns the length of a text up to its closing quote, or to the end.
func textEnd(b []byte, quote byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case quote:
			return i
		}
	}
	return len(b)
}

// sameEnd returns the length of a text up to the same escaped quote, or to the end: one with more backslashes is part
// of the text.
func sameEnd(b, quote []byte) int {
	for from := 0; ; {
		n := bytes.Index(b[from:], quote)
		switch n += from; {
		case n < from:
			return len(b)
		case n == 0 || b[n-1] != '\\':
			return n
		}
		from = n + len(quote)
	}
}

// escapedEnd returns the length of a text up to a quote with at most n backslashes, or to the end:
// a quote with more is part of the text.
func escapedEnd(b []byte, n int) int {
	slashes := 0
	for i, c := range b {
		switch {
		case c == '\\':
			slashes++
			continue
		case c == '"' && slashes <= n:
			return i - slashes
		}
		slashes = 0
	}
	return len(b)
}

// nestedEnd returns the length of an object or list, or of the rest if it is not closed.
func nestedEnd(b []byte) (n int, closed bool) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			i += 1 + textEnd(b[i+1:], '"')
		case strings.IndexByte("{[", c) >= 0:
			depth++
		case strings.IndexByte("}]", c) >= 0:
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(b), false
}

// partAt finds the content of a part of a multipart form.
func partAt(b []byte, at int) (from, to int) {
	end := bytes.Index(b[at:], []byte("\n--"))
	if end < 0 {
		return at, len(b)
	}
	return at, at + len(bytes.TrimSuffix(b[at:at+end], []byte("\r")))
}
