package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store"
)

// TestNothingIsAcknowledgedAfterAFileIsMoved: SQLite would go on with the open
// files, and what was acknowledged would be gone with the process.
func TestNothingIsAcknowledgedAfterAFileIsMoved(t *testing.T) {
	replace := func(path string) error {
		err := os.WriteFile(path+".new", []byte("another file"), 0o600)
		return errors.Join(err, os.Rename(path+".new", path))
	}
	away := func(path string) error { return os.Rename(path, path+".away") }
	for _, c := range []struct {
		name, file string
		move       func(path string) error
		how        string
	}{
		{"database removed", "x.db", os.Remove, "the database file"},
		{"database moved", "x.db", away, "removed or moved"},
		{"database replaced", "x.db", replace, "replaced"},
		{"database emptied", "x.db", func(path string) error { return os.Truncate(path, 0) }, "emptied"},
		{"log removed", "x.db-wal", os.Remove, "the write-ahead log"},
		{"log emptied", "x.db-wal", func(path string) error { return os.Truncate(path, 0) }, "emptied"},
		{"log written over", "x.db-wal", func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt(make([]byte, 64), 0)
				err = errors.Join(err, f.Close())
			}
			return err
		}, "written over"},
		{"index removed", "x.db-shm", os.Remove, "index"},
		{"lock removed", "x.db.lock", os.Remove, "the lock file"},
		{"lock replaced", "x.db.lock", replace, "the lock file"},
		{"folder moved", "", away, "the database file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			s := open(t, filepath.Join(dir, "x.db"), store.Options{})
			if _, err := s.Accept(ctx, 1, delivery("a", "k1")); err != nil {
				t.Fatal(err)
			}
			if err := c.move(filepath.Join(dir, c.file)); err != nil {
				t.Fatal(err)
			}
			_, err := s.Accept(ctx, 2, delivery("a", "k2"))
			var moved *store.MovedError
			if !errors.As(err, &moved) || !strings.Contains(err.Error(), c.how) {
				t.Errorf("%v", err)
			}
			if s.Err() == nil {
				t.Error("the store goes on")
			}
		})
	}
}

func TestIdleServerDetectsAMovedFileWithinASecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Failed():
	case <-time.After(time.Second):
		t.Error("not noticed")
	}
}

// TestEventsAcknowledgedBeforeTheLogIsRemovedAreKept: at the close SQLite moves what the
// open log has into the database.
func TestEventsAcknowledgedBeforeTheLogIsRemovedAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	if _, err := s.Accept(ctx, 1, delivery("a", "k1")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	<-s.Failed()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path, store.Options{})
	if r, err := again.Accept(ctx, 3, delivery("a", "k1")); err != nil || !r.Duplicate {
		t.Errorf("%+v %v", r, err)
	}
}

func TestTheServerOfADatabaseIsFoundByItsLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if h, err := store.HolderOf(path); h != nil || err != nil {
		t.Errorf("%+v %v", h, err)
	}
	s := open(t, path, store.Options{})
	if err := s.Announce("http://127.0.0.1:1", "http://127.0.0.1:2"); err != nil {
		t.Fatal(err)
	}
	if h, err := store.HolderOf(path); err != nil || h == nil || h.PID != os.Getpid() || h.Admin != "http://127.0.0.1:2" ||
		h.Hooks != "http://127.0.0.1:1" {
		t.Errorf("%+v %v", h, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if h, err := store.HolderOf(path); h != nil || err != nil {
		t.Errorf("after its end: %+v %v", h, err)
	}
}

func TestStartWaitsForAShortCommandButNotForAServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{Verb: "prune"})
	time.AfterFunc(300*time.Millisecond, func() { s.Close() })
	server := open(t, path, store.Options{})
	began := time.Now()
	_, err := store.Open(ctx, path, store.Options{})
	var inUse *store.InUseError
	if !errors.As(err, &inUse) || time.Since(began) > time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
}
