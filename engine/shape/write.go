package shape

import (
	"encoding/json"
	"fmt"
	"go/format"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Schema returns a JSON Schema (draft 2020-12). A field is required if every event had it.
func (s *Shape) Schema() map[string]any {
	out := s.Data.schema()
	out["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	out["title"] = strings.TrimSpace(s.Trigger + " " + s.Type)
	return out
}

func (n *Node) schema() map[string]any {
	out := map[string]any{}
	switch names := n.TypeNames(); len(names) {
	case 0:
	case 1:
		out["type"] = names[0]
	default:
		list := make([]any, len(names))
		for i, t := range names {
			list[i] = t
		}
		out["type"] = list
	}
	if enum := n.Enum(); enum != nil && len(n.Types) == 1 {
		list := make([]any, len(enum))
		for i, v := range enum {
			list[i] = v
		}
		out["examples"] = list // those that occurred; others are possible
	}
	if n.Fields != nil {
		props, required := map[string]any{}, []any{}
		for _, k := range slices.Sorted(maps.Keys(n.Fields)) {
			props[k] = n.Fields[k].schema()
			if n.Fields[k].Seen == n.Types["object"] {
				required = append(required, k)
			}
		}
		out["properties"] = props
		if len(required) > 0 {
			out["required"] = required
		}
	}
	if n.Items != nil {
		out["items"] = n.Items.schema()
	}
	return out
}

// Fixture returns made-up data of the shape: the fields that most events have, with values of the
// right type. Texts that identify people or things are invented.
func (s *Shape) Fixture() any { return s.Data.fixture("data") }

func (n *Node) fixture(name string) any {
	names := slices.DeleteFunc(n.TypeNames(), func(t string) bool { return t == "null" })
	if len(names) == 0 {
		return nil
	}
	switch names[0] {
	case "boolean":
		return true
	case "integer":
		return 1
	case "number":
		return 1.5
	case "string":
		return n.fixtureText(name)
	case "array":
		if n.Items == nil {
			return []any{}
		}
		return []any{n.Items.fixture(name)}
	}
	out := map[string]any{}
	for k, f := range n.Fields {
		if 2*f.Seen >= n.Types["object"] {
			out[k] = f.fixture(k)
		}
	}
	return out
}

func (n *Node) fixtureText(name string) string {
	texts := n.Types["string"]
	switch enum := n.Enum(); {
	case len(enum) > 0:
		return slices.MaxFunc(enum, func(a, b string) int { return n.Values[a] - n.Values[b] })
	case 2*n.dates > texts:
		return "2026-01-31T10:00:00Z"
	case 2*n.mails > texts:
		return "ada@example.com"
	case 2*n.links > texts:
		return "https://www.example.com/"
	}
	return name
}

// TypeScript returns the shape as a TypeScript type.
func (s *Shape) TypeScript() string {
	return "export type " + typeName(s) + " = " + s.Data.typeScript("") + ";\n"
}

func (n *Node) typeScript(indent string) string {
	var parts []string
	for _, t := range n.TypeNames() {
		switch t {
		case "integer", "number":
			parts = append(parts, "number")
		case "array":
			if n.Items == nil {
				parts = append(parts, "unknown[]")
			} else {
				parts = append(parts, "Array<"+n.Items.typeScript(indent)+">")
			}
		case "object":
			var b strings.Builder
			b.WriteString("{\n")
			for _, k := range slices.Sorted(maps.Keys(n.Fields)) {
				optional := ""
				if n.Fields[k].Seen < n.Types["object"] {
					optional = "?"
				}
				fmt.Fprintf(&b, "%s  %s%s: %s;\n", indent, quoted(k), optional, n.Fields[k].typeScript(indent+"  "))
			}
			b.WriteString(indent + "}")
			parts = append(parts, b.String())
		default:
			parts = append(parts, t)
		}
	}
	if len(parts) == 0 {
		return "unknown"
	}
	return strings.Join(parts, " | ")
}

// Go returns the shape as a formatted Go type.
func (s *Shape) Go() (string, error) {
	text, err := format.Source([]byte("type " + typeName(s) + " " + s.Data.goType("") + "\n"))
	if err != nil {
		return "", fmt.Errorf("the Go type of %s %s: %w", s.Trigger, s.Type, err)
	}
	return string(text), nil
}

// tagOf returns the tag with which encoding/json reads a key; ok is false if there is none:
// encoding/json gives commas, quotes and backslashes in a tag another meaning (encoding/json, func
// Marshal).
func tagOf(k string, optional bool) (string, bool) {
	for _, r := range k {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) {
			return "", false
		}
	}
	switch {
	case k == "":
		return "", false
	case optional:
		k += ",omitempty"
	case k == "-":
		k += "," // without the comma it would omit the field
	}
	return "`json:" + strconv.Quote(k) + "`", true
}

func (n *Node) goType(indent string) string {
	names := n.TypeNames()
	null := slices.Contains(names, "null")
	names = slices.DeleteFunc(names, func(t string) bool { return t == "null" })
	if len(names) != 1 {
		return "any"
	}
	pointer := ""
	if null {
		pointer = "*"
	}
	switch names[0] {
	case "boolean":
		return pointer + "bool"
	case "integer":
		return pointer + "int64"
	case "number":
		return pointer + "float64"
	case "string":
		return pointer + "string"
	case "array":
		if n.Items == nil {
			return "[]any"
		}
		return "[]" + n.Items.goType(indent)
	}
	var b strings.Builder
	b.WriteString(pointer + "struct {\n")
	used := map[string]bool{}
	if n.More {
		b.WriteString(indent + "\t// There were more fields than are kept.\n")
	}
	for i, k := range slices.Sorted(maps.Keys(n.Fields)) {
		tag, ok := tagOf(k, n.Fields[k].Seen < n.Types["object"])
		if !ok {
			fmt.Fprintf(&b, "%s\t// encoding/json has no tag for the key %q.\n", indent, k)
			continue
		}
		name := exported(k)
		if name == "" || used[name] {
			name = fmt.Sprintf("%sField%d", name, i)
		}
		used[name] = true
		fmt.Fprintf(&b, "%s\t%s %s %s\n", indent, name, n.Fields[k].goType(indent+"\t"), tag)
	}
	b.WriteString(indent + "}")
	return b.String()
}

// quoted quotes a key as in JavaScript and JSON; Go quotes some characters differently.
func quoted(k string) string {
	b, err := json.Marshal(k)
	if err != nil {
		return `""`
	}
	return string(b)
}

func typeName(s *Shape) string {
	if name := exported(s.Trigger + "_" + s.Type); name != "" {
		return name
	}
	return "Event"
}

// exported returns a name of letters and digits that begins with a capital letter.
func exported(k string) string {
	var b strings.Builder
	up := true
	for _, r := range k {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (r < '0' || r > '9' || b.Len() == 0) {
			up = true
			continue
		}
		if up && r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		up = false
		b.WriteRune(r)
	}
	return b.String()
}
