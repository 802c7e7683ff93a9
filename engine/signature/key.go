package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // a provider's legacy scheme
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // GitHub's and others' older schemes are HMAC-SHA1
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"html"
	"math/big"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"
)

// ErrEmptyKey means that a secret is empty: with it every sender could sign.
var ErrEmptyKey = errors.New("the secret is empty")

// Key is a configured secret, or a pinned public key.
type Key struct {
	// Text is the secret as configured; it is never shown.
	Text   string
	bytes  []byte
	public []PublicKey
	// private is set if a private key was configured, to try out a scheme.
	private crypto.Signer
	macs    *sync.Pool
}

// PublicKey is a verification key with its id, if it has one.
type PublicKey struct {
	ID  string
	Key crypto.PublicKey
}

// NewKey decodes a secret for this scheme.
func (v *Verifier) NewKey(text string) (Key, error) {
	if text == "" {
		return Key{}, ErrEmptyKey
	}
	if v.Asymmetric() {
		return v.newPublicKey(text)
	}
	b, err := DecodeKey(v.KeyEncoding, text)
	if err != nil {
		return Key{Text: text}, err
	}
	k := Key{Text: text, bytes: b}
	if strings.HasPrefix(v.Algorithm, "hmac-") {
		make := newHash(v.Algorithm)
		k.macs = &sync.Pool{New: func() any { return hmac.New(make, b) }}
	}
	return k, nil
}

// newPublicKey parses a public key, a certificate, a JWK or JWKS. A private key in PEM is used for
// its public key: hookloom send can then sign.
func (v *Verifier) newPublicKey(text string) (Key, error) {
	k := Key{Text: text}
	if strings.Contains(text, "-----BEGIN") {
		text = strings.ReplaceAll(text, `\n`, "\n") // PEM on one line, as .env holds it
	}
	switch {
	case strings.Contains(text, "PRIVATE KEY-----"):
		signer, err := parsePrivate(text)
		if err != nil {
			return k, err
		}
		k.private, k.public = signer, []PublicKey{{Key: signer.Public()}}
	case strings.HasPrefix(strings.TrimSpace(text), "{"):
		keys, err := parseJWKS([]byte(text))
		if err != nil {
			return k, err
		}
		k.public = keys
	default:
		p, err := parsePublic(v.KeyEncoding, text)
		if err != nil {
			return k, err
		}
		k.public = []PublicKey{{Key: p}}
	}
	for _, p := range k.public {
		if err := v.fits(p.Key); err != nil {
			return k, err
		}
	}
	return k, nil
}

// fits reports whether a public key fits the algorithm and is strong enough.
func (v *Verifier) fits(p crypto.PublicKey) error {
	ok := false
	switch x := p.(type) {
	case ed25519.PublicKey:
		ok = (v.Algorithm == "ed25519" || v.Algorithm == "jwt") && len(x) == ed25519.PublicKeySize && !lowOrder(x)
	case *ecdsa.PublicKey:
		ok = (strings.HasPrefix(v.Algorithm, "ecdsa-") || v.Algorithm == "jwt") && x.Curve == elliptic.P256()
	case *rsa.PublicKey:
		ok = (strings.HasPrefix(v.Algorithm, "rsa-") || v.Algorithm == "jwt") && x.N.BitLen() >= 2048
	}
	if !ok {
		return fmt.Errorf("the key cannot be used with %s (Ed25519, P-256, or RSA of 2048 bits and more)", v.Algorithm)
	}
	return nil
}

// lowOrder refuses the small-order points of Curve25519: with such a key a signature can be valid
// for many messages. Source: Chalkias et al., Taming the many EdDSAs, 2020, table of small-order
// points.
func lowOrder(k ed25519.PublicKey) bool {
	for _, p := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"} {
		if hex.EncodeToString(k) == p {
			return true
		}
	}
	return false
}

// DecodeKey decodes a configured secret to key bytes.
func DecodeKey(encoding, text string) ([]byte, error) {
	if text == "" {
		return nil, ErrEmptyKey
	}
	var key []byte
	var err error
	switch encoding {
	case "", "utf8":
		key = []byte(text)
	case "base64":
		key, err = decodeBase64(text)
	case "hex":
		key, err = hex.DecodeString(text)
	case "whsec_base64":
		// Standard Webhooks: the key follows whsec_, in base64. Supabase puts v1, before it.
		key, err = decodeBase64(strings.TrimPrefix(strings.TrimPrefix(text, "v1,"), "whsec_"))
	case "html_unescaped":
		key = []byte(html.UnescapeString(text))
	case "nfkd":
		key = norm.NFKD.Bytes([]byte(text))
	case "sha1_of_key":
		sum := sha1.Sum([]byte(text))
		key = sum[:]
	case "sha256_hex_of_key":
		sum := sha256.Sum256([]byte(text))
		key = []byte(hex.EncodeToString(sum[:]))
	default:
		return nil, fmt.Errorf("key encoding %q is not known", encoding)
	}
	if err != nil {
		// The decoder's own error would quote a character of the secret.
		hint := ""
		if strings.TrimSpace(text) != text || strings.Trim(text, `"'`) != text {
			hint = ": it is surrounded by white space or quotes"
		}
		return nil, fmt.Errorf("the secret is not valid %s%s", encoding, hint)
	}
	if len(key) == 0 {
		return nil, ErrEmptyKey
	}
	return key, nil
}

func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if b, err := base64.RawStdEncoding.DecodeString(s); err == nil {
		return b, nil
	}
	return base64.RawURLEncoding.DecodeString(s)
}

func parsePrivate(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the private key is not PEM")
	}
	if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
	}
	if k, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key is neither PKCS 8, PKCS 1 nor SEC 1")
	}
	return k, nil
}

// parsePublic parses a public key as the provider shows it. PEM is accepted with any encoding.
func parsePublic(encoding, text string) (crypto.PublicKey, error) {
	if strings.Contains(text, "-----BEGIN") {
		return parsePEM([]byte(text))
	}
	var raw []byte
	var err error
	switch encoding {
	case "hex_public_key":
		raw, err = hex.DecodeString(text)
	case "whpk_base64":
		raw, err = decodeBase64(strings.TrimPrefix(text, "whpk_"))
	default:
		raw, err = decodeBase64(text)
	}
	if err != nil {
		return nil, fmt.Errorf("the public key is not valid %s", encoding)
	}
	if len(raw) == ed25519.PublicKeySize {
		return ed25519.PublicKey(raw), nil
	}
	k, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("the public key does not match %s: it has %d bytes and is not a SubjectPublicKeyInfo", encoding, len(raw))
	}
	return k, nil
}

// parsePEM parses a public key or the key of a certificate.
func parsePEM(text []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	if block.Type == "CERTIFICATE" {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate: %w", err)
		}
		return c.PublicKey, nil
	}
	if k, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS1PublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block contains no public key")
	}
	return k, nil
}

// jwk is one key of RFC 7517 with the members of RFC 7518 and RFC 8037.
type jwk struct {
	Kty, Kid, Crv, N, E, X, Y string
	// Expired is Plaid's expired_at, in Unix seconds.
	Expired *float64 `json:"expired_at"`
}

// parseJWKS parses a JWK Set, or one JWK.
func parseJWKS(text []byte) ([]PublicKey, error) {
	var set struct {
		Keys []jwk
		jwk
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("the key set is not JSON")
	}
	var out []PublicKey
	for _, k := range append(set.Keys, set.jwk) { // a set has no members of a key
		if k.Expired != nil {
			continue
		}
		if p := k.public(); p != nil {
			out = append(out, PublicKey{ID: k.Kid, Key: p})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the key set has no supported public key")
	}
	return out, nil
}

func (k *jwk) public() crypto.PublicKey {
	decode := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		if err != nil {
			return nil
		}
		return b
	}
	switch k.Kty {
	case "RSA":
		n, e := new(big.Int).SetBytes(decode(k.N)), new(big.Int).SetBytes(decode(k.E))
		if n.BitLen() < 2048 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return nil
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}
	case "EC":
		x, y := decode(k.X), decode(k.Y)
		if k.Crv != "P-256" || len(x) > 32 || len(y) > 32 {
			return nil
		}
		point := make([]byte, 65)
		point[0] = 4
		copy(point[33-len(x):33], x)
		copy(point[65-len(y):], y)
		p, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil
		}
		return p
	case "OKP":
		if b := decode(k.X); k.Crv == "Ed25519" && len(b) == ed25519.PublicKeySize {
			return ed25519.PublicKey(b)
		}
	}
	return nil
}

func newHash(algorithm string) func() hash.Hash {
	switch strings.TrimPrefix(algorithm, "hmac-") {
	case "sha1", "rsa-sha1", "ecdsa-sha1":
		return sha1.New
	case "sha384":
		return sha512.New384
	case "sha512":
		return sha512.New
	case "md5":
		return md5.New
	}
	return sha256.New
}

// empty reports whether nothing was configured: the provider's own key is fetched.
func (k *Key) empty() bool { return len(k.bytes) == 0 && len(k.public) == 0 }
