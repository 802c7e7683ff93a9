package cmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

func (a *app) schemaCmd() *cobra.Command {
	var dir, db string
	c := &cobra.Command{Use: "schema [workflow|project|connector|tests|provider]", Short: "Print the JSON Schema for editors",
		Args: cobra.MaximumNArgs(1),
		Long: `Prints the JSON Schema of workflow files (or of hookloom.yaml, of connectors/*.yaml, of
tests/*_test.yaml, of a provider preset), so that an editor with a YAML server completes
and checks keys. Begin a file with
  # yaml-language-server: $schema=../workflow.schema.json

--db adds the fields of received events, such as event.data.total, with their types: the
editor offers them where an expression begins (when:, if:, foreach:).`,
		Example: "  hookloom schema > workflow.schema.json\n  hookloom schema project > project.schema.json\n" +
			"  hookloom schema workflow --db > workflow.schema.json",
		RunE: func(c *cobra.Command, args []string) error {
			of := "workflow"
			if len(args) == 1 {
				of = args[0]
			}
			kind, known := map[string]string{"workflow": "workflow", "project": "project", "connector": "connector", "tests": "test_file",
				"provider": "preset"}[of]
			if !known {
				return usageError("schema of workflow, project, connector, tests or provider, not %q", of)
			}
			cat, err := catalog()
			if err != nil {
				return err
			}
			var paths []workflows.KnownPath
			if db != "" {
				if paths, err = receivedPaths(c.Context(), dir, db); err != nil {
					return err
				}
			}
			return a.printJSON(workflows.SchemaWith(kind, &cat, paths))
		}}
	c.Flags().StringVar(&dir, "dir", ".", "project folder")
	c.Flags().StringVar(&db, "db", "", "add the fields of received events; --db=FILE names the database")
	c.Flags().Lookup("db").NoOptDefVal = ownDatabase
	return c
}

// Limits of what a schema offers: paths, and events of each trigger that are read for them.
const (
	maxOffered    = 300
	offeredEvents = 500
)

// receivedPaths returns the paths in the recorded events of a project's triggers.
func receivedPaths(ctx context.Context, dir, db string) ([]workflows.KnownPath, error) {
	l, err := load(dir)
	if err != nil {
		return nil, err
	}
	if db == ownDatabase {
		db = database(dir, "", l.project)
	}
	h, err := store.OpenHistory(db)
	if err != nil {
		return nil, err
	}
	defer h.Close() //nolint:errcheck // it was only read
	about := map[string][]string{}
	var paths []string
	for _, trigger := range slices.Sorted(maps.Keys(l.project.Triggers)) {
		list, _, err := learned(ctx, h, l.project, shapesOptions{trigger: trigger, events: offeredEvents})
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			for _, r := range s.Rows() {
				if strings.Contains(r.Path, "[]") || len(paths) >= maxOffered && about[r.Path] == nil {
					continue // elements of lists are read with filter, map and foreach
				}
				if about[r.Path] == nil {
					paths = append(paths, r.Path)
				}
				text := fmt.Sprintf("%s, in %d of %d events %s of %s", strings.Join(r.Types, " or "), r.Present, r.Of, s.Type, trigger)
				if s.Version != "" {
					text += " of version " + s.Version
				}
				if len(r.Values) > 0 {
					text += ": " + strings.Join(r.Values, ", ")
				}
				about[r.Path] = append(about[r.Path], text)
			}
		}
	}
	slices.Sort(paths)
	var out []workflows.KnownPath
	for _, p := range paths {
		out = append(out, workflows.KnownPath{Path: p, About: strings.Join(about[p][:min(len(about[p]), 5)], "; ")})
	}
	return out, nil
}
