package transform

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// XMLParseSpec describes xml/parse.
var XMLParseSpec = workflows.ActionSpec{Name: "xml/parse", Safe: true,
	Help: "reads XML into an object: elements are fields, attributes are @fields, text next to them is #text",
	Inputs: []workflows.ActionInput{
		{Name: "text", Type: "string", Required: true, Help: "the XML"},
		{Name: "lists", Type: "list", Help: "names of elements that are always a list, even a single one"},
		{Name: "prefixes", Type: "boolean", Help: "true: names keep their prefix, as in soap:Body"},
	},
	Usage: `- id: order
  uses: xml/parse
  with: {text: "${{ event.data.xml }}", lists: [line]}
`}

// XMLMakeSpec describes xml/make.
var XMLMakeSpec = workflows.ActionSpec{Name: "xml/make", Help: "writes an object as XML, in the form that xml/parse returns", Safe: true,
	Inputs: []workflows.ActionInput{
		{Name: "value", Type: "object", Required: true, Help: "an object with one field, the root element"},
		{Name: "order", Type: "list", Help: "names of elements in the order they are written; others follow in alphabetical order"},
		{Name: "declaration", Type: "boolean", Help: "false: without the line <?xml ...?>"},
	},
	Outputs: []workflows.ActionOutput{{Name: "text", Type: "string", Help: "the XML"}},
	Usage: `- id: request
  uses: xml/make
  with:
    value: {order: {"@id": "${{ event.data.id }}", line: "${{ event.data.lines }}"}}
    order: [sku, quantity]
`}

// XMLParse executes xml/parse.
type XMLParse struct{}

// XMLMake executes xml/make.
type XMLMake struct{}

// element is an element being parsed.
type element struct {
	name   string
	fields map[string]any
	text   strings.Builder
}

// Do implements engine.Action.
func (XMLParse) Do(ctx context.Context, in engine.Input) (any, error) {
	lists, err := names("lists", in.With["lists"])
	if err != nil {
		return nil, err
	}
	p := &parser{lists: lists}
	p.prefixes, _ = in.With["prefixes"].(bool)
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(value.Shown(in.With["text"]), "\ufeff")))
	// The text is already decoded, whatever its declaration says.
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = p.take(t)
		}
		if err != nil {
			line, column := d.InputPos()
			return nil, plan.Permanent("bad_data", "the XML cannot be read: line %d, column %d: %v", line, column,
				strings.TrimPrefix(err.Error(), "XML syntax error on "))
		}
	}
	if len(p.open) > 0 {
		return nil, plan.Permanent("bad_data", "the XML ends inside element %s", p.open[len(p.open)-1].name)
	}
	if p.root == nil {
		return nil, plan.Permanent("bad_data", "the XML has no element")
	}
	return fit(p.root)
}

// parser builds the object of one document.
type parser struct {
	lists    []string
	prefixes bool
	open     []*element
	root     map[string]any
	values   int
}

func (p *parser) name(n xml.Name) string {
	if p.prefixes && n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

func (p *parser) take(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		if p.values += 1 + len(t.Attr); len(p.open) >= value.MaxJSONDepth || p.values > value.MaxJSONNodes {
			return fmt.Errorf("more than %d levels, or more than %d values", value.MaxJSONDepth, value.MaxJSONNodes)
		}
		if len(p.open) == 0 && p.root != nil {
			return errors.New("a second root element")
		}
		e := &element{name: p.name(t.Name), fields: map[string]any{}}
		for _, a := range t.Attr {
			if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
				if !p.prefixes {
					continue
				}
			}
			e.fields["@"+p.name(a.Name)] = a.Value
		}
		p.open = append(p.open, e)
	case xml.EndElement:
		return p.end(p.name(t.Name))
	case xml.CharData:
		if len(p.open) > 0 {
			p.open[len(p.open)-1].text.Write(t)
		} else if strings.TrimSpace(string(t)) != "" {
			return errors.New("text outside of the root element")
		}
	}
	return nil
}

func (p *parser) end(name string) error {
	if len(p.open) == 0 || p.open[len(p.open)-1].name != name {
		return fmt.Errorf("</%s> closes no open element", name)
	}
	e := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	var v any = e.fields
	switch s := e.text.String(); {
	case len(e.fields) == 0:
		v = strings.TrimSpace(s)
	case strings.TrimSpace(s) != "":
		e.fields["#text"] = strings.TrimSpace(s)
	}
	to := map[string]any{}
	if len(p.open) > 0 {
		to = p.open[len(p.open)-1].fields
	} else {
		p.root = to
	}
	before, again := to[name]
	list, isList := before.([]any)
	switch {
	case isList:
		to[name] = append(list, v)
	case again:
		to[name] = []any{before, v}
	case slices.Contains(p.lists, name):
		to[name] = []any{v}
	default:
		to[name] = v
	}
	return nil
}

// Do implements engine.Action.
func (XMLMake) Do(ctx context.Context, in engine.Input) (any, error) {
	root, ok := in.With["value"].(map[string]any)
	if !ok || len(root) != 1 {
		return nil, plan.Permanent("invalid_input", "value is an object with one field, the root element: {order: {...}}")
	}
	order, err := names("order", in.With["order"])
	if err != nil {
		return nil, err
	}
	w := &writer{order: order}
	if d, given := in.With["declaration"].(bool); !given || d {
		w.put(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	}
	for name, v := range root {
		if _, isList := v.([]any); isList {
			return nil, plan.Permanent("invalid_input", "the root element %s is a list, but there can be only one", value.CutText(name, 50))
		}
		w.element(name, v, 0)
	}
	if w.err != nil {
		return nil, plan.Permanent("invalid_input", "the XML cannot be written: %v", w.err)
	}
	return fit(map[string]any{"text": w.out.String()})
}

// writer writes one document; it keeps its first error.
type writer struct {
	order []string
	out   bounded
	err   error
}

func (w *writer) put(s string) {
	if w.err == nil {
		_, w.err = w.out.Write([]byte(s))
	}
}

func (w *writer) element(name string, v any, depth int) {
	if list, isList := v.([]any); isList {
		for _, x := range list {
			w.element(name, x, depth)
		}
		return
	}
	if depth > value.MaxJSONDepth || !validName(name) {
		w.fail(fmt.Errorf("%q cannot be the name of an element, or lies too deep", value.CutText(name, 50)))
		return
	}
	fields, isObject := v.(map[string]any)
	w.put("<" + name)
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if a, isAttribute := strings.CutPrefix(k, "@"); isAttribute {
			if !validName(a) {
				w.fail(fmt.Errorf("%q cannot be the name of an attribute", value.CutText(a, 50)))
				return
			}
			w.put(" " + a + `="`)
			w.escaped(fields[k])
			w.put(`"`)
		}
	}
	w.put(">")
	if !isObject {
		w.escaped(v)
	}
	w.escaped(fields["#text"])
	for _, k := range w.sorted(fields) {
		w.element(k, fields[k], depth+1)
	}
	w.put("</" + name + ">")
}

// sorted returns the child elements in the order in which they are written.
func (w *writer) sorted(fields map[string]any) []string {
	var out []string
	for k := range fields {
		if k != "#text" && !strings.HasPrefix(k, "@") {
			out = append(out, k)
		}
	}
	place := func(k string) int {
		if i := slices.Index(w.order, k); i >= 0 {
			return i
		}
		return len(w.order)
	}
	slices.SortFunc(out, func(a, b string) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return out
}

func (w *writer) escaped(v any) {
	s := value.Shown(v)
	if v == nil || s == "" || w.err != nil {
		return
	}
	for _, r := range s {
		if !validChar(r) {
			w.fail(fmt.Errorf("the character U+%04X cannot be in XML", r))
			return
		}
	}
	w.err = xml.EscapeText(&w.out, []byte(s))
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// validChar implements Char of XML 1.0, 2.2.
func validChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000
}

// validName implements Name of XML 1.0, 2.3, with the letters and digits of Unicode.
func validName(s string) bool {
	for i, r := range s {
		if !(unicode.IsLetter(r) || r == '_' || i > 0 && (unicode.IsDigit(r) || strings.ContainsRune("-.:", r))) {
			return false
		}
	}
	return s != "" && !strings.HasSuffix(s, ":")
}
