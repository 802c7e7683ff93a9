package actions

import (
	"context"
	"fmt"
	"net/http"

	"github.com/hookloom/hookloom/actions/auth"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// Linked is a connection of the project with what its connector adds to it.
type Linked struct {
	auth.Connection
	// Connector is the connector's name; Test is the path of a cheap GET request, empty if there is
	// none.
	Connector, Test string
	// Broken says why its settings cannot be evaluated; nil if they can.
	Broken error
}

// Link returns the project's connections as requests use them.
func Link(p *workflows.Project, secret func(string) (string, bool)) map[string]Linked {
	in := engine.Input{Connections: p.Connections, Secret: secret}
	out := map[string]Linked{}
	for name, c := range p.Connections {
		x, k := Linked{Connector: c.Connector, Test: c.Test}, p.Actions.Connector(c.Connector)
		conn, err := linked(in, name, k)
		if missing := unset(c, secret); missing != "" {
			err = plan.Permanent("no_credential", "secret %s is not set: run hookloom secrets set %s, or hookloom validate for other ways",
				missing, missing)
		}
		if err != nil {
			x.Broken, conn = err, &connection{name: name, auth: c.Auth}
		}
		x.Connection = auth.Connection{Name: name, Auth: conn.auth, Env: conn.env, Expired: conn.expired}
		if k != nil && x.Test == "" {
			x.Test = k.Test
		}
		if x.Auth == nil && k != nil {
			x.Auth = k.Auth
		}
		out[name] = x
	}
	return out
}

// unset returns the first secret of a connection without a value; "" if all have one.
func unset(c *workflows.Connection, secret func(string) (string, bool)) string {
	for _, name := range c.SecretNames() {
		if _, set := secret(name); !set {
			return name
		}
	}
	return ""
}

// Tokens returns the connections in the form that package auth uses.
func Tokens(list map[string]Linked) map[string]auth.Connection {
	out := map[string]auth.Connection{}
	for name, x := range list {
		if x.Broken == nil {
			out[name] = x.Connection
		}
	}
	return out
}

// linked evaluates a connection, with its connector's settings if it has one.
func linked(in engine.Input, name string, k *workflows.Connector) (*connection, error) {
	if k == nil {
		return pick(in, name)
	}
	fields, conn, err := credentials(k, in, name)
	if err != nil {
		return nil, err
	}
	return conn, conn.of(k, fields, &expr.Env{Names: expr.Names{"connection": fields}})
}

// of adds the connector's settings that the connection does not set.
func (c *connection) of(k *workflows.Connector, fields map[string]any, env *expr.Env) error {
	if c.base == "" {
		base, err := k.Base(fields)
		if err != nil {
			return plan.Permanent("invalid_connection", "connection %s: base_url: %v", c.name, err)
		}
		c.base = base
	}
	if c.auth == nil {
		c.auth, c.env = k.Auth, env
	}
	if c.expired == nil {
		c.expired = k.Expired
	}
	return nil
}

// testOf returns the built-in action that tests connections of a connector; nil for HTTP
// connectors, which are tested by a GET request.
func testOf(p *workflows.Project, connector string, o Options) engine.ConnectionTest {
	for _, a := range table(o) {
		spec := p.Actions.Get(a.spec.Name)
		if test, can := a.do.(engine.ConnectionTest); can && spec != nil && spec.Connection != nil && spec.Connection.Name == connector {
			return test
		}
	}
	return nil
}

// TestConnection makes the connector's cheapest harmless call, which shows that a token can be
// obtained and that the service accepts it. detail says what was tried.
func TestConnection(ctx context.Context, p *workflows.Project, secret func(string) (string, bool), client *http.Client,
	source *auth.Source, name string) (detail string, err error) {
	x, there := Link(p, secret)[name]
	if !there {
		return "", fmt.Errorf("no connection is named %q", name)
	}
	if x.Broken != nil {
		return "", x.Broken
	}
	in := engine.Input{Connections: p.Connections, Secret: secret, Dir: p.Dir, With: map[string]any{"connection": name}}
	if native := testOf(p, x.Connector, Options{Client: client, Auth: source}); native != nil {
		return native.Test(ctx, in)
	}
	if x.Test == "" {
		k := source.For(x.Connection)
		if err := k.Ready(ctx); err != nil {
			return "", err
		}
		if k == nil {
			return "", plan.Permanent("untested", "connection %s has no test: add test: PATH, the path of a cheap GET", name)
		}
		return "its credential is ready; add test: PATH, the path of a cheap GET, to check it with the service", nil
	}
	conn, err := linked(in, name, p.Actions.Connector(x.Connector))
	if err != nil {
		return "", err
	}
	o := order{method: http.MethodGet, header: http.Header{}, limit: defaultMaxResponse, parse: "auto"}
	if o.url, err = conn.resolve(x.Test, false, nil, ""); err != nil {
		return "", err
	}
	if err := conn.apply(&o, source); err != nil {
		return "", err
	}
	r, err := send(ctx, client, o)
	if err != nil {
		return "", err
	}
	if conn.expired.Says(r.status, r.names()) {
		return "", plan.Permanent("http_status", "GET %s: the service rejected the credential (%d)", x.Test, r.status)
	}
	return fmt.Sprintf("GET %s answered %d", x.Test, r.status), checkStatus(r, success)
}
