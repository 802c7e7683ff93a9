package workflows

import (
	"fmt"
	"reflect"

	"github.com/expr-lang/expr/types"
	"gopkg.in/yaml.v3"
)

type typesType = types.Type

// ParseConnector reads a connector file, such as those embedded in actions.
func ParseConnector(name string, text []byte) (*Connector, error) {
	src := newSource(name, text)
	c := parseConnector(src)
	if len(src.mistakes) > 0 {
		return nil, src.mistakes.sorted()
	}
	return c, nil
}

func parseConnector(src *source) *Connector {
	d := &decoder{source: src}
	root := d.parse()
	if root == nil {
		return nil
	}
	o := d.object(root, "connector")
	if o == nil {
		return nil
	}
	c := &Connector{Name: o.text("connector", ""), Description: o.text("description", ""), BaseURL: d.value(o.vals["base_url"])}
	fields := types.Map{}
	if v := o.vals["connection"]; v != nil {
		d.pairs(v, func(k, n *yaml.Node) {
			if f := d.object(n, "connection_field"); f != nil {
				cf := ConnectionField{
					Name:        k.Value,
					Type:        f.text("type", "string"),
					Description: f.text("description", ""),
					Secret:      f.boolean("secret", false),
					Required:    f.boolean("required", false),
				}
				if def := f.vals["default"]; def != nil {
					cf.Default = d.literal(def)
				}
				c.Fields = append(c.Fields, cf)
				fields[k.Value] = types.Any
			}
		})
	}
	conn := &scope{where: "a connector", names: types.Map{"connection": fields}}
	c.BaseURL.check(conn)
	c.Auth, c.Expired, c.Test = d.connectionAuth(o), d.expired(o), o.text("test", "")
	for _, v := range c.Auth.values() {
		v.check(conn)
	}
	if def := o.object("defaults"); def != nil {
		c.Retry, c.Timeout = d.retry(def, "retry"), def.duration("timeout", 0)
		if r := def.vals["rate"]; r != nil {
			if n, per, err := parseRate(r.Value); err == nil {
				c.Limit.Rate, c.Limit.Per = n, per
			}
		}
		if c.Retry != nil && c.Retry.When != nil {
			c.Retry.When.check(&scope{
				where: "retry.when",
				names: types.Map{
					"error":  errorType(),
					"event":  eventType(types.Any),
					"inputs": anyMap,
					"vars":   anyMap,
					"steps":  anyMap,
					"run":    runType(),
				},
			}, reflect.Bool)
		}
	}
	if v := o.vals["actions"]; v != nil {
		d.pairs(v, func(k, n *yaml.Node) {
			if a := d.object(n, "action"); a != nil {
				c.Actions = append(c.Actions, d.action(k.Value, a, fields))
			}
		})
	}
	return c
}

func (d *decoder) action(name string, o *objectNode, fields types.Map) *ConnectorAction {
	a := &ConnectorAction{Name: name, Description: o.text("description", ""), Inputs: d.inputList(o.vals["inputs"])}
	inputs := types.Map{}
	for _, in := range a.Inputs {
		inputs[in.Name] = types.Any
	}
	request := &scope{where: "a connector's request", names: types.Map{"inputs": inputs, "connection": fields}}
	response := &scope{
		where: "a connector's output",
		names: types.Map{"inputs": inputs, "response": types.Map{"status": types.Int, "headers": anyMap, "body": types.Any}},
	}
	if r := o.object("request"); r != nil {
		a.Method, a.Path, a.FormStyle = r.text("method", "GET"), d.value(r.vals["path"]), r.text("form_style", "")
		a.Query, a.Headers = d.value(r.vals["query"]), d.value(r.vals["headers"])
		a.Body, a.Form = d.value(r.vals["body"]), d.value(r.vals["form"])
		for _, v := range []*Value{a.Path, a.Query, a.Headers, a.Body, a.Form} {
			v.check(request)
		}
	}
	a.Idempotency = o.text("idempotency", "")
	a.Output = d.value(o.vals["output"])
	a.Output.check(response)
	a.Already = d.already(o.vals["already"], response)
	if v := o.vals["fail"]; v != nil {
		for _, n := range v.Content {
			f := d.object(n, "action_fail")
			if f == nil {
				continue
			}
			rule := FailRule{Code: f.text("code", ""), Message: d.value(f.vals["message"]), Retryable: f.boolean("retryable", false)}
			if w := f.vals["when"]; w != nil {
				if rule.When = d.expression(w); rule.When != nil {
					rule.When.check(response, reflect.Bool)
				}
			}
			rule.Message.check(response)
			a.Fail = append(a.Fail, rule)
		}
	}
	if v := o.vals["example"]; v != nil {
		a.Example = d.literal(v)
	}
	return a
}

// already reads the answers that count as success.
func (d *decoder) already(n *yaml.Node, sc *scope) []AlreadyRule {
	if n == nil {
		return nil
	}
	var out []AlreadyRule
	for _, e := range n.Content {
		o := d.object(e, "action_already")
		if o == nil || o.vals["when"] == nil {
			continue
		}
		rule := AlreadyRule{When: d.expression(o.vals["when"]), Output: d.value(o.vals["output"])}
		if rule.When == nil {
			continue
		}
		rule.When.check(sc, reflect.Bool)
		rule.Output.check(sc)
		out = append(out, rule)
	}
	return out
}

// safe tells that the same request again does no harm at the service.
func (a *ConnectorAction) safe() bool {
	switch a.Idempotency {
	case "natural", "key":
		return true
	case "none":
		return false
	}
	return a.Method != "POST" && a.Method != "PATCH"
}

// retry is how a step without retry: repeats the action. One that acts again at its
// service is repeated only when it cannot have been carried out.
func (a *ConnectorAction) retry(byDefault *Retry) *Retry {
	if a.Idempotency != "none" {
		return byDefault
	}
	r := DefaultRetry()
	if byDefault != nil {
		*r = *byDefault
	}
	r.OnlyUndone = true
	return r
}

// Specs are the connector's actions as the catalog lists them.
func (c *Connector) Specs() []*ActionSpec {
	var out []*ActionSpec
	for _, a := range c.Actions {
		s := &ActionSpec{Name: fmt.Sprintf("%s/%s", c.Name, a.Name), Help: a.Description, SideEffects: true, Example: a.Example,
			Safe: a.safe(), Retry: a.retry(c.Retry), Timeout: c.Timeout, Connector: c, Action: a}
		for _, in := range a.Inputs {
			s.Inputs = append(s.Inputs, ActionInput{
				Name:     in.Name,
				Type:     in.Type,
				Required: in.Required,
				Help:     in.Description,
				Default:  in.Default,
				Secret:   in.Secret,
			})
		}
		for _, in := range commonInputs {
			if s.Common(in.Name) {
				s.Inputs = append(s.Inputs, in)
			}
		}
		out = append(out, s)
	}
	return out
}
