package workflows

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/signature"
)

// This file says what names an event: which of a provider's facts make two
// deliveries one event.

// DefaultContentDedupe is how long a delivery that nothing names is remembered by
// its content. It is short: two events may well be equal byte for byte.
const DefaultContentDedupe = time.Minute

// Retries is how a provider repeats a delivery that it could not hand over.
type Retries struct {
	// Signed is first when a repeat carries the signature of the first delivery, anew
	// when each is signed with a time of its own, unsigned when no time is signed;
	// empty when it is not known.
	Signed string
	// Window is how long after the first delivery the last repeat may come; 0 when it
	// is not known.
	Window time.Duration
	// Source is the page that says so.
	Source string
}

// retryKinds are the words of retries.signed.
var retryKinds = []string{"first", "anew", "unsigned"}

func (d *decoder) retries(o *objectNode) Retries {
	x := o.object("retries")
	if x == nil {
		return Retries{}
	}
	return Retries{Signed: x.text("signed", ""), Window: x.duration("window", 0), Source: x.text("source", "")}
}

// singleUse reads single_use: nil when it is not written.
func (d *decoder) singleUse(o *objectNode) *bool {
	if o.vals["single_use"] == nil {
		return nil
	}
	use := o.boolean("single_use", false)
	return &use
}

// SignsMoment reports whether what the scheme signs is of one delivery alone: a time,
// a nonce or an id beside the body. The same signed content a second time is then
// the same delivery. A token counts where it vouches for the body. single_use: says
// otherwise, for senders that use a token again.
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

// wholeRequest are the variables of signed_content that stand for the body as a
// whole, for the address, or for what is the same in every delivery.
var wholeRequest = []string{"body", "method", "public_url", "public_url_decoded", "callback_url", "secret", "LF",
	"body_sha256_hex", "body_sha256_base64", "body_sha256_raw", "body_crc32_decimal",
	"query_sorted", "path_query_encoded", "form_json", "kid", "param:", "form_sorted:", "form_serialized:",
	"url_params_sorted:", "form:payload", "form:bt_payload"}

// namesMoment reports whether a template of signed content names more than the body,
// the address and the method.
func namesMoment(template string) bool {
	for _, name := range templateVariables(template) {
		head, _, named := strings.Cut(name, ":")
		if !slices.Contains(wholeRequest, name) && !(named && slices.Contains(wholeRequest, head+":")) {
			return true
		}
	}
	return false
}

// templateVariables lists the variables of a template, without their filters.
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

// SignedHeaders are the headers that every form of the signed content names, in
// lower case.
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

// SignsBody reports whether every form of the signed content holds the whole body.
func (v *Verify) SignsBody() bool {
	whole := []string{"body", "body_sha256_hex", "body_sha256_base64", "body_sha256_raw"}
	for _, t := range v.SignedContent {
		if !slices.ContainsFunc(templateVariables(t), func(n string) bool { return slices.Contains(whole, n) }) {
			return false
		}
	}
	return len(v.SignedContent) > 0
}

// SignedFields are the fields of the body that the signed content names.
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

// IdentityWords says in one or two sentences what names the provider's events, and
// what its signature keeps of that.
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

// usual is the scheme that a trigger has when it names no variant.
func (p *Preset) usual() *Verify {
	for _, v := range p.Verify {
		if !v.Explicit {
			return v
		}
	}
	return nil
}

// RetryWords says how the provider repeats a delivery; empty where that is not known.
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

// DurationText writes a duration as files do: 1m, 8h, 3d.
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

// IdentityWords says what names the events of a webhook.
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

// checkIdentity warns of a webhook whose deliveries nothing names.
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
