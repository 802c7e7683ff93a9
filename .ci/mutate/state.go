package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// result is the kept result of a mutant.
type result struct {
	ID         int
	Result, By string
}

// workplace gives the folder for the binaries and what is learned, and whether it is kept.
// Its name in state has a sum of the code, the tests and the sample: after a change of
// these, everything is tried again.
func workplace(state, tested string, mutants []*mutant) (dir string, kept bool, err error) {
	if state == "" {
		if dir, err = os.MkdirTemp("", "mutate"); err != nil {
			return "", false, err
		}
		dir, err = filepath.EvalSymlinks(dir)
		return dir, false, err
	}
	sum := sha256.New()
	for _, p := range packagesOf(mutants) {
		for _, f := range p.files {
			fmt.Fprintf(sum, "%s\x00%s\x00", f.path, f.source)
		}
	}
	tests, err := filepath.Glob(filepath.Join(tested, "*.go"))
	if err != nil {
		return "", false, err
	}
	for _, path := range tests {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", false, err
		}
		fmt.Fprintf(sum, "%s\x00%s\x00", path, text)
	}
	for _, m := range mutants {
		fmt.Fprintf(sum, "%d %s:%d %s\x00", m.id, m.File, m.from, m.Change)
	}
	if dir, err = filepath.Abs(state); err != nil {
		return "", false, err
	}
	dir = filepath.Join(dir, fmt.Sprintf("%s_%.8x", strings.ReplaceAll(tested, "/", "."), sum.Sum(nil)))
	return dir, true, os.MkdirAll(dir, 0o700)
}

// packagesOf lists the packages of mutants, in their order.
func packagesOf(mutants []*mutant) (list []*pkg) {
	for _, m := range mutants {
		if !slices.Contains(list, m.pkg) {
			list = append(list, m.pkg)
		}
	}
	return list
}

// compiled records that the binary of all mutants exists, and which mutants are not in it.
func (b *bench) compiled(mutants []*mutant) error {
	var alone []string
	for _, m := range mutants {
		if m.switched == "" {
			alone = append(alone, strconv.Itoa(m.id))
		}
	}
	return os.WriteFile(filepath.Join(b.dir, "compiled"), []byte(strings.Join(alone, "\n")), 0o600)
}

// appendJSON adds a line to a file.
func appendJSON(path string, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// readJSON reads the lines of a file, none if it is missing. A line that was cut off by
// the end of the process is left out.
func readJSON[T any](path string) ([]T, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []T
	for line := range bytes.Lines(text) {
		var v T
		if json.Unmarshal(line, &v) == nil {
			list = append(list, v)
		}
	}
	return slices.Clip(list), nil
}

func readResults(path string) (map[int]result, error) {
	list, err := readJSON[result](path)
	byID := map[int]result{}
	for _, r := range list {
		byID[r.ID] = r
	}
	return byID, err
}

func readTests(path string) (map[string]*test, error) {
	list, err := readJSON[*test](path)
	byName := map[string]*test{}
	for _, t := range list {
		byName[t.Name] = t
	}
	return byName, err
}
