package workflows

import (
	"sort"
)

// Schema returns the JSON Schema (draft 2020-12) of workflow files or, for "project", of
// hookloom.yaml. It is generated from the shapes that the checker uses. It cannot validate
// expressions; only the checker does.
func Schema(of string, catalog *Catalog) map[string]any { return SchemaWith(of, catalog, nil) }

// SchemaWith is Schema plus the paths that expressions can read, such as event.data.total. Editors
// offer these where an expression value begins, and show them as examples. They cannot offer
// completions inside a text, which JSON Schema cannot describe.
func SchemaWith(of string, catalog *Catalog, paths []KnownPath) map[string]any {
	defs := map[string]any{}
	g := &schemaMaker{defs: defs, catalog: catalog, vars: of == "project"}
	if len(paths) > 0 {
		defs[knownPaths] = snippets(paths)
		g.known = []any{map[string]any{"$ref": "#/$defs/" + knownPaths}}
	}
	root := g.shape(of)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Hookloom " + shapes[of].title
	root["$defs"] = defs
	return root
}

// KnownPath is a path that expressions can read.
type KnownPath struct{ Path, About string }

// knownPaths is the name of the definition that contains them.
const knownPaths = "known_paths"

// snippets returns examples for people, and defaultSnippets, the completions of the YAML language
// server (redhat-developer/yaml-language-server, test/defaultSnippets.test.ts).
func snippets(paths []KnownPath) map[string]any {
	examples, list := []any{}, []any{}
	for _, p := range paths {
		examples = append(examples, p.Path)
		list = append(list, map[string]any{"label": p.Path, "description": p.About, "body": p.Path})
	}
	return map[string]any{"examples": examples, "defaultSnippets": list}
}

type schemaMaker struct {
	defs    map[string]any
	catalog *Catalog
	// vars reports whether vars can be put into plain values.
	vars bool
	// known refers to the paths that expressions can read; nil if unknown.
	known []any
}

// expression returns the schema of a bare expression.
func (g *schemaMaker) expression() map[string]any {
	out := map[string]any{"type": []any{"string", "boolean", "number"}}
	if g.known != nil {
		out["allOf"] = g.known
	}
	return out
}

func (g *schemaMaker) shape(ref string) map[string]any {
	s := shapes[ref]
	props := map[string]any{}
	var required []any
	for _, f := range s.fields {
		t := g.typ(f.typ)
		if ref == "workflow" && f.name == "on" {
			t = g.on()
		}
		if ref == "step" && f.name == "uses" {
			t = g.actionNames()
		}
		if ref == "basic" && f.name == "user" {
			t = map[string]any{"pattern": `^[^:]*$|\$\{\{`} // RFC 7617, section 2
		}
		if ref == "project" && f.name == "connections" {
			t = g.connections()
		}
		if g.vars && f.typ.plain() && f.typ.kind != kindText {
			t = map[string]any{"anyOf": []any{t, map[string]any{"type": "string", "pattern": `\$\{\{`}}}
		}
		if f.help != "" {
			t["description"] = f.help
		}
		props[f.name] = t
		if f.required {
			required = append(required, f.name)
		}
	}
	out := map[string]any{"type": "object", "properties": props, "additionalProperties": false}
	if s.xKeys {
		out["patternProperties"] = map[string]any{"^x-": true}
	}
	if required != nil {
		out["required"] = required
	}
	if ref == "step" {
		var oneOf []any
		for _, b := range StepKinds() {
			oneOf = append(oneOf, map[string]any{"required": []any{b}})
		}
		out["oneOf"] = oneOf
	}
	return out
}

// on accepts a word, a list of words, or a map of triggers and kinds.
func (g *schemaMaker) on() map[string]any {
	g.ref("on") // its properties are reused below
	filter := map[string]any{"anyOf": []any{map[string]any{"type": "null"}, g.ref("filter")}}
	named := map[string]any{"type": "object", "properties": g.defs["on"].(map[string]any)["properties"], "additionalProperties": filter}
	return map[string]any{
		"anyOf": []any{map[string]any{"type": "string"}, map[string]any{"type": "array", "items": map[string]any{"type": "string"}}, named},
	}
}

// connections returns the schema of connections, which may also have the fields that their
// connector declares.
func (g *schemaMaker) connections() map[string]any {
	of := g.ref("connection")
	g.defs["connection"].(map[string]any)["additionalProperties"] = true
	return map[string]any{"type": "object", "additionalProperties": of}
}

func (g *schemaMaker) actionNames() map[string]any {
	out := map[string]any{"type": "string"}
	if g.catalog == nil {
		return out
	}
	var names []any
	for _, n := range g.catalog.Actions.Names() {
		names = append(names, n)
	}
	// Connector files of a project add names, so these are suggested, not enforced.
	return map[string]any{
		"anyOf": []any{
			map[string]any{"enum": names},
			map[string]any{"type": "string", "pattern": "^[a-z_][a-z0-9_]*/[a-z_][a-z0-9_.]*$|^log$"},
		},
	}
}

func (g *schemaMaker) ref(ref string) map[string]any {
	if _, ok := g.defs[ref]; !ok {
		g.defs[ref] = true // stops the recursion of steps in steps
		g.defs[ref] = g.shape(ref)
	}
	return map[string]any{"$ref": "#/$defs/" + ref}
}

func (g *schemaMaker) typ(t valueType) map[string]any {
	text := func(pattern string) map[string]any { return map[string]any{"type": "string", "pattern": pattern} }
	switch t.kind {
	case kindText:
		return map[string]any{"type": "string"}
	case kindBool:
		return map[string]any{"type": "boolean"}
	case kindInt:
		m := map[string]any{"type": "integer"}
		if t.max > 0 {
			m["minimum"], m["maximum"] = t.min, t.max
		}
		return m
	case kindDuration:
		return text(`^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$`)
	case kindSize:
		return text(sizePattern.String())
	case kindRate:
		return text(ratePattern.String())
	case kindName:
		return text(namePattern.String())
	case kindWord:
		words := append([]string{}, t.words...)
		sort.Strings(words)
		var enum []any
		for _, w := range words {
			enum = append(enum, w)
		}
		return map[string]any{"enum": enum}
	case kindExpr:
		return g.expression()
	case kindExprs:
		one := g.expression()
		return map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "items": one}}}
	case kindTexts:
		return map[string]any{
			"anyOf": []any{map[string]any{"type": "string"}, map[string]any{"type": "array", "items": map[string]any{"type": "string"}}},
		}
	case kindObject:
		return g.ref(t.ref)
	case kindMap:
		return map[string]any{"type": "object", "additionalProperties": g.typ(*t.of)}
	case kindList:
		m := map[string]any{"type": "array", "items": g.typ(*t.of)}
		if t.min > 0 {
			m["minItems"] = t.min
		}
		if t.max > 0 {
			m["maxItems"] = t.max
		}
		return m
	case kindEither:
		var options []any
		for _, e := range t.either {
			options = append(options, g.typ(e))
		}
		return map[string]any{"anyOf": options}
	}
	return map[string]any{}
}
