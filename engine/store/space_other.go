//go:build !linux

package store

import "os"

// allocate returns a file its blocks.
func allocate(f *os.File, size int64) error { return writeZeros(f, size) }
