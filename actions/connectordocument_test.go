package actions_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// published is a vendor's OpenAPI 3 or Swagger 2 document.
type published struct {
	name string
	root map[string]any
}

// readPublished decodes a document in JSON or YAML.
func readPublished(t *testing.T, name string, text []byte) *published {
	t.Helper()
	if !strings.HasSuffix(name, ".json") {
		var err error
		if text, err = workflows.YAMLToJSON(text, 10_000_000); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	d := &published{name: name}
	if err := json.Unmarshal(text, &d.root); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }
func items(v any) []any           { l, _ := v.([]any); return l }
func text(v any) string           { s, _ := v.(string); return s }

// follow resolves a reference within the document.
func (d *published) follow(v any) map[string]any {
	m := object(v)
	for range 20 {
		ref := text(m["$ref"])
		if !strings.HasPrefix(ref, "#/") {
			break
		}
		var at any = d.root
		for _, step := range strings.Split(ref[2:], "/") {
			step, _ = url.PathUnescape(step)
			at = object(at)[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
		}
		m = object(at)
	}
	return m
}

// bases returns the paths that the document's servers prepend to its own paths.
func (d *published) bases() []string {
	if d.root["swagger"] != nil {
		return []string{strings.TrimRight(text(d.root["basePath"]), "/")}
	}
	out := []string{""}
	for _, s := range items(d.root["servers"]) {
		address := text(object(s)["url"])
		if _, rest, ok := strings.Cut(address, "://"); ok {
			_, path, _ := strings.Cut(rest, "/")
			address = "/" + path
		}
		out = append(out, strings.TrimRight(address, "/"))
	}
	return out
}

// operation returns the operation of a request: the one whose path has the fewest parameters.
func (d *published) operation(method, path string) (op, item map[string]any) {
	fewest := 100
	for template, v := range object(d.root["paths"]) {
		template, _, _ = strings.Cut(template, "?")
		for _, base := range d.bases() {
			n, ok := matches(strings.Split(base+template, "/"), strings.Split(path, "/"))
			if found := object(d.follow(v)[strings.ToLower(method)]); ok && found != nil && n < fewest {
				op, item, fewest = found, d.follow(v), n
			}
		}
	}
	return op, item
}

// matches compares a path with a template, and counts the parameters.
func matches(template, path []string) (parameters int, ok bool) {
	if len(template) != len(path) {
		return 0, false
	}
	for i, t := range template {
		switch before, rest, has := strings.Cut(t, "{"); {
		case !has && t != path[i]:
			return 0, false
		case has:
			_, after, _ := strings.Cut(rest, "}")
			parameters++
			if path[i] == "" || !strings.HasPrefix(path[i], before) || !strings.Contains(after, "{") && !strings.HasSuffix(path[i], after) {
				return 0, false
			}
		}
	}
	return parameters, true
}

// request checks a request against an operation: its parameters and its body.
func (d *published) request(op, item map[string]any, r *http.Request, body []byte) []string {
	c := &check{d: d, sent: true}
	query, known, bodySchema := r.URL.Query(), map[string]bool{}, map[string]any(nil)
	for _, v := range append(items(item["parameters"]), items(op["parameters"])...) {
		p := d.follow(v)
		name, required := text(p["name"]), p["required"] == true
		schema := d.follow(p["schema"])
		if schema == nil {
			schema = p
		}
		switch text(p["in"]) {
		case "query":
			known[strings.TrimSuffix(name, "[]")] = true
			given := query[name]
			if required && len(given) == 0 {
				c.add("query", "has no %s, which the document requires", name)
			}
			for _, s := range given {
				c.texts("query "+name, s, schema)
			}
		case "header":
			if required && r.Header.Get(name) == "" {
				c.add("headers", "have no %s, which the document requires", name)
			}
		case "body":
			bodySchema = schema
		}
	}
	for name := range query {
		short, _, _ := strings.Cut(name, "[")
		if !known[name] && !known[short] {
			c.add("query", "%s is not in the document", name)
		}
	}
	c.body(op, bodySchema, r.Header.Get("Content-Type"), body)
	return c.problems
}

// body checks the body by its content type.
func (c *check) body(op, schema map[string]any, contentType string, body []byte) {
	media, _, _ := mime.ParseMediaType(contentType)
	if content := object(c.d.follow(op["requestBody"])["content"]); content != nil {
		var entry map[string]any
		for declared, v := range content {
			short, _, _ := mime.ParseMediaType(declared)
			if short == media || short == "*/*" || strings.HasSuffix(short, "+json") && media == "application/json" && entry == nil {
				entry = object(v)
			}
		}
		if entry == nil && (len(body) > 0 || c.d.follow(op["requestBody"])["required"] == true) {
			c.add("body", "has the type %q, and the document takes %v", media, slices.Sorted(maps.Keys(content)))
			return
		}
		schema = c.d.follow(entry["schema"])
	}
	switch {
	case len(body) == 0:
	case schema == nil && op["requestBody"] == nil && c.d.root["swagger"] == nil:
		c.add("body", "is not in the document")
	case strings.HasSuffix(media, "json"):
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			c.add("body", "is no JSON: %v", err)
			return
		}
		c.value("body", v, schema)
	case media == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			c.add("body", "is no form: %v", err)
			return
		}
		c.form = true
		c.value("body", nested(form), schema)
	}
}

// nested converts a[b][0]=c to nested maps; a[]=c is a list.
func nested(form url.Values) map[string]any {
	root := map[string]any{}
	for name, values := range form {
		steps := strings.Split(strings.ReplaceAll(name, "]", ""), "[")
		at := root
		for _, s := range steps[:len(steps)-1] {
			if steps[len(steps)-1] == "" && s == steps[len(steps)-2] {
				break
			}
			next, _ := at[s].(map[string]any)
			if next == nil {
				next = map[string]any{}
				at[s] = next
			}
			at = next
		}
		if last := steps[len(steps)-1]; last != "" {
			at[last] = values[0]
			continue
		}
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		at[steps[len(steps)-2]] = list
	}
	return root
}

// answer checks an example's response: a shortened one may omit fields, but has no others.
func (d *published) answer(op map[string]any, status int, body any) []string {
	responses := object(op["responses"])
	found := d.follow(responses[strconv.Itoa(status)])
	for _, other := range []string{fmt.Sprintf("%dXX", status/100), "default"} {
		if found == nil {
			found = d.follow(responses[other])
		}
	}
	c := &check{d: d}
	if found == nil {
		c.add("answer", "has the status %d, and the document knows %v", status, slices.Sorted(maps.Keys(responses)))
		return c.problems
	}
	schema := d.follow(found["schema"])
	for media, v := range object(found["content"]) {
		if strings.Contains(media, "json") || media == "*/*" {
			schema = d.follow(object(v)["schema"])
		}
	}
	if body != nil && schema != nil {
		raw, err := json.Marshal(body)
		var v any
		if err == nil {
			err = json.Unmarshal(raw, &v)
		}
		if err != nil {
			c.add("answer", "is no JSON: %v", err)
			return c.problems
		}
		c.value("answer", v, schema)
	}
	return c.problems
}
