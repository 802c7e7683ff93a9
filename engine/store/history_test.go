package store_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/testsize"
)

// TestALongHistoryIsReadByIndexOnly fills a database with runs and reads pages and
// details from its newest, its middle and its end. It prints how long they take; what
// it insists on is that no list reads the whole. HOOKLOOM_HISTORY sets the number.
func TestALongHistoryIsReadByIndexOnly(t *testing.T) {
	runs := testsize.Of(t, "HOOKLOOM_HISTORY", 20_000)
	path := filepath.Join(t.TempDir(), "x.db")
	if err := open(t, path, store.Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	fill(t, path, runs)
	h, err := store.OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	middle, last := engine.RunID(2*(runs/2)).String(), engine.RunID(2*100).String()
	for _, x := range []struct {
		name string
		q    engine.Query
		most int
	}{
		{"the newest", engine.Query{}, 50}, {"in the middle", engine.Query{After: middle}, 50}, {"near the end", engine.Query{After: last}, 50},
		{"dead letters", engine.Query{DeadOnly: true}, 50}, {"of a status", engine.Query{Status: "failed", After: middle}, 50},
		{"of a workflow", engine.Query{Workflow: "w3"}, 50},
		{"of a rare workflow", engine.Query{Workflow: "rare"}, 1}, {"of those that wait", engine.Query{Status: "waiting"}, 1},
		{"of those at work", engine.Query{Status: "running"}, 0},
	} {
		var took []time.Duration
		n := 0
		for range 20 {
			began := time.Now()
			items, err := h.Runs(ctx, x.q)
			if err != nil {
				t.Fatal(err)
			}
			n = len(items)
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		if n != x.most {
			t.Errorf("%s: %d runs", x.name, n)
		}
		t.Logf("%d runs, a page %s: %v at the median, %v at most", runs, x.name, took[10].Round(10*time.Microsecond),
			took[19].Round(10*time.Microsecond))
	}
	for name, id := range map[string]engine.RunID{"the newest": engine.RunID(2 * runs), "the oldest": 2} {
		began := time.Now()
		if _, err := h.RunDetail(ctx, id); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d runs, %s whole: %v", runs, name, time.Since(began).Round(10*time.Microsecond))
	}
	db, err := store.OpenReaders(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{`SELECT id FROM runs WHERE id < 100 ORDER BY id DESC LIMIT 50`,
		`SELECT count(*) FROM runs WHERE status = 'queued' OR status = 'waiting'`, `SELECT id FROM runs WHERE status = 'running'`,
		`SELECT id FROM runs WHERE repeats = 7`, `SELECT run_id FROM waits WHERE event_id = 1`} {
		var id, parent, none int
		var detail string
		if err := db.QueryRow(`EXPLAIN QUERY PLAN `+query).Scan(&id, &parent, &none, &detail); err != nil ||
			strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "INDEX runs_due") && !strings.Contains(detail, "INDEX runs_at_work") {
			t.Errorf("%s reads the whole: %s %v", query, detail, err)
		}
	}
}

// fill writes runs with an event and two steps each, by SQL.
func fill(t *testing.T, path string, runs int) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_synchronous=OFF")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{
		`INSERT INTO events (id, trigger, inlet, key, type, time, received_at, body, crc) WITH RECURSIVE n(i) AS (SELECT 1
			UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			SELECT 2 * i - 1, 'shop', 'webhook', 'k' || i, 't', 1700000000000 + i, 1700000000000 + i,
				CAST('{"n":' || i || ',"pad":"' || printf('%%.*c', 300, 'x') || '"}' AS BLOB), 0 FROM n`,
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at, started_at, finished_at,
			error) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			SELECT 2 * i, 2 * i - 1, 'w' || (i %% 7), 'v', CASE WHEN i %% 100 = 0 THEN 'failed' ELSE 'succeeded' END, 1700000000000 + i,
				1700000000000 + i, 1700000000100 + i, NULL FROM n`,
		`INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, input,
			output) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2 * %d)
			SELECT 2 * ((i + 1) / 2), CASE WHEN i %% 2 = 0 THEN 'a' ELSE 'b' END, 1, 'http/post', 'succeeded', 1700000000000,
				1700000000001, '{"url":"https://x"}', '{"status":200}' FROM n`,
		`UPDATE runs SET workflow = 'rare', status = 'waiting', finished_at = NULL, due_at = 1 WHERE id = %d`,
	} {
		if _, err := db.Exec(fmt.Sprintf(q, runs)); err != nil {
			t.Fatal(err)
		}
	}
}
