package signature

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// KeySource says where a provider publishes its signing key. Every URL must be https and on a
// pinned host, whatever the request contains.
type KeySource struct {
	// URL and Body are templates; {kid} is the key's id, {param:x} configuration. In Body
	// the braces of JSON are doubled: see EscapeJSON.
	// An empty Method is GET.
	Method, URL, Body string
	Headers           map[string]string
	// Hosts are patterns that the full host name must match.
	Hosts []string
	// Suffix is the required end of the path; empty accepts any.
	Suffix string
	// Format is jwks, jwk, pem, x509, or x5c (the chain inside the token).
	Format string
	// At is the dot path of the key in a JSON response.
	At string
	// KID is a template of the key's id, if no token contains it.
	KID string
	// Chain reports whether a certificate must lead to a root that the system trusts.
	Chain bool
	// Root is the SHA-256 fingerprint, in hex, of the root of an x5c chain.
	Root string
	// Purposes are the object identifiers of extensions that the certificates of an
	// x5c chain must have, the first certificate's first.
	Purposes []string
	// Cache is how long a response is cached.
	Cache time.Duration
	// Token obtains an access token first, by client credentials.
	Token *TokenSource
}

// TokenSource is an OAuth 2.0 client credentials grant (RFC 6749, section 4.4).
type TokenSource struct {
	URL, ID, Secret, Scope string
}

// ErrUnavailable is wrapped if a key cannot be fetched now: the sender should retry.
var ErrUnavailable = errors.New("the provider's key cannot be fetched")

func (v *Verifier) compileKey() error {
	if v.Key == nil {
		return nil
	}
	for _, h := range v.Key.Hosts {
		re, err := regexp.Compile(`^(?:` + h + `)$`)
		if err != nil {
			return fmt.Errorf("key.hosts: %w", err)
		}
		v.hosts = append(v.hosts, re)
	}
	if _, err := ParseTemplate(v.Key.URL); err != nil {
		return fmt.Errorf("key.url: %w", err)
	}
	return nil
}

// hosted reports whether a URL is https on one of the hosts, without user, port or fragment.
func hosted(raw string, hosts []*regexp.Regexp, suffix string) (*url.URL, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" || u.Fragment != "" || !strings.HasSuffix(u.Path, suffix) {
		return nil, false
	}
	for _, re := range hosts {
		if re.MatchString(strings.ToLower(u.Host)) {
			return u, true
		}
	}
	return nil, false
}

// fetched returns the provider's keys for a request.
func (v *Verifier) fetched(req *Request, kid string, now time.Time) ([]PublicKey, error) {
	k := v.Key
	text, err := fill(k.URL, req, kid)
	if err != nil {
		return nil, fmt.Errorf("key.url: %w", err)
	}
	u, ok := hosted(text, v.hosts, k.Suffix)
	if !ok {
		return nil, fmt.Errorf("the key's address is not on a pinned https host: %.200q", text)
	}
	body, err := fill(k.Body, req, kid)
	if err != nil {
		return nil, fmt.Errorf("%w: %v under params", ErrUnavailable, err)
	}
	ctx := req.Context
	if ctx == nil {
		ctx = context.Background()
	}
	return v.cache.get(ctx, u.String()+"\n"+body, kid, now, max(k.Cache, time.Minute), func(ctx context.Context) ([]PublicKey, error) {
		return v.fetchNow(ctx, req, u, body, kid)
	})
}

func fill(text string, req *Request, kid string) (string, error) {
	t, err := ParseTemplate(text)
	if err != nil {
		return "", err
	}
	b, err := t.render(nil, &scope{req: req, url: req.PublicURL, kid: kid})
	return string(b), err
}

func (v *Verifier) fetchNow(ctx context.Context, req *Request, u *url.URL, body, kid string) ([]PublicKey, error) {
	if req.Fetch == nil {
		return nil, fmt.Errorf("%w: there is no network here", ErrUnavailable)
	}
	r, err := http.NewRequestWithContext(ctx, v.Key.Method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("requesting the key: %w", err)
	}
	for name, text := range v.Key.Headers {
		value, err := fill(text, req, kid)
		if err != nil {
			return nil, fmt.Errorf("%w: %v under params", ErrUnavailable, err)
		}
		r.Header.Set(name, value)
	}
	if v.Key.Token != nil {
		token, err := v.Key.Token.get(ctx, req)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	document, err := req.Fetch(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return v.readKeys(document)
}

// get requests an access token.
func (t *TokenSource) get(ctx context.Context, req *Request) (string, error) {
	id, err := fill(t.ID, req, "")
	if err != nil {
		return "", fmt.Errorf("%w: %v under params", ErrUnavailable, err)
	}
	secret, err := fill(t.Secret, req, "")
	if err != nil {
		return "", fmt.Errorf("%w: %v under params", ErrUnavailable, err)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {t.Scope}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("requesting a token: %w", err)
	}
	r.SetBasicAuth(id, secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	document, err := req.Fetch(ctx, r)
	if err != nil {
		return "", fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(document, &out) != nil || out.AccessToken == "" {
		return "", fmt.Errorf("%w: the response has no access_token", ErrUnavailable)
	}
	return out.AccessToken, nil
}

// readKeys parses a fetched document. It ignores keys that do not fit the algorithm.
func (v *Verifier) readKeys(document []byte) ([]PublicKey, error) {
	if v.Key.At != "" {
		for _, k := range strings.Split(v.Key.At, ".") {
			var m map[string]json.RawMessage
			if err := json.Unmarshal(document, &m); err != nil {
				return nil, fmt.Errorf("%w: the response is not JSON", ErrUnavailable)
			}
			document = m[k]
		}
		var text string
		if json.Unmarshal(document, &text) == nil {
			document = []byte(text)
		}
	}
	var keys []PublicKey
	var err error
	switch v.Key.Format {
	case "jwks", "jwk":
		keys, err = parseJWKS(document)
	case "x509":
		keys, err = certificateKeys(document, v.Key.Chain)
	default:
		if !bytes.Contains(document, []byte("-----BEGIN")) {
			// eBay sends only the base64, with the PEM markers on the same line or missing.
			document = []byte("-----BEGIN PUBLIC KEY-----\n" + string(bytes.TrimSpace(document)) + "\n-----END PUBLIC KEY-----\n")
		}
		var k any
		k, err = parsePEM(fixArmour(document))
		keys = []PublicKey{{Key: k}}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	var fit []PublicKey
	for _, k := range keys {
		if v.fits(k.Key) == nil {
			fit = append(fit, k)
		}
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("%w: it has no key for %s", ErrUnavailable, v.Algorithm)
	}
	return fit, nil
}

// fixArmour restores the line breaks of PEM, which some APIs send as one line.
func fixArmour(b []byte) []byte {
	s := strings.NewReplacer("-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----\n", "-----END PUBLIC KEY-----",
		"\n-----END PUBLIC KEY-----\n").Replace(string(b))
	return []byte(s)
}

// certificateKeys returns the key of the first certificate; the others may lead to
// its root.
func certificateKeys(document []byte, chain bool) ([]PublicKey, error) {
	var certs []*x509.Certificate
	for rest := document; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate: %w", err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("the document contains no certificate")
	}
	if chain {
		middle := x509.NewCertPool()
		for _, c := range certs[1:] {
			middle.AddCert(c)
		}
		if _, err := certs[0].Verify(x509.VerifyOptions{Intermediates: middle, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			return nil, fmt.Errorf("the certificate does not chain to a trusted root: %w", err)
		}
	}
	if _, ok := certs[0].PublicKey.(*rsa.PublicKey); !ok {
		return nil, errors.New("the certificate's key is not RSA")
	}
	return []PublicKey{{Key: certs[0].PublicKey}}, nil
}

// checkChain checks a token's own chain up to the pinned root, as of a moment. The first
// certificate's key has signed the token.
func checkChain(der [][]byte, root string, now time.Time) ([]*x509.Certificate, error) {
	if len(der) < 2 || len(der) > 8 {
		return nil, errors.New("x5c is not a certificate chain")
	}
	sum := sha256.Sum256(der[len(der)-1])
	if hex.EncodeToString(sum[:]) != root {
		return nil, errors.New("x5c does not end in the pinned root")
	}
	var certs []*x509.Certificate
	for _, d := range der {
		c, err := x509.ParseCertificate(d)
		if err != nil {
			return nil, fmt.Errorf("x5c: %w", err)
		}
		// Apple's leaf carries private extensions that are marked as critical; they
		// are Apple's own purpose markers and say nothing about the chain.
		c.UnhandledCriticalExtensions = nil
		certs = append(certs, c)
	}
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(certs[len(certs)-1])
	for _, c := range certs[1 : len(certs)-1] {
		middle.AddCert(c)
	}
	if _, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return nil, fmt.Errorf("x5c: %w", err)
	}
	return certs, nil
}
