package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Template is literal text with variables in braces, as in v0:{timestamp}:{body}. A part in [ ] is
// omitted if its variable has no value; {{ and }} are literal braces, LF a line feed. It is safe
// for concurrent use.
type Template struct {
	// Text is the source.
	Text   string
	pieces []piece
}

// piece is literal text or one variable.
type piece struct {
	literal  string
	variable string
	name     string
	place    Place
	filter   string
	// group is the number of the enclosing [ ]; 0 for none.
	group int
}

// variables of a template; those that end in a colon are followed by a name.
var variables = []string{"body", "timestamp", "method", "public_url", "public_url_decoded", "callback_url", "secret", "LF",
	"body_sha256_hex", "body_sha256_base64", "body_sha256_raw",
	"body_crc32_decimal", "query_sorted", "path_query_encoded", "form_json", "computed", "kid",
	"header:", "query:", "form:", "json:", "param:", "xml:", "form_sorted:", "form_serialized:", "json_lines:", "header_lines:",
	"url_params_sorted:", "signature:", "http_signature:"}

// Variables returns the names of variables; those with a colon are followed by a name.
func Variables() []string { return slices.Clone(variables) }

// ParseTemplate parses a template. Its errors name the wrong part.
func ParseTemplate(text string) (*Template, error) {
	t := &Template{Text: text}
	rest, group, groups := text, 0, 0
	for rest != "" {
		i := strings.IndexAny(rest, "{}[]")
		if i < 0 {
			t.literal(rest, group)
			break
		}
		t.literal(rest[:i], group)
		switch {
		case strings.HasPrefix(rest[i:], "{{"), strings.HasPrefix(rest[i:], "}}"), strings.HasPrefix(rest[i:], "[["),
			strings.HasPrefix(rest[i:], "]]"):
			t.literal(rest[i:i+1], group)
			rest = rest[i+2:]
		case rest[i] == '[':
			groups++
			group = groups
			rest = rest[i+1:]
		case rest[i] == ']':
			group = 0
			rest = rest[i+1:]
		case rest[i] == '}':
			return nil, errors.New("a } without a {; write }} for a brace")
		default:
			end := strings.IndexByte(rest[i:], '}')
			if end < 0 {
				return nil, errors.New("a { is not closed")
			}
			p, err := parseVariable(rest[i+1 : i+end])
			if err != nil {
				return nil, err
			}
			p.group = group
			t.pieces = append(t.pieces, p)
			rest = rest[i+end+1:]
		}
	}
	return t, nil
}

func (t *Template) literal(s string, group int) {
	if s != "" {
		t.pieces = append(t.pieces, piece{literal: s, group: group})
	}
}

func parseVariable(text string) (piece, error) {
	// A brace in a name means that the variable before it was not closed: as a name, it would omit
	// from the signed bytes what the author intended.
	if strings.Contains(text, "{") {
		return piece{}, fmt.Errorf("a { before {%s} is not closed", text[strings.LastIndexByte(text, '{')+1:])
	}
	body, filter, _ := strings.Cut(text, "|")
	variable, name, named := strings.Cut(body, ":")
	p := piece{variable: variable, name: name, filter: filter}
	key := variable
	if named {
		key += ":"
	}
	if !slices.Contains(variables, key) {
		return p, fmt.Errorf("{%s} is not known", text)
	}
	if named && name == "" {
		return p, fmt.Errorf("{%s:} needs a name", variable)
	}
	switch filter {
	case "", "lower", "json", "base64", "sha256_hex", freeFilter:
	default:
		return p, fmt.Errorf("filter |%s is not known; lower, json, sha256_hex and any are", filter)
	}
	switch variable {
	case "header":
		p.place = Place{Header: http.CanonicalHeaderKey(name)}
	case "query":
		p.place = Place{Query: name}
	case "form":
		p.place = Place{Form: name}
	case "json":
		p.place = Place{JSON: name}
	case "xml":
		p.place = Place{XML: name}
	}
	return p, nil
}

// scope provides the variables of a template for one request.
type scope struct {
	req       *Request
	secret    string
	timestamp string
	url       string
	kid       string
	// signature is the signature text, for its own fields.
	signature string
	parse     *Parse
	computed  string
	// strict refuses a missing body field, which otherwise counts as empty.
	strict bool
}

// Reads calls visit for the JSON paths that the template reads.
func (t *Template) Reads(visit func(path string)) {
	for _, p := range t.pieces {
		switch p.variable {
		case "json":
			visit(p.name)
		case "json_lines":
			for _, n := range strings.Split(p.name, ",") {
				visit(n)
			}
		}
	}
}

// Fill renders the template as text. asJSON says whether inserted values are escaped for a JSON
// string. It returns an error if a variable outside [ ] has no value.
func (t *Template) Fill(req *Request, computed string, asJSON bool) (string, error) {
	s := &scope{req: req, url: req.PublicURL, computed: computed, strict: true}
	var b []byte
	for i := range t.pieces {
		p := t.pieces[i]
		if asJSON && p.variable != "" && p.filter == "" {
			p.filter = "json"
		}
		var err error
		if b, err = t.append(b, &p, i, s); err != nil {
			return "", err
		}
	}
	return string(b), nil
}

// render appends the template's bytes.
func (t *Template) render(b []byte, s *scope) ([]byte, error) {
	var err error
	for i := range t.pieces {
		if b, err = t.append(b, &t.pieces[i], i, s); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (t *Template) append(b []byte, p *piece, i int, s *scope) ([]byte, error) {
	if p.group != 0 && !t.present(p.group, s) {
		return b, nil
	}
	if p.variable == "" {
		return append(b, p.literal...), nil
	}
	if p.variable == "body" && p.filter == "" {
		return append(b, s.req.Body...), nil
	}
	v, ok := s.value(p)
	// Senders that sign fields sign a missing one as empty.
	if !ok && p.group == 0 && (p.variable != "json" || s.strict) {
		return b, fmt.Errorf("%s is missing", strings.TrimSpace(p.variable+" "+p.name))
	}
	switch p.filter {
	case "lower":
		v = strings.ToLower(v)
	case "json":
		return appendJSONText(b, v), nil
	case "sha256_hex":
		sum := sha256.Sum256([]byte(v))
		return hex.AppendEncode(b, sum[:]), nil
	}
	return append(b, v...), nil
}

// present reports whether the variable of an optional part has a value.
func (t *Template) present(group int, s *scope) bool {
	for i := range t.pieces {
		if p := &t.pieces[i]; p.group == group && p.variable != "" {
			if v, ok := s.value(p); !ok || v == "" {
				return false
			}
		}
	}
	return true
}

func (s *scope) value(p *piece) (string, bool) {
	switch p.variable {
	case "header", "query", "form", "xml", "json":
		return s.req.read(&p.place)
	case "body":
		return string(s.req.Body), true
	case "timestamp":
		return s.timestamp, s.timestamp != ""
	case "method":
		return strings.ToUpper(s.req.Method), true
	case "public_url":
		return s.url, s.url != ""
	case "public_url_decoded":
		return decodeSomeEscapes.Replace(s.url), s.url != ""
	case "callback_url":
		return s.req.CallbackURL, s.req.CallbackURL != ""
	case "secret":
		return s.secret, true
	case "param":
		v, ok := s.req.Params[p.name]
		return v, ok && v != ""
	case "LF":
		return "\n", true
	case "computed":
		return s.computed, true
	case "kid":
		return s.kid, s.kid != ""
	case "signature":
		return s.signatureField(p.name)
	}
	return s.canonicalForm(p)
}

// signatureField returns another field of a kv_list signature.
func (s *scope) signatureField(name string) (string, bool) {
	if s.parse == nil {
		return "", false
	}
	rest := s.signature
	for rest != "" {
		var item string
		item, rest, _ = strings.Cut(rest, s.parse.Separator)
		if k, v, ok := strings.Cut(strings.TrimSpace(item), "="); ok && k == name {
			return strings.Trim(v, `"`), true
		}
	}
	return "", false
}

// templateStart matches the start of a variable: {name}, {name:x}. All other braces in a JSON body
// are literal.
var templateStart = regexp.MustCompile(`^\{[a-zA-Z_0-9]+(?::[^{}"]+)?(?:\|[a-z_0-9]+)?\}`)

// EscapeJSON doubles the braces and brackets of JSON in a text to make it a template that renders
// unchanged. Variables are kept.
func EscapeJSON(text string) string {
	var b strings.Builder
	for text != "" {
		if m := templateStart.FindString(text); m != "" {
			b.WriteString(m)
			text = text[len(m):]
			continue
		}
		if strings.IndexByte("{}[]", text[0]) >= 0 {
			b.WriteByte(text[0])
		}
		b.WriteByte(text[0])
		text = text[1:]
	}
	return b.String()
}
