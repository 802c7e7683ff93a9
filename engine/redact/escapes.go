package redact

import (
	"bytes"
	"hash/maphash"
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Encoders of HTML, JavaScript, C and URLs differ in which characters they escape and how. So that no encoder has to be
// known, escapes are also decoded and the result is searched; what is found is masked where it was written.

// maxEscapeDepth limits how many encodings around each other are decoded, such as HTML in JSON in a JSON string.
const maxEscapeDepth = 3

// escapeDecoder decodes one family of escapes.
type escapeDecoder struct {
	mark byte
	// decode returns the character that the escape at the beginning of s stands for, and the escape's length; 0 for none.
	// An escape of a byte, not of a character, has a negative character.
	decode func(s []byte) (r rune, n int)
}

var escapeDecoders = []escapeDecoder{{'&', htmlEscape}, {'\\', backslashEscape}, {'%', percentEscape}}

// unescaped is a decoded text.
type unescaped struct {
	text []byte
	// at has for each byte where its source begins in the original text, and at the end the original's length; nil if
	// the text is the original.
	at []int32
}

// escapedSpans returns the matches in the decoded forms of a text, as places in the text itself, in no order.
func escapedSpans[T string | []byte](m *matcher, s T) (list []span) {
	if m == nil || len(s) > 1<<30 || !hasEscapes(s) {
		return nil
	}
	seed := maphash.MakeSeed()
	seen := map[uint64]bool{}
	var walk func(u unescaped, depth int)
	walk = func(u unescaped, depth int) {
		for _, d := range escapeDecoders {
			next, changed := d.apply(u)
			if !changed {
				continue
			}
			if sum := maphash.Bytes(seed, next.text); seen[sum] {
				continue
			} else {
				seen[sum] = true
			}
			for _, sp := range spans(m, next.text) {
				list = append(list, span{int(next.at[sp.from]), int(next.at[sp.to])})
			}
			if depth < maxEscapeDepth {
				walk(next, depth+1)
			}
		}
	}
	walk(unescaped{text: []byte(s)}, 1)
	return list
}

// hasEscapes reports whether a text has an escape that is not one of a plain JSON string. Those are among the forms
// that a matcher searches in the text itself.
func hasEscapes[T string | []byte](s T) bool {
	first := len(s) // most texts have none of the marks, and are searched for them faster than byte by byte
	for _, d := range escapeDecoders {
		if i := indexByte(s, d.mark); i >= 0 {
			first = min(first, i)
		}
	}
	for i := first; i+2 < len(s); i++ {
		switch c := s[i+1]; s[i] {
		case '&':
			if c == '#' || isLetter(c) && bytes.IndexByte([]byte(s[i:min(len(s), i+longestReference)]), ';') > 0 {
				return true
			}
		case '\\':
			if c == 'u' || c == 'x' || c == '/' {
				return true
			}
		case '%':
			if unhex(c) >= 0 && unhex(s[i+2]) >= 0 {
				return true
			}
		}
	}
	return false
}

func indexByte[T string | []byte](s T, c byte) int {
	switch x := any(s).(type) {
	case string:
		return strings.IndexByte(x, c)
	case []byte:
		return bytes.IndexByte(x, c)
	}
	return 0 // there is no other type
}

// apply decodes all escapes of one family in a text that may be decoded already.
func (d escapeDecoder) apply(u unescaped) (out unescaped, changed bool) {
	copied := 0 // what of the text is in out
	for i := 0; ; {
		next := bytes.IndexByte(u.text[i:], d.mark)
		if next < 0 {
			break
		}
		i += next
		r, n := d.decode(u.text[i:])
		if n == 0 {
			i++
			continue
		}
		if !changed {
			changed = true
			out = unescaped{make([]byte, 0, len(u.text)), make([]int32, 0, len(u.text)+1)}
		}
		out.copy(u, copied, i)
		if r < 0 {
			out.text = append(out.text, byte(-r))
		} else {
			out.text = utf8.AppendRune(out.text, r)
		}
		for len(out.at) < len(out.text) {
			out.at = append(out.at, u.place(i))
		}
		i += n
		copied = i
	}
	if changed {
		out.copy(u, copied, len(u.text))
		out.at = append(out.at, u.place(len(u.text)))
	}
	return out, changed
}

// copy appends a part of a text that has no escapes.
func (u *unescaped) copy(from unescaped, begin, end int) {
	u.text = append(u.text, from.text[begin:end]...)
	if from.at != nil {
		u.at = append(u.at, from.at[begin:end]...)
		return
	}
	for i := begin; i < end; i++ {
		u.at = append(u.at, int32(i))
	}
}

// place returns where byte i begins in the original text.
func (u *unescaped) place(i int) int32 {
	if u.at == nil {
		return int32(i)
	}
	return u.at[i]
}

// longestReference is the maximum length of a character reference: those with many zeros are not decoded.
const longestReference = 36

// htmlEscape decodes a reference by number or by name (html.spec.whatwg.org, 13.5).
func htmlEscape(s []byte) (rune, int) {
	end := bytes.IndexByte(s[:min(len(s), longestReference)], ';')
	if end < 2 || s[1] != '#' && !isLetter(s[1]) {
		return 0, 0
	}
	reference := string(s[:end+1])
	text := html.UnescapeString(reference)
	r, n := utf8.DecodeRuneInString(text)
	if text == reference || n != len(text) {
		return 0, 0
	}
	return r, end + 1
}

// backslashEscape decodes the escapes of JSON (RFC 8259, 7), JavaScript (ECMA-262, 12.9.4), C and Python.
func backslashEscape(s []byte) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case 'x':
		if r := hexNumber(s, 2, 4); r >= 0x80 {
			return -r, 4
		} else if r >= 0 {
			return r, 4
		}
	case 'u':
		return unicodeEscape(s)
	case 'n':
		return '\n', 2
	case 't':
		return '\t', 2
	case 'r':
		return '\r', 2
	}
	if strings.IndexByte("\\/\"'`$&<>=+-.?!#%:;,@*(){}[]|^~ ", s[1]) >= 0 {
		return rune(s[1]), 2
	}
	return 0, 0
}

// unicodeEscape decodes \u0041, a pair of them, and \u{41}.
func unicodeEscape(s []byte) (rune, int) {
	if len(s) > 2 && s[2] == '{' {
		end := bytes.IndexByte(s[:min(len(s), 12)], '}')
		if r := hexNumber(s, 3, end); end > 3 && r >= 0 {
			return r, end + 1
		}
		return 0, 0
	}
	r := hexNumber(s, 2, 6)
	if r < 0 {
		return 0, 0
	}
	if utf16.IsSurrogate(r) && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if pair := utf16.DecodeRune(r, hexNumber(s, 8, 12)); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return r, 6
}

// percentEscape decodes %41 (RFC 3986, 2.1).
func percentEscape(s []byte) (rune, int) {
	switch r := hexNumber(s, 1, 3); {
	case r >= 0x80:
		return -r, 3
	case r >= 0:
		return r, 3
	}
	return 0, 0
}

// hexNumber reads the digits s[from:to]; -1 if there are others, or too few.
func hexNumber(s []byte, from, to int) rune {
	if to > len(s) || to <= from {
		return -1
	}
	n, err := strconv.ParseUint(string(s[from:to]), 16, 32)
	if err != nil || n > utf8.MaxRune || unhex(s[from]) < 0 {
		return -1
	}
	return rune(n)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
