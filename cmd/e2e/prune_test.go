//go:build unix

package e2e

import (
	"bytes"
	"database/sql"
	"os/exec"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store"
)

// TestServerStartsWhilePruneRuns checks that prune releases the database, and that the server
// continues the work.
func TestServerStartsWhilePruneRuns(t *testing.T) {
	realProcess(t)
	onFiles(t)
	p := hookProject(t, map[string]string{"w": "on: hook\nsteps: [{stop: x}]\n"})
	path := p.db
	made, err := store.Open(t.Context(), path, store.Options{})
	if err == nil {
		err = made.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	const events = 60_000
	if _, err := db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO events (id, trigger, inlet, key, type, time, received_at, body, crc)
		SELECT i, 'hook', 'webhook', 'k' || i, 't', 1700000000000, 1700000000000, x'7b7d', 0 FROM n`, events); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	prune := exec.Command(p.bin, "prune", "--dir", p.dir, "--keep", "1h")
	var out bytes.Buffer
	prune.Stdout, prune.Stderr = &out, &out
	if err := prune.Start(); err != nil {
		t.Fatal(err)
	}
	for h, err := store.HolderOf(path); h == nil || h.Verb != "prune"; h, err = store.HolderOf(path) {
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	s := p.start(t)
	took := time.Since(began)
	if err := prune.Wait(); err != nil {
		t.Errorf("prune: %v\n%s", err, out.String())
	}
	t.Logf("the server was ready after %v; %s", took.Round(time.Millisecond), out.String())
	if took > 3*time.Second {
		t.Errorf("the server was ready after %v", took)
	}
	if n := eventsLeft(t, path); n != 0 {
		t.Errorf("%d events are left", n)
	}
	s.stop(t)
}

func eventsLeft(t *testing.T, path string) (n int) {
	t.Helper()
	db, err := store.OpenReaders(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT count(*) FROM events`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
