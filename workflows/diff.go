package workflows

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Difference is one difference between two versions of a file.
type Difference struct {
	// Path is the position: keys joined by dots, steps by their id, such as steps.release.with.url.
	Path string `json:"path"`
	// Kind is added, removed, changed or moved (a step at another position).
	Kind   string `json:"kind"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// Diff compares the content of two versions of a YAML file; it ignores lines, comments and the
// order of keys. Steps are matched by id, those without an id by what they do.
func Diff(before, after []byte) ([]Difference, error) {
	a, err := plainYAML(before)
	if err != nil {
		return nil, fmt.Errorf("the first file: %w", err)
	}
	b, err := plainYAML(after)
	if err != nil {
		return nil, fmt.Errorf("the second file: %w", err)
	}
	var d differ
	d.compare("", a, b)
	return d.found, nil
}

func plainYAML(text []byte) (v any, err error) {
	if len(text) > MaxFileSize {
		return nil, errors.New("it is too large")
	}
	err = yaml.Unmarshal(text, &v)
	return v, err
}

type differ struct{ found []Difference }

func (d *differ) add(path, kind string, before, after any) {
	d.found = append(d.found, Difference{Path: path, Kind: kind, Before: before, After: after})
}

func joinPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *differ) compare(path string, a, b any) {
	if reflect.DeepEqual(a, b) {
		return
	}
	ma, isA := a.(map[string]any)
	mb, isB := b.(map[string]any)
	if isA && isB {
		d.mappings(path, ma, mb)
		return
	}
	la, isA := a.([]any)
	lb, isB := b.([]any)
	if isA && isB && (mappingsOnly(la) && mappingsOnly(lb)) {
		d.lists(path, la, lb)
		return
	}
	d.add(path, "changed", a, b)
}

func (d *differ) mappings(path string, a, b map[string]any) {
	keys := slices.Sorted(maps.Keys(a))
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		x, inA := a[k]
		y, inB := b[k]
		switch at := joinPath(path, k); {
		case !inB:
			d.add(at, "removed", x, nil)
		case !inA:
			d.add(at, "added", nil, y)
		default:
			d.compare(at, x, y)
		}
	}
}

func mappingsOnly(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool { _, is := v.(map[string]any); return !is })
}

// lists compares two lists of mappings, such as steps or tests.
func (d *differ) lists(path string, a, b []any) {
	partner := matched(a, b)
	taken := make([]bool, len(b))
	var order []int
	for i, j := range partner {
		if j < 0 {
			d.add(joinPath(path, nameOf(a, i)), "removed", a[i], nil)
			continue
		}
		taken[j] = true
		order = append(order, j)
		d.compare(joinPath(path, nameOf(b, j)), a[i], b[j])
	}
	for j := range b {
		if !taken[j] {
			d.add(joinPath(path, nameOf(b, j)), "added", nil, b[j])
		}
	}
	for _, j := range outOfOrder(order) {
		d.add(joinPath(path, nameOf(b, j)), "moved", nil, nil)
	}
}

// matched returns for each element of a the index of the corresponding element of b, or -1: the one
// with the same id or name, else an equal one, else one that does the same.
func matched(a, b []any) []int {
	partner := make([]int, len(a))
	for i := range partner {
		partner[i] = -1
	}
	taken := make([]bool, len(b))
	for _, same := range []func(x, y map[string]any) bool{
		func(x, y map[string]any) bool { return identity(x) != "" && identity(x) == identity(y) },
		func(x, y map[string]any) bool { return reflect.DeepEqual(x, y) },
		func(x, y map[string]any) bool { return identity(x) == "" && identity(y) == "" && does(x) == does(y) },
	} {
		for i := range a {
			for j := range b {
				if partner[i] < 0 && !taken[j] && same(a[i].(map[string]any), b[j].(map[string]any)) {
					partner[i], taken[j] = j, true
				}
			}
		}
	}
	return partner
}

func identity(m map[string]any) string {
	for _, key := range []string{"id", "name"} {
		if s, ok := m[key].(string); ok && s != "" {
			return key + " " + s
		}
	}
	return ""
}

// does describes what a step does by the key of its kind and the name of its action.
func does(m map[string]any) string {
	for _, kind := range StepKinds() {
		if v, ok := m[kind]; ok {
			if s, is := v.(string); is {
				return kind + " " + s
			}
			return kind
		}
	}
	return ""
}

// nameOf returns the name of an element in a path.
func nameOf(list []any, i int) string {
	m, _ := list[i].(map[string]any)
	if s, ok := m["id"].(string); ok && s != "" {
		return s
	}
	return strconv.Itoa(i)
}

// outOfOrder returns the elements to move so that the list is ordered: those outside a longest
// increasing subsequence.
func outOfOrder(list []int) (moved []int) {
	best := make([]int, len(list))
	from := make([]int, len(list))
	end := -1
	for i := range list {
		best[i], from[i] = 1, -1
		for j := range i {
			if list[j] < list[i] && best[j]+1 > best[i] {
				best[i], from[i] = best[j]+1, j
			}
		}
		if end < 0 || best[i] > best[end] {
			end = i
		}
	}
	keep := map[int]bool{}
	for ; end >= 0; end = from[end] {
		keep[end] = true
	}
	for i, j := range list {
		if !keep[i] {
			moved = append(moved, j)
		}
	}
	return moved
}
