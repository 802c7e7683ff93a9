package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrNoPrivateKey is returned if a scheme signs with a private key, which only the provider has. To
// create samples, configure your own private key in PEM as the secret.
var ErrNoPrivateKey = errors.New("only the provider can sign: its private key is not here")

// BodyPart is a text that belongs in the body rather than in headers or query: the caller inserts
// it at the place, before it signs what depends on the body.
type BodyPart struct {
	Place Place
	Text  string
}

// Sign adds a signature to a request's headers or query, according to the data that verifies it.
// What the scheme reads from the body must already be there; a signature that belongs in the body
// is returned for the caller to insert.
func (v *Verifier) Sign(req *Request, key Key, now time.Time) ([]BodyPart, error) {
	clock := ""
	if ts := v.Timestamp; ts != nil {
		if ts.From.JSON != "" || ts.From.Form != "" {
			clock, _ = req.read(&ts.From)
		} else {
			clock = FormatClock(ts.Unit, now)
			req.put(&ts.From, clock)
		}
	}
	for i := range v.require {
		r := &v.require[i]
		if r.place.Header == "" && r.place.Query == "" {
			continue
		}
		if b, err := r.want[0].render(nil, &scope{req: req, url: req.PublicURL}); err == nil {
			if r.place.Query != "" {
				req.addQuery(r.place.Query, string(b))
				continue
			}
			req.put(&r.place, string(b))
		}
	}
	text, err := v.signatureText(req, key, clock, now)
	if err != nil {
		return nil, err
	}
	text = v.wrap(req, text, clock)
	if v.From.JSON != "" || v.From.Form != "" || v.From.Body || v.From.XML != "" {
		return []BodyPart{{v.From, text}}, nil
	}
	if v.From.URL {
		req.addQuery("token", text)
		return nil, nil
	}
	req.put(&v.From, text)
	return nil, nil
}

// wrap formats the signature for its place.
func (v *Verifier) wrap(req *Request, text, clock string) string {
	text = v.Prefix + text
	switch v.Parse.Format {
	case "kv_list":
		if v.Parse.Sample != "" {
			return strings.NewReplacer("{signature}", text, "{timestamp}", clock).Replace(v.Parse.Sample)
		}
		text = v.Parse.SignatureKeys[0] + "=" + text
		if v.Timestamp != nil && v.Timestamp.From.Field != "" {
			text = v.Timestamp.From.Field + "=" + clock + v.Parse.Separator + text
		}
		for _, t := range v.contents {
			for i := range t.pieces {
				switch p := &t.pieces[i]; p.variable {
				case "signature":
					text += v.Parse.Separator + p.name + "=sample"
				case "http_signature":
					text += v.Parse.Separator + `headers="` + sampleSignedHeaders + `"`
				}
			}
		}
	case "space_list":
		text = v.Parse.Versions[0] + "," + text
	case "positional":
		text = clock + v.Parse.Separator + text
	case "pair_list":
		if ours, err := v.selectPair.render(nil, &scope{req: req}); err == nil {
			text = string(ours) + "|" + text
		}
	case "json_base64":
		b, err := json.Marshal(map[string]string{v.Parse.SignatureKeys[0]: text, v.Parse.KeyID: "sample", "alg": "ecdsa", "digest": "SHA1"})
		if err == nil {
			text = base64.StdEncoding.EncodeToString(b)
		}
	}
	return text
}

// sampleSignedHeaders are the headers that a sample of an HTTP signature covers.
const sampleSignedHeaders = "(request-target) host date digest"

// signatureText returns the encoded signature, or the token itself.
func (v *Verifier) signatureText(req *Request, key Key, clock string, now time.Time) (string, error) {
	switch {
	case v.Algorithm == "static-token":
		return string(key.bytes), nil
	case v.Algorithm == "basic-auth":
		text := key.Text
		if user := req.Params["user"]; user != "" {
			text = user + ":" + text
		}
		return base64.StdEncoding.EncodeToString([]byte(text)), nil
	case v.Algorithm == "jwt":
		return v.signToken(req, key, now)
	case v.Asymmetric() && key.private == nil:
		return "", ErrNoPrivateKey
	}
	v.prepareSample(req, now)
	sc := &scope{req: req, secret: key.Text, timestamp: clock, url: req.PublicURL, parse: &v.Parse}
	sc.signature = v.wrap(req, "", clock)
	content, err := v.contents[0].render(nil, sc)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	sig, err := v.signBytes(key, content)
	return encodeSignature(v.Encodings[0], sig), err
}

// prepareSample adds the headers that a canonical form lists.
func (v *Verifier) prepareSample(req *Request, now time.Time) {
	for _, t := range v.contents {
		for i := range t.pieces {
			switch p := &t.pieces[i]; p.variable {
			case "header_lines":
				names := []string{p.name}
				if v.Timestamp != nil {
					names = append(names, v.Timestamp.From.Header)
				}
				req.Header.Set(p.name, strings.ToLower(strings.Join(names, ",")))
			case "http_signature":
				sum := sha256.Sum256(req.Body)
				req.Header.Set("Digest", "SHA-256="+base64.StdEncoding.EncodeToString(sum[:]))
				req.Header.Set("Date", now.UTC().Format(http.TimeFormat))
			}
		}
	}
}

func (v *Verifier) signBytes(key Key, content []byte) ([]byte, error) {
	if v.Asymmetric() {
		return v.signPrivate(key.private, content)
	}
	h := newHash(v.Algorithm)()
	if key.macs != nil {
		mac := key.macs.New
		if m, ok := mac().(interface {
			Write([]byte) (int, error)
			Sum([]byte) []byte
		}); ok {
			if _, err := m.Write(content); err != nil {
				return nil, fmt.Errorf("signing: %w", err)
			}
			return m.Sum(nil), nil
		}
	}
	h.Write(content)
	return h.Sum(nil), nil
}

func (v *Verifier) signPrivate(k crypto.Signer, content []byte) ([]byte, error) {
	if _, ok := k.(ed25519.PrivateKey); ok {
		return k.Sign(rand.Reader, content, crypto.Hash(0))
	}
	d := newHash(v.Algorithm)()
	d.Write(content)
	return k.Sign(rand.Reader, d.Sum(nil), rsaHash(v.Algorithm))
}

// rsaHash names the hash for a PKCS 1 v1.5 signature.
func rsaHash(algorithm string) crypto.Hash {
	if strings.HasSuffix(algorithm, "sha1") {
		return crypto.SHA1
	}
	return crypto.SHA256
}

// signToken creates a token with the claims that the scheme requires.
func (v *Verifier) signToken(req *Request, key Key, now time.Time) (string, error) {
	j := v.JWT
	claims := jwt.MapClaims{"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"jti": hex.EncodeToString(newNonce())}
	if v.From.Body {
		claims = jwt.MapClaims{"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
		if err := json.Unmarshal(req.Body, &claims); err != nil {
			return "", fmt.Errorf("signing: the body for the token is not a JSON object: %w", err)
		}
	}
	for _, c := range j.claims {
		for _, t := range c.want {
			if b, err := t.render(nil, &scope{req: req, url: req.PublicURL}); err == nil && len(b) > 0 {
				setClaim(claims, c.Name, string(b))
				break
			}
		}
	}
	for _, h := range j.hashes {
		content := []byte(canonicalRequest(req.Method, req.PublicURL))
		if h.of != nil {
			var err error
			if content, err = h.of.render(nil, &scope{req: req, url: req.PublicURL}); err != nil {
				return "", fmt.Errorf("signing: %w", err)
			}
		}
		sum := sha256.Sum256(content)
		claims[h.Name] = encodeSignature(map[string]string{"hex": "hex", "base64": "base64"}[h.Encoding], sum[:])
		if h.Encoding == "base64url" {
			claims[h.Name] = base64.RawURLEncoding.EncodeToString(sum[:])
		}
	}
	return v.signClaims(req, key, claims)
}

func newNonce() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // crypto/rand never fails; it ends the program instead
	return b
}

func (v *Verifier) signClaims(req *Request, key Key, claims jwt.MapClaims) (string, error) {
	alg := v.JWT.Algorithms[0]
	var with any = key.bytes
	if !strings.HasPrefix(alg, "HS") {
		if key.private == nil {
			return "", ErrNoPrivateKey
		}
		with = key.private
		switch key.private.(type) {
		case *rsa.PrivateKey:
			alg = "RS256"
		case *ecdsa.PrivateKey:
			alg = "ES256"
		case ed25519.PrivateKey:
			alg = "EdDSA"
		}
	}
	method := jwt.GetSigningMethod(alg)
	if v.JWT.Detached {
		head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + alg + `","b64":false,"crit":["b64"]}`))
		sig, err := method.Sign(head+"."+string(req.Body), with)
		if err != nil {
			return "", fmt.Errorf("signing: %w", err)
		}
		return head + ".." + base64.RawURLEncoding.EncodeToString(sig), nil
	}
	text, err := jwt.NewWithClaims(method, claims).SignedString(with)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return text, nil
}

func (r *Request) put(p *Place, value string) {
	switch {
	case p.Header != "":
		r.Header.Set(p.Header, value)
	case len(p.Headers) > 0:
		r.Header.Set(p.Headers[0], value)
	case p.Query != "":
		r.addQuery(p.Query, value)
	}
}

// addQuery sets a parameter, in the public URL too.
func (r *Request) addQuery(name, value string) {
	r.Query.Set(name, value)
	base, _, _ := strings.Cut(r.PublicURL, "?")
	if r.PublicURL != "" {
		r.PublicURL = base + "?" + r.Query.Encode()
	}
}

// Standard returns the scheme of Standard Webhooks (webhook-id, webhook-timestamp,
// webhook-signature), the default for outbound webhooks. Source:
// standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
func Standard() Scheme {
	return Scheme{Variant: "default", Algorithm: "hmac-sha256", KeyEncoding: "whsec_base64", From: Place{Header: "webhook-signature"},
		Encodings: []string{"base64"},
		Parse:     Parse{Format: "space_list", Versions: []string{"v1"}}, SignedContent: []string{"{header:webhook-id}.{timestamp}.{body}"},
		Timestamp: &Timestamp{From: Place{Header: "webhook-timestamp"}, Unit: "unix_s", Tolerance: 5 * time.Minute}}
}

// GitHub returns the scheme of X-Hub-Signature-256. It and Stripe are the other schemes that
// webhook/send offers by name.
func GitHub() Scheme {
	return Scheme{Variant: "github", Algorithm: "hmac-sha256", KeyEncoding: "utf8", From: Place{Header: "X-Hub-Signature-256"},
		Prefix: "sha256=", Encodings: []string{"hex"}, SignedContent: []string{"{body}"}}
}

// Stripe returns the scheme of Stripe-Signature.
func Stripe() Scheme {
	return Scheme{Variant: "stripe", Algorithm: "hmac-sha256", KeyEncoding: "utf8", From: Place{Header: "Stripe-Signature"},
		Encodings:     []string{"hex"},
		Parse:         Parse{Format: "kv_list", Separator: ",", SignatureKeys: []string{"v1"}, TimestampKey: "t"},
		SignedContent: []string{"{timestamp}.{body}"},
		Timestamp:     &Timestamp{From: Place{Field: "t"}, Unit: "unix_s", Tolerance: 5 * time.Minute}}
}

// StandardKey decodes a secret for sending Standard Webhooks. A secret without whsec_ that is not
// base64 is used as text, as Polar and others do.
func (v *Verifier) StandardKey(text string) (Key, error) {
	if text != "" && !strings.HasPrefix(text, "whsec_") {
		plain := *v
		plain.KeyEncoding = "utf8"
		return plain.NewKey(text)
	}
	return v.NewKey(text)
}
