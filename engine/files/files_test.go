package files_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/files"
)

func write(t *testing.T, s *files.Store, run, name, content string, limit int64) (files.Info, error) {
	t.Helper()
	w, err := s.Create(run, name, limit)
	if err != nil {
		return files.Info{}, err
	}
	if _, err := w.Write([]byte(content)); err != nil {
		w.Abort()
		return files.Info{}, err
	}
	return w.Commit()
}

// TestFilesAreCompleteBoundedAndRemovedWithTheirRun checks completeness, limits and removal.
func TestFilesAreCompleteBoundedAndRemovedWithTheirRun(t *testing.T) {
	dir := t.TempDir()
	s := files.New(dir, 10)
	info, err := write(t, s, "run_1", "a", "12345", 5)
	if err != nil || info != (files.Info{Path: "files/run_1/a", Size: 5,
		SHA256: "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"}) {
		t.Fatalf("%+v %v", info, err)
	}
	for what, c := range map[string]struct {
		content string
		limit   int64
		want    error
	}{"larger than its limit": {"123456", 5, files.ErrTooLarge}, "more than all may have": {"123456", 9, files.ErrFull}} {
		if _, err := write(t, s, "run_2", "b", c.content, c.limit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "files", "run_2")); len(left) > 0 {
		t.Errorf("what was refused left %v", left)
	}
	// A second attempt replaces the first one's file, and its size.
	for range 3 {
		if _, err := write(t, s, "run_1", "a", "54321", 5); err != nil {
			t.Fatal(err)
		}
	}
	again := files.New(dir, 10) // after a restart the existing files count
	if _, err := write(t, again, "run_3", "c", "123456", 9); !errors.Is(err, files.ErrFull) {
		t.Errorf("after a restart: %v", err)
	}
	unfinished := filepath.Join(dir, "files", "run_1", "x.part")
	own := filepath.Join(dir, "files", "logo.png")
	for _, f := range []string{unfinished, own} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := again.Clean(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(unfinished); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a crash left is there: %v", err)
	}
	if swept, err := again.Sweep(func(run string) (bool, error) { return run != "run_1", nil }); err != nil ||
		swept != (files.Swept{Files: 1, Bytes: 5}) {
		t.Errorf("%+v %v", swept, err)
	}
	if _, err := os.Stat(own); err != nil {
		t.Errorf("a person's own file: %v", err)
	}
	if _, err := write(t, again, "run_3", "c", "123456", 9); err != nil {
		t.Errorf("after the sweep there is room: %v", err)
	}
}

// TestNoPathLeadsOutOfTheFolder checks paths that a payload may contain.
func TestNoPathLeadsOutOfTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := files.New(dir, 100)
	if _, err := write(t, s, "run_1", "a", "x", 5); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("A=1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink("../.env", filepath.Join(dir, "files", "link")),
		os.Symlink(dir, filepath.Join(dir, "files", "up"))); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"files/run_1/a": nil, "files/run_1/b": files.ErrMissing, "files/run_9/a": files.ErrMissing, "files/run_1": files.ErrOutside,
		"files": files.ErrOutside, "": files.ErrOutside,
		"files/../.env": files.ErrOutside, "files/run_1/../../.env": files.ErrOutside, "../.env": files.ErrOutside, ".env": files.ErrOutside,
		"/etc/passwd":       files.ErrOutside,
		"files//etc/passwd": files.ErrOutside, "files/link": files.ErrOutside, "files/up/.env": files.ErrOutside,
		"./files/run_1/a": files.ErrOutside, "files/\x00": files.ErrOutside,
	} {
		f, _, err := s.Open(path)
		if f != nil {
			_ = f.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", path, err, want)
		}
	}
	for _, name := range []string{"", "..", "a/b", strings.Repeat("x", 300)} {
		if _, err := write(t, s, "run_1", name, "x", 5); err == nil {
			t.Errorf("a file named %q was made", name)
		}
	}
}
