package actions_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/workflows"
)

// TestEachConnectorExampleWorks runs each action's example against a fake service: the request
// and the output must be those of the file.
func TestEachConnectorExampleWorks(t *testing.T) {
	cat := catalog(t)
	for _, name := range slices.Sorted(maps.Keys(cat)) {
		if cat[name].Connector == nil {
			continue
		}
		problems, tried, err := actions.TryExample(t.Context(), cat[name])
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", name, p)
		}
		if !tried {
			t.Errorf("%s: the file shows no call: add example: {with, request, response, output}", name)
		}
	}
}

// TestBuiltInConnectorsHaveNoMistakes checks their expressions, which the program compiles only
// when they are evaluated.
func TestBuiltInConnectorsHaveNoMistakes(t *testing.T) {
	files, err := filepath.Glob("connectors/*.yaml")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, mistakes := workflows.CheckConnector(file, text)
		if len(mistakes) > 0 {
			t.Errorf("%v", mistakes)
		}
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); c == nil || c.Name != name {
			t.Errorf("%s: a connector is found by the name of its file, and must be named %s", file, name)
		} else if actions.Catalog().Connector(name) == nil {
			t.Errorf("%s: not in the catalog", name)
		}
	}
}

// TestNoConnectorHidesANativeAction: an action is looked up among the native ones first.
func TestNoConnectorHidesANativeAction(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range actions.Catalog().All() {
		if seen[s.Name] {
			t.Errorf("action %s exists twice", s.Name)
		}
		seen[s.Name] = true
		if actions.Catalog().Get(s.Name) == nil {
			t.Errorf("action %s is in the list, and cannot be looked up", s.Name)
		}
	}
}
