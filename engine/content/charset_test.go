package content_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/engine/testgolden"
)

// TestBodiesAreReadInTheirCharset compares what is read of bodies of each type and charset with a golden file.
func TestBodiesAreReadInTheirCharset(t *testing.T) {
	const wide16le, wide16be = "h\x00\xe9\x00", "\x00h\x00\xe9"
	const wide32le, wide32be = "h\x00\x00\x00\xe9\x00\x00\x00", "\x00\x00\x00h\x00\x00\x00\xe9"
	form := func(parts ...string) string {
		return "--b\r\n" + strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\n"
	}
	part := func(name, more, body string) string {
		return "Content-Disposition: form-data; name=\"" + name + "\"" + more + "\r\n\r\n" + body
	}
	const multipart, urlencoded = "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"
	var got strings.Builder
	for _, c := range [][2]string{
		{"text/plain", "\xef\xbb\xbfh\xc3\xa9"}, {"text/plain", "\xef\xbb"}, {"text/plain", "\xff\xfe" + wide16le},
		{"text/plain", "\xfe\xff" + wide16be}, {"text/plain", "\xff\xfe\x00\x00" + wide32le}, {"text/plain", "\x00\x00\xfe\xff" + wide32be},
		{"text/plain; charset=latin1", "h\xe9"}, {"text/plain; charset=iso-8859-1", "\xfe\xff" + wide16be},
		{"text/plain; charset=ascii", "h\xc3\xa9"},
		{"text/plain; charset=us-ascii", "h\xe9"}, {"text/plain; charset=utf8", "h\xe9"}, {"text/plain; charset=none", "h\xc3\xa9"},
		{"text/plain; charset=utf-16", wide16le}, {"text/plain; charset=utf-16", wide16be}, {"text/plain; charset=utf-16le", wide16le},
		{"text/plain; charset=utf-16be", wide16be}, {"text/plain; charset=utf-16le", wide16be}, {"text/plain; charset=utf-16be", wide16le},
		{"text/plain; charset=utf-16", "hello"}, {"text/plain; charset=utf-16", "h\x00"}, {"text/plain; charset=utf-16", "hell\x00o"},
		{"text/plain; charset=utf-32", wide32le}, {"text/plain; charset=utf-32", wide32be}, {"text/plain; charset=utf-32le", wide32le},
		{"text/plain; charset=utf-32be", wide32be}, {"text/plain; charset=utf-32", "hello"}, {"text/plain; charset=iso-2022-kr", "hello"},
		{"text/xml", "\xe9"}, {"image/svg+xml", "\xe9"}, {"application/xml", "\xe9"}, {"text/plain", "\xe9"}, {"image/png", "\xe9"},
		{"image/png", "text"}, {"", "\xfe\xff" + wide16be}, {"", "{}"}, {"", " [1]"}, {"", "\"x\""}, {"", "x"}, {"", "  "}, {"", ""},
		{"application/json", " \n"}, {"application/json; charset=utf-16", "{\x00}\x00"}, {"TEXT/Plain; =", "x"}, {"a/b+json", "1"},
		{"text/plain", "\x1f\x8b\x08x"}, {"", "\x1f\x8b\x08x"}, {"application/gzip", "\x1f\x8b\x08x"}, {"text/plain", "\x1f\x8b\x08"},
		{"text/plain", "\x1f\x8b"}, {multipart, "\x1f\x8b\x08x"},
		{urlencoded, "a=1+2&a=%e9&&b"}, {urlencoded, "+&a%2"}, {urlencoded, "a=%zz%4a%4A%4&%=%"}, {urlencoded, "a=%09%40%0az"},
		{urlencoded, "\xef\xbb\xbfa=%C3%A9"},
		{urlencoded, "a=%E9&charset=windows-1252"}, {urlencoded, "a=%C3%A9&charset=windows-1252"}, {urlencoded, "a=%C3%A9&_charset_=latin1"},
		{urlencoded + "; charset=latin1", "a=%E9"}, {urlencoded, "payload=x"}, {urlencoded, "payload=+{}"}, {urlencoded, "payload={"},
		{"multipart/form-data", "a=1"}, {multipart, form(part("a", "", "1"), part("a", "", "2"), part("a", "", "3"))},
		{multipart, form(part("_charset_", "", "latin1"), part("a", "", "\xe9"), part("f", "; filename=\"x\"", "\xe9"))},
		{multipart, form(part("charsets", "", `{"a": "latin1"}`), part("a", "", "\xe9"), part("b", "", "\xe9"))},
		{multipart, form(part("charsets", "", `{"a": "latin1", "b": 1}`), part("a", "", "\xe9"))},
		{multipart, form(part("charsets", "; filename=\"x\"", `{"a": "latin1"}`), part("a", "", "\xe9"))},
		{multipart, form(part("a", "\r\nContent-Type: text/plain; charset=latin1", "\xe9"), part("_charset_", "", "utf-16be"))},
		{multipart, form(part("a", "\r\nContent-Type: image/png", "\xe9"), part("b", "\r\nContent-Type: image/png", "x"))},
	} {
		kind, raw := c[0], []byte(c[1])
		v, err := content.Decode(kind, raw)
		fields, fieldsErr := content.Fields(kind, raw)
		fmt.Fprintf(&got, "%s %q\n  decoded %q %v\n  text %q, then %s\n  fields %q %v\n  to be unpacked %t, JSON %t\n",
			kind, raw, fmt.Sprint(v), err, content.Text(kind, raw), content.InUTF8(kind, raw), fields, fieldsErr,
			content.MayBeUnpacked(kind, raw), content.LooksJSON(kind, raw))
	}
	testgolden.Compare(t, "bodies.txt", got.String())
	for n, want := range map[int]bool{content.MaxParts: true, content.MaxParts + 1: false} {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = part("a", "", "x")
		}
		if _, err := content.Fields(multipart, []byte(form(parts...))); (err == nil) != want {
			t.Errorf("%d parts: %v", n, err)
		}
	}
}
