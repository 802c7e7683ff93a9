package signature

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// This file returns the bytes that were signed, to recognize the same signed content again. The
// signature itself cannot be used: the same content has many ECDSA signatures, and lists of
// signatures can be reordered.

// signedBy is how a request was verified: enough to reproduce the signed content.
type signedBy struct {
	content          *Template
	url, clock, kid  string
	signature, token string
	// read returns fields of the signed list element.
	read func(string) (string, bool)
}

// moments are token claims that make a token unique.
var moments = []string{"iat", "exp", "nbf", "jti", "nonce"}

// Signed returns the digest of the signed content of a request that Verify accepted; ok is false if
// nothing was signed, as with a shared token. moment reports, for a token, whether it contains a
// time, an id or a nonce.
func (v *Verifier) Signed(req *Request, got *Verdict) (sum [32]byte, moment, ok bool) {
	if got.signed.content == nil && got.signed.token == "" {
		return sum, false, false
	}
	h := sha256.New()
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for i := range len(got.more) + 1 {
		by := &got.signed
		if i > 0 {
			by = &got.more[i-1]
		}
		if by.token != "" {
			moment = v.tokenContent(h.Write, req, by.token, got.Claims) || moment
			continue
		}
		one := *req
		if by.read != nil {
			one.JSON = by.read
		}
		// The secret is always the same, and its digest must not be disclosed.
		sc := scope{req: &one, secret: "secret", timestamp: by.clock, url: by.url, kid: by.kid, signature: by.signature, parse: &v.Parse}
		if by.content == nil || by.content.write(h, s, &sc) != nil {
			return sum, false, false
		}
		h.Write([]byte{0})
		moment = true
	}
	h.Sum(sum[:0])
	return sum, moment, true
}

// tokenContent writes the content that a token signs, and reports whether it contains a time, an id
// or a nonce.
func (v *Verifier) tokenContent(write func([]byte) (int, error), req *Request, token string, claims json.RawMessage) bool {
	head, rest, _ := strings.Cut(token, ".")
	middle, _, _ := strings.Cut(rest, ".")
	fields := claims
	_, _ = write([]byte(head + ".")) // a digest never fails
	if v.JWT.Detached {
		fields, _ = base64.RawURLEncoding.DecodeString(head)
		_, _ = write(req.Body)
	} else {
		_, _ = write([]byte(middle))
	}
	var named map[string]json.RawMessage
	if json.Unmarshal(fields, &named) != nil {
		return false
	}
	for _, m := range moments {
		if _, there := named[m]; there {
			return true
		}
	}
	return false
}

// Expires returns when a request that Verify accepted becomes stale; zero if its scheme has no
// timestamp.
func (v *Verifier) Expires(got *Verdict) time.Time {
	if v.Timestamp != nil && !got.Time.IsZero() {
		return got.Time.Add(v.Timestamp.Tolerance)
	}
	if v.JWT == nil {
		return time.Time{}
	}
	var times struct{ Exp, Iat float64 }
	if json.Unmarshal(got.Claims, &times) != nil {
		return time.Time{}
	}
	var until time.Time
	if times.Exp > 0 {
		until = time.Unix(int64(min(times.Exp, 1<<40)), 0).Add(v.JWT.Leeway)
	}
	if v.JWT.MaxAge > 0 && times.Iat > 0 {
		if old := time.Unix(int64(min(times.Iat, 1<<40)), 0).Add(v.JWT.MaxAge + v.JWT.Leeway); until.IsZero() || old.Before(until) {
			until = old
		}
	}
	return until
}
