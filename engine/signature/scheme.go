// Package signature signs and verifies webhooks by one declarative scheme, so
// that a provider is a few lines of data and what one side signs the other can
// check. It knows bytes, headers and clocks; it must not know triggers,
// workflows, providers' names, or how a refusal is answered.
package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // GitHub's and others' older schemes are HMAC-SHA1
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
)

// Scheme says how a sender proves a request: which algorithm over which bytes,
// and where signature and clock stand. The vocabulary is that of the providers
// table: see workflows.Verify, its written form.
type Scheme struct {
	Variant string
	// Algorithm is hmac-sha1|256|384|512, sha256, sha512, ed25519 or static-token.
	Algorithm string
	// KeyEncoding says how the secret text becomes key bytes.
	KeyEncoding string
	// From is where the signature stands.
	From Place
	// Prefix must be there and is cut before decoding.
	Prefix string
	// Encoding is hex, base64, base64url_nopad or raw.
	Encoding string
	// Format is "" for one value, kv_list (t=..,v1=..), space_list (v1,sig v1,sig)
	// or comma_list (sig,sig).
	Format                                string
	Separator, SignatureKey, TimestampKey string
	Versions                              []string
	// Timestamp is nil for schemes without a clock.
	Timestamp *Timestamp
	// Content is the template of the signed bytes; not used by static-token.
	Content string
}

// Place names one spot of a request; exactly one field is set.
type Place struct {
	Header, Query, Form, JSON string
	// Field is a field of the signature header itself, in a kv_list.
	Field string
}

// Timestamp says where the sender's clock stands.
type Timestamp struct {
	From Place
	// Unit is unix_s, unix_ms, rfc3339 or http_date.
	Unit string
	// Tolerance is how far the sender's clock may be off, either way.
	Tolerance time.Duration
}

// Request is what a scheme may look at, exactly as it was received.
type Request struct {
	Method string
	Header http.Header
	Query  url.Values
	// PublicURL is the address as the sender knows it; CallbackURL the one
	// registered there.
	PublicURL, CallbackURL string
	Body                   []byte
	// JSON reads a scalar of the body at a dot path; Form a field of a form body.
	// Either may be nil.
	JSON func(path string) (string, bool)
	Form func() (url.Values, error)
	// Params are further configuration values.
	Params map[string]string
}

// Verifier is a scheme made ready. It is safe for concurrent use.
type Verifier struct {
	Scheme
	pieces []piece
}

// piece is literal text or one variable of the signed content.
type piece struct {
	literal  string
	variable string
	name     string
	lower    bool
	optional bool
}

// Compile prepares a scheme. Its errors name the field that is wrong.
func Compile(s Scheme) (*Verifier, error) {
	v := &Verifier{Scheme: s}
	switch s.Algorithm {
	case "static-token":
		return v, nil
	case "hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512", "sha256", "sha512", "ed25519":
	default:
		return nil, fmt.Errorf("algorithm %q is not known", s.Algorithm)
	}
	var err error
	v.pieces, err = parseContent(s.Content)
	return v, err
}

// parseContent reads a template such as v0:{timestamp}:{body}. A part in [ ] is
// left out when its source is missing; LF stands for a line feed.
func parseContent(text string) ([]piece, error) {
	var out []piece
	optional := false
	for text != "" {
		i := strings.IndexAny(text, "{[]")
		if i < 0 {
			out = append(out, piece{literal: text, optional: optional})
			break
		}
		if i > 0 {
			out = append(out, piece{literal: text[:i], optional: optional})
		}
		if text[i] != '{' {
			optional = text[i] == '['
			text = text[i+1:]
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return nil, errors.New("signed_content: a { is not closed")
		}
		p, err := parseVariable(text[i+1 : i+end])
		if err != nil {
			return nil, err
		}
		p.optional = optional
		out = append(out, p)
		text = text[i+end+1:]
	}
	return out, nil
}

func parseVariable(text string) (piece, error) {
	text, filter, _ := strings.Cut(text, "|")
	variable, name, _ := strings.Cut(text, ":")
	p := piece{variable: variable, name: name, lower: filter == "lower"}
	switch variable {
	case "body", "timestamp", "method", "public_url", "callback_url", "secret":
	case "header", "query", "form", "json", "param", "form_sorted":
		if name == "" {
			return p, fmt.Errorf("signed_content: {%s:} needs a name", variable)
		}
	default:
		return p, fmt.Errorf("signed_content: {%s} is not known", text)
	}
	return p, nil
}

// ErrEmptyKey refuses a secret without content: with it every sender could sign.
var ErrEmptyKey = errors.New("the secret is empty")

// DecodeKey turns a configured secret text into key bytes.
func DecodeKey(encoding, text string) ([]byte, error) {
	if text == "" {
		return nil, ErrEmptyKey
	}
	var key []byte
	var err error
	switch encoding {
	case "", "utf8":
		key = []byte(text)
	case "base64", "base64_public_key":
		key, err = decodeBase64(text)
	case "hex", "hex_public_key":
		key, err = hex.DecodeString(text)
	case "whsec_base64":
		// Standard Webhooks: the key is what follows whsec_, in base64.
		key, err = decodeBase64(strings.TrimPrefix(text, "whsec_"))
	case "whpk_base64":
		key, err = decodeBase64(strings.TrimPrefix(text, "whpk_"))
	default:
		return nil, fmt.Errorf("key encoding %q is not known", encoding)
	}
	if err != nil {
		// The decoder's own text would quote a letter of the secret.
		return nil, fmt.Errorf("the secret is not valid %s", encoding)
	}
	if len(key) == 0 {
		return nil, ErrEmptyKey
	}
	return key, nil
}

func decodeBase64(s string) ([]byte, error) {
	if b, err := base64.StdEncoding.DecodeString(s); err == nil {
		return b, nil
	}
	return base64.RawStdEncoding.DecodeString(s)
}

func newHash(algorithm string) func() hash.Hash {
	switch algorithm {
	case "hmac-sha1":
		return sha1.New
	case "hmac-sha384":
		return sha512.New384
	case "hmac-sha512", "sha512":
		return sha512.New
	}
	return sha256.New
}

// sum computes the signature's bytes of a symmetric scheme.
func (v *Verifier) sum(req *Request, key []byte, secret, timestamp string) ([]byte, error) {
	var h hash.Hash
	if strings.HasPrefix(v.Algorithm, "hmac-") {
		h = hmac.New(newHash(v.Algorithm), key)
	} else {
		h = newHash(v.Algorithm)()
	}
	err := v.write(h.Write, req, secret, timestamp)
	return h.Sum(nil), err
}

// content gives the signed bytes whole, for asymmetric schemes.
func (v *Verifier) content(req *Request, secret, timestamp string) ([]byte, error) {
	var b []byte
	err := v.write(func(p []byte) (int, error) { b = append(b, p...); return len(p), nil }, req, secret, timestamp)
	return b, err
}

// write feeds the signed bytes to a hash, without joining them.
func (v *Verifier) write(w func([]byte) (int, error), req *Request, secret, timestamp string) error {
	for i, p := range v.pieces {
		if p.variable == "" {
			if !p.optional || v.present(req, i) {
				if _, err := w([]byte(p.literal)); err != nil {
					return err
				}
			}
			continue
		}
		if p.variable == "body" {
			if _, err := w(req.Body); err != nil {
				return err
			}
			continue
		}
		s, ok := v.lookup(req, p, secret, timestamp)
		if !ok && !p.optional {
			return fmt.Errorf("%s %s is missing", p.variable, p.name)
		}
		if p.lower {
			s = strings.ToLower(s)
		}
		if _, err := w([]byte(s)); err != nil {
			return err
		}
	}
	return nil
}

// present tells whether the variable next to an optional literal has a value.
func (v *Verifier) present(req *Request, i int) bool {
	for j := i + 1; j < len(v.pieces) && v.pieces[j].optional; j++ {
		if p := v.pieces[j]; p.variable != "" {
			s, ok := v.lookup(req, p, "", "")
			return ok && s != ""
		}
	}
	return false
}

func (v *Verifier) lookup(req *Request, p piece, secret, timestamp string) (string, bool) {
	switch p.variable {
	case "timestamp":
		return timestamp, timestamp != ""
	case "method":
		return strings.ToUpper(req.Method), true
	case "public_url":
		return req.PublicURL, req.PublicURL != ""
	case "callback_url":
		return req.CallbackURL, req.CallbackURL != ""
	case "secret":
		return secret, true
	case "param":
		s, ok := req.Params[p.name]
		return s, ok
	case "form_sorted":
		return sortedForm(req)
	case "header":
		return req.read(Place{Header: p.name})
	case "query":
		return req.read(Place{Query: p.name})
	case "form":
		return req.read(Place{Form: p.name})
	case "json":
		return req.read(Place{JSON: p.name})
	}
	return "", false
}

// sortedForm is Twilio's form: fields by name, each distinct value with its
// name before it, nothing between.
func sortedForm(req *Request) (string, bool) {
	if req.Form == nil {
		return "", true
	}
	form, err := req.Form()
	if err != nil {
		return "", false
	}
	var b strings.Builder
	var names []string
	for n := range form {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		values := append([]string(nil), form[n]...)
		sort.Strings(values)
		for i, v := range values {
			if i == 0 || v != values[i-1] {
				b.WriteString(n + v)
			}
		}
	}
	return b.String(), true
}

// read gives the text at a place. A header that comes several times with
// different values is refused: which one the sender meant cannot be known.
func (r *Request) read(p Place) (string, bool) {
	switch {
	case p.Header != "":
		values := r.Header.Values(p.Header)
		if len(values) == 0 {
			return "", false
		}
		for _, v := range values[1:] {
			if v != values[0] {
				return "", false
			}
		}
		return values[0], true
	case p.Query != "":
		return r.Query.Get(p.Query), r.Query.Has(p.Query)
	case p.JSON != "" && r.JSON != nil:
		return r.JSON(p.JSON)
	case p.Form != "" && r.Form != nil:
		f, err := r.Form()
		return f.Get(p.Form), err == nil && f.Has(p.Form)
	}
	return "", false
}

func ed25519Key(key []byte) (ed25519.PublicKey, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("an Ed25519 public key has %d bytes, this one %d", ed25519.PublicKeySize, len(key))
	}
	return key, nil
}
