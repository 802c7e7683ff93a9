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

// Thresholds of changes: a rare field, or a value that occurred once, is not a change.
const (
	// enoughBefore is the minimum number of earlier occurrences for a field to be known.
	enoughBefore = 50
	// enoughNew is the minimum number of occurrences of a new type or value.
	enoughNew = 3
	// enoughMissed is how many occurrences of a missing field are expected since, by its earlier
	// share.
	enoughMissed = 10
)

// Change is a difference between newer and earlier events.
type Change struct {
	// Path has the form of an expression; Kind is NewType, FieldGone or NewValue.
	Path string `json:"path"`
	Kind string `json:"kind"`
	// What is the new type or value; empty for a missing field.
	What string `json:"what,omitempty"`
	// Count is the number of newer events that show it, out of Of.
	Count int `json:"count"`
	Of    int `json:"of"`
}

// String describes the change in a few words.
func (c Change) String() string {
	switch c.Kind {
	case NewType:
		return fmt.Sprintf("%s is %s in %d of the last %d, which it never was before", c.Path, c.What, c.Count, c.Of)
	case NewValue:
		return fmt.Sprintf("%s has the new value %q in %d of the last %d", c.Path, c.What, c.Count, c.Of)
	}
	return fmt.Sprintf("%s is gone: none of the last %d has it", c.Path, c.Of)
}

// Changes compares newer events with earlier ones; the result is sorted by path.
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
			case n.More: // it may be among the fields that were not kept
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
