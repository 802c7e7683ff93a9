package actions

import (
	"context"
	"net/http"
	"net/url"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// connectorAction carries out the actions of every connector file.
type connectorAction struct{}

// Do implements engine.Action.
func (connectorAction) Do(ctx context.Context, in engine.Input) (any, error) {
	c, a := in.Spec.Connector, in.Spec.Action
	inputs := map[string]any{}
	for _, i := range a.Inputs {
		inputs[i.Name] = in.With[i.Name]
		if inputs[i.Name] == nil {
			inputs[i.Name] = i.Default
		}
	}
	if _, problems := workflows.CheckInputs(a.Inputs, inputs); len(problems) > 0 {
		return nil, permanent("invalid_input", "%s: %s", in.Spec.Name, problems[0])
	}
	accepted, tolerated := success, func(int) bool { return false }
	if v := in.With["accept"]; v != nil && in.Spec.Common("accept") {
		var err error
		if accepted, err = acceptance(v); err != nil {
			return nil, err
		}
		// A status that only the step accepts has no answer that the connector knows.
		tolerated = func(status int) bool { return accepted(status) && !success(status) }
	}
	o, err := connectorOrder(c, a, in, inputs)
	if err != nil {
		return nil, err
	}
	r, err := send(ctx, in.Client, o)
	if err != nil {
		return nil, err
	}
	env := &workflows.Env{Names: workflows.Names{"inputs": inputs, "response": r.names()}, Now: in.Now}
	if out, ok, err := already(a, r, env); ok {
		return out, err
	}
	if err := ruled(a, r, env); err != nil && !tolerated(r.status) {
		return nil, err
	}
	if err := judge(r, accepted); err != nil {
		return nil, err
	}
	if a.Output == nil || tolerated(r.status) {
		return r.names(), nil
	}
	out, err := a.Output.Render(env, workflows.FillPlain)
	if err != nil {
		return nil, &plan.Error{Message: "the answer is not what the connector expects: " + err.Error(), Code: "bad_answer", Status: r.status,
			Details: r.names()}
	}
	return out, nil
}

// Destination implements engine.Destined.
func (connectorAction) Destination(in engine.Input) string {
	c := in.Spec.Connector
	name := text(in.With["connection"])
	if name == "" {
		name = c.Name
	}
	fields, conn, err := credentials(c, in, name)
	if err != nil {
		return ""
	}
	if conn.base == "" {
		base, err := c.BaseURL.Render(&workflows.Env{Names: workflows.Names{"connection": fields}}, workflows.FillPlain)
		if err != nil {
			return ""
		}
		conn.base = text(base)
	}
	return destination(conn.base, "/")
}

// already asks the connector's rules for answers that mean that what was to be made is
// there, which is a success.
func already(a *workflows.ConnectorAction, r *reply, env *workflows.Env) (any, bool, error) {
	for _, rule := range a.Already {
		ok, err := rule.When.Condition(env)
		if err != nil || !ok {
			continue // a rule that cannot be asked does not hold
		}
		if rule.Output == nil {
			return r.names(), true, nil
		}
		out, err := rule.Output.Render(env, workflows.FillPlain)
		if err != nil {
			return nil, true, &plan.Error{Message: "the answer is not what the connector expects: " + err.Error(), Code: "bad_answer",
				Status: r.status, Details: r.names()}
		}
		return out, true, nil
	}
	return nil, false, nil
}

// ruled asks the connector's own rules for failures.
func ruled(a *workflows.ConnectorAction, r *reply, env *workflows.Env) error {
	for _, f := range a.Fail {
		ok, err := f.When.Condition(env)
		if err != nil || !ok {
			continue // a rule that cannot be asked does not hold
		}
		m, err := f.Message.Render(env, workflows.FillPlain)
		if err != nil {
			m = f.Code
		}
		return &plan.Error{Message: text(m), Code: f.Code, Status: r.status, Retryable: f.Retryable || plan.RetryableStatus(r.status),
			Details: r.names()}
	}
	return nil
}

func connectorOrder(c *workflows.Connector, a *workflows.ConnectorAction, in engine.Input, inputs map[string]any) (order, error) {
	o := order{method: a.Method, header: http.Header{}, limit: defaultMaxResponse, parse: "auto"}
	name := text(in.With["connection"])
	if name == "" {
		name = c.Name
	}
	fields, conn, err := credentials(c, in, name)
	if err != nil {
		return o, err
	}
	env := &workflows.Env{Names: workflows.Names{"inputs": inputs, "connection": fields}, Now: in.Now}
	if conn.base == "" {
		base, err := c.BaseURL.Render(env, workflows.FillPlain)
		if err != nil {
			return o, permanent("invalid_connection", "connection %s: base_url: %v", name, err)
		}
		conn.base = text(base)
	}
	path, err := a.Path.Render(env, workflows.FillURL)
	if err != nil {
		return o, permanent("invalid_input", "%s: %v", in.Spec.Name, err)
	}
	query, err := a.Query.Render(env, workflows.FillPlain)
	if err != nil {
		return o, permanent("invalid_input", "%s: query: %v", in.Spec.Name, err)
	}
	if o.url, err = conn.resolve(text(path), false, query, a.FormStyle); err != nil {
		return o, err
	}
	if conn.auth == nil {
		conn.auth, conn.env = c.Auth, env
	}
	if err := conn.apply(&o); err != nil {
		return o, err
	}
	return o, connectorContent(&o, a, in, env)
}

func connectorContent(o *order, a *workflows.ConnectorAction, in engine.Input, env *workflows.Env) error {
	h, err := a.Headers.Render(env, workflows.FillNonempty)
	if err != nil {
		return permanent("invalid_input", "%s: headers: %v", in.Spec.Name, err)
	}
	if o.method != http.MethodGet && o.method != http.MethodHead {
		key := in.Key
		if k, ok := in.With["idempotency_key"].(string); ok && in.Spec.Common("idempotency_key") {
			key = k
		}
		if err := setHeader(o.header, "Idempotency-Key", key); err != nil {
			return err
		}
	}
	headers, _ := h.(map[string]any)
	for k, v := range headers {
		if err := setHeader(o.header, k, v); err != nil {
			return err
		}
	}
	if a.Form != nil {
		v, err := a.Form.Render(env, workflows.FillPlain)
		form := url.Values{}
		if err == nil {
			err = addValues(form, v, a.FormStyle)
		}
		if err != nil {
			return permanent("invalid_input", "%s: form: %v", in.Spec.Name, err)
		}
		o.body = []byte(form.Encode())
		o.header.Set("Content-Type", "application/x-www-form-urlencoded")
		return nil
	}
	if a.Body == nil {
		return nil
	}
	v, err := a.Body.RenderGiven(env, workflows.FillPlain)
	if err != nil {
		return permanent("invalid_input", "%s: body: %v", in.Spec.Name, err)
	}
	return jsonBody(o, v)
}

// credentials fills the connector's own fields from the project's connection.
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
			return nil, nil, permanent("invalid_connection", "connection %s: %s: %v", name, f.Name, err)
		}
		if v == nil || v == "" {
			v = f.Default
		}
		if v == nil && f.Required {
			return nil, nil, permanent("no_credential", "connection %s: %s is not set", name, f.Name)
		}
		fields[f.Name] = v
	}
	return fields, conn, nil
}
