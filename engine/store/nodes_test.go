package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/jackc/pgx/v5"
)

// node opens a node of a database.
func node(t *testing.T, address, name string) *store.Store {
	t.Helper()
	return open(t, address, store.Options{Verb: "serve", Node: name})
}

// nodeIDs makes the ids of the nodes, as the registry of each does.
var nodeIDs = sync.OnceValue(func() *[8]engine.IDs {
	var list [8]engine.IDs
	for n := range list {
		list[n].Node = int64(n)
	}
	return &list
})

// nodeID returns a new id of a node.
func nodeID(s *store.Store) int64 { return nodeIDs()[s.Node()].Next() }

// rulesOf is the state of what decisions rely on.
func rulesOf(t *testing.T, s *store.Store) int64 {
	t.Helper()
	seq, _, err := s.Rules(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// until waits until something holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestSeveralNodesServeOneDatabase: each has its own number, name and ids, knows the others, and hears of
// their commits.
func TestSeveralNodesServeOneDatabase(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, b := node(t, address, "a"), node(t, address, "b")
	if a.Node() == b.Node() {
		t.Fatalf("both nodes have the number %d", a.Node())
	}
	var taken *store.NodeNameError
	if _, err := store.Open(ctx, address, store.Options{Verb: "serve", Node: "a"}); !errors.As(err, &taken) {
		t.Errorf("a second node named a: %v", err)
	}
	until(t, "a knows that b is there", func() bool {
		list, err := a.Nodes(ctx)
		return err == nil && len(list) == 2 && list[0].Name == "a" && list[0].Self && list[1].Name == "b" && list[1].State == engine.NodeLive
	})
	heard := b.Subscribe(t.Context(), engine.SignalEvents)
	for len(heard) > 0 {
		<-heard
	}
	if _, err := a.Accept(ctx, engine.EventID(nodeID(a)), delivery("shop", "k")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-heard:
	case <-time.After(time.Minute):
		t.Error("b was not told that a has accepted an event")
	}
	r, err := b.Accept(ctx, engine.EventID(nodeID(b)), delivery("shop", "k"))
	if err != nil || !r.Duplicate {
		t.Errorf("the same event at another node: %+v %v", r, err)
	}
}

// TestANodeWaitsForTheLeaseOfItsPredecessor: the process before it was killed in another container, so its end
// cannot be seen. A node that lives keeps its name.
func TestANodeWaitsForTheLeaseOfItsPredecessor(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	node(t, address, "b")
	postgrestest.Exec(t, address, `INSERT INTO hookloom.nodes (node, epoch, name, host, pid, verb, since) VALUES (7, 7, 'a', 'elsewhere', 1,
		'serve', 0)`, `INSERT INTO hookloom.beats (node, epoch, until)
			VALUES (7, 7, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 800)`)
	began := time.Now()
	node(t, address, "a")
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("the name of a node whose lease holds was taken after %v", took)
	}
	if _, err := store.Open(ctx, address, store.Options{Verb: "serve", Node: "b"}); !errors.As(err, new(*store.NodeNameError)) {
		t.Errorf("the name of a living node: %v", err)
	}
}

// TestALeaseIsHeldByOneLivingNode: and by another one when that has ended.
func TestALeaseIsHeldByOneLivingNode(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, b := node(t, address, "a"), node(t, address, "b")
	holds := func(s *store.Store) bool {
		held, err := s.Lease(ctx, "poll shop")
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	if !holds(a) || holds(b) || !holds(a) {
		t.Error("the first node that asks has the lease, and no other one")
	}
	if err := a.EndLease(ctx, "poll shop"); err != nil || !holds(b) || holds(a) {
		t.Errorf("a lease that was given back: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if !holds(a) {
		t.Error("the lease of a node that has ended is not free")
	}
}

// TestWorkOfAnEndedNodeIsTakenOver: its runs are queued with one more crash, its open attempts unknown,
// its events decided by another node, and it writes nothing more.
func TestWorkOfAnEndedNodeIsTakenOver(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, b := node(t, address, "a"), node(t, address, "b")
	event, run := engine.EventID(nodeID(a)), engine.RunID(nodeID(a))
	if _, err := a.Accept(ctx, event, delivery("shop", "k")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Accept(ctx, engine.EventID(nodeID(a)), delivery("shop", "pending")); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	if _, err := a.Match(ctx, []engine.Match{{Event: event, At: at, Rules: rulesOf(t, a),
		Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: run}},
		Starts: []engine.RunUpdate{{New: true, Answers: -1, Run: &engine.Run{ID: run, Event: event, Workflow: "w", Version: "v",
			Status: engine.Running, CreatedAt: at, StartedAt: at}}}}}); err != nil {
		t.Fatal(err)
	}
	claimed := func(s *store.Store) int {
		list, _, err := s.ClaimInbox(ctx, s.Owner(), 10, func(engine.EventID) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if n, err := b.TakeOver(ctx, at); n.Runs != 0 || err != nil || claimed(b) != 0 {
		t.Errorf("b took %+v of a node that lives: %v", n, err)
	}
	postgrestest.Exec(t, address, `UPDATE hookloom.nodes SET gone = TRUE WHERE name = 'a'`)
	var n engine.TakenOver
	until(t, "b has taken over the run of a", func() bool {
		k, err := b.TakeOver(ctx, at)
		n.Runs, n.Events = n.Runs+k.Runs, n.Events+k.Events
		return err == nil && n.Events > 0
	})
	stored, err := b.Run(ctx, run)
	if err != nil || stored.Status != engine.Queued || n.Runs != 1 || claimed(b) != 1 {
		t.Errorf("%+v, %+v %v", n, stored, err)
	}
	if _, err := a.Accept(ctx, engine.EventID(nodeID(a)), delivery("shop", "late")); err == nil {
		t.Error("a node that is gone has stored an event")
	}
	list, err := b.Nodes(ctx)
	if err != nil || !slices.EqualFunc(list, []string{"b"}, func(n engine.NodeItem, name string) bool { return n.Name == name }) {
		t.Errorf("%+v %v", list, err)
	}
}

// TestEventOfAQueueGoesToTheNodeOfTheFirst: no other node decides it before, and its node is told of it.
func TestEventOfAQueueGoesToTheNodeOfTheFirst(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, b := node(t, address, "a"), node(t, address, "b")
	accept := func(s *store.Store, key string) engine.Receipt {
		d := delivery("shop", key)
		d.Lane = "customer 7"
		r, err := s.Accept(ctx, engine.EventID(nodeID(s)), d)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := accept(a, "first"); r.Elsewhere || r.Behind {
		t.Errorf("the first event: %+v", r)
	}
	heard := a.Subscribe(t.Context(), engine.SignalInbox)
	for len(heard) > 0 {
		<-heard
	}
	if r := accept(a, "second"); r.Elsewhere {
		t.Errorf("the second event at the same node: %+v", r)
	}
	time.Sleep(1200 * time.Millisecond) // b has seen with its beats what a has written
	published := b.Subscribe(t.Context(), engine.SignalInbox)
	for len(published) > 0 {
		<-published
	}
	if r := accept(b, "third"); !r.Elsewhere || !r.Behind {
		t.Errorf("an event at another node: %+v", r)
	}
	select {
	case <-published:
	case <-time.After(200 * time.Millisecond):
		t.Error("b does not tell the others of the event at once")
	}
	select {
	case <-heard:
	case <-time.After(time.Minute):
		t.Error("a was not told of its event")
	}
	for s, want := range map[*store.Store]int{a: 3, b: 0} {
		list, _, err := s.ClaimInbox(ctx, s.Owner(), 10, func(engine.EventID) bool { return false })
		if err != nil || len(list) != want {
			t.Errorf("node %d decides %d events, want %d: %v", s.Node(), len(list), want, err)
		}
	}
}

// TestFailedTakeoverIsReported, and not taken for done; nor are limits that cannot be read.
func TestFailedTakeoverIsReported(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s := node(t, address, "a")
	asks := []permit.Ask{{Name: "shop", Slots: 3, Wanted: 1}}
	for _, table := range []string{"runs", "inbox", "waits", "orders_to_nodes", "leases", "permit_slots"} {
		postgrestest.Exec(t, address, `ALTER TABLE hookloom.`+table+` RENAME TO away`)
		if _, err := s.Recover(ctx, time.Now()); err == nil {
			t.Errorf("taken over without the table %s", table)
		}
		if table == "permit_slots" {
			if _, err := s.TakePermits(ctx, asks); err == nil {
				t.Error("a permit was given without the table of permits")
			}
		}
		postgrestest.Exec(t, address, `ALTER TABLE hookloom.away RENAME TO `+table)
	}
	if _, err := s.Recover(ctx, time.Now()); err != nil {
		t.Errorf("when the tables are there again: %v", err)
	}
	if list, err := s.TakePermits(ctx, asks); err != nil || len(list) != 1 || list[0].Slots != 1 {
		t.Errorf("%+v %v", list, err)
	}
}

// TestWritesWithoutTheWriterLockFailTogether: a batch that has waited for another node does not
// wait again for each of its writes.
func TestWritesWithoutTheWriterLockFailTogether(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s := node(t, address, "a")
	other, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(ctx)
	if _, err := other.Exec(ctx, `BEGIN; SELECT epoch FROM hookloom.turn FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			_, err := s.Accept(ctx, engine.EventID(nodeID(s)), delivery("shop", fmt.Sprint("k", i)))
			if !errors.Is(err, engine.ErrBusy) {
				t.Errorf("stored without the turn: %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the answers took %v", took)
	}
	if _, err := other.Exec(ctx, `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(ctx, engine.EventID(nodeID(s)), delivery("shop", "later")); err != nil {
		t.Errorf("when the turn is free again: %v", err)
	}
}

// TestANodeWithAnotherKeyIsRefused: while one with the first key lives, whose name the error says.
func TestANodeWithAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, b := node(t, address, "a"), node(t, address, "b")
	if err := a.ShareKey(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	var other *engine.KeyError
	if err := b.ShareKey(ctx, "two"); !errors.As(err, &other) || other.Node != "a" {
		t.Errorf("another key: %v", err)
	}
	if err := b.ShareKey(ctx, "one"); err != nil {
		t.Errorf("the same key: %v", err)
	}
	for _, s := range []*store.Store{a, b} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := node(t, address, "c").ShareKey(ctx, "two"); err != nil {
		t.Errorf("a new key when all nodes were stopped: %v", err)
	}
}

// TestNodeIsDrainedByACommand: by its name, and by no other; its database is read by its address.
func TestNodeIsDrainedByACommand(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a := node(t, address, "a")
	if err := store.DrainNodeOf(ctx, address, "b"); !errors.Is(err, engine.ErrNotFound) || a.Draining() {
		t.Errorf("a node that is not there: %v; another one drains: %t", err, a.Draining())
	}
	if err := store.DrainNodeOf(ctx, "postgres://%zz", "a"); err == nil {
		t.Error("an address that cannot be read is taken")
	}
	if err := store.DrainNodeOf(ctx, address, "a"); err != nil {
		t.Fatal(err)
	}
	until(t, "the node drains", a.Draining)
	h, err := store.OpenHistory(address)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if size, err := h.Size(ctx); err != nil || size.Bytes == 0 || size.WAL != 0 {
		t.Errorf("%+v, %v", size, err)
	}
}
