package machine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// cluster is several engines over one database on a PostgreSQL server.
type cluster struct {
	*world
	address string
	// change, if set, changes the world before a node starts.
	change func(name string, w *world)
	// kills counts the nodes that have ended.
	kills atomic.Int32
}

func newCluster(t *testing.T, flows map[string]string) *cluster {
	t.Helper()
	c := &cluster{world: newWorld(t, flows), address: postgrestest.Shared(t).Database(t)}
	c.ownRows = true
	return c
}

// member is one engine of a cluster.
type member struct {
	*machine.Engine
	database
	name  string
	stop  func() error
	gone  bool
	owner *cluster
}

// node starts an engine; it ends with the test.
func (c *cluster) node(name string) *member {
	c.t.Helper()
	w := *c.world
	w.target = c.target
	w.open = func(fault func(int) error) (storetest.Opened, error) {
		s, err := store.Open(context.Background(), c.address, store.Options{Verb: "serve", Node: name, Fault: fault})
		if err != nil {
			return storetest.Opened{}, err
		}
		h := s.History()
		return storetest.Opened{Store: s, History: h, Close: s.Close, Wrong: func(context.Context) ([]string, error) { return nil, nil }}, nil
	}
	if c.change != nil {
		c.change(name, &w)
	}
	m := &member{name: name, owner: c}
	m.Engine, m.database, m.stop = w.start(nil)
	c.t.Cleanup(func() {
		if !m.gone {
			if err := m.stop(); err != nil {
				c.t.Errorf("node %s: %v", name, err)
			}
		}
	})
	return m
}

// kill makes a node look as if its process had ended: the others take over, and it writes nothing more.
func (m *member) kill() {
	m.owner.t.Helper()
	m.gone = true
	postgrestest.Exec(m.owner.t.(*testing.T), m.owner.address, fmt.Sprintf(`UPDATE hookloom.nodes SET gone = TRUE WHERE name = '%s'`, m.name))
	m.owner.kills.Add(1)
	_ = m.stop() // its error is that it was fenced
}

// TestSuspectRunIsTakenOverWithoutARestart: a run that was executing when two nodes ended goes on
// at a third, which began before.
func TestSuspectRunIsTakenOverWithoutARestart(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: 1}}\n"})
	var mu sync.Mutex
	calls := 0
	c.target.do = func(in engine.Input, _ int) (any, error) {
		mu.Lock()
		calls++
		n := calls
		mu.Unlock()
		if n <= engine.SuspectCrashes {
			for c.kills.Load() < int32(n) {
				time.Sleep(10 * time.Millisecond)
			}
		}
		return map[string]any{"n": n}, nil
	}
	called := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return calls >= n }
	}
	a := c.node("a")
	if _, err := a.Accept(t.Context(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, called(1))
	b := c.node("b")
	a.kill()
	last := b
	for n := 2; n <= engine.SuspectCrashes; n++ {
		waitFor(t, called(n))
		next := c.node(fmt.Sprint("n", n))
		last.kill()
		last = next
	}
	runs := settled(t, last.database, 1)
	if len(runs) != 1 || runs[0].Status != string(engine.Succeeded) {
		t.Errorf("%+v", runs)
	}
}

// ended waits until a run has ended, and returns its status.
func (m *member) ended(id engine.RunID) string {
	m.owner.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r, err := m.Store.Run(context.Background(), id)
		if err == nil && r.Status.Ended() {
			return string(r.Status)
		}
		if time.Now().After(deadline) {
			m.owner.t.Fatalf("run %s has not ended: %+v %v", id, r, err)
		}
	}
}

// onlyRun is the run of the only event.
func (m *member) onlyRun() engine.RunID {
	m.owner.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		list, err := m.History.Runs(context.Background(), engine.Query{Limit: 10})
		if err == nil && len(list) == 1 {
			id, err := engine.ParseRunID(list[0].ID)
			if err != nil {
				m.owner.t.Fatal(err)
			}
			return id
		}
	}
	m.owner.t.Fatal("no run, or several")
	return 0
}

// TestARunIsCancelledAtTheNodeThatExecutesIt: an order at another node ends it within a second.
func TestARunIsCancelledAtTheNodeThatExecutesIt(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: 1}}\n"})
	c.act = waits{make(chan struct{}, 10)}
	a, b := c.node("a"), c.node("b")
	if _, err := a.Accept(t.Context(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	<-c.act.(waits).begun
	id := a.onlyRun()
	began := time.Now()
	if err := b.Engine.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if status := b.ended(id); status != string(engine.Cancelled) || time.Since(began) > 2*time.Second {
		t.Errorf("%s after %v", status, time.Since(began))
	}
	if err := b.Engine.Cancel(t.Context(), id); err == nil {
		t.Error("a run that has ended was cancelled again")
	}
}

// waits is an action that ends with its context.
type waits struct{ begun chan struct{} }

// Do implements engine.Action.
func (w waits) Do(ctx context.Context, _ engine.Input) (any, error) {
	w.begun <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestTheEndOfARunIsSeenAtTheNodeThatAcceptedItsEvent, which waits for it to answer its sender.
func TestTheEndOfARunIsSeenAtTheNodeThatAcceptedItsEvent(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: w, wait: {event: back, key: k}}\n" +
		"  - {id: a, uses: test/act, with: {n: 1}}\n"})
	a, b := c.node("a"), c.node("b")
	r, err := a.Accept(t.Context(), delivery("k", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan *engine.AwaitResult, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		res, err := a.Await(ctx, r.Event)
		if err != nil {
			t.Error(err)
		}
		done <- res
	}()
	id := a.onlyRun()
	waitFor(t, func() bool {
		r, err := b.Store.Run(t.Context(), id)
		return err == nil && r.Status == engine.Waiting
	})
	d := delivery("k", `{}`)
	d.Trigger = "back"
	if _, err := b.Accept(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if res := <-done; res.Run == nil || res.Run.Status != engine.Succeeded {
		t.Errorf("%+v", res)
	}
}

// deaf loses the hints that other nodes have changed what decisions rely on.
type deaf struct{ engine.Store }

// Subscribe implements engine.Signals.
func (d deaf) Subscribe(ctx context.Context, kinds engine.Signal) <-chan engine.Signal {
	return d.Store.Subscribe(ctx, kinds&^engine.SignalSwitches)
}

// TestEventWakesARunOfAVersionItsNodeNeverLoaded: the node that accepts it has another project, in
// which nothing listens to the event or waits for it, and no hint of the other node's has reached it: the
// database rejects its decision.
func TestEventWakesARunOfAVersionItsNodeNeverLoaded(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: 1}}\n"})
	c.change = func(name string, w *world) {
		if name == "a" {
			w.store = func(s engine.Store) engine.Store { return deaf{s} }
		}
	}
	a := c.node("a")
	c.project = project(t, map[string]string{
		"w": "on: hook\nsteps:\n  - {id: w, wait: {event: back, key: k}}\n  - {id: a, uses: test/act, with: {n: 2}}\n",
		"x": "on: hook\ncancel_on: {event: back, key: event.key}\nsteps:\n  - {id: a, uses: test/act, with: {n: 2}}\n"})
	b := c.node("b")
	if _, err := b.Accept(t.Context(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		list, err := b.History.Runs(t.Context(), engine.Query{Limit: 10, Workflow: "w"})
		return err == nil && len(list) == 1 && list[0].Status == string(engine.Waiting)
	})
	d := delivery("k", `{}`)
	d.Trigger = "back"
	if _, err := a.Accept(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	settled(t, b.database, 1)
}

// TestSwitchAppliesToAllNodesAtOnce: an event that is accepted anywhere after a workflow was switched off
// begins no run.
func TestSwitchAppliesToAllNodesAtOnce(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: 1}}\n"})
	a, b := c.node("a"), c.node("b")
	for i := range 20 {
		off := i%2 == 0
		if err := a.SetEnabled(t.Context(), "w", !off, "me"); err != nil {
			t.Fatal(err)
		}
		r, err := b.Accept(t.Context(), delivery(fmt.Sprint("k", i), `{}`))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		res, err := b.Await(ctx, r.Event)
		cancel()
		if err != nil || (res.Run == nil) != off {
			t.Fatalf("%d: off %v, but %+v %v", i, off, res, err)
		}
	}
}

// TestASenderKeepsItsOrderOnAnyNode: events of one group, sent one after another to nodes in turn, run in
// that order.
func TestASenderKeepsItsOrderOnAnyNode(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nconcurrency: {limit: 1}\nsteps:\n" +
		"  - {id: a, uses: test/act, with: {n: \"${{ event.key }}\"}}\n"})
	var mu sync.Mutex
	var order []string
	c.target.do = func(in engine.Input, _ int) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, fmt.Sprint(in.With["n"]))
		return nil, nil
	}
	nodes := []*member{c.node("a"), c.node("b"), c.node("c")}
	var want []string
	for i := range 150 {
		key := fmt.Sprintf("k%03d", i)
		want = append(want, key)
		if _, err := nodes[i*7%3].Accept(t.Context(), delivery(key, `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	settled(t, nodes[0].database, len(want))
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(order, want) {
		t.Errorf("in another order than sent: %v", order)
	}
}

// TestRunThatCrashesSeveralNodesIsSetAside: after its executions have ended several nodes it is set
// aside as a dead letter, and the nodes that are left do other work.
func TestRunThatCrashesSeveralNodesIsSetAside(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: \"${{ event.key }}\"}}\n"})
	ends := make(chan string, 10)
	c.change = func(name string, w *world) { w.act = poison{name, ends} }
	nodes := map[string]*member{"a": c.node("a"), "b": c.node("b"), "x": c.node("x")}
	if _, err := nodes["a"].Accept(t.Context(), delivery("poison", `{}`)); err != nil {
		t.Fatal(err)
	}
	deaths, last := 0, nodes["a"]
	for waiting := true; waiting; {
		select {
		case name := <-ends:
			nodes[name].kill()
			delete(nodes, name)
			deaths++
			next := fmt.Sprint("n", deaths)
			nodes[next] = c.node(next)
			last = nodes[next]
		case <-time.After(100 * time.Millisecond):
			list, err := last.History.Runs(t.Context(), engine.Query{Limit: 10, Status: string(engine.Failed)})
			if err != nil {
				t.Fatal(err)
			}
			waiting = len(list) == 0
		}
	}
	if deaths != 4 {
		t.Errorf("%d nodes have died", deaths)
	}
	if _, err := last.Accept(t.Context(), delivery("well", `{}`)); err != nil {
		t.Fatal(err)
	}
	runs := settled(t, last.database, 2)
	for _, r := range runs {
		dead := r.Status == string(engine.Failed)
		if dead != strings.Contains(fmt.Sprint(r.Error), "ended 4 times") {
			t.Errorf("%s: %v", r.Status, r.Error)
		}
	}
	if runs[0].Status != string(engine.Succeeded) || runs[1].Status != string(engine.Failed) {
		t.Errorf("%s, %s", runs[0].Status, runs[1].Status)
	}
}

// poison is an action that ends its node for events with that key.
type poison struct {
	node string
	ends chan<- string
}

// Do implements engine.Action.
func (p poison) Do(ctx context.Context, in engine.Input) (any, error) {
	if in.With["n"] == "poison" {
		p.ends <- p.node
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, nil
}
