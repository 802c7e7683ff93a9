package value

import "strings"

// Clip shortens a text to n characters for a message, ending in … if it is cut.
func Clip(s string, n int) string {
	if end := Letters(s, n); end < len(s) {
		return strings.ToValidUTF8(s[:end], "\ufffd") + "…"
	}
	return s
}

// Letters returns the number of bytes in the first n characters of a text.
func Letters(s string, n int) int {
	if n >= len(s) {
		return len(s)
	}
	for at := range s {
		if n == 0 {
			return at
		}
		n--
	}
	return len(s)
}
