package workflows

import (
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// place ties an expression's text to where it stands in its file, so that a
// mistake inside can be marked to the letter.
type place struct {
	src *source
	// at is the byte offset of the expression's first letter in the file.
	at   int
	text string
}

// offset is the byte position of a line and column, both counted from 1.
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

// contentStart is where a scalar's text begins: past its quote, or on the line
// below a block's | or >.
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

// skipSpace moves on to the next letter that is no blank.
func skipSpace(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\n' || b[at] == '\r') {
		at++
	}
	return at
}

// mark is where letters from..to of the expression stand in the file. Folding,
// indentation and quoting change only blanks, doubled quotes and backslashes,
// so both texts are walked side by side and those are stepped over.
func (p place) mark(from, to int) Pos {
	at := skipSpace(p.src.text, p.at)
	n := 0
	for _, r := range p.text {
		if n >= from && !unicode.IsSpace(r) {
			break
		}
		n++
		if unicode.IsSpace(r) {
			continue
		}
		at = p.step(at, r)
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

// fitWidth keeps the carets on the line.
func (p place) fitWidth(pos Pos, width int) int {
	rest := utf8.RuneCountInString(p.src.line(pos.Line)) - pos.Column + 1
	return max(1, min(width, rest))
}

// step passes the letter r of the expression in the file's text.
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
