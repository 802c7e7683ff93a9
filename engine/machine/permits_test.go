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
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// limitedHost is a host that all nodes call. It counts the calls of nodes that live.
type limitedHost struct {
	mu     sync.Mutex
	dead   map[string]bool
	inUse  map[string]int
	most   int
	starts []time.Time
	by     map[string]int
}

// callsOf is the action of one node.
type callsOf struct {
	*limitedHost
	node string
}

func (c callsOf) Destination(engine.Input) string { return "https://limited.example" }

func (c callsOf) Do(context.Context, engine.Input) (any, error) {
	c.mu.Lock()
	c.inUse[c.node]++
	c.by[c.node]++
	sum := 0
	for name, n := range c.inUse {
		if !c.dead[name] {
			sum += n
		}
	}
	if !c.dead[c.node] {
		c.most = max(c.most, sum)
		c.starts = append(c.starts, time.Now())
	}
	c.mu.Unlock()
	time.Sleep(40 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inUse[c.node]--
	return nil, nil
}

// TestTheLimitsOfAHostHoldForAllNodesTogether: three nodes have runs for it, one dies and one joins; there are
// never more attempts in flight, nor more started in any time of the rate's length, than the limits say,
// and each node gets its part.
func TestTheLimitsOfAHostHoldForAllNodesTogether(t *testing.T) {
	const slots, rate, per = 2, 10, 300 * time.Millisecond
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: \"${{ event.key }}\"}}\n"})
	c.project.Destinations = map[string]workflows.Limit{"limited.example": {Concurrency: slots, Rate: rate, Per: per}}
	host := &limitedHost{dead: map[string]bool{}, inUse: map[string]int{}, by: map[string]int{}}
	c.change = func(name string, w *world) { w.act = callsOf{host, name} }
	send := func(m *member, n int) {
		t.Helper()
		for i := range n {
			if _, err := m.Accept(t.Context(), delivery(fmt.Sprint(m.name, i), `{}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	calls := func() int { host.mu.Lock(); defer host.mu.Unlock(); return len(host.starts) }
	a, b, x := c.node("a"), c.node("b"), c.node("x")
	began := time.Now()
	for _, m := range []*member{a, b, x} {
		send(m, 8)
	}
	waitFor(t, func() bool { return calls() >= 6 })
	host.mu.Lock()
	host.dead["x"] = true
	host.mu.Unlock()
	x.kill()
	send(c.node("d"), 8)
	settled(t, a.database, 32)
	host.mu.Lock()
	defer host.mu.Unlock()
	t.Logf("%d calls in %v: %v", len(host.starts), time.Since(began), host.by)
	if host.most > slots {
		t.Errorf("%d attempts were in flight at once", host.most)
	}
	slices.SortFunc(host.starts, time.Time.Compare)
	for i := rate; i < len(host.starts); i++ {
		if apart := host.starts[i].Sub(host.starts[i-rate]); apart < per {
			t.Errorf("%d attempts began within %v", rate+1, apart)
		}
	}
	for _, name := range []string{"a", "b", "d"} {
		if host.by[name] < 3 {
			t.Errorf("node %s made %d of %d attempts", name, host.by[name], len(host.starts))
		}
	}
}

// TestDelayOfAHostAppliesToAllNodes: also at one that has not called it yet, until a person lifts it
// at any node.
func TestDelayOfAHostAppliesToAllNodes(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: \"limited x\"}, retry: 0}\n"})
	var calls atomic.Int32
	c.act = hosts{c.target}
	c.target.do = func(engine.Input, int) (any, error) {
		if calls.Add(1) == 1 {
			return nil, &plan.Error{Message: "429", Code: "status", Status: 429, RetryAfter: time.Minute}
		}
		return nil, nil
	}
	a, b := c.node("a"), c.node("b")
	if _, err := a.Accept(t.Context(), delivery("k1", `{}`)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return calls.Load() == 1 })
	began := time.Now()
	time.Sleep(700 * time.Millisecond) // within a second
	if _, err := b.Accept(t.Context(), delivery("k2", `{}`)); err != nil {
		t.Fatal(err)
	}
	asks := func(m *member) bool {
		return slices.ContainsFunc(m.Destinations(), func(d destination.State) bool {
			return d.Until != nil && strings.Contains(d.Why, "Retry-After")
		})
	}
	waitFor(t, func() bool { return asks(b) })
	if n := calls.Load(); n != 1 {
		t.Fatalf("%d calls, %v after the host has asked to wait", n, time.Since(began))
	}
	began = time.Now()
	if _, err := b.Unpause(t.Context(), "https://limited"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return !asks(a) && calls.Load() == 2 })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the delay was lifted after %v", took)
	}
}
