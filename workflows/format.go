package workflows

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Format formats a workflow file, hookloom.yaml or a test file: the keys of the file and of its
// steps and tests in the order of the manual, no trailing white space, at most one blank line
// between keys, and one newline at the end. of is the kind of file, as for Reference. Comments stay
// with the key above or beside which they are written. The result has the same content; if that
// cannot be guaranteed, for example if an anchor would follow its alias, the keys are not moved.
func Format(of string, text []byte) ([]byte, error) {
	if len(text) > MaxFileSize {
		return nil, fmt.Errorf("the file is larger than %d KiB", MaxFileSize>>10)
	}
	before, err := readAs(text)
	if err != nil {
		return nil, err
	}
	text = tidy(text, before.root)
	for _, arrange := range []bool{true, false} {
		out := text
		if arrange {
			out = arranged(of, text)
			if r, err := readAs(out); err == nil {
				out = tidy(out, r.root)
			}
		}
		after, err := readAs(out)
		if err == nil && reflect.DeepEqual(before.data, after.data) && slices.Equal(comments(text), comments(out)) {
			return out, nil
		}
	}
	return nil, errors.New("the file cannot be formatted without changing its meaning")
}

type readText struct {
	root *yaml.Node
	data any
}

func readAs(text []byte) (r readText, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return r, err
	}
	if len(doc.Content) == 0 {
		return r, errors.New("the file holds only comments")
	}
	r.root = doc.Content[0]
	return r, r.root.Decode(&r.data)
}

// comments returns the comment lines and line ends of a text, sorted: reordering keys changes their
// order only.
func comments(text []byte) (out []string) {
	for line := range strings.Lines(string(text)) {
		if i := strings.Index(line, "#"); i >= 0 {
			out = append(out, strings.TrimSpace(line[i:]))
		}
	}
	slices.Sort(out)
	return out
}

// tidy removes trailing white space and repeated blank lines, except in block scalars, where they
// are data.
func tidy(text []byte, root *yaml.Node) []byte {
	lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	data := make([]bool, len(lines)+1)
	markScalars(root, lines, data)
	var out []string
	for i, l := range lines {
		if data[i] {
			out = append(out, l)
			continue
		}
		l = strings.TrimRight(l, " \t")
		if l == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, l)
	}
	return []byte(strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n")
}

// markScalars marks the lines of multi-line scalars, in which white space is significant.
func markScalars(n *yaml.Node, lines []string, data []bool) {
	if n.Kind == yaml.ScalarNode && (n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || strings.Contains(n.Value, "\n")) {
		own := indentOf(lines[n.Line-1])
		for i := n.Line; i < len(lines); i++ {
			if l := lines[i]; strings.TrimSpace(l) != "" && indentOf(l) <= own {
				break
			}
			data[i] = true
		}
	}
	for _, c := range n.Content {
		markScalars(c, lines, data)
	}
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// arranged reorders the keys of the mappings that have a standard order.
func arranged(of string, text []byte) []byte {
	// Reorder one mapping at a time, innermost first: each change invalidates line numbers.
	for range 1000 {
		r, err := readAs(text)
		if err != nil {
			return text
		}
		f := &formatter{lines: strings.Split(string(text), "\n")}
		if !f.shape(of, r.root, len(f.lines)) {
			return text
		}
		text = []byte(strings.Join(f.lines, "\n"))
	}
	return text
}

// formatter moves the lines of keys.
type formatter struct{ lines []string }

// shape reorders the first mapping in n that is out of order, and reports whether there was one.
// end is the line after the node, counted from 0.
func (f *formatter) shape(of string, n *yaml.Node, end int) bool {
	if n.Kind != yaml.MappingNode || n.Style&yaml.FlowStyle != 0 || shapes[of] == nil {
		return false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		field := shapes[of].field(n.Content[i].Value)
		if field == nil {
			continue
		}
		stop := end
		if i+2 < len(n.Content) {
			stop = n.Content[i+2].Line - 1
		}
		if f.typed(field.typ, n.Content[i+1], stop) {
			return true
		}
	}
	return f.order(shapes[of], n, end)
}

// typed descends into a value of a type.
func (f *formatter) typed(t valueType, n *yaml.Node, end int) bool {
	switch t.kind {
	case kindObject:
		return f.shape(t.ref, n, end)
	case kindEither:
		for _, e := range t.either {
			if (e.kind == kindObject && n.Kind == yaml.MappingNode || e.kind == kindList && n.Kind == yaml.SequenceNode) && f.typed(e, n, end) {
				return true
			}
		}
	case kindList:
		if n.Kind != yaml.SequenceNode || n.Style&yaml.FlowStyle != 0 {
			return false
		}
		for i, item := range n.Content {
			stop := end
			if i+1 < len(n.Content) {
				stop = n.Content[i+1].Line - 1
			}
			if f.typed(*t.of, item, stop) {
				return true
			}
		}
	case kindMap:
		if n.Kind != yaml.MappingNode || n.Style&yaml.FlowStyle != 0 {
			return false
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			stop := end
			if i+2 < len(n.Content) {
				stop = n.Content[i+2].Line - 1
			}
			if f.typed(*t.of, n.Content[i+1], stop) {
				return true
			}
		}
	}
	return false
}

// chunk is the lines of a key: the comments above it, and its value.
type chunk struct {
	rank, from, to int
}

// order reorders the keys of a block mapping.
func (f *formatter) order(s *shape, n *yaml.Node, end int) bool {
	var list []chunk
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		from := f.aboveKey(key.Line-1, key.Column-1)
		if i == 0 {
			from = f.aboveFirst(key.Line-1, key.Column-1)
		}
		list = append(list, chunk{rank: rankOf(s, key.Value), from: from})
	}
	if len(list) < 2 || slices.IsSortedFunc(list, func(a, b chunk) int { return a.rank - b.rank }) {
		return false
	}
	for i := range list {
		list[i].to = end
		if i+1 < len(list) {
			list[i].to = list[i+1].from
		}
		if list[i].to <= list[i].from {
			return false // two keys on one line
		}
	}
	// Final comments that are indented less than the keys belong to what follows; those of a file stay at its
	// end.
	last, indent := &list[len(list)-1], n.Content[0].Column-1
	for last.to > last.from+1 {
		l := f.lines[last.to-1]
		if t := strings.TrimSpace(l); t != "" && (!strings.HasPrefix(t, "#") || indentOf(l) >= max(indent, 1)) {
			break
		}
		last.to--
	}
	return f.move(list, indent)
}

// aboveKey returns the first line of the comments above a key.
func (f *formatter) aboveKey(line, indent int) int {
	for line > 0 {
		l := f.lines[line-1]
		if t := strings.TrimSpace(l); !strings.HasPrefix(t, "#") || indentOf(l) != indent {
			break
		}
		line--
	}
	return line
}

// aboveFirst is aboveKey for the first key of a mapping. What is above a list item belongs to the item.
// The first comment of a file belongs to the file; only a second one, after a blank line, to its first
// key.
func (f *formatter) aboveFirst(line, indent int) int {
	from := f.aboveKey(line, indent)
	switch {
	case strings.TrimSpace(f.lines[line][:min(indent, len(f.lines[line]))]) != "":
		return line
	case indent == 0 && !slices.ContainsFunc(f.lines[:from], func(l string) bool { return strings.HasPrefix(l, "#") }):
		return line
	}
	return from
}

// move writes the chunks in their order. The first key of a list item follows its dash, which stays
// in place.
func (f *formatter) move(list []chunk, indent int) bool {
	first, last := list[0].from, list[len(list)-1].to
	dash := f.lines[first][:min(indent, len(f.lines[first]))]
	if strings.TrimSpace(dash) != "" {
		if strings.Trim(dash, " -") != "" {
			return false
		}
		f.lines[first] = strings.Repeat(" ", indent) + f.lines[first][indent:]
	}
	slices.SortStableFunc(list, func(a, b chunk) int { return a.rank - b.rank })
	var out []string
	for _, c := range list {
		out = append(out, f.lines[c.from:c.to]...)
	}
	if strings.TrimSpace(dash) != "" {
		at := slices.IndexFunc(out, func(l string) bool {
			return strings.TrimSpace(l) != "" && !strings.HasPrefix(strings.TrimSpace(l), "#")
		})
		if at < 0 || len(out[at]) < indent {
			return false
		}
		out[at] = dash + out[at][indent:]
		for i := range at { // comments precede the dash
			if l := strings.TrimSpace(out[i]); l != "" {
				out[i] = strings.Repeat(" ", indentOf(dash)) + l
			}
		}
	}
	f.lines = slices.Concat(f.lines[:first], out, f.lines[last:])
	return true
}

// rankOf returns the position of a key; keys that the shape does not define come last.
func rankOf(s *shape, key string) int {
	if i := slices.IndexFunc(s.fields, func(f field) bool { return f.name == key }); i >= 0 {
		return i
	}
	if strings.HasPrefix(key, "x-") {
		return -1 // templates with anchors precede their use
	}
	return len(s.fields)
}
