package signature

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Reason is why a request was refused, for quarantine and hookloom verify. The
// sender never learns which.
type Reason string

// The reasons, from the outside in.
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
	// Reason is empty when the request is genuine.
	Reason Reason
	// Detail says more, for people; it holds no secret and no signature.
	Detail string
	// Key is which of the keys matched, -1 for none.
	Key int
	// Time is the sender's clock, zero when the scheme has none.
	Time time.Time
	// Claims are those of a token that proved the request, as JSON.
	Claims json.RawMessage
	// signed is how it was proved; more are the further elements of a list.
	signed signedBy
	more   []signedBy
}

// OK tells whether the request is genuine.
func (v Verdict) OK() bool { return v.Reason == Accepted }

func refused(r Reason, detail string) Verdict { return Verdict{Reason: r, Detail: detail, Key: -1} }

// candidate is one signature of a request, with the clock that stands beside it.
type candidate struct {
	from, to int // in scratch.bytes
	text     string
	clock    string
	kid      string
}

// scratch is the memory of one verification, used again and again: the common
// path makes no garbage.
type scratch struct {
	bytes []byte
	sigs  []candidate
	text  []byte
	sum   []byte
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// maxSignatures bounds how many signatures of one request are tried: a header
// with hundreds would make us compute for long.
const maxSignatures = 128

// Applies tells whether the request carries what this scheme looks for.
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

// Verify judges a request. All keys are always tried, so that the time taken
// does not tell which of them, or how much of one, matched.
func (v *Verifier) Verify(req *Request, keys []Key, now time.Time) Verdict {
	if v.Each != "" {
		return v.verifyEach(req, keys, now)
	}
	return v.verifyOne(req, keys, now)
}

// verifyEach applies the scheme to every element of a list: one that fails
// refuses them all, and so does an empty list.
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
		return v.judgeToken(req, s, keys, now)
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
	// The clock is judged after the signature: it means something only when it
	// was signed.
	verdict := v.judgeClock(out, clock, now)
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
		return "the token in " + v.From.String() + " is another one"
	}
	if keys == 1 {
		return "the secret does not match"
	}
	return fmt.Sprintf("0 of %d secrets match", keys)
}

// match tries every key with every signature and gives the first key that fits.
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

// fitsAny tries the forms of the signed content, and of the URL where it is part
// of it. The first that fits is noted.
func (v *Verifier) fitsAny(req *Request, s *scratch, k *Key, c *candidate, clock string, urls []string, now time.Time, by *signedBy) (bool, error) {
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

// write feeds the signed bytes to a hash; the body goes in without a copy.
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

// publicFits checks an asymmetric signature with the configured key, else with
// those that the provider publishes.
func (v *Verifier) publicFits(req *Request, s *scratch, k *Key, c *candidate, t *Template, sc *scope, now time.Time) (bool, error) {
	content, err := t.render(nil, sc)
	if err != nil {
		return false, nil // a part that is missing was not signed
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
	// Hashed first, so that not even the length shows in the time taken.
	a, b := sha256.Sum256(want), sha256.Sum256(s.bytes[c.from:c.to])
	return len(want) > 0 && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// unmet names the first requirement that does not hold.
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

// judgeToken tries the tokens that a request carries; each must hold where the
// scheme looks at every element.
func (v *Verifier) judgeToken(req *Request, s *scratch, keys []Key, now time.Time) Verdict {
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

func (v *Verifier) judgeClock(key int, clock string, now time.Time) Verdict {
	out := Verdict{Key: key}
	if v.Timestamp == nil {
		return out
	}
	t, err := parseClock(v.Timestamp.Unit, clock)
	if err != nil {
		return refused(NoClock, err.Error())
	}
	out.Time = t
	switch off := now.Sub(t); {
	case off > v.Timestamp.Tolerance:
		out = refused(Stale, fmt.Sprintf("%s old, %s allowed: a replay, or a clock is off", off.Round(time.Second), v.Timestamp.Tolerance))
	case -off > v.Timestamp.Tolerance:
		out = refused(Future, fmt.Sprintf("%s ahead, %s allowed: a clock is off", (-off).Round(time.Second), v.Timestamp.Tolerance))
	}
	out.Time = t
	return out
}

// candidates reads the signatures that the request carries, decoded, with the
// clocks that stand beside them.
func (v *Verifier) candidates(req *Request, s *scratch) (Reason, string) {
	s.bytes, s.sigs = s.bytes[:0], s.sigs[:0]
	there := false
	if v.From.Header != "" && v.Parse.Format == "" || v.Parse.Format == "kv_list" && v.From.Header != "" {
		// The common case, without a list of texts.
		text, ok := req.read(&v.From)
		there = ok && strings.TrimSpace(text) != ""
		if there {
			v.split(req, text, s)
		}
	} else {
		for _, text := range req.texts(&v.From, v.Parse.Format == "space_list" || v.Parse.Format == "comma_list") {
			if strings.TrimSpace(text) != "" {
				there = true
				v.split(req, text, s)
			}
		}
	}
	switch {
	case !there:
		return Missing, v.From.String() + " is missing, empty or there twice"
	case len(s.sigs) > maxSignatures:
		return Malformed, fmt.Sprintf("more than %d signatures", maxSignatures)
	case len(s.sigs) == 0 && v.Parse.Format != "":
		return Malformed, v.From.String() + " carries no signature of a version that counts"
	case len(s.sigs) == 0:
		return Malformed, fmt.Sprintf("%s is not %s%s", v.From, prefixed(v.Prefix), strings.Join(v.Encodings, " or "))
	}
	return Accepted, ""
}

func prefixed(p string) string {
	if p == "" {
		return ""
	}
	return fmt.Sprintf("%q and then ", p)
}

// split reads one text into signatures.
func (v *Verifier) split(req *Request, text string, s *scratch) {
	switch v.Parse.Format {
	case "":
		v.add(s, text, candidate{text: text})
	case "kv_list":
		if v.Parse.Groups {
			for _, group := range strings.Fields(text) {
				v.keyValues(s, group)
			}
			return
		}
		v.keyValues(s, text)
	case "space_list":
		for item := range strings.FieldsSeq(text) {
			if version, sig, ok := strings.Cut(item, ","); ok && slices.Contains(v.Parse.Versions, version) {
				v.add(s, sig, candidate{text: text})
			}
		}
	case "comma_list":
		for _, item := range strings.Split(text, ",") {
			v.add(s, strings.TrimSpace(item), candidate{text: text})
		}
	case "positional":
		parts := strings.Split(text, v.Parse.Separator)
		for _, sig := range parts[1:] {
			v.add(s, strings.TrimSpace(sig), candidate{text: text, clock: strings.TrimSpace(parts[0])})
		}
	case "pair_list":
		ours, err := v.selectPair.render(nil, &scope{req: req})
		if err != nil {
			return
		}
		for _, pair := range strings.Split(text, v.Parse.Separator) {
			if name, sig, ok := strings.Cut(pair, "|"); ok && name == string(ours) {
				v.add(s, sig, candidate{text: text})
			}
		}
	case "json_base64":
		v.jsonSignature(s, text)
	}
}

// keyValues reads t=1,v1=aa,v1=bb: the clock may stand before or after.
func (v *Verifier) keyValues(s *scratch, text string) {
	first := len(s.sigs)
	clock := ""
	rest := text
	for rest != "" {
		var item string
		item, rest, _ = strings.Cut(rest, v.Parse.Separator)
		k, val, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			continue
		}
		if val != "" && val[0] == '"' {
			val = strings.Trim(val, `"`)
		}
		if slices.Contains(v.Parse.SignatureKeys, k) {
			v.add(s, val, candidate{text: text})
		}
		if k != "" && (k == v.Parse.TimestampKey || v.Timestamp != nil && k == v.Timestamp.From.Field) {
			clock = val
		}
	}
	for i := first; i < len(s.sigs); i++ {
		s.sigs[i].clock = clock
	}
}

func (v *Verifier) jsonSignature(s *scratch, text string) {
	raw, err := base64.StdEncoding.DecodeString(text)
	var m map[string]any
	if err != nil || json.Unmarshal(raw, &m) != nil {
		return
	}
	c := candidate{text: text}
	c.kid, _ = m[v.Parse.KeyID].(string)
	for _, k := range v.Parse.SignatureKeys {
		if sig, ok := m[k].(string); ok {
			v.add(s, sig, c)
		}
	}
}

// add cuts the prefix, decodes, and keeps what can be a signature.
func (v *Verifier) add(s *scratch, text string, c candidate) {
	if len(s.sigs) > maxSignatures {
		return
	}
	text = strings.TrimSpace(text)
	if v.Prefix != "" {
		if n := len(v.Prefix); len(text) >= n && (text[:n] == v.Prefix || v.Prefix[n-1] == ' ' && strings.EqualFold(text[:n], v.Prefix)) {
			text = text[n:] // a scheme word such as Basic is read in any case (RFC 9110, 11.1)
		} else if !v.PrefixOptional {
			return
		}
	}
	if v.Algorithm == "jwt" {
		if text != "" {
			c.text = text
			s.sigs = append(s.sigs, c)
		}
		return
	}
	for _, e := range v.Encodings {
		c.from = len(s.bytes)
		var ok bool
		if s.bytes, ok = decodeSignature(e, s.bytes, text); ok && len(s.bytes) > c.from {
			c.to = len(s.bytes)
			s.sigs = append(s.sigs, c)
		} else {
			s.bytes = s.bytes[:c.from]
		}
	}
}

// decodeSignature appends the decoded bytes.
func decodeSignature(encoding string, b []byte, text string) ([]byte, bool) {
	n := len(b)
	b = append(b, text...)
	var m int
	var err error
	switch encoding {
	case "hex":
		m, err = hex.Decode(b[n:], b[n:])
	case "base64":
		// Whole alphabets only: a decoder that skips line feeds would take more
		// than one text for one signature.
		if strings.ContainsAny(text, "\r\n") {
			return b[:n], false
		}
		m, err = base64.StdEncoding.Decode(b[n:], b[n:])
	case "base64url_nopad":
		if strings.ContainsAny(text, "\r\n") {
			return b[:n], false
		}
		m, err = base64.RawURLEncoding.Decode(b[n:], b[n:])
	default:
		return b, true
	}
	return b[:n+m], err == nil
}

func encodeSignature(encoding string, sig []byte) string {
	switch encoding {
	case "hex":
		return hex.EncodeToString(sig)
	case "base64":
		return base64.StdEncoding.EncodeToString(sig)
	case "base64url_nopad":
		return base64.RawURLEncoding.EncodeToString(sig)
	}
	return string(sig)
}

// parseClock reads the sender's time. It takes only what the unit says: a clock
// that is read in another way than it was meant could be years off. And it takes
// each moment in one form only, of a length that tells where it ends: times often
// stand beside other text in what is signed.
func parseClock(unit, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("no timestamp")
	}
	switch unit {
	case "unix_s", "unix_ms", "unix_auto":
		n, ok := plainDigits(text)
		switch {
		case ok && len(text) == 13 && unit != "unix_s":
			return time.UnixMilli(n), nil
		case ok && len(text) == 10 && unit != "unix_ms":
			return time.Unix(n, 0), nil
		}
		return time.Time{}, fmt.Errorf("timestamp is not of the form %s", unit)
	case "http_date":
		t, err := time.Parse(http.TimeFormat, text)
		if err != nil || t.Format(http.TimeFormat) != text {
			return time.Time{}, errors.New("timestamp is no HTTP date")
		}
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !rfc3339Form.MatchString(text) {
		return time.Time{}, errors.New("timestamp is not RFC 3339")
	}
	return t, nil
}

// rfc3339Form is stricter than time.Parse, which takes hours of one digit and commas.
var rfc3339Form = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)

// plainDigits reads a number without sign, blanks or leading zeros.
func plainDigits(text string) (int64, bool) {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && text[0] != '0'
}

// FormatClock writes a time in a scheme's unit.
func FormatClock(unit string, t time.Time) string {
	switch unit {
	case "unix_s", "unix_auto":
		return strconv.FormatInt(t.Unix(), 10)
	case "unix_ms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	case "http_date":
		return t.UTC().Format(http.TimeFormat)
	}
	return t.UTC().Format(time.RFC3339)
}
