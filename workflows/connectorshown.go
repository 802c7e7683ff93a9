package workflows

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/value"
)

// ExampleConnection returns a connection with made-up fields, for running the connector's examples.
func (k *Connector) ExampleConnection() *Connection {
	c := &Connection{Name: k.Name, Connector: k.Name, Fields: map[string]*Value{}}
	switch k.Auth.Kind() {
	case "oauth2", "jwt_bearer", "aws_sigv4", "tls":
		c.Auth = &Auth{Bearer: &Value{kind: constantValue, constant: "example"}} // examples fetch no token
	}
	for _, f := range k.Fields {
		v := f.Default
		switch {
		case v != nil:
		case len(f.Options) > 0:
			v = f.Options[0]
		case f.Type == "integer" || f.Type == "number":
			v = 1
		case f.Type == "boolean":
			v = true
		case strings.Contains(f.Name, "url"):
			v = "https://example.com"
		default:
			v = "example-" + strings.ReplaceAll(f.Name, "_", "-")
		}
		c.Fields[f.Name] = &Value{kind: constantValue, constant: v}
	}
	return c
}

// StepExample returns the YAML of a step that uses the action, with the inputs of the connector's
// example or else the required inputs.
func (s *ActionSpec) StepExample() string {
	with := map[string]any{}
	if s.Action != nil && s.Action.Call.With != nil {
		maps.Copy(with, s.Action.Call.With)
	} else {
		for _, in := range s.Inputs {
			if in.Required {
				with[in.Name] = in.sample()
			}
		}
	}
	id := s.Name[strings.LastIndexAny(s.Name, "/.")+1:]
	if slices.Contains(reservedNames, id) {
		id = "step"
	}
	text := fmt.Sprintf("- id: %s\n  uses: %s\n", id, s.Name)
	if len(with) == 0 {
		return text
	}
	text += "  with:\n"
	for _, in := range s.Inputs {
		if v, given := with[in.Name]; given {
			text += fmt.Sprintf("    %s: %s\n", in.Name, YAMLText(v))
		}
	}
	return text
}

// sample returns a valid value for the input.
func (in *ActionInput) sample() any {
	switch {
	case len(in.Words) > 0:
		return in.Words[0]
	case len(in.Options) > 0:
		return in.Options[0]
	case in.Fill == FillURL && in.Name == "url":
		return "https://api.example.com/orders"
	}
	switch in.Type {
	case "integer", "number":
		return 1
	case "boolean":
		return true
	case "list":
		return []any{}
	case "object", "any":
		return map[string]any{}
	case "date":
		return time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	case "duration":
		return "1h"
	case "size":
		return "1MiB"
	}
	return strings.ReplaceAll(in.Name, "_", "-")
}

// YAMLText returns data as one line of YAML: JSON, but with plain words unquoted.
func YAMLText(v any) string {
	switch x := v.(type) {
	case string:
		return quoteYAML(x)
	case []any:
		parts := make([]string, len(x))
		for i, e := range x {
			parts[i] = YAMLText(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(x)) {
			parts = append(parts, quoteYAML(k)+": "+YAMLText(x[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	b, err := value.EncodeJSON(v)
	if err != nil {
		return "null"
	}
	return string(b)
}

// yamlWords are plain words that YAML 1.1 or 1.2 does not read as text.
var yamlWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"}

// quoteYAML returns s as a YAML scalar: plain if every reader takes it for this text, otherwise in
// double quotes, which is also valid JSON.
func quoteYAML(s string) string {
	plain := s != "" && !slices.Contains(yamlWords, strings.ToLower(s)) && isNameByte(s, 0) && (s[0] < '0' || s[0] > '9')
	for _, r := range s {
		if !strings.ContainsRune("_-./ ()+;$@'", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			plain = false
		}
	}
	if plain && !strings.HasSuffix(s, " ") && !strings.Contains(s, "${{") {
		return s
	}
	return QuoteYAML(s)
}

// QuoteYAML returns s in double quotes, which is also valid JSON.
func QuoteYAML(s string) string {
	b, err := value.EncodeJSON(s)
	if err != nil {
		return `""`
	}
	return string(b)
}
