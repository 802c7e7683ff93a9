package atomicfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookloom/hookloom/engine/atomicfile"
)

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func TestOldFileStaysUntilTheNewOneIsComplete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	if err := atomicfile.Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
		t.Fatalf("before the commit the file has %q, %v", text, err)
	}
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "old" {
		t.Errorf("after Abort the file has %q", text)
	}
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("Abort left %q", got)
	}
}

func TestCommitSetsTheModeAndLeavesNoTemporaryFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "public")
	if err := atomicfile.Write(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the temporary file has mode %v, %v", info.Mode(), err)
	}
	if _, err := f.WriteString("second"); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.Abort(); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	if err := f.Commit(0o644); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a second Commit: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != fs.FileMode(0o644) {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if text, _ := os.ReadFile(path); string(text) != "second" {
		t.Errorf("the file has %q", text)
	}
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("Commit left %q", got)
	}
}

func TestFailedRenameLeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "child"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("x"), 0o600); err == nil {
		t.Fatal("a file replaced a directory that is not empty")
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left %q", got)
	}
}
