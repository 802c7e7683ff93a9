package store_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/jackc/pgx/v5"
)

// holdTurn takes the turn of the nodes as a process does that is stopped in a transaction, until release
// is called.
func holdTurn(t *testing.T, address string) (release func()) {
	t.Helper()
	return hold(t, address, "SELECT epoch FROM hookloom.turn FOR UPDATE")
}

// hold executes a statement in a transaction, which stays open until release is called.
func hold(t *testing.T, address, statement string) (release func()) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"BEGIN", statement} {
		if _, err := c.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	release = sync.OnceFunc(func() { _ = c.Close(ctx) })
	t.Cleanup(release)
	return release
}

// databaseOf is the name of the database of an address.
func databaseOf(t *testing.T, address string) string {
	t.Helper()
	c, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	return c.Database
}

// accepts reports whether a store accepts an event.
func accepts(s *store.Store) func() bool {
	return func() bool {
		id := nodeID(s)
		_, err := s.Accept(ctx, engine.EventID(id), delivery("shop", fmt.Sprint("later ", id)))
		return err == nil
	}
}

// TestNodesWorkWithAnyDatabaseDefaults: transactions wait for their turn and then read what
// was committed meanwhile, however long.
func TestNodesWorkWithAnyDatabaseDefaults(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	address := server.Database(t)
	if err := node(t, address, "a").Close(); err != nil { // the tables are there
		t.Fatal(err)
	}
	for _, setting := range []string{"default_transaction_isolation = 'repeatable read'", "statement_timeout = '1s'",
		"lock_timeout = '100ms'"} {
		server.Exec(t, `ALTER DATABASE `+databaseOf(t, address)+` SET `+setting)
	}
	a, b := node(t, address, "a"), node(t, address, "b")
	release := holdTurn(t, address)
	time.AfterFunc(2*time.Second, release)
	var wg sync.WaitGroup
	for _, s := range []*store.Store{a, b} {
		for i := range 100 {
			wg.Go(func() {
				if _, err := s.Accept(ctx, engine.EventID(nodeID(s)), delivery("shop", fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
}

// TestMigrationsAndReadsMayTakeLongerThanTheLimitsOfTheDatabase: both wait for another session's lock here. Of
// two programs that start at once, one waits for the other one's migration.
func TestMigrationsAndReadsMayTakeLongerThanTheLimitsOfTheDatabase(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	address := server.Database(t)
	node(t, address, "before")
	for _, setting := range []string{"default_transaction_isolation = 'repeatable read'", "statement_timeout = '1s'",
		"lock_timeout = '900ms'"} {
		server.Exec(t, `ALTER DATABASE `+databaseOf(t, address)+` SET `+setting)
	}
	history, err := store.OpenHistory(address)
	if err != nil {
		t.Fatal(err)
	}
	defer history.Close()
	time.AfterFunc(1300*time.Millisecond, hold(t, address, `LOCK TABLE hookloom.runs`))
	next := nextVersion(t, "ALTER TABLE hookloom.runs ADD COLUMN next_version TEXT;\n")
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		wg.Go(func() {
			s, err := store.Open(ctx, address, store.Options{Verb: "serve", Node: name, Migrations: next})
			if err != nil {
				t.Errorf("node %s: %v", name, err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		if _, err := history.Runs(ctx, engine.Query{Limit: 1}); err != nil {
			t.Errorf("a read: %v", err)
		}
	})
	wg.Wait()
}

// TestNodesThatStartAtOnceMakeTheTables: both find no schema in the new database.
func TestNodesThatStartAtOnceMakeTheTables(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	// Both wait for it, and then create the schema at the same moment.
	release := hold(t, address, `CREATE SCHEMA hookloom`)
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		wg.Go(func() {
			s, err := store.Open(ctx, address, store.Options{Verb: "serve", Node: name})
			if err != nil {
				t.Errorf("node %s: %v", name, err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, "all wait", func() bool {
		return postgrestest.Value(t, address, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND
			wait_event_type = 'Lock'`) == "3"
	})
	release()
	wg.Wait()
}

// TestReadOnlyDatabaseIsUnavailable: whoever waits is answered, the process can end, and it tries
// again with pauses.
func TestReadOnlyDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	address := server.Database(t)
	name := databaseOf(t, address)
	s := node(t, address, "a")
	server.Exec(t, `ALTER DATABASE `+name+` SET default_transaction_read_only = on`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	began := time.Now()
	if _, err := s.Accept(ctx, engine.EventID(nodeID(s)), delivery("shop", "k")); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("accepted: %v", err)
	}
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("answered after %v", took)
	}
	// The node connects again, and finds that it may only read.
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s.Full() == nil {
			t.Fatal("the node counts as ready")
		}
	}
	// The statistics of a session are there when it has ended.
	n, err := strconv.Atoi(postgrestest.Value(t, address, `SELECT sessions FROM pg_stat_database WHERE datname = '`+name+`'`))
	if err != nil || n > 100 {
		t.Errorf("%d sessions were begun: the node tries to write without a pause (%v)", n, err)
	}
	server.Exec(t, `ALTER DATABASE `+name+` RESET default_transaction_read_only`)
	until(t, "events are accepted again", accepts(s))
}

// TestDatabaseOutageEndsNoNode: after an outage the leases of all have ended.
func TestDatabaseOutageEndsNoNode(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, b := node(t, address, "a"), node(t, address, "b")
	time.Sleep(2500 * time.Millisecond) // until they may take over
	release := hold(t, address, "SELECT until FROM hookloom.beats FOR UPDATE")
	time.Sleep(4300 * time.Millisecond)
	time.AfterFunc(300*time.Millisecond, release)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := a.TakeOver(ctx, time.Now()); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []*store.Store{a, b} {
		if err := s.Err(); err != nil || !accepts(s)() {
			t.Errorf("node %d: %v", s.Node(), err)
		}
	}
}

// TestNodeLeavesUnderTheWriterLock: whoever takes over the work of others at that moment would else free its number
// without its work.
func TestNodeLeavesUnderTheWriterLock(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s := node(t, address, "a")
	release := holdTurn(t, address)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	time.Sleep(700 * time.Millisecond)
	if gone := postgrestest.Value(t, address, `SELECT gone FROM hookloom.nodes`); gone != "false" {
		t.Error("it is gone while another node has the turn")
	}
	release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if gone := postgrestest.Value(t, address, `SELECT gone FROM hookloom.nodes`); gone != "true" {
		t.Error("it has not said that it is gone")
	}
}

// TestNodeDoesNotOwnRunsOfAnEarlierNodeOfItsNumber: nobody executes them, as after a restore.
func TestNodeDoesNotOwnRunsOfAnEarlierNodeOfItsNumber(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a := node(t, address, "a")
	node(t, address, "c")
	event, run := engine.EventID(nodeID(a)), engine.RunID(nodeID(a))
	if _, err := a.Accept(ctx, event, delivery("shop", "k")); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	if _, err := a.Match(ctx, []engine.Match{{Event: event, At: at, Rules: rulesOf(t, a),
		Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: run}},
		Starts: []engine.RunUpdate{{New: true, Answers: -1, Run: &engine.Run{ID: run, Event: event, Workflow: "w", Version: "v",
			Status: engine.Running, CreatedAt: at, StartedAt: at}}}}}); err != nil {
		t.Fatal(err)
	}
	postgrestest.Exec(t, address, `DELETE FROM hookloom.nodes WHERE name = 'a'`)
	b := node(t, address, "b")
	if a.Node() != b.Node() {
		t.Fatalf("the numbers are %d and %d", a.Node(), b.Node())
	}
	if _, err := b.Recover(ctx, at); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Run(ctx, run); err != nil || r.Status != engine.Queued {
		t.Errorf("%+v %v", r, err)
	}
}
