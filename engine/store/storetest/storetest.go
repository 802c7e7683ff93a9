// Package storetest is the conformance suite of the engine's stores: one list of cases for each
// part of the contract, and a script of writes of which each one fails once. It uses a store only
// through the contract, so every database runs the same cases. Fresh opens the databases, and only
// it knows which there are; tests of other packages that must pass with each of them use it too.
// The cases must not know SQL, the files of a database, or the code that uses a store.
package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// Opened is an open database.
type Opened struct {
	engine.Store
	History engine.History
	// Wrong lists the invariants of the stored rows that do not hold.
	Wrong func(context.Context) ([]string, error)
	Close func() error
	// Empty removes everything from the closed database, where that is cheaper than making a new one;
	// otherwise it is nil.
	Empty func(t testing.TB)
}

// Open opens one database. The first call creates it, later calls reopen it. fault is nil, or
// called before each commit with its number, from 1: an error replaces the commit.
type Open func(fault func(n int) error) (Opened, error)

// test is one promise of the contract, tested on its own database.
type test struct {
	name string
	run  func(t *testing.T, s Opened)
}

// Run runs the suite. fresh returns a function that opens a new, empty database.
func Run(t *testing.T, fresh func(t testing.TB) Open) {
	fresh = reused(t, fresh)
	for _, noun := range []struct {
		name  string
		tests []test
	}{
		{"events", events}, {"identity", identities}, {"decisions", decisions}, {"runs", runs}, {"waits", waits}, {"groups", groups},
		{"gatherings", gatherings}, {"inlets", inlets}, {"control", control}, {"feed", feed}, {"signals", signals},
	} {
		t.Run(noun.name, func(t *testing.T) {
			for _, c := range noun.tests {
				t.Run(c.name, func(t *testing.T) { t.Parallel(); runOne(t, fresh(t), c) })
			}
		})
	}
	t.Run("claims", func(t *testing.T) { claims(t, fresh) })
	t.Run("faults", func(t *testing.T) { faults(t, fresh) })
}

// reused returns a function that empties databases of former cases before it makes new ones.
func reused(t *testing.T, fresh func(t testing.TB) Open) func(t testing.TB) Open {
	var mu sync.Mutex
	var free []Open
	return func(sub testing.TB) Open {
		mu.Lock()
		var open Open
		if n := len(free); n > 0 {
			open, free = free[n-1], free[:n-1]
		}
		mu.Unlock()
		if open == nil {
			open = fresh(t)
		}
		var last Opened
		sub.Cleanup(func() {
			if last.Empty == nil || sub.Failed() {
				return
			}
			last.Empty(t) // the context of sub has ended
			mu.Lock()
			defer mu.Unlock()
			free = append(free, open)
		})
		return func(fault func(int) error) (s Opened, err error) {
			if s, err = open(fault); err == nil {
				last = s
			}
			return s, err
		}
	}
}

func runOne(t *testing.T, open Open, c test) {
	s, err := open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		holds(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	c.run(t, s)
}

// holds checks the invariants of the stored rows.
func holds(t testing.TB, s Opened) {
	t.Helper()
	wrong, err := s.Wrong(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}

// at is the default time of everything in the cases.
var at = time.Date(2026, 5, 1, 10, 0, 0, 7e6, time.UTC)

// event and run are ids of that time.
func event(n int64) engine.EventID { return engine.EventID(engine.FirstID(at) + n) }

func run(n int64) engine.RunID { return engine.RunID(engine.FirstID(at) + 1000 + n) }

func delivery(trigger, key string) *engine.Delivery {
	return &engine.Delivery{Trigger: trigger, Inlet: "webhook", Key: key, Type: "t", Time: at, ReceivedAt: at, Raw: []byte(`{"a":1}`),
		Headers: map[string]string{"h": "v"}, Dedupe: time.Hour}
}

func accept(t testing.TB, s Opened, id engine.EventID, d *engine.Delivery) engine.Receipt {
	t.Helper()
	r, err := s.Accept(t.Context(), id, d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// start is the beginning of a run of workflow w with one open attempt of step a.
func start(id engine.RunID, ev engine.EventID) engine.RunUpdate {
	return engine.RunUpdate{New: true, Answers: -1, Records: []*plan.Record{attempt("a", plan.Running)},
		Run: &engine.Run{ID: id, Event: ev, Workflow: "w", Version: "v", Status: engine.Running, CreatedAt: at, StartedAt: at}}
}

func attempt(path string, status plan.Status) *plan.Record {
	r := &plan.Record{Path: path, Attempt: 1, Action: "http/get", Status: status, StartedAt: at, Input: map[string]any{"url": "x"}}
	if status != plan.Running && status != plan.Waiting {
		r.FinishedAt = at
	}
	return r
}

// matched is a Match that begins the runs.
func matched(ev engine.EventID, starts ...engine.RunUpdate) engine.Match {
	m := engine.Match{Event: ev, At: at, Starts: starts}
	for _, u := range starts {
		m.Decisions = append(m.Decisions, engine.Decision{Workflow: u.Run.Workflow, Version: u.Run.Version, Outcome: engine.Matched,
			Run: u.Run.ID})
	}
	return m
}

func match(t testing.TB, s Opened, m engine.Match) engine.MatchResult {
	t.Helper()
	list, err := s.Match(t.Context(), []engine.Match{m})
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// running stores an event and a running run of it.
func running(t testing.TB, s Opened, n int64) engine.RunUpdate {
	t.Helper()
	accept(t, s, event(n), delivery("hook", event(n).String()))
	u := start(run(n), event(n))
	match(t, s, matched(event(n), u))
	u.New, u.Records = false, nil
	return u
}

// commit stores an update with another status of its run.
func commit(t testing.TB, s Opened, u engine.RunUpdate, status engine.RunStatus, records ...*plan.Record) time.Time {
	t.Helper()
	u.Run.Status, u.Records = status, records
	if status.Ended() {
		u.Run.FinishedAt = at
	}
	if status != engine.Queued && status != engine.Waiting {
		u.Run.DueAt = time.Time{}
	}
	next, err := s.CommitRun(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// status is the stored status of a run.
func status(t testing.TB, s Opened, id engine.RunID) *engine.Run {
	t.Helper()
	r, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// due lists the runs that are due at a time.
func due(t testing.TB, s Opened, now time.Time) []engine.RunID {
	t.Helper()
	ids, _, err := s.ClaimDue(t.Context(), s.Owner(), now, 100)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
