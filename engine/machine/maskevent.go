package machine

import (
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
)

// maskEvent masks in a delivery what may not be stored: secrets that the project
// knows, and the fields of history.redact. It is done before anything is decided, so
// that rules see what is on record, and after the key was computed.
func (e *Engine) maskEvent(d *engine.Delivery) {
	if len(d.Raw) == 0 {
		return
	}
	raw, changed := d.Raw, false
	if content.LooksJSON(d.Headers["content-type"], raw) {
		raw, changed = e.o.Redactor.JSON(raw)
	} else if b := e.o.Redactor.Bytes(raw); len(b) != len(raw) || &b[0] != &raw[0] {
		raw, changed = b, true
	}
	if p := e.project.Load(); p != nil && p.fields != nil {
		out, kind := p.fields.Body(d.Headers["content-type"], raw, d.DataExpr)
		if strings.HasPrefix(d.Flag, engine.UnreadableFlag) {
			// Where its data would stand is not known.
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

// maskRefusal masks the fields of history.redact in a refused body. Its signature
// covers the whole, which is kept to judge it again.
func (e *Engine) maskRefusal(r *engine.Refusal) {
	p := e.project.Load()
	if p == nil || p.fields == nil || len(r.Body) == 0 {
		return
	}
	safe := p.fields.Refused(r.Headers["content-type"], r.Body)
	if len(safe) != len(r.Body) || &safe[0] != &r.Body[0] {
		r.Body, r.Whole = safe, r.Body
	}
}
