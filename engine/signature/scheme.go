// Package signature signs and verifies webhooks by declarative schemes: a provider is a few lines
// of data, and what one side signs the other can verify. It knows bytes, headers, keys and clocks;
// it must not know triggers, workflows, providers' names, or how a refusal is answered.
package signature

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Scheme says how a sender authenticates a request: the algorithm, the signed bytes, and where
// signature and timestamp are. Package workflows reads it from a preset or from verify: and adds
// what only routing needs.
type Scheme struct {
	// Variant is the scheme's name among those of one provider.
	Variant string
	// Algorithm is one of Algorithms.
	Algorithm string
	// KeyEncoding is one of KeyEncodings: how the secret text is decoded to a key.
	KeyEncoding string
	// Key says where to fetch a public key if no secret is configured.
	Key *KeySource
	// From is where the signature is.
	From Place
	// Prefix must be present, unless it is optional, and is removed before decoding.
	Prefix         string
	PrefixOptional bool
	// Encodings are hex, base64, base64url_nopad, raw, jws_compact, jws_detached; a signature must
	// decode by one of them.
	Encodings []string
	// Parse says how several values are combined in one text.
	Parse Parse
	// Timestamp is nil for schemes without a timestamp.
	Timestamp *Timestamp
	// SignedContent are templates of the signed bytes, one of which must match; not used by tokens.
	SignedContent []string
	// Require are texts that must match in addition to the signature: a version header, a body hash
	// in the query, an expected topic.
	Require []Requirement
	// Body requires a form of the body: json, for one JSON object or list and nothing else, or
	// base64_xml, for base64 of XML. If a handshake signs arbitrary text, this ensures that the
	// text cannot pass as a body.
	Body string
	// Each is the dot path of a list: the scheme is applied to every element, and an empty list is
	// refused.
	Each string
	// JWT is set for the algorithm jwt.
	JWT *JWT
}

// Parse says how to split a text into several values.
type Parse struct {
	// Format is "" for one value, kv_list (t=..,v1=..), space_list (v1,sig v1,sig),
	// comma_list (sig,sig), positional (time,sig,sig), pair_list (key|sig&key|sig)
	// or json_base64 (base64 of a JSON object).
	Format    string
	Separator string
	// SignatureKeys and TimestampKey name fields of a kv_list or JSON object.
	SignatureKeys []string
	TimestampKey  string
	// Versions are the accepted versions in a space_list.
	Versions []string
	// Groups reports whether a kv_list may be repeated, separated by spaces, each with its own
	// timestamp.
	Groups bool
	// Select is a template: the name before | of the pair to use.
	Select string
	// KeyID is the field with the key's id.
	KeyID string
	// Sample is the format of a kv_list in samples, with {signature} and {timestamp}, if the
	// provider's order or further fields matter to its own code.
	Sample string
}

// Place is a position in a request; exactly one field is set.
type Place struct {
	Header, Query, Form, JSON string
	// Field is a field of the signature text itself, in a kv_list.
	Field string
	// Headers are alternative names, any of which may carry the value; a name that ends in # stands
	// for the numbers from 1 to 100.
	Headers []string
	// Body is the complete body.
	Body bool
	// URL is a query value or the last path segment: a secret that the operator put in the
	// registered URL.
	URL bool
	// XML is a path of element names, such as Envelope/Body/notifications/Id.
	XML string
}

// Timestamp says where the sender's timestamp is.
type Timestamp struct {
	From Place
	// Unit is unix_s, unix_ms, unix_auto (milliseconds from 1e11 on), rfc3339 or
	// http_date.
	Unit string
	// Tolerance is the maximum clock difference, in either direction.
	Tolerance time.Duration
}

// Requirement is a text in the request that must equal a template.
type Requirement struct {
	Place Place
	// Want are alternative templates.
	Want []string
	// IfSet skips the requirement if no template has a value: a parameter that need not be
	// configured.
	IfSet bool
}

// The words that a scheme may use; the language accepts exactly these.
var (
	Algorithms = []string{"hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-md5", "sha1", "sha256", "sha384", "sha512", "md5",
		"ed25519", "ecdsa-p256-sha256", "ecdsa-sha1", "rsa-sha1", "rsa-sha256", "static-token", "basic-auth", "jwt"}
	KeyEncodings = []string{"utf8", "base64", "hex", "whsec_base64", "whpk_base64", "html_unescaped", "nfkd", "sha1_of_key",
		"sha256_hex_of_key",
		"hex_public_key", "base64_public_key", "base64_spki_public_key", "pem_public_key"}
	Encodings = []string{"hex", "base64", "base64url_nopad", "raw", "jws_compact", "jws_detached"}
	Formats   = []string{"kv_list", "space_list", "comma_list", "positional", "pair_list", "json_base64"}
	Units     = []string{"unix_s", "unix_ms", "unix_auto", "rfc3339", "http_date"}
)

// Verifier is a compiled scheme. It is safe for concurrent use.
type Verifier struct {
	Scheme
	contents []*Template
	// cuts say how the parts of each content are separated.
	cuts []cut
	// extendable reports whether the hash can be extended without the secret.
	extendable bool
	require    []requirement
	selectPair *Template
	// usesURL reports whether the public URL is signed, so that it is tried with and
	// without its default port.
	usesURL bool
	// signsURL reports whether any part of the URL is signed.
	signsURL bool
	hosts    []*regexp.Regexp
	// cache contains the fetched keys.
	cache *keyCache
}

type requirement struct {
	place Place
	ifSet bool
	want  []*Template
}

// WithParams returns the scheme with {param:name} replaced in the names of headers and query
// parameters. It shares nothing with s that a caller may change.
func (s Scheme) WithParams(params map[string]string) Scheme {
	s.From = s.From.WithParams(params)
	if s.Timestamp != nil {
		t := *s.Timestamp
		t.From = t.From.WithParams(params)
		s.Timestamp = &t
	}
	s.Require = slices.Clone(s.Require)
	for i := range s.Require {
		s.Require[i].Place = s.Require[i].Place.WithParams(params)
	}
	return s
}

// WithParams returns the place with {param:name} replaced in its header or query name.
func (p Place) WithParams(params map[string]string) Place {
	p.Header, p.Query = FillParams(p.Header, params), FillParams(p.Query, params)
	return p
}

// FillParams replaces each {param:name} in a text; a missing parameter is empty.
func FillParams(text string, params map[string]string) string {
	for {
		before, rest, found := strings.Cut(text, "{param:")
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return text
		}
		text = before + params[name] + after
	}
}

// Asymmetric reports whether the scheme verifies with a public key.
func (s *Scheme) Asymmetric() bool {
	switch s.Algorithm {
	case "ed25519", "ecdsa-p256-sha256", "ecdsa-sha1", "rsa-sha1", "rsa-sha256":
		return true
	case "jwt":
		return s.JWT != nil && !strings.HasPrefix(s.JWT.Algorithms[0], "HS")
	}
	return false
}

// token reports whether the scheme compares a shared text and signs nothing.
func (s *Scheme) token() bool { return s.Algorithm == "static-token" || s.Algorithm == "basic-auth" }

// Compile compiles a scheme. Its errors name the wrong field.
func Compile(s Scheme) (*Verifier, error) {
	v := &Verifier{Scheme: s, cache: &keyCache{}}
	if !slices.Contains(Algorithms, s.Algorithm) {
		return nil, fmt.Errorf("algorithm %q is not known", s.Algorithm)
	}
	v.From = canonical(v.From)
	if v.Timestamp != nil {
		t := *v.Timestamp
		t.From = canonical(t.From)
		v.Timestamp = &t
	}
	if s.Algorithm == "jwt" && (s.JWT == nil || len(s.JWT.Algorithms) == 0) {
		return nil, fmt.Errorf("algorithm jwt needs jwt: with algorithms")
	}
	for _, r := range s.Require {
		c := requirement{place: canonical(r.Place), ifSet: r.IfSet}
		for _, w := range r.Want {
			t, err := ParseTemplate(w)
			if err != nil {
				return nil, fmt.Errorf("require: %w", err)
			}
			c.want = append(c.want, t)
		}
		v.require = append(v.require, c)
	}
	if err := v.compileContents(); err != nil {
		return nil, err
	}
	return v, v.compileKey()
}

func (v *Verifier) compileContents() error {
	if !v.token() && v.Algorithm != "jwt" || len(v.SignedContent) > 0 && v.Algorithm == "jwt" {
		for _, text := range v.SignedContent {
			t, err := ParseTemplate(text)
			if err != nil {
				return fmt.Errorf("signed_content: %w", err)
			}
			v.contents = append(v.contents, t)
			v.usesURL = v.usesURL || strings.Contains(text, "{public_url")
			v.signsURL = v.signsURL || strings.Contains(text, "_url") || strings.Contains(text, "query")
			v.cuts = append(v.cuts, v.plan(t))
		}
		v.extendable = v.canBeExtended()
	}
	if v.Parse.Select != "" {
		var err error
		if v.selectPair, err = ParseTemplate(v.Parse.Select); err != nil {
			return fmt.Errorf("parse.select: %w", err)
		}
	}
	if v.JWT != nil {
		return v.JWT.compile(v)
	}
	return nil
}

// canonical returns header names as net/http stores them, so that look-ups are cheap.
func canonical(p Place) Place {
	p.Header = http.CanonicalHeaderKey(p.Header)
	var names []string
	for _, n := range p.Headers {
		if base, numbered := strings.CutSuffix(n, "#"); numbered {
			for i := 1; i <= 100; i++ {
				names = append(names, http.CanonicalHeaderKey(fmt.Sprint(base, i)))
			}
			continue
		}
		names = append(names, http.CanonicalHeaderKey(n))
	}
	p.Headers = names
	return p
}

// String describes the place for people.
func (p Place) String() string {
	switch {
	case p.Header != "":
		return "header " + p.Header
	case len(p.Headers) > 1:
		return "header " + p.Headers[0] + " (or a similar one)"
	case len(p.Headers) == 1:
		return "header " + p.Headers[0]
	case p.Query != "":
		return "query parameter " + p.Query
	case p.Form != "":
		return "form field " + p.Form
	case p.JSON != "":
		return "body field " + p.JSON
	case p.Body:
		return "the body"
	case p.URL:
		return "the secret in the URL"
	case p.XML != "":
		return "body element " + p.XML
	}
	return "field " + p.Field
}

// SignsURL reports whether a signature depends on the URL or its parameters.
func (v *Verifier) SignsURL() bool { return v.signsURL }

// Secret reports whether the text at the place would allow anybody who reads it to send deliveries:
// a token, unlike a signature of one body.
func (v *Verifier) Secret() bool { return v.token() || v.Algorithm == "jwt" }
