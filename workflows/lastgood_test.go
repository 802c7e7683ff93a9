//go:build unix

package workflows_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hookloom/hookloom/workflows"
)

// TestBrokenFileKeepsItsLastGoodVersion checks it whichever file the mistake is reported in.
func TestBrokenFileKeepsItsLastGoodVersion(t *testing.T) {
	const (
		root   = "triggers: {orders: {webhook: {auth: none}}}"
		listen = "on: orders\nsteps: [{stop: x}]"
		parent = "on: manual\nsteps: [{call: child}]"
		child  = "on: call\nsteps: [{stop: x}]"
		path   = "on: {webhook: {auth: none, path: /same}}\nsteps: [{stop: x}]"
	)
	good := map[string]string{
		"hookloom.yaml":         root,
		"workflows/listen.yaml": listen,
		"workflows/parent.yaml": parent,
		"workflows/child.yaml":  child,
		"workflows/z.yaml":      path,
	}
	for _, c := range []struct {
		name       string
		change     map[string]string // "" removes the file
		kept, left []string
	}{
		{"nothing is broken", nil, nil, nil},
		{"a file breaks", map[string]string{"workflows/listen.yaml": "on: orders"}, []string{"workflows/listen.yaml"}, nil},
		{
			"a new file is broken",
			map[string]string{"workflows/new.yaml": "on: nope\nsteps: [{stop: x}]"},
			nil,
			[]string{"workflows/new.yaml"},
		},
		{"a renamed trigger, and a good change beside it", map[string]string{
			"hookloom.yaml":        "triggers: {other: {webhook: {auth: none}}}",
			"workflows/child.yaml": child + "\n# changed",
		},
			[]string{"hookloom.yaml"}, nil},
		{"a called workflow is gone", map[string]string{"workflows/child.yaml": ""}, []string{"workflows/child.yaml"}, nil},
		{"a new file takes another's path", map[string]string{"workflows/a.yaml": path}, nil, []string{"workflows/a.yaml"}},
		{"the settings are no YAML", map[string]string{"hookloom.yaml": "triggers: ["}, []string{"hookloom.yaml"}, nil},
		{
			"two break at once",
			map[string]string{"workflows/listen.yaml": "x", "workflows/parent.yaml": "y"},
			[]string{"workflows/listen.yaml", "workflows/parent.yaml"},
			nil,
		},
	} {
		now := map[string]string{}
		texts := workflows.Files{}
		for name, text := range good {
			now[name], texts[name] = text, []byte(text)
		}
		for name, text := range c.change {
			if now[name] = text; text == "" {
				delete(now, name)
			}
		}
		l := workflows.LoadKeeping(writeFiles(t, now), "", catalog(t), nil, nil, texts)
		if l.Project == nil {
			t.Errorf("%s: nothing is loaded\n%s", c.name, l.Mistakes)
			continue
		}
		if !slices.Equal(l.Kept, c.kept) || !slices.Equal(l.Left, c.left) {
			t.Errorf("%s: kept %v, left %v; want %v, %v", c.name, l.Kept, l.Left, c.kept, c.left)
		}
		for name := range good {
			if id, ok := strings.CutPrefix(name, "workflows/"); ok && l.Project.Workflows[strings.TrimSuffix(id, ".yaml")] == nil {
				t.Errorf("%s: %s is not in force", c.name, name)
			}
		}
		if len(c.change) > 0 && l.Mistakes.Errors() == 0 {
			t.Errorf("%s: no mistake is told", c.name)
		}
	}
}

// A last good file that no longer loads, as after an upgrade, and what needs it are left out. New and changed files
// beside them are used.
func TestAFileThatNoLongerLoadsIsLeftOutAlone(t *testing.T) {
	const gone, fine = "on: call\nsteps: [{uses: gone/away}]", "on: manual\nsteps: [{stop: x}]"
	good := map[string]string{"hookloom.yaml": "{}", "workflows/child.yaml": gone, "workflows/old.yaml": fine,
		"workflows/parent.yaml": "on: manual\nsteps: [{call: child}]"}
	now := maps.Clone(good)
	now["workflows/new.yaml"], now["workflows/old.yaml"] = fine, fine+" # changed"
	texts := workflows.Files{}
	for name, text := range good {
		texts[name] = []byte(text)
	}
	l := workflows.LoadKeeping(writeFiles(t, now), "", catalog(t), nil, nil, texts)
	if l.Project == nil || l.Project.Workflows["new"] == nil || l.Project.Workflows["old"] == nil || len(l.Project.Workflows) != 2 {
		t.Errorf("%+v", l)
	}
	if left := []string{"workflows/child.yaml", "workflows/parent.yaml"}; !slices.Equal(l.Left, left) || l.Kept != nil {
		t.Errorf("left %q, kept %q", l.Left, l.Kept)
	}
}

// TestNoFileOutsideOfTheProjectIsRead checks it for links and devices.
func TestNoFileOutsideOfTheProjectIsRead(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	if err := os.WriteFile(outside, []byte("hunter2: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := writeFiles(t, map[string]string{"workflows/fine.yaml": "on: manual\nsteps: [{stop: x}]",
		"shared/linked.yaml":   "on: manual\nsteps: [{stop: y}]",
		"workflows/large.yaml": strings.Repeat("#", workflows.MaxFileSize+1), "workflows/..2026/old.yaml": "x",
		".env": "TOKEN=hunter2"})
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(outside, "workflows/absolute.yaml")
	link("../../"+filepath.Base(filepath.Dir(outside))+"/secret.yaml", "workflows/relative.yaml")
	link("/proc/self/environ", "workflows/environ.yaml")
	link("/dev/zero", "workflows/device.yaml")
	link("../.env", "workflows/env.yaml")
	link("../shared/linked.yaml", "workflows/inside.yaml")
	if err := syscall.Mkfifo(filepath.Join(dir, "workflows/pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, mistakes := workflows.ReadFiles(dir, "")
	for _, name := range []string{"absolute", "relative", "environ", "device", "pipe", "large", "env"} {
		if _, read := files["workflows/"+name+".yaml"]; read {
			t.Errorf("%s was read", name)
		}
		if !strings.Contains(mistakes.Error(), "workflows/"+name+".yaml:1:1: error[file]") {
			t.Errorf("%s: no mistake in\n%s", name, mistakes)
		}
	}
	if strings.Contains(mistakes.Error(), "hunter2") || len(files) != 2 || files["workflows/inside.yaml"] == nil {
		t.Errorf("read %d files, mistakes:\n%s", len(files), mistakes)
	}
}
