// Package files stores the files of runs: responses too large for a step's output. They are under
// files/ in the project's folder, one folder per run, limited in size, and removed with their run.
// A file gets its name when it is complete and on disk.
//
// It must not know runs, steps or what is in a file.
package files

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hookloom/hookloom/engine/atomicfile"
)

// Folder is the folder of the files, below the project's folder.
const Folder = "files"

// partial is the extension of incomplete files.
const partial = ".part"

// Errors that callers distinguish.
var (
	// ErrFull means that the files of all runs have reached their size limit.
	ErrFull = errors.New("the files of runs have reached their size limit")
	// ErrTooLarge means that a file would exceed its size limit.
	ErrTooLarge = errors.New("the file is too large")
	// ErrOutside means that a path is not below the folder.
	ErrOutside = errors.New("the path is not one of the project's files/")
	// ErrMissing means that the file does not exist or was removed.
	ErrMissing = errors.New("there is no such file; files are removed with their run")
)

// Info describes a file as steps see it.
type Info struct {
	// Path is relative to the project's folder, such as files/run_x/report-1f0c.pdf.
	Path string
	Size int64
	// SHA256 is of the content, in hex.
	SHA256 string
}

// Store stores the files of one project. The zero Store has no folder and stores none.
type Store struct {
	dir string

	mu sync.Mutex
	// most is the maximum total size of the files in bytes; used is their current size, -1 until it
	// is counted.
	most, used int64
}

// New returns a store for the files below a project's folder. It creates nothing before the first
// file.
func New(project string, most int64) *Store {
	return &Store{dir: filepath.Join(project, Folder), most: most, used: -1}
}

// Bound sets the maximum total size of the files in bytes.
func (s *Store) Bound(most int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = most
}

// reserve reserves n more bytes, or releases -n.
func (s *Store) reserve(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used < 0 && n <= 0 {
		return nil // removed files are not counted later
	}
	if s.used < 0 {
		used, err := s.size()
		if err != nil {
			return err
		}
		s.used = used
	}
	if n > 0 && s.used+n > s.most {
		return fmt.Errorf("%w: %d of %d bytes", ErrFull, s.used, s.most)
	}
	s.used += n
	return nil
}

// size returns the total size of the existing files.
func (s *Store) size() (n int64, err error) {
	err = filepath.WalkDir(s.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreMissing(err)
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return ignoreMissing(err)
	})
	return n, err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Writer writes a new file. It must be ended with Commit or Abort.
type Writer struct {
	s          *Store
	f          *os.File
	path, name string
	limit      int64
	n          int64
	sum        hash.Hash
	err        error
}

// Create starts a file of a run, of at most limit bytes. Commit replaces a file with the same name.
func (s *Store) Create(run, name string, limit int64) (*Writer, error) {
	if s == nil || s.dir == "" {
		return nil, errors.New("no files are stored here")
	}
	if !plainName(run) || !plainName(name) {
		return nil, ErrOutside
	}
	dir := filepath.Join(s.dir, run)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &Writer{s: s, f: f, path: path, name: Folder + "/" + run + "/" + name, limit: limit, sum: sha256.New()}, nil
}

// plainName reports whether a name is a single path element.
func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\\\x00") && len(s) <= 200
}

// Write implements io.Writer.
func (w *Writer) Write(b []byte) (int, error) {
	switch {
	case w.err != nil:
	case w.n+int64(len(b)) > w.limit:
		w.err = ErrTooLarge
	default:
		w.err = w.s.reserve(int64(len(b)))
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.f.Write(b)
	w.n += int64(len(b)) // as reserved
	w.sum.Write(b[:n])
	w.err = err
	return n, err
}

// Err returns why the file cannot be written; nil if it can.
func (w *Writer) Err() error { return w.err }

// Abort removes what was written.
func (w *Writer) Abort() {
	_ = w.f.Close()
	_ = os.Remove(w.path + partial)
	_ = w.s.reserve(-w.n)
}

// Commit syncs the file to disk and renames it to its final name.
func (w *Writer) Commit() (Info, error) {
	err := w.err
	if err == nil {
		err = w.f.Sync()
	}
	if closed := w.f.Close(); err == nil {
		err = closed
	}
	var old int64
	if info, statErr := os.Stat(w.path); statErr == nil {
		old = info.Size()
	}
	if err == nil {
		err = os.Rename(w.path+partial, w.path)
	}
	if err != nil {
		_ = os.Remove(w.path + partial)
		_ = w.s.reserve(-w.n)
		return Info{}, err
	}
	if err := w.s.reserve(-old); err != nil {
		return Info{}, err
	}
	for _, dir := range []string{filepath.Dir(w.path), w.s.dir, filepath.Dir(w.s.dir)} {
		if err := atomicfile.SyncDir(dir); err != nil {
			return Info{}, err
		}
	}
	return Info{Path: w.name, Size: w.n, SHA256: hex.EncodeToString(w.sum.Sum(nil))}, nil
}

// Open opens a file by its path below the project's folder. It opens no file outside files/,
// whatever the path and whatever links exist.
func (s *Store) Open(path string) (*os.File, int64, error) {
	rest, ok := strings.CutPrefix(path, Folder+"/")
	if s == nil || s.dir == "" || !ok || !filepath.IsLocal(rest) || strings.HasSuffix(rest, partial) {
		return nil, 0, ErrOutside
	}
	root, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ErrMissing
	}
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	// Opening a pipe would block.
	info, err := root.Stat(rest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, ErrMissing
	case err != nil:
		return nil, 0, fmt.Errorf("%w: %w", ErrOutside, err)
	case !info.Mode().IsRegular():
		return nil, 0, ErrOutside
	}
	f, err := root.Open(rest)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// Swept is the number of files that a sweep removed, and their size.
type Swept struct {
	Files int
	Bytes int64
}

// Sweep removes the folders of runs that no longer exist. Other files in files/ belong to the user
// and are kept.
func (s *Store) Sweep(alive func(run string) (bool, error)) (Swept, error) {
	var out Swept
	if s == nil || s.dir == "" {
		return out, nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return out, ignoreMissing(err)
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), "run_") {
			continue
		}
		lives, err := alive(e.Name())
		if err != nil {
			return out, err
		}
		if lives {
			continue
		}
		if err := s.remove(filepath.Join(s.dir, e.Name()), &out, func(string) bool { return true }); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Clean removes the incomplete files of a crash. Nothing may be written at the same time.
func (s *Store) Clean() error {
	if s == nil || s.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return ignoreMissing(err)
	}
	var out Swept
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), "run_") {
			if err := s.remove(filepath.Join(s.dir, e.Name()), &out,
				func(name string) bool { return strings.HasSuffix(name, partial) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove removes files of a run's folder, and the folder if it is empty.
func (s *Store) remove(dir string, out *Swept, which func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.IsDir() || !which(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return ignoreMissing(err)
		}
		out.Files++
		out.Bytes += info.Size()
		if err := s.reserve(-info.Size()); err != nil {
			return err
		}
	}
	_ = os.Remove(dir) // it fails if something is left in it
	return nil
}
