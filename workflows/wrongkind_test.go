package workflows_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hookloom/hookloom/workflows"
	"gopkg.in/yaml.v3"
)

// TestValueOfTheWrongTypeIsAMistakeAndNoPanic replaces every value of the files that use the
// complete grammar by a value of each type.
func TestValueOfTheWrongTypeIsAMistakeAndNoPanic(t *testing.T) {
	c := catalog(t)
	for _, file := range []string{"workflows/everything.yaml", "workflows/gathers.yaml", "workflows/batches.yaml"} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata/whole", file))
			if err != nil {
				t.Fatal(err)
			}
			var doc yaml.Node
			if err := yaml.Unmarshal(text, &doc); err != nil {
				t.Fatal(err)
			}
			p, _ := workflows.Load("testdata/whole", c, nil)
			tries, seen := 0, map[string]bool{}
			eachValue(&doc, "", func(path string, v *yaml.Node) {
				if seen[path] {
					return
				}
				seen[path] = true
				was := *v
				for _, text := range []string{"null", "text", "[a, 1]", "{a: {b: c}}"} {
					var other yaml.Node
					if err := yaml.Unmarshal([]byte(text), &other); err != nil {
						t.Fatal(err)
					}
					*v = *other.Content[0]
					v.Line, v.Column = was.Line, was.Column
					changed, err := yaml.Marshal(&doc)
					if err != nil {
						t.Fatal(err)
					}
					tries++
					compile(t, p, changed)
				}
				*v = was
			})
			if tries < 10 {
				t.Errorf("only %d values were tried", tries)
			}
		})
	}
}

// compile reads a changed file; the test fails if that panics.
func compile(t *testing.T, p *workflows.Project, text []byte) {
	defer func() {
		if bad := recover(); bad != nil {
			t.Errorf("%v on\n%s", bad, text)
		}
	}()
	_, _ = p.Compile("tried", text, workflows.Pins{})
}

// eachValue calls f for every value of the maps and lists below n, with the keys of the two
// enclosing maps.
func eachValue(n *yaml.Node, key string, f func(path string, v *yaml.Node)) {
	for i, c := range n.Content {
		inner := key
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			inner = n.Content[i-1].Value
			f(key+"/"+inner, c)
		} else if n.Kind == yaml.SequenceNode {
			f(key+"/-", c)
		}
		eachValue(c, inner, f)
	}
}
