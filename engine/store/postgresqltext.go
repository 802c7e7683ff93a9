package store

import (
	"strings"
	"unicode/utf8"
)

// PostgreSQL stores only valid UTF-8 without U+0000 as text. Senders choose keys, paths and headers, so
// other bytes come, and they must come back as they were: the checksum of an event covers its key. Each
// such byte b is stored as the private character U+10FF00 + b. Where a text has characters of this range
// itself, their bytes are stored in the same way.

const (
	firstByte = 0x10FF00
	// rangeLead begins the encoding of every character of the range, and of few others.
	rangeLead = "\xf4\x8f"
)

// storable returns a text as PostgreSQL can store it.
func storable(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) && !strings.Contains(s, rangeLead) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r == 0 || r >= firstByte {
			for _, c := range []byte(s[i : i+n]) {
				b.WriteRune(firstByte + rune(c))
			}
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// original returns a text as it was before storable.
func original(s string) string {
	if !strings.Contains(s, rangeLead) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r >= firstByte {
			b = append(b, byte(r-firstByte))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}
