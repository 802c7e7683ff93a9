package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Reason is why a request was refused, for quarantine and hookloom verify. The
// sender never learns which.
type Reason string

// The reasons, from the outside in.
const (
	Accepted  Reason = ""
	Missing   Reason = "signature missing"
	Malformed Reason = "signature malformed"
	NoClock   Reason = "timestamp missing or malformed"
	Stale     Reason = "timestamp too old"
	Future    Reason = "timestamp in the future"
	Wrong     Reason = "signature does not match"
)

// Key is one configured secret.
type Key struct {
	// Text is the secret as written; it is never shown.
	Text  string
	bytes []byte
}

// NewKey decodes a secret for this scheme.
func (v *Verifier) NewKey(text string) (Key, error) {
	if v.Algorithm == "static-token" {
		if text == "" {
			return Key{}, ErrEmptyKey
		}
		return Key{Text: text, bytes: []byte(text)}, nil
	}
	b, err := DecodeKey(v.KeyEncoding, text)
	if err == nil && v.Algorithm == "ed25519" {
		_, err = ed25519Key(b)
	}
	return Key{Text: text, bytes: b}, err
}

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
}

// OK tells whether the request is genuine.
func (v Verdict) OK() bool { return v.Reason == Accepted }

// Verify judges a request. All keys are always tried, so that the time taken
// does not tell which of them, or how much of one, matched.
func (v *Verifier) Verify(req *Request, keys []Key, now time.Time) Verdict {
	refused := Verdict{Key: -1}
	sigs, clock, reason, detail := v.candidates(req)
	if reason != Accepted {
		refused.Reason, refused.Detail = reason, detail
		return refused
	}
	if v.Timestamp != nil && v.Timestamp.From.Field == "" {
		clock, _ = req.read(v.Timestamp.From)
	}
	for i, k := range keys {
		if v.matches(req, k, sigs, clock) && refused.Key < 0 {
			refused.Key = i
		}
	}
	out := refused
	if out.Key < 0 {
		out.Reason, out.Detail = Wrong, fmt.Sprintf("%d of %d secrets match", 0, len(keys))
	}
	// The clock is judged after the signature: it means something only when it
	// was signed.
	return v.judgeClock(out, clock, now)
}

func (v *Verifier) judgeClock(out Verdict, clock string, now time.Time) Verdict {
	if v.Timestamp == nil {
		return out
	}
	t, err := parseClock(v.Timestamp.Unit, clock)
	if err != nil {
		if out.OK() || out.Reason == Wrong && clock == "" {
			out.Reason, out.Detail, out.Key = NoClock, err.Error(), -1
		}
		return out
	}
	out.Time = t
	if !out.OK() {
		return out
	}
	switch off := now.Sub(t); {
	case off > v.Timestamp.Tolerance:
		out.Reason, out.Key = Stale, -1
		out.Detail = fmt.Sprintf("%s old, %s allowed: a replay, or a clock is off", off.Round(time.Second), v.Timestamp.Tolerance)
	case -off > v.Timestamp.Tolerance:
		out.Reason, out.Key = Future, -1
		out.Detail = fmt.Sprintf("%s ahead, %s allowed: a clock is off", (-off).Round(time.Second), v.Timestamp.Tolerance)
	}
	return out
}

// candidates reads the signatures that the request carries, decoded, and the
// clock if it stands beside them.
func (v *Verifier) candidates(req *Request) (sigs [][]byte, clock string, reason Reason, detail string) {
	raw, ok := v.signatureText(req)
	if !ok || strings.TrimSpace(raw) == "" {
		return nil, "", Missing, v.From.String() + " is missing, empty or there twice"
	}
	texts := []string{raw}
	switch v.Format {
	case "kv_list":
		texts, clock = v.keyValues(raw)
	case "space_list":
		texts = v.versioned(strings.Fields(raw))
	case "comma_list":
		texts = strings.Split(raw, ",")
	}
	if len(texts) == 0 {
		return nil, clock, Malformed, v.From.String() + " carries no signature of a version that counts"
	}
	// A header with hundreds of signatures would make us compute for long.
	if len(texts) > 32 {
		return nil, clock, Malformed, "more than 32 signatures"
	}
	for _, t := range texts {
		t = strings.TrimSpace(t)
		if !strings.HasPrefix(t, v.Prefix) {
			continue
		}
		if b, err := decodeSignature(v.Encoding, t[len(v.Prefix):]); err == nil && len(b) > 0 {
			sigs = append(sigs, b)
		}
	}
	if len(sigs) == 0 {
		return nil, clock, Malformed, fmt.Sprintf("%s is not %s%s", v.From, prefixed(v.Prefix), v.Encoding)
	}
	return sigs, clock, Accepted, ""
}

func prefixed(p string) string {
	if p == "" {
		return ""
	}
	return p + " and then "
}

// signatureText joins a repeated header only for formats that are lists.
func (v *Verifier) signatureText(req *Request) (string, bool) {
	if v.From.Header != "" && v.Format == "space_list" {
		values := req.Header.Values(v.From.Header)
		return strings.Join(values, " "), len(values) > 0
	}
	return req.read(v.From)
}

// String names the place as a person would look for it.
func (p Place) String() string {
	switch {
	case p.Header != "":
		return "header " + p.Header
	case p.Query != "":
		return "query parameter " + p.Query
	case p.Form != "":
		return "form field " + p.Form
	case p.JSON != "":
		return "body field " + p.JSON
	}
	return "field " + p.Field
}

func (v *Verifier) keyValues(raw string) (sigs []string, clock string) {
	for _, item := range strings.Split(raw, v.Separator) {
		k, val, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			continue
		}
		if k == v.SignatureKey {
			sigs = append(sigs, val)
		}
		if v.TimestampKey != "" && k == v.TimestampKey || v.Timestamp != nil && v.Timestamp.From.Field == k && k != "" {
			clock = val
		}
	}
	return sigs, clock
}

func (v *Verifier) versioned(items []string) []string {
	var out []string
	for _, item := range items {
		version, sig, ok := strings.Cut(item, ",")
		if !ok {
			continue
		}
		for _, want := range v.Versions {
			if version == want {
				out = append(out, sig)
			}
		}
	}
	return out
}

func decodeSignature(encoding, text string) ([]byte, error) {
	switch encoding {
	case "hex":
		return hex.DecodeString(text)
	case "base64":
		return base64.StdEncoding.DecodeString(text)
	case "base64url_nopad":
		return base64.RawURLEncoding.DecodeString(text)
	}
	return []byte(text), nil
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

// matches compares in constant time; hmac.Equal checks lengths first, so a
// shortened signature never passes (CVE-2024-21491).
func (v *Verifier) matches(req *Request, k Key, sigs [][]byte, clock string) bool {
	found := 0
	switch v.Algorithm {
	case "static-token":
		want := sha256.Sum256(k.bytes)
		for _, s := range sigs {
			got := sha256.Sum256(s)
			found |= subtle.ConstantTimeCompare(want[:], got[:])
		}
	case "ed25519":
		content, err := v.content(req, k.Text, clock)
		if err != nil || len(k.bytes) != ed25519.PublicKeySize {
			return false
		}
		for _, s := range sigs {
			if len(s) == ed25519.SignatureSize && ed25519.Verify(k.bytes, content, s) {
				found = 1
			}
		}
	default:
		want, err := v.sum(req, k.bytes, k.Text, clock)
		if err != nil {
			return false
		}
		for _, s := range sigs {
			if hmac.Equal(want, s) {
				found = 1
			}
		}
	}
	return found == 1
}

func parseClock(unit, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, fmt.Errorf("no timestamp")
	}
	switch unit {
	case "unix_s", "unix_ms":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > 1<<52 {
			return time.Time{}, fmt.Errorf("timestamp is no %s", unit)
		}
		if unit == "unix_ms" {
			return time.UnixMilli(n), nil
		}
		if n > 1<<40 {
			return time.Time{}, fmt.Errorf("timestamp is no unix_s")
		}
		return time.Unix(n, 0), nil
	case "http_date":
		t, err := http.ParseTime(text)
		if err != nil {
			return time.Time{}, fmt.Errorf("timestamp is no HTTP date")
		}
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("timestamp is not RFC 3339")
	}
	return t, nil
}

func formatClock(unit string, t time.Time) string {
	switch unit {
	case "unix_s":
		return strconv.FormatInt(t.Unix(), 10)
	case "unix_ms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	case "http_date":
		return t.UTC().Format(http.TimeFormat)
	}
	return t.UTC().Format(time.RFC3339)
}
