package workflows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// DataType is a declared type of data, such as that of an action's output.
//
// It is written as a word (string), a list of one type ([string]), or a map of fields ({id: string,
// owner?: {name: string}}). A field whose name ends in ? may be missing or nil; inside { and } YAML
// requires quotes around such a name.
type DataType struct {
	// Kind is one of dataKinds.
	Kind string
	// Fields are the fields of an object; empty if unknown.
	Fields []DataField
	// Of is the type of a list's elements; nil if unknown.
	Of *DataType
}

// DataField is one field of an object.
type DataField struct {
	Name string
	Type *DataType
	// Optional fields may be missing or nil.
	Optional bool
}

// dataKinds are the names of types.
var dataKinds = []string{"string", "integer", "number", "boolean", "list", "object", "date", "any"}

// foreignKinds maps type names of other languages.
var foreignKinds = map[string]string{"text": "string", "str": "string", "int": "integer", "float": "number", "double": "number",
	"bool": "boolean", "array": "list", "map": "object", "dict": "object", "datetime": "date", "timestamp": "date", "null": "any"}

// dataType reads a type; it returns nil and adds a mistake if n is not a type.
func (d *decoder) dataType(n *yaml.Node, what string) *DataType {
	switch n.Kind {
	case yaml.MappingNode:
		t := &DataType{Kind: "object"}
		d.pairs(n, func(k, v *yaml.Node) {
			name, optional := strings.CutSuffix(k.Value, "?")
			if of := d.dataType(v, what); of != nil {
				t.Fields = append(t.Fields, DataField{Name: name, Type: of, Optional: optional})
			}
		})
		return t
	case yaml.SequenceNode:
		if len(n.Content) != 1 {
			d.add(d.pos(n), "wrong-kind", fmt.Sprintf("%s: a list of types has one element, the type of all its elements", what),
				"write [string], or list when they differ")
			return nil
		}
		of := d.dataType(n.Content[0], what)
		if of == nil {
			return nil
		}
		return &DataType{Kind: "list", Of: of}
	}
	for _, k := range dataKinds {
		if n.Value == k {
			return &DataType{Kind: k}
		}
	}
	hint := spelling.Suggest(n.Value, dataKinds)
	if own := foreignKinds[strings.ToLower(n.Value)]; own != "" {
		hint = "write " + own
	} else if bare, optional := strings.CutSuffix(n.Value, "?"); optional {
		hint = fmt.Sprintf("the question mark belongs after the field's name: name?: %s", bare)
	} else if hint == "" {
		hint = "known are " + strings.Join(dataKinds, ", ")
	}
	d.add(d.pos(n), "unknown-word", fmt.Sprintf("%s: there is no type %q", what, n.Value), hint)
	return nil
}

// String returns the type as a connector file writes it, on one line.
func (t *DataType) String() string {
	switch {
	case t == nil:
		return "any"
	case t.Of != nil:
		return "[" + t.Of.String() + "]"
	case len(t.Fields) > 0:
		parts := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			parts[i] = f.label() + ": " + f.Type.String()
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return t.Kind
}

func (f DataField) label() string {
	if f.Optional {
		return f.Name + "?"
	}
	return f.Name
}

// typeText returns the type in words, since the reader does not see the question mark of the name.
func (f DataField) typeText() string {
	if f.Optional {
		return f.Type.String() + ", or nil"
	}
	return f.Type.String()
}

// Check returns where a value differs from the type, or "". at is the name of the value.
func (t *DataType) Check(at string, v any) string {
	if t == nil || t.Kind == "any" || v == nil && t.MayBeNil() {
		return ""
	}
	if v == nil {
		return fmt.Sprintf("%s is nil, not %s %s", at, article(t.Kind), t.Kind)
	}
	if p := checkType(t.Kind, v); p != "" {
		return at + ": " + p
	}
	switch x := v.(type) {
	case []any:
		for i, e := range x {
			if p := t.Of.Check(fmt.Sprintf("%s[%d]", at, i), e); p != "" {
				return p
			}
		}
	case map[string]any:
		for _, f := range t.Fields {
			e, there := x[f.Name]
			if e == nil && f.Optional {
				continue
			}
			if !there {
				return fmt.Sprintf("%s has no %s", at, f.Name)
			}
			if p := f.Type.Check(at+"."+f.Name, e); p != "" {
				return p
			}
		}
	}
	return ""
}

// Missing returns the names of the required fields that are missing, or that have a plain value
// instead of a list or an object, or vice versa. all reports whether this is true of every required
// field.
func (t *DataType) Missing(v any) (names []string, all bool) {
	if t == nil || t.Kind != "object" {
		return nil, false
	}
	m, isMap := v.(map[string]any)
	if !isMap && v != nil || v == nil && t.MayBeNil() {
		return nil, false
	}
	must := 0
	for _, f := range t.Fields {
		x := m[f.Name]
		if f.Type == nil || f.Type.Kind == "any" || x == nil && (f.Optional || f.Type.MayBeNil()) {
			continue
		}
		if must++; x == nil || shapeOf(x) != f.Type.shape() {
			names = append(names, f.Name)
		}
	}
	return names, len(names) == must
}

// shape is list, object, or "" for a plain value.
func (t *DataType) shape() string {
	if t.Kind == "list" || t.Kind == "object" {
		return t.Kind
	}
	return ""
}

func shapeOf(v any) string {
	switch v.(type) {
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return ""
}

// MayBeNil reports whether an object has only optional fields: a search may find nothing.
func (t *DataType) MayBeNil() bool {
	return t != nil && len(t.Fields) > 0 && !slices.ContainsFunc(t.Fields, func(f DataField) bool { return !f.Optional })
}

// named returns the field names for the expression checker. Nothing is certain below optional
// fields and in lists.
func (t *DataType) named() expr.Type {
	if t == nil || t.Kind != "object" || len(t.Fields) == 0 {
		return expr.Any
	}
	m := expr.Map{}
	for _, f := range t.Fields {
		m[f.Name] = expr.Any
		if !f.Optional {
			m[f.Name] = f.Type.named()
		}
	}
	return m
}
