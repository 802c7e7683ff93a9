package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows/value"
)

// Field is a field of a form.
type Field struct{ Name, Value string }

// Fields parses the fields of a form in the order of the body: the text parts of
// multipart/form-data, or else pairs as in application/x-www-form-urlencoded.
func Fields(contentType string, raw []byte) ([]Field, error) {
	kind, params := MediaType(contentType)
	if kind != "multipart/form-data" || params["boundary"] == "" {
		return urlEncoded(raw, params["charset"])
	}
	parts, err := readParts(raw, params["boundary"])
	if err != nil {
		return nil, err
	}
	var out []Field
	for _, p := range parts {
		if p.isText() {
			out = append(out, Field{p.name, p.text})
		}
	}
	return out, nil
}

// urlEncoded parses a form like the WHATWG parser, https://url.spec.whatwg.org/#urlencoded-parsing:
// only & separates pairs, a plus sign is a space, a % without two hex digits is literal, and
// invalid UTF-8 becomes U+FFFD. Another charset is the declared one, or that of the field _charset_
// (https://html.spec.whatwg.org/#attr-fe-name-charset), or, if the form is not UTF-8, that of the
// field charset, which PayPal's IPN has.
func urlEncoded(raw []byte, charset string) ([]Field, error) {
	raw = bytes.TrimPrefix(raw, marks[0].mark)
	if n := bytes.Count(raw, []byte{'&'}); n >= value.MaxJSONNodes {
		return nil, fmt.Errorf("reading the form: more than %d fields", value.MaxJSONNodes)
	}
	var out []Field
	var named, noted string
	valid := true
	for len(raw) > 0 {
		var pair []byte
		pair, raw, _ = bytes.Cut(raw, []byte{'&'})
		if len(pair) == 0 {
			continue
		}
		k, v, _ := bytes.Cut(pair, []byte{'='})
		f := Field{UnescapeForm(k), UnescapeForm(v)}
		switch f.Name {
		case "_charset_":
			named = f.Value
		case "charset":
			noted = f.Value
		}
		valid = valid && utf8.ValidString(f.Name) && utf8.ValidString(f.Value)
		out = append(out, f)
	}
	if named != "" {
		charset = named
	}
	if charset == "" && !valid {
		charset = noted
	}
	if valid && charset == "" {
		return out, nil
	}
	enc := findEncoding(charset, nil)
	for i, f := range out {
		out[i] = Field{validText(decoded(enc, []byte(f.Name))), validText(decoded(enc, []byte(f.Value)))}
	}
	return out, nil
}

// ParseQuery parses the query of a URL like browsers, which parse it like a form: net/url drops a
// pair with a semicolon or an invalid %. The values are the bytes that were sent, which senders
// sign.
func ParseQuery(query string) url.Values {
	out := url.Values{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair != "" {
			k, v, _ := strings.Cut(pair, "=")
			out.Add(UnescapeForm([]byte(k)), UnescapeForm([]byte(v)))
		}
	}
	return out
}

// UnescapeForm decodes the percent-encoding of a name or value.
func UnescapeForm(s []byte) string {
	if bytes.IndexByte(s, '%') < 0 && bytes.IndexByte(s, '+') < 0 {
		return string(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			out = append(out, ' ')
		case c == '%' && i+2 < len(s) && hexDigit(s[i+1]) >= 0 && hexDigit(s[i+2]) >= 0:
			out = append(out, byte(hexDigit(s[i+1])<<4|hexDigit(s[i+2])))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func hexDigit(c byte) int {
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

// MaxParts is the maximum number of parts of a multipart body.
const MaxParts = 1000

// part is one part of a multipart form.
type part struct {
	name, file, contentType string
	body                    []byte
	// text is the body of a part that is text, decoded.
	text string
}

// isText distinguishes a field from a file. A part without a file name is a field, unless its type
// says otherwise and its bytes are not text.
func (p *part) isText() bool {
	if p.file != "" {
		return false
	}
	kind, _ := MediaType(p.contentType)
	return p.contentType == "" || isText(kind) || utf8.Valid(p.body)
}

// readParts parses a multipart form. A field is decoded by the charset of its part, or else by what
// the form says about it: the field charsets, a JSON object of charsets by field in SendGrid's
// Inbound Parse
// (https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook),
// or the field _charset_ (RFC 7578, section 4.6).
func readParts(raw []byte, boundary string) ([]part, error) {
	var out []part
	r := multipart.NewReader(bytes.NewReader(raw), boundary)
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the form: %w", err)
		}
		if len(out) == MaxParts {
			return nil, fmt.Errorf("reading the form: more than %d parts", MaxParts)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return nil, fmt.Errorf("reading the form: %w", err)
		}
		out = append(out, part{name: validText([]byte(p.FormName())), file: validText([]byte(p.FileName())),
			contentType: p.Header.Get("Content-Type"), body: b})
	}
	var whole string
	var charsets map[string]string
	for _, p := range out {
		switch {
		case p.file != "":
		case p.name == "_charset_":
			whole = string(p.body)
		case p.name == "charsets" && json.Unmarshal(p.body, &charsets) != nil:
			charsets = nil
		}
	}
	for i := range out {
		p := &out[i]
		if !p.isText() {
			continue
		}
		_, params := MediaType(p.contentType)
		charset := params["charset"]
		if charset == "" {
			charset = charsets[p.name]
		}
		if charset == "" {
			charset = whole
		}
		p.text, p.body = validText(toUTF8(p.body, charset)), nil // so that isText remains true
	}
	return out, nil
}

// decodeMultipart returns each field as text, and the name and length of each file: its bytes stay
// in the raw body.
func decodeMultipart(raw []byte, boundary string) (any, error) {
	parts, err := readParts(raw, boundary)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, min(len(parts), 16))
	for _, p := range parts {
		if p.isText() {
			addField(out, p.name, p.text)
			continue
		}
		addField(out, p.name, map[string]any{"filename": p.file, "content_type": validText([]byte(p.contentType)), "size": len(p.body)})
	}
	return withPayload(out), nil
}

// decodeForm returns each field as text, a repeated one as a list.
func decodeForm(raw []byte, charset string) (any, error) {
	fields, err := urlEncoded(raw, charset)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, min(len(fields), 16))
	for _, f := range fields {
		addField(out, f.Name, f.Value)
	}
	return withPayload(out), nil
}

// addField adds a value; a repeated name gets a list of values.
func addField(out map[string]any, name string, v any) {
	switch old := out[name].(type) {
	case nil:
		out[name] = v
	case []any:
		out[name] = append(old, v)
	default:
		out[name] = []any{old, v}
	}
}

// withPayload decodes the field payload as JSON: GitHub and Slack send all data in it.
func withPayload(out map[string]any) map[string]any {
	if p, ok := out["payload"].(string); ok && strings.HasPrefix(strings.TrimSpace(p), "{") {
		if v, err := value.DecodeJSON([]byte(p)); err == nil {
			out["payload"] = v
		}
	}
	return out
}
