package workflows_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
	"gopkg.in/yaml.v3"
)

// wrongValues are written in the place of values of one kind. "(none)" removes the key, and "(more)" adds one to a map.
var wrongValues = map[string][]string{
	"map":        {"(none)", "(more)", "null", "text", "[a, 1]", "{}", "(more)", "[]"},
	"list":       {"(none)", "null", `[{a: {b: c}}, null, ""]`, "{a: b}", "[]", "[a b, 0, /x, -1]", "text", "[a, a]"},
	"number":     {"(none)", "null", "text", "0", "-1", "99999999999", "[1, 2]", "1.5"},
	"bool":       {"(none)", "null", "text", "yes", "0", "[true]", "{a: b}", `"${{ vars.nope }}"`},
	"duration":   {"(none)", "null", "0s", "1ms", "5000d", "-1", "5", "5 weeks"},
	"expression": {"(none)", `""`, "nope.a", "body.a =", "{a: b}", "'x'", "now() > ", "[response.body, 1]"},
	"template":   {"(none)", `""`, "text", "{a: b}", `"${{ secrets.OTHER }}"`, `"${{ nope.a }} b"`, "[1, {a: null}]", `"${{ }"`},
	"url": {"(none)", `""`, "/a b/../c", "api.example.com", "[a]", "ftp://x.example.com:99999",
		`"https://${{ vars.host }}:x/#a?b"`, "null"},
	"text": {"(none)", `""`, "null", "txet", "[a, {b: c}]", "5", "a b", `"${{ vars.nope }}"`},
}

var (
	isDuration = regexp.MustCompile(`^\d+(ms|s|m|h|d)$`)
	isExpr     = regexp.MustCompile(`^(body|item|response|event|inputs|steps|run|error|headers|detail|output|len|filter)\b|[=>(]`)
)

// kindOf names the wrong values of a value.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "map"
	case n.Kind == yaml.SequenceNode:
		return "list"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "number"
	case n.Tag == "!!bool":
		return "bool"
	case isDuration.MatchString(n.Value):
		return "duration"
	case strings.Contains(n.Value, "${{"):
		return "template"
	case strings.Contains(n.Value, "://"):
		return "url"
	case isExpr.MatchString(n.Value):
		return "expression"
	}
	return "text"
}

const (
	eachWrong = 8 // the wrong values of a kind
	atOnce    = 4 // every fourth value is wrong at once
)

// TestEachWrongValueIsReported writes wrong values in the place of every value of files that use
// every key, and compares the messages with the golden file. It lists each message once.
func TestEachWrongValueIsReported(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/whole")); err != nil {
		t.Fatal(err)
	}
	c := smallCatalog(t)
	files, _ := workflows.ReadFiles(dir, "")
	for _, name := range []string{"tests/batches_test.yaml", "tests/callee_test.yaml", "preset.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", strings.Replace(name, "tests/", "whole/tests/", 1)))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	all := map[string]*document{}
	for name, text := range files {
		if filepath.Ext(name) == ".yaml" {
			all[name] = newDocument(t, text)
		}
	}
	var found mistakeList
	for turn := range eachWrong * atOnce {
		changed := maps.Clone(files)
		for name, d := range all {
			changed[name] = d.spoiled(t, turn)
		}
		for _, name := range []string{"tests/batches_test.yaml", "tests/callee_test.yaml"} {
			write(t, filepath.Join(dir, name), changed[name])
		}
		p, mistakes := workflows.LoadFiles(dir, changed, c, func(name string) bool { return name != "OTHER" })
		_, ofTests := p.LoadTests()
		_, err := workflows.ParsePreset("preset.yaml", changed["preset.yaml"])
		var ofPreset workflows.Mistakes
		errors.As(err, &ofPreset)
		found.add(mistakes.With(ofTests).With(ofPreset))
	}
	testgolden.Compare(t, "wrong.txt", found.text())
}

// smallCatalog has some actions and one preset, so that the messages do not change with new ones.
func smallCatalog(t *testing.T) workflows.Catalog {
	t.Helper()
	c := catalog(t)
	specs := map[string]*workflows.ActionSpec{}
	for _, name := range []string{"log", "http/request", "http/get", "http/post", "http/put", "store/get", "store/increment",
		"hookloom/emit"} {
		specs[name] = c.Actions.Get(name)
	}
	c.Actions, c.Presets = workflows.NewActions(specs, nil), onePreset{c.Presets.Get("github")}
	return c
}

// onePreset is a library of one preset.
type onePreset struct{ p *workflows.Preset }

func (o onePreset) Names() []string { return []string{o.p.Name} }

func (o onePreset) Get(name string) *workflows.Preset {
	if name == o.p.Name {
		return o.p
	}
	return nil
}

// mistakeList collects messages, each once.
type mistakeList struct {
	lines []string
	seen  map[string]bool
}

// aboutKind are the codes of messages that are equal for all keys but for its name at the beginning.
var aboutKind = map[string]bool{"wrong-kind": true, "wrong-type": true, "unit": true, "expression-in-literal": true}

func (l *mistakeList) add(mistakes workflows.Mistakes) {
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	for _, m := range mistakes {
		key := m.Code + m.Problem
		if aboutKind[m.Code] {
			_, key, _ = strings.Cut(m.Problem, " ")
		}
		if !l.seen[key] {
			l.seen[key] = true
			hint := generatedSecret.ReplaceAllString(m.Hint, "(random)")
			l.lines = append(l.lines, fmt.Sprintf("%s:%d:%d+%d: %s\n  [%s] %s | %s\n", m.File, m.Line, m.Column, m.Width,
				strings.TrimSpace(m.Source), m.Code, m.Problem, hint))
		}
	}
}

func (l *mistakeList) text() string { return strings.Join(l.lines, "") }

// document is a file whose values can be replaced.
type document struct {
	root   *yaml.Node
	values []docValue
}

// docValue is a value with the node that contains it.
type docValue struct{ parent, n *yaml.Node }

func newDocument(t *testing.T, text []byte) *document {
	t.Helper()
	d := &document{root: &yaml.Node{}}
	if err := yaml.Unmarshal(text, d.root); err != nil {
		t.Fatal(err)
	}
	d.collect(d.root.Content[0])
	return d
}

// collect lists the values below n, the innermost first.
func (d *document) collect(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle
	for i, c := range n.Content {
		if n.Kind == yaml.SequenceNode || i%2 == 1 {
			d.collect(c)
			d.values = append(d.values, docValue{n, c})
		}
	}
}

// spoiled returns the text of the file with some values replaced.
func (d *document) spoiled(t *testing.T, turn int) []byte {
	t.Helper()
	var undo []func()
	for i, v := range d.values {
		if i%atOnce != turn/eachWrong {
			continue
		}
		list := wrongValues[kindOf(v.n)]
		undo = append(undo, v.spoil(t, list[(turn+i)%len(list)]))
	}
	text, err := yaml.Marshal(d.root)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range slices.Backward(undo) {
		u()
	}
	return text
}

// spoil replaces the value and returns how to undo it.
func (v docValue) spoil(t *testing.T, wrong string) (undo func()) {
	t.Helper()
	was, list := *v.n, v.parent.Content
	undo = func() { *v.n, v.parent.Content = was, list }
	switch wrong {
	case "(none)":
		i := slices.Index(list, v.n)
		from := i
		if v.parent.Kind == yaml.MappingNode {
			from--
		}
		v.parent.Content = slices.Concat(list[:from], list[i+1:])
	case "(more)":
		v.n.Content = append(slices.Clone(was.Content), &yaml.Node{Kind: yaml.ScalarNode, Value: "zzz"},
			&yaml.Node{Kind: yaml.ScalarNode, Value: "1"})
	default:
		var other yaml.Node
		if err := yaml.Unmarshal([]byte(wrong), &other); err != nil {
			t.Fatal(err)
		}
		*v.n = *other.Content[0]
	}
	return undo
}
