//go:build unix

package e2e

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/jackc/pgx/v5"

	"github.com/hookloom/hookloom/engine/testsize"
)

// fillHistory writes runs with an event, a decision and two steps each, spread over
// the last month, by SQL.
func fillHistory(t *testing.T, path string, runs int) {
	t.Helper()
	var exec func(query string) error
	// A number of each run, and a text as bytes.
	each, bytes := fmt.Sprintf(" FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n)", runs),
		"CAST(%s AS BLOB)"
	if onServer(path) {
		each, bytes = fmt.Sprintf(" FROM generate_series(1::bigint, %d) AS n(i)", runs), "convert_to(%s, 'UTF8')"
		c, err := pgx.Connect(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		exec = func(query string) error { _, err := c.Exec(t.Context(), query); return err }
		if err := exec("SET search_path = hookloom"); err != nil {
			t.Fatal(err)
		}
	} else {
		db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_synchronous=OFF")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		exec = func(query string) error { _, err := db.Exec(query); return err }
	}
	for _, q := range history(runs, each, bytes) {
		if err := exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if onServer(path) {
		if err := exec("ANALYZE"); err != nil { // autovacuum does so within a minute
			t.Fatal(err)
		}
	}
}

// history are the statements of fillHistory.
func history(runs int, each, bytes string) []string {
	// An id contains its time: milliseconds since 2020 in the upper bits.
	from := time.Now().Add(-30*24*time.Hour).UnixMilli() - time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	step := (30 * 24 * time.Hour).Milliseconds() / int64(runs)
	id := fmt.Sprintf("((%d + i * %d) << 21)", from, step)
	at := fmt.Sprintf("(%d + i * %d)", time.Now().Add(-30*24*time.Hour).UnixMilli(), step)
	body := fmt.Sprintf(bytes, `'{"id":"old-' || i || '","type":"paid","amount":420,"pad":"`+strings.Repeat("x", 800)+`"}'`)
	return []string{
		`INSERT INTO events (id, trigger, inlet, key, type, time, received_at, body, crc) SELECT ` + id +
			`, 'shop', 'webhook', 'old-' || i, 'paid', ` + at + `, ` + at + `, ` + body + `, 0` + each,
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at, started_at, finished_at, output, error) SELECT ` + id +
			` + 1, ` + id + `, CASE WHEN i % 5 = 0 THEN 'fail' ELSE 'pay' END, 'v', CASE WHEN i % 100 = 0 THEN 'failed' ELSE 'succeeded' END,
			` + at + `, ` + at + `, ` + at + ` + 120, '{"ok":true}', CASE WHEN i % 100 = 0 THEN '{"message":"answered 500 Internal Server Error",` +
			`"step":"book","code":"http_status"}' END` + each,
		`INSERT INTO decisions (event_id, workflow, version, outcome, trace, run_id, at) SELECT ` + id + `, 'pay', 'v', 'matched', '[]', ` +
			id + ` + 1, ` + at + each,
		`INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, input, output) SELECT ` + id +
			` + 1, 'book', 1, 'http/post', 'succeeded', ` + at + `, ` + at + ` + 100, '{"url":"https://x"}', '{"status":200}'` + each,
		`INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, input, output) SELECT ` + id +
			` + 1, 'tell', 1, 'log', 'succeeded', ` + at + ` + 100, ` + at + ` + 120, NULL, NULL` + each,
	}
}

// TestPagesOverALongHistoryUnderLoad loads each page and list many times while deliveries arrive,
// and prints the time, the size of the page, and when a browser first paints. HOOKLOOM_HISTORY sets
// the number of runs.
func TestPagesOverALongHistoryUnderLoad(t *testing.T) {
	realProcess(t)
	runs := testsize.Of(t, "HOOKLOOM_HISTORY", 20_000)
	times := 10
	if os.Getenv("HOOKLOOM_HISTORY") != "" {
		times = 100
	}
	x := startLively(t)
	event := x.first(t, "events?type=large") // the inserted ones have no checksum
	x.stop()                                 // the schema exists now
	fillHistory(t, x.db, runs)
	x.begin(t)
	defer x.stop()
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { stopped <- n }()
		for tick := time.NewTicker(5 * time.Millisecond); ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				x.send(t, fmt.Sprint("load-", n), "paid", "valid", nil)
			}
		}
	}()
	run := x.first(t, "runs?status=failed")
	for _, path := range []string{"/", "/?range=30d", "/events", "/events?type=paid", "/events?q=nowhere-to-be-found", "/events/" + event,
		"/runs", "/runs?status=failed", "/runs?status=succeeded", "/runs?q=nowhere-to-be-found", "/runs?workflow=fail",
		"/runs/" + run, "/deadletters", "/triggers", "/workflows", "/workflow?id=pay", "/metrics", "/api/v1/events",
		"/api/v1/runs?status=failed", "/api/v1/runs/" + run, "/api/v1/overview?since=7d&step=1h"} {
		var took []time.Duration
		size := 0
		for range times {
			began := time.Now()
			resp, err := http.Get(x.consoleURL() + path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			took, size = append(took, time.Since(began)), len(b)
			if resp.Body.Close(); err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s: %d %v %s", path, resp.StatusCode, err, b)
			}
		}
		first := took[0]
		slices.Sort(took)
		t.Logf("%-34s the first %7v, p50 %7v, p99 %7v, %6d bytes", strings.Replace(strings.Replace(path, run, "RUN", 1), event, "EVENT", 1),
			first.Round(100*time.Microsecond), took[len(took)/2].Round(100*time.Microsecond), took[len(took)*99/100].Round(100*time.Microsecond),
			size)
	}
	close(stop)
	t.Logf("%d runs, %d deliveries meanwhile", runs, <-stopped)
	b := openBrowser(t, x.consoleURL())
	for _, path := range []string{"/", "/runs", "/runs/" + run} {
		b.goTo(path)
		var paint float64
		b.until(`performance.getEntriesByName("first-contentful-paint").length > 0`)
		b.do(chromedp.Evaluate(`performance.getEntriesByName("first-contentful-paint")[0].startTime`, &paint))
		t.Logf("%-34s first paint after %.0f ms", strings.Replace(path, run, "RUN", 1), paint)
	}
}
