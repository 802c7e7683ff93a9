package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// StaleAfter is how long a temporary file must be unchanged before RemoveStale removes it. A process that writes
// one for longer changes its time.
const StaleAfter = 10 * time.Minute

// RemoveStale removes temporary files that a killed process left in a directory: regular files whose names are prefix,
// digits, as os.CreateTemp adds them, and suffix. remove is called with the path of each; nil removes the file alone.
func RemoveStale(dir, prefix, suffix string, remove func(path string) error) error {
	if remove == nil {
		remove = os.Remove
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		number, ok := strings.CutPrefix(e.Name(), prefix)
		if number, ok = cutSuffix(number, suffix, ok); !ok || number == "" || strings.Trim(number, "0123456789") != "" || !e.Type().IsRegular() {
			continue
		}
		info, ierr := e.Info()
		if ierr == nil && time.Since(info.ModTime()) > StaleAfter {
			ierr = remove(filepath.Join(dir, e.Name()))
		}
		if ierr != nil && !errors.Is(ierr, fs.ErrNotExist) { // another process may have removed it
			err = errors.Join(err, ierr)
		}
	}
	return err
}

func cutSuffix(name, suffix string, found bool) (string, bool) {
	rest, ok := strings.CutSuffix(name, suffix)
	return rest, ok && found
}

// RemoveStaleOf removes the temporary files that killed processes left beside the file at path.
func RemoveStaleOf(path string) error {
	return RemoveStale(filepath.Dir(path), "."+filepath.Base(path)+".", ".tmp", nil)
}
