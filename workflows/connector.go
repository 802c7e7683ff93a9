package workflows

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"gopkg.in/yaml.v3"
)

type typesType = expr.Type

// connectorLimits are the size limits of a connector file. They are high because an imported file
// may describe a whole API.
var connectorLimits = yamlLimits{size: 4 << 20, nodes: 150_000}

// actionName matches an action name: the part of uses: after the slash.
var actionName = lazyregexp.New(`^[a-z_][a-z0-9_]*(\.[a-z0-9_]+)*$`)

// ParseConnector parses a connector file, such as those embedded in package actions.
func ParseConnector(name string, text []byte) (*Connector, error) {
	return connectorOf(newSource(name, text))
}

func connectorOf(src *source) (*Connector, error) {
	c := parseConnector(src)
	if len(src.mistakes) > 0 {
		return nil, src.mistakes.sorted()
	}
	return c, nil
}

// BuiltInConnector is like ParseConnector, for files embedded in the program: it compiles their
// expressions when they are first evaluated.
func BuiltInConnector(name string, text []byte) (*Connector, error) {
	src := newSource(name, text)
	src.trusted = true
	return connectorOf(src)
}

// CheckConnector parses a connector file and also returns its mistakes, warnings included.
func CheckConnector(name string, text []byte) (*Connector, Mistakes) {
	src := newSource(name, text)
	c := parseConnector(src)
	return c, src.mistakes.sorted()
}

// connectorReader parses a connector file.
type connectorReader struct {
	*decoder
	c *Connector
	// fields are the fields of connection that expressions may read.
	fields expr.Map
}

func parseConnector(src *source) *Connector {
	src.limits = connectorLimits
	d := &decoder{source: src}
	root := d.parse()
	if root == nil {
		return nil
	}
	o := d.object(root, "connector")
	if o == nil {
		return nil
	}
	c := &Connector{Name: o.text("connector", ""), Title: o.text("title", ""), Description: o.text("description", ""),
		Docs: o.text("docs", ""), Confidence: o.text("confidence", ConfidenceConfirmed), BaseURL: d.value(o.vals["base_url"]),
		Headers: d.value(o.vals["headers"]), Query: d.value(o.vals["query"]),
		IdempotencyQuery: o.text("idempotency_query", ""), Expired: d.expired(o), Test: o.text("test", ""),
		Text: src.text, Version: versionOf(src.text)}
	header := "Idempotency-Key"
	if c.IdempotencyQuery != "" {
		header = "none"
	}
	c.IdempotencyHeader = o.text("idempotency_header", header)
	r := &connectorReader{decoder: d, c: c, fields: expr.Map{}}
	if v := o.vals["connector"]; v != nil {
		d.isName(v, "connector")
	}
	if v := o.vals["connection"]; v != nil {
		d.pairs(v, r.connectionField)
	}
	r.common(o)
	if def := o.object("defaults"); def != nil {
		r.defaults(def)
	}
	if e := o.object("errors"); e != nil {
		c.Errors = r.errors(e)
	}
	if v := o.vals["actions"]; v != nil {
		d.pairs(v, func(k, n *yaml.Node) {
			if a := r.action(k, n); a != nil {
				c.Actions = append(c.Actions, a)
			}
		})
	}
	r.unused(o)
	return c
}

// common reads the settings shared by all requests.
func (r *connectorReader) common(o *objectNode) {
	conn := &expr.Scope{Where: "a connector", Names: expr.Map{"connection": r.fields}}
	for _, v := range []*Value{r.c.BaseURL, r.c.Headers, r.c.Query} {
		v.check(conn)
	}
	r.baseURL(r.c.BaseURL)
	if r.c.BaseURL != nil && r.c.BaseURL.kind == textValue {
		first := r.c.BaseURL.parts[0]
		if first.expr == nil && !strings.HasPrefix(first.text, "https://") && !strings.HasPrefix(first.text, "http://") {
			r.add(r.c.BaseURL.pos, "bad-address", "base_url must begin with https:// or http://", "write https://"+first.text+"...")
		}
	}
	r.c.Auth = r.connectionAuth(o)
	for _, v := range r.c.Auth.values() {
		v.check(conn)
	}
	if a := r.c.Auth; a != nil {
		for _, v := range []*Value{a.Bearer, a.HeaderValue, a.QueryValue} {
			if s, literal := v.constantText(); literal && s != "" {
				r.hide(s)
				r.add(v.pos, "secret-in-file", "a credential is written in the file", "declare it under connection: and write ${{ connection.token }}")
			}
		}
	}
	if t := r.c.Test; t != "" && !strings.HasPrefix(t, "/") {
		r.add(o.at("test"), "bad-address", fmt.Sprintf("test %q does not begin with /", t), "write the path of a GET, such as /users/me")
	}
}

func (r *connectorReader) connectionField(k, n *yaml.Node) {
	f := r.object(n, "connection_field")
	if f == nil {
		return
	}
	if !r.isName(k, "connection field") {
		return
	}
	if shapes["connection"].field(k.Value) != nil {
		r.add(r.pos(k), "reserved-name", fmt.Sprintf("connection field %q exists in every connection", k.Value), "choose another name")
		return
	}
	cf := ConnectionField{Name: k.Value, Type: f.text("type", "string"), Description: f.text("description", ""),
		Secret: f.boolean("secret", false), Required: f.boolean("required", false)}
	if v := f.vals["options"]; v != nil {
		cf.Options, _ = r.literal(v).([]any)
	}
	if def := f.vals["default"]; def != nil {
		cf.Default = r.literal(def)
		if cf.Secret {
			r.hide(fmt.Sprint(cf.Default))
			r.add(f.at("default"), "secret-in-file", "a secret is written in the file", "remove default:")
		} else if p := (Input{Type: cf.Type, Options: cf.Options}).check(cf.Default); p != "" {
			hint := ""
			if len(cf.Options) > 0 {
				hint = "write one of " + strings.Trim(YAMLText(cf.Options), "[]")
			}
			r.add(f.at("default"), "wrong-type", "default: "+p, hint)
		}
	}
	r.c.Fields = append(r.c.Fields, cf)
	r.fields[k.Value] = expr.Any
}

func (r *connectorReader) defaults(def *objectNode) {
	c := r.c
	c.Retry, c.Timeout = r.retry(def, "retry"), def.duration("timeout", 0)
	c.Limit.Concurrency = def.integer("concurrency", 0)
	if v := def.vals["rate"]; v != nil {
		if n, per, err := parseRate(v.Value); err == nil {
			c.Limit.Rate, c.Limit.Per = n, per
		}
	}
	if c.Retry == nil || c.Retry.When == nil {
		return
	}
	c.Retry.When.check(&expr.Scope{
		Where: "retry.when",
		Names: expr.Map{
			"error":  expr.ErrorType(),
			"event":  expr.EventType(expr.Any),
			"inputs": expr.AnyMap,
			"vars":   expr.AnyMap,
			"steps":  expr.AnyMap,
			"run":    expr.RunType(),
		},
	}, reflect.Bool)
}

// unused warns about connection fields that nothing reads.
func (r *connectorReader) unused(o *objectNode) {
	read := map[string]bool{}
	note := func(v *Value) {
		v.exprs(func(e *Expr) {
			for name := range r.fields {
				if e.readsField("connection", name) {
					read[name] = true
				}
			}
		})
	}
	for _, v := range append(r.c.Auth.values(), r.c.BaseURL, r.c.Headers, r.c.Query) {
		note(v)
	}
	for _, a := range r.c.Actions {
		for _, v := range a.requestValues() {
			note(v)
		}
	}
	v := o.vals["connection"]
	if v == nil || len(r.mistakes) > 0 {
		return
	}
	r.pairs(v, func(k, _ *yaml.Node) {
		if _, known := r.fields[k.Value]; known && !read[k.Value] {
			r.warn(r.pos(k), "unused", fmt.Sprintf("connection.%s is never used", k.Value),
				fmt.Sprintf("write ${{ connection.%s }} where it is needed, or remove it", k.Value))
		}
	})
}

// readsField reports whether an expression reads a field of root, or root itself.
func (e *Expr) readsField(root, name string) bool {
	rest, found := e.Text, true
	for {
		if _, rest, found = strings.Cut(rest, root); !found {
			return false
		}
		after := strings.TrimPrefix(strings.TrimLeft(rest, " ?"), ".")
		switch {
		case strings.HasPrefix(rest, "["), !strings.HasPrefix(strings.TrimLeft(rest, " ?"), "."):
			return true // a computed name, or root itself
		case strings.HasPrefix(after, name) && !isNameByte(after, len(name)):
			return true
		}
	}
}

func isNameByte(s string, i int) bool {
	return i < len(s) && (s[i] == '_' || s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z')
}

// safe reports whether repeating the request is harmless.
func (a *ConnectorAction) safe() bool {
	switch a.Idempotency {
	case "natural", "key":
		return true
	case "none":
		return false
	}
	return a.Method != "POST" && a.Method != "PATCH"
}

// retry returns the default retry policy of the action. A request that is not safe to repeat is
// retried only if the service cannot have processed it.
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

// Specs returns the catalog entries of the connector's actions.
func (c *Connector) Specs() []*ActionSpec {
	var out []*ActionSpec
	for _, a := range c.Actions {
		out = append(out, c.spec(a))
	}
	return out
}

// spec returns the catalog entry of an action of the connector.
func (c *Connector) spec(a *ConnectorAction) *ActionSpec {
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
			Options:  in.Options,
			Of:       in.Of,
		})
	}
	if a.Returns != nil {
		for _, f := range a.Returns.Fields {
			s.Outputs = append(s.Outputs, ActionOutput{Name: f.Name, Type: f.typeText()})
		}
	}
	for _, in := range commonInputs {
		if s.Common(in.Name) {
			s.Inputs = append(s.Inputs, in)
		}
	}
	s.Usage = s.StepExample()
	return s
}

// checkActionName reports a name that cannot be used in uses:.
func (r *connectorReader) checkActionName(k *yaml.Node) bool {
	if actionName.MatchString(k.Value) {
		return true
	}
	fixed := strings.Trim(regexp.MustCompile(`[^a-z0-9_.]+`).ReplaceAllString(strings.ToLower(k.Value), "_"), "_.")
	hint := "names consist of lower-case letters, digits and _, separated by points"
	if actionName.MatchString(fixed) {
		hint = fmt.Sprintf("use %q", fixed)
	}
	r.add(r.pos(k), "bad-name", fmt.Sprintf("action %q is not a name", k.Value), hint)
	return false
}
