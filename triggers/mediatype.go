package triggers

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/content"
)

// The Content-Type of a request is rarely signed, yet it decides how the signed bytes are
// read: the same bytes may be valid as JSON and as a form. So a body is read as a type
// that its provider is known to send; the declared type only chooses among those.

// mediaTypes are the types that the trigger's sender sends; empty if unknown.
func (r *route) mediaTypes() []string {
	if len(r.webhook.MediaTypes) > 0 {
		return r.webhook.MediaTypes
	}
	if r.preset != nil {
		return r.preset.MediaTypes
	}
	return nil
}

// contentType is the Content-Type with which the body is read and stored.
func (in *inbound) contentType() string {
	declared := in.header.Get("Content-Type")
	if in.claimed {
		return "application/json"
	}
	sent := in.mediaTypes
	switch {
	case len(sent) == 1 && declared == sent[0]:
		return declared
	case len(sent) == 0 && mediaType(declared) != content.FormType:
		return declared
	case len(sent) == 0: // curl -d and others declare a form whatever they send
		sent = []string{declared, "application/json"}
	}
	if in.readAs == "" {
		in.readAs = chooseType(sent, declared, in.firstBytes)
	}
	return in.readAs
}

// firstBytes returns the beginning of the body without its content encoding. Only this part is
// decompressed, since the sender may be unverified.
func (in *inbound) firstBytes() []byte {
	if in.isUnpacked || !in.packed() {
		b, _ := in.plain() // empty if it cannot be read
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(in.body))
	if err != nil {
		return nil
	}
	b := make([]byte, 64)
	n, _ := io.ReadFull(z, b) // a short body is complete
	return b[:n]
}

// chooseType returns the declared type if the sender sends it, else the sender's first type. If the
// sender sends several types, the bytes overrule the declaration when only one of the types can
// begin with them: a form never begins with { or <.
func chooseType(sent []string, declared string, body func() []byte) string {
	chosen := sent[0]
	kind := mediaType(declared)
	if slices.Contains(sent, kind) {
		chosen = declared
	}
	if len(sent) == 1 {
		return chosen
	}
	family := familyOfBytes(body())
	if own := familyOfType(mediaType(chosen)); family == "" || own == "" || own == family {
		return chosen
	}
	for _, t := range sent {
		if familyOfType(t) == family {
			if t == kind {
				return declared
			}
			return t
		}
	}
	return chosen
}

// mediaType is the type and subtype of a Content-Type, in lower case.
func mediaType(contentType string) string {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// familyOfType groups the types that are read in the same way; empty for types that may hold any
// text.
func familyOfType(kind string) string {
	switch {
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return "json"
	case kind == "application/x-www-form-urlencoded":
		return "form"
	case kind == "application/xml" || kind == "text/xml" || strings.HasSuffix(kind, "+xml"):
		return "xml"
	case strings.HasPrefix(kind, "multipart/"):
		return "multipart"
	}
	return ""
}

// familyOfBytes determines the type of a body by its first bytes. A serializer of forms escapes all
// of { [ < and " (WHATWG URL, 5.2), so a form cannot begin with them.
func familyOfBytes(body []byte) string {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(body, []byte("--")) {
		return "multipart"
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 {
		return ""
	}
	switch body[0] {
	case '{', '[', '"':
		return "json"
	case '<':
		return "xml"
	}
	return "form"
}
