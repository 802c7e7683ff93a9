package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/hookloom/hookloom/workflows/spelling"
)

// Samples is what samples show about event.data: the provider's sample, the events of the
// workflow's tests, and the project's fixtures.
type Samples struct {
	Samples []any
	// Nested reports whether to suggest the same name at a deeper level: the provider wraps all its
	// events in one envelope.
	Nested bool
	// Own reports whether the workflow's own tests are among the samples. They show what its events
	// look like, so every field that none of them has is reported. Other samples do not show every
	// possible field: then a field is reported only if its name is similar to an existing one.
	Own bool
	// Whose names the samples in messages.
	Whose string
	// Recorded are recorded events; nil if history is not used.
	Recorded *Recorded
}

// Add adds a sample.
func (k *Samples) Add(whose string, data any) {
	if _, ok := data.(map[string]any); !ok {
		return
	}
	if k.Samples = append(k.Samples, data); len(k.Samples) == 1 {
		k.Whose = whose
	}
}

// dataField reports a field of event.data that no sample has.
func (l *linter) dataField(x *ast.MemberNode, keys []string, at []ast.Node) {
	known := l.sc.Samples
	if known == nil || len(keys) < 2 || keys[0] != "data" || l.doubted[at[1].Location().From] {
		return
	}
	level := known.Samples
	for i := 1; i < len(keys); i++ {
		next, names := fieldOf(level, keys[i])
		if len(names) == 0 {
			return
		}
		if next != nil {
			level = next
			continue
		}
		l.doubted[at[1].Location().From] = true
		hint := known.betterName(keys, i, level, names)
		if hint == "" && known.Own && !l.absent && !optional(x) && !slices.Contains([]string{"length"}, keys[i]) {
			slices.Sort(names)
			if names = slices.Compact(names); len(names) <= 12 {
				hint = "known are " + strings.Join(names, ", ") + ";"
			}
			hint = strings.TrimSpace(hint + fmt.Sprintf(" if it may be missing, write %s ?? nil", "event."+strings.Join(keys[:i+1], ".")))
		}
		if hint != "" {
			from := at[i].Location().From
			l.e.report("unknown-field", true, from, from+len([]rune(keys[i])), fmt.Sprintf("no field %s in %s", keys[i], known.Whose), hint)
		}
		return
	}
}

// betterName suggests the field that the i-th key likely means.
func (k *Samples) betterName(keys []string, i int, level []any, names []string) string {
	better := nearName(keys[i], names)
	if better == "" && k.Own {
		better = spelling.Nearest(keys[i], names)
	}
	if better == "" && i == 1 && (k.Nested || k.Own) && len(keys[1]) >= 4 {
		if paths := pathsTo(keys[1], level, nil, 0); len(paths) == 1 {
			better = paths[0]
		}
	}
	if better == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s?", strings.Join(append(append([]string{"event"}, keys[:i]...), better), "."))
}

// optional reports whether a chain allows a part to be missing.
func optional(x *ast.MemberNode) bool {
	for node := ast.Node(x); node != nil; {
		switch n := node.(type) {
		case *ast.MemberNode:
			if n.Optional {
				return true
			}
			node = n.Node
		case *ast.ChainNode:
			node = n.Node
		default:
			return false
		}
	}
	return false
}

// fieldOf returns the samples' values of a field, nil if none has it, and the names that they have
// instead.
func fieldOf(level []any, name string) (found []any, names []string) {
	for _, v := range level {
		m, ok := v.(map[string]any)
		if !ok {
			if v != nil {
				return nil, nil // not an object, or an unknown one
			}
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if names = append(names, k); k == name {
				found = append(found, m[k])
			}
		}
	}
	return found, names
}

// nearName returns a name that differs by a typo: one letter, or two in long names, and not only in
// digits (line1 and line2 are two fields).
func nearName(word string, names []string) string {
	for _, n := range names {
		limit := 2
		if short := min(len(word), len(n)); short < 4 {
			continue
		} else if short >= 7 {
			limit = 3
		}
		sameOtherwise := strings.TrimRight(word, "0123456789s") == strings.TrimRight(n, "0123456789s")
		if spelling.Distance(strings.ToLower(word), strings.ToLower(n), limit) < limit && !sameOtherwise {
			return n
		}
	}
	return ""
}

// pathsTo returns the dotted paths of a name at deeper levels of the samples.
func pathsTo(name string, level []any, before []string, depth int) []string {
	if depth > 4 {
		return nil
	}
	seen := map[string]bool{}
	var out []string
	for _, v := range level {
		m, _ := v.(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			path := append(append([]string{}, before...), k)
			if k == name && depth > 0 && !seen[strings.Join(path, ".")] {
				seen[strings.Join(path, ".")] = true
				out = append(out, strings.Join(path, "."))
			}
			out = append(out, pathsTo(name, []any{m[k]}, path, depth+1)...)
		}
	}
	return out
}
