package shape

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kinds of changes.
const (
	NewType   = "new_type"
	FieldGone = "field_gone"
	NewValue  = "new_value"
)

// Thresholds of changes: a field that is rare, or a value that came once, is no change.
const (
	// enoughBefore is how often a field must have come before to say what it is like.
	enoughBefore = 50
	// enoughNew is how often a type or value must have come since.
	enoughNew = 3
	// enoughMissed is how often a field that is gone should have come since, by its share before.
	enoughMissed = 10
)

// Change is how newer events differ from those before.
type Change struct {
	// Path is in the form of an expression, Kind NewType, FieldGone or NewValue.
	Path string `json:"path"`
	Kind string `json:"kind"`
	// What is the new type or value; for a field that is gone, empty.
	What string `json:"what,omitempty"`
	// Count of Of newer events show it.
	Count int `json:"count"`
	Of    int `json:"of"`
}

// String says it in a few words.
func (c Change) String() string {
	switch c.Kind {
	case NewType:
		return fmt.Sprintf("%s is %s in %d of the last %d, which it never was before", c.Path, c.What, c.Count, c.Of)
	case NewValue:
		return fmt.Sprintf("%s has the new value %q in %d of the last %d", c.Path, c.What, c.Count, c.Of)
	}
	return fmt.Sprintf("%s is gone: none of the last %d has it", c.Path, c.Of)
}

// Changes compares newer events with those before, sorted by path.
func Changes(before, newer *Shape) []Change {
	var out []Change
	var walk func(path string, b, n *Node)
	walk = func(path string, b, n *Node) {
		out = append(out, changesAt(path, b, n)...)
		for _, k := range slices.Sorted(maps.Keys(b.Fields)) {
			f := n.Fields[k]
			switch objects := n.Types["object"]; {
			case f != nil:
				walk(path+field(k), b.Fields[k], f)
			case n.More: // it may be there
			case b.Fields[k].Seen >= enoughBefore && b.Fields[k].Seen*objects >= enoughMissed*b.Types["object"]:
				out = append(out, Change{Path: path + field(k), Kind: FieldGone, Of: objects})
			}
		}
		if b.Items != nil && n.Items != nil {
			walk(path+"[]", b.Items, n.Items)
		}
	}
	walk("event.data", before.Data, newer.Data)
	return out
}

func changesAt(path string, b, n *Node) (out []Change) {
	if b.Seen < enoughBefore {
		return nil
	}
	numbers := b.Types["integer"]+b.Types["number"] > 0
	for _, t := range slices.Sorted(maps.Keys(n.Types)) {
		if number := t == "integer" || t == "number"; b.Types[t] == 0 && n.Types[t] >= enoughNew && (!number || !numbers) {
			out = append(out, Change{Path: path, Kind: NewType, What: t, Count: n.Types[t], Of: n.Seen})
		}
	}
	if b.Enum() == nil || strings.Contains(path, masked) {
		return out
	}
	for _, v := range slices.Sorted(maps.Keys(n.Values)) {
		if b.Values[v] == 0 && n.Values[v] >= enoughNew {
			out = append(out, Change{Path: path, Kind: NewValue, What: v, Count: n.Values[v], Of: n.Seen})
		}
	}
	return out
}
