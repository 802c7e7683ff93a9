// Command licenses writes the licences of all modules in the binary, for
// hookloom version --licenses: go run ./.ci/licenses > cmd/licenses.txt
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func write() error {
	out, err := exec.Command("go", "list", "-deps", "-f",
		"{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", ".").Output()
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	var b bytes.Buffer
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	if err := module(&b, "the Go standard library", "", strings.TrimSpace(string(root))); err != nil {
		return err
	}
	for _, line := range slices.Compact(lines) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue // a package of the standard library
		}
		if err := module(&b, f[0], f[1], f[2]); err != nil {
			return err
		}
	}
	_, err = b.WriteTo(os.Stdout)
	return err
}

// module writes the licence texts of one module.
func module(b *bytes.Buffer, path, version, dir string) error {
	var files []string
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "license*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return errors.New("no licence in " + dir)
	}
	slices.Sort(files)
	fmt.Fprintf(b, "==== %s\n\n", strings.TrimSpace(path+" "+version))
	for _, file := range slices.Compact(files) {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue // a folder of the texts that the files of the module name; LICENSE has the module's
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "%s\n\n", strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")))
	}
	return nil
}
