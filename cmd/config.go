package cmd

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// configCmd prints the settings of a project as they are in effect.
func (a *app) configCmd() *cobra.Command {
	var at place
	c := &cobra.Command{Use: "config", Short: "Show the project's settings and where each comes from", Args: cobra.NoArgs,
		Long: `Prints hookloom.yaml, with the file of the environment (--env) merged over it and vars
filled in, and behind each value the file and line or the environment variable that it
comes from. Defaults are not shown. Secrets are shown by their names, never by their
values.`,
		Example: "  hookloom config\n  hookloom config --env prod\n  hookloom config --env prod -o json",
		RunE: func(*cobra.Command, []string) error {
			l, err := at.load()
			if err != nil {
				return err
			}
			settings := shownSettings(l.project)
			if a.json() {
				err = a.printSettingsJSON(l.project, settings)
			} else {
				a.printSettings(l.project, settings)
			}
			if err == nil {
				err = l.usableSettings()
			}
			return err
		}}
	c.Flags().StringVar(&at.dir, "dir", ".", "project folder")
	return c
}

// shownSetting is a setting with the place that it comes from.
type shownSetting struct {
	path  []string
	value any
	from  string
}

// settingVariables are the environment variables that override settings.
var settingVariables = []struct {
	variable string
	path     []string
	secret   bool
}{
	{"HOOKLOOM_ADDR", []string{"server", "addr"}, false},
	{"HOOKLOOM_ADMIN_ADDR", []string{"server", "admin_addr"}, false},
	{"HOOKLOOM_TOKEN", []string{"server", "token"}, true},
	{"HOOKLOOM_VIEW_TOKEN", []string{"server", "view_token"}, true},
	{"HOOKLOOM_DB", []string{"database"}, false},
}

// shownSettings are the settings of the files, and the environment variables that override them.
func shownSettings(p *workflows.Project) (out []shownSetting) {
	for _, s := range p.Settings() {
		out = append(out, shownSetting{s.Path, s.Value, fmt.Sprintf("%s:%d", s.File, s.Line)})
	}
	for _, v := range settingVariables {
		text := os.Getenv(v.variable)
		if text == "" {
			continue
		}
		if v.secret {
			text = workflows.Mask
		}
		out = override(out, shownSetting{v.path, text, v.variable})
	}
	return out
}

// override replaces the setting with the same path, or inserts a new one after its siblings.
func override(list []shownSetting, s shownSetting) []shownSetting {
	after := len(list)
	for i, x := range list {
		if strings.Join(x.path, "\x00") == strings.Join(s.path, "\x00") {
			list[i] = s
			return list
		}
		if len(s.path) > 1 && x.path[0] == s.path[0] {
			after = i + 1
		}
	}
	return append(list[:after:after], append([]shownSetting{s}, list[after:]...)...)
}

func (a *app) printSettingsJSON(p *workflows.Project, settings []shownSetting) error {
	items := []any{}
	for _, s := range settings {
		items = append(items, map[string]any{"key": strings.Join(s.path, "."), "value": s.value, "from": s.from})
	}
	return a.printJSON(map[string]any{"environment": p.Environment, "environments": anyList(workflows.Environments(p.Dir)), "items": items})
}

// settingColumn is the column in which the origin of a value begins, unless the value is longer.
const settingColumn = 56

func (a *app) printSettings(p *workflows.Project, settings []shownSetting) {
	a.printf("# environment: %s\n", cmp.Or(p.Environment, "none"))
	var before []string
	for _, s := range settings {
		same := 0
		for same < len(before)-1 && same < len(s.path)-1 && before[same] == s.path[same] {
			same++
		}
		for i := same; i < len(s.path)-1; i++ {
			a.printf("%s%s:\n", strings.Repeat("  ", i), workflows.YAMLText(s.path[i]))
		}
		last := len(s.path) - 1
		line := strings.Repeat("  ", last) + workflows.YAMLText(s.path[last]) + ": " + settingText(s.value)
		a.printf("%s%s# %s\n", line, strings.Repeat(" ", max(1, settingColumn-utf8.RuneCountInString(line))), s.from)
		before = s.path
	}
}

// settingText writes a value as YAML on one line.
func settingText(v any) string {
	if v == nil {
		return "null"
	}
	return workflows.YAMLText(v)
}

// usableSettings returns an error for settings with mistakes. Mistakes in workflows do not matter.
func (l *loaded) usableSettings() error {
	var bad workflows.Mistakes
	for _, m := range l.mistakes {
		if !m.Warning && workflows.IsSettings(m.File) {
			bad = append(bad, m)
		}
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}
