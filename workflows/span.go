package workflows

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// place ties an expression's text to its position in the file, so that a mistake in it can be
// marked exactly.
type place struct {
	src *source
	// at is the byte offset of the expression in the file.
	at   int
	text string
}

// offset returns the byte offset of a line and column, both counted from 1.
func (s *source) offset(line, column int) int {
	at := 0
	if line > len(s.lines) {
		at = len(s.text)
	} else if line >= 1 {
		l := s.lines[line-1]
		at = s.starts[line-1]
		for c := 1; c < column && l != ""; c++ {
			_, size := utf8.DecodeRuneInString(l)
			at += size
			l = l[size:]
		}
	}
	return min(at, len(s.text))
}

// posAt is the inverse of offset.
func (s *source) posAt(offset, width int) Pos {
	at := 0
	for i, l := range s.lines {
		if offset <= at+len(l) {
			return Pos{i + 1, utf8.RuneCountInString(l[:max(offset-at, 0)]) + 1, width}
		}
		at += len(l) + 1
	}
	return Pos{len(s.lines), 1, 1}
}

// contentStart returns the offset of a scalar's text: after its quote, or on the line after a
// block's | or >.
func (s *source) contentStart(n *yaml.Node) int {
	at := s.offset(n.Line, n.Column)
	switch {
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return at + 1
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		for at < len(s.text) && s.text[at] != '\n' {
			at++
		}
		return min(at+1, len(s.text))
	}
	return at
}

// skipSpace returns the offset of the next character that is not white space.
func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\n' || b[at] == '\r') {
		at++
	}
	return at
}

// mark returns the position in the file of the characters from..to of the expression. Folding,
// indentation and quoting change only white space, doubled quotes and backslashes, so it steps
// through both texts together and skips these.
func (p place) mark(from, to int) Pos {
	at := skipSpace(p.src.text, p.at)
	n, doubled := 0, false
	for i, r := range p.text {
		if n >= from && !unicode.IsSpace(r) {
			break
		}
		n++
		if unicode.IsSpace(r) {
			continue
		}
		if r == '\'' && !strings.HasSuffix(p.text[:i], "'") {
			doubled = p.doubled(at, i)
		}
		at = p.step(at, r)
		if r == '\'' && doubled {
			at = p.step(at, r)
		}
		at = skipSpace(p.src.text, at)
	}
	width := 1
	if to > from {
		width = to - from
	}
	pos := p.src.posAt(min(at, len(p.src.text)), 1)
	pos.Width = p.fitWidth(pos, width)
	return pos
}

// doubled reports whether the single quotes of the expression from byte i on are written twice in the file from at on,
// as inside single quotes of YAML.
func (p place) doubled(at, i int) bool {
	count := func(s string) int { return len(s) - len(strings.TrimLeft(s, "'")) }
	return count(string(p.src.text[at:min(len(p.src.text), at+2*len(p.text)+2)])) >= 2*count(p.text[i:])
}

// fitWidth keeps the carets within the line.
func (p place) fitWidth(pos Pos, width int) int {
	rest := utf8.RuneCountInString(p.src.line(pos.Line)) - pos.Column + 1
	return max(1, min(width, rest))
}

// step returns the offset in the file after the character r of the expression.
func (p place) step(at int, r rune) int {
	for i := 0; i < 3 && at < len(p.src.text); i++ {
		got, size := utf8.DecodeRune(p.src.text[at:])
		at += size
		if got == r {
			return at
		}
	}
	return at
}
