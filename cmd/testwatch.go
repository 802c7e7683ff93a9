package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// watchEvery is how often test --watch checks for changed files. It reads their times and sizes:
// that works on every file system, including those without change notifications, and takes a few
// milliseconds for hundreds of files.
const watchEvery = 300 * time.Millisecond

// watchTests runs the tests, and again after each change, until ctx ends. It then returns no error,
// whatever the last results.
func (a *app) watchTests(ctx context.Context, args []string, junit, coverage string) error {
	if a.json() {
		return usageError("--watch prints text: use hookloom test -o json for one run")
	}
	var dirs []string
	for dir := range targets(args) {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	for ctx.Err() == nil {
		before := projectState(dirs)
		err := a.test(args, junit, coverage)
		var exit *exitError
		if err != nil && (!errors.As(err, &exit) || exit.Error() != "") {
			a.printf("%s\n", err)
		}
		a.printf("waiting for changes; Ctrl-C ends\n")
		// Editors often save a file in several steps: run the tests when two checks agree.
		for last := before; ; {
			select {
			case <-ctx.Done():
				return nil
			case <-every.C:
			}
			now := projectState(dirs)
			if now == last && now != before {
				break
			}
			last = now
		}
		a.printf("\n")
	}
	return nil
}

// projectState returns a digest of files: names, sizes and times of all YAML and JSON files of
// projects, except in folders that begin with a dot.
func projectState(dirs []string) string {
	var b strings.Builder
	for _, dir := range dirs {
		// An unreadable file counts as missing: the tests report it.
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return nil
			case e.IsDir() && path != dir && strings.HasPrefix(e.Name(), "."):
				return filepath.SkipDir
			case e.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
				return nil
			}
			if info, err := e.Info(); err == nil {
				fmt.Fprintf(&b, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
	}
	return b.String()
}
