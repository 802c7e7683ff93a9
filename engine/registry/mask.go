package registry

import (
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/engine/redact"
)

// MaskEvent masks the parts of a delivery that must not be stored: secrets of the project, and the
// fields of history.redact. It runs before any decision, so that rules see what is stored, and
// after the key was computed.
func (g *Registry) MaskEvent(d *engine.Delivery) {
	p := g.project.Load()
	if p != nil && p.fields != nil {
		d.Query = p.fields.Query(d.Query)
	}
	if len(d.Raw) == 0 {
		return
	}
	raw, kind := g.maskSecrets(d.Headers["content-type"], d.Raw)
	changed := !unchanged(raw, d.Raw)
	if kind != d.Headers["content-type"] {
		if d.Headers == nil {
			d.Headers = map[string]string{}
		}
		d.Headers["content-type"] = kind
	}
	if p != nil && p.fields != nil {
		out, kind := p.fields.Body(d.Headers["content-type"], raw, d.DataExpr)
		if strings.HasPrefix(d.Flag, engine.UnreadableFlag) {
			// The position of its data is unknown.
			out, kind = p.fields.Refused(d.Headers["content-type"], raw), d.Headers["content-type"]
		}
		if !unchanged(out, raw) {
			raw, changed = out, true
			if kind != d.Headers["content-type"] {
				d.Headers["content-type"] = kind
			}
		}
	}
	if changed {
		d.Raw, d.Body, d.Decoded, d.Text = raw, nil, false, ""
	}
}

// maskSecrets masks the secrets in a body. In a charset other than UTF-8, such as UTF-16, the bytes of
// a secret are others: such a text becomes UTF-8, which the returned content type says, if it has one.
func (g *Registry) maskSecrets(contentType string, raw []byte) (out []byte, kind string) {
	text, media := raw, contentType
	if m, _ := content.MediaType(contentType); m != content.FormType && !strings.HasPrefix(m, "multipart/") {
		if text = content.Text(contentType, raw); !unchanged(text, raw) {
			media = content.InUTF8(contentType, raw)
		}
	}
	if content.LooksJSON(contentType, text) {
		out, _ = g.o.Redactor.JSON(text)
	} else {
		out = g.o.Redactor.Bytes(text)
	}
	if unchanged(out, text) {
		return raw, contentType
	}
	return out, media
}

// unchanged reports whether a function returned its argument.
func unchanged(a, b []byte) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// MaskRefusal masks the fields of history.redact in a refused delivery. Its signature covers the
// unmasked body and, with some providers, the unmasked URL: they are stored encrypted, so that it can
// be verified again.
func (g *Registry) MaskRefusal(r *engine.Refusal) {
	p := g.project.Load()
	if p == nil || p.fields == nil {
		return
	}
	if url := p.fields.URL(r.URL); url != r.URL {
		r.URL, r.WholeURL = url, r.URL
	}
	if len(r.Body) == 0 {
		return
	}
	safe := p.fields.Refused(r.Headers["content-type"], r.Body)
	if !unchanged(safe, r.Body) {
		r.Body, r.Whole = safe, r.Body
	}
}

// MaskOf masks what is shown of an event: secrets, and its own hidden values.
func (g *Registry) MaskOf(ev *engine.Event) *redact.Masker {
	if len(ev.Hidden) > 0 {
		return g.o.Redactor.With(ev.Hidden)
	}
	return g.everyRun
}
