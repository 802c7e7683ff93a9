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

// Files are the files of a project by their path relative to its folder, with slashes:
// hookloom.yaml, workflows/**, connectors/*, and the JSON Schemas that triggers name.
type Files map[string][]byte

// ProjectFile is the file of the project's own settings.
const ProjectFile = "hookloom.yaml"

// ReadFiles reads the YAML files of the project in dir. What cannot be read is a
// mistake. No file outside of dir is read: links that lead out of it, devices and
// pipes are refused, and a file's size is looked at before its content.
func ReadFiles(dir string) (Files, Mistakes) {
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
	for _, name := range append(names, ProjectFile) {
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

// readFile reads a file below a folder, nil when it is not there. A file that
// cannot be used has a problem, and a hint at what to do.
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
		// A mistake shows the line where it is: of .env it would show a secret.
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

// leadsToItsKind reports whether a file is no link, or one whose end has the name of a file of its
// kind: YAML, or JSON for a schema.
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

// pathless takes the path out of an error: the mistake names it already.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// yamlFiles lists the YAML files below a folder of the project, sorted. The folder
// itself may be a link, as far as it stays in the project: Kubernetes mounts a ConfigMap as links to
// its version in force. Folders whose names begin with two dots are such versions, and are left
// out. Links to folders below are not followed: they may lead back.
func yamlFiles(dir, folder string) []string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil // which shows when the files are read
	}
	defer root.Close()
	out := yamlBelow(root.FS(), folder)
	slices.Sort(out)
	return out
}

// yamlBelow lists the YAML files below a folder. A folder that is not there holds no files; any
// other trouble shows when its files are opened.
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

// below lists the files of a folder, sorted.
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

// Equal reports whether two sets hold the same texts.
func (f Files) Equal(other Files) bool {
	return maps.EqualFunc(f, other, func(a, b []byte) bool { return string(a) == string(b) })
}

// openFile reads one file of a folder with its mistakes, for what is not part of
// the project's own set, such as tests.
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
