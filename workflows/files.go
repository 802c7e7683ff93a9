package workflows

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/workflows/dataschema"
)

// Files are the contents of a project's files by slash-separated path relative to its folder:
// hookloom.yaml, the file of one environment, workflows/**, connectors/*, and the JSON Schemas that
// triggers name.
type Files map[string][]byte

// ProjectFile is the name of the project's settings file.
const ProjectFile = "hookloom.yaml"

// ReadFiles reads the YAML files of the project in dir, including the file of the environment unless
// environment is "". A file that cannot be read is a mistake. It reads no file outside dir: links
// that lead out of it, devices and pipes are refused, and the size of a file is checked before it
// is read.
func ReadFiles(dir, environment string) (Files, Mistakes) {
	files := Files{}
	var mistakes Mistakes
	root, err := os.OpenRoot(dir)
	if err != nil {
		src := newSource(ProjectFile, nil)
		src.add(Pos{}, "file", fmt.Sprintf("the folder cannot be opened: %v", err), "")
		return files, src.mistakes
	}
	defer root.Close()
	names := append(yamlFiles(dir, "connectors"), yamlFiles(dir, "workflows")...)
	names = append(names, ProjectFile)
	if environment != "" {
		names = append(names, OverlayFile(environment))
	}
	for _, name := range names {
		text, problem, hint := readFile(root, name)
		switch {
		case problem != "":
			src := newSource(name, nil)
			src.add(Pos{}, "file", problem, hint)
			mistakes = append(mistakes, src.mistakes...)
		case text != nil:
			files[name] = text
		}
	}
	mistakes = append(mistakes, readSchemas(root, files)...)
	return files, mistakes
}

// readFile reads a file below root; text is nil if it does not exist. If the file cannot be used,
// problem and hint say why and what to do.
func readFile(root *os.Root, name string) (text []byte, problem, hint string) {
	most := int64(MaxFileSize)
	switch {
	case strings.HasPrefix(name, "connectors/"):
		most = int64(connectorLimits.size)
	case path.Ext(name) == schemaExt:
		most = dataschema.MaxFileSize
	}
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, lerr := root.Lstat(name); lerr == nil {
			return nil, "the link has no target", "remove it, or point it at a file of the project"
		}
		return nil, "", ""
	case err != nil:
		return nil, fmt.Sprintf("cannot be read: %v",
			pathless(err)), "a link may only point to a file in the project folder, by a relative path"
	case !info.Mode().IsRegular():
		return nil, "it is not a regular file", "only files of the project folder are read"
	case !leadsToItsKind(root, name):
		// A mistake quotes its line, which would disclose a secret of .env.
		kind := map[bool]string{true: "JSON", false: "YAML"}[path.Ext(name) == schemaExt]
		return nil, "the link points to a file that is not " + kind, "let it point to a ." + strings.ToLower(kind) + " file of the project"
	case info.Size() > most:
		return nil, fmt.Sprintf("the file is larger than %d KiB", most>>10), "split it"
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, fmt.Sprintf("cannot be read: %v", pathless(err)), ""
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Sprintf("cannot be read: %v", pathless(err)), ""
	}
	return text, "", ""
}

// leadsToItsKind reports whether a file is not a link, or a link to a file with the extension of
// its kind: YAML, or JSON for a schema.
func leadsToItsKind(root *os.Root, name string) bool {
	if info, err := root.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return true
	}
	end, err := filepath.EvalSymlinks(filepath.Join(root.Name(), name))
	if path.Ext(name) == schemaExt {
		return err == nil && filepath.Ext(end) == schemaExt
	}
	return err == nil && (filepath.Ext(end) == ".yaml" || filepath.Ext(end) == ".yml")
}

// pathless removes the path from an error, since the mistake names it.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// yamlFiles lists the YAML files below a folder of the project, sorted. The folder itself may be a
// link within the project, since Kubernetes mounts a ConfigMap as links to its current version.
// Folders whose names begin with two dots contain such versions and are skipped. Links to folders
// further down are not followed, since they could form cycles.
func yamlFiles(dir, folder string) []string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil // reading the files reports it
	}
	defer root.Close()
	out := yamlBelow(root.FS(), folder)
	slices.Sort(out)
	return out
}

// yamlBelow lists the YAML files below a folder. A missing folder contains no files; other errors
// are reported when the files are read.
func yamlBelow(project fs.FS, folder string) (out []string) {
	entries, err := fs.ReadDir(project, folder)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		switch ext := path.Ext(name); {
		case e.IsDir() && !strings.HasPrefix(e.Name(), ".."):
			out = append(out, yamlBelow(project, name)...)
		case !e.IsDir() && (ext == ".yaml" || ext == ".yml"):
			out = append(out, name)
		}
	}
	return out
}

// below lists the files below a folder, sorted.
func (f Files) below(folder string) []string {
	var out []string
	for name := range f {
		if strings.HasPrefix(name, folder+"/") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Equal reports whether both sets have the same contents.
func (f Files) Equal(other Files) bool {
	return maps.EqualFunc(f, other, func(a, b []byte) bool { return string(a) == string(b) })
}

// openFile reads a file that is not part of Files, such as a test, and keeps its mistakes.
func openFile(dir, name string) (*source, bool) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, false
	}
	defer root.Close()
	text, problem, hint := readFile(root, path.Clean(name))
	src := newSource(name, text)
	if problem != "" {
		src.add(Pos{}, "file", problem, hint)
	}
	return src, problem == ""
}
