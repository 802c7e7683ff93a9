package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// fillRange stores events, and runs of the odd ones, straight into a new database.
func fillRange(t *testing.T, path string, from, to int) {
	t.Helper()
	s := open(t, path, store.Options{})
	for i := from; i <= to; i++ {
		d := delivery("a", fmt.Sprint("k", i))
		d.Raw = []byte(fmt.Sprintf(`{"n": %d, "pad": %q}`, i, strings.Repeat("x", 300)))
		if _, err := s.Accept(ctx, engine.EventID(i), d); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{
		`INSERT OR IGNORE INTO runs (id, event_id, workflow, version, status, created_at, started_at, finished_at) SELECT id + 1000000, id, ` +
			`'w', 'v', 'succeeded', received_at, received_at, received_at FROM events WHERE id % 2 = 1`,
		`INSERT OR IGNORE INTO steps (run_id, path, attempt, action, status, started_at, finished_at, output) SELECT id, 'a', 1, 'http/post', ` +
			`'succeeded', created_at, created_at, '{"status": 200}' FROM runs`,
		`DELETE FROM inbox`,
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
}

func eventsIn(t *testing.T, path string) int {
	t.Helper()
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	items, err := h.Events(ctx, engine.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(items)
}

// TestRestoreIgnoresTheLogOfTheOldDatabase: the old log is not applied to the
// copy, the old set is aside and whole, and what may be repeated is told.
func TestRestoreIgnoresTheLogOfTheOldDatabase(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "x.db"), filepath.Join(dir, "backup.db")
	fillRange(t, path, 1, 5)
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Backup(ctx, backup, false); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	// Killed: the later events are in the log alone. A copy of the files is what a kill leaves.
	s := open(t, path, store.Options{})
	for i := 6; i <= 12; i++ {
		if _, err := s.Accept(ctx, engine.EventID(i), delivery("a", fmt.Sprint("k", i))); err != nil {
			t.Fatal(err)
		}
	}
	killed := filepath.Join(dir, "killed.db")
	for _, side := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + side)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(killed+side, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var inUse *store.InUseError
	if _, err := store.Restore(ctx, path, backup); !errors.As(err, &inUse) {
		t.Errorf("beside a server: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := store.Restore(ctx, killed, backup)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(killed + ".restore-*"); err != nil || len(left) > 0 {
		t.Errorf("left beside the database: %v %v", left, err)
	}
	if r.Events != 5 || !r.Compared || r.LaterEvents != 7 || len(r.LaterEventIDs) != 7 || r.LaterEventIDs[0] != engine.EventID(6).String() {
		t.Errorf("%+v", r)
	}
	if n := eventsIn(t, killed); n != 5 {
		t.Errorf("the restored database has %d events", n)
	}
	if n := eventsIn(t, r.Aside); n != 12 {
		t.Errorf("the old database has %d events", n)
	}
	again := open(t, killed, store.Options{})
	if x, err := again.Accept(ctx, 20, delivery("a", "k3")); err != nil || !x.Duplicate {
		t.Errorf("%+v %v", x, err)
	}
}

func TestRestoreRefusesADamagedBackup(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	fillRange(t, path, 1, 300)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	used := bytes.Index(whole, []byte("k150")) &^ 8191 // a page of a table or an index
	for i := used; i < used+8192; i++ {
		damaged[i] = 0xa5
	}
	for name, text := range map[string][]byte{"text": []byte("no database"), "empty": nil, "damaged": damaged, "cut": whole[:len(whole)/2]} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Restore(ctx, path, file); err == nil {
			t.Errorf("%s was restored", name)
		}
	}
	for _, file := range []string{path, filepath.Join(dir, "missing")} {
		if _, err := store.Restore(ctx, path, file); err == nil {
			t.Errorf("%s was restored", file)
		}
	}
	if n := eventsIn(t, path); n != 300 {
		t.Errorf("the database has %d events", n)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.tmp*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestServerDoesNotStartOnAnInterruptedRestore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	fillRange(t, path, 1, 2)
	if err := os.WriteFile(path+".restoring", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := store.Open(ctx, path, store.Options{}); err == nil || !strings.Contains(err.Error(), "hookloom restore") {
		t.Errorf("%v", err)
		s.Close()
	}
}

// TestRecoverReadsWhatADamagedDatabaseStillHas: pages of every kind are overwritten; the
// new file is sound, has no wrong event, and the damaged files are as they were.
func TestRecoverReadsWhatADamagedDatabaseStillHas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	fillRange(t, path, 1, 400)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pages := len(whole) / 8192
	recovered, lost := 0, 0
	stride := 7
	if os.Getenv("HOOKLOOM_PAGES") == "all" {
		stride = 1
	}
	for page := 1; page < pages; page += stride {
		damaged := append([]byte{}, whole...)
		for i := page * 8192; i < (page+1)*8192; i++ {
			damaged[i] = byte(i * 7)
		}
		bad := filepath.Join(dir, fmt.Sprintf("bad%d.db", page))
		if err := os.WriteFile(bad, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		file := bad + ".new"
		r, err := store.Recover(ctx, bad, file)
		if err != nil {
			if !strings.Contains(err.Error(), "its schema is damaged") { // a few pages hold the schema
				t.Errorf("page %d: %v", page, err)
			}
			continue
		}
		recovered++
		if r.Events < 300 {
			lost++ // an inner page: what hangs on it is lost
		}
		if now, err := os.ReadFile(bad); err != nil || string(now) != string(damaged) {
			t.Errorf("page %d: the damaged file was changed, %v", page, err)
		}
		s := open(t, file, store.Options{})
		if found, err := s.History().Check(ctx); err != nil {
			t.Errorf("page %d: %v", page, err)
		} else {
			for _, x := range found {
				if len(x.Wrong) > 0 {
					t.Errorf("page %d: %s: %v", page, x.What, x.Wrong)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of %d files gave a sound database, %d lost more than a quarter of the events", recovered, (pages-2)/stride+1, lost)
	if lost > recovered/5 || recovered < ((pages-2)/stride+1)*8/10 {
		t.Errorf("%d of %d lost more than a quarter of their events", lost, recovered)
	}
	r, err := store.Recover(ctx, path, filepath.Join(dir, "same.db"))
	if err != nil || r.Damaged() || r.Events != 400 || r.Runs != 200 {
		t.Errorf("an undamaged file: %+v %v", r, err)
	}
}

// TestKilledBackupAndRestoreDoNotPreventTheNext: a killed process leaves the file that it wrote, and in a
// container the next one has its id.
func TestKilledBackupAndRestoreDoNotPreventTheNext(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "x.db"), filepath.Join(dir, "backup.db")
	fillRange(t, path, 1, 5)
	for _, left := range []string{fmt.Sprintf("%s.%d.tmp", backup, os.Getpid()), fmt.Sprintf("%s.restore-%d.tmp", path, os.Getpid()),
		path + ".restore-copy.tmp", path + ".restore-copy.tmp-journal"} {
		if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stale, others := []string{backup + ".123.tmp", backup + ".123.tmp-journal"}, []string{backup + ".12.tmp", backup + ".old.tmp",
		backup + "2.12.tmp", backup + ".12.tmp2", backup + "..tmp"}
	for _, name := range append(stale, others...) {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if old := time.Now().Add(-time.Hour); name != others[0] { // another backup may be writing that one
			if err := os.Chtimes(name, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Backup(ctx, backup, false); err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range stale {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	for _, name := range others {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Fatal(info, err)
	}
	if _, err := store.Restore(ctx, path, backup); err != nil {
		t.Error(err)
	}
	if n := eventsIn(t, path); n != 5 {
		t.Errorf("the restored database has %d events", n)
	}
}
