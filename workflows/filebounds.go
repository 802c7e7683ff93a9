package workflows

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// FileBounds bounds the files of runs, in bytes.
type FileBounds struct {
	// MaxFile is how large one may be, MaxSize all together.
	MaxFile, MaxSize int64
	// Folder is the one below the project's that file/ actions reach; empty for none.
	Folder string
}

// ownFolders are those that file/ actions may not reach: what is in them is run, or kept
// for runs.
var ownFolders = []string{"workflows", "connectors", "tests", "fixtures", "files"}

// DefaultFileBounds are the bounds where hookloom.yaml has none.
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

// SizeText writes a size as files do: 64KiB, 256MiB, 1000 bytes.
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
