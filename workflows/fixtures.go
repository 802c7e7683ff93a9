package workflows

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// fixtures are the sample events that the project keeps for its tests.
type fixtures struct {
	// tests are the entries of tests/*_test.yaml, by workflow.
	tests map[string][]*yaml.Node
	// loose are the JSON files of fixtures/ and tests/.
	loose []fixture
}

type fixture struct {
	name string
	body any
}

// maxFixtures is the maximum number of files that are read to check fields; maxFixtureSize is the
// maximum size of each.
const (
	maxFixtures    = 200
	maxFixtureSize = 1 << 20
)

// fixtures reads the fixtures on the first call.
func (c *checker) fixtures() *fixtures {
	if c.kept != nil {
		return c.kept
	}
	c.kept = &fixtures{tests: map[string][]*yaml.Node{}}
	for _, rel := range yamlFiles(c.p.Dir, "tests") {
		id, isTest := strings.CutSuffix(workflowID(strings.TrimPrefix(rel, "tests/")), "_test")
		src, ok := openFile(c.p.Dir, rel)
		if !isTest || !ok {
			continue
		}
		var file yaml.Node
		if yaml.Unmarshal(src.text, &file) != nil || len(file.Content) == 0 {
			continue // reported when the tests are read
		}
		root := file.Content[0]
		var head struct {
			Workflow string
			Tests    yaml.Node
		}
		if root.Kind == yaml.MappingNode && root.Decode(&head) == nil {
			if head.Workflow != "" {
				id = head.Workflow
			}
			root = &head.Tests
		}
		c.kept.tests[id] = append(c.kept.tests[id], testNodes(root)...)
	}
	for _, rel := range jsonFiles(c.p.Dir, "fixtures", "tests") {
		if v, err := c.p.readJSON(rel); err == nil {
			c.kept.loose = append(c.kept.loose, fixture{rel, v})
		}
	}
	return c.kept
}

func (c *checker) looseFixtures() []fixture { return c.fixtures().loose }

// testNodes returns the entries of a list of tests.
func testNodes(list *yaml.Node) []*yaml.Node {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	return slices.Clone(list.Content)
}

// jsonFiles lists the JSON files below some folders, sorted.
func jsonFiles(dir string, folders ...string) []string {
	var out []string
	for _, folder := range folders {
		// An unreadable file is no sample; the tests that name it report it.
		_ = filepath.WalkDir(filepath.Join(dir, folder), func(name string, e fs.DirEntry, err error) error {
			if err != nil || len(out) >= maxFixtures {
				return fs.SkipAll
			}
			if !e.Type().IsRegular() || filepath.Ext(name) != ".json" {
				return nil
			}
			info, err := os.Lstat(name)
			if rel, relErr := filepath.Rel(dir, name); err == nil && relErr == nil && info.Size() <= maxFixtureSize {
				out = append(out, filepath.ToSlash(rel))
			}
			return nil
		})
	}
	slices.Sort(out)
	return out
}
