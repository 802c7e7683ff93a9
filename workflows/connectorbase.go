package workflows

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Base returns the base URL for the given connection fields. A value inserted into the host cannot
// extend beyond it: a subdomain with a slash would send the credential to another host.
func (c *Connector) Base(fields map[string]any) (string, error) {
	env := &expr.Env{Names: expr.Names{"connection": fields}}
	if c.BaseURL == nil || c.BaseURL.kind != textValue {
		v, err := c.BaseURL.Render(env, FillNonempty)
		if err != nil {
			return "", err
		}
		return value.Text(v)
	}
	text := ""
	for _, p := range c.BaseURL.parts {
		piece := p.text
		if p.expr != nil {
			v, err := p.expr.Eval(env)
			if err != nil {
				return "", err
			}
			if piece, err = value.Text(v); err != nil {
				return "", err
			}
			_, rest, _ := strings.Cut(text, "://")
			switch inHost := !strings.Contains(rest, "/"); {
			case piece == "":
				return "", emptyPiece(p.expr)
			case strings.ContainsAny(piece, "@?#\\ \t\r\n") || inHost && strings.Contains(piece, "/"):
				return "", fmt.Errorf("%q cannot be a part of base_url: it would change the host or end the path", value.Clip(piece, 40))
			}
		}
		text += piece
	}
	return text, nil
}
