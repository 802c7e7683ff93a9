package actions

import (
	"net/http"
	"strings"

	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// connection is a project's connection with its expressions evaluated.
type connection struct {
	name, base string
	auth       *workflows.Auth
	env        *expr.Env
	expired    *workflows.Expired
	headers    map[string]any
	// preview is Input.Preview.
	preview string
}

// pick returns the connection that a step names, with its expressions evaluated; "" is none.
func pick(in engine.Input, name string) (*connection, error) {
	if name == "" {
		return &connection{}, nil
	}
	c := in.Connections[name]
	if c == nil {
		return nil, plan.Permanent("no_connection", "no connection is named %q in hookloom.yaml", name)
	}
	out := &connection{name: name, auth: c.Auth, env: secretsEnv(in), expired: c.Expired, preview: in.Preview}
	base, err := c.BaseURL.Render(out.env, workflows.FillPlain)
	if err != nil {
		return nil, plan.Permanent("invalid_connection", "connection %s: base_url: %v", name, err)
	}
	out.base = value.Shown(base)
	h, err := c.Headers.Render(out.env, workflows.FillNonempty)
	if err != nil {
		return nil, plan.Permanent("invalid_connection", "connection %s: headers: %v", name, err)
	}
	out.headers, _ = h.(map[string]any)
	return out, nil
}

// secretsEnv returns an environment with the secrets that connections use.
func secretsEnv(in engine.Input) *expr.Env {
	values := map[string]any{}
	for _, c := range in.Connections {
		for _, n := range c.SecretNames() {
			if v, ok := in.Secret(n); ok {
				values[n] = v
			}
		}
	}
	return &expr.Env{Names: expr.Names{"secrets": values}, Now: in.Now}
}

// resolve joins a path to the base URL and adds query parameters. A complete URL is used as it is;
// with a connection only if it has the connection's host, because the credential must not be sent
// to another one. A path in the file is always relative to base_url, even if it begins like it; a
// link in a response may be relative to the host.
func (c *connection) resolve(raw string, link bool, query any, style string) (string, error) {
	if c.base != "" {
		base, err := target(c.base)
		if err != nil {
			return "", plan.Permanent("invalid_connection", "connection %s: base_url is not an http URL", c.name)
		}
		if strings.HasPrefix(raw, "/") && !strings.HasPrefix(raw, "//") {
			if whole := strings.TrimRight(base.String(), "/"); link {
				raw = below(whole, raw)
			} else {
				raw = whole + raw
			}
		} else if u, err := target(raw); err != nil {
			return "", err
		} else if origin(u) != origin(base) {
			if c.name == "" {
				return "", plan.Permanent("invalid_request", "the step's credential is for %s, and is not sent elsewhere", base.Host)
			}
			return "", plan.Permanent("invalid_request", "connection %s is for %s, and its credential is not sent elsewhere", c.name, base.Host)
		}
		if path, _, _ := strings.Cut(raw, "?"); workflows.HasDotSegment(path) {
			return "", plan.Permanent("invalid_request",
				"the path must not contain . or .. segments: connection %s is limited to %s", c.name, c.base)
		}
	}
	return addQuery(raw, query, style)
}

// apply sets the connection's headers and credential.
func (c *connection) apply(o *order, source *auth.Source) error {
	for k, v := range c.headers {
		if err := setHeader(o.header, k, v); err != nil {
			return err
		}
	}
	o.preview = c.preview
	if a := c.auth; c.preview != "" && a != nil && (a.OAuth2 != nil || a.JWT != nil || a.SigV4 != nil || a.TLS != nil) {
		if a.TLS != nil {
			return nil // the certificate is not a header
		}
		return setHeader(o.header, "Authorization", workflows.Mask)
	}
	o.proof = source.For(auth.Connection{Name: c.name, Auth: c.auth, Env: c.env, Expired: c.expired})
	if a := c.auth; source == nil && a != nil && (a.OAuth2 != nil || a.JWT != nil || a.SigV4 != nil || a.TLS != nil) {
		return plan.Permanent("unsupported", "connection %s: auth %s works only in a server, which stores its tokens", c.name, a.Kind())
	}
	return applyAuth(o, c.auth, c.env, c.name)
}

// applyAuth applies auth: with the given names.
func applyAuth(o *order, a *workflows.Auth, env *expr.Env, name string) error {
	if a == nil {
		return nil
	}
	fill := func(v *workflows.Value) (string, error) {
		x, err := v.Render(env, workflows.FillNonempty)
		if err != nil || x == nil || value.Shown(x) == "" {
			return "", plan.Permanent("no_credential", "connection %s: its credential is not set%s", name, because(err))
		}
		if !strings.Contains(value.Shown(x), o.preview) {
			return workflows.Mask, nil
		}
		return value.Shown(x), nil
	}
	var m map[string]any
	switch {
	case a.Bearer != nil:
		s, err := fill(a.Bearer)
		if err != nil {
			return err
		}
		m = map[string]any{"bearer": s}
	case a.BasicUser != nil:
		user, err := fill(a.BasicUser)
		if err != nil {
			return err
		}
		password := ""
		if a.BasicPassword != nil {
			if password, err = fill(a.BasicPassword); err != nil {
				return err
			}
		}
		m = map[string]any{"basic": map[string]any{"user": user, "password": password}}
	case a.HeaderName != "":
		s, err := fill(a.HeaderValue)
		if err != nil {
			return err
		}
		m = map[string]any{"header": map[string]any{"name": a.HeaderName, "value": s}}
	case a.QueryName != "":
		s, err := fill(a.QueryValue)
		if err != nil {
			return err
		}
		m = map[string]any{"query": map[string]any{"name": a.QueryName, "value": s}}
	}
	if o.header == nil {
		o.header = http.Header{}
	}
	return authHeaders(o, m)
}

// because returns an error's reason for a message, if there is one.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
