package openapi

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

var postmanVariable = regexp.MustCompile(`\{\{\s*([^{}]+?)\s*\}\}`)

// postman reads a collection in format 2.0 or 2.1. Source: schema.postman.com, collection v2.1.0.
func postman(root *object, only []string) (*service, error) {
	info := obj(root.get("info"))
	c := &collection{only: only, vars: map[string]string{}, s: &service{title: oneLine(str(info.get("name")), 80),
		description: oneLine(str(info.get("description")), 200)}}
	for _, v := range list(root.get("variable")) {
		c.vars[str(obj(v).get("key"))] = str(obj(v).get("value"))
	}
	c.items(list(root.get("item")), nil, 0)
	if len(c.s.ops) == 0 && len(c.s.failed) == 0 {
		return nil, errors.New("the collection has no requests")
	}
	if c.s.server.url == "" {
		c.s.server = (&document{}).unknownServer("")
	}
	if c.s.auth = c.auth(obj(root.get("auth"))); c.s.auth == nil {
		c.s.auth = c.found
	}
	return c.s, nil
}

type collection struct {
	s    *service
	only []string
	vars map[string]string
	// found is the credential of the first request with its own; nil if there is none.
	found *auth
}

func (c *collection) items(l []any, folders []string, depth int) {
	for _, v := range l {
		it := obj(v)
		name := str(it.get("name"))
		if inner := list(it.get("item")); inner != nil && depth < 20 {
			c.items(inner, append(slices.Clone(folders), name), depth+1)
			continue
		}
		if r := obj(it.get("request")); r != nil {
			c.request(it, r, name, folders)
		}
	}
}

func (c *collection) request(it, r *object, name string, folders []string) {
	o := &operation{id: strings.Join(append(snakes(folders), snake(name)), "."), method: strings.ToUpper(str(r.get("method"))),
		summary: oneLine(name, 160), tags: folders, status: 200, fixedQuery: map[string]string{}, fixedHead: map[string]string{}}
	if d := oneLine(str(r.get("description")), 160); d != "" {
		o.summary = d
	}
	u := obj(r.get("url"))
	raw := str(r.get("url"))
	if u != nil {
		raw = str(u.get("raw"))
	}
	base, path, query := splitURL(raw)
	o.path = path
	if len(c.only) > 0 && !selects(c.only, o.id, o.path, folders) {
		c.s.passedOver(o.id, folders)
		return
	}
	if !slices.Contains(httpMethods, strings.ToLower(o.method)) {
		c.s.failed = append(c.s.failed, Skipped{name, "its method is " + clean(o.method)})
		return
	}
	server := c.server(base)
	switch {
	case server.url == "":
		c.s.failed = append(c.s.failed, Skipped{name, "its URL has no host"})
		return
	case c.s.server.url == "":
		c.s.server = server
	case c.s.server.url != server.url:
		c.s.failed = append(c.s.failed, Skipped{name, "it goes to another host than the first request: " + clean(base)})
		return
	}
	c.path(o, u)
	c.query(o, u, query)
	if c.found == nil {
		c.found = c.auth(obj(r.get("auth")))
	}
	c.headers(o, r)
	if err := c.body(o, obj(r.get("body"))); err != nil {
		c.s.failed = append(c.s.failed, Skipped{name, err.Error()})
		return
	}
	c.answer(o, it)
	c.s.ops = append(c.s.ops, o)
}

func snakes(l []string) []string {
	var out []string
	for _, s := range l {
		if n := snake(s); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// splitURL splits a URL that may contain {{variables}} into its host, path and query.
func splitURL(raw string) (base, path, query string) {
	raw, _, _ = strings.Cut(raw, "#")
	raw, query, _ = strings.Cut(raw, "?")
	from := 0
	if i := strings.Index(raw, "://"); i >= 0 {
		from = i + 3
	}
	if i := strings.IndexByte(raw[from:], '/'); i >= 0 {
		return raw[:from+i], raw[from+i:], query
	}
	return raw, "/", query
}

// server returns the base URL. If it is only a {{variable}}, it is the variable's value, or else a
// connection field.
func (c *collection) server(base string) server {
	if m := postmanVariable.FindStringSubmatch(base); m != nil && m[0] == base {
		if v := c.vars[m[1]]; strings.HasPrefix(v, "http") {
			base = strings.TrimRight(v, "/")
		} else {
			return (&document{}).unknownServer("")
		}
	}
	if base == "" {
		return server{}
	}
	if !strings.Contains(base, "://") {
		base = "https://" + base
	}
	return (&document{}).parse(&object{vals: map[string]any{"url": postmanVariable.ReplaceAllString(base, "{$1}")}})
}

// path converts :name and {{name}} to inputs.
func (c *collection) path(o *operation, u *object) {
	segments := strings.Split(o.path, "/")
	for i, s := range segments {
		name := ""
		if strings.HasPrefix(s, ":") && len(s) > 1 {
			name = s[1:]
		} else if m := postmanVariable.FindStringSubmatch(s); m != nil && m[0] == s {
			name = m[1]
		} else {
			segments[i] = postmanVariable.ReplaceAllString(s, "$1")
			continue
		}
		segments[i] = "{" + name + "}"
		in := &input{sent: name, in: "path", kind: "string", required: true}
		for _, v := range list(u.get("variable")) {
			if x := obj(v); str(x.get("key")) == name {
				in.help = oneLine(str(x.get("description")), 200)
				if e := str(x.get("value")); e != "" && !strings.Contains(e, "{{") && !strings.HasPrefix(e, "<") {
					in.example, in.hasExample = e, true
				}
			}
		}
		o.inputs = append(o.inputs, in)
	}
	o.path = strings.Join(segments, "/")
}

func (c *collection) query(o *operation, u *object, raw string) {
	add := func(name, v, help string) {
		if name == "" || strings.Contains(name, "{{") {
			return
		}
		i := &input{sent: name, in: "query", kind: "string", help: oneLine(help, 200)}
		if v != "" && !strings.Contains(v, "{{") && !strings.HasPrefix(v, "<") {
			i.example, i.hasExample = v, true
		}
		if !slices.ContainsFunc(o.inputs, func(x *input) bool { return x.in == "query" && x.sent == name }) {
			o.inputs = append(o.inputs, i)
		}
	}
	if l := list(u.get("query")); l != nil {
		for _, v := range l {
			x := obj(v)
			add(str(x.get("key")), str(x.get("value")), str(x.get("description")))
		}
		return
	}
	for _, pair := range strings.Split(raw, "&") {
		k, v, _ := strings.Cut(pair, "=")
		add(unescape(k), unescape(v), "")
	}
}

// secretHeaders contain credentials, which belong to the connection.
var secretHeaders = []string{"authorization", "cookie", "x-api-key", "api-key", "apikey", "x-auth-token", "x-access-token"}

func (c *collection) headers(o *operation, r *object) {
	for _, v := range list(r.get("header")) {
		x := obj(v)
		name := str(x.get("key"))
		lower := strings.ToLower(name)
		if c.found == nil && lower == "authorization" && x.get("disabled") != true {
			c.found = authorization(str(x.get("value")))
		}
		if lower == "accept" || lower == "content-type" || slices.Contains(secretHeaders, lower) || !headerName.MatchString(name) ||
			x.get("disabled") == true {
			continue
		}
		i := &input{sent: name, in: "header", kind: "string", help: oneLine(str(x.get("description")), 200)}
		if v := str(x.get("value")); v != "" && !strings.Contains(v, "{{") {
			o.fixedHead[name] = clean(v)
			continue
		}
		o.inputs = append(o.inputs, i)
	}
}

func (c *collection) body(o *operation, b *object) error {
	if b == nil || b.get("disabled") == true {
		return nil
	}
	mode := str(b.get("mode"))
	if mode != "" && (o.method == "GET" || o.method == "HEAD") {
		if mode == "raw" && strings.TrimSpace(str(b.get("raw"))) == "" {
			return nil
		}
		return errors.New("a " + o.method + " request cannot have a body")
	}
	switch mode {
	case "raw":
		rawBody(o, str(b.get("raw")))
	case "urlencoded", "formdata":
		o.content = &content{key: map[string]string{"urlencoded": "form", "formdata": "multipart"}[mode]}
		for _, v := range list(b.get(mode)) {
			x := obj(v)
			i := &input{sent: str(x.get("key")), in: "body", kind: "string", help: oneLine(str(x.get("description")), 200)}
			if str(x.get("type")) == "file" {
				i.kind = "file"
			} else if v := str(x.get("value")); v != "" && !strings.Contains(v, "{{") {
				i.example, i.hasExample = v, true
			}
			if i.sent != "" {
				o.inputs = append(o.inputs, i)
			}
		}
		if !slices.ContainsFunc(o.inputs, func(i *input) bool { return i.in == "body" }) {
			o.content = nil
		}
	case "file":
		i := &input{sent: "file", in: "body", kind: "file", required: true}
		o.content = &content{key: "raw_file", whole: i}
		o.inputs = append(o.inputs, i)
	case "graphql":
		g := obj(b.get("graphql"))
		o.content = &content{key: "body"}
		o.inputs = append(o.inputs,
			&input{sent: "query", in: "body", kind: "string", required: true, example: str(g.get("query")), hasExample: true},
			&input{sent: "variables", in: "body", kind: "object"})
	}
	return nil
}

// rawBody creates inputs from the keys of a JSON text; any other text becomes one input.
func rawBody(o *operation, raw string) {
	if strings.TrimSpace(raw) == "" {
		return
	}
	quoted := postmanVariable.ReplaceAllString(raw, "{{$1}}")
	if root, err := decode([]byte(quoted)); err == nil && strings.HasPrefix(strings.TrimSpace(raw), "{") && len(root.keys) > 0 &&
		len(root.keys) <= maxFields {
		o.content = &content{key: "body"}
		for _, k := range root.keys {
			i := &input{sent: k, in: "body", kind: kindOfValue(root.vals[k])}
			if v := plain(root.vals[k]); v != nil {
				i.example, i.hasExample = v, true
			}
			o.inputs = append(o.inputs, i)
		}
		return
	}
	i := &input{sent: "body", in: "body", kind: "any", required: true}
	o.content = &content{key: "body", whole: i}
	if !strings.HasPrefix(strings.TrimSpace(raw), "[") && !strings.HasPrefix(strings.TrimSpace(raw), "{") {
		o.content.key, i.kind = "text", "string"
	}
	o.inputs = append(o.inputs, i)
}

func kindOfValue(v any) string {
	switch plain(v).(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int:
		return "integer"
	case float64:
		return "number"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "any"
}

// answer uses the first saved success response as the example.
func (c *collection) answer(o *operation, it *object) {
	o.returns = anyType()
	for _, v := range list(it.get("response")) {
		x := obj(v)
		code, _ := plain(x.get("code")).(int)
		if code < 200 || code > 299 {
			continue
		}
		o.status = code
		if root, err := decode([]byte(str(x.get("body")))); err == nil {
			o.response, o.hasResponse = plain(root), true
		}
		return
	}
}

// auth reads the collection's auth; by default a bearer token.
func (c *collection) auth(a *object) *auth {
	var s *object
	switch str(a.get("type")) {
	case "", "noauth":
		return nil
	case "basic":
		s = &object{vals: map[string]any{"type": "basic"}}
	case "apikey":
		s = &object{vals: map[string]any{"type": "apiKey", "in": "header", "name": "X-API-Key"}}
		for _, v := range list(a.get("apikey")) {
			switch x := obj(v); str(x.get("key")) {
			case "key":
				s.vals["name"] = str(x.get("value"))
			case "in":
				s.vals["in"] = str(x.get("value"))
			}
		}
	default:
		s = &object{vals: map[string]any{"type": "http", "scheme": "bearer"}}
	}
	out, _ := (&document{}).scheme(s)
	return out
}
