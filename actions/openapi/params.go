package openapi

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxFields is the maximum number of body fields that become separate inputs.
const maxFields = 80

var pathParam = regexp.MustCompile(`\{([^{}/]+)\}`)

func unescape(token string) string {
	if u, err := url.PathUnescape(token); err == nil {
		token = u
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}

// address returns s if it is an http or https URL, else "".
func address(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}

// parameters reads those of the path item and of the operation; the latter take precedence.
func (d *document) parameters(o *operation, item, op *object) error {
	found := map[string]bool{}
	for _, p := range append(slices.Clone(list(op.get("parameters"))), list(item.get("parameters"))...) {
		x := obj(d.deref(p))
		if x == nil {
			if ref := str(obj(p).get("$ref")); ref != "" {
				if strings.HasPrefix(ref, "#") {
					return fmt.Errorf("its parameter %s is not in the document", clean(ref))
				}
				return fmt.Errorf("its parameter %s is in another document, which is not read", clean(ref))
			}
			continue
		}
		name, in := str(x.get("name")), str(x.get("in"))
		if name == "" || found[in+" "+name] {
			continue
		}
		found[in+" "+name] = true
		if err := d.parameter(o, x, name, in); err != nil {
			return err
		}
	}
	for _, m := range pathParam.FindAllStringSubmatch(o.path, -1) {
		if !found["path "+m[1]] {
			o.inputs = append(o.inputs, &input{sent: m[1], in: "path", kind: "string", required: true})
		}
	}
	return nil
}

func (d *document) parameter(o *operation, x *object, name, in string) error {
	schema := obj(d.deref(x.get("schema")))
	if d.two {
		schema = x
	} else if c := obj(x.get("content")); schema == nil && c != nil && len(c.keys) > 0 {
		schema = obj(d.deref(obj(c.vals[c.keys[0]]).get("schema")))
	}
	i := &input{sent: name, in: in, required: x.get("required") == true, help: oneLine(str(x.get("description")), 200)}
	switch in {
	case "header":
		lower := strings.ToLower(name)
		if lower == "accept" || lower == "content-type" || lower == "authorization" {
			// OpenAPI 3.1, "Parameter Object": these are ignored. PagerDuty's document lists them
			// anyway, with the only value that its service accepts.
			d.typed(i, schema)
			d.exampleOf(i, x, schema)
			if v, isText := i.example.(string); isText && lower != "authorization" && i.required && !strings.ContainsAny(v, "\r\n$") {
				o.fixedHead[name] = v
			}
			return nil
		}
		if strings.Contains(strings.ReplaceAll(lower, "_", "-"), "idempotency-key") {
			o.idempotencyHeader = name
			return nil
		}
		if !headerName.MatchString(name) {
			return fmt.Errorf("header %q is not a valid header name", clean(name))
		}
	case "cookie":
		if i.required {
			return fmt.Errorf("it requires the cookie %s", clean(name))
		}
		return nil
	case "path":
		if !strings.Contains(o.path, "{"+name+"}") {
			return nil
		}
		i.required = true
	case "query", "formData":
	default: // a body is read later
		return nil
	}
	d.typed(i, schema)
	if in == "path" && i.kind != "integer" && i.kind != "number" && i.kind != "boolean" {
		i.kind, i.of = "string", ""
	}
	d.exampleOf(i, x, schema)
	o.inputs = append(o.inputs, i)
	return nil
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_|~-]+$")

// exampleOf returns an example of a parameter: its own, or its schema's.
func (d *document) exampleOf(i *input, x, schema *object) {
	for _, v := range []any{x.get("example"), x.get("x-example"), firstExample(d, x.get("examples")), schema.get("example"),
		firstOf(schema.get("examples")), schema.get("default")} {
		if v != nil {
			i.example, i.hasExample = plain(v), true
			return
		}
	}
	if len(i.options) > 0 {
		i.example, i.hasExample = i.options[0], true
	}
}

func firstExample(d *document, v any) any {
	o := obj(v)
	if o == nil || len(o.keys) == 0 {
		return nil
	}
	return obj(d.deref(o.vals[o.keys[0]])).get("value")
}

func firstOf(v any) any {
	if l := list(v); len(l) > 0 {
		return l[0]
	}
	return nil
}

// body reads the request body.
func (d *document) body(o *operation, op *object) error {
	if d.two {
		return d.body2(o, op)
	}
	b := obj(d.deref(op.get("requestBody")))
	if b == nil {
		return nil
	}
	c := obj(b.get("content"))
	if c == nil || len(c.keys) == 0 {
		return nil
	}
	if o.method == "GET" || o.method == "HEAD" {
		if b.get("required") == true {
			return fmt.Errorf("a %s request cannot have a body", o.method)
		}
		return nil
	}
	media, key := preferred(c.keys)
	m := obj(d.deref(c.vals[media]))
	example := m.get("example")
	if example == nil {
		example = firstExample(d, m.get("examples"))
	}
	d.contentOf(o, key, media, d.deref(m.get("schema")), b.get("required") == true, example)
	return nil
}

// body2 reads the body of Swagger 2.0, which is one parameter, or several for a form.
func (d *document) body2(o *operation, op *object) error {
	consumes := texts(op.get("consumes"))
	if len(consumes) == 0 {
		consumes = texts(d.root.get("consumes"))
	}
	var form []*input
	for _, i := range o.inputs {
		if i.in == "formData" {
			form = append(form, i)
		}
	}
	if len(form) > 0 {
		if o.method == "GET" || o.method == "HEAD" {
			return fmt.Errorf("a %s request cannot have a form", o.method)
		}
		o.content = &content{key: "form"}
		for _, i := range form {
			if i.in = "body"; i.kind == "file" || slices.Contains(consumes, "multipart/form-data") && len(consumes) == 1 {
				o.content.key = "multipart"
			}
		}
		return nil
	}
	for _, p := range list(op.get("parameters")) {
		x := obj(d.deref(p))
		if str(x.get("in")) != "body" {
			continue
		}
		if o.method == "GET" || o.method == "HEAD" {
			return fmt.Errorf("a %s request cannot have a body", o.method)
		}
		media, key := "application/json", "body"
		if len(consumes) > 0 {
			media, key = preferred(consumes)
		}
		d.contentOf(o, key, media, d.deref(x.get("schema")), x.get("required") == true, nil)
		return nil
	}
	return nil
}

// preferred selects the media type to send, and the key of request: for it.
func preferred(medias []string) (media, key string) {
	rank := func(m string) (int, string) {
		m, _, _ = strings.Cut(strings.ToLower(m), ";")
		m = strings.TrimSpace(m)
		switch {
		case m == "application/json" || m == "*/*":
			return 0, "body"
		case strings.HasSuffix(m, "+json") || strings.HasSuffix(m, "/json"):
			return 1, "body"
		case m == "application/x-www-form-urlencoded":
			return 2, "form"
		case m == "multipart/form-data":
			return 3, "multipart"
		case strings.HasPrefix(m, "text/") || strings.HasSuffix(m, "xml"):
			return 4, "text"
		}
		return 5, "raw_file"
	}
	best := 9
	for _, m := range medias {
		if n, k := rank(m); n < best {
			best, media, key = n, m, k
		}
	}
	return media, key
}

// contentOf creates inputs from the fields of a body, or a single input if it has none.
func (d *document) contentOf(o *operation, key, media string, schema any, required bool, example any) {
	c := &content{key: key}
	o.content = c
	s := d.merged(schema)
	if media = strings.TrimSpace(media); key == "body" && media != "application/json" && !strings.Contains(media, "*") || key == "text" ||
		key == "raw_file" && !strings.Contains(media, "*") {
		c.media = clean(media)
	}
	props := obj(s.get("properties"))
	if example == nil {
		example = s.get("example")
	}
	whole := key == "text" || key == "raw_file" || props == nil || len(props.keys) == 0 || len(props.keys) > maxFields
	if whole {
		i := &input{sent: "body", in: "body", required: required, help: oneLine(str(s.get("description")), 200)}
		d.typed(i, s)
		switch key {
		case "text":
			i.kind, i.of = "string", ""
		case "raw_file":
			i.sent, i.kind, i.of = "file", "file", ""
		case "form", "multipart":
			i.kind, i.of = "object", ""
		}
		if example != nil && key == "body" {
			i.example, i.hasExample = plain(example), true
		}
		c.whole = i
		o.inputs = append(o.inputs, i)
		return
	}
	need := texts(s.get("required"))
	for _, name := range props.keys {
		f := obj(d.deref(props.vals[name]))
		if f.get("readOnly") == true || strings.Contains(name, "${{") || name == "" {
			continue
		}
		f = d.merged(f)
		i := &input{sent: name, in: "body", required: slices.Contains(need, name),
			help: oneLine(cmp.Or(str(f.get("description")), str(f.get("title"))), 200)}
		d.typed(i, f)
		if key != "multipart" && i.kind == "file" {
			i.kind = "string"
		}
		if e := obj(example); e != nil && e.get(name) != nil {
			i.example, i.hasExample = plain(e.get(name)), true
		} else if example == nil {
			d.exampleOf(i, f, f)
		}
		o.inputs = append(o.inputs, i)
	}
}
