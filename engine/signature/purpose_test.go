package signature_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/hookloom/hookloom/engine/signature"
)

// TestChainForAnotherPurposeIsRefused checks that only certificates with the CA's mark
// for its store are accepted, and only for our app: a CA signs certificates of many kinds, and its
// customers hold some of their keys.
func TestChainForAnotherPurposeIsRefused(t *testing.T) {
	leafMark, middleMark := asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 11, 1}, asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 2, 1}
	rootKey, middleKey, leafKey := newECKey(t), newECKey(t), newECKey(t)
	root := certificate(t, nil, nil, rootKey, rootKey, true)
	for _, c := range []struct {
		name         string
		leaf, middle []asn1.ObjectIdentifier
		bundle       string
		want         bool
	}{
		{"marked, and ours", []asn1.ObjectIdentifier{leafMark}, []asn1.ObjectIdentifier{middleMark}, "com.example.app", true},
		{"another app", []asn1.ObjectIdentifier{leafMark}, []asn1.ObjectIdentifier{middleMark}, "com.attacker.app", false},
		{"no app", []asn1.ObjectIdentifier{leafMark}, []asn1.ObjectIdentifier{middleMark}, "", false},
		{"a leaf for something else", nil, []asn1.ObjectIdentifier{middleMark}, "com.example.app", false},
		{"an issuer for something else", []asn1.ObjectIdentifier{leafMark}, nil, "com.example.app", false},
		{"the marks changed places", []asn1.ObjectIdentifier{middleMark}, []asn1.ObjectIdentifier{leafMark}, "com.example.app", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			middle := certificate(t, c.middle, root, middleKey, rootKey, true)
			leaf := certificate(t, c.leaf, middle, leafKey, middleKey, false)
			sum := sha256.Sum256(root.Raw)
			v := verifier(t, signature.Scheme{Algorithm: "jwt", From: signature.Place{Header: "X-Token"}, Key: &signature.KeySource{Format: "x5c",
				Root:     hex.EncodeToString(sum[:]),
				Purposes: []string{leafMark.String(), middleMark.String()}},
				JWT: &signature.JWT{Algorithms: []string{"ES256"},
					Claims: []signature.Claim{{Name: "data.bundleId", Either: "summary.bundleId other.bundleId", Want: []string{"{param:bundle_id}"}}}}})
			for _, at := range []string{"data", "other"} {
				claims := jwt.MapClaims{"notificationType": "TEST", at: map[string]any{"bundleId": c.bundle}}
				token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
				token.Header["x5c"] = []string{enc64(leaf.Raw), enc64(middle.Raw), enc64(root.Raw)}
				text, err := token.SignedString(leafKey)
				if err != nil {
					t.Fatal(err)
				}
				req := &signature.Request{Method: http.MethodPost, Header: http.Header{"X-Token": {text}},
					Params: map[string]string{"bundle_id": "com.example.app"}}
				if got := v.Verify(req, []signature.Key{{}}, time.Now()); got.OK() != c.want {
					t.Errorf("%s: %q %s", at, got.Reason, got.Detail)
				}
			}
		})
	}
}

func enc64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// certificate creates a certificate with marks, signed with its parent's key.
func certificate(t *testing.T, marks []asn1.ObjectIdentifier, parent *x509.Certificate, key, signer *ecdsa.PrivateKey,
	authority bool) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: authority, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	for _, m := range marks {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: m, Value: []byte{5, 0}})
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
