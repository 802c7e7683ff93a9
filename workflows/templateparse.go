package workflows

import (
	"bytes"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"gopkg.in/yaml.v3"
)

// opening begins an expression in a text.
var opening = []byte("${{")

// value reads a node as data in which ${{ }} inserts.
func (d *decoder) value(n *yaml.Node) *Value {
	if n == nil {
		return nil
	}
	v := &Value{pos: d.pos(n)}
	switch n.Kind {
	case yaml.MappingNode:
		v.kind = mapValue
		d.pairs(n, func(k, x *yaml.Node) {
			v.keys = append(v.keys, k.Value)
			v.values = append(v.values, d.value(x))
		})
	case yaml.SequenceNode:
		v.kind = listValue
		for _, c := range n.Content {
			v.list = append(v.list, d.value(c))
		}
	default:
		d.textTemplate(n, v)
	}
	if (v.kind == mapValue || v.kind == listValue) && allConstant(v) {
		return &Value{pos: v.pos, constant: d.literal(n), keys: v.keys, values: v.values} // the parts keep their positions
	}
	return v
}

func allConstant(v *Value) bool {
	for _, x := range v.list {
		if x.kind != constantValue {
			return false
		}
	}
	for _, x := range v.values {
		if x.kind != constantValue {
			return false
		}
	}
	return v.kind != mapValue || len(v.keys) > 0
}

func (d *decoder) textTemplate(n *yaml.Node, v *Value) {
	d.foreignText(n)
	d.lostToComment(n)
	if !strings.Contains(n.Value, "${{") {
		v.constant = d.scalarValue(n)
		return
	}
	parts, bad := d.split(n)
	if bad {
		v.broken = true
		return
	}
	trimmed := parts
	for len(trimmed) > 0 && trimmed[0].expr == nil && strings.TrimSpace(trimmed[0].text) == "" {
		trimmed = trimmed[1:]
	}
	for len(trimmed) > 0 && trimmed[len(trimmed)-1].expr == nil && strings.TrimSpace(trimmed[len(trimmed)-1].text) == "" {
		trimmed = trimmed[:len(trimmed)-1]
	}
	if len(trimmed) == 1 && trimmed[0].expr != nil {
		v.kind, v.expr = exprValue, trimmed[0].expr
		return
	}
	v.kind, v.parts = textValue, parts
}

// split splits a text at its ${{ }}; $${{ is a literal ${{.
func (d *decoder) split(n *yaml.Node) (parts []part, bad bool) {
	text, at := n.Value, d.contentStart(n)
	nth := func() int {
		i := bytes.Index(d.text[at:], opening)
		if i < 0 {
			return len(d.text)
		}
		at += i + 3
		return at
	}
	literal := ""
	for {
		i := strings.Index(text, "${{")
		if i < 0 {
			break
		}
		inside := nth()
		if i > 0 && text[i-1] == '$' {
			literal += text[:i-1] + "${{"
			text = text[i+3:]
			continue
		}
		literal += text[:i]
		length, err := expr.End(text[i+3:])
		if err != nil {
			d.unclosedTemplate(n, inside, err)
			return nil, true
		}
		source := strings.TrimSpace(text[i+3 : i+3+length])
		e := newExpr(source, d.source, inside)
		if source == "" {
			d.add(d.posAt(inside-3, 3), "expression-syntax", "${{ }} is empty", "name a value, such as event.data")
			return nil, true
		}
		if literal != "" {
			parts = append(parts, part{text: literal})
		}
		literal = ""
		parts = append(parts, part{expr: e})
		text = text[i+3+length+2:]
	}
	if literal+text != "" {
		parts = append(parts, part{text: literal + text})
	}
	return parts, false
}

func (d *decoder) unclosedTemplate(n *yaml.Node, inside int, err error) {
	line := d.line(n.Line)
	if n.Style == 0 {
		rest := line[min(len(line), max(0, d.byteColumn(n))):]
		if i := strings.Index(rest, " #"); i >= 0 {
			from := d.byteColumn(n) + i + 1
			p := Pos{n.Line, len([]rune(line[:from])) + 1, len([]rune(line[from:]))}
			d.add(p, "yaml-comment", "YAML cuts the value here: ` #` begins a comment",
				"write {# …} or .field, quote the value, or use `|`")
			return
		}
	}
	hint := ""
	if strings.HasPrefix(err.Error(), "${{") {
		hint = "write }} after the expression"
	}
	d.add(d.posAt(inside-3, 3), "unclosed", err.Error(), hint)
}

func (d *decoder) byteColumn(n *yaml.Node) int {
	line := []rune(d.line(n.Line))
	return len(string(line[:min(len(line), n.Column-1)]))
}

// expression reads a key whose value is an expression. The complete expression may be enclosed in
// ${{ }}, a part of it may not.
func (d *decoder) expression(n *yaml.Node) *Expr {
	if n.Kind != yaml.ScalarNode {
		d.wrongKind(n, "the expression", "text")
		return nil
	}
	text := strings.TrimSpace(n.Value)
	at := d.contentStart(n)
	if i := strings.Index(text, "${{"); i >= 0 {
		inner, err := expr.End(text[i+3:])
		whole := i == 0 && err == nil && strings.TrimSpace(text[i+3+inner+2:]) == ""
		if !whole {
			p := d.posAt(at+bytes.Index(d.text[at:], opening), 3)
			if err != nil {
				d.unclosedTemplate(n, at+bytes.Index(d.text[at:], opening)+3, err)
			} else {
				d.add(p, "half-wrapped", "only part of this expression is inside ${{ }}",
					"this key already is an expression: drop the ${{ }}")
			}
			return nil
		}
		at += bytes.Index(d.text[at:], opening) + 3
		text = strings.TrimSpace(text[3 : 3+inner])
	}
	if text == "" {
		d.add(d.pos(n), "expression-syntax", "the expression is empty", "")
		return nil
	}
	if p, cut := d.cutByComment(n, text); cut {
		d.add(p, "yaml-comment", "YAML cuts the value here: ` #` begins a comment", "write {# …} or .field, quote the value, or use `|`")
		return nil
	}
	return newExpr(text, d.source, at)
}

// cutByComment finds an expression whose end was cut off by ` #`: it has an open bracket and a
// comment follows.
func (d *decoder) cutByComment(n *yaml.Node, text string) (Pos, bool) {
	if n.Style != 0 || expr.Unclosed(text) < 0 {
		return Pos{}, false
	}
	line := d.line(n.Line)
	from := d.byteColumn(n) + len(n.Value)
	if from >= len(line) || !strings.HasPrefix(strings.TrimLeft(line[from:], " "), "#") {
		return Pos{}, false
	}
	from += strings.Index(line[from:], "#")
	return Pos{n.Line, len([]rune(line[:from])) + 1, len([]rune(line[from:]))}, true
}

// expressions reads one expression or a list of them.
func (d *decoder) expressions(n *yaml.Node) []*Expr {
	if n == nil {
		return nil
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	var out []*Expr
	for _, c := range nodes {
		if e := d.expression(c); e != nil {
			out = append(out, e)
		}
	}
	return out
}
