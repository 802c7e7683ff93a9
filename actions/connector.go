package actions

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// connectorAction executes the actions of all connector files.
type connectorAction struct{ outbound }

// Do implements engine.Action.
func (x connectorAction) Do(ctx context.Context, in engine.Input) (any, error) {
	c, a := in.Spec.Connector, in.Spec.Action
	inputs := map[string]any{}
	for _, i := range a.Inputs {
		inputs[i.Name] = in.With[i.Name]
		if inputs[i.Name] == nil {
			inputs[i.Name] = i.Default
		}
	}
	if _, problems := workflows.CheckInputs(a.Inputs, inputs); len(problems) > 0 {
		return nil, plan.Permanent("invalid_input", "%s: %s", in.Spec.Name, problems[0])
	}
	call := &call{in: in, connector: c, action: a, inputs: inputs, accepted: success, outbound: x.outbound,
		tolerated: func(int) bool { return false }}
	if v := in.With["accept"]; v != nil && in.Spec.Common("accept") {
		accepted, err := acceptance(v)
		if err != nil {
			return nil, err
		}
		// A response with a status that only the step accepts does not have the connector's format.
		call.accepted, call.tolerated = accepted, func(status int) bool { return accepted(status) && !success(status) }
	}
	o, err := call.order()
	if err != nil {
		return nil, err
	}
	if a.Pages != nil {
		return call.list(ctx, o)
	}
	r, err := send(ctx, x.client, o)
	if err != nil {
		return nil, err
	}
	return call.answer(r)
}

// call is one attempt of a connector's action.
type call struct {
	in        engine.Input
	connector *workflows.Connector
	action    *workflows.ConnectorAction
	inputs    map[string]any
	// accepted reports whether a status counts as success; tolerated reports whether only the step
	// accepts it.
	accepted, tolerated func(status int) bool
	// connection is the project's connection, evaluated.
	connection *connection
	outbound
}

// Connection implements engine.Connected.
func (connectorAction) Connection(in engine.Input) string {
	if name := value.Shown(in.With["connection"]); in.With["connection"] != nil && name != "" {
		return name
	}
	return in.Spec.Connector.Name
}

// Destination implements engine.Destined.
func (connectorAction) Destination(in engine.Input) string {
	c := in.Spec.Connector
	name := value.Shown(in.With["connection"])
	if name == "" {
		name = c.Name
	}
	fields, conn, err := credentials(c, in, name)
	if err != nil {
		return ""
	}
	if conn.base == "" {
		if conn.base, err = c.Base(fields); err != nil {
			return ""
		}
	}
	return destination(conn.base, "/")
}

// order builds the request.
func (k *call) order() (order, error) {
	c, a, in := k.connector, k.action, k.in
	o := order{method: a.Method, header: http.Header{}, limit: defaultMaxResponse, parse: a.Parse, files: in.Files}
	name := value.Shown(in.With["connection"])
	if name == "" {
		name = c.Name
	}
	fields, conn, err := credentials(c, in, name)
	if err != nil {
		return o, err
	}
	k.connection = conn
	env := &expr.Env{Names: expr.Names{"inputs": k.inputs, "connection": fields}, Now: in.Now}
	if err := conn.of(c, fields, env); err != nil {
		return o, err
	}
	path, err := a.Path.Render(env, workflows.FillURL)
	if err != nil {
		return o, plan.Permanent("invalid_input", "%s: %v", in.Spec.Name, err)
	}
	query, err := rendered(env, c.Query, a.Query)
	if err != nil {
		return o, plan.Permanent("invalid_input", "%s: query: %v", in.Spec.Name, err)
	}
	if key := k.idempotencyKey(); key != "" && c.IdempotencyQuery != "" {
		query[c.IdempotencyQuery] = key
	}
	if o.url, err = conn.resolve(value.Shown(path), false, query, a.FormStyle); err != nil {
		return o, err
	}
	if err := k.headers(&o, env); err != nil {
		return o, err
	}
	if err := conn.apply(&o, k.auth); err != nil {
		return o, err
	}
	return o, k.content(&o, env)
}

// rendered merges the entries of maps; later ones override earlier ones.
func rendered(env *expr.Env, maps ...*workflows.Value) (map[string]any, error) {
	out := map[string]any{}
	for _, m := range maps {
		v, err := m.Render(env, workflows.FillPlain)
		if err != nil {
			return nil, err
		}
		entries, _ := v.(map[string]any)
		for k, x := range entries {
			out[k] = x
		}
	}
	return out, nil
}

// idempotencyKey returns the key of a write; "" for a request that only reads.
func (k *call) idempotencyKey() string {
	if k.action.Method == http.MethodGet || k.action.Method == http.MethodHead {
		return ""
	}
	if given, ok := k.in.With["idempotency_key"].(string); ok && k.in.Spec.Common("idempotency_key") {
		return given
	}
	return k.in.Key
}

// headers sets the headers of the connector and of the action, and the idempotency key. It omits a
// header whose value is one expression that returns nothing.
func (k *call) headers(o *order, env *expr.Env) error {
	if key := k.idempotencyKey(); key != "" && k.connector.IdempotencyHeader != "none" {
		if err := setHeader(o.header, k.connector.IdempotencyHeader, key); err != nil {
			return err
		}
	}
	for _, written := range []*workflows.Value{k.connector.Headers, k.action.Headers} {
		for _, name := range written.Keys() {
			field := written.Field(name)
			fill := workflows.FillNonempty
			if field.IsExpression() {
				fill = workflows.FillPlain
			}
			v, err := field.Render(env, fill)
			if err != nil {
				return plan.Permanent("invalid_input", "%s: header %s: %v", k.in.Spec.Name, clipName(name), err)
			}
			if v == nil || v == "" {
				continue
			}
			if err := setHeader(o.header, name, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// content encodes the action's body, if it has one.
func (k *call) content(o *order, env *expr.Env) error {
	a := k.action
	fill := func(name string, v *workflows.Value) (any, error) {
		x, err := v.RenderGiven(env, workflows.FillPlain)
		if err != nil {
			return nil, plan.Permanent("invalid_input", "%s: %s: %v", k.in.Spec.Name, name, err)
		}
		return x, nil
	}
	switch {
	case a.Form != nil:
		v, err := fill("form", a.Form)
		if err != nil {
			return err
		}
		form := url.Values{}
		if err := addValues(form, v, a.FormStyle); err != nil {
			return plan.Permanent("invalid_input", "%s: form: %v", k.in.Spec.Name, err)
		}
		o.body = []byte(form.Encode())
		o.header.Set("Content-Type", "application/x-www-form-urlencoded")
	case a.Multipart != nil:
		v, err := fill("multipart", a.Multipart)
		if err != nil {
			return err
		}
		return multipartBody(o, v, k.in)
	case a.Text != nil:
		v, err := fill("text", a.Text)
		if err != nil {
			return err
		}
		o.body = []byte(value.Shown(v))
		defaultType(o, "text/plain; charset=utf-8")
	case a.RawFile != nil:
		v, err := fill("raw_file", a.RawFile)
		if err != nil {
			return err
		}
		p, media, err := filePart(k.in.Files, "raw_file", v)
		if err != nil {
			return err
		}
		o.parts = []part{p}
		defaultType(o, cmp.Or(media, "application/octet-stream"))
	case a.Body != nil:
		v, err := fill("body", a.Body)
		if err != nil || v == nil {
			return err
		}
		written := o.header.Get("Content-Type")
		if err := jsonBody(o, v); err != nil || written == "" {
			return err
		}
		o.header.Set("Content-Type", written) // such as application/merge-patch+json
	}
	return nil
}

// defaultType sets the content type if the connector does not.
func defaultType(o *order, media string) {
	if o.header.Get("Content-Type") == "" {
		o.header.Set("Content-Type", media)
	}
}

// credentials evaluates the connector's fields from the project's connection.
func credentials(c *workflows.Connector, in engine.Input, name string) (map[string]any, *connection, error) {
	conn, err := pick(in, name)
	if err != nil {
		return nil, nil, err
	}
	fields := map[string]any{}
	given := in.Connections[name]
	for _, f := range c.Fields {
		v, err := given.Fields[f.Name].Render(conn.env, workflows.FillPlain)
		if err != nil {
			return nil, nil, plan.Permanent("invalid_connection", "connection %s: %s: %v", name, f.Name, err)
		}
		if v == nil || v == "" {
			v = f.Default
		}
		if v == nil && c.NeedsField(given, f) {
			return nil, nil, plan.Permanent("no_credential", "connection %s: %s is not set", name, f.Name)
		}
		fields[f.Name] = v
	}
	return fields, conn, nil
}
