package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// accepting returns a function that stores one event after another.
func accepting(s *store.Store) func() error {
	n := 0
	return func() error {
		n++
		d := delivery("a", fmt.Sprint("k", n))
		d.Raw = []byte(strings.Repeat("x", 9000))
		_, err := s.Accept(ctx, engine.EventID(n), d)
		return err
	}
}

// TestTruncatedLogIsNeitherExtendedNorCheckpointed: the next start finds what the
// log has left, in a database that is whole.
func TestTruncatedLogIsNeitherExtendedNorCheckpointed(t *testing.T) {
	t.Parallel()
	cut := func(part func(size int64) int64) func(string, int64, []byte) error {
		return func(wal string, size int64, _ []byte) error { return os.Truncate(wal, part(size)) }
	}
	half := cut(func(size int64) int64 { return size / 2 })
	hasGap := func(wal string, size int64, _ []byte) error {
		f, err := os.OpenFile(wal, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt(make([]byte, 20_000), size/2)
			err = errors.Join(err, f.Close())
		}
		return err
	}
	older := func(wal string, _ int64, before []byte) error { return os.WriteFile(wal, before, 0o600) }
	for _, c := range []struct {
		name   string
		damage func(wal string, size int64, before []byte) error
		then   string
	}{
		{"cut, then a write", half, "write"}, {"cut while idle", half, "idle"}, {"cut, then the end", half, "close"},
		{"its last frame cut", cut(func(size int64) int64 { return size - 8216 }), "write"},
		{"a part of its last frame cut", cut(func(size int64) int64 { return size - 8200 }), "write"},
		{"a hole while idle", hasGap, "idle"}, {"a hole, then the end", hasGap, "close"},
		{"an older copy, then a write", older, "write"}, {"an older copy, then the end", older, "close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			s, err := store.Open(ctx, path, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			accept := accepting(s)
			var before []byte
			for i := range 40 {
				if err := accept(); err != nil {
					t.Fatal(err)
				}
				if i == 20 {
					before, _ = os.ReadFile(path + "-wal")
				}
			}
			info, err := os.Stat(path + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.damage(path+"-wal", info.Size(), before); err != nil {
				t.Fatal(err)
			}
			switch c.then {
			case "write":
				err = accept()
			case "idle":
				select {
				case <-s.Failed():
				case <-time.After(3 * time.Second):
				}
				err = s.Err()
			}
			if closed := s.Close(); c.then == "close" {
				err = closed
			}
			var moved *store.MovedError
			if !errors.As(err, &moved) || !strings.Contains(err.Error(), "the write-ahead log") {
				t.Errorf("%v", err)
			}
			// The process ends, and with it the index.
			copied := filepath.Join(t.TempDir(), "x.db")
			for _, end := range []string{"", "-wal"} {
				b, err := os.ReadFile(path + end)
				if err == nil {
					err = os.WriteFile(copied+end, b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			open(t, copied, store.Options{})
			if text := queryOne(t, copied, `SELECT group_concat(integrity_check) FROM pragma_integrity_check`); text != "ok" {
				t.Error(text)
			}
		})
	}
}

// queryOne returns the one text that a query on a connection beside the store's finds.
func queryOne(t *testing.T, path, query string) (text string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&text); err != nil {
		t.Fatal(query, err)
	}
	return text
}

// TestCheckpointByAnotherProgramIsNoDamage checkpoints in each way, and writes, beside a
// store at work and an idle one.
func TestCheckpointByAnotherProgramIsNoDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`CREATE TABLE beside (n)`); err != nil {
		t.Fatal(err)
	}
	accept := accepting(s)
	const events = 600
	done := make(chan error, 1)
	go func() {
		for n := range events {
			if err := accept(); err != nil {
				done <- fmt.Errorf("event %d: %w", n, err)
				return
			}
		}
		done <- nil
	}()
	steps := []string{"PRAGMA wal_checkpoint(TRUNCATE)", "INSERT INTO beside VALUES (randomblob(20000))", "PRAGMA wal_checkpoint(RESTART)",
		"PRAGMA wal_checkpoint(PASSIVE)", "INSERT INTO beside VALUES (1)", "PRAGMA wal_checkpoint(FULL)", "PRAGMA wal_checkpoint(TRUNCATE)"}
	for i, ended := 0, false; !ended; i++ {
		if _, err := db.Exec(steps[i%len(steps)]); err != nil {
			t.Fatal(steps[i%len(steps)], err)
		}
		time.Sleep(2 * time.Millisecond) // leaves the store its turn
		select {
		case err := <-done:
			if ended = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
	}
	for _, step := range steps {
		if _, err := db.Exec(step); err != nil {
			t.Fatal(step, err)
		}
		time.Sleep(300 * time.Millisecond)
		if err := accept(); err != nil || s.Err() != nil {
			t.Fatal(step, err, s.Err())
		}
	}
	if err := errors.Join(db.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if n := queryOne(t, path, `SELECT count(*) FROM events`); n != fmt.Sprint(events+len(steps)) {
		t.Error(n)
	}
}
