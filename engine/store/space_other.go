//go:build !linux

package store

import "os"

// allocate allocates the blocks of a file.
func allocate(f *os.File, size int64) error { return writeZeros(f, size) }
