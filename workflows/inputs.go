package workflows

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/hookloom/hookloom/workflows/value"
)

func checkPattern(p string) error {
	_, err := regexp.Compile(p)
	return err
}

// check returns what is wrong with a value for this input, or "".
func (in Input) check(v any) string {
	if v == nil {
		return ""
	}
	if problem := checkType(in.Type, v); problem != "" {
		return problem
	}
	if len(in.Options) > 0 && !oneOf(in.Options, v) {
		return fmt.Sprintf("%v is not one of the options", v)
	}
	if n, ok := expr.Number(v); ok {
		if lo, ok := expr.Number(in.Min); ok && n < lo {
			return fmt.Sprintf("%v is less than %v", v, in.Min)
		}
		if hi, ok := expr.Number(in.Max); ok && n > hi {
			return fmt.Sprintf("%v is more than %v", v, in.Max)
		}
	}
	if s, ok := v.(string); ok && in.Pattern != "" {
		if matched, err := regexp.MatchString(in.Pattern, s); err != nil || !matched {
			return fmt.Sprintf("%q does not match %s", value.Clip(s, 40), in.Pattern)
		}
	}
	return ""
}

// Problem returns what is wrong with a value for this input, or "".
func (in Input) Problem(v any) string { return in.check(v) }

func oneOf(options []any, v any) bool {
	want, err := value.Text(v)
	if err != nil {
		return false
	}
	for _, o := range options {
		if s, err := value.Text(o); err == nil && s == want {
			return true
		}
	}
	return false
}

// checkType returns why v is not of type t (docs/reference/workflow.md), or "".
func checkType(t string, v any) string {
	ok := true
	switch t {
	case "string":
		_, ok = v.(string)
	case "integer":
		f, isFloat := v.(float64)
		_, isInt := v.(int)
		_, isBig := v.(json.Number)
		ok = isInt || isBig || isFloat && f == math.Trunc(f)
	case "number":
		_, ok = expr.Number(v)
	case "boolean":
		_, ok = v.(bool)
	case "list":
		_, ok = v.([]any)
	case "object":
		_, ok = v.(map[string]any)
	case "file":
		_, ok = v.(string)
		m, isMap := v.(map[string]any)
		_, hasPath := m["path"].(string)
		ok = ok || isMap && hasPath
	case "date":
		_, err := expr.AsTime(v)
		ok = err == nil
	case "duration":
		s, isText := v.(string)
		_, err := parseDuration(s)
		ok = isText && err == nil
	case "size":
		s, isText := v.(string)
		_, err := parseSize(s)
		ok = isText && err == nil
	}
	if ok {
		return ""
	}
	shown, err := value.EncodeJSON(v)
	if err != nil {
		shown = []byte(value.Describe(v))
	}
	article := "a"
	if t == "integer" || t == "object" {
		article = "an"
	}
	return fmt.Sprintf("%s is not %s %s", value.Clip(string(shown), 40), article, t)
}

// CheckInputs checks the types of the given inputs and adds the defaults of missing ones. The
// problems name each input.
func CheckInputs(declared []Input, given map[string]any) (map[string]any, []string) {
	out := make(map[string]any, len(declared))
	var problems []string
	names := make([]string, 0, len(declared))
	for _, in := range declared {
		names = append(names, in.Name)
		v, has := given[in.Name]
		if !has || v == nil {
			if in.Required {
				problems = append(problems, fmt.Sprintf("input %s is missing", in.Name))
			}
			v = in.Default
		}
		if p := in.check(v); p != "" {
			problems = append(problems, fmt.Sprintf("input %s: %s", in.Name, p))
		}
		out[in.Name] = v
	}
	for k := range given {
		if !slices.Contains(names, k) {
			problem := fmt.Sprintf("no input is named %q", k)
			if s := spelling.Suggest(k, names); s != "" {
				problem += ": " + s
			}
			problems = append(problems, problem)
		}
	}
	return out, slices.Sorted(slices.Values(problems))
}

// WithDefaults returns given with the defaults of missing inputs. It does not change given.
func (w *Workflow) WithDefaults(given map[string]any) map[string]any {
	out, cloned := given, false
	for _, in := range w.Inputs {
		if v, has := given[in.Name]; has && (v != nil || in.Default == nil) {
			continue
		}
		if !cloned {
			out, cloned = maps.Clone(given), true
			if out == nil {
				out = make(map[string]any, len(w.Inputs))
			}
		}
		out[in.Name] = in.Default
	}
	return out
}

// ParseDuration parses 500ms, 30s, 1h30m or 7d.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s) }

// ParseSize parses 64KiB or 1MiB and returns bytes.
func ParseSize(s string) (int64, error) { return parseSize(s) }

// Accept checks a rendered input against its type and converts it for the action: numbers and
// booleans become text if the input is text.
func (in *ActionInput) Accept(v any) (any, error) {
	if v == nil {
		if in.Required {
			return nil, fmt.Errorf("%s is nil", in.Name)
		}
		return nil, nil
	}
	if in.Type == "string" {
		switch v.(type) {
		case map[string]any, []any:
			return nil, fmt.Errorf("%s must be text, got %s", in.Name, value.Describe(v))
		}
		s, err := value.Text(v)
		return s, err
	}
	if p := checkType(in.Type, v); p != "" {
		return nil, fmt.Errorf("%s must be %s %s: %s", in.Name, article(in.Type), in.Type, p)
	}
	return v, nil
}

// SecretInputs returns the names of the inputs declared as secret.
func (w *Workflow) SecretInputs() []string {
	var out []string
	for _, in := range w.Inputs {
		if in.Secret {
			out = append(out, in.Name)
		}
	}
	return out
}

// inputTypeOf returns the type that a word means.
func inputTypeOf(word string) string {
	switch word {
	case "int":
		return "integer"
	case "float":
		return "number"
	case "bool":
		return "boolean"
	case "array":
		return "list"
	}
	if slices.Contains(inputTypes, word) {
		return word
	}
	return "string"
}
