package workflows

import "slices"

// NeedsField reports whether a connection must set a field. A connection with its own auth: needs
// no field that only the connector's auth: reads.
func (k *Connector) NeedsField(c *Connection, f ConnectionField) bool {
	return f.Required && (c == nil || c.Auth == nil || !k.onlyProves(f.Name))
}

// onlyProves reports whether only auth: reads the field.
func (k *Connector) onlyProves(name string) bool {
	reads := func(v *Value) bool {
		found := false
		v.exprs(func(e *Expr) { found = found || e.readsField("connection", name) })
		return found
	}
	others := []*Value{k.BaseURL, k.Headers, k.Query}
	for _, a := range k.Actions {
		others = append(others, a.requestValues()...)
	}
	return slices.ContainsFunc(k.Auth.values(), reads) && !slices.ContainsFunc(others, reads)
}
