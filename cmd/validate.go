package cmd

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/spf13/cobra"
)

func (a *app) validateCmd() *cobra.Command {
	var o validateOptions
	c := &cobra.Command{Use: "validate [DIR or FILE...]", Short: "Check a project and report all mistakes",
		Long: `Checks every file of a project. Each mistake comes with file:line:column, the
line, a caret, its code and the likely fix; hookloom help CODE explains a code. With
files, only their mistakes are shown.

--db also reads the newest recorded events of each trigger and warns, with counts, of
fields that none of them has, of comparisons whose types never match, and of required
values that were nil in some events.

Exit status: 0 without errors; 2 with errors, with nothing to check, or, if --strict is
given, with warnings.`,
		Example: "  hookloom validate\n  hookloom validate --db\n  hookloom validate shop --strict\n" +
			"  hookloom validate shop/workflows/paid.yaml --format github",
		RunE: func(c *cobra.Command, args []string) error {
			if a.json() {
				o.format = "json"
			}
			return a.validate(c.Context(), args, o)
		}}
	c.Flags().StringVar(&o.format, "format", "text", "text, json, github or sarif")
	c.Flags().BoolVar(&o.verbose, "verbose", false, "show the next five times of each schedule and poll")
	c.Flags().BoolVar(&o.strict, "strict", false, "treat warnings as errors")
	c.Flags().StringVar(&o.db, "db", "", "check what expressions read of event.data against recorded events; --db=FILE names the database")
	c.Flags().Lookup("db").NoOptDefVal = ownDatabase
	return c
}

func (a *app) validate(ctx context.Context, args []string, o validateOptions) error {
	var projects []*workflows.Project
	var all workflows.Mistakes
	files := 0
	wanted := targets(args)
	for _, dir := range slices.Sorted(maps.Keys(wanted)) {
		only := wanted[dir]
		for name := range only {
			if err := aFile(dir, name); err != nil {
				return err
			}
		}
		if err := environmentOfFiles(only); err != nil {
			return err
		}
		l, err := o.load(ctx, dir)
		if err != nil {
			return err
		}
		_, ofTests := l.project.LoadTests()
		found := l.mistakes.With(ofTests)
		projects = append(projects, l.project)
		n := len(l.project.Files())
		if n == 0 && len(found) == 0 {
			return usageError("%s", noProject(dir))
		}
		if len(only) > 0 {
			n = len(only)
		}
		files += n
		for _, m := range found {
			if len(only) == 0 || only[m.File] {
				if dir != "." {
					m.File = filepath.Join(dir, m.File)
				}
				all = append(all, m)
			}
		}
	}
	if err := a.printMistakes(all, o.format); err != nil {
		return err
	}
	if all.Errors() > 0 || o.strict && len(all) > 0 {
		if o.format == "text" {
			a.warnf("hookloom help CODE explains a code, such as hookloom help %s\n", all[0].Code)
		}
		return &exitError{exitUsage, errors.New(verdict(files, all))}
	}
	if o.format == "text" {
		a.printf("%s\n", verdict(files, all))
	}
	if o.verbose && o.format == "text" {
		return a.printTimings(time.Now(), projects...)
	}
	return nil
}

// noProject describes a folder without a file of a project.
func noProject(dir string) string {
	if dir == "." {
		dir = "this folder"
	}
	return dir + " holds no project: there is no hookloom.yaml and no workflows/*.yaml; hookloom init makes one"
}

// aFile refuses a file that is not there, or that the project does not read.
func aFile(dir, name string) error {
	full := filepath.Join(dir, name)
	if _, err := os.Stat(full); err != nil {
		return usageError("%s: no such file or folder", full)
	}
	top, _, below := strings.Cut(name, "/")
	if workflows.IsSettings(name) || below && (top == "workflows" || top == "connectors" || top == "tests") {
		return nil
	}
	return usageError("%s is not a project file: those are hookloom.yaml, hookloom.ENVIRONMENT.yaml and the YAML files of workflows/, "+
		"connectors/ and tests/", full)
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// targets groups arguments by project folder; a file belongs to the folder that contains its
// workflows/ or hookloom.yaml.
func targets(args []string) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if yaml := filepath.Ext(arg) == ".yaml" || filepath.Ext(arg) == ".yml"; err == nil && info.IsDir() || err != nil && !yaml {
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

func (a *app) actionsCmd() *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "actions [NAME]", Short: "List actions, or show one with its inputs", Args: cobra.MaximumNArgs(1),
		Long: `Lists the actions that steps can use, including those of the project's own connectors, or
shows one: its inputs, its output, how it is retried, the connection that it needs, and
an example step. NAME may also be a connector.`,
		Example: "  hookloom actions\n  hookloom actions http/post\n  hookloom actions hubspot",
		RunE: func(c *cobra.Command, args []string) error {
			all, err := offered(dir)
			if err != nil {
				return err
			}
			if len(args) == 1 && all.Get(args[0]) != nil {
				return a.oneAction(all, args[0])
			}
			specs := all.All()
			if len(args) == 1 {
				specs = slices.DeleteFunc(specs, func(s *workflows.ActionSpec) bool { return !strings.HasPrefix(s.Name, args[0]+"/") })
				if len(specs) == 0 {
					return a.oneAction(all, args[0])
				}
			}
			t := newTable("ACTION", "CONFIDENCE", "DOES")
			var items []any
			for _, s := range specs {
				t.row(s.Name, s.Confidence(), s.Help)
				items = append(items, map[string]any{"action": s.Name, "help": s.Help, "confidence": s.Confidence()})
			}
			if a.json() {
				return a.printJSON(map[string]any{"items": items})
			}
			return t.print(a.out)
		}}
	c.Flags().StringVar(&dir, "dir", ".", "project folder")
	return c
}

// offered are the actions that a project's steps can use; without a project, the built-in
// ones.
func offered(dir string) (*workflows.Actions, error) {
	if l, err := load(dir); err == nil && l.project != nil {
		return l.project.Actions, nil
	}
	cat, err := catalog()
	return cat.Actions, err
}

// unknownAction suggests an action, or a connector where the name has no slash.
func unknownAction(all *workflows.Actions, name string) error {
	names := all.Names()
	if !strings.Contains(name, "/") {
		for _, action := range all.Names() {
			if connector, _, ok := strings.Cut(action, "/"); ok && !slices.Contains(names, connector) {
				names = append(names, connector)
			}
		}
	}
	if meant := spelling.Suggest(name, names); meant != "" {
		return usageError("no action %q; %s", name, meant)
	}
	return usageError("no action %q; hookloom actions lists them", name)
}

func (a *app) oneAction(all *workflows.Actions, name string) error {
	s := all.Get(name)
	if s == nil {
		return unknownAction(all, name)
	}
	if a.json() {
		var inputs []any
		for _, in := range s.Inputs {
			inputs = append(inputs, map[string]any{"name": in.Name, "type": in.Type, "required": in.Required, "help": in.Help, "words": in.Words,
				"options": in.Options, "default": in.Default})
		}
		outputs := []any{}
		for _, o := range s.Outputs {
			outputs = append(outputs, map[string]any{"name": o.Name, "type": o.Type, "help": o.Help})
		}
		connection := ""
		if k := s.Needs(); k != nil {
			connection = k.ConnectionExample()
		}
		return a.printJSON(map[string]any{"connection": connection, "action": s.Name, "help": s.Help, "inputs": inputs,
			"outputs": outputs, "example": s.Example, "usage": s.Usage, "retry": s.RepeatText(),
			"timeout": cmp.Or(s.Timeout, workflows.DefaultActionTimeout).String(), "confidence": s.Confidence()})
	}
	a.printf("%s\n", strings.TrimSuffix(s.Name+": "+s.Help, ": "))
	a.actionNotes(s)
	a.printf("\n")
	t := newTable("INPUT", "TYPE", "NEEDED", "")
	for _, in := range s.Inputs {
		needed := ""
		if in.Required {
			needed = "yes"
		}
		help := in.Help
		if in.Of != nil {
			help = strings.TrimSpace(help + " " + in.Of.String())
		}
		if len(in.Options) > 0 {
			help = strings.TrimSpace(help + " " + workflows.YAMLText(in.Options))
		}
		if len(in.Words) > 0 {
			help = strings.TrimSpace(help + " (" + strings.Join(in.Words, ", ") + ")")
		}
		if in.Default != nil {
			help = strings.TrimSpace(help + " (" + workflows.YAMLText(in.Default) + " by default)")
		}
		t.row(in.Name, in.Type, needed, help)
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	if err := a.actionOutputs(s); err != nil {
		return err
	}
	if err := a.actionConnection(s.Needs()); err != nil {
		return err
	}
	if s.Config != "" {
		a.printf("\nNeeds in hookloom.yaml:\n%s", indent(s.Config, "  "))
	}
	if s.Usage != "" {
		a.printf("\nExample:\n%s", indent(s.Usage, "  "))
	}
	return nil
}

// actionNotes prints notes about an action from its connector.
func (a *app) actionNotes(s *workflows.ActionSpec) {
	if s.Action == nil {
		return
	}
	if s.Action.Deprecated {
		a.printf("The service has deprecated it.\n")
	}
	if s.Confidence() == workflows.ConfidenceMemory {
		a.printf("Confidence: memory. It was not checked against the service's documentation.\n")
	} else {
		a.printf("Confidence: %s.\n", s.Confidence())
	}
	if docs := cmp.Or(s.Action.Docs, s.Connector.Docs); docs != "" {
		a.printf("%s\n", docs)
	}
}

// actionConnection prints the connection that an action needs, with all keys.
func (a *app) actionConnection(k *workflows.Connector) error {
	if k == nil {
		return nil
	}
	a.printf("\nNeeds in hookloom.yaml:\n  %s\n", k.ConnectionExample())
	if len(k.Fields) == 0 {
		return nil
	}
	a.printf("\n")
	t := newTable("KEY", "TYPE", "NEEDED", "")
	for _, f := range k.Fields {
		needed := ""
		if f.Required {
			needed = "yes"
		}
		t.row(f.Name, f.Type, needed, connectionFieldHelp(f))
	}
	return t.print(a.out)
}

// connectionFieldHelp describes a key of a connection, its values and its default.
func connectionFieldHelp(f workflows.ConnectionField) string {
	help := f.Description
	if len(f.Options) > 0 {
		help = strings.TrimSpace(help + " " + workflows.YAMLText(f.Options))
	}
	if f.Default != nil {
		help = strings.TrimSpace(help + " (" + workflows.YAMLText(f.Default) + " by default)")
	}
	return help
}

// actionOutputs prints the output of an action, and when it is retried automatically.
func (a *app) actionOutputs(s *workflows.ActionSpec) error {
	if len(s.Outputs) == 0 {
		if names := s.OutputNames(); len(names) > 0 {
			a.printf("\nOutput: %s\n", strings.Join(names, ", "))
		}
		if s.SideEffects && s.Connector != nil {
			a.printf("\nTimeout: %s. Retried by default: %s.\n", cmp.Or(s.Timeout, workflows.DefaultActionTimeout), s.RepeatText())
		}
		return nil
	}
	a.printf("\n")
	t := newTable("OUTPUT", "TYPE", "")
	for _, o := range s.Outputs {
		t.row(o.Name, o.Type, o.Help)
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	if s.SideEffects {
		a.printf("\nTimeout: %s. Retried by default: %s.\n", cmp.Or(s.Timeout, workflows.DefaultActionTimeout), s.RepeatText())
	}
	return nil
}

// indent adds a prefix to each non-empty line.
func indent(text, prefix string) string {
	out := ""
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			out += prefix
		}
		out += line
	}
	return out
}
