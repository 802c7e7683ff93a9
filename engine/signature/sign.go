package signature

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"time"
)

// Sign puts a signature into a request's headers or query, by the very data
// that verifies it. What the scheme reads from the body must be there already.
// For ed25519 the key holds the private key's 64 bytes.
func (v *Verifier) Sign(req *Request, key Key, now time.Time) error {
	clock := ""
	if ts := v.Timestamp; ts != nil {
		if ts.From.JSON != "" || ts.From.Form != "" {
			clock, _ = req.read(ts.From)
		} else {
			clock = formatClock(ts.Unit, now)
			req.put(ts.From, clock)
		}
	}
	sig, err := v.signatureBytes(req, key, clock)
	if err != nil {
		return err
	}
	text := v.Prefix + encodeSignature(v.Encoding, sig)
	switch v.Format {
	case "kv_list":
		text = v.SignatureKey + "=" + text
		if v.Timestamp != nil && v.Timestamp.From.Field != "" {
			text = v.Timestamp.From.Field + "=" + clock + v.Separator + text
		}
	case "space_list":
		if len(v.Versions) == 0 {
			return fmt.Errorf("signing: the scheme accepts no version")
		}
		text = v.Versions[0] + "," + text
	}
	if v.From.JSON != "" || v.From.Form != "" {
		return fmt.Errorf("signing: the signature stands in the body, at %s", v.From)
	}
	req.put(v.From, text)
	return nil
}

func (v *Verifier) signatureBytes(req *Request, key Key, clock string) ([]byte, error) {
	switch v.Algorithm {
	case "static-token":
		return key.bytes, nil
	case "ed25519":
		if len(key.bytes) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("signing: an Ed25519 private key has %d bytes", ed25519.PrivateKeySize)
		}
		content, err := v.content(req, key.Text, clock)
		return ed25519.Sign(key.bytes, content), err
	}
	return v.sum(req, key.bytes, key.Text, clock)
}

func (r *Request) put(p Place, value string) {
	switch {
	case p.Header != "":
		r.Header.Set(p.Header, value)
	case p.Query != "":
		r.Query.Set(p.Query, value)
	}
}

// Standard is the scheme of Standard Webhooks (webhook-id, webhook-timestamp,
// webhook-signature), Hookloom's own for what it sends.
// Source: standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
func Standard() Scheme {
	return Scheme{Variant: "default", Algorithm: "hmac-sha256", KeyEncoding: "whsec_base64", From: Place{Header: "webhook-signature"}, Encoding: "base64",
		Format: "space_list", Versions: []string{"v1"}, Content: "{header:webhook-id}.{timestamp}.{body}",
		Timestamp: &Timestamp{From: Place{Header: "webhook-timestamp"}, Unit: "unix_s", Tolerance: 5 * time.Minute}}
}

// GitHub and Stripe are the two other schemes that webhook/send offers by name.
func GitHub() Scheme {
	return Scheme{Variant: "github", Algorithm: "hmac-sha256", KeyEncoding: "utf8", From: Place{Header: "X-Hub-Signature-256"}, Prefix: "sha256=", Encoding: "hex", Content: "{body}"}
}

// Stripe is the scheme of Stripe-Signature.
func Stripe() Scheme {
	return Scheme{Variant: "stripe", Algorithm: "hmac-sha256", KeyEncoding: "utf8", From: Place{Header: "Stripe-Signature"}, Encoding: "hex", Format: "kv_list",
		Separator: ",", SignatureKey: "v1", TimestampKey: "t", Content: "{timestamp}.{body}",
		Timestamp: &Timestamp{From: Place{Field: "t"}, Unit: "unix_s", Tolerance: 5 * time.Minute}}
}

// StandardKey decodes a secret for sending by Standard Webhooks. A secret
// without whsec_ that is no base64 is taken as text, as Polar and others do.
func StandardKey(text string) (Key, error) {
	if text == "" {
		return Key{}, ErrEmptyKey
	}
	if !strings.HasPrefix(text, "whsec_") {
		return Key{Text: text, bytes: []byte(text)}, nil
	}
	b, err := DecodeKey("whsec_base64", text)
	return Key{Text: text, bytes: b}, err
}
