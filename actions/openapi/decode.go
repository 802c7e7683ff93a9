package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hookloom/hookloom/workflows"
)

// Limits of a document. GitHub's, the largest known, has 12 MB and 600,000 values.
const (
	// MaxSize is the maximum size in bytes.
	MaxSize   = 32 << 20
	maxValues = 3_000_000
	maxDepth  = 200
)

// object is a JSON object that preserves the order of its keys.
type object struct {
	keys []string
	vals map[string]any
}

func (o *object) get(key string) any {
	if o == nil {
		return nil
	}
	return o.vals[key]
}

// decode decodes JSON or YAML. It expands YAML aliases within the limits.
func decode(text []byte) (*object, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("the document has more than %d MiB", MaxSize>>20)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	trimmed := bytes.TrimSpace(text)
	if len(trimmed) == 0 {
		return nil, errors.New("the document is empty")
	}
	if trimmed[0] != '{' {
		var err error
		if text, err = workflows.YAMLToJSON(text, maxValues); err != nil {
			return nil, err
		}
	}
	d := &decoder{Decoder: json.NewDecoder(bytes.NewReader(text)), left: maxValues}
	d.UseNumber()
	v, err := d.value(0)
	if err != nil {
		return nil, fmt.Errorf("byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("byte %d: there is text after the document", d.InputOffset())
	}
	o, ok := v.(*object)
	if !ok {
		return nil, errors.New("this is not an OpenAPI, Swagger or Postman document: it is not a map of keys such as openapi and paths")
	}
	return o, nil
}

type decoder struct {
	*json.Decoder
	left int
}

func (d *decoder) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	if d.left--; d.left < 0 {
		return nil, fmt.Errorf("more than %d values", maxValues)
	}
	t, err := d.Token()
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return d.object(depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := d.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

func (d *decoder) object(depth int) (any, error) {
	o := &object{vals: map[string]any{}}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := k.(string)
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if _, twice := o.vals[key]; !twice {
			o.keys = append(o.keys, key)
		}
		o.vals[key] = v
	}
	_, err := d.Token()
	return o, err
}

// plain converts a value to ordinary data: maps, lists, texts, numbers.
func plain(v any) any {
	switch x := v.(type) {
	case *object:
		m := make(map[string]any, len(x.keys))
		for _, k := range x.keys {
			m[k] = plain(x.vals[k])
		}
		return m
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = plain(e)
		}
		return out
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return int(n)
		}
		f, err := x.Float64()
		if err != nil {
			return x.String()
		}
		return f
	}
	return v
}

// str returns a text, or "".
func str(v any) string {
	s, _ := v.(string)
	return s
}

// obj returns an object, or nil.
func obj(v any) *object {
	o, _ := v.(*object)
	return o
}

// list returns a list, or nil.
func list(v any) []any {
	l, _ := v.([]any)
	return l
}
