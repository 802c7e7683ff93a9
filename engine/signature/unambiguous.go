package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// A sender joins several texts and signs the bytes. A receiver that splits the same bytes at
// another place gets other texts with a valid signature: with id.time.body, an id that contains a
// dot moves the boundary. Each part except one, the free one, must therefore have a form that
// makes the split unique:
//
//   - times, hashes, numbers and JSON-escaped text determine their own end;
//   - other parts must not contain the text that separates them from the free one;
//   - a body next to a URL must be complete JSON: no JSON object is a prefix or a suffix of
//     another one.
//
// Ambiguous reports content for which no rule suffices: it must be used only once.

// freeFilter marks the part that may contain the separator: {json:reference|any}.
const freeFilter = "any"

// partKind says how the end of a part is determined.
type partKind int

const (
	fixedPart  partKind = iota // literal text, or a configured value
	closedPart                 // determines its own end
	openPart                   // any text
	urlPart                    // our own URL: a fixed path, and any query
	bodyPart
	mixedPart // fields that are concatenated without separators
)

func (v *Verifier) kindOf(p *piece) partKind {
	if ts := v.Timestamp; ts != nil && p.variable != "" && (ts.From.JSON != "" && p.place.JSON == ts.From.JSON || ts.From.Form != "" &&
		p.place.Form == ts.From.Form ||
		ts.From.Header != "" && p.place.Header == ts.From.Header) {
		return closedPart
	}
	if p.filter == "json" || p.filter == "sha256_hex" {
		return closedPart
	}
	switch p.variable {
	case "", "LF", "secret", "param":
		return fixedPart
	case "body":
		return bodyPart
	case "public_url", "public_url_decoded", "callback_url":
		return urlPart
	case "timestamp", "method", "body_sha256_hex", "body_sha256_base64", "body_sha256_raw", "body_crc32_decimal", "form_json",
		"form_serialized":
		return closedPart
	case "form_sorted", "url_params_sorted":
		return mixedPart
	}
	return openPart
}

// cut says how the parts of a template are separated.
type cut struct {
	// before and after are the parts on both sides of the free one that must not contain the
	// separator to it.
	before, after []int
	// beside is the URL directly before or after the body; -1 for none.
	beside int
	// loose says why the content can be split in more than one way.
	loose string
}

// plan determines once what must be checked for a template.
func (v *Verifier) plan(t *Template) cut {
	c := cut{beside: -1}
	free := v.freePiece(t)
	for i := range t.pieces {
		p := &t.pieces[i]
		kind := v.kindOf(p)
		switch {
		case kind == mixedPart:
			c.loose = "it joins the names and values of fields without separators"
		case kind == openPart && i < free:
			c.before = append(c.before, i)
		case kind == openPart && i > free:
			c.after = append(c.after, i)
		case kind == urlPart && (i+1 < len(t.pieces) && t.pieces[i+1].variable == "body" || i > 0 && t.pieces[i-1].variable == "body"):
			c.beside = i
		}
		if i > 0 && c.loose == "" && open(kind) && open(v.kindOf(&t.pieces[i-1])) && c.beside < 0 {
			c.loose = "it joins {" + name(&t.pieces[i-1]) + "} and {" + name(p) + "} without a separator"
		}
	}
	if c.beside >= 0 && len(c.before)+len(c.after) > 0 {
		c.loose = "it joins a URL and the body without a separator"
	}
	return c
}

func open(k partKind) bool { return k == openPart || k == bodyPart || k == urlPart || k == mixedPart }

func name(p *piece) string {
	if p.name != "" {
		return p.variable + ":" + p.name
	}
	return p.variable
}

// freePiece returns the part that may contain any text: the marked one, or else the body, or else
// the last.
func (v *Verifier) freePiece(t *Template) int {
	last := -1
	for i := range t.pieces {
		switch {
		case t.pieces[i].filter == freeFilter || t.pieces[i].variable == "body":
			return i
		case open(v.kindOf(&t.pieces[i])):
			last = i
		}
	}
	return last
}

// Ambiguous returns why signed content of this scheme can be split in more than one way in spite of
// all checks; "" if it cannot. Such content is accepted once: the same bytes again are a duplicate.
func (v *Verifier) Ambiguous() string {
	for _, c := range v.cuts {
		if c.loose != "" {
			return c.loose
		}
	}
	return ""
}

// misread returns why a request with a matching signature may not be what was signed.
func (v *Verifier) misread(req *Request, text, clock string) string {
	for i, t := range v.contents {
		c := &v.cuts[i]
		if len(c.before)+len(c.after) == 0 && c.beside < 0 {
			continue
		}
		s := &scope{req: req, timestamp: clock, url: req.PublicURL, signature: text, parse: &v.Parse}
		for _, n := range c.before {
			if why := v.contains(t, s, n, v.textAfter(t, s, n), true); why != "" {
				return why
			}
		}
		for _, n := range c.after {
			if why := v.contains(t, s, n, v.textBefore(t, s, n), false); why != "" {
				return why
			}
		}
		if c.beside >= 0 {
			if why := besideURL(t, s, c.beside); why != "" {
				return why
			}
		}
	}
	if v.extendable {
		return extended(req)
	}
	return ""
}

// contains reports whether a part contains the separator to the next one, or characters that do not
// occur in ids and types.
func (v *Verifier) contains(t *Template, s *scope, n int, separator string, before bool) string {
	p := &t.pieces[n]
	value, ok := s.value(p)
	if !ok {
		return ""
	}
	if p.filter == "lower" {
		value = strings.ToLower(value)
	}
	if p.variable == "header" && strings.ContainsFunc(value, notInID) {
		return p.place.String() + " holds a character that none of its values has"
	}
	if separator == "" || len(separator) == 1 && !strings.Contains(value, separator) {
		return ""
	}
	if before && strings.Index(value+separator, separator) < len(value) || !before && strings.LastIndex(separator+value, separator) > 0 {
		return partName(p) + " contains the separator of what is signed"
	}
	return ""
}

func partName(p *piece) string {
	if s := p.place.String(); s != "field " {
		return s
	}
	return name(p)
}

// notInID reports characters that occur in no id, name or nonce: white space, control and non-ASCII
// characters, and delimiters of JSON and lists.
func notInID(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\{}[]<>,`, r) }

// textAfter returns the literal text between a part and the next one. An RFC 3339 time that follows
// directly is found by its first colon.
func (v *Verifier) textAfter(t *Template, s *scope, n int) string {
	out := ""
	for i := n + 1; i < len(t.pieces); i++ {
		p := &t.pieces[i]
		if p.group != 0 && !t.present(p.group, s) {
			continue
		}
		if v.kindOf(p) != fixedPart {
			if out == "" && p.variable == "timestamp" {
				return ":"
			}
			break
		}
		out += fixedText(p, s)
	}
	return out
}

func (v *Verifier) textBefore(t *Template, s *scope, n int) string {
	out := ""
	for i := n - 1; i >= 0; i-- {
		p := &t.pieces[i]
		if p.group != 0 && !t.present(p.group, s) {
			continue
		}
		if v.kindOf(p) != fixedPart {
			break
		}
		out = fixedText(p, s) + out
	}
	return out
}

func fixedText(p *piece, s *scope) string {
	if p.variable == "" {
		return p.literal
	}
	value, _ := s.value(p)
	return value
}

// besideURL checks that a body next to the URL has an unambiguous start or end. The caller controls
// only the query: a URL with another path than the trigger's is not checked here.
func besideURL(t *Template, s *scope, n int) string {
	address, _ := s.value(&t.pieces[n])
	body := s.req.Body
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		if strings.ContainsAny(address, `{["`) {
			return "the address holds what may be the body"
		}
	case wholeJSON(body):
	case strings.Contains(address, "?"), body[0] == '?', body[0] == '/', bytes.Contains(body, []byte("://")):
		return "the body is not a JSON object, and the signature does not show where the address ends"
	}
	return ""
}

// wholeJSON reports whether a body is one JSON object or list and nothing else.
func wholeJSON(body []byte) bool {
	b := bytes.TrimSpace(body)
	return len(b) > 1 && (b[0] == '{' || b[0] == '[') && json.Valid(b)
}

// extended refuses a body that may extend another one that was signed by a plain hash of secret and
// body: such a hash can be extended without the secret, after padding with 0x80 and zeros (RFC
// 6234, 4.1; for MD5 RFC 1321, 3.1).
func extended(req *Request) string {
	for _, b := range req.Body {
		if b < ' ' && b != '\t' && b != '\r' && b != '\n' {
			return "the body holds control bytes, and this scheme's hash is open to length extension"
		}
	}
	if !utf8.Valid(req.Body) {
		return "the body is not UTF-8, and this scheme's hash is open to length extension"
	}
	if strings.HasPrefix(strings.ToLower(req.MediaType), "application/json") && !json.Valid(req.Body) {
		return "the body is not JSON, and this scheme's hash is open to length extension"
	}
	return ""
}

// canBeExtended reports whether the content of a plain hash begins with the secret.
func (v *Verifier) canBeExtended() bool {
	if strings.HasPrefix(v.Algorithm, "hmac-") || v.Asymmetric() || v.token() || v.Algorithm == "jwt" {
		return false
	}
	for _, t := range v.contents {
		for i := range t.pieces {
			if t.pieces[i].variable == "secret" && i < len(t.pieces)-1 {
				return true
			}
		}
	}
	return false
}

// signsForm reports whether only the form fields of a body are signed.
func (v *Verifier) signsForm() bool {
	for _, t := range v.contents {
		for i := range t.pieces {
			if v.kindOf(&t.pieces[i]) == mixedPart {
				return true
			}
		}
	}
	return false
}

// SignedTexts returns the texts that a signature of the request may cover, except those that are
// longer than a limit or contain a time.
func (v *Verifier) SignedTexts(req *Request, limit int) [][]byte {
	if v.Timestamp != nil || len(req.Body) > limit {
		return nil
	}
	var out [][]byte
	for _, t := range v.contents {
		if b, err := t.render(nil, &scope{req: req, url: req.PublicURL, parse: &v.Parse}); err == nil && len(b) <= limit {
			out = append(out, b)
		}
	}
	return out
}

// wholeXML reports whether a text is base64 of one XML document, like Braintree's payload and
// unlike a challenge.
func wholeXML(text []byte) bool {
	packed := bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, text)
	raw, err := base64.StdEncoding.DecodeString(string(packed))
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("<")) {
		return false
	}
	d := xml.NewDecoder(bytes.NewReader(raw))
	elements := 0
	for {
		t, err := d.Token()
		switch t.(type) {
		case xml.StartElement:
			elements++
		case xml.Directive:
			return false
		}
		if err != nil {
			return errors.Is(err, io.EOF) && elements > 0
		}
	}
}

// bodyFits returns what is wrong with a body for which the scheme requires a form.
func (v *Verifier) bodyFits(req *Request) string {
	switch v.Body {
	case "json":
		if !wholeJSON(req.Body) {
			return "the body is not one JSON object or list"
		}
	case "base64_xml":
		b, err := v.contents[0].render(nil, &scope{req: req, url: req.PublicURL})
		if err != nil || !wholeXML(b) {
			return "what is signed is not base64 of XML"
		}
	}
	return ""
}
