package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

func (a *app) validateCmd() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "validate [DIR or FILE...]", Short: "Check a project, all mistakes at once",
		Long: `Checks every file of a project. Each mistake comes with file:line:column, the
line, a caret, and the likely fix. With files, only their mistakes are shown.`,
		Example: "  hookloom validate\n  hookloom validate shop\n  hookloom validate shop/workflows/paid.yaml --format github",
		RunE: func(c *cobra.Command, args []string) error {
			if a.json() {
				format = "json"
			}
			return a.validate(args, format)
		}}
	c.Flags().StringVar(&format, "format", "text", "text, json, github or sarif")
	return c
}

func (a *app) validate(args []string, format string) error {
	var all workflows.Mistakes
	files := 0
	for dir, only := range targets(args) {
		l, err := load(dir)
		if err != nil {
			return err
		}
		files += len(l.project.Files())
		_, ofTests := l.project.LoadTests()
		for _, m := range l.mistakes.With(ofTests) {
			if len(only) == 0 || only[m.File] {
				if dir != "." {
					m.File = filepath.Join(dir, m.File)
				}
				all = append(all, m)
			}
		}
	}
	if err := a.printMistakes(all, format); err != nil {
		return err
	}
	if n := all.Errors(); n > 0 {
		return &exitError{exitUsage, fmt.Errorf("%d %s in %d files", n, plural(n, "mistake"), files)}
	}
	if format == "text" {
		a.printf("%d files, no mistakes\n", files)
	}
	return nil
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// targets groups arguments by project folder; a file belongs to the folder that
// holds its workflows/ or hookloom.yaml.
func targets(args []string) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil || info.IsDir() {
			out[arg] = nil
			continue
		}
		dir := filepath.Dir(arg)
		for d := dir; ; d = filepath.Dir(d) {
			if filepath.Base(d) == "workflows" || filepath.Base(d) == "connectors" || filepath.Base(d) == "tests" {
				dir = filepath.Dir(d)
				break
			}
			if d == "." || d == "/" {
				break
			}
		}
		rel, err := filepath.Rel(dir, arg)
		if err != nil {
			rel = arg
		}
		if out[dir] == nil {
			out[dir] = map[string]bool{}
		}
		out[dir][filepath.ToSlash(rel)] = true
	}
	return out
}

func (a *app) printMistakes(all workflows.Mistakes, format string) error {
	switch format {
	case "text":
		for _, m := range all {
			a.printf("%s", m)
		}
	case "json":
		if all == nil {
			all = workflows.Mistakes{}
		}
		return a.printJSON(map[string]any{"ok": all.Errors() == 0, "mistakes": all})
	case "github":
		// Source: docs.github.com, workflow commands; values are percent-encoded.
		esc := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
		for _, m := range all {
			level := "error"
			if m.Warning {
				level = "warning"
			}
			a.printf("::%s file=%s,line=%d,col=%d,title=%s::%s\n", level, m.File, m.Line, m.Column, m.Code, esc.Replace(strings.TrimSpace(m.Problem+" "+m.Hint)))
		}
	case "sarif":
		return a.printJSON(sarif(all))
	default:
		return usageError("--format is text, json, github or sarif, not %q", format)
	}
	return nil
}

// sarif is the static analysis format 2.1.0 of OASIS, as code hosts read it.
func sarif(all workflows.Mistakes) map[string]any {
	results := []any{}
	for _, m := range all {
		level := "error"
		if m.Warning {
			level = "warning"
		}
		results = append(results, map[string]any{"ruleId": m.Code, "level": level, "message": map[string]any{"text": strings.TrimSpace(m.Problem + ". " + m.Hint)},
			"locations": []any{map[string]any{"physicalLocation": map[string]any{"artifactLocation": map[string]any{"uri": filepath.ToSlash(m.File)},
				"region": map[string]any{"startLine": m.Line, "startColumn": m.Column, "endColumn": m.Column + m.Width}}}}})
	}
	return map[string]any{"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"runs": []any{map[string]any{"tool": map[string]any{"driver": map[string]any{"name": "hookloom", "version": version()}}, "results": results}}}
}

func (a *app) schemaCmd() *cobra.Command {
	return &cobra.Command{Use: "schema [workflow|project]", Short: "Print the JSON Schema for editors", Args: cobra.MaximumNArgs(1),
		Long: `Prints the JSON Schema of workflow files (or of hookloom.yaml), so that an editor
with a YAML server completes and checks keys. Begin a file with
  # yaml-language-server: $schema=../workflow.schema.json`,
		Example: "  hookloom schema > workflow.schema.json\n  hookloom schema project > project.schema.json",
		RunE: func(c *cobra.Command, args []string) error {
			of := "workflow"
			if len(args) == 1 {
				of = args[0]
			}
			if of != "workflow" && of != "project" {
				return usageError("schema of workflow or project, not %q", of)
			}
			cat, err := catalog()
			if err != nil {
				return err
			}
			return a.printJSON(workflows.Schema(of, &cat))
		}}
}

func (a *app) actionsCmd() *cobra.Command {
	return &cobra.Command{Use: "actions [NAME]", Short: "List actions, or show one with its inputs", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cat, err := catalog()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return a.oneAction(cat.Actions[args[0]], args[0])
			}
			t := newTable("ACTION", "DOES")
			var items []any
			for _, n := range sortedKeys(cat.Actions) {
				t.row(n, cat.Actions[n].Help)
				items = append(items, map[string]any{"action": n, "help": cat.Actions[n].Help})
			}
			if a.json() {
				return a.printJSON(map[string]any{"items": items})
			}
			return t.print(a.out)
		}}
}

func (a *app) oneAction(s *workflows.ActionSpec, name string) error {
	if s == nil {
		return usageError("no action %q; hookloom actions lists them", name)
	}
	if a.json() {
		var inputs []any
		for _, in := range s.Inputs {
			inputs = append(inputs, map[string]any{"name": in.Name, "type": in.Type, "required": in.Required, "help": in.Help, "words": in.Words})
		}
		return a.printJSON(map[string]any{"action": s.Name, "help": s.Help, "inputs": inputs, "example": s.Example})
	}
	a.printf("%s: %s\n\n", s.Name, s.Help)
	t := newTable("INPUT", "TYPE", "NEEDED", "")
	for _, in := range s.Inputs {
		needed := ""
		if in.Required {
			needed = "yes"
		}
		help := in.Help
		if len(in.Words) > 0 {
			help = strings.TrimSpace(help + " (" + strings.Join(in.Words, ", ") + ")")
		}
		t.row(in.Name, in.Type, needed, help)
	}
	return t.print(a.out)
}
