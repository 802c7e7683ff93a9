package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// backtestFlags are the flags of backtest.
type backtestFlags struct {
	place
	against, since, until, trigger, failOn, explain string
	limit, sample                                   int
}

func (a *app) backtestCmd() *cobra.Command {
	var f backtestFlags
	c := &cobra.Command{Use: "backtest [WORKFLOW-FILE...]", Short: "Show what edited workflows would have done with recorded events",
		Long: `Compares edited workflows with the versions that ran, for recorded events, and
sends nothing. The events are decided again, and each run is simulated by the engine's
planner at its original time: now(), sleeps and timeouts behave as they did then. A
step gets the response that was recorded for it.

For a changed request, the recorded response of the most similar request is used (same
action, host and path template), and the run is counted as assumed; without one, the
step's mock: from the tests is used. Without either, the run is unknown from there
on, with the reason.

Events that a changed run emits, workflows that it calls, and those that start when
it ends are followed to the further runs. If the edit changes the times of a schedule,
the firings that appear are run at their time, and those that vanish start no runs.

Without files, all workflows of the project folder are compared. A file outside
workflows/ is an edited copy of the workflow with its name; one in a folder connectors/
is an edited connector. --against compares with a version (see the console, or
hookloom event) or another file instead of what ran.

The database is only read, with or without a running server. On Linux the command runs
at the lowest priority, so that it does not slow down the server. Exit status: 0; 1 if
something of the kind in --fail-on differs; 2 for wrong usage or a mistake in a file.`,
		Example: "  hookloom backtest --since 30d\n  hookloom backtest workflows/paid.yaml --since 30d --fail-on requests\n" +
			"  hookloom backtest /tmp/paid.yaml --dir shop --trigger stripe --sample 1000 -o json\n" +
			"  hookloom backtest workflows/paid.yaml --against 3f2a9c1b --explain evt_0d3c6f2a41c00000",
		Annotations: map[string]string{outputs: "junit, html"},
		RunE:        func(c *cobra.Command, args []string) error { return a.backtest(c.Context(), &f, args) }}
	f.addTo(c)
	return c
}

func (f *backtestFlags) addTo(c *cobra.Command) {
	fl := c.Flags()
	f.flags(fl)
	fl.Lookup("db").Usage = "database: a file (default DIR/hookloom.db) or postgres://...; it is only read"
	fl.StringVar(&f.against, "against", "", "a version, or a file, to compare with instead of the versions that ran")
	fl.StringVar(&f.since, "since", "", "only events since 30d, \"2026-01-31 10:00\" or 2026-01-31T10:00:00Z")
	fl.StringVar(&f.until, "until", "", "only events before then, in the forms of --since")
	fl.StringVar(&f.trigger, "trigger", "", "only events of this trigger")
	fl.IntVar(&f.limit, "limit", 0, "only the newest N events")
	fl.IntVar(&f.sample, "sample", 0, "only a sample of N events, the same ones each time")
	fl.StringVar(&f.failOn, "fail-on", "", "exit with 1 when something differs: changed, requests or errors")
	fl.StringVar(&f.explain, "explain", "", "show everything about one event")
}

// failures are the values of --fail-on, with the changes that count.
var failures = map[string]func(backtest.Change) bool{
	"changed": func(backtest.Change) bool { return true },
	"requests": func(c backtest.Change) bool {
		return len(c.Requests.Added)+len(c.Requests.Removed)+len(c.Requests.Changed) > 0
	},
	"errors": func(c backtest.Change) bool { return c.Error != nil && c.Error.After != nil },
}

func (a *app) backtest(ctx context.Context, f *backtestFlags, files []string) (err error) {
	fails := failures[f.failOn]
	if f.failOn != "" && fails == nil {
		return usageError("--fail-on is changed, requests or errors, not %q", f.failOn)
	}
	edited, err := f.edited(files)
	if err != nil {
		return err
	}
	path := database(edited.project.Dir, f.db, edited.project)
	h, err := store.OpenHistory(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	o := backtest.Options{History: h, Project: edited.project, Workflows: edited.only, Limit: f.limit, Sample: f.sample, Tests: edited.tests,
		Actions: actions.Executors(actions.Options{})}
	if err := f.query(&o); err != nil {
		return err
	}
	o.Schedules = changedSchedules(h, o.Project)
	if err := f.compareWith(ctx, h, &o); err != nil {
		return err
	}
	if f.trigger != "" && edited.project.Triggers[f.trigger] == nil {
		list := listFlags{place: f.place}
		list.q.Trigger = f.trigger
		if err := list.checkNames(ctx, h); err != nil {
			return err
		}
	}
	out, err := newFindings(a.output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	failed := false
	o.Change = func(c backtest.Change) error {
		failed = failed || fails != nil && fails(c)
		return out.change(c)
	}
	o.Unknown = out.unknown
	o.Progress = a.progress()
	o.Gentle = !giveWay(ctx)
	report, err := backtest.Run(ctx, o)
	if err != nil {
		return err
	}
	if f.explain != "" && report.Events == 0 {
		return usageError("--explain %s: no such event in this database; hookloom events lists them", f.explain)
	}
	if err := a.printBacktest(report, out, f); err != nil {
		return err
	}
	if failed {
		return &exitError{exitFailure, errors.New("")}
	}
	return nil
}

// progress returns a function that prints the number of compared events to a terminal, after the
// first second.
func (a *app) progress() func(int) {
	began, last := time.Now(), time.Now()
	return func(n int) {
		if now := time.Now(); now.Sub(began) > 2*time.Second && now.Sub(last) > time.Second {
			last = now
			fmt.Fprintf(a.err, "%d events, %.0f a second\n", n, float64(n)/now.Sub(began).Seconds())
		}
	}
}

// changedSchedules returns what an edited project changes about the firings of schedules.
func changedSchedules(h *store.History, p *workflows.Project) func(ctx context.Context,
	from, until time.Time) ([]*engine.ScheduleChange, error) {
	return func(ctx context.Context, from, until time.Time) ([]*engine.ScheduleChange, error) {
		return triggers.ChangedSchedules(ctx, h, p, from, until)
	}
}

// query selects the events.
func (f *backtestFlags) query(o *backtest.Options) error {
	q := &o.Query
	if f.limit < 0 || f.sample < 0 || f.limit > 0 && f.sample > 0 {
		return usageError("--limit and --sample are numbers of events, and are mutually exclusive")
	}
	q.Trigger = f.trigger
	var times engine.Query
	if err := console.Window(&times, f.since, f.until, time.Now(), zone()); err != nil {
		return usageError("%v", err)
	}
	o.Since, o.Until = times.Since, times.Until
	if !times.Since.IsZero() {
		q.After = engine.EventID(engine.FirstID(times.Since)) - 1
	}
	if !times.Until.IsZero() {
		q.Before = max(1, engine.EventID(engine.FirstID(times.Until))) // 0 is no bound
	}
	if f.explain != "" {
		id, err := engine.ParseEventID(f.explain)
		if err != nil {
			return usageError("--explain: %v", err)
		}
		q.IDs = []engine.EventID{id}
	}
	return nil
}

// edited is a project with edited workflows.
type edited struct {
	project *workflows.Project
	// only are the workflows to compare; nil for all.
	only  map[string]bool
	tests []*workflows.Test
}

// insteadOfFolder says how to name the files of a folder: as a project, or as edited files.
func insteadOfFolder(dir string) string {
	if _, err := os.Stat(filepath.Join(dir, "workflows")); err != nil {
		if files, _ := filepath.Glob(filepath.Join(dir, "*.yaml")); len(files) > 0 {
			return "write its files, such as " + files[0]
		}
	}
	return "write --dir " + dir
}

// edited reads the project, with the given files replacing its workflows of the same name.
func (f *backtestFlags) edited(args []string) (*edited, error) {
	dir := f.dir
	texts, only := map[string][]byte{}, map[string]bool{}
	for _, arg := range args {
		if info, err := os.Stat(arg); err == nil && info.IsDir() {
			return nil, usageError("%s is a folder: %s", arg, insteadOfFolder(arg))
		}
		text, err := os.ReadFile(arg)
		if err != nil {
			return nil, usageError("%s: %v", arg, errors.Unwrap(err))
		}
		kind, folder, id := projectFile(arg)
		if folder != "" && f.dir == "." {
			dir = folder
		}
		name := kind + "/" + id
		if texts[name] != nil {
			return nil, usageError("two files are named %s", id)
		}
		if texts[name] = text; kind == "workflows" {
			only[id] = true
		}
	}
	l, err := load(dir)
	if err != nil {
		return nil, err
	}
	if len(texts) > 0 {
		if err := l.replace(texts); err != nil {
			return nil, err
		}
	}
	if bad := l.mistakes; bad.Errors() > 0 {
		return nil, bad
	}
	out := &edited{project: l.project, only: only}
	if len(only) == 0 {
		out.only = nil
	}
	out.tests, _ = l.project.LoadTests()
	return out, nil
}

// projectFile returns what a file defines, workflows or connectors, the project folder that it is in,
// "" if it is outside a project, and its id.
func projectFile(name string) (kind, folder, id string) {
	slash := filepath.ToSlash(name)
	if !filepath.IsAbs(name) {
		slash = "./" + slash
	}
	trim := func(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, ".yaml"), ".yml") }
	for _, kind := range []string{"workflows", "connectors"} {
		if before, after, found := strings.Cut(slash, "/"+kind+"/"); found {
			return kind, cmp.Or(filepath.Clean(before), "."), trim(after)
		}
	}
	return "workflows", "", trim(filepath.Base(name))
}

// replace reads the project again with other contents for some files, by name without extension,
// such as workflows/paid.
func (l *loaded) replace(texts map[string][]byte) error {
	c, err := catalog()
	if err != nil {
		return err
	}
	files := maps.Clone(l.files)
	for name, text := range texts {
		delete(files, name+".yml")
		files[name+".yaml"] = text
	}
	l.project, l.mistakes = workflows.LoadFiles(l.project.Dir, files, c, l.secrets.IsSet)
	return nil
}

// compareWith reads the version named by --against.
func (f *backtestFlags) compareWith(ctx context.Context, h *store.History, o *backtest.Options) error {
	if f.against == "" {
		return nil
	}
	text, err := os.ReadFile(f.against)
	_, _, id := projectFile(f.against)
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(f.against, "/.") {
		var version, content string
		if version, id, err = h.VersionOf(ctx, f.against); errors.Is(err, engine.ErrNotFound) {
			return usageError("--against %s: no such file, and no workflow version with this prefix", f.against)
		}
		if err == nil {
			content, err = h.VersionText(ctx, version)
		}
		text = []byte(content)
	}
	if err != nil {
		return usageError("--against %s: %v", f.against, err)
	}
	if len(o.Workflows) == 1 {
		id = slices.Collect(maps.Keys(o.Workflows))[0]
	}
	if o.Project.Workflows[id] == nil || len(o.Workflows) > 1 {
		return usageError("--against %s is for one workflow: give its file", f.against)
	}
	w, mistakes := o.Project.Compile(id, text, workflows.Pins{})
	if mistakes.Errors() > 0 {
		return mistakes
	}
	o.Against, o.Workflows = w, map[string]bool{id: true}
	return nil
}
