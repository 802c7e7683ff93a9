package cmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// generated follows the title of each page of the reference.
const generated = "<!-- Written by `go generate ./docs` from the tables of the program; do not edit. -->\n"

// referencePages returns the pages of the reference by name. They are generated from the tables
// that the program uses, so they agree with it.
func referencePages(ctx context.Context) (map[string]string, error) {
	actions, err := actionsPage()
	if err != nil {
		return nil, err
	}
	providers, err := providersPage()
	if err != nil {
		return nil, err
	}
	metrics, err := metricsPage(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"reference/workflow": grammarPage("Workflow files", "workflow",
			"A file in `workflows/`. Its path without the extension is the workflow's id."),
		"reference/project": grammarPage("hookloom.yaml", "project",
			"The project's configuration: addresses, triggers, connections, and limits."),
		"reference/connector": grammarPage("Connector files", "connector",
			"A file in `connectors/` describes a service and its actions. See also the guide to [connectors](../connectors.md)."),
		"reference/tests": grammarPage("Test files", "test_file",
			"A file `tests/WORKFLOW_test.yaml` holds tests of a workflow; `hookloom test` runs them."),
		"reference/preset": grammarPage("Provider presets", "preset",
			"The built-in presets are files of this form in `triggers/providers/`. `verify:` in a webhook trigger takes the same keys."),
		"reference/functions":   functionsPage(),
		"reference/events":      eventsPage(),
		"reference/names":       namesPage(),
		"reference/database":    databasePage(),
		"reference/metrics":     metrics,
		"reference/alerts":      alertsPage(),
		"reference/environment": environmentPage(),
		"reference/actions":     actions,
		"reference/providers":   providers,
		"reference/cli":         cliPage(),
		"reference/api":         apiPage(),
		"reference/errors":      errorsPage(),
		"reference/mistakes":    mistakesPage(),
	}, nil
}

// cell escapes text for a cell of a Markdown table.
func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(s), "|", `\|`), "\n", " ")
}

const typesText = `
The types:

| Type | What to write |
|---|---|
| text | Literal text; no expressions. |
| value | Any YAML, in which ` + "`${{ }}`" + ` inserts the result of an expression. |
| expression | A plain [expr](https://expr-lang.org) expression, without ` + "`${{ }}`" + `. |
| duration | ` + "`500ms`, `30s`, `10m`, `48h`, `7d`, `1h30m`" + ` |
| size | ` + "`64KiB`, `1MiB`" + ` |
| rate | ` + "`10/s`, `30/m`, `500/h`" + ` |
| name | A lowercase letter or ` + "`_`, then lowercase letters, digits and `_`" + ` |

Keys in **bold** are required.
`

func grammarPage(title, of, about string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n%s\n%s", title, generated, about, typesText)
	for _, s := range workflows.Reference(of) {
		fmt.Fprintf(&b, "\n## %s\n\n", s.Name)
		if len(s.Keys) == 0 {
			continue
		}
		b.WriteString("| Key | Type | Meaning |\n|---|---|---|\n")
		for _, k := range s.Keys {
			name := "`" + k.Name + "`"
			if k.Required {
				name = "**" + name + "**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, cell(k.Type), cell(asSentence(k.Help)))
		}
	}
	return b.String()
}

// asSentence capitalizes a help text and adds a full stop.
func asSentence(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return ""
	}
	if first := s[0]; first >= 'a' && first <= 'z' && !strings.Contains(strings.Fields(s)[0], ":") {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, ")") {
		s += "."
	}
	return s
}

func functionsPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Functions of expressions

%s
Expressions are written in [expr](https://expr-lang.org/docs/language-definition). They can call these
functions. Each example is an expression that is true. No function reads a file, the network or the environment.

| Function | Meaning | Example |
|---|---|---|
`, generated)
	for _, f := range expr.Functions() {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` |\n", f.Name, cell(asSentence(f.Help)), strings.ReplaceAll(f.Example, "|", `\|`))
	}
	return b.String()
}

func actionsPage() (string, error) {
	cat, err := catalog()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Actions\n\n%s\nA step with `uses:` carries out an action. "+
		"`hookloom actions NAME` shows one in the terminal, and also\nthose of your own connectors. Inputs in **bold** are required.\n",
		generated)
	for _, s := range cat.Actions.All() {
		writeAction(&b, s)
	}
	return b.String(), nil
}

func writeAction(b *strings.Builder, s *workflows.ActionSpec) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", s.Name, asSentence(s.Help))
	if len(s.Inputs) > 0 {
		b.WriteString("\n| Input | Type | Meaning |\n|---|---|---|\n")
		for _, in := range s.Inputs {
			name := "`" + in.Name + "`"
			if in.Required {
				name = "**" + name + "**"
			}
			help := asSentence(in.Help)
			if len(in.Words) > 0 {
				help += " One of " + strings.Join(in.Words, ", ") + "."
			}
			if in.Default != nil {
				help += fmt.Sprintf(" Default: `%s`.", workflows.YAMLText(in.Default))
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", name, in.Type, cell(help))
		}
	}
	if names := s.OutputNames(); len(s.Outputs) > 0 {
		b.WriteString("\n| Output | Type | Meaning |\n|---|---|---|\n")
		for _, o := range s.Outputs {
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", o.Name, o.Type, cell(asSentence(o.Help)))
		}
	} else if len(names) > 0 {
		fmt.Fprintf(b, "\nOutput: `%s`.\n", strings.Join(names, "`, `"))
	}
	if s.SideEffects {
		fmt.Fprintf(b, "\nTimeout: %s. Retried by default: %s.\n", cmp.Or(s.Timeout, workflows.DefaultActionTimeout), s.RepeatText())
	}
	if k := s.Needs(); k != nil {
		fmt.Fprintf(b, "\nConnection in `hookloom.yaml`: `%s`\n", strings.Join(strings.Fields(k.ConnectionExample()), " "))
		if s.Connection != nil {
			fmt.Fprint(b, "\n| Key | Type | Meaning |\n|---|---|---|\n")
			for _, f := range k.Fields {
				name := "`" + f.Name + "`"
				if f.Required {
					name = "**" + name + "**"
				}
				fmt.Fprintf(b, "| %s | %s | %s |\n", name, f.Type, cell(asSentence(connectionFieldHelp(f))))
			}
		}
	}
	if s.Usage != "" {
		fmt.Fprintf(b, "\n```yaml\n%s```\n", s.Usage)
	}
}

func providersPage() (string, error) {
	library, err := triggers.Presets()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Providers

%s
Write `+"`provider: NAME`"+` and a secret in a webhook trigger. `+"`hookloom providers NAME`"+` shows how to set one up, how it retries,
and what is known of its deliveries. Presets marked experimental have not been checked against current documentation: try them with a
live account first.

| Provider | Title | Category | Scheme | Facts | Identity of an event |
|---|---|---|---|---|---|
`, generated)
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", p.Name, cell(p.Title), p.Category, p.Verify[0].Algorithm, facts(p),
			cell(p.IdentityWords()))
	}
	return b.String(), nil
}

func cliPage() string {
	var b strings.Builder
	root := (&app{output: "text"}).root()
	fmt.Fprintf(&b, "# Command line\n\n%s\n`hookloom COMMAND --help` prints the same. Every command takes `--output json`.\n\n", generated)
	b.WriteString("Exit status: 0 done, 1 failed, 2 wrong usage or a mistake in a file, 75 the database is in use.\n")
	commands := slices.Clone(root.Commands())
	slices.SortFunc(commands, func(x, y *cobra.Command) int { return strings.Compare(x.Name(), y.Name()) })
	for _, c := range commands {
		writeCommand(&b, c)
	}
	return b.String()
}

func writeCommand(b *strings.Builder, c *cobra.Command) {
	if c.Hidden || !c.IsAvailableCommand() && !c.HasAvailableSubCommands() || c.Name() == "help" || c.Name() == "completion" {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", c.CommandPath(), asSentence(c.Short))
	fmt.Fprintf(b, "```\n%s\n```\n", c.UseLine())
	if c.Long != "" {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(c.Long))
	}
	rows := 0
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if rows++; rows == 1 {
			b.WriteString("\n| Flag | Type | Meaning |\n|---|---|---|\n")
		}
		def := ""
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" && f.DefValue != "0s" {
			def = " Default: `" + f.DefValue + "`."
		}
		fmt.Fprintf(b, "| `--%s` | %s | %s |\n", f.Name, f.Value.Type(), cell(asSentence(f.Usage)+def))
	})
	if c.Example != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", strings.TrimRight(dedent(c.Example), "\n"))
	}
	for _, sub := range c.Commands() {
		writeCommand(b, sub)
	}
}

// dedent removes the two spaces of indentation from examples.
func dedent(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

func apiPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# HTTP API

%s
The admin address serves the API under `+"`/api/v1/`"+`; `+"`/api/v1/openapi.json`"+` is its OpenAPI document.
With `+"`server.token`"+` set, send `+"`Authorization: Bearer TOKEN`"+`. Requests that act need the header
`+"`X-Hookloom: 1`"+`, which web pages cannot send, and may have an `+"`Idempotency-Key`"+`: a repeated key returns
the first response again.

| Request | Meaning | Query |
|---|---|---|
`, generated)
	for _, o := range console.Operations() {
		query := ""
		if len(o.Query) > 0 {
			query = "`" + strings.Join(o.Query, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", o.Method, o.Path, cell(o.About), query)
	}
	return b.String()
}

func errorsPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Error codes

%s
A failed step or run has an error with a code. Read it as `+"`error.code`"+` in `+"`on_failure`"+` and `+"`retry.when`"+`,
and filter dead letters with `+"`hookloom deadletters --reason CODE`"+`. Connectors and `+"`fail:`"+` steps can add codes of their own.

`, generated)
	for _, code := range engine.ErrorCodes {
		fmt.Fprintf(&b, "- `%s`\n", code)
	}
	b.WriteString("\nA delivery is refused for one of these reasons. `hookloom quarantine` lists refused deliveries and shows for " +
		"each what was wrong.\n\n")
	for _, reason := range engine.RefusalReasons {
		fmt.Fprintf(&b, "- %s\n", reason)
	}
	return b.String()
}
