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

// A sender joins several texts and signs the bytes. A receiver that cuts the same
// bytes at another place reads other texts under a genuine signature: with
// id.time.body, an id that holds a dot moves the border. So each part but one, the
// free one, is held to a form that makes the cut unique:
//
//   - times, hashes, numbers and JSON-escaped text delimit themselves;
//   - other parts must not contain the text that parts them from the free one;
//   - a body beside a URL must be whole JSON: no JSON object is the beginning or the
//     end of another one.
//
// What no rule can cut is told by Ambiguous: such content must be used only once.

// freeFilter marks the part that may contain the separator: {json:reference|any}.
const freeFilter = "any"

// partKind says how the bytes of a piece are told from those beside it.
type partKind int

const (
	fixedPart  partKind = iota // literal text, or a configured value
	closedPart                 // delimits itself
	openPart                   // any text
	urlPart                    // our own address: a fixed path, and any query
	bodyPart
	mixedPart // fields that are joined without separators
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

// cut is how the parts of one template are told apart.
type cut struct {
	// before and after are the pieces on both sides of the free one that must not
	// contain what parts them from it.
	before, after []int
	// beside is the URL that stands directly before or after the body; -1 for none.
	beside int
	// loose says why the content can be cut in more than one way.
	loose string
}

// plan finds what must be checked of a template, once.
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

// freePiece is the part that may hold any text: the one that is marked, else the
// body, else the last.
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

// Ambiguous returns why signed content of this scheme can be read in more than one way in
// spite of all checks; "" if it cannot. Such content verifies a delivery once: the same
// bytes again are a repeat.
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

// contains reports whether a part holds what parts it from the next one, or what no id
// or type is made of.
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

// notInID tells the characters that stand in no id, name or nonce: blanks, controls,
// letters beyond ASCII, and those by which JSON or a list is built.
func notInID(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\{}[]<>,`, r) }

// textAfter is the fixed text between a piece and the next part. A time of RFC 3339
// that follows at once is found by its first colon.
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

// besideURL holds a body that stands beside the URL to a form that ends, or begins,
// in one place only. Of the URL only the query is the caller's: a path that is not
// the trigger's does not come here.
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

// extended refuses what can be an extension of a body that was signed by a plain
// hash of secret and body: such a hash can be continued without the secret, over
// padding that holds 0x80 and zeros (RFC 6234, 4.1; for MD5 RFC 1321, 3.1).
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

// canBeExtended reports whether a plain hash begins with the secret.
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

// signsForm tells whether, of a body, only the fields of a form are signed.
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

// SignedTexts returns the texts that a signature of the request may be over, but for
// those that are longer than a limit or sign a time.
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

// wholeXML reports whether a text is base64 of one XML document, as Braintree's
// payload is: no challenge and no other text is.
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

// bodyFits says what is wrong with a body that the scheme holds to a form.
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
