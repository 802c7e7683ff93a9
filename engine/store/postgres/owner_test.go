//go:build unix

package postgres_test

import (
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// own gives a file to the owner of another one.
func own(t *testing.T, path string, as fs.FileInfo) {
	t.Helper()
	st, ok := as.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	if err := os.Chown(path, int(st.Uid), int(st.Gid)); err != nil {
		t.Fatal(err)
	}
}
