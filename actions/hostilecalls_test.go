package actions_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// hostileCall is an action with inputs, directed at a host.
type hostileCall struct {
	name string
	with map[string]any
	// config is hookloom.yaml.
	config string
	// loose reports whether the action returns any response with a status that it accepts.
	loose bool
	// connections are parsed from config; dir is the project's folder.
	connections map[string]*workflows.Connection
	dir         string
}

// nativeCalls returns the calls of the built-in actions that use HTTP.
func nativeCalls(base string) map[string]hostileCall {
	secured := map[string]any{"url": base + "/a", "auth": map[string]any{"bearer": hostileSecret}, "redirects": 3}
	out := map[string]hostileCall{}
	for _, m := range []string{"request", "get", "post", "put", "patch", "delete", "head"} {
		out["http/"+m] = hostileCall{with: maps.Clone(secured), loose: true}
	}
	out["webhook/send"] = hostileCall{loose: true,
		with: map[string]any{"url": base + "/hook", "secret": hostileSecret, "body": map[string]any{"a": 1}}}
	out["cloudevents/send"] = hostileCall{loose: true, with: map[string]any{"url": base + "/events", "type": "a.b", "source": "/shop",
		"data": map[string]any{"a": 1}, "auth": map[string]any{"bearer": hostileSecret}}}
	s3 := `connections: {s3: {access_key: "${{ secrets.A }}", secret_key: "${{ secrets.B }}", bucket: shop, endpoint: "` + base + `"}}`
	out["s3/get"] = hostileCall{config: s3, loose: true, with: map[string]any{"key": "a"}}
	out["s3/put"] = hostileCall{config: s3, with: map[string]any{"key": "a", "text": "x"}}
	out["s3/list"] = hostileCall{config: s3, with: map[string]any{}}
	return out
}

// elsewhere are the built-in actions that use other protocols, with the tests of their contract,
// and those that only name the host to which later steps send.
var elsewhere = map[string]string{"email/send": "TestAHostileServerEndsTheAttempt", "sql/query": "TestAHostileDatabaseEndsTheAttempt",
	"sql/exec": "TestAHostileDatabaseEndsTheAttempt", "s3/presign": "asks nobody"}

// hostileCalls returns calls of all actions that use HTTP, directed at a server.
func hostileCalls(t *testing.T, base string) []hostileCall {
	t.Helper()
	native, executors := nativeCalls(base), actions.Executors(actions.Options{})
	var out []hostileCall
	cat := catalog(t)
	for _, name := range slices.Sorted(maps.Keys(cat)) {
		spec := cat[name]
		if spec.Connector != nil {
			c := hostileCall{name: name, with: maps.Clone(spec.Action.Call.With), loose: spec.Action.Output == nil}
			if c.with == nil {
				c.with = map[string]any{}
			}
			for _, in := range spec.Action.Inputs {
				if in.Type == "file" {
					c.with[in.Name] = "files/run_1/a.bin"
				} else if c.with[in.Name] == nil && in.Required {
					t.Errorf("%s: its example has no %s, so that it cannot be tried", name, in.Name)
				}
			}
			c.config = connectorConfig(spec.Connector, base)
			out = append(out, c)
			continue
		}
		if _, reaches := executors[name].(engine.Destined); !reaches || elsewhere[name] != "" {
			continue
		}
		c, known := native[name]
		if !known {
			t.Errorf("%s reaches a host, and nativeCalls has no call of it", name)
			continue
		}
		c.name = name
		out = append(out, c)
	}
	return out
}

// connectorConfig returns a connection of a connector to a server.
func connectorConfig(k *workflows.Connector, base string) string {
	var fields []string
	for _, f := range k.Fields {
		v := fmt.Sprintf("%q", "${{ secrets."+strings.ToUpper(f.Name)+" }}")
		switch {
		case f.Secret:
		case f.Default != nil:
			v = workflows.YAMLText(f.Default)
		case len(f.Options) > 0:
			v = workflows.YAMLText(f.Options[0])
		case f.Type == "integer" || f.Type == "number":
			v = "1"
		}
		fields = append(fields, f.Name+": "+v)
	}
	switch k.Auth.Kind() {
	case "oauth2", "jwt_bearer", "aws_sigv4", "tls":
		fields = append(fields, `auth: {bearer: "${{ secrets.TOKEN }}"}`)
	}
	return "connections: {" + k.Name + ": {" + strings.Join(append(fields, "base_url: "+base), ", ") + "}}"
}
