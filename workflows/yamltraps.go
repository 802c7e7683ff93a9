package workflows

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// This file explains errors of the YAML parser that give no cause or the wrong line.

// yamlTrap finds the cause of a parser error near line at; problem is empty if it is unknown.
func (d *decoder) yamlTrap(message string, at int) (p Pos, problem, hint string) {
	switch {
	case strings.Contains(message, "unknown escape character"):
		for n := max(at, 1); n <= min(at+20, len(d.lines)); n++ {
			if p, letter, ok := badEscape(d.line(n), n); ok {
				return p, fmt.Sprintf(`\%s is not a valid escape inside double quotes`,
						letter), fmt.Sprintf(`write \\%s for a backslash, only %s without one, or put the value in single quotes`,
						letter, letter)
			}
		}
	case strings.Contains(message, "did not find expected alphabetic or numeric character"):
		for n := max(at, 1); n <= min(at+20, len(d.lines)); n++ {
			if m := starValue.FindStringSubmatchIndex(d.line(n)); m != nil {
				l := d.line(n)
				value := strings.TrimSpace(l[m[2]:m[3]])
				return Pos{n, utf8.RuneCountInString(l[:m[2]]) + 1, utf8.RuneCountInString(value)},
					"a value that begins with " + value[:1] + " needs quotes", "write " + quoted(value)
			}
		}
	case strings.Contains(message, "did not find expected ',' or"), strings.Contains(message, "unexpected end of stream"):
		for _, n := range []int{at, at + 1, at - 1, at + 2} {
			if p, inside, ok := quoteInTemplate(d.line(n), n); ok {
				return p, "this quote ends the double-quoted text inside ${{ }}", "use single quotes inside: " +
					strings.ReplaceAll(inside, `"`, "'")
			}
			if p, ok := flowIndex(d.line(n), n); ok {
				return p, "[ inside {…} needs quotes", "put the value in quotes, such as 'item[\"id\"]', or write item.id"
			}
			if p, value, ok := flowQuestion(d.line(n), n); ok {
				if name, _, isKey := strings.Cut(value, "?: "); isKey && namePattern.MatchString(name) {
					return p, "? inside {…} or […] needs quotes", "put the name in quotes: " + quoted(name+"?") + ":"
				}
				return p, "? inside {…} or […] needs quotes", "put the value in quotes: " + quoted(value)
			}
			if p, value, ok := flowColon(d.line(n), n); ok {
				return p, "this value contains a colon and a blank, which begin another value", "put the value in quotes: " + quoted(value)
			}
		}
	}
	return Pos{}, "", ""
}

// starValue matches a value that begins with * or & and a blank or another sign, such as * 7 * * *.
var starValue = lazyregexp.New(`(?:^|[:\[,{-]\s+|\s[\[{])([*&](?:[ /*?&](?:[^}\],#"']|,[^ }\]#"'])*|,[^ }\]:#"']+)?)(?:[}\],]|$)`)

// inFlow matches a field in brackets with a quoted name, such as item["id"], in a map in braces.
var inFlow = lazyregexp.New(`\{[^"']*(?:(?:"[^"]*"|'[^']*')[^"']*)*:\s+[A-Za-z_][\w.]*(\[)["']`)

// flowIndex finds a field in brackets in a plain value of a map in braces, which YAML reads as a list.
func flowIndex(line string, n int) (Pos, bool) {
	m := inFlow.FindStringSubmatchIndex(line)
	if m == nil {
		return Pos{}, false
	}
	return Pos{n, utf8.RuneCountInString(line[:m[2]]) + 1, 1}, true
}

// badEscape finds a backslash before a character that YAML does not escape, in double quotes.
// Source: yaml.org, specification 1.2.2, section 5.7.
func badEscape(line string, n int) (Pos, string, bool) {
	var quote byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote == '"' && c == '\\' && i+1 < len(line):
			letter, size := utf8.DecodeRuneInString(line[i+1:])
			if !strings.ContainsRune("0abt\tnvfre \"/\\N_LPxuU", letter) {
				return Pos{n, utf8.RuneCountInString(line[:i]) + 1, 2}, string(letter), true
			}
			i += size
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
	}
	return Pos{}, "", false
}

// quoteInTemplate finds the first double quote inside a ${{ }} in a double-quoted text, and the
// complete ${{ }}.
func quoteInTemplate(line string, n int) (Pos, string, bool) {
	var quote byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote == '"' && strings.HasPrefix(line[i:], "${{"):
			end := strings.Index(line[i:], "}}")
			at := strings.IndexByte(line[i:], '"')
			if end < 0 || at < 0 || at > end || line[i+at-1] == '\\' {
				return Pos{}, "", false
			}
			return Pos{n, utf8.RuneCountInString(line[:i+at]) + 1, 1}, line[i : i+end+2], true
		case quote == '"' && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
	}
	return Pos{}, "", false
}

// flowQuestion finds a ? outside quotes inside {…} or […], and the surrounding value.
func flowQuestion(line string, n int) (Pos, string, bool) {
	var quote byte
	depth, start := 0, 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && strings.TrimSpace(line[start:i]) == "":
			quote = c
		case c == '{' || c == '[':
			depth++
			start = i + 1
		case c == '}' || c == ']':
			depth--
		case c == ',' || c == ':' && i+1 < len(line) && line[i+1] == ' ':
			start = i + 1
		case c == '?' && depth > 0:
			end := flowEnd(line, i)
			return Pos{n, utf8.RuneCountInString(line[:i]) + 1, 1}, strings.TrimSpace(line[start:end]), true
		}
	}
	return Pos{}, "", false
}

// flowEnd returns the index after at where the value of an entry of {…} or […] ends.
func flowEnd(line string, at int) int {
	if i := strings.IndexAny(line[at:], ",}]"); i >= 0 {
		return at + i
	}
	return len(line)
}

// flowColon finds a second ": " in an entry of {…}, and the value that contains it.
func flowColon(line string, n int) (Pos, string, bool) {
	var quote byte
	depth, from := 0, -1 // from is where the value of the entry begins, -1 in its key
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && strings.HasSuffix(strings.TrimRight(line[:i], " "), ":"),
			(c == '"' || c == '\'') && strings.ContainsAny(line[max(i-1, 0):i], "{[, "):
			quote = c
		case c == '{' || c == '[':
			depth++
			from = -1
		case c == '}' || c == ']':
			depth--
			from = -1
		case c == ',':
			from = -1
		case c != ':' || depth == 0 || i+1 >= len(line) || line[i+1] != ' ':
		case from < 0:
			from = i + 2
		default:
			end := flowEnd(line, i)
			return Pos{n, utf8.RuneCountInString(line[:i]) + 1, 1}, strings.TrimSpace(line[from:end]), true
		}
	}
	return Pos{}, "", false
}
