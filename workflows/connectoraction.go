package workflows

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// defaultPages and defaultItems limit a list if neither the file nor the step does.
const (
	defaultPages = 100
	defaultItems = 1000
)

var responseType = expr.Map{"status": expr.Int, "headers": expr.AnyMap, "body": expr.Any}

// action reads one action; it returns nil if the action cannot be used.
func (r *connectorReader) action(k, n *yaml.Node) *ConnectorAction {
	o := r.object(n, "action")
	if o == nil || !r.checkActionName(k) {
		return nil
	}
	a := &ConnectorAction{Name: k.Value, Description: o.text("description", ""), Docs: o.text("docs", ""),
		Deprecated: o.boolean("deprecated", false), Confidence: o.text("confidence", r.c.Confidence),
		Inputs: r.actionInputs(o.vals["inputs"])}
	inputs := expr.Map{}
	for _, in := range a.Inputs {
		inputs[in.Name] = expr.Any
	}
	if q := o.object("request"); q != nil {
		r.request(a, q, inputs)
	}
	response := &expr.Scope{Where: "a connector's output", Names: expr.Map{"inputs": inputs, "response": responseType}}
	if p := o.object("pages"); p != nil {
		a.Pages = r.pages(p, response)
		response = &expr.Scope{Where: "a connector's output", Names: expr.Map{"inputs": inputs, "response": responseType, "items": expr.Any,
			"more": expr.Bool}}
	}
	a.Idempotency = o.text("idempotency", "")
	if a.Idempotency == "key" && r.c.IdempotencyHeader == "none" && r.c.IdempotencyQuery == "" {
		r.add(o.at("idempotency"), "exclusive-keys", "idempotency: key needs a header, and idempotency_header is none",
			"write idempotency: none, or name the header, or the query parameter in idempotency_query:")
	}
	a.Output = r.value(o.vals["output"])
	a.Output.check(response)
	if v := o.vals["returns"]; v != nil {
		a.Returns = r.dataType(v, "returns")
		r.returnsFit(a, o)
	}
	a.Already = r.already(o.vals["already"], response)
	a.Fail = r.fail(o.vals["fail"], response)
	a.Check = r.check(o, inputs)
	if v := o.vals["example"]; v != nil {
		r.example(a, v)
	}
	r.unusedInputs(a, o)
	return a
}

// returnsFit checks that the keys of an output that is written as a map match the declared fields.
func (r *connectorReader) returnsFit(a *ConnectorAction, o *objectNode) {
	if a.Returns == nil || len(a.Returns.Fields) == 0 || !a.Output.isMap() {
		return
	}
	declared := map[string]bool{}
	for _, f := range a.Returns.Fields {
		declared[f.Name] = true
		if !f.Optional && a.Output.Field(f.Name) == nil {
			hint := spelling.Suggest(f.Name, a.Output.Keys())
			if hint == "" {
				hint = "add it to output:, or remove it here"
			}
			r.add(o.at("returns"), "missing-key", fmt.Sprintf("returns declares %s, but output: does not set it", f.Name), hint)
		}
	}
	for _, k := range a.Output.Keys() {
		if !declared[k] {
			r.warn(o.at("returns"), "unused", fmt.Sprintf("output: sets %s, but returns does not declare it", k),
				fmt.Sprintf("add %s: string, or its own type", k))
		}
	}
}

func (r *connectorReader) actionInputs(v *yaml.Node) []Input {
	var out []Input
	if v == nil {
		return nil
	}
	r.pairs(v, func(k, n *yaml.Node) {
		if !r.isName(k, "input") { // used only as inputs.NAME, so reserved names are allowed
			return
		}
		if k.Value == "connection" {
			r.add(r.pos(k), "reserved-name", "input \"connection\" exists in every action of a connector", "choose another name")
			return
		}
		if o := r.object(n, "action_input"); o != nil {
			in := r.input(k.Value, o)
			if of := o.vals["of"]; of != nil {
				in.Of = r.dataType(of, "of")
			}
			out = append(out, in)
		}
	})
	return out
}

// request reads the request that an action sends.
func (r *connectorReader) request(a *ConnectorAction, o *objectNode, inputs expr.Map) {
	a.Method, a.FormStyle, a.Parse = o.text("method", "GET"), o.text("form_style", ""), o.text("parse", "auto")
	a.Path, a.Query, a.Headers = r.value(o.vals["path"]), r.value(o.vals["query"]), r.value(o.vals["headers"])
	a.Body, a.Form, a.Multipart = r.value(o.vals["body"]), r.value(o.vals["form"]), r.value(o.vals["multipart"])
	a.Text, a.RawFile = r.value(o.vals["text"]), r.value(o.vals["raw_file"])
	sc := &expr.Scope{Where: "a connector's request", Names: expr.Map{"inputs": inputs, "connection": r.fields}}
	for _, v := range a.requestValues() {
		v.check(sc)
	}
	a.Multipart.takeBytes(FillParts)
	r.path(a, o)
	first := ""
	for _, key := range []string{"body", "form", "multipart", "text", "raw_file"} {
		switch {
		case o.vals[key] == nil:
		case first != "":
			r.add(o.keyAt(key), "exclusive-keys", first+" and "+key+" are mutually exclusive", "keep one of them")
		case a.Method == "GET" || a.Method == "HEAD":
			r.add(o.keyAt(key), "exclusive-keys", fmt.Sprintf("a %s request has no %s", a.Method, key), "write method: POST, or use query:")
			first = key
		default:
			first = key
		}
	}
}

// path reports a path that is not relative to base_url.
func (r *connectorReader) path(a *ConnectorAction, o *objectNode) {
	if a.Path == nil || a.Path.broken {
		return
	}
	text, _ := a.Path.constantText()
	if a.Path.kind == textValue && a.Path.parts[0].expr == nil {
		text = a.Path.parts[0].text
	}
	switch {
	case a.Path.kind == exprValue || a.Path.kind == textValue && a.Path.parts[0].expr != nil:
		r.add(o.at("path"), "bad-address", "path must begin with /, so that it stays below base_url", `write "/${{ ... }}"`)
	case strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://"):
		r.add(o.at("path"), "bad-address", "path is appended to base_url, but this is a whole URL",
			"write "+pathOf(text)+": the host belongs in base_url")
	case !strings.HasPrefix(text, "/"):
		r.add(o.at("path"), "bad-address", fmt.Sprintf("path %q does not begin with /", text), "write /"+text)
	case strings.Contains(text, "{") && a.Path.kind == constantValue:
		name := strings.TrimRight(text[strings.Index(text, "{")+1:], "/")
		name, _, _ = strings.Cut(name, "}")
		input := inputFor(name, a.Inputs)
		hint := fmt.Sprintf("write ${{ inputs.%s }}", input)
		if !slices.ContainsFunc(a.Inputs, func(in Input) bool { return in.Name == input }) {
			hint += fmt.Sprintf(", and %s: {type: string, required: true} under inputs:", input)
		}
		r.add(o.at("path"), "bad-address", fmt.Sprintf("{%s} is sent literally", name), hint)
	case strings.Contains(text, "?"):
		r.add(o.at("path"), "bad-address", "path contains a query", "move it to query:")
	}
}

// pathOf returns the part of a URL after its host.
func pathOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	_, path, _ := strings.Cut(rest, "/")
	return "/" + path
}

var wordStart = lazyregexp.New(`([a-z0-9])([A-Z])`)

// inputFor returns the input that corresponds to a path parameter: a declared input, in any
// spelling, or else the parameter's name in the usual spelling of inputs.
func inputFor(parameter string, inputs []Input) string {
	name := strings.ToLower(strings.NewReplacer("-", "_", ".", "_").Replace(wordStart.ReplaceAllString(parameter, "${1}_$2")))
	bare := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "") }
	for _, in := range inputs {
		if bare(in.Name) == bare(name) {
			return in.Name
		}
	}
	return name
}

// pages reads the pagination settings.
func (d *decoder) pages(o *objectNode, response *expr.Scope) *ConnectorPages {
	p := &ConnectorPages{Paging: d.paging(o), Max: o.integer("max", defaultPages), MaxItems: o.integer("max_items", defaultItems)}
	if v := o.vals["items"]; v != nil {
		p.Items = d.expression(v)
	}
	if v := o.vals["total"]; v != nil {
		if p.Total = d.expression(v); p.Counter() == nil && !o.unknown {
			d.add(o.keyAt("total"), "needs-key", "total of pages belongs to page or offset", "remove total:")
		}
	}
	for _, e := range []*Expr{p.Items, p.Total, p.Next, p.Token} {
		if e != nil {
			e.check(response, reflect.Invalid)
		}
	}
	if p.Until != nil {
		p.Until.check(response, reflect.Bool)
	}
	return p
}

// check reads the settings of the output's validation.
func (r *connectorReader) check(parent *objectNode, inputs expr.Map) *SchemaCheck {
	o := parent.object("check")
	if o == nil || o.vals["value"] == nil || o.vals["schema"] == nil {
		return nil
	}
	c := &SchemaCheck{Value: r.expression(o.vals["value"]), Schema: r.expression(o.vals["schema"])}
	if c.Value == nil || c.Schema == nil {
		return nil
	}
	sc := &expr.Scope{Where: "a connector's check", Names: expr.Map{"inputs": inputs, "response": responseType, "output": expr.Any}}
	c.Value.check(sc, reflect.Invalid)
	c.Schema.check(sc, reflect.Invalid)
	return c
}

// already reads the responses that count as success.
func (r *connectorReader) already(n *yaml.Node, sc *expr.Scope) []AlreadyRule {
	if n == nil {
		return nil
	}
	var out []AlreadyRule
	for _, e := range n.Content {
		o := r.object(e, "action_already")
		if o == nil || o.vals["when"] == nil {
			continue
		}
		rule := AlreadyRule{When: r.expression(o.vals["when"]), Output: r.value(o.vals["output"])}
		if rule.When == nil {
			continue
		}
		rule.When.check(sc, reflect.Bool)
		rule.Output.check(sc)
		out = append(out, rule)
	}
	return out
}

// fail reads the action's own failure rules.
func (r *connectorReader) fail(n *yaml.Node, sc *expr.Scope) []FailRule {
	if n == nil {
		return nil
	}
	var out []FailRule
	for _, e := range n.Content {
		f := r.object(e, "action_fail")
		if f == nil || f.vals["when"] == nil {
			continue
		}
		rule := FailRule{When: r.expression(f.vals["when"]), Code: f.text("code", ""), Message: r.value(f.vals["message"]),
			Retryable: f.boolean("retryable", false)}
		if rule.When == nil {
			continue
		}
		rule.When.check(sc, reflect.Bool)
		rule.Message.check(sc)
		out = append(out, rule)
	}
	return out
}

// requestValues returns the values that make up the request.
func (a *ConnectorAction) requestValues() []*Value {
	if a == nil {
		return nil
	}
	return []*Value{a.Path, a.Query, a.Headers, a.Body, a.Form, a.Multipart, a.Text, a.RawFile}
}

// unusedInputs warns about inputs that the request does not use.
func (r *connectorReader) unusedInputs(a *ConnectorAction, o *objectNode) {
	v := o.vals["inputs"]
	if v == nil || o.vals["request"] == nil {
		return
	}
	known := map[string]bool{}
	for _, in := range a.Inputs {
		known[in.Name] = true
	}
	r.pairs(v, func(k, _ *yaml.Node) {
		read := false
		values := append(a.requestValues(), a.Output)
		for _, rule := range a.Already {
			values = append(values, rule.Output)
		}
		for _, x := range values {
			x.exprs(func(e *Expr) { read = read || e.readsField("inputs", k.Value) })
		}
		if known[k.Value] && !read {
			r.warn(r.pos(k), "unused", fmt.Sprintf("the request never uses inputs.%s", k.Value),
				fmt.Sprintf("write ${{ inputs.%s }} where it is sent, or remove it", k.Value))
		}
	})
}
