// Package atomicfile replaces files so that a crash or a power cut leaves either the old file or
// the new one, never a part of it.
//
// It must not know what is in the files.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// File is a file that gets its name when it is committed. Until then its data is in a temporary
// file in the same directory.
type File struct {
	*os.File

	path string
	done bool
}

// Create starts a new version of the file at path. Only the owner can read the temporary file
// (mode 0600). The caller must call Commit or Abort.
func Create(path string) (*File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return nil, err
	}
	return &File{File: f, path: path}, nil
}

// Commit sets the permissions, syncs the data to disk, renames the temporary file to its name and syncs the directory.
// If it returns an error, the old file is unchanged, unless only the sync of the directory
// failed: then the new file may be lost in a power cut.
func (f *File) Commit(mode fs.FileMode) error {
	if f.done {
		return os.ErrClosed
	}
	if err := errors.Join(f.Chmod(mode), f.Sync()); err != nil {
		return errors.Join(err, f.Abort())
	}
	f.done = true
	err := f.Close()
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(filepath.Dir(f.path))
}

// Abort removes the temporary file. After Commit it does nothing, so it can be deferred.
func (f *File) Abort() error {
	if f.done {
		return nil
	}
	f.done = true
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Write replaces the file at path with data.
func Write(path string, data []byte, mode fs.FileMode) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Abort())
	}
	return f.Commit(mode)
}

// SyncDir makes created and renamed names in a directory durable. Windows cannot sync a
// directory; its file systems log changes of names themselves.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing the directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
