package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/testsize"
	"github.com/jackc/pgx/v5"
)

// What goes wrong if the transactions of nodes run side by side, as a port to PostgreSQL without the turn
// would let them: each test finds nothing with the turn, and the anomaly without it.

// slowNodes opens nodes that wait up to 2 ms before each commit, as on a slow disk or network.
func slowNodes(t *testing.T, address string, n int) (nodes []*store.Store) {
	t.Helper()
	for i := range n {
		nodes = append(nodes, open(t, address, store.Options{Verb: "serve", Node: fmt.Sprint("n", i), Fault: func(int) error {
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			return nil
		}}))
	}
	return nodes
}

// withoutTurn makes the turn of a database a row that cannot be locked, so that its nodes write side by side.
func withoutTurn(t *testing.T, address string) {
	t.Helper()
	postgrestest.Exec(t, address, `ALTER TABLE hookloom.turn RENAME TO turn_of_nobody`,
		`CREATE VIEW hookloom.turn AS SELECT 1::bigint AS one, 0::bigint AS epoch`,
		`CREATE RULE nobody AS ON UPDATE TO hookloom.turn DO INSTEAD NOTHING`)
}

// bothModes runs a test that counts anomalies with the turn, which must find none, and without it.
func bothModes(t *testing.T, what string, nodes int, count func(t *testing.T, nodes []*store.Store, address string, guarded bool) int) {
	for name, guarded := range map[string]bool{"with the turn": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for attempt := 1; ; attempt++ {
				address := postgrestest.Shared(t).Database(t)
				list := slowNodes(t, address, nodes)
				if !guarded {
					withoutTurn(t, address)
				}
				began := time.Now()
				n := count(t, list, address, guarded)
				t.Logf("%s: %d %s in %v", name, n, what, time.Since(began).Round(time.Millisecond))
				switch {
				case guarded && n > 0, !guarded && n == 0 && attempt == 5:
					t.Errorf("%d %s", n, what)
				case !guarded && n == 0: // on a busy machine the nodes may not have met
					continue
				}
				return
			}
		})
	}
}

// inParallel calls do with the numbers below n, several at once.
func inParallel(n, workers int, do func(i int)) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				do(i)
			}
		})
	}
	wg.Wait()
}

// begun stores an event and a running run of it.
func begun(s *store.Store, n int) (*engine.Run, error) {
	event := engine.EventID(nodeID(s))
	at := time.Now()
	run := &engine.Run{ID: engine.RunID(nodeID(s)), Event: event, Workflow: "w", Version: "v", Status: engine.Running, CreatedAt: at,
		StartedAt: at}
	_, _, err := s.AcceptDecided(ctx, event, delivery("hook", fmt.Sprint("begins-", n)), engine.Match{Event: event, At: at,
		Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: run.ID}},
		Starts:    []engine.RunUpdate{{New: true, Answers: -1, Run: run}}})
	return run, err
}

// TestWaitsAndEventsOfTwoNodesMeet: a run begins to wait for an event at one node while another one stores
// the event: neither is missed. HOOKLOOM_MEETINGS sets how many there are.
func TestWaitsAndEventsOfTwoNodesMeet(t *testing.T) {
	t.Parallel()
	meetings := testsize.Of(t, "HOOKLOOM_MEETINGS", 60)
	bothModes(t, "runs are never woken", 2, func(t *testing.T, nodes []*store.Store, address string, guarded bool) int {
		inParallel(meetings, 8, func(i int) {
			run, err := begun(nodes[0], i)
			if err != nil {
				if guarded {
					t.Error(err)
				}
				return
			}
			key := fmt.Sprint("k", i)
			var both sync.WaitGroup
			both.Go(func() {
				if err := storeArrival(nodes[1], key, run.CreatedAt); err != nil && guarded {
					t.Error(err)
				}
			})
			if err := awaits(nodes[0], run, key); err != nil && guarded {
				t.Error(err)
			}
			both.Wait()
		})
		stored := number(t, address, `SELECT count(*) FROM hookloom.runs r JOIN hookloom.waits w ON w.run_id = r.id
			JOIN hookloom.keys k ON k.trigger = w.trigger AND k.key = w.key WHERE r.status = 'waiting'`)
		if guarded && stored != meetings {
			t.Errorf("%d meetings of %d", stored, meetings)
		}
		return number(t, address, `SELECT count(*) FROM hookloom.runs r JOIN hookloom.waits w ON w.run_id = r.id
			JOIN hookloom.keys k ON k.trigger = w.trigger AND k.key = w.key WHERE r.status = 'waiting' AND r.due_at IS NULL`)
	})
}

// awaits makes a run wait for an event of trigger back.
func awaits(s *store.Store, run *engine.Run, key string) error {
	run.Status = engine.Waiting
	w := engine.EventWait{Trigger: "back", Key: key, From: run.CreatedAt}
	_, err := s.CommitRun(ctx, engine.RunUpdate{Run: run, Answers: -1, Awaits: []engine.EventWait{w}, Records: []*plan.Record{{
		Path: "a", Attempt: 1, Status: plan.Waiting, StartedAt: run.CreatedAt,
		Waits: []plan.Wait{{Kind: plan.WaitEvent, Trigger: w.Trigger, Key: key, From: w.From}}}}})
	return err
}

// storeArrival stores an event that wakes the runs that wait for it.
func storeArrival(s *store.Store, key string, since time.Time) error {
	id, w := engine.EventID(nodeID(s)), engine.EventWait{Trigger: "back", Key: key, From: since}
	_, _, err := s.AcceptDecided(ctx, id, delivery("back", key), engine.Match{Event: id, At: time.Now(), Wakes: &w})
	return err
}

// TestAnEventReadsNoOtherWaitingRuns: it finds those that wait for it by their ids, also before the planner has
// statistics.
func TestAnEventReadsNoOtherWaitingRuns(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s := node(t, address, "a")
	const waiting, events = 500, 20
	inParallel(waiting, 64, func(i int) {
		run, err := begun(s, i)
		if err == nil {
			err = awaits(s, run, fmt.Sprint("k", i))
		}
		if err != nil {
			t.Error(err)
		}
	})
	for i := range events {
		if err := storeArrival(s, fmt.Sprint("k", i), time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // its sessions report what they have read at their end
		t.Fatal(err)
	}
	if n := number(t, address, `SELECT count(*) FROM hookloom.runs WHERE due_at IS NOT NULL`); n != events {
		t.Errorf("%d runs of %d were woken", n, events)
	}
	if n := number(t, address, `SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'runs_due'`); n > waiting {
		t.Errorf("%d events have read %d entries of the index of open runs", events, n)
	}
}

// number is the result of a query.
func number(t *testing.T, address, query string) int {
	t.Helper()
	n, err := strconv.Atoi(postgrestest.Value(t, address, query))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTheFeedOfFourNodesIsWhole: a reader follows the feed while four nodes write: it is told of every
// event, once. HOOKLOOM_TAIL sets how many events each node stores.
func TestTheFeedOfFourNodesIsWhole(t *testing.T) {
	t.Parallel()
	each := testsize.Of(t, "HOOKLOOM_TAIL", 200)
	bothModes(t, "events were skipped or told twice", 4, func(t *testing.T, nodes []*store.Store, _ string, guarded bool) int {
		h := nodes[0].History()
		cursor, err := h.FeedEnd(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		told := map[engine.EventID]int{} // minus one for each event that was acknowledged
		read := func() int {
			list, err := h.Feed(ctx, cursor, 100)
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, c := range list {
				told[c.Event]++
				cursor = c.At
			}
			return len(list)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			inParallel(4*each, 32, func(i int) {
				s := nodes[i%4]
				id := engine.EventID(nodeID(s))
				_, _, err := s.AcceptDecided(ctx, id, delivery("hook", fmt.Sprint("k", i)), engine.Match{Event: id, At: time.Now()})
				if err != nil && guarded {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					told[id]--
				}
			})
		}()
		for going := true; going; {
			select {
			case <-ended:
				going = false
			default:
			}
			for read() > 0 {
				continue
			}
		}
		wrong := 0
		for _, n := range told {
			if n != 0 {
				wrong++
			}
		}
		if guarded && len(told) != 4*each {
			t.Errorf("%d events of %d", len(told), 4*each)
		}
		return wrong
	})
}

// TestNodesDoNotDeadlockOverTheSameKeys: four nodes accept the same keys, each in an order of its own; each
// key is new once, and no transaction waits for another that waits for it. HOOKLOOM_SAMEKEYS sets the number
// of keys. The control writes the keys as they come.
func TestNodesDoNotDeadlockOverTheSameKeys(t *testing.T) {
	t.Parallel()
	keys := testsize.Of(t, "HOOKLOOM_SAMEKEYS", 300)
	t.Run("with the turn", func(t *testing.T) {
		t.Parallel()
		address := postgrestest.Shared(t).Database(t)
		var mu sync.Mutex
		fresh := make([]int, keys)
		var wg sync.WaitGroup
		began := time.Now()
		for _, s := range slowNodes(t, address, 4) {
			order := rand.Perm(keys)
			wg.Go(func() {
				inParallel(keys, 100, func(i int) {
					r, err := s.Accept(ctx, engine.EventID(nodeID(s)), delivery("shop", fmt.Sprint("k", order[i])))
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if err == nil && !r.Duplicate {
						fresh[order[i]]++
					}
				})
				if err := s.Close(); err != nil { // its sessions report their deadlocks at their end
					t.Error(err)
				}
			})
		}
		wg.Wait()
		t.Logf("%d keys from 4 nodes in %v", keys, time.Since(began).Round(time.Millisecond))
		for i, n := range fresh {
			if n != 1 {
				t.Errorf("k%d was new %d times", i, n)
			}
		}
		if n := number(t, address, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); n > 0 {
			t.Errorf("%d deadlocks", n)
		}
	})
	t.Run("without", func(t *testing.T) {
		t.Parallel()
		address := postgrestest.Shared(t).Database(t)
		if err := node(t, address, "a").Close(); err != nil { // it makes the tables
			t.Fatal(err)
		}
		for range 20 {
			if deadlocks := claimAsTheyCome(t, address); deadlocks > 0 {
				t.Logf("without: %d of 4 transactions ended by a deadlock", deadlocks)
				return
			}
			postgrestest.Exec(t, address, `DELETE FROM hookloom.keys`)
		}
		t.Error("no deadlock in 20 attempts")
	})
}

// claimAsTheyCome claims the same keys in four transactions, each in an order of its own, and counts those
// that a deadlock has ended.
func claimAsTheyCome(t *testing.T, address string) (deadlocks int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			c, err := pgx.Connect(ctx, address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close(ctx)
			if _, err := c.Exec(ctx, `SET deadlock_timeout = '20ms'`); err != nil {
				t.Error(err)
				return
			}
			var keys []string
			for _, k := range rand.Perm(200) {
				keys = append(keys, fmt.Sprint("k", k))
			}
			err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
				for part := range slices.Chunk(keys, 20) {
					if _, err := tx.Exec(ctx, `INSERT INTO hookloom.keys (trigger, key, event_id, seen_at)
						SELECT 'shop', unnest($1::text[]), $2, 0 ON CONFLICT DO NOTHING`, part, n); err != nil {
						return err
					}
				}
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil && strings.Contains(err.Error(), "40P01") {
				deadlocks++
			}
		})
	}
	wg.Wait()
	return deadlocks
}

// entered stores an event whose run asks for a place, and reports whether it begins at once.
func entered(s *store.Store, event, run int64, p *engine.SlotRequest) (begins bool, err error) {
	id, at := engine.EventID(event), time.Now()
	_, m, err := s.AcceptDecided(ctx, id, delivery("hook", id.String()), engine.Match{Event: id, At: at,
		Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: engine.RunID(run)}},
		Starts: []engine.RunUpdate{{New: true, Answers: -1, Slot: p, Run: &engine.Run{ID: engine.RunID(run), Event: id, Workflow: "w",
			Version: "v", Status: engine.Queued, CreatedAt: at}}}})
	return !m.Due.IsZero(), err
}

// TestNodesTogetherKeepTheLimitsOfAWorkflow: of the runs of a group that two nodes begin, no more are at
// work than its limit says, and no more start in any stretch of time than its rate says.
func TestNodesTogetherKeepTheLimitsOfAWorkflow(t *testing.T) {
	t.Parallel()
	runs := testsize.Of(t, "HOOKLOOM_GROUP", 60)
	bothModes(t, "runs above the limit", 2, func(t *testing.T, nodes []*store.Store, address string, guarded bool) int {
		inParallel(runs, 8, func(i int) {
			s := nodes[i%2]
			p := &engine.SlotRequest{Workflow: "w", Group: fmt.Sprint("g", i/8), Limit: 1, OnFull: "queue", MaxQueue: runs}
			if i%4 >= 2 {
				p = &engine.SlotRequest{Workflow: "w", RateGroup: "r", RateLimit: 1, RatePer: time.Minute}
			}
			if _, err := entered(s, nodeID(s), nodeID(s), p); err != nil && guarded {
				t.Error(err)
			}
		})
		above := number(t, address, `SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM hookloom.places WHERE state = 'has'
			GROUP BY workflow, grp) AS x`)
		rates := number(t, address, `SELECT count(*) FROM (SELECT starts_at - lag(starts_at) OVER (ORDER BY starts_at) AS apart
			FROM hookloom.places WHERE rate_grp = 'r') AS x WHERE apart < 60000`)
		t.Logf("%d above the concurrency, %d above the rate", above, rates)
		if !guarded && (above == 0 || rates == 0) {
			return 0
		}
		return above + rates
	})
}

// TestAGroupKeepsItsOrderOverTwoNodes: a sender waits for each answer, and reaches another node each time.
// The clock of one node is behind, so its ids are smaller: the runs begin in the order of the answers all
// the same, and not in that of the ids, which is the control.
func TestAGroupKeepsItsOrderOverTwoNodes(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	nodes := slowNodes(t, address, 2)
	n := testsize.Of(t, "HOOKLOOM_GROUP", 60)
	slot := &engine.SlotRequest{Workflow: "w", Group: "g", Limit: 1, OnFull: "queue", MaxQueue: n}
	behind := engine.FirstID(time.Now().Add(-time.Minute))
	var sent, begun []engine.RunID
	for i := range n {
		run := nodeID(nodes[0])
		if i%2 == 1 {
			run = behind + int64(i)
		}
		begins, err := entered(nodes[i%2], nodeID(nodes[i%2]), run, slot)
		if err != nil || begins != (i == 0) {
			t.Fatalf("run %d begins: %v %v", i, begins, err)
		}
		sent = append(sent, engine.RunID(run))
	}
	for i := range n {
		s := nodes[i/2%2]
		due, _, err := s.ClaimDue(ctx, s.Owner(), time.Now().Add(time.Hour), 10)
		if err != nil || len(due) != 1 {
			t.Fatalf("%d runs of a group are due at once: %v", len(due), err)
		}
		if err := s.Take(ctx, due[0]); err != nil {
			t.Fatal(err)
		}
		begun = append(begun, due[0])
		r, err := s.LoadRun(ctx, due[0])
		if err != nil {
			t.Fatal(err)
		}
		r.Run.Status, r.Run.FinishedAt = engine.Succeeded, time.Now()
		if _, err := s.CommitRun(ctx, engine.RunUpdate{Run: r.Run, Answers: -1, FreesSlot: true}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(begun, sent) {
		t.Errorf("runs began in another order than their events were answered:\n%v\n%v", begun, sent)
	}
	if slices.IsSorted(begun) {
		t.Error("the order of the ids is that of the answers: this test shows nothing")
	}
}
