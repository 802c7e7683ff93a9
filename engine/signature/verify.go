package signature

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"time"
)

// Reason is why a request was refused, for quarantine and hookloom verify. It is never disclosed to
// the sender.
type Reason string

// The reasons, in the order of the checks.
const (
	Accepted    Reason = ""
	Missing     Reason = "signature missing"
	Malformed   Reason = "signature malformed"
	NoClock     Reason = "timestamp missing or malformed"
	Stale       Reason = "timestamp too old"
	Future      Reason = "timestamp in the future"
	Unmet       Reason = "requirement not met"
	Wrong       Reason = "signature does not match"
	Ambiguous   Reason = "signed text can be read in two ways"
	Unsigned    Reason = "body is not signed"
	Unavailable Reason = "key not available"
)

// Verdict is the outcome of a verification.
type Verdict struct {
	// Reason is empty if the request is accepted.
	Reason Reason
	// Detail says more, for people; it contains no secret and no signature.
	Detail string
	// Key is the index of the matching key, -1 for none.
	Key int
	// Time is the sender's timestamp, zero if the scheme has none.
	Time time.Time
	// Claims are those of the verified token, as JSON.
	Claims json.RawMessage
	// signed is how it was verified; more are the further elements of a list.
	signed signedBy
	more   []signedBy
}

// OK reports whether the request is accepted.
func (v Verdict) OK() bool { return v.Reason == Accepted }

func refused(r Reason, detail string) Verdict { return Verdict{Reason: r, Detail: detail, Key: -1} }

// scratch is the reusable memory of a verification, so that the common path does not allocate.
type scratch struct {
	bytes []byte
	sigs  []candidate
	text  []byte
	sum   []byte
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// Applies reports whether the request contains what this scheme looks for.
func (v *Verifier) Applies(req *Request) bool {
	if v.Each != "" {
		return req.Each != nil && len(req.Each(v.Each)) > 0
	}
	for _, t := range req.texts(&v.From, true) {
		if t != "" {
			return true
		}
	}
	return false
}

// Verify verifies a request. It always tries all keys, so that the time does not reveal which key
// matched, or how much of one.
func (v *Verifier) Verify(req *Request, keys []Key, now time.Time) Verdict {
	if v.Each != "" {
		return v.verifyEach(req, keys, now)
	}
	return v.verifyOne(req, keys, now)
}

// verifyEach applies the scheme to every element of a list. If one fails or the list is empty, the
// request is refused.
func (v *Verifier) verifyEach(req *Request, keys []Key, now time.Time) Verdict {
	if req.Each == nil {
		return refused(Missing, v.Each+" is missing")
	}
	elements := req.Each(v.Each)
	if len(elements) == 0 {
		return refused(Missing, v.Each+" is missing or empty: nothing is proved")
	}
	if len(elements) > 2000 {
		return refused(Malformed, v.Each+" has more than 2000 elements")
	}
	out := Verdict{}
	for i, read := range elements {
		one := *req
		one.JSON = read
		got := v.verifyOne(&one, keys, now)
		if !got.OK() {
			got.Detail = fmt.Sprintf("element %d of %s: %s", i, v.Each, got.Detail)
			return got
		}
		got.signed.read = read
		got.more = append(out.more, got.signed)
		out = got
	}
	out.signed, out.more = out.more[0], out.more[1:]
	return out
}

func (v *Verifier) verifyOne(req *Request, keys []Key, now time.Time) Verdict {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if reason, detail := v.candidates(req, s); reason != Accepted {
		return refused(reason, detail)
	}
	if detail := v.unmet(req); detail != "" {
		return refused(Unmet, detail)
	}
	if why := v.bodyFits(req); why != "" {
		return refused(Unmet, why)
	}
	if v.Algorithm == "jwt" {
		return v.checkToken(req, s, keys, now)
	}
	var by signedBy
	out, clock, unavailable := v.match(req, s, keys, now, &by)
	if out < 0 {
		if unavailable != nil {
			return refused(Unavailable, unavailable.Error())
		}
		if v.Timestamp != nil && clock == "" {
			return refused(NoClock, "no timestamp")
		}
		if v.signsForm() && len(req.Body) > 0 && !isForm(req) {
			return refused(Unsigned, "the body is not a form, and the scheme signs nothing else of it")
		}
		return refused(Wrong, v.wrongWords(len(keys)))
	}
	// The timestamp is checked after the signature: it is meaningful only if it was signed.
	verdict := v.checkClock(out, clock, now)
	if verdict.OK() {
		if why := v.misread(req, s.sigs[0].text, clock); why != "" {
			return refused(Ambiguous, why)
		}
	}
	verdict.signed = by
	return verdict
}

func (v *Verifier) wrongWords(keys int) string {
	if v.token() {
		return "the token in " + v.From.String() + " does not match"
	}
	if keys == 1 {
		return "the secret does not match"
	}
	return fmt.Sprintf("0 of %d secrets match", keys)
}

// match tries every key with every signature and returns the first key that matches.
func (v *Verifier) match(req *Request, s *scratch, keys []Key, now time.Time, by *signedBy) (key int, clock string, unavailable error) {
	key = -1
	single := ""
	if v.Timestamp != nil && v.Timestamp.From.Field == "" {
		single, _ = req.read(&v.Timestamp.From)
	}
	clock = single
	urls := []string(nil)
	if v.usesURL {
		urls = req.publicURLs()
	}
	for i := range keys {
		for j := range s.sigs {
			c := &s.sigs[j]
			at := single
			if v.Timestamp != nil && v.Timestamp.From.Field != "" {
				at = c.clock
			}
			ok, err := v.fitsAny(req, s, &keys[i], c, at, urls, now, by)
			if err != nil {
				unavailable = err
			}
			if ok && key < 0 {
				key, clock = i, at
			} else if clock == "" {
				clock = at
			}
		}
	}
	return key, clock, unavailable
}

// fitsAny tries the forms of the signed content, and of the URL if it is signed.
func (v *Verifier) fitsAny(req *Request, s *scratch, k *Key, c *candidate, clock string, urls []string, now time.Time,
	by *signedBy) (bool, error) {
	if v.token() {
		return v.sameToken(req, s, k, c), nil
	}
	matched := false
	n := max(1, len(urls))
	for u := range n {
		sc := scope{req: req, secret: k.Text, timestamp: clock, url: req.PublicURL, kid: c.kid, signature: c.text, parse: &v.Parse}
		if len(urls) > 0 {
			sc.url = urls[u]
		}
		for _, t := range v.contents {
			var ok bool
			var err error
			if v.Asymmetric() {
				ok, err = v.publicFits(req, s, k, c, t, &sc, now)
			} else {
				ok = v.digestFits(s, k, c, t, &sc)
			}
			if err != nil {
				return matched, err
			}
			if ok && by.content == nil {
				*by = signedBy{content: t, url: sc.url, clock: clock, kid: c.kid, signature: c.text}
			}
			matched = matched || ok
		}
	}
	return matched, nil
}

// digestFits computes a symmetric signature and compares it.
func (v *Verifier) digestFits(s *scratch, k *Key, c *candidate, t *Template, sc *scope) bool {
	var h hash.Hash
	if k.macs != nil {
		h = k.macs.Get().(hash.Hash)
		defer k.macs.Put(h)
		h.Reset()
	} else {
		h = newHash(v.Algorithm)()
	}
	if t.write(h, s, sc) != nil {
		return false
	}
	s.sum = h.Sum(s.sum[:0])
	return hmac.Equal(s.sum, s.bytes[c.from:c.to])
}

// write writes the signed bytes to a hash, without copying the body.
func (t *Template) write(h hash.Hash, s *scratch, sc *scope) error {
	s.text = s.text[:0]
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.variable == "body" && p.filter == "" && p.group == 0 {
			h.Write(s.text)
			s.text = s.text[:0]
			h.Write(sc.req.Body)
			continue
		}
		var err error
		if s.text, err = t.append(s.text, p, i, sc); err != nil {
			return err
		}
	}
	h.Write(s.text)
	return nil
}

// publicFits verifies an asymmetric signature with the configured key, or else with those that the
// provider publishes.
func (v *Verifier) publicFits(req *Request, s *scratch, k *Key, c *candidate, t *Template, sc *scope, now time.Time) (bool, error) {
	content, err := t.render(nil, sc)
	if err != nil {
		return false, nil // a missing part was not signed
	}
	keys := k.public
	if len(keys) == 0 && v.Key != nil {
		if v.Key.KID != "" {
			if c.kid, err = fill(v.Key.KID, req, ""); err != nil {
				return false, nil
			}
		}
		if keys, err = v.fetched(req, c.kid, now); err != nil {
			if errors.Is(err, ErrUnavailable) {
				return false, err
			}
			return false, nil
		}
	}
	sig := s.bytes[c.from:c.to]
	matched := false
	for _, p := range keys {
		if p.ID == "" || c.kid == "" || p.ID == c.kid {
			matched = v.publicMatches(p.Key, content, sig) || matched
		}
	}
	return matched, nil
}

func (v *Verifier) publicMatches(key any, content, sig []byte) bool {
	h := newHash(v.Algorithm)
	switch k := key.(type) {
	case ed25519.PublicKey:
		return v.Algorithm == "ed25519" && ed25519.Verify(k, content, sig)
	case *ecdsa.PublicKey:
		d := h()
		d.Write(content)
		return strings.HasPrefix(v.Algorithm, "ecdsa-") && ecdsa.VerifyASN1(k, d.Sum(nil), sig)
	case *rsa.PublicKey:
		d := h()
		d.Write(content)
		return strings.HasPrefix(v.Algorithm, "rsa-") && rsa.VerifyPKCS1v15(k, rsaHash(v.Algorithm), d.Sum(nil), sig) == nil
	}
	return false
}

// sameToken compares a shared text in constant time.
func (v *Verifier) sameToken(req *Request, s *scratch, k *Key, c *candidate) bool {
	want := k.bytes
	if user := req.Params["user"]; v.Algorithm == "basic-auth" && user != "" {
		want = []byte(user + ":" + k.Text)
	}
	// Compare hashes, so that not even the length affects the time.
	a, b := sha256.Sum256(want), sha256.Sum256(s.bytes[c.from:c.to])
	return len(want) > 0 && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// unmet returns the first requirement that is not met.
func (v *Verifier) unmet(req *Request) string {
	for i := range v.require {
		r := &v.require[i]
		got, ok := req.read(&r.place)
		held, wanted := false, false
		for _, w := range r.want {
			b, err := w.render(nil, &scope{req: req, url: req.PublicURL})
			wanted = wanted || err == nil && len(b) > 0
			if err == nil && len(b) > 0 && subtle.ConstantTimeCompare(b, []byte(got)) == 1 {
				held = true
			}
		}
		if (!ok || !held) && (wanted || !r.ifSet) {
			return r.place.String() + " is not what it must be"
		}
	}
	return ""
}

// checkToken verifies the tokens in a request; if the scheme applies to every element, each must be
// valid.
func (v *Verifier) checkToken(req *Request, s *scratch, keys []Key, now time.Time) Verdict {
	out := refused(Malformed, "no token")
	for _, c := range s.sigs {
		claims, key, reason, detail := v.verifyToken(req, c.text, keys, now)
		out = Verdict{Reason: reason, Detail: detail, Key: key, Claims: claims, signed: signedBy{token: c.text}}
		if reason == Accepted {
			return out
		}
	}
	return out
}
