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
	if len(d.Raw) == 0 {
		return
	}
	raw, changed := d.Raw, false
	if content.LooksJSON(d.Headers["content-type"], raw) {
		raw, changed = g.o.Redactor.JSON(raw)
	} else if b := g.o.Redactor.Bytes(raw); len(b) != len(raw) || &b[0] != &raw[0] {
		raw, changed = b, true
	}
	if p := g.project.Load(); p != nil && p.fields != nil {
		out, kind := p.fields.Body(d.Headers["content-type"], raw, d.DataExpr)
		if strings.HasPrefix(d.Flag, engine.UnreadableFlag) {
			// The position of its data is unknown.
			out, kind = p.fields.Refused(d.Headers["content-type"], raw), d.Headers["content-type"]
		}
		if len(out) != len(raw) || len(out) > 0 && &out[0] != &raw[0] {
			raw, changed = out, true
			if kind != d.Headers["content-type"] {
				d.Headers["content-type"] = kind
			}
		}
	}
	if changed {
		d.Raw, d.Body, d.Decoded = raw, nil, false
	}
}

// MaskRefusal masks the fields of history.redact in a refused body. Its signature covers the
// unmasked body, which is stored so that it can be verified again.
func (g *Registry) MaskRefusal(r *engine.Refusal) {
	p := g.project.Load()
	if p == nil || p.fields == nil || len(r.Body) == 0 {
		return
	}
	safe := p.fields.Refused(r.Headers["content-type"], r.Body)
	if len(safe) != len(r.Body) || &safe[0] != &r.Body[0] {
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
