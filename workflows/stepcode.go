package workflows

import (
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// This file parses the inputs of http/ actions that use the syntax of connector files. They must be
// constant: they are checked with the workflow, and parsed again by the action, which receives them
// as data.

// PagesHint says how to write an expression in pages: that was given as ${{ }}.
const PagesHint = "write pages: out, and its expressions without ${{ }}, such as items: response.body.rows"

// stepPages are the names that expressions in a step's pages: may use.
var stepPages = &expr.Scope{Where: "pages", Names: expr.Map{"response": responseType}}

// ParsePages parses pages: of a step with an http/ action.
func ParsePages(v any) (*ConnectorPages, error) {
	d, n, err := written("pages", v)
	if err != nil {
		return nil, err
	}
	p := d.stepPages(n)
	if len(d.mistakes) > 0 {
		return nil, fmt.Errorf("pages: %s", d.mistakes.sorted()[0].Problem)
	}
	return p, nil
}

// ExpectHint says how to write the types of expect: that were given as ${{ }}.
const ExpectHint = "write the types out, such as expect: {id: string, tags: [string]}"

// ParseExpect parses expect: of a step with an http/ action.
func ParseExpect(v any) (*DataType, error) {
	d, n, err := written("expect", v)
	if err != nil {
		return nil, err
	}
	t := d.dataType(n, "expect")
	if len(d.mistakes) > 0 {
		return nil, errors.New(d.mistakes.sorted()[0].Problem)
	}
	return t, nil
}

// expectInput checks a constant expect: of a step.
func (s *stepChecker) expectInput(st *Step) {
	v, src := st.With.Field("expect"), s.w.src
	x, constant := v.IsConstant()
	if v == nil || !constant || x == nil || st.Spec.Input("expect") == nil {
		return
	}
	if save, constant := st.With.Field("save").IsConstant(); constant && save == true {
		src.add(v.keyPos(src, "expect"), "exclusive-keys", "expect and save: true are mutually exclusive: a file has no types",
			"remove save, or expect")
	}
	kind := yaml.ScalarNode
	switch x.(type) {
	case map[string]any:
		kind = yaml.MappingNode
	case []any:
		kind = yaml.SequenceNode
	}
	if n := src.nodeAt(v.pos, kind); n != nil {
		(&decoder{source: src}).dataType(n, "expect")
	}
}

// written returns data as the YAML node from which it could have been read.
func written(name string, v any) (*decoder, *yaml.Node, error) {
	text, err := yaml.Marshal(map[string]any{name: v})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	d := &decoder{source: newSource(name, text)}
	n := d.parse()
	if n == nil || len(n.Content) != 2 {
		return nil, nil, fmt.Errorf("%s cannot be read", name)
	}
	return d, n.Content[1], nil
}

func (d *decoder) stepPages(n *yaml.Node) *ConnectorPages {
	o := d.object(n, "action_pages")
	if o == nil {
		return nil
	}
	return d.pages(o, stepPages)
}

// readsPages reports whether the body in the step's output is the list from all pages.
func (st *Step) readsPages() bool {
	return st.Spec.Input("pages") != nil && st.With.Field("pages") != nil
}

// pagesInput checks a constant pages: of a step.
func (s *stepChecker) pagesInput(st *Step) {
	v, src := st.With.Field("pages"), s.w.src
	if _, constant := v.IsConstant(); v == nil || !constant || st.Spec.Input("pages") == nil {
		return
	}
	for _, other := range []string{"save", "follow", "cache"} {
		if x, constant := st.With.Field(other).IsConstant(); constant && x == true {
			src.add(st.With.Field(other).keyPos(src, other), "exclusive-keys", fmt.Sprintf("pages and %s: true are mutually exclusive", other),
				"remove "+other+", or pages")
		}
	}
	if n := src.nodeAt(v.pos, yaml.MappingNode); n != nil {
		(&decoder{source: src}).stepPages(n)
	}
}

// nodeAt returns the node of a kind at a position; nil if there is none.
func (s *source) nodeAt(at Pos, kind yaml.Kind) *yaml.Node {
	var root yaml.Node
	if err := yaml.Unmarshal(s.text, &root); err != nil {
		return nil // the error was reported when the file was read
	}
	var find func(n *yaml.Node) *yaml.Node
	find = func(n *yaml.Node) *yaml.Node {
		if n.Kind == kind && n.Line == at.Line && n.Column == at.Column {
			return n
		}
		for _, x := range n.Content {
			if found := find(x); found != nil {
				return found
			}
		}
		return nil
	}
	return find(&root)
}
