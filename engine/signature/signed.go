package signature

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// This file gives the bytes that a genuine request was signed over, so that the same
// signed content can be told from another. The signature's own text would not do: one
// content has many ECDSA signatures, and lists of signatures can be put in another
// order.

// signedBy is how a request was proved: enough to write what was signed again.
type signedBy struct {
	content          *Template
	url, clock, kid  string
	signature, token string
	// read reads fields of the element of a list that was signed.
	read func(string) (string, bool)
}

// moments are the fields of a token that make it one of its kind.
var moments = []string{"iat", "exp", "nbf", "jti", "nonce"}

// Signed returns the digest of what was signed of a request that Verify found genuine;
// ok is false where nothing was, as with a shared token. moment tells, of a token, that
// it names a time, an id or a nonce.
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
		// The secret is the same in all, and its digest is nobody's business.
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

// tokenContent writes what a token signs, and tells whether it names a moment.
func (v *Verifier) tokenContent(write func([]byte) (int, error), req *Request, token string, claims json.RawMessage) bool {
	head, rest, _ := strings.Cut(token, ".")
	middle, _, _ := strings.Cut(rest, ".")
	fields := claims
	_, _ = write([]byte(head + ".")) // a digest takes everything
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

// Expires returns the moment from which on a request that Verify found genuine would be
// stale; zero when its scheme has no time.
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
