package machine_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// tally counts what a Watch is told, as metrics do.
type tally struct {
	mu             sync.Mutex
	runs, attempts map[string]int
}

func (c *tally) Stored(*engine.Delivery, engine.Receipt) {}
func (c *tally) Alerted(engine.Alert)                    {}
func (c *tally) Polled(*engine.PollBatch, int)           {}
func (c *tally) Traces() bool                            { return false }
func (c *tally) Changed(x engine.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.Run == nil {
		return
	}
	for _, s := range x.Steps {
		if s.Status != "running" && s.Status != "waiting" {
			c.attempts[x.Run.Workflow+" "+s.Status]++
		}
	}
	if x.Run.Status.Ended() {
		c.runs[x.Run.Workflow+" "+string(x.Run.Status)]++
	}
}

// TestCountersEqualTheViews also of runs that are cancelled or replaced while they wait or
// are queued, and of the steps that this cuts. A sleep that is cut is cancelled.
func TestCountersEqualTheViews(t *testing.T) {
	w := newFileWorld(t, map[string]string{
		"sleeps":   "on: hook\nsteps:\n  - {uses: test/act}\n  - {id: nap, sleep: 1h}\n",
		"asks":     "on: hook\nsteps:\n  - {wait: {approval: yes}}\n",
		"queued":   "on: hook\nconcurrency: 1\nsteps:\n  - {sleep: 1h}\n",
		"replaced": "on: hook\nconcurrency: {limit: 1, on_full: replace}\nsteps:\n  - {sleep: 1h}\n",
		"beside":   "on: hook\nsteps:\n  - parallel:\n      - {sleep: 1h}\n      - {uses: test/act, with: {n: slow}}\n",
		"fails":    "on: hook\nsteps:\n  - {uses: test/act, with: {n: bad}, retry: 0}\n",
	})
	counts := &tally{runs: map[string]int{}, attempts: map[string]int{}}
	w.options.Watch = counts
	slow := make(chan struct{})
	w.target.do = func(in engine.Input, _ int) (any, error) {
		switch fmt.Sprint(in.With["n"]) {
		case "slow":
			<-slow
		case "bad":
			return nil, fmt.Errorf("no")
		}
		return nil, nil
	}
	e, s, stop := w.start(nil)
	for i := range 3 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	open := func(query string) []engine.RunItem {
		items, err := s.History.Runs(context.Background(), engine.Query{Status: query, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return items
	}
	waitFor(t, func() bool {
		return len(open("waiting")) == 3+3+1+1 && len(open("queued")) == 2 && len(open("running")) == 3 && len(open("cancelled")) == 2 &&
			len(open("failed")) == 3
	})
	for _, r := range append(open("queued"), append(open("running"), open("waiting")...)...) {
		if err := e.Cancel(context.Background(), parseRun(t, r.ID)); err != nil {
			t.Fatal(err)
		}
	}
	close(slow)
	settled(t, s, 18)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for view, got := range map[string]map[string]int{
		`SELECT workflow || ' ' || status, count(*) FROM runs_view GROUP BY 1`:                                            counts.runs,
		`SELECT r.workflow || ' ' || s.status, count(*) FROM steps_view s JOIN runs_view r ON r.id = s.run_id GROUP BY 1`: counts.attempts,
	} {
		if want := groups(t, w.path, view); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s:\ncounted %v\nviews   %v", view, got, want)
		}
	}
	if n := counts.attempts["sleeps cancelled"]; n != 3 {
		t.Errorf("%d sleeps were cut", n)
	}
}

// groups reads a query that gives a number for each name.
func groups(t *testing.T, path, query string) map[string]int {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		out[name] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
