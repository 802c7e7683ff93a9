package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hookloom/hookloom/engine/atomicfile"
)

// Export writes the files of all runs as a tar archive, for a backup, and returns their number. It
// skips files that are removed with their run in the meantime.
func (s *Store) Export(w io.Writer) (n int, err error) {
	t := tar.NewWriter(w)
	err = filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(s.dir, path)
		if err != nil || relErr != nil || e.IsDir() {
			return ignoreMissing(errors.Join(err, relErr))
		}
		if rel = filepath.ToSlash(rel); !ofRun(rel) {
			return nil
		}
		f, size, err := s.Open(Folder + "/" + rel)
		if errors.Is(err, ErrMissing) || errors.Is(err, ErrOutside) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		n++
		if err := t.WriteHeader(&tar.Header{Name: rel, Typeflag: tar.TypeReg, Mode: 0o600, Size: size}); err != nil {
			return err
		}
		_, err = io.CopyN(t, f, size)
		return err
	})
	return n, errors.Join(err, t.Close())
}

// ofRun reports whether a path below the folder is a complete file of a run.
func ofRun(rel string) bool {
	run, name, ok := strings.Cut(rel, "/")
	return ok && strings.HasPrefix(run, "run_") && plainName(run) && plainName(name) && !strings.HasSuffix(name, partial)
}

// Import restores the files of an archive from Export, replacing those with the same name, and
// returns their number.
func (s *Store) Import(r io.Reader) (n int, err error) {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("reading the files of the backup: %w", err)
		}
		if h.Typeflag != tar.TypeReg || !ofRun(h.Name) {
			return n, fmt.Errorf("%q in the backup is no file of a run", h.Name)
		}
		if err := s.restore(h.Name, t); err != nil {
			return n, fmt.Errorf("restoring %s: %w", h.Name, err)
		}
		n++
	}
}

// restore writes one file completely or not at all.
func (s *Store) restore(rel string, from io.Reader) error {
	path := filepath.Join(s.dir, filepath.FromSlash(rel))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+partial))
	}
	if err := os.Rename(path+partial, path); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}
