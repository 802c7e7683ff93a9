package store_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/testsize"
	"github.com/jackc/pgx/v5"
)

// longHistory fills a new database with $N runs of the last $DAYS days: of a hundred one failed, half of them with a
// message of its own, and of a thousand one was cancelled. The ids of a run's event and of the run follow each other.
const longHistory = `SET search_path = hookloom; SET synchronous_commit = off;
CREATE TEMP TABLE made AS SELECT i, at, ((at - 1577836800000) << 21) AS id FROM (SELECT i,
	(extract(epoch FROM now()) * 1000)::bigint - 86400000::bigint * $DAYS * ($N - i) / $N AS at FROM generate_series(1, $N) i) x;
INSERT INTO events (id, trigger, inlet, key, type, time, received_at, body, crc)
	SELECT id, (ARRAY['shop', 'pay', 'crm'])[1 + i % 3], CASE WHEN i % 11 = 0 THEN 'poll' ELSE 'webhook' END, 'old-' || i,
		(ARRAY['paid', 'made', 'gone'])[1 + i % 3], at, at,
		convert_to('{"id":"old-' || i || '","type":"paid","amount":420,"pad":"' || repeat(md5(i::text), 25) || '"}', 'UTF8'), 0 FROM made;
INSERT INTO keys (trigger, key, event_id, seen_at) SELECT trigger, key, id, received_at FROM events;
INSERT INTO runs (id, event_id, workflow, version, status, created_at, started_at, finished_at, active_ms, output, error)
	SELECT id + 1, id, CASE WHEN i % 5 = 0 THEN 'fail' WHEN i % 7 = 0 THEN 'other' ELSE 'pay' END, 'v', CASE WHEN i % 100 = 0 THEN 'failed'
		WHEN i % 1000 = 1 THEN 'cancelled' ELSE 'succeeded' END, at, at, at + 120, 100, '{"ok":true}',
		CASE WHEN i % 100 = 0 THEN '{"message":"answered 500 Internal Server Error, request ' || CASE WHEN i % 200 = 0 THEN 'req_' || md5(i::text)
			ELSE '' END || '","step":"book","code":"http_status","status":500,"attempts":3}' END FROM made;
UPDATE runs SET status = 'waiting', finished_at = NULL, due_at = created_at + 100000000000 WHERE id IN (SELECT id + 1 FROM made
	WHERE i % 20000 = 3);
INSERT INTO decisions (event_id, workflow, version, outcome, trace, run_id, at)
	SELECT event_id, workflow, 'v', 'matched', '[]', id, created_at FROM runs;
INSERT INTO decisions (event_id, workflow, version, outcome, reason, trace, at)
	SELECT id, 'strict', 'v', CASE WHEN i % 300 = 0 THEN 'rule_failed' ELSE 'skipped' END, 'event.data.x is no number', '[]', at FROM made
		WHERE i % 3 = 0;
INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at)
	SELECT id, 'tell', 1, 'log', 'succeeded', created_at + 100, created_at + 120 FROM runs WHERE status = 'succeeded';
INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, input, output, error, destination)
	SELECT runs.id, 'book', 1, 'http/post', CASE WHEN status IN ('failed', 'waiting') THEN status ELSE 'succeeded' END, created_at,
		finished_at, '{"url":"https://x"}', '{"status":200}', error,
		CASE WHEN i % 8 = 0 THEN 'https://api.example.com' ELSE 'https://shop.example.com' END FROM runs JOIN made ON made.id = event_id;
INSERT INTO quarantine (at, trigger, reason, detail, size, body)
	SELECT at, 'shop', CASE WHEN i % 200 = 0 THEN 'signature' ELSE 'stale' END, 'detail', 10, 'x' FROM made WHERE i % 100 = 0;
INSERT INTO sightings (event_id, at, inlet, same) SELECT id, at + 60000, 'poll', 1 FROM made WHERE i % 9 = 0;
INSERT INTO audit (at, who, role, remote, action, target, status) SELECT at, 'ada', 'admin', 'x', 'run.replay', 'run_1', 201 FROM made
	WHERE i % 100 = 0;`

// longMost is the longest time that a read of a million runs may take at the median.
const longMost = 50 * time.Millisecond

// TestALongHistoryOnPostgreSQL fills a database and reads each list, total, detail and chart. With HOOKLOOM_HISTORY=1000000
// it reads each eleven times, prints how long that takes, and limits the median; that needs a machine that does
// nothing else.
func TestALongHistoryOnPostgreSQL(t *testing.T) {
	runs, days, times := testsize.Of(t, "HOOKLOOM_HISTORY", 2000), 2, 1
	if os.Getenv("HOOKLOOM_HISTORY") != "" {
		days, times = 30, 11
	}
	address := postgrestest.Shared(t).Database(t)
	s := open(t, address, store.Options{Verb: "serve", Node: "long"})
	fillLong(t, address, runs, days)
	if !engine.Leads(t.Context(), s, "prune") {
		t.Fatal("no lease for pruning")
	}
	now := time.Now()
	if _, err := s.Prune(t.Context(), engine.PruneOrder{Now: now, DefaultDedupe: 1000 * 24 * time.Hour}); err != nil { // it counts past hours
		t.Fatal(err)
	}
	h := s.History()
	p, err := h.RunPage(t.Context(), engine.Query{Until: now.Add(-time.Duration(days) * 12 * time.Hour), Status: "succeeded"})
	if err != nil {
		t.Fatal(err)
	}
	middle, err := engine.ParseRunID(p.Items[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	last := engine.EventID(nodeID(s))
	if _, err := s.Accept(t.Context(), last, delivery("shop", "last")); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, x := range slices.Concat(longLists(now, middle), longCharts(now), longDetails(middle, last)) {
		found[x.name] = timeRead(t, h, x, times)
		none := strings.Contains(x.name, "unknown") || strings.Contains(x.name, "without result") ||
			strings.Contains(x.name, "months ago") || slices.Contains([]string{"runs: running", "events: unmatched"}, x.name)
		if none != (found[x.name] == 0) {
			t.Errorf("%s: %d items", x.name, found[x.name])
		}
	}
	if n := found["dead letters by cause: all"]; n != runs/100+runs/300 || n != found["current state"] {
		t.Errorf("%d dead letters by cause, %d in the current state, of %d runs", n, found["current state"], runs)
	}
}

// fillLong writes the rows of longHistory.
func fillLong(t *testing.T, address string, runs, days int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	fill := strings.NewReplacer("$N", strconv.Itoa(runs), "$DAYS", strconv.Itoa(days)).Replace(longHistory)
	for _, text := range []string{fill, `VACUUM ANALYZE`} {
		if _, err := c.Exec(t.Context(), text, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
	}
}

// timeRead reads several times. It prints how long that takes, and fails if a million runs take too long.
func timeRead(t *testing.T, h *store.History, x longRead, times int) (n int) {
	t.Helper()
	var took []time.Duration
	for range times {
		began := time.Now()
		var err error
		if n, err = x.read(t.Context(), h); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		took = append(took, time.Since(began))
	}
	first := took[0]
	slices.Sort(took)
	if times == 1 {
		return n
	}
	median := took[times/2]
	t.Logf("%-40s first %8v, median %8v, least %8v", x.name, first.Round(100*time.Microsecond), median.Round(100*time.Microsecond),
		took[0].Round(100*time.Microsecond))
	if median > longMost {
		t.Errorf("%s: %v at the median, at most %v", x.name, median, longMost)
	}
	return n
}
