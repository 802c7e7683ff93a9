package content

import (
	"bytes"
	"errors"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/value"
)

// This file decodes bodies. Keys, rules, steps, replays, lists and responses all see its result.

// Decode decodes a body by its declared type: JSON, a form as a map of texts, otherwise text. A
// body without a type that is JSON is decoded as JSON. A body that does not match its type is an
// error.
func Decode(contentType string, raw []byte) (any, error) {
	return decodeBody(contentType, raw, value.DecodeJSON)
}

// DecodeWith is Decode for a caller that also has the body as a string: the strings of a small body
// then share its memory.
func DecodeWith(contentType string, raw []byte, text string) (any, error) {
	return decodeBody(contentType, raw, func(b []byte) (any, error) {
		if len(b) != len(raw) || &b[0] != &raw[0] {
			return value.DecodeJSON(b) // it was converted to UTF-8
		}
		return value.DecodeJSONText(b, text)
	})
}

// DecodePart is Decode that keeps only the wanted parts of JSON.
func DecodePart(contentType string, raw []byte, want *value.FieldSet) (any, error) {
	return decodeBody(contentType, raw, func(b []byte) (any, error) { return value.DecodePart(b, want) })
}

// DecodeLiteral is DecodePart with numbers in the digits of the body.
func DecodeLiteral(contentType string, raw []byte, want *value.FieldSet) (any, error) {
	return decodeBody(contentType, raw, func(b []byte) (any, error) { return value.DecodeLiteralPart(b, want) })
}

// Text returns a body as text, by its byte order mark or its declared charset.
func Text(contentType string, raw []byte) []byte {
	_, params := MediaType(contentType)
	return toUTF8(raw, params["charset"])
}

// InUTF8 returns the content type of a body whose text has been converted to UTF-8: as it is, if the
// body had been UTF-8.
func InUTF8(contentType string, raw []byte) string {
	kind, params := MediaType(contentType)
	if params["charset"] == "" && !marked(raw) {
		return contentType
	}
	if kind == "" {
		kind = "text/plain"
	}
	return kind + "; charset=utf-8"
}

func decodeBody(contentType string, raw []byte, decode func([]byte) (any, error)) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	kind, params := MediaType(contentType)
	if IsGzip(raw) && readable(kind) {
		return nil, errors.New("it is compressed, and cannot be unpacked")
	}
	switch {
	case kind == "multipart/form-data" && params["boundary"] != "":
		return decodeMultipart(raw, params["boundary"])
	case kind == FormType:
		return decodeForm(raw, params["charset"])
	}
	text := raw
	if params["charset"] != "" || marked(raw) {
		text = toUTF8(raw, params["charset"])
	}
	if isJSON(kind) {
		if blank(text) {
			return nil, nil
		}
		return decode(text)
	}
	if v, err := decode(text); err == nil {
		return v, nil
	}
	if utf8.Valid(text) {
		return string(text), nil
	}
	if isText(kind) {
		return nil, errors.New("it is not UTF-8, and no other charset is declared")
	}
	return nil, nil // binary data, which event.raw contains
}

const (
	jsonType = "application/json"
	FormType = "application/x-www-form-urlencoded"
)

// MediaType parses a content type. A malformed parameter does not affect the type before it.
func MediaType(contentType string) (kind string, params map[string]string) {
	if contentType == "" || contentType == jsonType || contentType == FormType {
		return contentType, nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind, _, _ = strings.Cut(contentType, ";")
		return strings.ToLower(strings.TrimSpace(kind)), nil
	}
	return kind, params
}

func isJSON(kind string) bool { return kind == jsonType || strings.HasSuffix(kind, "+json") }

// isText reports whether bodies of a type are text.
func isText(kind string) bool {
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "/xml") || strings.HasSuffix(kind, "+xml") ||
		isJSON(kind) || kind == FormType
}

// readable reports whether bodies of a type contain data that can be decoded; it includes the empty
// type.
func readable(kind string) bool {
	return kind == "" || isText(kind) || strings.HasPrefix(kind, "multipart/")
}

// MayBeUnpacked reports whether a body that begins like gzip is a compressed one whose sender did
// not declare it, rather than a file whose type is gzip.
func MayBeUnpacked(contentType string, raw []byte) bool {
	if !IsGzip(raw) {
		return false
	}
	kind, _ := MediaType(contentType)
	return readable(kind)
}

// IsGzip reports whether bytes begin like gzip (RFC 1952, section 2.3.1: two magic bytes, and
// deflate, the only method). No text begins like this.
func IsGzip(raw []byte) bool {
	return len(raw) > 2 && raw[0] == 0x1f && raw[1] == 0x8b && raw[2] == 8
}

func blank(raw []byte) bool {
	return len(raw) == 0 || raw[0] <= ' ' && len(bytes.TrimSpace(raw)) == 0
}

// LooksJSON reports whether a body is JSON by its type or, without one, by its first character.
func LooksJSON(contentType string, raw []byte) bool {
	kind, _ := MediaType(contentType)
	if isJSON(kind) {
		return true
	}
	first := bytes.TrimLeft(raw[:min(len(raw), 16)], " \t\r\n\ufeff")
	return kind == "" && len(first) > 0 && bytes.IndexByte([]byte(`{["`), first[0]) >= 0
}
