package expr

import (
	"errors"
	"fmt"
	"strings"
)

// End returns the index of the }} that closes an expression: not one inside a text, or one that
// closes maps.
func End(s string) (int, error) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\'', '`':
			end := textEnd(s[i+1:], c)
			if end < 0 {
				return 0, fmt.Errorf("a text in this expression is not closed: %c is missing", c)
			}
			i += end + 1
		case '{', '(', '[':
			depth++
		case ')', ']':
			depth--
		case '}':
			if depth <= 0 && strings.HasPrefix(s[i:], "}}") {
				return i, nil
			}
			depth--
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

// Unclosed returns the character index of the bracket that is never closed, or -1.
func Unclosed(text string) int {
	var open []int
	var quote rune
	for i, r := range []rune(text) {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'' || r == '`':
			quote = r
		case strings.ContainsRune("([{", r):
			open = append(open, i)
		case strings.ContainsRune(")]}", r) && len(open) > 0:
			open = open[:len(open)-1]
		}
	}
	if len(open) == 0 {
		return -1
	}
	return open[len(open)-1]
}
