package openapi

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// document is an OpenAPI or Swagger document being read.
type document struct {
	root *object
	// two reports whether it is Swagger 2.0.
	two bool
	// from is its URL, or "".
	from string
	only []string
	s    *service
	// votes count how many operations require a security scheme.
	votes map[string]int
}

var httpMethods = []string{"get", "put", "post", "delete", "options", "head", "patch"}

// read reads a document; only are tags, operation ids or path prefixes, empty for all.
func read(root *object, from string, only []string) (*service, error) {
	switch {
	case str(obj(root.get("info")).get("schema")) != "" || obj(root.get("info")).get("_postman_id") != nil:
		return postman(root, only)
	case root.get("swagger") == nil && root.get("openapi") == nil:
		return nil, errors.New("the document has neither openapi: nor swagger:, and is not a Postman collection")
	}
	d := &document{root: root, two: root.get("swagger") != nil, from: from, only: only, votes: map[string]int{}}
	info := obj(root.get("info"))
	d.s = &service{title: oneLine(str(info.get("title")), 80), description: oneLine(str(info.get("description")), 200),
		docs: address(str(obj(root.get("externalDocs")).get("url")))}
	paths := obj(root.get("paths"))
	if paths == nil || len(paths.keys) == 0 {
		return nil, errors.New("the document has no paths")
	}
	d.servers()
	for _, path := range paths.keys {
		item := obj(d.deref(paths.vals[path]))
		if item == nil {
			continue
		}
		for _, m := range httpMethods {
			if op := obj(item.get(m)); op != nil && d.wanted(op, path) {
				d.one(path, strings.ToUpper(m), item, op)
			}
		}
		if op := obj(item.get("trace")); op != nil && d.wanted(op, path) {
			d.s.failed = append(d.s.failed, Skipped{cmp.Or(str(op.get("operationId")), "TRACE "+path), "its method is TRACE"})
		}
	}
	d.security()
	d.dropAuthInputs()
	return d.s, nil
}

// wanted reports whether --only selects a tag, the id, or a prefix of the path.
func (d *document) wanted(op *object, path string) bool {
	id, tags := str(op.get("operationId")), texts(op.get("tags"))
	if len(d.only) == 0 || selects(d.only, id, path, tags) {
		return true
	}
	d.s.passedOver(cmp.Or(id, path), tags)
	return false
}

// passedOver records an operation that is not selected.
func (s *service) passedOver(name string, tags []string) {
	s.names = append(s.names, clean(name))
	for _, t := range tags {
		if t = clean(t); !slices.Contains(s.tags, t) {
			s.tags = append(s.tags, t)
		}
	}
}

// selectable lists the tags and operations of the document, for a selection that has none.
func (s *service) selectable() string {
	const most = 20
	var parts []string
	for _, x := range []struct {
		what  string
		names []string
	}{{"tags", s.tags}, {"operations", s.names}} {
		if len(x.names) == 0 {
			continue
		}
		text := strings.Join(x.names[:min(most, len(x.names))], ", ")
		if n := len(x.names) - most; n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		parts = append(parts, x.what+": "+text)
	}
	return strings.Join(parts, "; ")
}

func selects(only []string, id, path string, tags []string) bool {
	return slices.ContainsFunc(only, func(o string) bool {
		return strings.EqualFold(o, id) || strings.HasPrefix(o, "/") && strings.HasPrefix(path, o) ||
			slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, o) })
	})
}

// one reads an operation, or records why it cannot be expressed.
func (d *document) one(path, method string, item, op *object) {
	o := &operation{id: str(op.get("operationId")), method: method, path: path, deprecated: op.get("deprecated") == true,
		tags: texts(op.get("tags")), docs: address(str(obj(op.get("externalDocs")).get("url"))), fixedQuery: map[string]string{},
		fixedHead: map[string]string{}}
	if o.summary = oneLine(str(op.get("summary")), 160); o.summary == "" {
		o.summary = oneLine(str(op.get("description")), 160)
	}
	for _, s := range list(op.get("security")) {
		for _, k := range keysOf(s) {
			d.votes[k]++
		}
	}
	err := d.path(o)
	if err == nil {
		err = d.parameters(o, item, op)
	}
	if err == nil {
		err = d.body(o, op)
	}
	if err != nil {
		d.s.failed = append(d.s.failed, Skipped{o.label(), err.Error()})
		return
	}
	d.answer(o, op)
	d.s.ops = append(d.s.ops, o)
}

// label names an operation for people.
func (o *operation) label() string {
	if o.id != "" {
		return clean(o.id)
	}
	return o.method + " " + clean(o.path)
}

// path removes a query from a path.
func (d *document) path(o *operation) error {
	path, query, has := strings.Cut(o.path, "?")
	if i := strings.IndexByte(path, '#'); i >= 0 {
		return fmt.Errorf("its path holds a fragment (#): %s", clean(o.path))
	}
	if strings.ContainsAny(path, " \t\r\n\\") || !strings.HasPrefix(path, "/") || strings.Contains(path, "${{") {
		return fmt.Errorf("its path is not a URL path: %q", clean(o.path))
	}
	for _, pair := range strings.Split(query, "&") {
		if k, v, _ := strings.Cut(pair, "="); has && k != "" && !strings.Contains(v, "{") {
			o.fixedQuery[k] = v
		}
	}
	o.path = path
	return nil
}

// deref follows references within the document, up to a limit; nil if a reference cannot be
// followed.
func (d *document) deref(v any) any {
	for range 30 {
		o := obj(v)
		ref, ok := o.get("$ref").(string)
		if o == nil || !ok {
			return v
		}
		if v = d.pointer(ref); v == nil {
			return nil
		}
	}
	return nil // a cycle
}

// pointer returns the value at a JSON pointer in this document (RFC 6901).
func (d *document) pointer(ref string) any {
	rest, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil
	}
	var v any = d.root
	for _, token := range strings.Split(rest, "/") {
		token = unescape(token)
		switch x := v.(type) {
		case *object:
			v = x.get(token)
		case []any:
			n := -1
			if _, err := fmt.Sscanf(token, "%d", &n); err != nil || n < 0 || n >= len(x) {
				return nil
			}
			v = x[n]
		default:
			return nil
		}
	}
	return v
}

func keysOf(v any) []string {
	if o := obj(v); o != nil {
		return o.keys
	}
	return nil
}

func texts(v any) []string {
	var out []string
	for _, e := range list(v) {
		if s := str(e); s != "" {
			out = append(out, s)
		}
	}
	return out
}
