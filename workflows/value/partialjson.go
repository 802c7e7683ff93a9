package value

import (
	"bytes"
	"fmt"
	"strings"
)

// FieldSet selects the fields of a document to decode. The rest is checked just as strictly and
// discarded: most of an inbound body is not needed to answer the request. The zero FieldSet selects
// no field.
type FieldSet struct {
	all  bool
	keys map[string]*FieldSet
}

// Add adds a path of object keys; no keys add the whole document.
func (s *FieldSet) Add(keys ...string) {
	for _, k := range keys {
		if s.keys == nil {
			s.keys = map[string]*FieldSet{}
		}
		if s.keys[k] == nil {
			s.keys[k] = &FieldSet{}
		}
		s = s.keys[k]
	}
	s.all = true
}

// AddPath adds a dotted path. An index into a list adds the whole list.
func (s *FieldSet) AddPath(path string) {
	var keys []string
	for _, k := range strings.Split(path, ".") {
		if k == "*" || k != "" && strings.Trim(k, "0123456789") == "" {
			break
		}
		keys = append(keys, k)
	}
	s.Add(keys...)
}

// Keys lists the top-level keys, in no order; all reports whether the set is the whole document.
func (s *FieldSet) Keys() (keys []string, all bool) {
	for k := range s.keys {
		keys = append(keys, k)
	}
	return keys, s.all
}

// DecodePart checks a document as strictly as DecodeJSON and returns only the selected fields:
// objects have only the keys of the set, lists are kept completely or not at all.
func DecodePart(b []byte, set *FieldSet) (any, error) {
	return decodePart(jsonReader{b: b}, set)
}

// DecodeLiteralPart is DecodePart with every number as a json.Number in the digits of the document:
// senders sign the text, and 10.50 is not 10.5.
func DecodeLiteralPart(b []byte, set *FieldSet) (any, error) {
	return decodePart(jsonReader{b: b, literal: true}, set)
}

func decodePart(d jsonReader, set *FieldSet) (any, error) {
	defer d.giveBack()
	d.mark()
	d.space()
	v, err := d.part(0, set)
	if err != nil {
		return nil, err
	}
	d.space()
	if d.i != len(d.b) {
		return nil, d.fail("text after the end of the document")
	}
	return v, nil
}

func (d *jsonReader) part(depth int, set *FieldSet) (any, error) {
	if set == nil {
		return nil, d.skip(depth)
	}
	if set.all || d.i >= len(d.b) || d.b[d.i] != '{' {
		return d.value(depth)
	}
	m := make(map[string]any, min(len(set.keys), 8))
	err := d.eachKey(depth, func(key []byte) (err error) {
		child := set.keys[string(key)]
		if child == nil {
			return d.skip(depth + 1)
		}
		m[string(key)], err = d.part(depth+1, child)
		return err
	})
	return m, err
}

// eachKey walks an object. Keys are compared as written; a key with an escape is decoded first.
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
			return d.fail(fmt.Sprintf("duplicate key %q", Clip(string(key), 40)))
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

// keyBytes returns a key without copying it, unless it contains an escape.
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

// skip checks a value and discards it.
func (d *jsonReader) skip(depth int) error {
	if d.i >= len(d.b) {
		return d.fail("the document is incomplete")
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

// skipInteger skips the most common numbers, decimal integers that fit into 64 bits, without
// allocating values. It does not advance for others.
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

// skipText checks a string in place; one with an escape or non-ASCII characters takes the slow
// path.
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
