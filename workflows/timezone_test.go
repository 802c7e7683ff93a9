package workflows_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

func TestNowIsInTheProjectsTimezone(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"hookloom.yaml": "timezone: Asia/Tokyo\n",
		"workflows/w.yaml": "on: {webhook: {auth: none}}\nvars:\n  hour: ${{ now().Hour() }}\n  moment: ${{ now() " +
			"}}\nsteps:\n  - uses: log\n    with: {message: hello}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{
		Actions: workflows.NewActions(map[string]*workflows.ActionSpec{
			"log": {Name: "log", Inputs: []workflows.ActionInput{{Name: "message", Type: "string"}}},
		}, nil),
	}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	env := &expr.Env{Names: expr.Names{}, Now: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)}
	var got []string
	for _, v := range p.Workflows["w"].Vars {
		x, err := v.Value.Render(env, workflows.FillPlain)
		if err != nil {
			t.Fatal(err)
		}
		s, err := value.Text(x)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if strings.Join(got, " ") != "19 2026-05-01T10:00:00.000Z" {
		t.Error(got)
	}
}
