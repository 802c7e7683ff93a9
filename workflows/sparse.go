package workflows

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// Wanted are the parts of a document that somebody will read. The rest is
// checked as strictly, but not kept: an inbound body of a kilobyte is mostly
// text that nobody needs before it is answered.
type Wanted struct {
	all  bool
	keys map[string]*Wanted
}

// Want adds a dot path of object keys; no keys want the whole.
func (w *Wanted) Want(keys ...string) {
	for _, k := range keys {
		if w.keys == nil {
			w.keys = map[string]*Wanted{}
		}
		if w.keys[k] == nil {
			w.keys[k] = &Wanted{}
		}
		w = w.keys[k]
	}
	w.all = true
}

// WantPath adds a path written with dots. An index into a list wants the list.
func (w *Wanted) WantPath(path string) {
	var keys []string
	for _, k := range strings.Split(path, ".") {
		if k == "*" || k != "" && strings.Trim(k, "0123456789") == "" {
			break
		}
		keys = append(keys, k)
	}
	w.Want(keys...)
}

// WantExpr adds what an expression reads of the name body: chains of constant
// keys, or the whole where the body itself is used.
func (w *Wanted) WantExpr(e *Expr) { w.WantOf("body", e) }

// WantOf adds what an expression reads of a name, as WantExpr does for body.
func (w *Wanted) WantOf(name string, e *Expr) {
	if e == nil {
		return
	}
	tree, err := parser.ParseWithConfig(e.Text, parseConfig)
	if err != nil {
		w.all = true
		return
	}
	f := &partFinder{name: name, w: w}
	f.visit(tree.Node)
}

// Keys lists the keys at the top, in no order; all tells that the whole is wanted.
func (w *Wanted) Keys() (keys []string, all bool) {
	for k := range w.keys {
		keys = append(keys, k)
	}
	return keys, w.all
}

// partFinder looks for the outermost chains that begin with a name.
type partFinder struct {
	name string
	w    *Wanted
}

func (f *partFinder) visit(n ast.Node) {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		if x.Value == f.name {
			f.w.all = true
		}
	case *ast.MemberNode:
		root, keys := constantChain(x)
		if id, ok := root.(*ast.IdentifierNode); ok && id.Value == f.name && len(keys) > 0 {
			f.w.Want(keys...)
			return
		}
		f.visit(x.Node)
		f.visit(x.Property)
	default:
		c := &children{}
		c.of(n)
		for _, k := range c.list {
			f.visit(k)
		}
	}
}

// ReadsKey tells whether the expression reads one of the keys of a name, or the name
// as a whole.
func (e *Expr) ReadsKey(name string, keys ...string) bool {
	if e == nil {
		return false
	}
	tree, err := parser.ParseWithConfig(e.Text, parseConfig)
	if err != nil {
		return true
	}
	f := &keyFinder{name: name, keys: keys}
	f.visit(tree.Node)
	return f.found
}

// keyFinder looks for name.key, and for the name by itself.
type keyFinder struct {
	name  string
	keys  []string
	found bool
}

func (f *keyFinder) visit(n ast.Node) {
	switch x := n.(type) {
	case *ast.IdentifierNode:
		f.found = f.found || x.Value == f.name
	case *ast.MemberNode:
		root, chain := constantChain(x)
		if id, ok := root.(*ast.IdentifierNode); ok && id.Value == f.name && len(chain) > 0 {
			f.found = f.found || slices.Contains(f.keys, chain[0])
			return
		}
		f.visit(x.Node)
		f.visit(x.Property)
	default:
		c := &children{}
		c.of(n)
		for _, k := range c.list {
			f.visit(k)
		}
	}
}

// constantChain follows a.b?.c down to its root and gives the keys from the
// root up to the first part that is not constant.
func constantChain(n *ast.MemberNode) (ast.Node, []string) {
	var keys []string
	var node ast.Node = n
	for {
		switch x := node.(type) {
		case *ast.MemberNode:
			if p, ok := x.Property.(*ast.StringNode); ok {
				keys = append([]string{p.Value}, keys...)
			} else {
				keys = nil
			}
			node = x.Node
		case *ast.ChainNode:
			node = x.Node
		default:
			return node, keys
		}
	}
}

// children lists a node's direct parts.
type children struct{ list []ast.Node }

func (c *children) of(n ast.Node) {
	switch x := n.(type) {
	case *ast.UnaryNode:
		c.list = append(c.list, x.Node)
	case *ast.BinaryNode:
		c.list = append(c.list, x.Left, x.Right)
	case *ast.ChainNode:
		c.list = append(c.list, x.Node)
	case *ast.SliceNode:
		c.list = append(c.list, x.Node, x.From, x.To)
	case *ast.CallNode:
		c.list = append(append(c.list, x.Callee), x.Arguments...)
	case *ast.BuiltinNode:
		c.list = append(c.list, x.Arguments...)
	case *ast.PredicateNode:
		c.list = append(c.list, x.Node)
	case *ast.ConditionalNode:
		c.list = append(c.list, x.Cond, x.Exp1, x.Exp2)
	case *ast.VariableDeclaratorNode:
		c.list = append(c.list, x.Value, x.Expr)
	case *ast.SequenceNode:
		c.list = append(c.list, x.Nodes...)
	case *ast.ArrayNode:
		c.list = append(c.list, x.Nodes...)
	case *ast.MapNode:
		c.list = append(c.list, x.Pairs...)
	case *ast.PairNode:
		c.list = append(c.list, x.Key, x.Value)
	}
}

// DecodeJSONPart reads a document as strictly as DecodeJSON, and keeps only
// what is wanted: objects hold the wanted keys, lists are kept whole or not at
// all.
func DecodeJSONPart(b []byte, want *Wanted) (any, error) {
	return decodePart(jsonReader{b: b}, want)
}

// DecodeLiteralPart is DecodeJSONPart with every number as a json.Number, in the
// digits of the document: what senders sign is the text, and 10.50 is not 10.5.
func DecodeLiteralPart(b []byte, want *Wanted) (any, error) {
	return decodePart(jsonReader{b: b, literal: true}, want)
}

func decodePart(d jsonReader, want *Wanted) (any, error) {
	d.mark()
	d.space()
	v, err := d.part(0, want)
	if err != nil {
		return nil, err
	}
	d.space()
	if d.i != len(d.b) {
		return nil, d.fail("text after the end of the document")
	}
	return v, nil
}

func (d *jsonReader) part(depth int, want *Wanted) (any, error) {
	if want == nil {
		return nil, d.skip(depth)
	}
	if want.all || d.i >= len(d.b) || d.b[d.i] != '{' {
		return d.value(depth)
	}
	m := make(map[string]any, min(len(want.keys), 8))
	err := d.eachKey(depth, func(key []byte) (err error) {
		child := want.keys[string(key)]
		if child == nil {
			return d.skip(depth + 1)
		}
		m[string(key)], err = d.part(depth+1, child)
		return err
	})
	return m, err
}

// eachKey walks an object. Keys are compared as written; one with an escape is
// decoded first.
func (d *jsonReader) eachKey(depth int, value func(key []byte) error) error {
	if err := d.count(depth); err != nil {
		return err
	}
	d.i++
	d.space()
	if d.i < len(d.b) && d.b[d.i] == '}' {
		d.i++
		return nil
	}
	var buf [16][]byte
	seen := buf[:0]
	var many map[string]bool
	for {
		d.space()
		if d.i >= len(d.b) || d.b[d.i] != '"' {
			return d.fail("expected a key in quotes")
		}
		at := d.i
		key, err := d.keyBytes()
		if err != nil {
			return err
		}
		if twice(seen, many, key) {
			d.i = at
			return d.fail(fmt.Sprintf("key %q is there twice", clip(string(key), 40)))
		}
		if many == nil {
			seen = append(seen, key)
			if len(seen) > 16 {
				many = make(map[string]bool, 64)
				for _, k := range seen {
					many[string(k)] = true
				}
			}
		} else {
			many[string(key)] = true
		}
		d.space()
		if d.i >= len(d.b) || d.b[d.i] != ':' {
			return d.fail("expected a colon")
		}
		d.i++
		d.space()
		if err := value(key); err != nil {
			return err
		}
		if end, err := d.next('}'); err != nil || end {
			return err
		}
	}
}

func twice(seen [][]byte, many map[string]bool, key []byte) bool {
	if many != nil {
		return many[string(key)]
	}
	for _, k := range seen {
		if bytes.Equal(k, key) {
			return true
		}
	}
	return false
}

// keyBytes gives a key without copying it, unless it holds an escape.
func (d *jsonReader) keyBytes() ([]byte, error) {
	start := d.i + 1
	for i := start; i < len(d.b); i++ {
		switch c := d.b[i]; {
		case c == '"':
			d.i = i + 1
			return d.b[start:i], nil
		case c == '\\' || c < 0x20 || c >= 0x80:
			s, err := d.text()
			return []byte(s), err
		}
	}
	return nil, d.fail("text is not closed")
}

// skip checks a value and drops it.
func (d *jsonReader) skip(depth int) error {
	if d.i >= len(d.b) {
		return d.fail("the document ends early")
	}
	switch d.b[d.i] {
	case '{':
		return d.eachKey(depth, func([]byte) error { return d.skip(depth + 1) })
	case '[':
		return d.skipArray(depth)
	case '"':
		if err := d.count(depth); err != nil {
			return err
		}
		return d.skipText()
	}
	if c := d.b[d.i]; c == '-' || c >= '0' && c <= '9' {
		if err := d.count(depth); err != nil {
			return err
		}
		if d.skipInteger() {
			return nil
		}
		_, err := d.number()
		return err
	}
	_, err := d.value(depth)
	return err
}

// skipInteger skips the commonest numbers, decimal integers that fit into 64 bits,
// without making values of them. It leaves all others in place.
func (d *jsonReader) skipInteger() bool {
	i := d.i
	if d.b[i] == '-' {
		i++
	}
	first := i
	for i < len(d.b) && d.b[i] >= '0' && d.b[i] <= '9' {
		i++
	}
	digits := i - first
	if digits == 0 || digits > 18 || digits > 1 && d.b[first] == '0' {
		return false
	}
	if i < len(d.b) {
		switch d.b[i] {
		case '.', 'e', 'E', '+', '-':
			return false
		}
	}
	d.i = i
	return true
}

func (d *jsonReader) skipArray(depth int) error {
	if err := d.count(depth); err != nil {
		return err
	}
	d.i++
	d.space()
	if d.i < len(d.b) && d.b[d.i] == ']' {
		d.i++
		return nil
	}
	for {
		d.space()
		if err := d.skip(depth + 1); err != nil {
			return err
		}
		if end, err := d.next(']'); err != nil || end {
			return err
		}
	}
}

// skipText checks a text in place; one with an escape or other than ASCII goes
// the long way.
func (d *jsonReader) skipText() error {
	for i := d.i + 1; i < len(d.b); i++ {
		switch c := d.b[i]; {
		case c == '"':
			d.i = i + 1
			return nil
		case c == '\\' || c < 0x20 || c >= 0x80:
			_, err := d.text()
			return err
		}
	}
	return d.fail("text is not closed")
}
