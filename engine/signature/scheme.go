// Package signature signs and verifies webhooks by one declarative scheme, so
// that a provider is a few lines of data and what one side signs the other can
// check. It knows bytes, headers, keys and clocks; it must not know triggers,
// workflows, providers' names, or how a refusal is answered.
package signature

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Scheme says how a sender proves a request: which algorithm over which bytes,
// and where signature and clock stand. It is the written form of a signature: package
// workflows reads it from a preset or from verify: and adds what only routing needs.
type Scheme struct {
	// Variant is the scheme's name among those of one provider.
	Variant string
	// Algorithm is one of Algorithms.
	Algorithm string
	// KeyEncoding is one of KeyEncodings: how the secret text becomes a key.
	KeyEncoding string
	// Key says where a public key is fetched, when no secret pins one.
	Key *KeySource
	// From is where the signature stands.
	From Place
	// Prefix must be there, unless it is optional, and is cut before decoding.
	Prefix         string
	PrefixOptional bool
	// Encodings are hex, base64, base64url_nopad, raw, jws_compact, jws_detached;
	// one that decodes is enough.
	Encodings []string
	// Parse says how several values share one text.
	Parse Parse
	// Timestamp is nil for schemes without a clock.
	Timestamp *Timestamp
	// SignedContent are templates of the signed bytes, of which one must match; not used
	// by tokens.
	SignedContent []string
	// Require are texts that must be equal, beside the signature: a version
	// header, a body hash in the query, an expected topic.
	Require []Requirement
	// Body demands a form of what is signed: json, for a body that is one JSON object
	// or list and nothing else, or base64_xml, for a text that holds XML in base64.
	// Where a handshake signs what it is given, none can be what it signed.
	Body string
	// Each is the dot path of a list: the scheme is applied to every element, and
	// an empty list proves nothing.
	Each string
	// JWT is set for the algorithm jwt.
	JWT *JWT
}

// Parse says how to read several values from one text.
type Parse struct {
	// Format is "" for one value, kv_list (t=..,v1=..), space_list (v1,sig v1,sig),
	// comma_list (sig,sig), positional (time,sig,sig), pair_list (key|sig&key|sig)
	// or json_base64 (base64 of a JSON object).
	Format    string
	Separator string
	// SignatureKeys and TimestampKey name fields of a kv_list or JSON object.
	SignatureKeys []string
	TimestampKey  string
	// Versions are those that count in a space_list.
	Versions []string
	// Groups reports whether a kv_list comes several times, separated by blanks, each
	// with a time of its own.
	Groups bool
	// Select is a template: the name before | of the pair that is ours.
	Select string
	// KeyID names the field that names the key.
	KeyID string
	// Sample is how a sample of a kv_list is written, with {signature} and {timestamp},
	// where the provider's order or further fields matter to its own code.
	Sample string
}

// Place names one spot of a request; exactly one field is set.
type Place struct {
	Header, Query, Form, JSON string
	// Field is a field of the signature text itself, in a kv_list.
	Field string
	// Headers are several names of which any may carry the value; a name that ends
	// in # stands for the numbers from 1 to 100.
	Headers []string
	// Body is the whole body.
	Body bool
	// URL is a query value or the last segment of the path: a secret that the
	// operator put into the registered URL.
	URL bool
	// XML is a path of element names, such as Envelope/Body/notifications/Id.
	XML string
}

// Timestamp says where the sender's clock stands.
type Timestamp struct {
	From Place
	// Unit is unix_s, unix_ms, unix_auto (milliseconds from 1e11 on), rfc3339 or
	// http_date.
	Unit string
	// Tolerance is how far the sender's clock may be off, either way.
	Tolerance time.Duration
}

// Requirement is a text of the request that must equal a template.
type Requirement struct {
	Place Place
	// Want is a template; several are alternatives.
	Want []string
	// IfSet leaves the requirement out while no template has a value: a parameter that
	// may be configured.
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
	// cuts say, for each of contents, how its parts are told apart.
	cuts []cut
	// extendable reports whether the hash can be continued by one who has no secret.
	extendable bool
	require    []requirement
	selectPair *Template
	// usesURL reports whether the public URL is signed, so that it is tried with and
	// without its default port.
	usesURL bool
	hosts   []*regexp.Regexp
	// cache holds the keys that were fetched.
	cache *keyCache
}

type requirement struct {
	place Place
	ifSet bool
	want  []*Template
}

// WithParams returns the scheme with {param:name} filled in the names of headers and
// query parameters. It shares nothing with s that a caller may change.
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

// WithParams returns the place with {param:name} filled in its header or query name.
func (p Place) WithParams(params map[string]string) Place {
	p.Header, p.Query = FillParams(p.Header, params), FillParams(p.Query, params)
	return p
}

// FillParams replaces each {param:name} of a text; a parameter that is not set is empty.
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

// Compile compiles a scheme. Its errors name the field that is wrong.
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

// canonical writes header names as net/http keeps them, so that a look-up costs
// nothing.
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

// String names the place as a person would look for it.
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

// Secret reports whether what stands there would, for this scheme, let whoever
// reads it send deliveries: a token, unlike a signature over one body.
func (v *Verifier) Secret() bool { return v.token() || v.Algorithm == "jwt" }
