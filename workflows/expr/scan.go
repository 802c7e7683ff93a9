package expr

import (
	"errors"
	"fmt"
	"strings"
)

// End returns the index of the }} that closes an expression: not one inside a text, or one that
// closes maps. A }} after a ( or [ that is not closed ends the expression too: only { can have it.
func End(s string) (int, error) {
	var open []byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\'', '`':
			end := textEnd(s[i+1:], c)
			if end < 0 {
				return 0, fmt.Errorf("a text in this expression is not closed: %c is missing", c)
			}
			i += end + 1
		case '{', '(', '[':
			open = append(open, c)
		case ')', ']', '}':
			if c == '}' && strings.HasPrefix(s[i:], "}}") && (len(open) == 0 || open[len(open)-1] != '{') {
				return i, nil
			}
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
	}
	return 0, errors.New("${{ is not closed: }} is missing")
}

func textEnd(s string, quote byte) int {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && quote != '`' {
			i++
		} else if s[i] == quote {
			return i
		}
	}
	return -1
}

// closing are the brackets that close others.
var closing = map[rune]rune{'(': ')', '[': ']', '{': '}'}

// Unclosed returns the character index of the bracket that is never closed, or -1. A bracket that
// another kind of bracket would close is not closed.
func Unclosed(text string) int {
	var open []int
	var quote rune
	all := []rune(text)
	for i := 0; i < len(all); i++ {
		switch r := all[i]; {
		case quote != 0:
			if r == '\\' && quote != '`' {
				i++
			} else if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'' || r == '`':
			quote = r
		case closing[r] != 0:
			open = append(open, i)
		case strings.ContainsRune(")]}", r) && len(open) > 0:
			if last := open[len(open)-1]; closing[all[last]] != r {
				return last
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) == 0 {
		return -1
	}
	return open[len(open)-1]
}
