package workflows

import (
	"net/url"
	"strings"
)

// span is the position of an inserted value in a text, in bytes.
type span struct {
	from, to int
	expr     *Expr
}

// climbs returns the expression whose value, with the surrounding text, makes a path segment of a
// URL . or .. in any encoding; nil if there is none. Percent-encoding does not help against it:
// %2E%2E is a parent directory to every parser that follows the WHATWG URL standard, and proxies
// decode what is encoded twice.
func climbs(text string, inserted []span) *Expr {
	for _, in := range inserted {
		path, _, _ := strings.Cut(text, "?")
		path, _, _ = strings.Cut(path, "#")
		if in.to > len(path) {
			continue
		}
		from := strings.LastIndexByte(path[:in.from], '/') + 1
		to := len(path)
		if i := strings.IndexByte(path[in.to:], '/'); i >= 0 {
			to = in.to + i
		}
		if HasDotSegment(path[from:to]) {
			return in.expr
		}
	}
	return nil
}

// HasDotSegment reports whether a path has a segment . or .., encoded or not. A backslash separates
// segments like a slash (WHATWG URL, special schemes), and the text after a semicolon is a
// parameter of the segment (RFC 3986, 3.3), which servers remove.
func HasDotSegment(path string) bool {
	for {
		for _, segment := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			name, _, _ := strings.Cut(segment, ";")
			if name == "." || name == ".." {
				return true
			}
		}
		decoded := unescape(path)
		if decoded == path {
			return false
		}
		path = decoded
	}
}

// unescape decodes percent-encoded bytes and keeps invalid escapes, as browsers do.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+3 <= len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
