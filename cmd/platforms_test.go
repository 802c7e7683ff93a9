package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryPackageTypeChecksOnTheReleasesPlatforms checks the program and its tests with the files that other
// systems build. It needs no C compiler for them: calls of C, which only the SQLite driver makes, are not
// checked. Whether the result also links and works is checked where a compiler for the system exists (.ci/run).
func TestEveryPackageTypeChecksOnTheReleasesPlatforms(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds a platform")
	}
	for _, platform := range []string{"windows/amd64", "darwin/arm64"} {
		t.Run(platform, func(t *testing.T) {
			goos, goarch, _ := strings.Cut(platform, "/")
			p := &platformCheck{fset: token.NewFileSet(), done: map[string]*types.Package{"unsafe": types.Unsafe}}
			p.load(t, goos, goarch)
			own := 0
			for _, l := range p.list {
				if p.check(l) {
					own++
				}
			}
			for _, err := range p.errs {
				t.Error(err)
			}
			if own < 50 {
				t.Errorf("only %d packages of the module were checked", own)
			}
		})
	}
}

// platformCheck type-checks a list of packages, dependencies first.
type platformCheck struct {
	fset *token.FileSet
	list []listedPackage
	done map[string]*types.Package
	errs []error
}

// listedPackage is one package of go list.
type listedPackage struct {
	ImportPath, Dir, ForTest string
	GoFiles, CgoFiles        []string
	ImportMap                map[string]string
	Module                   *struct{ Main bool }
}

func (p *platformCheck) load(t *testing.T, goos, goarch string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", "list", "-deps", "-test",
		"-json=ImportPath,Dir,ForTest,GoFiles,CgoFiles,ImportMap,Module", "./...")
	c.Dir = ".."
	c.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=1")
	var errOut bytes.Buffer
	c.Stderr = &errOut
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errOut.String())
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listedPackage
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		p.list = append(p.list, l)
	}
}

// check type-checks one package, and reports whether it is one of the module. Of other modules it needs only
// the declarations.
func (p *platformCheck) check(l listedPackage) (own bool) {
	if l.ImportPath == "unsafe" {
		return false
	}
	own = l.Module != nil && l.Module.Main
	var files []*ast.File
	for _, name := range append(l.GoFiles, l.CgoFiles...) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(l.Dir, name)
		}
		f, err := parser.ParseFile(p.fset, name, nil, parser.SkipObjectResolution)
		if err != nil && own {
			p.errs = append(p.errs, err)
		}
		files = append(files, f)
	}
	conf := types.Config{FakeImportC: true, IgnoreFuncBodies: !own, Importer: importer{p, l.ImportMap}, Error: func(err error) {
		if own && !strings.Contains(err.Error(), "constant unknown with invalid type") { // a constant of C
			p.errs = append(p.errs, err)
		}
	}}
	path, _, _ := strings.Cut(l.ImportPath, " ")
	p.done[l.ImportPath], _ = conf.Check(path, p.fset, files, nil) // its errors are in conf.Error
	return own
}

// importer finds the packages that one package imports.
type importer struct {
	p    *platformCheck
	maps map[string]string
}

// Import implements types.Importer.
func (i importer) Import(path string) (*types.Package, error) {
	if mapped, ok := i.maps[path]; ok {
		path = mapped
	}
	if found, ok := i.p.done[path]; ok && found != nil {
		return found, nil
	}
	return nil, errors.New("not loaded: " + path)
}
