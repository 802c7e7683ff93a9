package workflows

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/dataschema"
	"gopkg.in/yaml.v3"
)

// These are the effects of data that does not match a trigger's schema: the delivery is answered
// with 422 and quarantined; or the event is marked and processed; or it becomes a dead letter of
// each workflow that listens to the trigger.
const (
	Refuse      = "refuse"
	MarkInvalid = "mark"
	DeadLetter  = "dead_letter"
)

// schemaExt is the extension of schema files.
const schemaExt = ".json"

// DataRule is the JSON Schema that the event data of a trigger must match.
type DataRule struct {
	// File is relative to the project's folder; empty for a schema in the trigger itself.
	File string
	// OnInvalid is Refuse, MarkInvalid or DeadLetter.
	OnInvalid string
	// compiled is nil while the project is being loaded, and if the schema has a mistake.
	compiled *dataschema.Schema
	node     *yaml.Node
	pos      Pos
	data     any
}

// Check returns why data does not match, or nil. The error contains no values of the data.
func (r *DataRule) Check(data any) error {
	if r == nil || r.compiled == nil {
		return nil
	}
	return r.compiled.Check(data)
}

// dataRule reads schema: and on_invalid:.
func (d *decoder) dataRule(o *objectNode, usual string) *DataRule {
	n := o.vals["schema"]
	if n == nil {
		if o.has("on_invalid") {
			d.add(o.keyAt("on_invalid"), "needs-key", "on_invalid needs schema:", "schema: schemas/order.json")
		}
		return nil
	}
	r := &DataRule{OnInvalid: o.text("on_invalid", usual), pos: o.at("schema")}
	if n.Kind == yaml.ScalarNode {
		if r.File = path.Clean(n.Value); path.Ext(r.File) != schemaExt {
			d.add(r.pos, "bad-path", fmt.Sprintf("schema: %q is not a .json file", n.Value), "name one of the project, such as schemas/order.json")
			return nil
		}
		return r
	}
	before := len(d.mistakes)
	r.node, r.data = n, d.literal(n)
	if len(d.mistakes) > before {
		return nil
	}
	return r
}

// schemas compiles the schemas of the triggers.
func (l *loader) schemas() {
	done := map[*DataRule]bool{}
	byFile := map[string]*dataschema.Schema{}
	for _, name := range slices.Sorted(maps.Keys(l.p.Triggers)) {
		t := l.p.Triggers[name]
		var rules []*DataRule
		if t.Webhook != nil {
			rules = append(rules, t.Webhook.Schema)
		}
		if t.Poll != nil {
			rules = append(rules, t.Poll.Schema)
		}
		for _, r := range rules {
			if r == nil || done[r] {
				continue
			}
			done[r] = true
			var err error
			if r.File == "" {
				r.compiled, err = dataschema.CompileData(r.data, l.files)
			} else if r.compiled = byFile[r.File]; r.compiled == nil {
				r.compiled, err = dataschema.Compile(r.File, l.files)
				byFile[r.File] = r.compiled
			}
			var e *dataschema.Error
			if errors.As(err, &e) {
				l.schemaMistake(t, r, e)
			}
		}
	}
}

// schemaMistake reports a mistake at its position: in the schema file, or in the trigger.
func (l *loader) schemaMistake(t *Trigger, r *DataRule, e *dataschema.Error) {
	if text := l.files[e.File]; e.File != "" && text != nil {
		src := l.schemaSource(e.File, text)
		at := Pos{}
		if e.Offset >= 0 {
			at = src.posAt(e.Offset, 1)
		}
		src.add(at, "bad-schema", e.Problem, e.Hint)
		return
	}
	at := r.pos
	if r.node != nil {
		d := &decoder{source: t.src}
		at = d.pos(nodeBelow(r.node, e.Path))
	}
	t.src.add(at, "bad-schema", "schema: "+e.Problem, e.Hint)
}

// schemaSource returns the source of a schema file.
func (l *loader) schemaSource(name string, text []byte) *source {
	for _, s := range l.p.sources {
		if s.name == name {
			return s
		}
	}
	src := newSource(name, text)
	l.p.sources = append(l.p.sources, src)
	return src
}

// nodeBelow follows keys and indexes as far as they exist.
func nodeBelow(n *yaml.Node, at []string) *yaml.Node {
	for _, key := range at {
		next := (*yaml.Node)(nil)
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == key {
					next = n.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			for i, c := range n.Content {
				if fmt.Sprint(i) == key {
					next = c
				}
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// readSchemas adds the schema files that the YAML files name, and those that they refer to.
func readSchemas(root *os.Root, files Files) Mistakes {
	var queue []string
	for _, text := range files {
		if bytes.Contains(text, []byte("schema:")) {
			var doc yaml.Node
			if yaml.Unmarshal(text, &doc) == nil {
				queue = append(queue, schemaNames(&doc)...)
			}
		}
	}
	slices.Sort(queue)
	var mistakes Mistakes
	for i := 0; i < len(queue) && i < 64*dataschema.MaxFiles; i++ {
		name := path.Clean(queue[i])
		if files[name] != nil || !filepath.IsLocal(name) || slices.Contains(queue[:i], queue[i]) || path.Ext(name) != schemaExt {
			continue
		}
		text, problem, hint := readFile(root, name)
		switch {
		case problem != "":
			src := newSource(name, nil)
			src.add(Pos{}, "file", problem, hint)
			mistakes = append(mistakes, src.mistakes...)
		case text != nil:
			files[name] = text
			queue = append(queue, dataschema.References(name, text)...)
		}
	}
	return mistakes
}

// schemaNames returns the values of all keys named schema.
func schemaNames(n *yaml.Node) (out []string) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "schema" && c.Kind == yaml.ScalarNode &&
			strings.HasSuffix(c.Value, schemaExt) {
			out = append(out, c.Value)
		}
		out = append(out, schemaNames(c)...)
	}
	return out
}
