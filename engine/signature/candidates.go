package signature

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// candidate is one signature of a request, with its timestamp.
type candidate struct {
	from, to int // in scratch.bytes
	text     string
	clock    string
	kid      string
}

// maxSignatures is the maximum number of signatures tried per request, since each takes time.
const maxSignatures = 128

// candidates returns the decoded signatures of the request, with their timestamps.
func (v *Verifier) candidates(req *Request, s *scratch) (Reason, string) {
	s.bytes, s.sigs = s.bytes[:0], s.sigs[:0]
	there := false
	if v.From.Header != "" && (v.Parse.Format == "" || v.Parse.Format == "kv_list") {
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
		return Missing, v.From.String() + " is missing, empty or repeated"
	case len(s.sigs) > maxSignatures:
		return Malformed, fmt.Sprintf("more than %d signatures", maxSignatures)
	case len(s.sigs) == 0 && v.Parse.Format != "":
		return Malformed, v.From.String() + " has no signature of a supported version"
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

// split splits a text into signatures.
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

// keyValues parses t=1,v1=aa,v1=bb: the timestamp may be before or after the signature.
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

// add removes the prefix, decodes, and keeps what can be a signature.
func (v *Verifier) add(s *scratch, text string, c candidate) {
	if len(s.sigs) > maxSignatures {
		return
	}
	text = strings.TrimSpace(text)
	if v.Prefix != "" {
		if n := len(v.Prefix); len(text) >= n && (text[:n] == v.Prefix || v.Prefix[n-1] == ' ' && strings.EqualFold(text[:n], v.Prefix)) {
			text = text[n:] // an auth scheme such as Basic is case-insensitive (RFC 9110, 11.1)
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
		s.bytes = decodeSignature(e, s.bytes, text)
		if c.to = len(s.bytes); c.to > c.from {
			s.sigs = append(s.sigs, c)
		}
	}
}

// decodeSignature appends the decoded bytes; none if the text is not of the encoding.
func decodeSignature(encoding string, b []byte, text string) []byte {
	n := len(b)
	b = append(b, text...)
	var m int
	var err error
	switch encoding {
	case "hex":
		m, err = hex.Decode(b[n:], b[n:])
	case "base64":
		// Refuse line breaks: a decoder that skips them would accept several texts for one
		// signature.
		if strings.ContainsAny(text, "\r\n") {
			return b[:n]
		}
		m, err = base64.StdEncoding.Decode(b[n:], b[n:])
	case "base64url_nopad":
		if strings.ContainsAny(text, "\r\n") {
			return b[:n]
		}
		m, err = base64.RawURLEncoding.Decode(b[n:], b[n:])
	default:
		return b
	}
	if err != nil {
		return b[:n]
	}
	return b[:n+m]
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
