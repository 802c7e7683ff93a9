package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store"
)

// TestCommitBeyondTheWALIndexIsNoDamage: a server that is killed after it
// wrote a commit, and before it noted that in the log's index, leaves frames that the next
// server overwrites, where another process has kept the index.
func TestCommitBeyondTheWALIndexIsNoDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	first, err := store.Open(ctx, path, store.Options{})
	if err == nil {
		err = first.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	killed, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL") // it also keeps the index, as a reader does
	if err != nil {
		t.Fatal(err)
	}
	defer killed.Close()
	killed.SetMaxOpenConns(1)
	put := func(name string) {
		for _, q := range []string{"PRAGMA wal_autocheckpoint = 0", fmt.Sprintf("INSERT INTO meta (name, value) VALUES ('%s', '%s')",
			name, strings.Repeat("x", 100_000))} {
			if _, err := killed.Exec(q); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("kept")
	if got := queryOne(t, path, "SELECT page_size || ' ' || auto_vacuum FROM pragma_page_size, pragma_auto_vacuum"); got != "8192 2" {
		t.Errorf("page size and auto_vacuum: %s", got) // a new file
	}
	index, err := os.OpenFile(path+"-shm", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	var header [96]byte // two copies (sqlite.org/walformat.html, 2.1)
	if _, err := index.ReadAt(header[:], 0); err != nil {
		t.Fatal(err)
	}
	put("cut off")
	if _, err := index.WriteAt(header[:], 0); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	accept := accepting(s)
	for range 30 {
		if _, err := s.ResumeRuns(ctx, []string{"none"}, time.Now()); err != nil { // commits, and changes nothing
			t.Fatal(err)
		}
		if err := accept(); err != nil {
			t.Fatal(err)
		}
	}
	if got := queryOne(t, path, "SELECT group_concat(name) FROM meta WHERE name IN ('kept', 'cut off')"); got != "kept" {
		t.Errorf("kept: %s", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
