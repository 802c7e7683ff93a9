package workflows

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// This file finds two slips that make YAML unreadable, often far from their place: a quote that
// is not closed, and a key without its colon.

// structured is a line that begins a key or an element: inside of a quoted text it means that
// the quote was not closed.
var structured = lazyregexp.New(`^\s*(?:- |[\w./-]+:(?: |$))`)

// unclosedQuote finds the first quote that begins a value and is not closed on its line, where the next
// line has a key of its own or the file ends.
func (d *decoder) unclosedQuote() (p Pos, problem, hint string) {
	inBlock := d.blockLines()
	for n := 1; n <= len(d.lines); n++ {
		l := d.line(n)
		if inBlock[n] || beginsBlock(l) {
			continue
		}
		at, quote := openQuote(l)
		if at < 0 {
			continue
		}
		next := n + 1
		for next <= len(d.lines) && strings.TrimSpace(d.line(next)) == "" {
			next++
		}
		if next > len(d.lines) || structured.MatchString(d.line(next)) {
			return Pos{n, utf8.RuneCountInString(l[:at]) + 1, max(1, utf8.RuneCountInString(strings.TrimRight(l[at:], " ")))},
				"this quote is not closed", fmt.Sprintf("write %c where the text ends", quote)
		}
		// A quoted text of several lines: go on behind it.
		for n < len(d.lines) && !strings.ContainsRune(d.line(n+1), rune(quote)) {
			n++
		}
		n++
	}
	return Pos{}, "", ""
}

// blockLines returns the numbers of the lines in block scalars: they are text, whatever they look like.
func (d *decoder) blockLines() map[int]bool {
	out := map[int]bool{}
	block := -1
	for n := 1; n <= len(d.lines); n++ {
		l := d.line(n)
		body := strings.TrimLeft(l, " ")
		indent := len(l) - len(body)
		switch {
		case body == "":
		case block >= 0 && indent > block:
			out[n] = true
		case beginsBlock(body):
			block = indent
		default:
			block = -1
		}
	}
	return out
}

// beginsBlock reports whether the text of a line begins a block scalar, | or >.
func beginsBlock(body string) bool {
	body = strings.TrimRight(body, " ")
	i := strings.LastIndexAny(body, "|>")
	return i > 0 && body[i-1] == ' ' && strings.Trim(body[i+1:], "+-0123456789") == ""
}

// openQuote finds a quote that begins a value on a line and is not closed on it. It returns -1 for
// none.
func openQuote(line string) (at int, quote byte) {
	at = -1
	start := true // a value may begin here
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == '"' && c == '\\':
			i++
		case quote == '\'' && c == '\'' && i+1 < len(line) && line[i+1] == '\'':
			i++
		case quote != 0 && c == quote:
			quote, at, start = 0, -1, false
		case quote != 0:
		case start && (c == '"' || c == '\''):
			at, quote = i, c
		case c == '#' && (i == 0 || line[i-1] == ' '):
			return at, quote
		case c == ' ':
		case strings.IndexByte("[{,", c) >= 0, (c == ':' || c == '-') && (i+1 == len(line) || line[i+1] == ' '):
			start = true
		default:
			start = false
		}
	}
	return at, quote
}

// keyWithoutColon is a line that has a key of the language and no colon.
var keyWithoutColon = lazyregexp.New(`^( *(?:- +)*)([a-z_]+)(?: +([^\s:#][^:#]*?))? *(?:#.*)?$`)

// missingColon finds a key without a colon, first near line at.
func (d *decoder) missingColon(at int) (p Pos, problem, hint string) {
	order := []int{at - 1, at, at + 1}
	for i := range d.lines {
		order = append(order, i+1)
	}
	inBlock := d.blockLines()
	for _, n := range order {
		if n < 1 || n > len(d.lines) || inBlock[n] {
			continue
		}
		m := keyWithoutColon.FindStringSubmatch(d.line(n))
		if m == nil || !languageKeys[m[2]] {
			continue
		}
		write := m[2] + ":"
		if m[3] != "" {
			write += " " + m[3]
		}
		return Pos{n, utf8.RuneCountInString(m[1]) + 1, len(m[2])}, m[2] + " needs a colon", "write " + write
	}
	return Pos{}, "", ""
}

// languageKeys are the keys of all mappings of the language.
var languageKeys = func() map[string]bool {
	out := map[string]bool{}
	for _, s := range shapes {
		for _, f := range s.fields {
			out[f.name] = true
		}
	}
	return out
}()
