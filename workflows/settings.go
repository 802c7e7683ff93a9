package workflows

import (
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"gopkg.in/yaml.v3"
)

// Setting is one value of the project's settings, and the place that it is from.
type Setting struct {
	// Path are the keys that lead to it.
	Path []string
	// Value is data: a single value, a list, or an empty map. Vars are filled in; an expression that
	// reads anything else is its text. What looks like a secret is ***.
	Value any
	File  string
	Line  int
}

// Settings are those of hookloom.yaml with the environment's merged over them, in the order of the
// files. Defaults are not among them.
func (p *Project) Settings() (out []Setting) {
	if p.written == nil {
		return nil
	}
	// Values are read anew, so that what is wrong with them is not said twice.
	src := *p.writtenSrc
	src.mistakes = nil
	d := &decoder{source: &src}
	d.eachSetting(p.written, nil, func(path []string, n *yaml.Node) {
		file, line := p.writtenSrc.at(n.Line)
		s := Setting{Path: path, Value: d.shownSetting(n), File: file, Line: line}
		if secretSetting(path) {
			s.Value = hideLiterals(s.Value)
		}
		if text, is := s.Value.(string); is {
			s.Value = shownUser.ReplaceAllString(p.writtenSrc.masked(text), "://"+Mask+"@")
		}
		out = append(out, s)
	})
	return out
}

// eachSetting visits the values of a tree that are no maps, and the maps that are empty.
func (d *decoder) eachSetting(n *yaml.Node, path []string, visit func(path []string, n *yaml.Node)) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		visit(path, n)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		d.eachSetting(n.Content[i+1], append(slices.Clip(path), n.Content[i].Value), visit)
	}
}

// shownSetting is the value of a node, with the vars that it reads.
func (d *decoder) shownSetting(n *yaml.Node) any {
	switch n.Kind {
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, d.shownSetting(c))
		}
		return out
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = d.shownSetting(n.Content[i+1])
		}
		return out
	}
	v := d.value(n)
	if v.broken {
		return n.Value
	}
	readsOthers := false
	v.exprs(func(e *Expr) {
		e.check(&expr.Scope{Where: "hookloom.yaml", Names: expr.Map{}}, 0)
		readsOthers = readsOthers || !e.Compiled()
	})
	if readsOthers {
		return n.Value
	}
	x, err := v.Render(&expr.Env{}, FillPlain)
	if err != nil {
		return n.Value
	}
	return x
}

// shownUser is the name and the password of a URL.
var shownUser = lazyregexp.New(`://[^/@\s]+@`)

// secretSetting reports whether a value is one that a secret belongs into.
func secretSetting(path []string) bool {
	last := path[len(path)-1]
	switch {
	case path[0] == "triggers":
		return last == "secret" || slices.Contains(path, "auth") && (last == "value" || last == "bearer" || LooksSecret(last))
	case slices.Contains(path, "auth") && (last == "value" || last == "bearer"):
		return true
	case path[0] == "server" && len(path) > 1 && path[1] == "tokens":
		return true
	}
	return LooksSecret(last) && !strings.HasSuffix(last, "_file") && !strings.HasSuffix(last, "_url") && !slices.Contains(path, "tls") &&
		!slices.Contains(path, "admin_tls")
}

// hideLiterals replaces texts by ***, but for expressions: those name a secret and do not hold it.
func hideLiterals(v any) any {
	switch x := v.(type) {
	case string:
		if strings.HasPrefix(x, "${{") {
			return x
		}
		return Mask
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = hideLiterals(e)
		}
		return out
	case nil, map[string]any:
		return v
	}
	return Mask
}
