package triggers

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file computes the identity of events: the key of a delivery, and what else makes
// two deliveries one event.

// identity holds the expressions for the key, type and time of the events of one source;
// nil for none. Webhooks and polls share it.
type identity struct {
	key       []*workflows.Expr
	eventType *workflows.Expr
	// eventTime is the expression for the time at which the event happened, by the clock of
	// the sender.
	eventTime *workflows.Expr
}

// identify sets the key and claims of an event that has its type. content identifies an event
// without a key: the body, or the element of a list. element distinguishes equal elements.
func (r *route) identify(d *engine.Delivery, env *expr.Env, in *inbound, content []byte, element string) {
	key, err := r.eventKey(env)
	flag := ""
	// An empty key of a preset means that this event has no id. An empty key of a trigger is
	// an error, since its author meant every event to have one.
	if err != nil && (len(r.webhook.Key) > 0 || !errors.As(err, new(emptyKey))) {
		flag = err.Error()
	}
	header := ""
	switch {
	case key != "" && len(r.webhook.Key) > 0:
		d.Identity = engine.ByKey
	case key != "":
		d.Identity = engine.ByProvider
	case r.commonIDs && flag == "":
		if key, header = commonID(d.Headers); key != "" {
			d.Identity = engine.ByHeader
		}
	}
	if d.Dedupe == 0 {
		// Deduplication is off; the key is still shown.
		d.Key, d.Flag = key, flag
		if key == "" {
			signed, moment := in.signedContent()
			d.Key, d.Identity = contentKey(r.contentDigest(d, content, signed, moment, element)), engine.ByContent
		}
		return
	}
	if r.webhook.ReplaysBody {
		d.SameBody = engine.BodyDuplicate
	}
	d.Key, d.Flag = key, clip(flag, 300)
	if key != "" && r.keySigned(in, d.Identity, header) {
		return // the common case: nothing more is needed
	}
	signed, moment := in.signedContent()
	if key == "" {
		digest := r.contentDigest(d, content, signed, moment, element)
		d.Key, d.Identity, d.Dedupe, d.Claim = contentKey(digest), engine.ByContent, r.contentDedupe, digest[:16]
		if moment {
			d.ClaimFor = in.genuineFor()
		}
		return
	}
	if moment {
		d.Claim, d.ClaimFor = claimOf(signed, element), in.genuineFor()
	} else if d.SameBody == engine.BodyIgnored && element == "" && in.proof != nil && in.proof.signs {
		d.SameBody = engine.BodyMarked
	}
}

// identifyItem sets the type, time and key of an item that a poll found; without a key it
// is the digest of the whole item.
func (id *identity) identifyItem(d *engine.Delivery, env *expr.Env, whole []byte) {
	id.typeAndTime(d, env)
	key, err := id.eventKey(env)
	if key != "" {
		d.Key, d.Identity = key, engine.ByKey
		return
	}
	d.Key = contentKey(sha256.Sum256(whole))
	if err != nil {
		d.Flag = clip(err.Error(), 300)
	}
}

func (id *identity) typeAndTime(d *engine.Delivery, env *expr.Env) {
	if id.eventType != nil {
		if v, err := id.eventType.Eval(env); err == nil {
			if s, err := value.Text(v); err == nil && s != "" {
				d.Type = clip(s, 200)
			}
		}
	}
	if id.eventTime != nil {
		if v, err := id.eventTime.Eval(env); err == nil {
			if t, ok := v.(time.Time); ok && t.Year() > 1970 && t.Year() < 2200 {
				d.Time = t.UTC()
			}
		}
	}
}

// emptyKey is the error of a key expression with an empty result.
type emptyKey struct{ text string }

func (e emptyKey) Error() string { return "key is empty: " + e.text }

// eventKey evaluates the key. An empty result is an error; without a key expression the
// key is "".
func (id *identity) eventKey(env *expr.Env) (string, error) {
	var parts []string
	for _, e := range id.key {
		v, err := e.Eval(env)
		if err != nil {
			return "", fmt.Errorf("key failed: %w", err)
		}
		// One expression may give all parts: "[body.id, body.updated_at]".
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, x := range list {
			s, err := scalarText(x)
			if err != nil {
				return "", fmt.Errorf("key failed: %w", err)
			}
			if s == "" {
				return "", emptyKey{e.Text}
			}
			parts = append(parts, s)
		}
		if len(list) == 0 {
			return "", emptyKey{e.Text}
		}
	}
	return workflows.JoinKey(parts), nil
}

func scalarText(v any) (string, error) {
	switch v.(type) {
	case map[string]any, []any:
		return "", errors.New("a key must be text, a number or a boolean")
	}
	return value.Text(v)
}

// commonIDs are the headers in which senders without a preset name an event; the
// first one present is used: Standard Webhooks (standard-webhooks specification, "Webhook
// Headers"), the IETF draft idempotency-key-header, and X-Event-Id.
var commonIDs = []string{"webhook-id", "idempotency-key", "x-event-id"}

// commonID reads an id header of a sender without a preset. A CloudEvent is named by
// its id together with its source (CloudEvents 1.0.2, "id").
func commonID(headers map[string]string) (key, header string) {
	for _, name := range commonIDs {
		if v := strings.TrimSpace(headers[name]); v != "" && v != "***" {
			return workflows.ShortKey(v), name
		}
	}
	id, source := strings.TrimSpace(headers["ce-id"]), strings.TrimSpace(headers["ce-source"])
	if id != "" && source != "" && id != "***" {
		// The source is a URI reference and keeps its slashes; the id follows the last.
		return workflows.ShortKey(source + "/" + workflows.EscapeKeyPart(id)), "ce-id"
	}
	return "", ""
}

func contentKey(sum [32]byte) string { return "sha256:" + hex.EncodeToString(sum[:]) }

// keySigned reports whether the signature covers the key, so that only the sender can
// change it.
func (r *route) keySigned(in *inbound, how engine.Identity, header string) bool {
	p := in.proof
	if p == nil {
		return false
	}
	if !p.signsBody {
		return false
	}
	if how == engine.ByHeader {
		return slices.Contains(p.signedHeaders, header)
	}
	if r.keyOutside || how == engine.ByProvider && !r.preset.IDSigned {
		return false
	}
	// An unsigned header may take precedence over a signed one.
	return !slices.ContainsFunc(p.unsignedKey, func(name string) bool { return len(in.header[name]) > 0 })
}

// contentDigest identifies an event without a key. If the signed content is unique to one
// delivery it is the digest of that; a different body under the same signature is then a
// repeat.
func (r *route) contentDigest(d *engine.Delivery, content, signed []byte, moment bool, element string) (sum [32]byte) {
	h := sha256.New()
	if moment {
		writeParts(h, []byte("signed"), signed, []byte(element))
		if element != "" {
			writeParts(h, content)
		}
		h.Sum(sum[:0])
		return sum
	}
	writeParts(h, []byte("content"), []byte(d.Method), []byte(d.Path))
	for _, name := range sortedNames(d.Query) {
		writeParts(h, []byte(name), []byte(d.Query[name]))
	}
	writeParts(h, []byte("body"), []byte(d.Type), content, []byte(element))
	h.Sum(sum[:0])
	return sum
}

// claimOf returns the digest of the signed content of one delivery, or of one element of
// it.
func claimOf(signed []byte, element string) []byte {
	h := sha256.New()
	writeParts(h, []byte("signed"), signed, []byte(element))
	return h.Sum(nil)[:16]
}

// writeParts writes each part with its length, so that their boundaries are unambiguous.
func writeParts(h hash.Hash, parts ...[]byte) {
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
}

// signedContent returns the digest of the signed content and whether it is unique to this
// delivery.
func (in *inbound) signedContent() (signed []byte, moment bool) {
	p := in.proof
	if p == nil || !p.moment {
		return nil, false
	}
	sum, moment, ok := p.verifier.Signed(&in.request, &in.verdict)
	if !ok {
		return nil, false
	}
	// A token without a time or id is the same for every equal body.
	return sum[:], moment || p.written.SingleUse != nil
}

// genuineFor returns how long the request would still verify if it were sent again; 0 if
// its signature does not expire.
func (in *inbound) genuineFor() time.Duration {
	until := in.proof.verifier.Expires(&in.verdict)
	if until.IsZero() {
		return 0
	}
	return min(max(until.Sub(in.at)+time.Second, 0), workflows.DefaultDedupe)
}

// contentSum returns the digest of the body without the fields that the signature scheme
// writes into it; 0 if it writes none. A repeat with a new signature has the same sum.
func (r *route) contentSum(in *inbound, env *expr.Env) int64 {
	p := in.proof
	if p == nil || len(p.inBody) == 0 || len(in.body) > maxContentSum {
		return 0
	}
	raw, err := in.plain()
	if err != nil {
		return 0
	}
	body, err := content.Decode(in.contentType(), raw)
	if err != nil {
		return 0
	}
	for _, path := range p.inBody {
		remove(body, path)
	}
	if e := r.dataExpr; e != nil {
		names := expr.Names{}
		for k, v := range env.Names {
			names[k] = v
		}
		names["body"] = body
		if v, err := e.Eval(&expr.Env{Names: names, Now: env.Now}); err == nil {
			body = v
		}
	}
	text, err := value.EncodeJSON(body)
	if err != nil {
		return 0
	}
	sum := sha256.Sum256(text)
	return int64(binary.BigEndian.Uint64(sum[:8]) | 1)
}

// maxContentSum is the largest body for which contentSum is computed, in bytes.
const maxContentSum = 1 << 20

// remove deletes a field of a decoded body.
func remove(body any, path []string) {
	m, ok := body.(map[string]any)
	if !ok {
		return
	}
	if len(path) == 1 {
		delete(m, path[0])
		return
	}
	remove(m[path[0]], path[1:])
}

// inBody returns the body fields that a scheme writes: its signature, its time and, unless
// it signs the whole body, the fields that it signs.
func inBody(v *workflows.Verify) [][]string {
	var out [][]string
	add := func(f signature.Place) {
		switch {
		case f.JSON != "":
			out = append(out, strings.Split(f.JSON, "."))
		case f.Form != "":
			out = append(out, []string{f.Form})
		}
	}
	if v.Each != "" {
		return nil
	}
	add(v.From)
	if v.Timestamp == nil {
		return out
	}
	add(v.Timestamp.From)
	if !v.SignsBody() {
		for _, f := range v.SignedFields() {
			add(f)
		}
	}
	return out
}

// splitKey returns the key of a list element: the id of the list and a digest of the
// element.
func splitKey(list string, content []byte, nth int) string {
	sum := sha256.Sum256(content)
	key := list + "/" + hex.EncodeToString(sum[:8])
	if nth > 0 {
		key += fmt.Sprintf("#%d", nth+1)
	}
	return workflows.ShortKey(key)
}

// useIdentity applies the settings of the trigger that concern identity.
func (r *route) useIdentity() {
	w := r.webhook
	if w.Data != nil {
		r.data, r.dataExpr = w.Data.Text, w.Data
	}
	r.list, r.contentDedupe = w.Split, r.dedupe
	if !w.DedupeWritten {
		r.contentDedupe = workflows.DefaultContentDedupe
	}
	r.commonIDs = len(w.Key) == 0 && w.Provider == ""
	r.keyOfItem = readsAny(w.Key, "item")
}

func readsAny(list []*workflows.Expr, name string) bool {
	return slices.ContainsFunc(list, func(e *workflows.Expr) bool { return e.Reads(name) })
}

// headerRead matches an expression that reads one header by name.
var headerRead = regexp.MustCompile(`\bheaders(?:\?\.)?(?:\[["']([^"']+)["']\]|\.([A-Za-z][A-Za-z0-9_]*)\b)`)

// readKey records what the key reads besides the body.
func (r *route) readKey() {
	for _, name := range []string{"query", "path", "url", "method"} {
		r.keyOutside = r.keyOutside || readsAny(r.key, name)
	}
	for _, e := range r.key {
		found := headerRead.FindAllStringSubmatch(e.Text, -1)
		r.keyOutside = r.keyOutside || e.Reads("headers") && len(found) < strings.Count(e.Text, "headers")
		for _, m := range found {
			r.keyHeaders = append(r.keyHeaders, strings.ToLower(m[1]+m[2]))
		}
	}
}
