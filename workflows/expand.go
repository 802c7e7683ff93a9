package workflows

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// expander replaces aliases and merge keys by their content, and reports YAML features that the
// language does not use.
type expander struct {
	d      *decoder
	nodes  int
	failed bool
}

func (x *expander) fail(n *yaml.Node, code, problem, hint string) *yaml.Node {
	if !x.failed {
		x.d.add(x.d.pos(n), code, problem, hint)
	}
	x.failed = true
	return n
}

func (x *expander) expand(n *yaml.Node, depth int, open []*yaml.Node) *yaml.Node {
	if x.failed {
		return n
	}
	if x.nodes++; x.nodes > x.d.limits.nodes {
		return x.fail(n, "too-large", fmt.Sprintf("more than %d values once aliases are expanded", x.d.limits.nodes), "")
	}
	if depth > maxYAMLDepth {
		return x.fail(n, "too-large", fmt.Sprintf("nested deeper than %d levels", maxYAMLDepth), "")
	}
	if n.Kind == yaml.AliasNode {
		for _, o := range open {
			if o == n.Alias {
				return x.fail(n, "alias", "this alias contains itself", "")
			}
		}
		return x.expand(n.Alias, depth, append(open, n.Alias))
	}
	if n.Style&yaml.TaggedStyle != 0 {
		hint := "remove the tag"
		if t := strings.TrimPrefix(n.Tag, "!"); n.Kind == yaml.ScalarNode && namePattern.MatchString(strings.ToLower(t)) {
			hint = fmt.Sprintf("for a condition write not %s; else put it in quotes", t)
		} else if strings.ContainsAny(t, ".") {
			hint = "for a condition write not " + t
		}
		return x.fail(n, "tag", fmt.Sprintf("%s is a YAML tag, which has no meaning here", n.Tag), hint)
	}
	out := *n
	out.Content = nil
	if n.Kind == yaml.MappingNode {
		x.mapping(n, &out, depth, open)
		return &out
	}
	for _, c := range n.Content {
		out.Content = append(out.Content, x.expand(c, depth+1, open))
	}
	return &out
}

func (x *expander) mapping(n, out *yaml.Node, depth int, open []*yaml.Node) {
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.MappingNode || k.Kind == yaml.SequenceNode {
			x.fail(n, "brackets", "{{ … }} reads as a nested map in YAML", "expressions are written ${{ … }}")
			return
		}
		v = x.expand(v, depth+1, open)
		if x.failed {
			return
		}
		if k.Value == "<<" && k.Tag == "!!merge" {
			from := []*yaml.Node{v}
			if v.Kind == yaml.SequenceNode {
				from = v.Content
			}
			for _, m := range from {
				if m.Kind != yaml.MappingNode {
					x.fail(n.Content[i+1], "merge", "<< merges maps only", "")
					return
				}
				merged = append(merged, m.Content...)
			}
			continue
		}
		out.Content = append(out.Content, k, v)
	}
	x.merge(out, merged)
}

// merge adds the merged keys that the map does not set.
func (x *expander) merge(out *yaml.Node, merged []*yaml.Node) {
	have := map[string]bool{}
	for i := 0; i < len(out.Content); i += 2 {
		have[out.Content[i].Value] = true
	}
	for i := 0; i+1 < len(merged); i += 2 {
		if k := merged[i].Value; !have[k] {
			have[k] = true
			out.Content = append(out.Content, merged[i], merged[i+1])
		}
	}
}
