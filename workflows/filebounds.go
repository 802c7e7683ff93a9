package workflows

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// FileBounds are the size limits of run files, in bytes.
type FileBounds struct {
	// MaxFile is the limit of one file, MaxSize of all files together.
	MaxFile, MaxSize int64
	// Folder is the folder of the project that file/ actions may access; empty for none.
	Folder string
}

// ownFolders are the folders that file/ actions may not access: their content is executed, or
// stored for runs.
var ownFolders = []string{"workflows", "connectors", "tests", "fixtures", "files"}

// DefaultFileBounds returns the limits that apply if hookloom.yaml sets none.
func DefaultFileBounds() FileBounds { return FileBounds{MaxFile: 256 << 20, MaxSize: 2 << 30} }

func (d *decoder) fileBounds(o *objectNode) FileBounds {
	f := DefaultFileBounds()
	x := o.object("files")
	if x == nil {
		return f
	}
	f.MaxSize = x.size("max_size", f.MaxSize)
	f.MaxFile = x.size("max_file", min(f.MaxFile, f.MaxSize))
	f.Folder = strings.TrimSuffix(x.text("folder", ""), "/")
	if top, _, _ := strings.Cut(f.Folder, "/"); f.Folder != "" && (!filepath.IsLocal(f.Folder) || f.Folder == "." ||
		strings.HasPrefix(top, ".") || slices.Contains(ownFolders, strings.ToLower(top))) {
		d.add(x.at("folder"), "bad-folder", fmt.Sprintf("%q cannot be the folder of file/ actions", f.Folder),
			"use a folder for data alone, such as folder: data")
		f.Folder = ""
	}
	if f.MaxFile > f.MaxSize {
		d.add(x.at("max_file"), "out-of-range", fmt.Sprintf("max_file %s is larger than max_size, the limit for all files, %s",
			SizeText(f.MaxFile), SizeText(f.MaxSize)), "raise max_size, or lower max_file")
	}
	return f
}

// SizeText formats a size as files do: 64KiB, 256MiB, 1000 bytes.
func SizeText(n int64) string {
	for _, u := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n >= 1<<u.shift && n%(1<<u.shift) == 0 {
			return fmt.Sprintf("%d%s", n>>u.shift, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
