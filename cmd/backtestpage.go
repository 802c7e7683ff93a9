package cmd

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/backtest"
)

// backtestJUnit writes each change as a failed test, one passed test for each workflow without
// changes or unknowns, and a skipped test for each reason why something is unknown and for each
// kind of missing history.
func (a *app) backtestJUnit(r *backtest.Report, f *findings) error {
	var results []testResult
	changed := map[string]bool{}
	for _, c := range f.firstChanges {
		changed[c.Workflow] = true
		name := c.Subject()
		if from := c.Origin(); from != "" { // one event may have more than one change of a workflow
			name += ", " + from
		}
		results = append(results, testResult{Workflow: c.Workflow, Name: name, File: "workflows/" + c.Workflow + ".yaml",
			Failures: []string{differenceLine(c)}})
	}
	if n := f.changed - len(f.firstChanges); n > 0 {
		results = append(results, testResult{Workflow: "backtest", Name: "more changes",
			Failures: []string{fmt.Sprintf("%d more events differ", n)}})
	}
	for _, w := range r.Concurrency {
		if !changed[w.Workflow] && !f.unknownOf[w.Workflow] {
			results = append(results, testResult{Workflow: w.Workflow, Name: "unchanged", File: "workflows/" + w.Workflow + ".yaml", OK: true})
		}
	}
	skipped := func(name string, n int, text string) {
		results = append(results, testResult{Workflow: "backtest", Name: name + ": " + text, Skipped: fmt.Sprintf("%d: %s", n, text)})
	}
	for _, text := range slices.Sorted(maps.Keys(f.reasons)) {
		skipped("not known", f.reasons[text], text)
	}
	for _, l := range r.Limits.Lacking() {
		skipped("not in the history", l.N, l.Text)
	}
	raw, err := junitText(results)
	if err == nil {
		_, err = a.out.Write(raw)
	}
	return err
}

// differenceLine describes a difference on one line.
func differenceLine(c backtest.Change) string {
	parts := []string{kindText(c.Kind) + ": " + c.Because.Expression + ": " + inLine(c.Because.Before) + " -> " + inLine(c.Because.After)}
	if text := requestsText(c.Requests); text != "" {
		parts = append(parts, "requests: "+text)
	}
	return strings.Join(parts, "; ")
}

// backtestHTML writes a self-contained page.
func (a *app) backtestHTML(r *backtest.Report, f *findings) error {
	type reason struct {
		N    int
		Text string
	}
	page := struct {
		R        *backtest.Report
		Changed  int
		More     int
		Unknown  int
		Changes  []backtest.Change
		Unknowns []reason
	}{r, f.changed, f.changed - len(f.firstChanges), f.unknownN, f.firstChanges, nil}
	for _, text := range slices.Sorted(maps.Keys(f.reasons)) {
		page.Unknowns = append(page.Unknowns, reason{f.reasons[text], text})
	}
	return backtestPage.Execute(a.out, page)
}

var backtestPage = template.Must(template.New("backtest").Funcs(template.FuncMap{"line": inLine, "kind": kindText}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Backtest</title><style>
body {font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em}
table {border-collapse: collapse; width: 100%}
th, td {text-align: left; vertical-align: top; padding: .3em .8em .3em 0; border-bottom: 1px solid #ddd}
code {font-size: 13px; overflow-wrap: anywhere}
</style></head><body>
<h1>Backtest</h1>
<p>{{.R.Events}} events, {{.R.RunsBefore}} runs before and {{.R.RunsAfter}} after: {{.R.Unchanged}} unchanged, {{.Changed}} changed,
{{.R.Assumed}} assumed, {{.Unknown}} unknown</p>
{{if .Changes}}<h2>Changes</h2><table><tr><th>Event</th><th>Workflow</th><th>Change</th><th>Because</th><th>Requests</th></tr>
{{range .Changes}}<tr><td><code>{{.Subject}}</code>{{with .Origin}}<br>{{.}}{{end}}</td>
<td>{{.Workflow}}</td><td>{{kind .Kind}}{{if .Assumed}} (assumed){{end}}</td>
<td><code>{{.Because.Expression}}</code><br><code>{{line .Because.Before}}</code> → <code>{{line .Because.After}}</code></td>
<td>{{range .Requests.Added}}<div>added {{.Step}} {{.Action}} {{.Host}} <code>{{line .Request}}</code></div>{{end}}
{{range .Requests.Removed}}<div>removed {{.Step}} {{.Action}} {{.Host}} <code>{{line .Request}}</code></div>{{end}}
{{range .Requests.Changed}}{{$step := .Step}}{{range .Fields}}<div>{{$step}} {{.Field}}: <code>{{line .Before}}</code> →
<code>{{line .After}}</code></div>{{end}}{{end}}</td></tr>
{{end}}</table>{{end}}
{{if .More}}<p>and {{.More}} more</p>{{end}}
{{if .Unknowns}}<h2>Unknown</h2><table><tr><th>Runs</th><th>Reason</th></tr>
{{range .Unknowns}}<tr><td>{{.N}}</td><td>{{.Text}}</td></tr>{{end}}</table>{{end}}
{{if .R.Schedules}}<h2>Schedules</h2><table>
<tr><th>Schedule</th><th>Before</th><th>After</th><th>Firings that appear</th><th>Vanish</th></tr>
{{range .R.Schedules}}<tr><td>{{.Name}}</td><td><code>{{or .Before "-"}}</code></td><td><code>{{or .After "-"}}</code></td>
<td>{{.Appear}}</td><td>{{.Vanish}}</td></tr>{{end}}</table>{{end}}
{{if .R.Calls}}<h2>Calls</h2><table><tr><th>Host</th><th>Day</th><th>Before</th><th>After</th></tr>
{{range .R.Calls}}<tr><td>{{.Host}}</td><td>{{.Day}}</td><td>{{.Before}}</td><td>{{.After}}</td></tr>{{end}}</table>{{end}}
{{if .R.Concurrency}}<h2>Runs open at once, at most</h2><table><tr><th>Workflow</th><th>Before</th><th>After</th></tr>
{{range .R.Concurrency}}<tr><td>{{.Workflow}}</td><td>{{.Before}}</td><td>{{.After}}</td></tr>{{end}}</table>{{end}}
{{with .R.Limits.Lacking}}<h2>What the history cannot tell</h2><ul>{{range .}}<li>{{.N}} {{.Text}}</li>{{end}}</ul>{{end}}
</body></html>
`))
