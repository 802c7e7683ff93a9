package workflows_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/workflows"
	"gopkg.in/yaml.v3"
)

func TestFormatPutsKeysInOrderAndKeepsComments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, out string }{
		"file": {
			"steps:\n  - uses: log\n    # who\n    id: a   \n    with: {message: hi}\n\n\n\n  - log: x # last\n" +
				"# what starts it\non: manual\nname: n\n\n",
			"name: n\n# what starts it\non: manual\nsteps:\n  # who\n  - id: a\n    uses: log\n    with: {message: hi}\n\n  - log: x # last\n",
		},
		"block text keeps its blank space": {
			"steps:\n  - {id: a, set: {x: 1}}\nwhen: >-\n  a &&\n\n\n  b\non: manual\n",
			"on: manual\nwhen: >-\n  a &&\n\n\n  b\nsteps:\n  - {id: a, set: {x: 1}}\n",
		},
		"an anchor stays in front of its alias": {
			"steps:\n  - {id: a, set: &v {x: 1}}\nvars: *v\non: manual\n",
			"steps:\n  - {id: a, set: &v {x: 1}}\nvars: *v\non: manual\n",
		},
		"templates come first": {
			"on: manual\nx-retry: &r {max: 3}\nsteps:\n  - retry: *r\n    uses: log\n",
			"x-retry: &r {max: 3}\non: manual\nsteps:\n  - uses: log\n    retry: *r\n",
		},
		"the comments of a file, and those of its first keys": {
			"# file\n\n# steps\nsteps:\n  # item\n  - with:\n      # level\n      level: info\n      message: hi\n    uses: log\n    # tail\n" +
				"# on\non: manual\n# end\n",
			"# file\n\n# on\non: manual\n# steps\nsteps:\n  # item\n  - uses: log\n    # tail\n    with:\n      # level\n      level: info\n" +
				"      message: hi\n# end\n",
		},
		"one comment above belongs to the file": {
			"# file\nsteps: [{log: x}]\non: manual\n",
			"# file\non: manual\nsteps: [{log: x}]\n",
		},
		"nested steps": {
			"on: manual\nsteps:\n- steps:\n  - with: {message: x}\n    uses: log\n  if: true\n",
			"on: manual\nsteps:\n- if: true\n  steps:\n  - uses: log\n    with: {message: x}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := workflows.Format("workflow", []byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.out {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.out)
			}
		})
	}
}

// kindOfFile returns the kind of a YAML file, judged by its path.
func kindOfFile(path string) string {
	switch {
	case filepath.Base(path) == "hookloom.yaml":
		return "project"
	case strings.HasSuffix(path, "_test.yaml"):
		return "test_file"
	}
	return "workflow"
}

// TestFormatNeverChangesTheContent formats all examples and test files, with their keys in many
// orders.
func TestFormatNeverChangesTheContent(t *testing.T) {
	t.Parallel()
	files := 0
	for _, root := range []string{"../examples", "testdata", "../cmd/testdata"} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".yaml") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			var data any
			if yaml.Unmarshal(text, &data) != nil {
				return nil // an example of a mistake
			}
			if _, is := data.(map[string]any); !is {
				return nil
			}
			files++
			r := rand.New(rand.NewPCG(1, uint64(files)))
			for i := range 6 {
				in := text
				if i > 0 {
					in = shuffled(t, r, text)
				}
				formatKeeps(t, fmt.Sprint(path, " ", i), kindOfFile(path), in)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 20 {
		t.Fatalf("only %d files were found", files)
	}
}

func formatKeeps(t *testing.T, name, of string, in []byte) {
	t.Helper()
	out, err := workflows.Format(of, in)
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, in)
		return
	}
	var before, after any
	if err := yaml.Unmarshal(in, &before); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(out, &after); err != nil {
		t.Errorf("%s: what was formatted does not parse: %v\n%s", name, err, out)
		return
	}
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%s says something else:\n%s\nbefore:\n%s", name, out, in)
	}
	again, err := workflows.Format(of, out)
	if err != nil || !bytes.Equal(again, out) {
		t.Errorf("%s: the second time it gives (%v)\n%s\nin place of\n%s", name, err, again, out)
	}
}

// shuffled returns a file with comments and with the keys of its mappings in another order.
func shuffled(t *testing.T, r *rand.Rand, text []byte) []byte {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	anchors := bytes.Contains(text, []byte("&"))
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode && !anchors {
			pairs := len(n.Content) / 2
			r.Shuffle(pairs, func(i, j int) {
				n.Content[2*i], n.Content[2*j] = n.Content[2*j], n.Content[2*i]
				n.Content[2*i+1], n.Content[2*j+1] = n.Content[2*j+1], n.Content[2*i+1]
			})
		}
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 && i%2 == 0 && r.IntN(4) == 0 {
				c.HeadComment = fmt.Sprintf("# note %d", r.IntN(100))
			}
			walk(c)
		}
	}
	walk(&doc)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		t.Fatal(err)
	}
	var data any
	if yaml.Unmarshal(b.Bytes(), &data) != nil {
		return text // yaml.v3 cannot parse everything that it writes
	}
	return b.Bytes()
}
