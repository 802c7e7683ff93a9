package machine_test

import (
	"context"
	"fmt"
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

// TestASuspectIsTakenUpByAnotherNodeWithoutARestart: a run that was executing when two nodes ended goes on
// at a third, which began before.
func TestASuspectIsTakenUpByAnotherNodeWithoutARestart(t *testing.T) {
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
