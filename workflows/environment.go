package workflows

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
	"github.com/hookloom/hookloom/workflows/spelling"
	"gopkg.in/yaml.v3"
)

// An environment is a second file of settings, hookloom.NAME.yaml, which is merged over
// hookloom.yaml: maps are merged key by key, lists and single values replace, and null removes
// a key (docs/environments.md).

// environmentName matches the names that an environment may have: a name is part of a file's name.
var environmentName = lazyregexp.New(`^[a-z0-9][a-z0-9_-]*$`)

// overlayName is the name of an environment's file.
var overlayName = lazyregexp.New(`^hookloom\.([a-z0-9][a-z0-9_-]*)\.yaml$`)

// OverlayFile returns the name of the file with an environment's settings.
func OverlayFile(environment string) string { return "hookloom." + environment + ".yaml" }

// EnvironmentOf returns the environment whose settings a file contains; "" for any other file.
func EnvironmentOf(file string) string {
	if m := overlayName.FindStringSubmatch(file); m != nil {
		return m[1]
	}
	return ""
}

// IsSettings reports whether a file contains settings of the project: hookloom.yaml, or the file of
// an environment.
func IsSettings(file string) bool { return file == ProjectFile || EnvironmentOf(file) != "" }

// Environments lists the environments of the project in dir, sorted.
func Environments(dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // loading the project reports it
	}
	for _, e := range entries {
		if name := EnvironmentOf(e.Name()); name != "" && !e.IsDir() {
			names = append(names, name)
		}
	}
	return names
}

// CheckEnvironment returns an error if the project in dir has no file for an environment. "" is the
// project without an environment.
func CheckEnvironment(dir, name string) error {
	if name == "" {
		return nil
	}
	if !environmentName.MatchString(name) {
		return fmt.Errorf("%q is not a name of an environment: use lower-case letters, digits, - and _", name)
	}
	known := Environments(dir)
	if slices.Contains(known, name) {
		return nil
	}
	folder := dir
	if folder == "." {
		folder = "this folder"
	}
	problem := fmt.Sprintf("no environment %q: %s has no %s", name, folder, OverlayFile(name))
	if other := strings.TrimSuffix(OverlayFile(name), "yaml") + "yml"; exists(filepath.Join(dir, other)) {
		return fmt.Errorf("%s; rename %s to it", problem, other)
	}
	if len(known) == 0 {
		return fmt.Errorf("%s; create it, or leave out --env (HOOKLOOM_ENV)", problem)
	}
	if meant := spelling.Suggest(name, known); meant != "" {
		problem += "; " + meant
	}
	return fmt.Errorf("%s\nthis project has the environments %s", problem, strings.Join(known, ", "))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Environment returns the environment that the files belong to; "" for none.
func (f Files) Environment() string {
	for name := range f {
		if env := EnvironmentOf(name); env != "" {
			return env
		}
	}
	return ""
}

// in returns the files without those of other environments.
func (f Files) in(environment string) Files {
	out := Files{}
	for name, text := range f {
		if env := EnvironmentOf(name); env == "" || env == environment {
			out[name] = text
		}
	}
	return out
}

// overlay is the second of two files that are read as one. Its lines follow those of the first file.
type overlay struct {
	name string
	// first is the number of lines before it.
	first int
}

// at returns the file that a line of the source comes from, and its number there.
func (s *source) at(line int) (file string, inFile int) {
	if s.over != nil && line > s.over.first {
		return s.over.name, line - s.over.first
	}
	return s.name, line
}

// settings reads hookloom.yaml and the environment's file as one. The node is nil if both are empty.
// ok is false if a file cannot be parsed; the source then has the mistakes of both files.
func settings(files Files) (src *source, n *yaml.Node, ok bool) {
	text := files[ProjectFile]
	env := files.Environment()
	over := files[OverlayFile(env)]
	if env == "" || onlyComments(over) {
		src = newSource(ProjectFile, text)
		src.scanned = true
		if strings.TrimSpace(string(text)) == "" {
			return src, nil, true
		}
		d := decoder{source: src}
		n = d.parse()
		return src, n, n != nil
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(slices.Clone(text), '\n')
	}
	src = newSource(ProjectFile, slices.Concat(text, over))
	src.over = &overlay{name: OverlayFile(env), first: strings.Count(string(text), "\n")}
	roots := make([]*yaml.Node, 2)
	ok = true
	for i, file := range []string{ProjectFile, src.over.name} {
		if onlyComments(files[file]) {
			continue
		}
		d := decoder{source: newSource(file, files[file])}
		d.scanned = true
		roots[i] = d.parse()
		src.mistakes = append(src.mistakes, d.mistakes...)
		src.hidden = append(src.hidden, d.hidden...)
		for _, c := range d.found {
			if file != ProjectFile {
				c.at.Line += src.over.first
			}
			src.found = append(src.found, c)
		}
		ok = ok && roots[i] != nil
	}
	if !ok {
		return src, nil, false
	}
	base, top := roots[0], roots[1]
	moveDown(top, src.over.first, map[*yaml.Node]bool{})
	if base == nil {
		return src, top, true
	}
	d := decoder{source: src}
	return src, d.merge(base, top), true
}

// onlyComments reports whether a file has neither keys nor values.
func onlyComments(text []byte) bool {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// moveDown adds to the line numbers of a tree. Aliases can make a node part of it several times.
func moveDown(n *yaml.Node, lines int, done map[*yaml.Node]bool) {
	if n == nil || done[n] {
		return
	}
	done[n] = true
	n.Line += lines
	for _, c := range n.Content {
		moveDown(c, lines, done)
	}
}

// merge merges a value over another one: two maps are merged, anything else replaces the value below.
// null in a map removes the key.
func (d *decoder) merge(base, over *yaml.Node) *yaml.Node {
	if base.Kind != yaml.MappingNode || over.Kind != yaml.MappingNode {
		return over
	}
	out := *base
	out.Content = nil
	overAt := map[string]int{} // positions of keys in over
	for i := len(over.Content) - 2; i >= 0; i -= 2 {
		overAt[over.Content[i].Value] = i
	}
	merged := map[int]bool{}
	own := false // the environment adds or removes keys: mistakes of the whole map are reported there
	for i := 0; i+1 < len(base.Content); i += 2 {
		k, v := base.Content[i], base.Content[i+1]
		at, there := overAt[k.Value]
		if !there {
			out.Content = append(out.Content, k, v)
			continue
		}
		merged[at] = true
		switch x := over.Content[at+1]; {
		case isNull(x):
			own = true
		case x.Kind == yaml.MappingNode && v.Kind == yaml.MappingNode:
			out.Content = append(out.Content, k, d.merge(v, x))
		default:
			out.Content = append(out.Content, over.Content[at], x)
		}
	}
	for i := 0; i+1 < len(over.Content); i += 2 {
		k, v := over.Content[i], over.Content[i+1]
		switch {
		case merged[i]:
		case isNull(v) && overAt[k.Value] == i:
			d.warn(d.pos(k), "nothing-removed", fmt.Sprintf("null removes a key, and hookloom.yaml has no %q here", k.Value),
				"remove this line, or correct the key")
		default:
			own = true
			out.Content = append(out.Content, k, v)
		}
	}
	if own {
		out.Line, out.Column = over.Line, over.Column
	}
	return &out
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
