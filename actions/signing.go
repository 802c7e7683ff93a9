package actions

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file signs outbound webhooks: by Standard Webhooks with a secret or a private key, by other
// schemes, or by one that the step defines.

// maxSigningKeys is the maximum number of secrets that sign a webhook during key rotation.
const maxSigningKeys = 5

// sign adds the signatures of all keys to an order. During rotation receivers may have the old or
// the new key, so schemes that allow several signatures get one for each.
func sign(o *order, scheme string, own, secret any) error {
	keys, ok := secret.([]any)
	if !ok && secret != nil {
		keys = []any{secret}
	}
	if len(keys) == 0 {
		if own != nil || scheme != "" {
			return plan.Permanent("no_credential", "the webhook cannot be signed: secret: is missing")
		}
		return nil
	}
	if len(keys) > maxSigningKeys {
		return plan.Permanent("invalid_request", "secret: at most %d keys sign one webhook", maxSigningKeys)
	}
	now := time.Now()
	var place, separator, joined string
	for i, k := range keys {
		s, err := schemeOf(scheme, own, value.Shown(k))
		if err != nil {
			return err
		}
		place, separator = s.From.Header, map[string]string{"space_list": " ", "kv_list": ","}[s.Parse.Format]
		if i > 0 && (separator == "" || own != nil) {
			return plan.Permanent("invalid_request", "this scheme carries one signature: give secret: one key, not %d", len(keys))
		}
		one, err := signature1(o, s, value.Shown(k), now)
		switch {
		case err != nil:
			return err
		case i == 0:
			joined = one
		case s.Parse.Format == "kv_list": // the time is already in it
			_, rest, _ := strings.Cut(one, ",")
			joined += "," + rest
		default:
			joined += separator + one
		}
	}
	if place == "" {
		return nil // in the query
	}
	return setHeader(o.header, place, joined)
}

// signature1 signs with one key and returns the value of the scheme's header.
func signature1(o *order, s signature.Scheme, secret string, now time.Time) (string, error) {
	v, err := signature.Compile(s)
	if err != nil {
		return "", plan.Permanent("invalid_request", "signing: %v", err)
	}
	var key signature.Key
	switch {
	case s.Algorithm == "ed25519":
		key, err = v.NewKey(privateKey(secret))
	case s.KeyEncoding == "whsec_base64":
		key, err = v.StandardKey(secret)
	default:
		key, err = v.NewKey(secret)
	}
	if err != nil {
		return "", plan.Permanent("no_credential", "secret: %v", err)
	}
	u, err := target(o.url)
	if err != nil {
		return "", err
	}
	r := &signature.Request{Method: o.method, Header: o.header, Body: o.body, Query: u.Query(), PublicURL: o.url}
	if _, err := v.Sign(r, key, now); err != nil {
		return "", plan.Permanent("invalid_request", "signing: %v", err)
	}
	if s.From.Query != "" {
		u.RawQuery = r.Query.Encode()
		o.url = u.String()
	}
	return o.header.Get(s.From.Header), nil
}

// privateKey converts a key of Standard Webhooks (whsk_ and base64 of the 32 bytes of the seed, or
// of 64 with the public key) to PEM; PEM is unchanged.
func privateKey(secret string) string {
	rest, isStandard := strings.CutPrefix(strings.TrimSpace(secret), "whsk_")
	raw, err := base64.StdEncoding.DecodeString(rest)
	if !isStandard || err != nil || len(raw) != ed25519.SeedSize && len(raw) != ed25519.PrivateKeySize {
		return secret
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize]))
	if err != nil {
		return secret
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// schemeOf returns the scheme by its name, or as the step defines it. With a private key it is the
// asymmetric form of Standard Webhooks (v1a).
func schemeOf(name string, own any, secret string) (signature.Scheme, error) {
	if own != nil {
		return ownScheme(own)
	}
	switch name {
	case "github":
		return signature.GitHub(), nil
	case "stripe":
		return signature.Stripe(), nil
	}
	s := signature.Standard()
	if strings.HasPrefix(strings.TrimSpace(secret), "whsk_") || strings.Contains(secret, "PRIVATE KEY-----") {
		s.Algorithm, s.KeyEncoding, s.Parse.Versions = "ed25519", "base64_public_key", []string{"v1a"}
	}
	return s, nil
}

// ownScheme reads signing:, which has the keys of a trigger's verify: that a sender needs.
func ownScheme(v any) (signature.Scheme, error) {
	var s signature.Scheme
	var problem error
	read := func(what string, v any, into map[string]func(any)) {
		m, ok := v.(map[string]any)
		if !ok {
			problem = plan.Permanent("invalid_request", "%s is a map", what)
		}
		for k, x := range m {
			if set := into[k]; set != nil {
				set(x)
			} else if problem == nil {
				problem = plan.Permanent("invalid_request", "%s has no key %q; known are %s", what, clipName(clip(k, 40)),
					strings.Join(slices.Sorted(maps.Keys(into)), ", "))
			}
		}
	}
	place := func(what string, to *signature.Place) func(any) {
		return func(v any) {
			read(what, v, map[string]func(any){"header": func(x any) { to.Header = http.CanonicalHeaderKey(value.Shown(x)) },
				"query": func(x any) { to.Query = value.Shown(x) }})
		}
	}
	read("signing", v, map[string]func(any){
		"algorithm":      func(x any) { s.Algorithm = value.Shown(x) },
		"key_encoding":   func(x any) { s.KeyEncoding = value.Shown(x) },
		"signed_content": func(x any) { s.SignedContent = []string{value.Shown(x)} },
		"signature": func(x any) {
			read("signing.signature", x, map[string]func(any){"from": place("signing.signature.from", &s.From),
				"prefix": func(x any) { s.Prefix = value.Shown(x) }, "encoding": func(x any) { s.Encodings = []string{value.Shown(x)} }})
		},
		"timestamp": func(x any) {
			s.Timestamp = &signature.Timestamp{Unit: "unix_s"}
			read("signing.timestamp", x, map[string]func(any){"from": place("signing.timestamp.from", &s.Timestamp.From),
				"unit": func(x any) { s.Timestamp.Unit = value.Shown(x) }})
		},
	})
	switch {
	case problem != nil:
		return s, problem
	case s.From.Header == "" && s.From.Query == "":
		return s, plan.Permanent("invalid_request", "signing needs signature: {from: {header: NAME}}")
	}
	if s.Algorithm == "" {
		s.Algorithm = "hmac-sha256"
	}
	if s.Algorithm != "ed25519" && s.KeyEncoding == "" {
		s.KeyEncoding = "utf8"
	}
	if s.Encodings == nil {
		s.Encodings = []string{"hex"}
	}
	if s.SignedContent == nil {
		s.SignedContent = []string{"{body}"}
	}
	return s, nil
}
