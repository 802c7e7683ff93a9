package openapi

import (
	"math"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// maxParts is the maximum number of parts of an allOf that are merged.
const maxParts = 50

// merged returns a schema with its allOf merged. Of several alternatives it uses one only if all
// others are null.
func (d *document) merged(v any) *object {
	parts := 0
	return d.merge(v, 0, &parts)
}

func (d *document) merge(v any, depth int, parts *int) *object {
	s := obj(d.deref(v))
	if *parts++; s == nil || depth > 10 || *parts > maxParts {
		return nil
	}
	if one := d.onlyChoice(s); one != nil {
		return d.merge(one, depth+1, parts)
	}
	all := list(s.get("allOf"))
	if len(all) == 0 {
		return s
	}
	out := &object{vals: map[string]any{}}
	props := &object{vals: map[string]any{}}
	var required []any
	for _, p := range append(slices.Clone(all), &object{keys: without(s.keys, "allOf"), vals: s.vals}) {
		m := d.merge(p, depth+1, parts)
		if m == nil {
			continue
		}
		for _, k := range m.keys {
			switch k {
			case "properties":
				for _, name := range keysOf(m.vals[k]) {
					props.set(name, obj(m.vals[k]).vals[name])
				}
			case "required":
				required = append(required, list(m.vals[k])...)
			default:
				out.set(k, m.vals[k])
			}
		}
	}
	if len(props.keys) > 0 {
		out.set("properties", props)
	}
	if required != nil {
		out.set("required", required)
	}
	return out
}

func without(keys []string, key string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k == key })
}

func (o *object) set(key string, v any) {
	if _, there := o.vals[key]; !there {
		o.keys = append(o.keys, key)
	}
	o.vals[key] = v
}

// onlyChoice returns the only schema of oneOf or anyOf that is not null.
func (d *document) onlyChoice(s *object) any {
	var found any
	for _, key := range []string{"oneOf", "anyOf"} {
		for _, c := range list(s.get(key)) {
			if o := obj(d.deref(c)); o == nil || str(o.get("type")) == "null" {
				continue
			}
			if found != nil {
				return nil
			}
			found = c
		}
	}
	if obj(s.get("properties")) != nil {
		return nil
	}
	return found
}

// kindOf returns the type of a schema in the terms of connector files.
func (d *document) kindOf(s *object) string {
	types := texts(s.get("type"))
	if t := str(s.get("type")); t != "" {
		types = []string{t}
	}
	types = slices.DeleteFunc(types, func(t string) bool { return t == "null" })
	switch {
	case len(types) > 1:
		return "any"
	case len(types) == 0 && obj(s.get("properties")) != nil:
		return "object"
	case len(types) == 0 && s.get("items") != nil:
		return "list"
	case len(types) == 0:
		if e := list(s.get("enum")); len(e) > 0 && str(e[0]) != "" {
			return "string"
		}
		return "any"
	}
	switch types[0] {
	case "string":
		if f := str(s.get("format")); f == "binary" {
			return "file"
		}
		return "string"
	case "integer", "number", "boolean", "object", "file":
		return types[0]
	case "array":
		return "list"
	}
	return "any"
}

// typed sets an input's type and limits from a schema.
func (d *document) typed(i *input, schema *object) {
	s := d.merged(schema)
	i.kind = d.kindOf(s)
	if s == nil {
		i.kind = "string"
		if i.in == "body" {
			i.kind = "any"
		}
		return
	}
	if i.in != "body" && i.in != "formData" && i.kind == "file" {
		i.kind = "string"
	}
	if i.help == "" {
		i.help = oneLine(str(s.get("description")), 200)
	}
	if def := s.get("default"); def != nil && obj(def) == nil && list(def) == nil {
		i.initial = plain(def)
	}
	if def := s.get("default"); def != nil && obj(def) == nil && list(def) == nil && i.help != "" && len(i.help) < 160 {
		i.help = strings.TrimRight(i.help, ".") + "; " + oneLine(workflows.YAMLText(plain(def)), 40) + " by default"
	}
	switch i.kind {
	case "list":
		if k := d.kindOf(d.merged(s.get("items"))); k != "any" && k != "file" && k != "object" && k != "list" {
			i.of = "[" + k + "]"
		}
	case "string", "integer", "number":
		for _, e := range list(s.get("enum")) {
			if v := plain(e); v != nil && fitting(i.kind, v) {
				i.options = append(i.options, v)
			}
		}
		if len(i.options) > 60 || len(i.options) != len(list(s.get("enum"))) && !nullable(list(s.get("enum"))) {
			i.options = nil
		}
		if i.kind != "string" {
			i.min, i.max = number(s.get("minimum")), number(s.get("maximum"))
		}
	}
}

func nullable(l []any) bool { return slices.Contains(l, nil) }

func number(v any) any {
	switch x := plain(v).(type) {
	case int:
		return x
	case float64:
		if math.Abs(x) >= 1<<63 { // no 64-bit integer exceeds it
			return nil
		}
		return x
	}
	return nil
}

func fitting(kind string, v any) bool {
	switch v.(type) {
	case string:
		return kind == "string"
	case int:
		return kind != "string"
	case float64:
		return kind == "number"
	}
	return false
}

// answer reads the type of the response.
func (d *document) answer(o *operation, op *object) {
	responses := obj(op.get("responses"))
	for _, code := range keysOf(op.get("responses")) {
		if len(code) != 3 || code[0] != '2' {
			continue
		}
		r := obj(d.deref(responses.vals[code]))
		o.status = 200
		if code == "201" || code == "202" || code == "204" {
			o.status = int(code[2]-'0') + 200
		}
		schema, example, has := d.responseSchema(r)
		if !has {
			o.noBody = true
			continue
		}
		o.noBody = false
		budget := 150
		o.returns = d.dataType(schema, 0, &budget, nil)
		o.returnsList = o.returns != nil && (o.returns.Kind == "list" || hasList(o.returns))
		if example == nil {
			example = d.merged(schema).get("example")
		}
		if example != nil {
			o.response, o.hasResponse = plain(example), true
		}
		link := slices.ContainsFunc(keysOf(r.get("headers")), func(name string) bool { return strings.EqualFold(name, "Link") })
		o.pages = o.pagesOf(link)
		return
	}
}

func hasList(t *workflows.DataType) bool {
	return slices.ContainsFunc(t.Fields, func(f workflows.DataField) bool { return f.Type.Kind == "list" })
}

func (d *document) responseSchema(r *object) (schema, example any, has bool) {
	if d.two {
		return r.get("schema"), firstExampleOf(obj(r.get("examples"))), r.get("schema") != nil
	}
	c := obj(r.get("content"))
	if c == nil || len(c.keys) == 0 {
		return nil, nil, false
	}
	media, _ := preferred(c.keys)
	m := obj(d.deref(c.vals[media]))
	example = m.get("example")
	if example == nil {
		example = firstExample(d, m.get("examples"))
	}
	return m.get("schema"), example, true
}

func firstExampleOf(o *object) any {
	if o == nil {
		return nil
	}
	return o.get("application/json")
}

// dataType returns the type of a response, a few levels deep, without cycles.
func (d *document) dataType(v any, depth int, budget *int, above []*object) *workflows.DataType {
	s := d.merged(v)
	*budget--
	kind := d.kindOf(s)
	if kind == "file" {
		kind = "string"
	}
	t := &workflows.DataType{Kind: kind}
	if s == nil || depth > 3 || *budget < 0 || slices.Contains(above, s) {
		if s == nil {
			t.Kind = "any"
		}
		return t
	}
	above = append(slices.Clone(above), s)
	switch kind {
	case "list":
		if s.get("items") != nil {
			if t.Of = d.dataType(s.get("items"), depth+1, budget, above); t.Of.Kind == "any" {
				t.Of = nil
			}
		}
	case "object":
		props := obj(s.get("properties"))
		if props == nil || len(props.keys) > 60 {
			return t
		}
		need := texts(s.get("required"))
		for _, name := range props.keys {
			if name == "" || strings.ContainsAny(name, "?") || strings.Contains(name, "${{") || clean(name) != name {
				continue
			}
			p := d.merged(props.vals[name])
			optional := !slices.Contains(need, name) || p.get("nullable") == true || slices.Contains(texts(p.get("type")), "null") ||
				p.get("x-nullable") == true || p.get("writeOnly") == true
			t.Fields = append(t.Fields, workflows.DataField{Name: name, Optional: optional,
				Type: d.dataType(props.vals[name], depth+1, budget, above)})
		}
	}
	return t
}

// anyType returns the type of a response that is not described.
func anyType() *workflows.DataType { return &workflows.DataType{Kind: "any"} }
