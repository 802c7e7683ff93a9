package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// copyOver writes the content of one file over that of another, as cp does.
func copyOver(t *testing.T, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(dst, src)
	if err := errors.Join(err, dst.Close()); err != nil {
		t.Fatal(err)
	}
}

// moveLog moves the log into the database, as another program may do at any time.
func moveLog(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// closedDatabase is a database with one event, whose log is moved into it.
func closedDatabase(t *testing.T, path, key string) {
	t.Helper()
	s := open(t, path, store.Options{})
	if _, err := s.Accept(ctx, 1, delivery("a", key)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOverwrittenDatabaseIsDetectedAndNotMixed: nothing more is acknowledged, and what is
// in the file afterwards gets no page of the old database, now or from the log that is left.
func TestOverwrittenDatabaseIsDetectedAndNotMixed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// before returns the file whose content is written over that of path. It is called while
		// nothing has the database.
		before func(t *testing.T, path string) string
	}{
		{"another database", func(t *testing.T, path string) string {
			closedDatabase(t, path+".other", "other")
			return path + ".other"
		}},
		{"a copy from before the start", func(t *testing.T, path string) string {
			closedDatabase(t, path, "other")
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path+".copy", b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			return path + ".copy"
		}},
		{"a copy on which another server went on", func(t *testing.T, path string) string {
			closedDatabase(t, path, "first")
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path+".copy", b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			on := open(t, path+".copy", store.Options{})
			for i := range 500 {
				if _, err := on.Accept(ctx, engine.EventID(i+10), delivery("a", fmt.Sprint("other", i))); err != nil {
					t.Fatal(err)
				}
			}
			if err := on.Close(); err != nil {
				t.Fatal(err)
			}
			return path + ".copy"
		}},
		{"a text", func(t *testing.T, path string) string {
			if err := os.WriteFile(path+".txt", []byte(strings.Repeat("no database\n", 9000)), 0o600); err != nil {
				t.Fatal(err)
			}
			return path + ".txt"
		}},
	} {
		for _, busy := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, busy %v", c.name, busy), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "x.db")
				from := c.before(t, path)
				s := open(t, path, store.Options{})
				for i := range 50 {
					if _, err := s.Accept(ctx, engine.EventID(i+10), delivery("a", fmt.Sprint("mine", i))); err != nil {
						t.Fatal(err)
					}
				}
				moveLog(t, path)
				copyOver(t, from, path)
				if busy {
					if r, err := s.Accept(ctx, 100, delivery("a", "late")); err == nil {
						t.Errorf("acknowledged: %+v", r)
					}
				}
				select {
				case <-s.Failed():
				case <-time.After(time.Minute):
					t.Fatal("not noticed")
				}
				var moved *store.MovedError
				if err := s.Err(); !errors.As(err, &moved) || !strings.Contains(err.Error(), "overwritten") || !strings.Contains(err.Error(),
					".of-overwritten-") {
					t.Errorf("%v", err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				want, _ := os.ReadFile(from)
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
					t.Errorf("the new content was changed: %d bytes for %d, %v", len(got), len(want), err)
				}
				if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
					t.Error("the log of the former content is still beside the new one")
				}
			})
		}
	}
}

// TestCopyByTheRunningServerIsDetectedToo: its application id is that of the process.
func TestCopyByTheRunningServerIsDetectedToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	accept := func(from, n int) {
		for i := range n {
			if _, err := s.Accept(ctx, engine.EventID(from+i), delivery("a", fmt.Sprint(from+i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	accept(10, 100)
	if _, err := h.Backup(ctx, path+".backup", false); err != nil {
		t.Fatal(err)
	}
	copyOver(t, path+".backup", path)
	if r, err := s.Accept(ctx, 1000, delivery("a", "late")); err == nil {
		t.Errorf("acknowledged: %+v", r)
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "overwritten") {
		t.Errorf("%v", err)
	}
}

// TestCheckpointsOfOtherProgramsAreNotOverwrites: backup programs such as Litestream move the
// log into the database by themselves.
func TestCheckpointsOfOtherProgramsAreNotOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	for i := range 200 {
		if _, err := s.Accept(ctx, engine.EventID(i+1), delivery("a", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			moveLog(t, path)
		}
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}
