package signature_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// keyPairs are signing keys of each kind.
type keyPairs struct {
	ed               ed25519.PrivateKey
	p256, p384       *ecdsa.PrivateKey
	rsa2048, rsa1024 *rsa.PrivateKey
}

func newKeyPairs(t *testing.T) keyPairs {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0") // a short key, which must be refused
	var k keyPairs
	var errs [5]error
	_, k.ed, errs[0] = ed25519.GenerateKey(rand.Reader)
	k.p256, errs[1] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, errs[2] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.rsa2048, errs[3] = rsa.GenerateKey(rand.Reader, 2048)
	k.rsa1024, errs[4] = rsa.GenerateKey(rand.Reader, 1024)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return k
}

func pemText(kind string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func spki(t *testing.T, k crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// jwkOf encodes a public key like RFC 7517 and RFC 7518.
func jwkOf(k crypto.PublicKey, more map[string]any) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	out := map[string]any{}
	switch x := k.(type) {
	case *rsa.PublicKey:
		out = map[string]any{"kty": "RSA", "n": b64(x.N.Bytes()), "e": b64(big.NewInt(int64(x.E)).Bytes())}
	case *ecdsa.PublicKey:
		b, err := x.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(b) / 2
		out = map[string]any{"kty": "EC", "crv": x.Curve.Params().Name, "x": b64(b[1 : 1+half]), "y": b64(b[1+half:])}
	case ed25519.PublicKey:
		out = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(x)}
	}
	for n, v := range more {
		out[n] = v
	}
	return out
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// verifies signs a body with a private key by a scheme, and reports whether a configured key
// verifies it.
func verifies(t *testing.T, algorithm, encoding, private, configured string) bool {
	t.Helper()
	s := signature.Scheme{Algorithm: algorithm, KeyEncoding: encoding, From: signature.Place{Header: "X-S"}, Encodings: []string{"base64"},
		SignedContent: []string{"{body}"}}
	v := verifier(t, s)
	req := request("body")
	if _, err := v.Sign(req, key(t, v, private), now); err != nil {
		t.Fatal(err)
	}
	k, err := v.NewKey(configured)
	return err == nil && v.Verify(req, []signature.Key{k}, now).OK()
}

// TestPublicKeyIsReadInEachFormatOfProviders includes private keys in each format of openssl.
func TestPublicKeyIsReadInEachFormatOfProviders(t *testing.T) {
	k := newKeyPairs(t)
	pkcs8 := func(x any) string {
		der, err := x509.MarshalPKCS8PrivateKey(x)
		return pemText("PRIVATE KEY", der, err)
	}
	sec1, err := x509.MarshalECPrivateKey(k.p256)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: now,
		NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, &k.rsa2048.PublicKey, k.rsa2048)
	if err != nil {
		t.Fatal(err)
	}
	edPublic := k.ed.Public().(ed25519.PublicKey)
	edPEM := pemText("PUBLIC KEY", spki(t, edPublic), nil)
	b64 := base64.StdEncoding.EncodeToString
	rsaText, ecText, edText := pkcs8(k.rsa2048), pkcs8(k.p256), pkcs8(k.ed)
	for name, c := range map[string][4]string{
		"hex":                  {"ed25519", "hex_public_key", edText, hex.EncodeToString(edPublic)},
		"whpk":                 {"ed25519", "whpk_base64", edText, "whpk_" + b64(edPublic)},
		"base64":               {"ed25519", "base64_public_key", edText, b64(edPublic)},
		"base64 for URLs":      {"ed25519", "base64_public_key", edText, base64.RawURLEncoding.EncodeToString(edPublic)},
		"SubjectPublicKeyInfo": {"ecdsa-p256-sha256", "base64_spki_public_key", ecText, b64(spki(t, &k.p256.PublicKey))},
		"PEM":                  {"ed25519", "pem_public_key", edText, edPEM},
		"PEM in one line":      {"ed25519", "pem_public_key", edText, strings.ReplaceAll(edPEM, "\n", `\n`)},
		"PEM whatever is said": {"ed25519", "hex_public_key", edText, edPEM},
		"PKCS 1": {"rsa-sha256", "pem_public_key", rsaText, pemText("RSA PUBLIC KEY",
			x509.MarshalPKCS1PublicKey(&k.rsa2048.PublicKey), nil)},
		"a certificate":               {"rsa-sha256", "pem_public_key", rsaText, pemText("CERTIFICATE", der, nil)},
		"SHA-1 of RSA":                {"rsa-sha1", "pem_public_key", rsaText, pemText("CERTIFICATE", der, nil)},
		"SHA-1 of ECDSA":              {"ecdsa-sha1", "pem_public_key", ecText, pemText("PUBLIC KEY", spki(t, &k.p256.PublicKey), nil)},
		"one JWK":                     {"rsa-sha256", "pem_public_key", rsaText, jsonText(jwkOf(&k.rsa2048.PublicKey, nil))},
		"a JWK of P-256":              {"ecdsa-p256-sha256", "pem_public_key", ecText, jsonText(jwkOf(&k.p256.PublicKey, nil))},
		"a JWK of Ed25519":            {"ed25519", "pem_public_key", edText, jsonText(jwkOf(edPublic, nil))},
		"a set":                       {"ed25519", "pem_public_key", edText, jsonText(map[string]any{"keys": []any{jwkOf(edPublic, nil)}})},
		"the private key as PKCS 1":   {"rsa-sha256", "", rsaText, pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa2048), nil)},
		"the private key as SEC 1":    {"ecdsa-p256-sha256", "", ecText, pemText("EC PRIVATE KEY", sec1, nil)},
		"the private key in one line": {"ed25519", "", edText, strings.ReplaceAll(edText, "\n", `\n`)},
	} {
		if !verifies(t, c[0], c[1], c[2], c[3]) {
			t.Errorf("%s does not prove a genuine request", name)
		}
	}
}

// TestWeakOrUnsuitableKeyIsRefused checks keys that are too short, of another kind, or with which
// a signature is valid for many messages.
func TestWeakOrUnsuitableKeyIsRefused(t *testing.T) {
	k := newKeyPairs(t)
	edPublic := k.ed.Public().(ed25519.PublicKey)
	public := func(x crypto.PublicKey) string { return pemText("PUBLIC KEY", spki(t, x), nil) }
	for name, c := range map[string][3]string{
		"RSA of 1024 bits":    {"rsa-sha256", "pem_public_key", public(&k.rsa1024.PublicKey)},
		"P-384":               {"ecdsa-p256-sha256", "pem_public_key", public(&k.p384.PublicKey)},
		"RSA for Ed25519":     {"ed25519", "pem_public_key", public(&k.rsa2048.PublicKey)},
		"Ed25519 for RSA":     {"rsa-sha256", "pem_public_key", public(edPublic)},
		"P-256 for RSA":       {"rsa-sha256", "pem_public_key", public(&k.p256.PublicKey)},
		"RSA for ECDSA":       {"ecdsa-p256-sha256", "pem_public_key", public(&k.rsa2048.PublicKey)},
		"no PEM inside":       {"rsa-sha256", "pem_public_key", "-----BEGIN PUBLIC KEY-----\nx"},
		"PEM of something":    {"rsa-sha256", "pem_public_key", pemText("PUBLIC KEY", []byte("x"), nil)},
		"no certificate":      {"rsa-sha256", "pem_public_key", pemText("CERTIFICATE", []byte("x"), nil)},
		"no private key":      {"rsa-sha256", "pem_public_key", pemText("PRIVATE KEY", []byte("x"), nil)},
		"an unended private":  {"rsa-sha256", "pem_public_key", "-----BEGIN PRIVATE KEY-----\nx"},
		"no hex":              {"ed25519", "hex_public_key", "xyz"},
		"31 bytes":            {"ed25519", "hex_public_key", hex.EncodeToString(edPublic[:31])},
		"a key set in pieces": {"rsa-sha256", "pem_public_key", `{"keys": [`},
		"an empty set":        {"rsa-sha256", "pem_public_key", `{"keys": []}`},
		"no key set":          {"rsa-sha256", "pem_public_key", `{}`},
		"a JWK of 1024 bits":  {"rsa-sha256", "pem_public_key", jsonText(jwkOf(&k.rsa1024.PublicKey, nil))},
		"a JWK with e 1":      {"rsa-sha256", "pem_public_key", jsonText(jwkOf(&rsa.PublicKey{N: k.rsa2048.N, E: 1}, nil))},
		"a JWK with e 2":      {"rsa-sha256", "pem_public_key", jsonText(jwkOf(&rsa.PublicKey{N: k.rsa2048.N, E: 2}, nil))},
		"a JWK with large e":  {"rsa-sha256", "pem_public_key", jsonText(jwkOf(&rsa.PublicKey{N: k.rsa2048.N, E: 1 << 31}, nil))},
		"a JWK with huge e": {"rsa-sha256", "pem_public_key", jsonText(jwkOf(&k.rsa2048.PublicKey,
			map[string]any{"e": "AQAAAAAAAAAAAQ"}))},
		"a JWK without n":      {"rsa-sha256", "pem_public_key", jsonText(jwkOf(&k.rsa2048.PublicKey, map[string]any{"n": "%"}))},
		"a JWK of P-384":       {"ecdsa-p256-sha256", "pem_public_key", jsonText(jwkOf(&k.p384.PublicKey, nil))},
		"P-384 called P-256":   {"ecdsa-p256-sha256", "pem_public_key", jsonText(jwkOf(&k.p384.PublicKey, map[string]any{"crv": "P-256"}))},
		"a point off the line": {"ecdsa-p256-sha256", "pem_public_key", jsonText(jwkOf(&k.p256.PublicKey, map[string]any{"x": "AAAA"}))},
		"Ed25519 called X":     {"ed25519", "pem_public_key", jsonText(jwkOf(edPublic, map[string]any{"crv": "X25519"}))},
		"a short Ed25519":      {"ed25519", "pem_public_key", jsonText(jwkOf(edPublic[:31], nil))},
		"a symmetric JWK":      {"rsa-sha256", "pem_public_key", `{"kty": "oct", "k": "c2VjcmV0"}`},
		"an expired JWK":       {"ed25519", "pem_public_key", jsonText(jwkOf(edPublic, map[string]any{"expired_at": 1.5}))},
	} {
		v := verifier(t, signature.Scheme{Algorithm: c[0], KeyEncoding: c[1], From: signature.Place{Header: "X-S"},
			Encodings:     []string{"hex"},
			SignedContent: []string{"{body}"}})
		if _, err := v.NewKey(c[2]); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	v := verifier(t, signature.Scheme{Algorithm: "ed25519", KeyEncoding: "hex_public_key", From: signature.Place{Header: "X-S"},
		Encodings: []string{"hex"}, SignedContent: []string{"{body}"}})
	for _, point := range []string{"01" + strings.Repeat("00", 31), strings.Repeat("00", 32), strings.Repeat("00", 31) + "80",
		"ec" + strings.Repeat("ff", 30) + "7f"} {
		if _, err := v.NewKey(point); err == nil {
			t.Errorf("the point of small order %s is taken", point)
		}
	}
}

// TestAJWKWithShortCoordinatesIsTheSameKey is for senders that omit leading zeros, although RFC
// 7518, 6.2.1.2 requires 32 bytes.
func TestAJWKWithShortCoordinatesIsTheSameKey(t *testing.T) {
	var k *ecdsa.PrivateKey
	var x, y []byte
	for range 5000 {
		var err error
		if k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
		b, err := k.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if x, y = b[1:33], b[33:]; x[0] == 0 || y[0] == 0 {
			break
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	text := jsonText(map[string]string{"kty": "EC", "crv": "P-256", "x": base64.RawURLEncoding.EncodeToString(bytes.TrimLeft(x, "\x00")),
		"y": base64.URLEncoding.EncodeToString(bytes.TrimLeft(y, "\x00"))})
	if !verifies(t, "ecdsa-p256-sha256", "", pemText("PRIVATE KEY", der, err), text) {
		t.Errorf("%s does not prove what its key signed", text)
	}
}

// TestSecretIsDecodedInEachEncoding checks each encoding.
func TestSecretIsDecodedInEachEncoding(t *testing.T) {
	for _, c := range []struct{ encoding, text, key string }{
		{"", "abc", "abc"}, {"utf8", "abc=", "abc="},
		{"base64", "YWI_", "ab?"}, {"base64", "YWI/", "ab?"}, {"base64", "YWI=", "ab"}, {"base64", "YWI", "ab"},
		{"hex", "6162", "ab"}, {"whsec_base64", "whsec_YWI=", "ab"}, {"whsec_base64", "v1,whsec_YWI=", "ab"}, {"whsec_base64", "YWI", "ab"},
		{"html_unescaped", "a&amp;b", "a&b"}, {"nfkd", "é", "e\u0301"},
		{"sha1_of_key", "abc", "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d"}, // FIPS 180, "abc"
		{"sha256_hex_of_key", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	} {
		if got, err := signature.DecodeKey(c.encoding, c.text); err != nil || string(got) != c.key {
			t.Errorf("%s of %q: %q, %v", c.encoding, c.text, got, err)
		}
	}
	for _, c := range []struct{ encoding, text, hint string }{
		{"", "", "empty"}, {"base64", "=", "empty"}, {"base64", "%", "not valid base64"}, {"hex", "6", "not valid hex"},
		{"hex", " 61", "white space or quotes"}, {"hex", `"61"`, "white space or quotes"}, {"rot13", "abc", "not known"},
	} {
		got, err := signature.DecodeKey(c.encoding, c.text)
		if err == nil || !strings.Contains(err.Error(), c.hint) || len(c.text) > 1 && strings.Contains(err.Error(), c.text) {
			t.Errorf("%s of %q: %q, %v", c.encoding, c.text, got, err)
		}
		if c.hint != "white space or quotes" && err != nil && strings.Contains(err.Error(), "white space") {
			t.Errorf("%s of %q: there is no white space: %v", c.encoding, c.text, err)
		}
	}
}
