package workflows

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// This file finds block forms in the place of flow forms and lists among keys: the YAML parser reports them at the
// beginning of the surrounding value, often lines away.

// dashInFlow matches an element with a dash inside {…} or […].
var dashInFlow = lazyregexp.New(`[{\[]\s*(- )`)

// blockInFlow matches a block scalar as a value inside {…} or […].
var blockInFlow = lazyregexp.New(`[{\[,].*[{\[,:]\s*([|>][+-]?\d?[+-]?)\s*$`)

// flowTrap finds a dash or a block scalar inside {…} or […], and a list element among the keys of a map.
func (d *decoder) flowTrap() (p Pos, problem, hint string) {
	inBlock := d.blockLines()
	for n := 1; n <= len(d.lines); n++ {
		if inBlock[n] && !openBrace(d.line(n)) {
			continue
		}
		l := withoutQuotes(d.line(n))
		if m := dashInFlow.FindStringSubmatchIndex(l); m != nil {
			open := l[m[0] : m[0]+1]
			hint := "write the list in brackets: [{…}, {…}]"
			if open == "[" {
				hint = "remove the dash: elements in brackets are separated by commas"
			} else if value := d.line(n)[m[3]:]; strings.Contains(value, "}") {
				hint = "write the list in brackets: [{" + strings.TrimSpace(value[:closing(l[m[3]:])]) + "}]"
			}
			return Pos{n, utf8.RuneCountInString(l[:m[2]]) + 1, 1}, "a dash cannot begin an element inside " + open + "…" +
				map[string]string{"{": "}", "[": "]"}[open], hint
		}
		if m := blockInFlow.FindStringSubmatchIndex(l); m != nil && openBrace(l[:m[2]]) {
			sign := l[m[2]:m[3]]
			return Pos{n, utf8.RuneCountInString(l[:m[2]]) + 1, len(sign)}, "`" + sign + "` is not allowed inside {…} or […]",
				"put the text in quotes, or write the keys on lines of their own without {…}"
		}
	}
	return d.elementAmongKeys(inBlock)
}

// withoutQuotes replaces what is in quotes, and a comment, by blanks.
func withoutQuotes(line string) string {
	out := []byte(line)
	var quote byte
	for i := 0; i < len(out); i++ {
		c := line[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			} else if c < utf8.RuneSelf {
				out[i] = '_'
			}
		case (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" [{,", line[i-1]) >= 0):
			quote = c
		case c == '#' && (i == 0 || line[i-1] == ' '):
			return string(out[:i])
		}
	}
	return string(out)
}

// openBrace reports whether a brace or bracket that begins a value is not closed in the text.
func openBrace(text string) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
	}
	return depth > 0
}

// closing returns the index of the brace or bracket that closes the one before the text.
func closing(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return len(text)
}

// keyLine matches a line with a key.
var keyLine = lazyregexp.New(`^(?:- +)*(?:"[^"]*"|'[^']*'|[^\s"'#\[{][^#]*?):(?: +(\S.*))?$`)

// elementAmongKeys finds a list element that is indented like the keys of the map before it.
func (d *decoder) elementAmongKeys(inBlock map[int]bool) (p Pos, problem, hint string) {
	dash := len(d.text)    // indentation of the last dash before the keys
	keys := map[int]bool{} // indentation of an open map whose last key has a value
	for n := 1; n <= len(d.lines); n++ {
		l := d.line(n)
		body := strings.TrimLeft(l, " ")
		if inBlock[n] || body == "" || body[0] == '#' {
			continue
		}
		indent := len(l) - len(body)
		for at := range keys {
			if at > indent {
				delete(keys, at)
			}
		}
		if strings.HasPrefix(body, "- ") && keys[indent] {
			rest := strings.TrimSpace(body[2:])
			key, _, _ := strings.Cut(rest, ":")
			if stepKindOf(key) != nil && dash < indent {
				return Pos{n, indent + 1, 1}, "this list element stands among the keys of a map",
					fmt.Sprintf("write its dash below the one of the step before it: %d spaces, then - %s", dash, rest)
			}
			if keyLine.MatchString(rest) {
				return Pos{n, indent + 1, utf8.RuneCountInString(body)}, "this list element stands among the keys of a map",
					"write it as a key too: " + rest
			}
		}
		if strings.HasPrefix(body, "- ") {
			dash = indent
		}
		for strings.HasPrefix(body, "- ") {
			rest := strings.TrimLeft(body[2:], " ")
			indent += len(body) - len(rest)
			body = rest
		}
		if m := keyLine.FindStringSubmatch(body); m != nil {
			keys[indent] = m[1] != "" && m[1][0] != '#'
		}
	}
	return Pos{}, "", ""
}
