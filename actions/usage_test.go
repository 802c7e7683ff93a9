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

// TestTheExampleOfEachActionLoads loads a project with the example that hookloom actions NAME
// shows, and with its connection.
func TestTheExampleOfEachActionLoads(t *testing.T) {
	cat := catalog(t)
	for _, name := range slices.Sorted(maps.Keys(cat)) {
		s := cat[name]
		dir := t.TempDir()
		config := s.Config
		if k := s.Needs(); k != nil {
			config += k.ConnectionExample() + "\n"
		}
		write := func(file, text string) {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(dir, "workflows"), 0o700); err != nil {
			t.Fatal(err)
		}
		write("hookloom.yaml", config)
		write("workflows/w.yaml", "on: {webhook: {auth: none, key: body.id}}\nsteps:\n"+
			strings.ReplaceAll("  "+strings.TrimRight(s.Usage, "\n"), "\n", "\n  ")+"\n")
		_, mistakes := workflows.Load(dir, workflows.Catalog{Actions: actions.Catalog()}, func(string) bool { return true })
		for _, m := range mistakes {
			t.Errorf("%s: %v", name, m)
		}
	}
}

// TestEachNativeActionIsDescribed checks that the help describes each input and output and has an
// example.
func TestEachNativeActionIsDescribed(t *testing.T) {
	// Their output is a single value, or depends on the data and the program.
	free := map[string]bool{"jq": true, "xml/parse": true, "log": true, "store/get": true, "store/set": true, "store/delete": true,
		"store/increment": true}
	for name, s := range catalog(t) {
		if s.Connector != nil {
			continue
		}
		if s.Usage == "" {
			t.Errorf("%s has no example", name)
		}
		if !free[name] && len(s.Outputs) == 0 {
			t.Errorf("%s does not declare its output", name)
		}
		example, isMap := s.Example.(map[string]any)
		for _, o := range s.Outputs {
			if _, there := example[o.Name]; isMap && !there {
				t.Errorf("%s: output %s is not in the example", name, o.Name)
			}
			if o.Type == "" || o.Help == "" {
				t.Errorf("%s: output %s has no type or no help", name, o.Name)
			}
		}
		for _, in := range s.Inputs {
			if in.Help == "" && len(in.Words) == 0 && !strings.HasPrefix(name, "http/") && name != "webhook/send" {
				t.Errorf("%s: input %s has no help", name, in.Name)
			}
		}
	}
}
