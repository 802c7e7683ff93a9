package cmd

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/hookloom/hookloom/docs"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// maxCompleted is the number of newest runs or events that a completion offers.
const maxCompleted = 20

// completer lists values that a shell can offer, each with a description after a tab. On an error
// it offers nothing.
type completer func(ctx context.Context, at place) []string

// completedArgs completes the first argument of commands.
var completedArgs = map[string]completer{
	"send": completeStarts, "poll": completeTriggers, "compare": completeTriggers, "shapes": completeTriggers, "verify": completeTriggers,
	"enable": completeWorkflows, "disable": completeWorkflows,
	"run": completeRuns, "cancel": completeRuns, "approve": completeRuns, "replay": completeRuns, "event": completeEvents,
	"providers": completeProviders, "actions": completeActions, "docs": completePages,
	"connect": completeConnections, "connections": completeConnections,
}

// completedFlags completes the values of flags.
var completedFlags = map[string]completer{
	"workflow": completeWorkflows, "trigger": completeTriggers,
	"output":     func(context.Context, place) []string { return []string{"text", "json"} },
	"env":        func(_ context.Context, at place) []string { return workflows.Environments(at.dir) },
	"log-level":  func(context.Context, place) []string { return []string{"debug", "info", "warn", "error"} },
	"log-format": func(context.Context, place) []string { return []string{"text", "json"} },
}

// addCompletions makes shells complete values in addition to commands and flags.
func addCompletions(root *cobra.Command) error {
	return eachCommand(root, func(c *cobra.Command) error {
		if list := completedArgs[c.Name()]; list != nil && c.Parent() == root {
			c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
				if len(args) > 0 {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return list(c.Context(), placeOf(c)), cobra.ShellCompDirectiveNoFileComp
			}
		}
		for name, list := range completedFlags {
			if c.LocalFlags().Lookup(name) == nil {
				continue
			}
			err := c.RegisterFlagCompletionFunc(name, func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
				return list(c.Context(), placeOf(c)), cobra.ShellCompDirectiveNoFileComp
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// placeOf returns the project that a command line names.
func placeOf(c *cobra.Command) place {
	p := place{dir: "."}
	if f := c.Flags().Lookup("dir"); f != nil {
		p.dir = f.Value.String()
	}
	if f := c.Flags().Lookup("db"); f != nil {
		p.db = f.Value.String()
	}
	return p
}

// described adds a description, without characters that affect a terminal: it may come from a
// payload.
func described(name, about string) string {
	return name + "\t" + strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, about)
}

// project returns the project as far as it can be read; nil if it cannot.
func (p place) project() *workflows.Project {
	l, err := load(p.dir)
	if err != nil {
		return nil
	}
	return l.project
}

func completeTriggers(_ context.Context, at place) []string {
	if p := at.project(); p != nil {
		return slices.Sorted(maps.Keys(p.Triggers))
	}
	return nil
}

func completeWorkflows(_ context.Context, at place) (out []string) {
	p := at.project()
	if p == nil {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(p.Workflows)) {
		out = append(out, described(id, p.Workflows[id].Name))
	}
	return out
}

// completeStarts lists triggers, and workflows that can be started manually.
func completeStarts(ctx context.Context, at place) []string {
	out := completeTriggers(ctx, at)
	p := at.project()
	if p == nil {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(p.Workflows)) {
		if slices.ContainsFunc(p.Workflows[id].Starts, workflows.Start.ByHand) {
			out = append(out, described(id, "started by hand"))
		}
	}
	return out
}

func completeConnections(_ context.Context, at place) []string {
	if p := at.project(); p != nil {
		return slices.Sorted(maps.Keys(p.Connections))
	}
	return nil
}

// history opens the project's database for reading; it returns nil if there is none.
func (p place) history() *store.History {
	project := p.project()
	if project == nil {
		return nil
	}
	h, err := store.OpenHistory(database(project.Dir, p.db, project))
	if err != nil {
		return nil
	}
	return h
}

func completeRuns(ctx context.Context, at place) (out []string) {
	h := at.history()
	if h == nil {
		return nil
	}
	defer h.Close() //nolint:errcheck // it was only read
	items, err := h.Runs(ctx, engine.Query{Limit: maxCompleted})
	if err != nil {
		return nil
	}
	for _, r := range items {
		out = append(out, described(r.ID, r.Workflow+", "+r.Status+", "+r.EventKey))
	}
	return out
}

func completeEvents(ctx context.Context, at place) (out []string) {
	h := at.history()
	if h == nil {
		return nil
	}
	defer h.Close() //nolint:errcheck // it was only read
	items, err := h.Events(ctx, engine.Query{Limit: maxCompleted})
	if err != nil {
		return nil
	}
	for _, e := range items {
		out = append(out, described(e.ID, e.Trigger+", "+e.Type+", "+e.Key))
	}
	return out
}

func completeProviders(context.Context, place) (out []string) {
	cat, err := catalog()
	if err != nil {
		return nil
	}
	return cat.Presets.Names()
}

func completeActions(_ context.Context, at place) (out []string) {
	cat, err := catalog()
	if err != nil {
		return nil
	}
	return cat.Actions.Names()
}

func completePages(context.Context, place) (out []string) {
	for _, p := range docs.Pages() {
		out = append(out, described(p.Name, p.Title))
	}
	return out
}
