package workflows

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// projectVars reads vars: of the project's settings into the decoder's source. They are constants:
// each can read the ones before it, and nothing else.
func (d *decoder) projectVars(root *yaml.Node) map[string]any {
	d.vars, d.varNodes = map[string]any{}, map[string]*yaml.Node{}
	var n *yaml.Node
	for i := 0; root.Kind == yaml.MappingNode && i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "vars" && n == nil {
			n = root.Content[i+1]
		}
	}
	switch {
	case n == nil || isNull(n):
		return d.vars
	case n.Kind != yaml.MappingNode:
		d.wrongKind(n, "vars", "a map")
		return d.vars
	}
	d.pairs(n, func(k, v *yaml.Node) {
		if !d.isName(k, "a var") {
			return
		}
		if isNull(v) {
			d.add(d.pos(k), "wrong-type", fmt.Sprintf("vars.%s has no value", k.Value), `write a value, such as ""`)
			return
		}
		// A value that is read later keeps this map: it is copied, not changed.
		known := maps.Clone(d.vars)
		if x, ok := d.rendered(v, "vars of hookloom.yaml"); ok {
			known[k.Value], d.varNodes[k.Value] = x, v
		} else {
			known[k.Value], d.varNodes[k.Value] = "", nil // reported once, not again for each value that reads it
		}
		if text, is := known[k.Value].(string); is && text != "" && LooksSecret(k.Value) {
			d.add(d.pos(v), "secret-in-file", secretInFile, nameTheSecret)
		}
		d.vars = known
	})
	return d.vars
}

// rendered evaluates a value of hookloom.yaml that can read only vars. ok is false after a mistake,
// which it reports.
func (d *decoder) rendered(n *yaml.Node, where string) (x any, ok bool) {
	before := len(d.mistakes)
	v := d.value(n)
	v.check(&expr.Scope{Where: where, Names: expr.Map{}, Hint: noOtherNames})
	if v.broken || slices.ContainsFunc(d.mistakes[before:], func(m Mistake) bool { return !m.Warning }) {
		return nil, false
	}
	x, err := v.Render(&expr.Env{Now: time.Time{}}, FillPlain)
	if err != nil {
		d.add(d.pos(n), "bad-expression", err.Error(), "")
		return nil, false
	}
	other, err := v.Render(&expr.Env{Now: time.Unix(1, 0), Seed: "other"}, FillPlain)
	if err != nil || !reflect.DeepEqual(x, other) {
		d.add(d.pos(n), "bad-expression", "the value is constant: now() and uuid() have no meaning here", "call them in the workflow")
		return nil, false
	}
	return x, true
}

// noOtherNames returns the hint for a name that a plain value cannot read.
func noOtherNames(name string) string {
	switch name {
	case "env", "process":
		return "put it into vars:, with its value for each environment in hookloom.NAME.yaml"
	case "secrets":
		return "secrets can be read in tokens, auth: and webhook secrets, not in plain settings"
	}
	return "only vars of hookloom.yaml can be read here"
}

// withVars adds the project's vars to the names that an expression of the file can read. A var of
// the workflow hides the project's var of the same name.
func (s *source) withVars(sc *expr.Scope) *expr.Scope {
	out := *sc
	with := func(names expr.Map) expr.Map {
		names = maps.Clone(names)
		vars := expr.Map{}
		for name := range s.vars {
			vars[name] = expr.Any
		}
		if own, is := names["vars"].(expr.Map); is {
			maps.Copy(vars, own)
		}
		names["vars"] = vars
		return names
	}
	out.Names = with(sc.Names)
	if sc.Sampled != nil {
		out.Sampled = with(sc.Sampled)
	}
	return &out
}

// onlyVar is a text that consists of one var.
var onlyVar = lazyregexp.New(`^\$\{\{\s*vars\.(\w+)\s*\}\}$`)

// readVar finds the vars that a text reads.
var readVar = lazyregexp.New(`\bvars\.(\w+)`)

// readsBroken reports whether a text reads a var that has a mistake.
func (d *decoder) readsBroken(text string) bool {
	for _, m := range readVar.FindAllStringSubmatch(text, -1) {
		if n, there := d.varNodes[m[1]]; there && n == nil {
			return true
		}
	}
	return false
}

// origin returns the node to correct if the value of n is wrong: the var's node if n is only a var.
func (d *decoder) origin(n *yaml.Node) *yaml.Node {
	for {
		m := onlyVar.FindStringSubmatch(n.Value)
		if m == nil {
			return n
		}
		from := d.varNodes[m[1]]
		if from == nil || from.Kind != yaml.ScalarNode {
			return n
		}
		n = from // a var reads only those above it, so this ends
	}
}

// filled replaces the vars in a plain value of hookloom.yaml. It returns nil after a mistake.
func (d *decoder) filled(n *yaml.Node, t valueType, name string) *yaml.Node {
	if !d.settings || !t.plain() {
		return n
	}
	switch {
	case n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "${{"):
		if d.readsBroken(n.Value) {
			return nil
		}
		x, ok := d.rendered(n, name)
		if !ok {
			return nil
		}
		return d.nodeOf(d.origin(n), x, name)
	case n.Kind == yaml.SequenceNode:
		out := *n
		out.Content = nil
		for _, c := range n.Content {
			if c.Kind == yaml.ScalarNode && strings.Contains(c.Value, "${{") {
				if d.readsBroken(c.Value) {
					return nil
				}
				x, ok := d.rendered(c, name)
				if !ok {
					return nil
				}
				if c = d.nodeOf(d.origin(c), x, name); c == nil {
					return nil
				}
			}
			out.Content = append(out.Content, c)
		}
		return &out
	}
	return n
}

// plain reports whether a value of the type contains no expression that is evaluated later, so that
// vars can be replaced when the file is read.
func (t valueType) plain() bool {
	switch t.kind {
	case kindText, kindBool, kindInt, kindDuration, kindSize, kindRate, kindName, kindWord, kindTexts:
		return true
	case kindList:
		return t.of.plain()
	case kindEither:
		return slices.ContainsFunc(t.either, valueType.plain) &&
			!slices.ContainsFunc(t.either, func(e valueType) bool { return e.kind == kindValue || e.kind == kindExpr || e.kind == kindAny })
	}
	return false
}

// nodeOf returns the node of the value x at the position of n.
func (d *decoder) nodeOf(n *yaml.Node, x any, name string) *yaml.Node {
	out := *n
	out.Style, out.Content = 0, nil
	if list, is := x.([]any); is {
		out.Kind, out.Tag, out.Value = yaml.SequenceNode, "!!seq", ""
		for _, e := range list {
			if c := d.nodeOf(n, e, name); c != nil {
				out.Content = append(out.Content, c)
			}
		}
		return &out
	}
	text, err := value.Text(x)
	switch _, isMap := x.(map[string]any); {
	case err != nil || isMap || x == nil:
		d.add(d.pos(n), "wrong-type", fmt.Sprintf("%s is a single value, got %s", name, value.Describe(x)), "")
		return nil
	}
	switch x.(type) {
	case bool:
		out.Tag = "!!bool"
	case int:
		out.Tag = "!!int"
	case float64:
		out.Tag = "!!float"
	default:
		out.Tag = "!!str"
	}
	out.Value = text
	return &out
}
