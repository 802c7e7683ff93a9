package workflows

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"gopkg.in/yaml.v3"
)

// RedactPath selects fields of events and of steps whose values are not stored, as in
// history.redact: event.data.card.number, event.body.items[*].iban, event.query.email, $..iban,
// steps.find.output.body.iban.
type RedactPath struct {
	// Text is the path as written.
	Text string
	// Data reports whether the path starts at event.data rather than at the body, Query whether it
	// starts at event.query.
	Data, Query bool
	// Step is the id of the step at whose Part, input or output, the path starts; empty for a path
	// into events.
	Step, Part string
	// Steps lead from there to the field.
	Steps []RedactStep
}

// RedactStep is one step of a path.
type RedactStep struct {
	// Name is the name of a field; Any selects every field and element.
	Name string
	Any  bool
	// Index is the index of a list element, -1 for none.
	Index int
	// Deep selects matches at every depth.
	Deep bool
}

// Takes reports whether the step selects a field or element; an element has the name "".
func (s RedactStep) Takes(name string, index int) bool {
	if s.Any {
		return true
	}
	if index >= 0 {
		return s.Index == index
	}
	return s.Index < 0 && s.Name == name
}

var stepPart = lazyregexp.New(`^steps\.([A-Za-z_][A-Za-z0-9_]*)\.(input|output)`)

var errRedactPath = errors.New("is not a path to a field")

// ParseRedactPath parses a path.
func ParseRedactPath(text string) (RedactPath, error) {
	p := RedactPath{Text: text}
	rest := ""
	switch {
	case strings.HasPrefix(text, "event.data"):
		p.Data, rest = true, text[len("event.data"):]
	case strings.HasPrefix(text, "event.query"):
		p.Query, rest = true, text[len("event.query"):]
	case strings.HasPrefix(text, "event.body"):
		rest = text[len("event.body"):]
	case strings.HasPrefix(text, "$"):
		rest = text[1:]
	case stepPart.MatchString(text):
		m := stepPart.FindStringSubmatch(text)
		p.Step, p.Part, rest = m[1], m[2], text[len(m[0]):]
	default:
		return p, fmt.Errorf("%q %w", text, errRedactPath)
	}
	for rest != "" {
		var s RedactStep
		var err error
		if s, rest, err = redactStep(rest); err != nil {
			return p, fmt.Errorf("%q %w", text, err)
		}
		p.Steps = append(p.Steps, s)
	}
	if len(p.Steps) == 0 {
		return p, fmt.Errorf("%q names no field", text)
	}
	return p, nil
}

// redactStep parses .name, ..name, .*, [0], [*] or ["a name"].
func redactStep(text string) (s RedactStep, rest string, err error) {
	s.Index = -1
	if strings.HasPrefix(text, "..") {
		s.Deep, text = true, text[1:]
	}
	switch {
	case strings.HasPrefix(text, ".["):
		text = text[1:]
		fallthrough
	case strings.HasPrefix(text, "["):
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return s, "", errors.New("lacks a ]")
		}
		inner := text[1:end]
		if q := strings.Trim(inner, `"'`); len(q) > 0 && (inner == `"`+q+`"` || inner == "'"+q+"'") {
			s.Name = q
			return s, text[end+1:], nil
		}
		if inner == "*" {
			s.Any = true
			return s, text[end+1:], nil
		}
		if s.Index, err = strconv.Atoi(inner); err != nil || s.Index < 0 {
			return s, "", fmt.Errorf("has [%s], which is not an element: write [0], [*] or [\"name\"]", inner)
		}
		return s, text[end+1:], nil
	case strings.HasPrefix(text, "."):
		end := 1
		for end < len(text) && text[end] != '.' && text[end] != '[' {
			end++
		}
		name := text[1:end]
		switch {
		case name == "":
			return s, "", errors.New("has a step without a name")
		case name == "*":
			s.Any = true
		case strings.ContainsAny(name, " \t\"'?(){}*$@,:"):
			return s, "", fmt.Errorf("has the step %q: write [%q] for a name with such letters", name, name)
		default:
			s.Name = name
		}
		return s, text[end:], nil
	}
	return s, "", errRedactPath
}

// redactPaths reads a list of them.
func (d *decoder) redactPaths(n *yaml.Node) []RedactPath {
	if n == nil {
		return nil
	}
	nodes := n.Content
	if n.Kind == yaml.ScalarNode {
		nodes = []*yaml.Node{n}
	}
	var out []RedactPath
	for _, c := range nodes {
		if c.Kind != yaml.ScalarNode {
			continue // the shape check reports it
		}
		p, err := ParseRedactPath(strings.TrimSpace(c.Value))
		if err != nil {
			last := c.Value[strings.LastIndexAny(c.Value, ".]")+1:]
			d.add(d.pos(c), "bad-path", err.Error(), redactHint(c.Value, last))
			continue
		}
		out = append(out, p)
	}
	return out
}

func redactHint(written, last string) string {
	const hint = `write event.data.card.number, event.data.items[*].iban, "$..iban" for any depth, or steps.ID.output.iban`
	plain := strings.Trim(strings.ReplaceAll(written, "_", ""), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.") == ""
	if !plain || written == "" || strings.HasPrefix(written, ".") || strings.HasSuffix(written, ".") ||
		strings.Contains(written, "..") || strings.HasPrefix(written, "event.") || strings.HasPrefix(written, "steps.") {
		return hint
	}
	return fmt.Sprintf("write event.data.%s, or %q for any depth", written, "$.."+last)
}

// DataPrefixes returns the paths in the body where an expression for event.data may find it; ok is
// false if the expression is more than such paths.
func DataPrefixes(text string) (prefixes [][]string, ok bool) {
	if text == "" || text == "body" {
		return [][]string{{}}, true
	}
	for _, p := range expr.QuickPaths(text) {
		if p[0] != "body" {
			return nil, false
		}
		prefixes = append(prefixes, p[1:])
	}
	return prefixes, len(prefixes) > 0
}
