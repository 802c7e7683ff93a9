package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows"
)

// detail is how much to write about the operations, for files that would be too large.
type detail struct {
	returns, examples bool
}

// written is a connector file with the lines at which its actions begin.
type written struct {
	text  string
	lines []int
}

// file generates a connector file.
func (s *service) file(name, source string, ops []*action, how detail) written {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("# Imported from %s.\n", clean(source))
	if len(s.others) > 0 {
		p("# Other servers: %s.\n", clean(strings.Join(s.others, ", ")))
	}
	p("connector: %s\nversion: 1\n", name)
	for _, f := range [][2]string{{"title", s.title}, {"description", s.description}, {"docs", s.docs}} {
		if f[1] != "" {
			p("%s: %s\n", f[0], workflows.YAMLText(f[1]))
		}
	}
	p("base_url: %s\n", s.server.url)
	fields := []string{}
	for _, v := range s.server.variables {
		f := "type: string"
		if v.initial != "" {
			f += ", default: " + workflows.YAMLText(v.initial)
		} else {
			f += ", required: true"
		}
		if len(v.options) > 0 {
			f += ", options: " + workflows.YAMLText(v.options)
		}
		if v.help != "" {
			f += ", description: " + workflows.YAMLText(v.help)
		}
		fields = append(fields, v.name+": {"+f+"}")
	}
	if s.auth != nil {
		fields = append(fields, s.auth.fields...)
	}
	if len(fields) > 0 {
		p("\nconnection:\n  %s\n", strings.Join(fields, "\n  "))
	}
	if s.auth != nil {
		p("\n%s", s.auth.text)
	}
	p("\n%sdefaults:\n  timeout: 30s\n  retry: {max: 3, when: \"error.retryable\"}\n\nactions:\n", s.idempotency(ops))
	w := written{}
	for i, o := range ops {
		if i > 0 {
			p("\n")
		}
		w.lines = append(w.lines, strings.Count(b.String(), "\n")+1-0)
		b.WriteString(o.text(how))
	}
	w.text = b.String()
	return w
}

// idempotency returns the idempotency header of the service, if it has one.
func (s *service) idempotency(ops []*action) string {
	for _, o := range ops {
		if o.idempotencyHeader != "" && !strings.EqualFold(o.idempotencyHeader, "Idempotency-Key") {
			return "idempotency_header: " + workflows.YAMLText(clean(o.idempotencyHeader)) + "\n\n"
		}
	}
	return ""
}

// action is an operation with the names it has in the file.
type action struct {
	*operation
	name string
	// noExample omits an example that is not valid.
	noExample bool
}

// named gives every operation and input a unique name.
func named(ops []*operation) []*action {
	taken := map[string]bool{}
	var out []*action
	for _, o := range ops {
		a := &action{operation: o, name: actionName(o)}
		if taken[a.name] {
			if by := pathName(o); !taken[by] {
				a.name = by
			}
		}
		a.name = unique(a.name, taken)
		out = append(out, a)
		inputs := map[string]bool{"connection": true}
		for _, i := range o.inputs {
			n := snake(i.sent)
			if n == "" {
				n = "value"
			}
			if inputs[n] {
				n = n + "_" + snake(i.in)
			}
			i.name = unique(n, inputs)
		}
	}
	return out
}

func (a *action) text(how detail) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("  %s:\n", a.name)
	if a.summary != "" {
		p("    description: %s\n", workflows.YAMLText(a.summary))
	}
	if a.docs != "" {
		p("    docs: %s\n", workflows.YAMLText(a.docs))
	}
	if a.deprecated {
		p("    deprecated: true\n")
	}
	switch {
	case a.method == "POST" && a.idempotencyHeader != "":
		p("    idempotency: key\n")
	case a.method == "POST":
		p("    idempotency: none\n")
	}
	if len(a.inputs) > 0 {
		p("    inputs:\n")
		for _, i := range a.sorted() {
			p("      %s: {%s}\n", i.name, i.declaration())
		}
	}
	a.request(p)
	if a.pages != nil {
		p("%s", a.pages.text())
		if how.returns {
			p("    returns:%s", block(a.pages.returns(), "      "))
		}
	} else if a.noBody || a.returns == nil {
		if a.noBody {
			p("    output:\n      status: ${{ response.status }}\n")
			if how.returns {
				p("    returns: {status: integer}\n")
			}
		}
	} else {
		p("    output: ${{ response.body }}\n")
		if how.returns && (a.returns.Kind != "any" && a.returns.Kind != "object" || len(a.returns.Fields) > 0) {
			p("    returns:%s", block(a.returns, "      "))
		}
	}
	if how.examples && !a.noExample {
		b.WriteString(a.example())
	}
	return b.String()
}

// sorted lists the inputs, the required ones first.
func (a *action) sorted() []*input {
	out := slices.Clone(a.inputs)
	slices.SortStableFunc(out, func(x, y *input) int {
		switch {
		case x.required == y.required:
			return 0
		case x.required:
			return -1
		}
		return 1
	})
	return out
}

func (i *input) declaration() string {
	parts := []string{"type: " + i.kind}
	if i.of != "" {
		parts = append(parts, "of: "+i.of)
	}
	if i.required {
		parts = append(parts, "required: true")
	}
	if len(i.options) > 0 {
		parts = append(parts, "options: "+cleanValue(i.options))
	}
	if i.min != nil {
		parts = append(parts, "min: "+workflows.YAMLText(i.min))
	}
	if i.max != nil {
		parts = append(parts, "max: "+workflows.YAMLText(i.max))
	}
	if i.help != "" {
		parts = append(parts, "description: "+workflows.YAMLText(i.help))
	}
	return strings.Join(parts, ", ")
}

// request writes what is sent.
func (a *action) request(p func(string, ...any)) {
	path := a.path
	for _, i := range a.inputs {
		if i.in == "path" {
			path = strings.ReplaceAll(path, "{"+i.sent+"}", "${{ inputs."+i.name+" }}")
		}
	}
	p("    request:\n      method: %s\n      path: %s\n", a.method, template(path))
	entries := func(key, in string, fixed map[string]string) {
		lines := ""
		for _, k := range slices.Sorted(maps.Keys(fixed)) {
			lines += "        " + workflows.YAMLText(k) + ": " + workflows.YAMLText(fixed[k]) + "\n"
		}
		for _, i := range a.inputs {
			if i.in == in && (a.content == nil || a.content.whole != i) {
				lines += "        " + workflows.YAMLText(i.sent) + ": ${{ inputs." + i.name + " }}\n"
			}
		}
		if lines != "" {
			p("      %s:\n%s", key, lines)
		}
	}
	entries("query", "query", a.fixedQuery)
	if a.content != nil && a.content.media != "" {
		a.fixedHead["Content-Type"] = a.content.media
	}
	entries("headers", "header", a.fixedHead)
	switch c := a.content; {
	case c == nil:
	case c.whole != nil && (c.key == "form" || c.key == "multipart"):
		// A map of unknown fields cannot be written: it is sent as JSON if nothing else is known.
		p("      body: ${{ inputs.%s }}\n", c.whole.name)
	case c.whole != nil:
		p("      %s: ${{ inputs.%s }}\n", c.key, c.whole.name)
	case c.key == "multipart":
		lines := ""
		for _, i := range a.inputs {
			switch {
			case i.in == "body" && i.kind == "file":
				lines += "        " + workflows.YAMLText(i.sent) + ": \"${{ inputs." + i.name + " != nil ? {file: inputs." + i.name + "} : nil }}\"\n"
			case i.in == "body":
				lines += "        " + workflows.YAMLText(i.sent) + ": ${{ inputs." + i.name + " }}\n"
			}
		}
		p("      multipart:\n%s", lines)
	default:
		entries(c.key, "body", nil)
	}
}

// template returns a text with expressions as YAML: plain if YAML allows it, otherwise quoted.
func template(s string) string {
	if strings.Trim(strings.NewReplacer("${{", "", "}}", "").Replace(s),
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._- ~+$@()") == "" {
		return s
	}
	return workflows.QuoteYAML(s)
}

// block returns a type in lines, following a colon.
func block(t *workflows.DataType, indent string) string {
	switch {
	case t.Of != nil && len(t.Of.Fields) > 0:
		lines := block(t.Of, indent+"  ")
		return "\n" + indent + "- " + strings.TrimPrefix(lines, "\n"+indent+"  ")
	case t.Of != nil && t.Of.Of == nil:
		return " [" + t.Of.Kind + "]\n"
	case t.Of != nil:
		return " list\n"
	case len(t.Fields) > 0:
		out := "\n"
		for _, f := range t.Fields {
			key := f.Name
			if f.Optional {
				key += "?"
			}
			if plainKey(f.Name) {
				out += indent + key
			} else {
				out += indent + workflows.QuoteYAML(key)
			}
			out += ":" + block(f.Type, indent+"  ")
		}
		return out
	}
	return " " + t.Kind + "\n"
}

func plainKey(s string) bool {
	return workflows.YAMLText(s) == s && !strings.ContainsAny(s, " ")
}

// maxExample is the maximum size in bytes of the response in an example.
const maxExample = 1500

// example returns a call if the document contains values for all required inputs.
func (a *action) example() string {
	with := ""
	for _, i := range a.sorted() {
		if i.hasExample && (i.required || i.in == "body") && usable(i) {
			with += "        " + i.name + ": " + cleanValue(i.example) + "\n"
		} else if i.required {
			return ""
		}
	}
	if len(with) > maxExample {
		return ""
	}
	out := ""
	if with != "" {
		out = "      with:\n" + with
	}
	answer := cleanValue(a.response)
	if a.hasResponse && len(answer) <= maxExample && a.returns.Check("output", a.response) == "" {
		out += "      response:\n"
		if a.status != 200 && a.status != 0 {
			out += fmt.Sprintf("        status: %d\n", a.status)
		}
		out += "        body: " + answer + "\n"
	} else if with == "" {
		return ""
	}
	return "    example:\n" + out
}

// usable reports whether an example has the input's type.
func usable(i *input) bool {
	if i.kind == "file" {
		return false
	}
	in := workflows.Input{Type: i.kind, Options: i.options, Min: i.min, Max: i.max}
	if s, ok := i.example.(string); ok && strings.Contains(s, "{{") {
		return false
	}
	return in.Problem(i.example) == ""
}

// cleanValue returns data as YAML on one line, without characters that YAML does not allow.
func cleanValue(v any) string { return workflows.YAMLText(cleaned(v)) }

func cleaned(v any) any {
	switch x := v.(type) {
	case string:
		return clean(x)
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = cleaned(e)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			out[clean(k)] = cleaned(e)
		}
		return out
	}
	return v
}
