package workflows

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// This file determines the identity of an event: when two deliveries of a provider are the same
// event.

// DefaultContentDedupe is how long the content of a delivery without a key is remembered. It is
// short because two different events may be byte-for-byte equal.
const DefaultContentDedupe = time.Minute

// Retries describes how a provider retries a failed delivery.
type Retries struct {
	// Signed is first if a retry carries the signature of the first delivery, anew if each is
	// signed with its own time, and unsigned if no time is signed; it is empty if unknown.
	Signed string
	// Window is the time after the first delivery within which the last retry is sent; 0 if
	// unknown.
	Window time.Duration
	// Source is the page that documents it.
	Source string
}

// retryKinds are the values of retries.signed.
var retryKinds = []string{"first", "anew", "unsigned"}

func (d *decoder) retries(o *objectNode) Retries {
	x := o.object("retries")
	if x == nil {
		return Retries{}
	}
	return Retries{Signed: x.text("signed", ""), Window: x.duration("window", 0), Source: x.text("source", "")}
}

// singleUse reads single_use: nil if it is not set.
func (d *decoder) singleUse(o *objectNode) *bool {
	if o.vals["single_use"] == nil {
		return nil
	}
	use := o.boolean("single_use", false)
	return &use
}

// SignsMoment reports whether the signed content is unique to one delivery: it contains a time, a
// nonce or an id besides the body. The same signed content is then the same delivery. A token
// counts if it covers the body. single_use: overrides the result, for senders that reuse a token.
func (v *Verify) SignsMoment(bodyFromToken bool) bool {
	switch {
	case v.SingleUse != nil:
		return *v.SingleUse
	case v.Algorithm == "static-token" || v.Algorithm == "basic-auth":
		return false
	case v.Algorithm == "jwt":
		return v.JWT != nil && (len(v.JWT.Hashes) > 0 || v.JWT.Detached || bodyFromToken)
	case v.Timestamp != nil:
		return true
	}
	return slices.ContainsFunc(v.SignedContent, namesMoment)
}

// wholeRequest are the variables of signed_content for the body, the address, or what is the same
// in every delivery.
var wholeRequest = []string{"body", "method", "public_url", "public_url_decoded", "callback_url", "secret", "LF",
	"body_sha256_hex", "body_sha256_base64", "body_sha256_raw", "body_crc32_decimal",
	"query_sorted", "path_query_encoded", "form_json", "kid", "param:", "form_sorted:", "form_serialized:",
	"url_params_sorted:", "form:payload", "form:bt_payload"}

// namesMoment reports whether a template of signed content contains more than the body, the address
// and the method.
func namesMoment(template string) bool {
	for _, name := range templateVariables(template) {
		head, _, named := strings.Cut(name, ":")
		if !slices.Contains(wholeRequest, name) && !(named && slices.Contains(wholeRequest, head+":")) {
			return true
		}
	}
	return false
}

// templateVariables lists the variables of a template, without filters.
func templateVariables(template string) []string {
	var out []string
	rest := strings.NewReplacer("{{", "", "}}", "").Replace(template)
	for {
		_, after, found := strings.Cut(rest, "{")
		name, next, closed := strings.Cut(after, "}")
		if !found || !closed {
			return out
		}
		name, _, _ = strings.Cut(name, "|")
		out = append(out, name)
		rest = next
	}
}

// SignedHeaders returns, in lower case, the headers that every form of the signed content contains.
func (v *Verify) SignedHeaders() []string {
	var out []string
	for i, t := range v.SignedContent {
		var here []string
		for _, name := range templateVariables(t) {
			if h, ok := strings.CutPrefix(name, "header:"); ok {
				here = append(here, strings.ToLower(h))
			}
		}
		if i == 0 {
			out = here
			continue
		}
		out = slices.DeleteFunc(out, func(h string) bool { return !slices.Contains(here, h) })
	}
	return out
}

// SignsBody reports whether every form of the signed content contains the complete body.
func (v *Verify) SignsBody() bool {
	whole := []string{"body", "body_sha256_hex", "body_sha256_base64", "body_sha256_raw"}
	for _, t := range v.SignedContent {
		if !slices.ContainsFunc(templateVariables(t), func(n string) bool { return slices.Contains(whole, n) }) {
			return false
		}
	}
	return len(v.SignedContent) > 0
}

// SignedFields returns the body fields that the signed content contains.
func (v *Verify) SignedFields() []signature.Place {
	var out []signature.Place
	for _, t := range v.SignedContent {
		for _, name := range templateVariables(t) {
			if f, ok := strings.CutPrefix(name, "json:"); ok {
				out = append(out, signature.Place{JSON: f})
			}
			if f, ok := strings.CutPrefix(name, "form:"); ok {
				out = append(out, signature.Place{Form: f})
			}
		}
	}
	return out
}

// IdentityWords describes in one or two sentences what identifies the provider's events, and how
// much of it the signature covers.
func (p *Preset) IdentityWords() string {
	window := DefaultContentDedupe
	if p.Dedupe > 0 {
		window = p.Dedupe
	}
	var out string
	switch {
	case len(p.Key) > 0:
		var parts []string
		for _, e := range p.Key {
			parts = append(parts, e.Text)
		}
		out = "Events are identified by " + strings.Join(parts, " / ") + "."
	case p.CommonIDs:
		out = "Events are identified by an id header (webhook-id, Idempotency-Key, X-Event-Id, or ce-source with ce-id), " +
			"else by their content for " + DurationText(window) + "."
	default:
		out = "Events have no id: they are identified by their content for " + DurationText(window) + "."
	}
	v := p.usual()
	switch {
	case v == nil || v.Algorithm == "static-token" || v.Algorithm == "basic-auth":
		return out + " Nothing in a delivery is signed: anybody who knows the secret can send anything."
	case v.SignsMoment(p.BodyFromToken):
		return out + " The signed content is unique to one delivery: the same signed content again is the same delivery, under any id."
	case v.Algorithm == "jwt" && !p.BodyFromToken && (v.JWT == nil || len(v.JWT.Hashes) == 0 && !v.JWT.Detached):
		return out + " The token proves the sender, not the body: it is good for any body until it expires."
	case len(p.Key) > 0 && p.IDSigned:
		return out + " The signature covers the id, so a replay cannot change it."
	case len(p.Key) > 0 || p.CommonIDs:
		return out + " The signature does not cover the id: an equal body under another id is a new event, marked as a " +
			"repeated body; replays: body on the trigger makes it a duplicate."
	}
	return out + " Only the body is signed, so a replay after that time is a new event; write key: if the body has an event id."
}

// usual returns the scheme of a trigger that names no variant.
func (p *Preset) usual() *Verify {
	for _, v := range p.Verify {
		if !v.Explicit {
			return v
		}
	}
	return nil
}

// RetryWords describes how the provider retries a delivery; empty if unknown.
func (p *Preset) RetryWords() string {
	words := map[string]string{
		"first":    "repeats carry the first signature",
		"anew":     "each repeat is signed anew",
		"unsigned": "no time is signed, so a repeat is as valid as the first",
	}
	out := words[p.Retries.Signed]
	if out != "" && p.Retries.Window > 0 {
		out += ", for up to " + DurationText(p.Retries.Window)
	}
	if out != "" && p.Retries.Source != "" {
		out += " (" + p.Retries.Source + ")"
	}
	return out
}

// DurationText formats a duration as files do: 1m, 8h, 3d.
func DurationText(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	for _, end := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, end) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// IdentityWords describes what identifies the events of a webhook.
func (p *Project) IdentityWords(w *Webhook) string {
	preset := p.Preset(w)
	window := DefaultContentDedupe
	switch {
	case w.Dedupe == 0:
		return "every delivery is an event of its own (dedupe: off)"
	case w.DedupeWritten:
		window = w.Dedupe
	case preset != nil && preset.Dedupe > 0:
		window = preset.Dedupe
	}
	content := "by content for " + DurationText(window)
	switch {
	case len(w.Key) > 0:
		return "by the trigger's key:; " + content + " where that is empty"
	case preset != nil && len(preset.Key) > 0:
		return "by the provider's key; " + content + " where that is empty"
	case preset == nil || preset.CommonIDs:
		return "by an id header (webhook-id, Idempotency-Key, X-Event-Id, ce-source with ce-id); " + content + " without one"
	}
	return content
}

// checkIdentity warns about a webhook whose deliveries have no key.
func (c *checker) checkIdentity(t *Trigger, w *Webhook) {
	p := presetOf(c.catalog.Presets, w.Provider)
	if w.Dedupe == 0 || len(w.Key) > 0 || p == nil && w.Provider != "" || p != nil && (len(p.Key) > 0 || p.CommonIDs) {
		return
	}
	window, unless := DefaultContentDedupe, " unless the sender sends an id header (webhook-id, Idempotency-Key, X-Event-Id, "+
		"or ce-id with ce-source)"
	if p != nil {
		unless = ""
		if p.Dedupe > 0 {
			window = p.Dedupe
		}
	}
	if w.DedupeWritten {
		window = w.Dedupe
	}
	t.src.warn(w.pos, "by-content", "deliveries of trigger "+t.Name+" are identified by content for "+DurationText(window)+unless+
		": equal ones within that time are one event",
		"write key: with the event's id, such as key: body.id, or dedupe: off to keep every delivery as an event")
}
