package content

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// marks are the byte order marks, longer ones first: that of UTF-32LE begins with that of UTF-16LE.
var marks = []struct {
	mark  []byte
	label string
}{
	{[]byte{0xef, 0xbb, 0xbf}, "utf-8"},
	{[]byte{0xff, 0xfe, 0, 0}, "utf-32le"},
	{[]byte{0, 0, 0xfe, 0xff}, "utf-32be"},
	{[]byte{0xff, 0xfe}, "utf-16le"},
	{[]byte{0xfe, 0xff}, "utf-16be"},
}

// marked reports whether a body may begin with a byte order mark.
func marked(raw []byte) bool {
	return len(raw) > 1 && (raw[0] == 0xef || raw[0] == 0xff || raw[0] == 0xfe || raw[0] == 0)
}

// toUTF8 converts text to UTF-8. A byte order mark determines the encoding; without one the
// declared charset does. Text that is UTF-8, or whose charset is unknown, is returned unchanged,
// without its mark.
func toUTF8(raw []byte, charset string) []byte {
	if marked(raw) {
		for _, m := range marks {
			if rest, ok := bytes.CutPrefix(raw, m.mark); ok {
				raw, charset = rest, m.label
				break
			}
		}
	}
	if charset == "" {
		return raw
	}
	return decoded(findEncoding(charset, raw), raw)
}

// decoded converts text to UTF-8; enc is nil for text that needs no decoding.
func decoded(enc encoding.Encoding, raw []byte) []byte {
	if enc == nil {
		return raw
	}
	out, err := enc.NewDecoder().Bytes(raw)
	if err != nil {
		return raw
	}
	return out
}

// findEncoding returns the encoding for a label of the WHATWG Encoding Standard,
// https://encoding.spec.whatwg.org/#names-and-labels, or UTF-32. It returns nil for UTF-8, which
// needs no decoding, and for unknown labels. raw is text in the charset: for UTF-16 and UTF-32
// without a declared byte order it shows the order.
func findEncoding(charset string, raw []byte) encoding.Encoding {
	label := strings.ToLower(strings.Trim(charset, "\"' \t"))
	wide := len(raw) > 3 && bytes.IndexByte(raw[:4], 0) >= 0
	big := len(raw) > 0 && raw[0] == 0
	switch label {
	case "", "utf-8", "utf8":
		return nil
	case "us-ascii", "ascii":
		// The standard decodes ASCII as windows-1252, but UTF-8 is often declared as ASCII.
		if utf8.Valid(raw) {
			return nil
		}
	case "utf-16", "utf-16le", "utf-16be", "ucs-2", "unicode":
		if !wide && utf8.Valid(raw) {
			return nil // .NET declares its internal encoding for what it sends in UTF-8
		}
		return unicode.UTF16(order(label == "utf-16be" || big && label != "utf-16le"), unicode.IgnoreBOM)
	case "utf-32", "utf-32le", "utf-32be":
		if !wide && utf8.Valid(raw) {
			return nil
		}
		return utf32.UTF32(wideOrder(label == "utf-32be" || big && label != "utf-32le"), utf32.IgnoreBOM)
	}
	enc, err := htmlindex.Get(label)
	if err != nil {
		return nil
	}
	// The replacement encoding decodes everything to U+FFFD.
	if name, err := htmlindex.Name(enc); err != nil || name == "replacement" || name == "utf-8" {
		return nil
	}
	return enc
}

func order(big bool) unicode.Endianness {
	if big {
		return unicode.BigEndian
	}
	return unicode.LittleEndian
}

func wideOrder(big bool) utf32.Endianness {
	if big {
		return utf32.BigEndian
	}
	return utf32.LittleEndian
}

// validText replaces every invalid UTF-8 sequence by U+FFFD.
func validText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}
