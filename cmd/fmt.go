package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine/atomicfile"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

// fmtCmd formats the files of a project.
func (a *app) fmtCmd() *cobra.Command {
	var check bool
	c := &cobra.Command{Use: "fmt [DIR|FILE ...]", Short: "Put YAML files into the standard form",
		Long: `Formats the workflows, connectors, tests and settings of a project, or the given files:
keys in the order of the manual, no trailing space, at most one empty line between keys.
Comments stay with their keys. The meaning never changes: if that cannot be verified for
a file, it is left unchanged, with an error. --check changes nothing, lists the files that
would change, and exits with status 1 if there are any.`,
		Example: "  hookloom fmt\n  hookloom fmt --check\n  hookloom fmt workflows/paid.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			return a.format(args, check)
		}}
	c.Flags().BoolVar(&check, "check", false, "change nothing; exit with status 1 if a file would change")
	return c
}

func (a *app) format(args []string, check bool) error {
	files, err := formatted(args)
	if err != nil {
		return err
	}
	var changed []string
	var failed []error
	for _, file := range files {
		text, err := readYAML(file)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		out, err := workflows.Format(kindOfFile(file), text)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", file, err))
			continue
		}
		if bytes.Equal(out, text) {
			continue
		}
		if changed = append(changed, file); !check {
			if err := replaceFile(file, out); err != nil {
				failed = append(failed, err)
			}
		}
	}
	if a.json() {
		if err := a.printJSON(map[string]any{"files": len(files), "changed": append([]string{}, changed...)}); err != nil {
			return err
		}
	} else {
		for _, f := range changed {
			a.printf("%s\n", f)
		}
	}
	if len(failed) > 0 {
		return &exitError{exitUsage, errors.Join(failed...)}
	}
	if check && len(changed) > 0 {
		return &exitError{exitFailure, errors.New("hookloom fmt puts these files into the standard form")}
	}
	return nil
}

// formatted lists the files of the arguments: files themselves, folders as projects.
func formatted(args []string) (out []string, err error) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, usageError("%v", err)
		}
		if info.Mode().IsRegular() {
			out = append(out, arg)
			continue
		}
		if !info.IsDir() {
			return nil, usageError("%s is not a regular file", arg) // a pipe cannot be replaced, and opening it may block
		}
		before := len(out)
		parts := []string{workflows.ProjectFile, "workflows", "tests", "connectors"}
		for _, environment := range workflows.Environments(arg) {
			parts = append(parts, workflows.OverlayFile(environment))
		}
		for _, part := range parts {
			root := filepath.Join(arg, part)
			err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				if err == nil && e.Type().IsRegular() && (strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")) {
					out = append(out, path)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		if len(out) == before {
			return nil, usageError("%s has no hookloom.yaml and no workflows/: it is not a project", arg)
		}
	}
	return out, nil
}

// kindOfFile returns the grammar of a file, judged by its path.
func kindOfFile(path string) string {
	folders := strings.Split(filepath.ToSlash(filepath.Dir(path)), "/")
	switch base := filepath.Base(path); {
	case workflows.IsSettings(base) || base == "hookloom.yml":
		return "project"
	case slices.Contains(folders, "tests") || strings.HasSuffix(strings.TrimSuffix(base, filepath.Ext(base)), "_test"):
		return "test_file"
	case slices.Contains(folders, "connectors"):
		return "connector"
	}
	return "workflow"
}

// readYAML reads a file, up to one byte more than a YAML file may have, which its parser refuses.
func readYAML(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, workflows.MaxFileSize+1))
}

// replaceFile replaces a file atomically and keeps its mode. For a symbolic link it replaces the
// target, and keeps the link.
func replaceFile(path string, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, text, info.Mode().Perm())
}
