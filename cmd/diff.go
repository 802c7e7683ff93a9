package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/spf13/cobra"
)

// fileDiff is the difference of one file.
type fileDiff struct {
	File string `json:"file"`
	// Kind is added, removed or changed.
	Kind    string                 `json:"kind"`
	Changes []workflows.Difference `json:"changes"`
	// OpenRuns continue with the version with which they began.
	OpenRuns int `json:"open_runs,omitempty"`
}

// diffCmd compares the content of versions of workflows.
func (a *app) diffCmd() *cobra.Command {
	var f listFlags
	c := &cobra.Command{Use: "diff [BEFORE [AFTER]]", Short: "Compare versions of workflows by meaning", Args: cobra.MaximumNArgs(2),
		Long: `Compares the files of this folder with those that the server loaded last, step by step,
regardless of line breaks, comments and the order of keys. BEFORE and AFTER may also be
files, folders, or versions as hookloom run shows them. Without --env, the environment of
the running server is used. It shows how many open runs a changed workflow has: they
continue with the version they began with. Compared with what the server loaded, it also
names what would break open runs: triggers that they wait for and that are removed,
versions that can no longer be compiled, so that their runs would end, and steps that need
something that is removed. Exit status 1 if something differs.`,
		Example: "  hookloom diff\n  hookloom diff old.yaml workflows/paid.yaml\n  hookloom diff 1f0c2a7be39d workflows/paid.yaml",
		RunE: func(c *cobra.Command, args []string) error {
			list, broken, err := f.diff(c.Context(), args)
			if err != nil {
				return err
			}
			return a.printDiff(list, broken)
		}}
	f.addPlace(c)
	return c
}

// diff compares two sides. broken is nil where they are not the folder and what the server loaded.
func (f *listFlags) diff(ctx context.Context, args []string) (list []fileDiff, broken []breakage, err error) {
	var h *store.History
	if history, err := f.history(); err == nil {
		h = history
		defer h.Close() //nolint:errcheck // it was only read
	} else if len(args) == 0 {
		return nil, nil, err
	}
	if list, err = f.differences(ctx, h, args); err != nil || len(args) > 0 {
		return list, nil, err
	}
	l, err := load(f.dir)
	if err != nil || l.mistakes.Errors() > 0 {
		return list, nil, err // hookloom validate tells what is wrong; the files are not used until then
	}
	broken, err = breakages(ctx, h, l.project)
	return list, broken, err
}

// differences compares the files of two sides, and counts the open runs of workflows that differ.
func (f *listFlags) differences(ctx context.Context, h *store.History, args []string) ([]fileDiff, error) {
	before, after := "", f.dir
	if len(args) > 0 {
		before = args[0]
	}
	if len(args) > 1 {
		after = args[1]
	}
	environment := chosenEnvironment()
	x, err := filesOf(ctx, h, before, environment)
	if err != nil {
		return nil, err
	}
	if environment == "" && before == "" {
		environment = workflows.Files(x).Environment() // that of the server
	}
	y, err := filesOf(ctx, h, after, environment)
	if err != nil {
		return nil, err
	}
	if len(x) == 1 && x[""] != nil { // a single file: compared with the corresponding one of the other side
		name, err := onlyFile(y, before)
		if err != nil {
			return nil, err
		}
		x, y = map[string][]byte{name: x[""]}, map[string][]byte{name: y[name]}
	} else if y[""] != nil {
		return nil, usageError("%s is one file, and %s is not: compare two files or two folders", after,
			cmp.Or(before, "what the server loaded"))
	}
	list, err := diffFiles(x, y)
	if err != nil || h == nil {
		return list, err
	}
	for i := range list {
		id := strings.TrimSuffix(strings.TrimPrefix(list[i].File, "workflows/"), ".yaml")
		p := engine.Page[engine.RunItem]{}
		if err := h.CountRuns(ctx, engine.Query{Workflow: id, Status: "queued,running,waiting"}, &p); err == nil && p.Total != nil {
			list[i].OpenRuns = *p.Total
		}
	}
	return list, nil
}

// onlyFile returns the name of the file, in a folder or alone, that is compared with name.
func onlyFile(files map[string][]byte, name string) (string, error) {
	if files[""] != nil {
		return "", nil
	}
	base := filepath.Base(name)
	for file := range files {
		if filepath.Base(file) == base {
			return file, nil
		}
	}
	return "", usageError("%s is one file: name the file to compare it with", name)
}

// filesOf reads one side: what the server loaded last (""), a folder, a file, or a version.
func filesOf(ctx context.Context, h *store.History, name, environment string) (map[string][]byte, error) {
	if name == "" {
		files, err := h.ProjectFiles(ctx)
		if err == nil && len(files) == 0 {
			err = errors.New("no server has loaded this project yet: give two files or folders to compare")
		}
		return yamlOnly(files), err
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		files, mistakes := workflows.ReadFiles(name, environment)
		if len(mistakes) > 0 { // otherwise the file would appear as removed
			return nil, mistakes
		}
		out := map[string][]byte{}
		for file, text := range files {
			out[file] = text
		}
		return yamlOnly(out), nil
	case err == nil:
		text, err := readYAML(name)
		return map[string][]byte{"": text}, err
	case h == nil:
		return nil, usageError("%s is not a file, and there is no database to look for a version in", name)
	}
	text, err := h.VersionText(ctx, name)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, usageError("%s is neither a file nor a version in this database; hookloom run RUN shows a run's version", name)
	}
	return map[string][]byte{"": []byte(text)}, err
}

func yamlOnly(files map[string][]byte) map[string][]byte {
	maps.DeleteFunc(files, func(name string, _ []byte) bool {
		return !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml")
	})
	return files
}

func diffFiles(x, y map[string][]byte) ([]fileDiff, error) {
	names := slices.Collect(maps.Keys(x))
	for n := range y {
		if _, ok := x[n]; !ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	list := []fileDiff{}
	for _, n := range names {
		a, inX := x[n]
		b, inY := y[n]
		switch {
		case !inY:
			list = append(list, fileDiff{File: n, Kind: "removed", Changes: []workflows.Difference{}})
		case !inX:
			list = append(list, fileDiff{File: n, Kind: "added", Changes: []workflows.Difference{}})
		default:
			changes, err := workflows.Diff(a, b)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", n, err)
			}
			if len(changes) > 0 {
				list = append(list, fileDiff{File: n, Kind: "changed", Changes: changes})
			}
		}
	}
	return list, nil
}

func (a *app) printDiff(list []fileDiff, broken []breakage) error {
	if a.json() {
		if err := a.printJSON(map[string]any{"files": list, "breaking": append([]breakage{}, broken...)}); err != nil {
			return err
		}
	} else {
		for _, f := range list {
			if f.File != "" {
				a.printf("%s: %s\n", f.File, f.Kind)
			}
			for _, c := range f.Changes {
				a.printf("  %s\n", changeLine(c))
			}
			if f.OpenRuns > 0 {
				a.printf("  open runs: %d; they continue with the version they began with\n", f.OpenRuns)
			}
		}
		a.printBreakages(broken)
	}
	if len(list)+len(broken) > 0 {
		return &exitError{exitFailure, errors.New("")}
	}
	if !a.json() {
		a.printf("no difference\n")
	}
	return nil
}

// maxChangeText is the maximum number of characters of a value on a line.
const maxChangeText = 100

func changeLine(c workflows.Difference) string {
	short := func(v any) string { return value.CutText(shownValue(v), maxChangeText) }
	switch c.Kind {
	case "added":
		return "+ " + c.Path + ": " + short(c.After)
	case "removed":
		return "- " + c.Path + ": " + short(c.Before)
	case "moved":
		return "~ " + c.Path + " moved"
	}
	return "~ " + c.Path + ": " + short(c.Before) + " -> " + short(c.After)
}
