package workflows

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/workflows/value"
	"gopkg.in/yaml.v3"
)

// maxYAMLJSONDepth is the maximum nesting depth of a foreign YAML document.
const maxYAMLJSONDepth = 200

// YAMLToJSON converts a YAML document to JSON. It keeps the order of keys and expands aliases, up
// to a number of values. It is for foreign documents, such as an OpenAPI description.
func YAMLToJSON(text []byte, most int) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("the document is empty")
	}
	w := &yamlJSON{left: most}
	err := w.write(doc.Content[0], 0)
	return w.out, err
}

type yamlJSON struct {
	out  []byte
	left int
}

func (w *yamlJSON) write(n *yaml.Node, depth int) error {
	if w.left--; w.left < 0 {
		return fmt.Errorf("line %d: too many values once aliases are expanded", n.Line)
	}
	if depth > maxYAMLJSONDepth {
		return fmt.Errorf("line %d: nested deeper than %d levels, or an alias of itself", n.Line, maxYAMLJSONDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return w.write(n.Alias, depth+1)
	case yaml.MappingNode:
		return w.mapping(n, depth)
	case yaml.SequenceNode:
		w.out = append(w.out, '[')
		for i, c := range n.Content {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			if err := w.write(c, depth+1); err != nil {
				return err
			}
		}
		w.out = append(w.out, ']')
		return nil
	}
	return w.add(yamlScalar(n))
}

func (w *yamlJSON) mapping(n *yaml.Node, depth int) error {
	w.out = append(w.out, '{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.add(n.Content[i].Value); err != nil {
			return err
		}
		w.out = append(w.out, ':')
		if err := w.write(n.Content[i+1], depth+1); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *yamlJSON) add(v any) error {
	b, err := value.EncodeJSON(v)
	if err == nil {
		w.out = append(w.out, b...)
	}
	return err
}

// yamlScalar reads a scalar by YAML 1.2: dates and unusual numbers stay text.
func yamlScalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if v, err := numberOf(n); err == nil && !strings.ContainsAny(n.Value, "naif_") {
			return v
		}
	}
	return strings.ToValidUTF8(n.Value, "\ufffd")
}
