package workflows

import (
	"fmt"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
)

// FieldValues returns the values of the fields that the connector k declares, with defaults
// applied. A missing required field is an error.
func (c *Connection) FieldValues(k *Connector, secret func(string) (string, bool), now time.Time) (map[string]any, error) {
	secrets := map[string]any{}
	for _, n := range c.SecretNames() {
		if v, ok := secret(n); ok {
			secrets[n] = v
		}
	}
	env, out := &expr.Env{Names: expr.Names{"secrets": secrets}, Now: now}, map[string]any{}
	for _, f := range k.Fields {
		v, err := c.Fields[f.Name].Render(env, FillPlain)
		if err != nil {
			return nil, fmt.Errorf("connection %s: %s: %w", c.Name, f.Name, err)
		}
		if v == nil || v == "" {
			v = f.Default
		}
		if v == nil && k.NeedsField(c, f) {
			return nil, fmt.Errorf("connection %s: %s is not set", c.Name, f.Name)
		}
		if v != nil {
			out[f.Name] = v
		}
	}
	return out, nil
}
