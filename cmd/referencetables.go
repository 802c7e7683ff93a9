package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/telemetry"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

func eventsPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Events\n\n%s\nExpressions read an event as `event`. It has these fields, whichever inlet it came by:\n\n", generated)
	writeFields(&b, "event.", expr.Fields("event"))
	b.WriteString(`
Each event records its inlet: ` + "`event.inlet`, `hookloom events --output json`, `hookloom event` and the console show it." + `

| Inlet | An event is | ` + "`event.data`" + ` | ` + "`event.key`" + ` | ` + "`event.type`" + ` |
|---|---|---|---|---|
`)
	for _, k := range workflows.InletKinds() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Inlet, cell(k.Help), cell(k.InData), cell(k.InKey), cell(k.InType))
	}
	b.WriteString("\nWhere there was no request, `event.body`, `event.headers`, `event.query`, `event.raw`, `event.method` and " +
		"`event.path` are nil.\n")
	var shared, own []string
	for _, k := range workflows.InletKinds() {
		if k.AtTrigger {
			shared = append(shared, "`"+string(k.Inlet)+"`")
		} else {
			own = append(own, "`"+string(k.Inlet)+"`")
		}
	}
	fmt.Fprintf(&b, "\nAn event of the inlets %s goes to a trigger, and so to all workflows that name it under `on:`. Events of %s "+
		"go to one workflow.\nOnly events of `webhook` come from outside: they are verified by a signature, a token or a certificate.\n",
		strings.Join(shared, ", "), strings.Join(own, ", "))
	return b.String()
}

func writeFields(b *strings.Builder, prefix string, fields []expr.Field) {
	b.WriteString("| Name | Type | Meaning |\n|---|---|---|\n")
	for _, f := range fields {
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, f.Name, expr.TypeWord(f.Type), cell(f.Help))
	}
}

func namesPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Names in expressions\n\n%s\nThe guide to [expressions](../expressions.md) shows where each name can be used. "+
		"[Functions](functions.md) has its own page.\n\n", generated)
	writeFields(&b, "", expr.Fields("names"))
	for _, part := range []struct{ title, prefix, of string }{
		{"A run", "run.", "run"}, {"A step", "steps.ID.", "step"}, {"An error", "error.", "error"},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n", part.title)
		writeFields(&b, part.prefix, expr.Fields(part.of))
	}
	b.WriteString("\n`event` is described in [events](events.md).\n")
	return b.String()
}

func databasePage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Database views

%s
The database is one SQLite file, `+"`hookloom.db`"+`. Any SQLite shell can read these views while the server runs. They stay stable
when tables change. Times are RFC 3339 in UTC, with milliseconds. Open the file read-only:

`+"```\nsqlite3 'file:hookloom.db?mode=ro' 'SELECT id, workflow, status FROM runs_view ORDER BY id DESC LIMIT 10'\n```\n", generated)
	for _, v := range store.Views() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| Column | Meaning |\n|---|---|\n", v.Name, v.Help)
		for _, c := range v.Columns {
			fmt.Fprintf(&b, "| `%s` | %s |\n", c.Name, cell(c.Help))
		}
	}
	return b.String()
}

func metricsPage(ctx context.Context) (string, error) {
	list, err := telemetry.Metrics(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Metrics

%s
`+"`/metrics` of the admin address serves these for Prometheus, and those of the Go runtime and the process (`go_*`, `process_*`)."+`
A histogram has the series `+"`_bucket`, `_sum` and `_count`"+`. No label comes from a payload. See [monitoring](../monitoring.md).

| Metric | Kind | Labels | Meaning |
|---|---|---|---|
`, generated)
	for _, m := range list {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, cell(m.Help))
	}
	return b.String(), nil
}

func alertsPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Alerts

%s
A workflow with `+"`on: hookloom.alerts`"+` gets an event when a condition begins, and one when it is over. `+
		"`event.data`"+` has
`+"`kind`, `subject`, `trigger`, `message`, `state` (`open` or `closed`), `at` and `opened_at`"+`, and when it opens the fields below.
`+"`event.type` is `alert.KIND`, then `alert.KIND.closed`"+`. See [monitoring](../monitoring.md).

| Kind | Subject | Open when | More fields |
|---|---|---|---|
`, generated)
	for _, k := range engine.AlertKinds() {
		subject := k.Subject
		if subject == "" {
			subject = "the project"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` |\n", k.Kind, subject, cell(k.Help), strings.Join(k.Data, "`, `"))
	}
	return b.String()
}

func environmentPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Environment variables

%s
A flag overrides a variable, and a variable overrides [hookloom.yaml](project.md). A secret of the project can also be a variable:
`+"`NAME`, or `NAME_FILE` with the name of a file. [Secrets](../secrets.md) lists all sources."+`

| Variable | Meaning |
|---|---|
`, generated)
	for _, v := range environment {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.Name, cell(v.Help))
	}
	return b.String()
}
