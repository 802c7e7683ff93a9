package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// pkg is a package with its mutants.
type pkg struct {
	dir     string
	fset    *token.FileSet
	files   []*file
	types   *types.Package
	info    *types.Info
	mutants []*mutant
}

// file is a source file of a package, with the lines that may change.
type file struct {
	path   string
	source []byte
	ast    *ast.File
	ranges [][2]int
}

// wants reports whether a line may change.
func (f *file) wants(line int) bool {
	return slices.ContainsFunc(f.ranges, func(r [2]int) bool { return r[0] <= line && line <= r[1] })
}

var targetForm = regexp.MustCompile(`^(.*?)(?::(\d+)(?:-(\d+))?)?$`)

// load reads the packages, files and line ranges of the command line.
func load(ctx context.Context, args []string) ([]*pkg, error) {
	wanted := map[string]map[string][][2]int{} // by folder and file; the file "" is all of them
	for _, arg := range args {
		parts := targetForm.FindStringSubmatch(arg)
		path, r := filepath.Clean(parts[1]), [2]int{1, 1 << 30}
		if parts[2] != "" {
			r[0], _ = strconv.Atoi(parts[2])
			r[1], _ = strconv.Atoi(cmp.Or(parts[3], parts[2]))
		}
		dir, name := path, ""
		if strings.HasSuffix(path, ".go") {
			dir, name = filepath.Dir(path), filepath.Base(path)
		}
		if wanted[dir] == nil {
			wanted[dir] = map[string][][2]int{}
		}
		wanted[dir][name] = append(wanted[dir][name], r)
	}
	var packages []*pkg
	for dir, files := range wanted {
		p, err := loadPackage(ctx, dir, files)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
	return packages, nil
}

// loadPackage parses and checks a package, and finds its mutants.
func loadPackage(ctx context.Context, dir string, wanted map[string][][2]int) (*pkg, error) {
	path, names, exports, err := goList(ctx, dir)
	if err != nil {
		return nil, err
	}
	p := &pkg{dir: dir, fset: token.NewFileSet(), info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}}
	var parsed []*ast.File
	for _, name := range names {
		f := &file{path: filepath.Join(dir, name), ranges: slices.Concat(wanted[""], wanted[name])}
		delete(wanted, name)
		if f.source, err = os.ReadFile(f.path); err != nil {
			return nil, err
		}
		if f.ast, err = parser.ParseFile(p.fset, f.path, f.source, parser.SkipObjectResolution); err != nil {
			return nil, err
		}
		p.files, parsed = append(p.files, f), append(parsed, f.ast)
	}
	for name := range wanted {
		if name != "" {
			return nil, fmt.Errorf("no file %s in the package", name)
		}
	}
	conf := types.Config{Importer: importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})}
	if p.types, err = conf.Check(path, p.fset, parsed, p.info); err != nil {
		return nil, err
	}
	for _, f := range p.files {
		p.find(f)
	}
	return p, nil
}

// goList returns a package's path and files, and the location of the compiled form of each of its
// dependencies.
func goList(ctx context.Context, dir string) (path string, files []string, exports map[string]string, err error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-export", "-deps", "-json=ImportPath,GoFiles,Export,DepOnly", "./"+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", nil, nil, fmt.Errorf("go list: %w", err)
	}
	exports = map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var q struct {
			ImportPath, Export string
			GoFiles            []string
			DepOnly            bool
		}
		if err := d.Decode(&q); errors.Is(err, io.EOF) {
			return path, files, exports, nil
		} else if err != nil {
			return "", nil, nil, err
		}
		exports[q.ImportPath] = q.Export
		if !q.DepOnly {
			path, files = q.ImportPath, q.GoFiles
		}
	}
}
