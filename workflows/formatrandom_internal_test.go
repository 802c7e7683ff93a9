package workflows

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// randomFile generates files from the grammar: any subset of the keys of each mapping, in any
// order, with any of their types of values, in each style of YAML, with comments.
type randomFile struct {
	r        *rand.Rand
	comments int
}

func (g *randomFile) comment() string {
	if g.r.IntN(6) > 0 {
		return ""
	}
	g.comments++
	return fmt.Sprintf("# comment %d.", g.comments)
}

func (g *randomFile) mapping(ref string, depth int, flow bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if flow = flow || depth > 0 && g.r.IntN(4) == 0; flow {
		n.Style = yaml.FlowStyle
	}
	fields := shapes[ref].fields
	for _, i := range g.r.Perm(len(fields))[:1+g.r.IntN(min(6, len(fields)))] {
		k, v := &yaml.Node{Kind: yaml.ScalarNode, Value: fields[i].name}, g.value(fields[i].typ, depth+1, flow)
		if !flow {
			k.HeadComment = g.comment()
			if v.Kind == yaml.ScalarNode && v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
				v.LineComment = g.comment()
			}
		}
		n.Content = append(n.Content, k, v)
	}
	return n
}

func (g *randomFile) value(t valueType, depth int, flow bool) *yaml.Node {
	one := valueType{kind: kindText}
	switch {
	case depth > 5:
	case t.kind == kindObject:
		return g.mapping(t.ref, depth, flow)
	case t.kind == kindEither:
		return g.value(t.either[g.r.IntN(len(t.either))], depth, flow)
	case t.kind == kindMap:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for i := range 1 + g.r.IntN(3) {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprintf("key%d", 9-i)}, g.value(*t.of, depth+1, flow))
		}
		return n
	case t.kind == kindList || t.kind == kindTexts || t.kind == kindExprs:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if t.kind == kindList {
			one = *t.of
		}
		for range 1 + g.r.IntN(3) {
			n.Content = append(n.Content, g.value(one, depth+1, flow))
		}
		return n
	}
	texts := []string{"a", "two words", "true", "12", "~", "- x", "a: b", "# no comment", "${{ event.data.id }}",
		"x\ny\n\n  z\n", "'", " pad ", ""}
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: texts[g.r.IntN(len(texts))]}
	styles := []yaml.Style{0, yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle}
	if !flow {
		styles = append(styles, yaml.LiteralStyle, yaml.FoldedStyle)
	}
	n.Style = styles[g.r.IntN(len(styles))]
	return n
}

// TestFormatNeverChangesTheContentOfRandomFiles generates files of each grammar: formatting keeps the
// content and each comment, and formatting twice changes nothing.
func TestFormatNeverChangesTheContentOfRandomFiles(t *testing.T) {
	t.Parallel()
	changed := 0
	for seed := range uint64(400) {
		of := []string{"workflow", "project", "connector", "test_file"}[seed%4]
		g := &randomFile{r: rand.New(rand.NewPCG(7, seed))}
		var in bytes.Buffer
		e := yaml.NewEncoder(&in)
		e.SetIndent(2 + int(seed%2)*2)
		if err := e.Encode(g.mapping(of, 0, false)); err != nil {
			t.Fatal(err)
		}
		var before, after any
		if yaml.Unmarshal(in.Bytes(), &before) != nil {
			continue // the encoder wrote what the parser cannot read
		}
		out, err := Format(of, in.Bytes())
		if err != nil {
			t.Errorf("%d: %v\n%s", seed, err, in.String())
			continue
		}
		if !bytes.Equal(out, in.Bytes()) {
			changed++
		}
		if err := yaml.Unmarshal(out, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%d says something else (%v):\n%s\nbefore:\n%s", seed, err, out, in.String())
		}
		for i := range g.comments {
			c := fmt.Sprintf("# comment %d.", i+1)
			if strings.Count(string(out), c) != strings.Count(in.String(), c) {
				t.Errorf("%d: %s is lost:\n%s\nbefore:\n%s", seed, c, out, in.String())
			}
		}
		if again, err := Format(of, out); err != nil || !bytes.Equal(again, out) {
			t.Errorf("%d: the second time it gives (%v)\n%s\nin place of\n%s", seed, err, again, out)
		}
	}
	if changed < 200 {
		t.Errorf("only %d files were changed: the test shows little", changed)
	}
}
