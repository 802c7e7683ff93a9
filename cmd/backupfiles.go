package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hookloom/hookloom/engine/atomicfile"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/secrets"
)

// filesOfBackup is the extension of the file with the files of runs, beside the copy of the
// database: a tar archive, encrypted with the project's key. The files are not masked, and a backup
// must contain no secret in clear text.
const filesOfBackup = ".files.age"

// backupFiles writes the files of runs beside the backup in file. If there are none, it writes
// nothing and n is 0.
func backupFiles(dir, file string) (n int, err error) {
	kept, err := filepath.Glob(filepath.Join(dir, files.Folder, "run_*", "*"))
	if err != nil || len(kept) == 0 {
		return 0, errors.Join(err, removeOld(file+filesOfBackup))
	}
	_ = atomicfile.RemoveStaleOf(file + filesOfBackup) // no reason to make no backup
	f, err := atomicfile.Create(file + filesOfBackup)
	if err != nil {
		return 0, fmt.Errorf("backing up the files of runs: %w", err)
	}
	w, err := secrets.EncryptTo(seal.New(dir), f)
	if err == nil {
		n, err = files.New(dir, 0).Export(w)
		err = errors.Join(err, w.Close())
	}
	if err == nil {
		err = f.Commit(0o600)
	}
	if err != nil {
		return 0, fmt.Errorf("backing up the files of runs: %w", errors.Join(err, f.Abort()))
	}
	return n, nil
}

// removeOld removes the files of an older backup of the same name.
func removeOld(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// restoreFiles restores the files of runs beside a backup.
func restoreFiles(dir, file string) (n int, err error) {
	f, err := os.Open(file + filesOfBackup)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r, err := secrets.DecryptFrom(seal.New(dir), f)
	if err == nil {
		n, err = files.New(dir, 0).Import(r)
	}
	if errors.Is(err, seal.ErrNoKey) {
		return n, fmt.Errorf("%s: %w, and run hookloom restore again", file+filesOfBackup, err)
	}
	return n, err
}
