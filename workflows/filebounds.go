package workflows

import "fmt"

// FileBounds bounds the files of runs, in bytes.
type FileBounds struct {
	// MaxFile is how large one may be, MaxSize all together.
	MaxFile, MaxSize int64
}

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
	if f.MaxFile > f.MaxSize {
		d.add(x.at("max_file"), "out-of-range", fmt.Sprintf("max_file %s is more than all files may have together, %s",
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
