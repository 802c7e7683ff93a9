package store

import (
	"errors"
	"os"
	"syscall"
)

// allocate allocates the blocks of a file, without writing them if the file system supports that.
func allocate(f *os.File, size int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return writeZeros(f, size)
	}
	return err
}
