package actions_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
)

// check compares values with the schemas of a document.
type check struct {
	d *published
	// sent marks a request, which must have the required fields, as opposed to a response; form
	// means that scalars are texts.
	sent, form bool
	problems   []string
	depth      int
}

func (c *check) add(at, format string, args ...any) {
	c.problems = append(c.problems, at+" "+fmt.Sprintf(format, args...))
}

// fails reports whether a value does not match a schema.
func (c *check) fails(at string, v any, schema map[string]any) []string {
	trial := &check{d: c.d, sent: c.sent, form: c.form, depth: c.depth}
	trial.value(at, v, schema)
	return trial.problems
}

// value checks one value.
func (c *check) value(at string, v any, schema map[string]any) {
	schema = c.d.follow(schema)
	if c.depth++; schema == nil || c.depth > 40 {
		return
	}
	defer func() { c.depth-- }()
	if v == nil {
		if !c.nullable(schema) && c.sent {
			c.add(at, "is null, and the document takes none")
		}
		return
	}
	if schema["properties"] == nil && schema["allOf"] == nil {
		for _, key := range []string{"oneOf", "anyOf"} {
			if c.branch(at, v, items(schema[key])) {
				return
			}
		}
	}
	if m, ok := v.(map[string]any); ok {
		c.fields(at, m, schema)
		return
	}
	for _, part := range items(schema["allOf"]) {
		c.value(at, v, object(part))
	}
	if list, ok := v.([]any); ok {
		if kind := c.kinds(schema); len(kind) > 0 && !slices.Contains(kind, "array") {
			c.add(at, "is a list, and the document has %v", kind)
			return
		}
		for i, e := range list {
			c.value(fmt.Sprintf("%s[%d]", at, i), e, object(schema["items"]))
		}
		return
	}
	c.scalar(at, v, schema)
}

// branch checks a value against alternatives; it returns false if there are none.
func (c *check) branch(at string, v any, of []any) bool {
	var best []string
	for i, b := range of {
		p := c.fails(at, v, object(b))
		if len(p) == 0 {
			return true
		}
		if i == 0 || len(p) < len(best) {
			best = p
		}
	}
	c.problems = append(c.problems, best...)
	return len(of) > 0
}

func (c *check) nullable(schema map[string]any) bool {
	if schema["nullable"] == true || schema["x-nullable"] == true || len(c.kinds(schema)) == 0 || slices.Contains(c.kinds(schema), "null") {
		return true
	}
	return false
}

// kinds returns the types that a schema allows.
func (c *check) kinds(schema map[string]any) []string {
	var out []string
	switch k := schema["type"].(type) {
	case string:
		out = append(out, k)
	case []any:
		for _, e := range k {
			out = append(out, text(e))
		}
	}
	return out
}

// gather collects the properties of a schema and of all its parts. open reports whether others are
// allowed.
func (c *check) gather(schema, properties map[string]any, required map[string]bool, depth int) (open bool) {
	schema = c.d.follow(schema)
	maps.Copy(properties, object(schema["properties"]))
	for _, r := range items(schema["required"]) {
		required[text(r)] = true
	}
	more, said := schema["additionalProperties"]
	open = said && more != false || schema["patternProperties"] != nil
	for _, key := range []string{"allOf", "oneOf", "anyOf"} {
		needed := required
		if key != "allOf" {
			needed = map[string]bool{} // another alternative may not require them
		}
		for _, p := range items(schema[key]) {
			if depth < 12 && c.gather(object(p), properties, needed, depth+1) {
				open = true
			}
		}
	}
	return open || len(properties) == 0
}

// fields checks an object.
func (c *check) fields(at string, m, schema map[string]any) {
	if kind := c.kinds(schema); len(kind) > 0 && !slices.Contains(kind, "object") {
		if c.form && slices.Contains(kind, "array") { // a[0][b]=c
			for k, e := range m {
				c.value(at+"["+k+"]", e, object(schema["items"]))
			}
			return
		}
		c.add(at, "is an object, and the document has %v", kind)
		return
	}
	properties, required := map[string]any{}, map[string]bool{}
	open := c.gather(schema, properties, required, 0)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		p, known := properties[k]
		switch {
		case known:
			c.value(at+"."+k, m[k], object(p))
		case !open:
			c.add(at, "has %s, which is not in the document", k)
		default:
			c.value(at+"."+k, m[k], object(schema["additionalProperties"]))
		}
	}
	for r := range required {
		if _, has := m[r]; c.sent && !has && c.d.follow(properties[r])["readOnly"] != true {
			c.add(at, "has no %s, which the document requires", r)
		}
	}
}

// scalar checks a text, a number or a boolean.
func (c *check) scalar(at string, v any, schema map[string]any) {
	s, isText := v.(string)
	if c.form && isText {
		c.texts(at, s, schema)
		return
	}
	kind := c.kinds(schema)
	fits := len(kind) == 0
	for _, k := range kind {
		switch x := v.(type) {
		case string:
			fits = fits || k == "string"
		case bool:
			fits = fits || k == "boolean"
		case float64:
			fits = fits || k == "number" || k == "integer" && x == math.Trunc(x)
		}
	}
	if !fits {
		c.add(at, "is %v (%T), and the document has %v", v, v, kind)
		return
	}
	c.among(at, v, schema)
}

func (c *check) among(at string, v any, schema map[string]any) {
	if enum := items(schema["enum"]); len(enum) > 0 && !slices.Contains(enum, v) {
		c.add(at, "is %v, and the document has %v", v, enum)
	}
	if constant, has := schema["const"]; has && constant != v {
		c.add(at, "is %v, and the document has %v", v, constant)
	}
	s, isText := v.(string)
	if pattern := text(schema["pattern"]); isText && pattern != "" {
		// Patterns of another dialect are ignored.
		if re, err := regexp.Compile(pattern); err == nil && !re.MatchString(s) {
			c.add(at, "is %q, which does not match %s", s, pattern)
		}
	}
	if most, has := schema["maxLength"].(float64); isText && has && float64(len([]rune(s))) > most {
		c.add(at, "has more than %v characters", most)
	}
}

// texts checks a value in a query or a form.
func (c *check) texts(at, s string, schema map[string]any) {
	schema = c.d.follow(schema)
	for _, key := range []string{"oneOf", "anyOf"} {
		if c.branch(at, s, items(schema[key])) {
			return
		}
	}
	kind := c.kinds(schema)
	fits := len(kind) == 0
	for _, k := range kind {
		var err error
		switch k {
		case "integer":
			_, err = strconv.ParseInt(s, 10, 64)
		case "number":
			_, err = strconv.ParseFloat(s, 64)
		case "boolean":
			_, err = strconv.ParseBool(s)
		case "object":
			err = strconv.ErrSyntax
		}
		fits = fits || err == nil
	}
	if !fits {
		c.add(at, "is %q, and the document has %v", s, kind)
		return
	}
	if slices.Contains(kind, "string") {
		c.among(at, s, schema)
	}
}
