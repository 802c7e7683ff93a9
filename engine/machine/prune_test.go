package machine_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// count reads one number beside the running engine.
func count(t *testing.T, path, query string) int {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPruningKeepsOpenRunsAndKeys: old runs and events go, whole; what waits
// stays and goes on; a repeated delivery is still a duplicate; bodies go earlier.
func TestPruningKeepsOpenRunsAndKeys(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nconcurrency: {group: \"${{ event.key }}\"}\nsteps:\n  - {if: event.data.wait " +
		"== true, " +
		"wait: {event: back, key: \"${{ event.key }}\"}}\n  - {uses: test/act, with: {n: \"${{ event.data.big }}\"}}\noutput: ${{ " +
		"event.data.big }}"})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	big := strings.Repeat("x", 4000)
	for i := range 300 {
		if _, err := e.Accept(ctx, delivery(fmt.Sprint("k", i), fmt.Sprintf(`{"big": %q, "wait": %t}`, big, i == 7))); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool {
		c, err := s.History.Counts(ctx)
		return err == nil && c.Inbox == 0 && c.Open == 1 && w.target.calls() == 299
	})
	n, err := e.Prune(ctx, workflows.History{Bodies: time.Nanosecond})
	if err != nil || n.Bodies != 299 || n.Runs != 0 {
		t.Errorf("bodies: %+v %v", n, err)
	}
	if left := count(t, w.path, `SELECT count(*) FROM events WHERE body IS NOT NULL`); left != 1 {
		t.Errorf("%d bodies are left", left)
	}
	if left := count(t, w.path, `SELECT count(*) FROM steps WHERE (input IS NOT NULL OR output IS NOT NULL) AND status <> `+
		`'waiting'`); left != 0 {
		t.Errorf("%d inputs and outputs are left", left)
	}
	last, err := s.History.Runs(ctx, engine.Query{Limit: 1, Status: "succeeded"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Replay(ctx, parseRun(t, last[0].ID), "start", "pinned", "ada"); err == nil ||
		!strings.Contains(err.Error(), "body of its event was pruned") {
		t.Errorf("replay of what is gone: %v", err)
	}
	n, err = e.Prune(ctx, workflows.History{Keep: time.Nanosecond})
	if err != nil || n.Runs != 299 || n.Events != 299 || n.Keys != 0 || n.Bytes == 0 {
		t.Errorf("all: %+v %v", n, err)
	}
	if left := count(t, w.path, `SELECT (SELECT count(*) FROM runs) * 1000000 + (SELECT count(*) FROM events) * 10000 + (SELECT count(*) `+
		`FROM decisions) * 100 + (SELECT count(*) FROM steps)`); left != 1_010_101 {
		t.Errorf("left: %d", left)
	}
	if r, err := e.Accept(ctx, delivery("k3", `{}`)); err != nil || !r.Duplicate {
		t.Errorf("a key that outlived its event: %+v %v", r, err)
	}
	back := delivery("k7", `{}`)
	back.Trigger = "back"
	if _, err := e.Accept(ctx, back); err != nil {
		t.Fatal(err)
	}
	if r := settled(t, s, 1); r[0].Status != "succeeded" {
		t.Errorf("the run that waited: %+v", r[0])
	}
	s.holds(t, "at the end")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(w.path); err != nil || info.Size() > 1<<20 {
		t.Errorf("the file has not shrunk: %d bytes, %v", info.Size(), err)
	}
}

// TestHistoryStaysBelowItsSize while deliveries come, none of which fails.
func TestHistoryStaysBelowItsSize(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act}]"})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	var wg sync.WaitGroup
	var sent atomic.Int64
	done := make(chan struct{})
	for part := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if _, err := e.Accept(ctx, delivery(fmt.Sprint(part, " ", i), fmt.Sprintf(`{"a": %q}`, strings.Repeat("y", 4000)))); err != nil {
					t.Error(err)
					return
				}
				sent.Add(1)
			}
		}()
	}
	const most = 3 << 20
	waitFor(t, func() bool { return sent.Load() > 1500 })
	if _, err := e.Prune(ctx, workflows.History{MaxSize: most}); err != nil {
		t.Error(err)
	}
	close(done)
	wg.Wait()
	settled(t, s, 1)
	if _, err := e.Prune(ctx, workflows.History{MaxSize: most}); err != nil {
		t.Fatal(err)
	}
	size, err := w.file().Size(ctx)
	if err != nil || size.Bytes-size.Free > most {
		t.Errorf("%+v %v", size, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestExpiredKeysArePruned, each after its own trigger's time.
func TestExpiredKeysArePruned(t *testing.T) {
	w := newWorld(t, nil)
	w.project.Triggers["hook"].Webhook.Dedupe = time.Nanosecond
	e, _, stop := w.start(nil)
	for _, trigger := range []string{"hook", "back"} {
		for i := range 450 {
			d := delivery(fmt.Sprint(i), `{}`)
			d.Trigger = trigger
			if _, err := e.Accept(context.Background(), d); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(2 * time.Millisecond)
	n, err := e.Prune(context.Background(), workflows.History{})
	if err != nil || n.Keys != 450 || n.Events != 0 {
		t.Errorf("%+v %v", n, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestBackupOfARunningServerIsConsistent: it is of one moment, sound, its owner's alone,
// and a server that starts from it goes on.
func TestBackupOfARunningServerIsConsistent(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act}, {sleep: 1ms}, {uses: test/act}]"})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if _, err := e.Accept(ctx, delivery(fmt.Sprint(i), `{}`)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	waitFor(t, func() bool { return w.target.calls() > 200 })
	file := filepath.Join(t.TempDir(), "copy.db")
	h := w.file()
	found, err := h.Backup(ctx, file, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if len(f.Wrong) > 0 {
			t.Errorf("%s: %v", f.What, f.Wrong)
		}
	}
	if _, err := h.Backup(ctx, file, false); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("a second one in its place: %v", err)
	}
	close(done)
	wg.Wait()
	settled(t, s, 1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	w.path = file
	_, s, stop = w.start(nil)
	for _, r := range settled(t, s, 50) {
		if r.Status != "succeeded" {
			t.Errorf("%+v", r)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
