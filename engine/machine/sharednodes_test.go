package machine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
)

// heldCluster is a cluster whose connection crm needs a person while revoked is set, which the attempts of
// each node find out by themselves.
func heldCluster(t *testing.T) (c *cluster, revoked *atomic.Bool) {
	c, revoked = newCluster(t, map[string]string{"w": overConnection}), &atomic.Bool{}
	revoked.Store(true)
	c.change = func(_ string, w *world) {
		var e *machine.Engine
		w.before = func(x *machine.Engine) { e = x }
		own := &target{seen: map[string][]string{}}
		own.do = func(engine.Input, int) (any, error) {
			if revoked.Load() {
				e.HoldConnection(context.Background(), "crm", whyHeld) // as package auth does it
				return nil, &engine.HeldError{Connection: "crm", Why: whyHeld}
			}
			return map[string]any{"n": 1}, nil
		}
		w.act = connectedTarget{own}
	}
	return c, revoked
}

// awaitAllSucceeded waits until all of n runs have succeeded.
func awaitAllSucceeded(t *testing.T, s database, n int) {
	t.Helper()
	began := time.Now()
	for _, x := range settled(t, s, n) {
		if x.Status != string(engine.Succeeded) {
			t.Errorf("%s: %s", x.ID, x.Status)
		}
	}
	t.Logf("%d runs went on within %s", n, time.Since(began))
}

// TestConnectionConnectedAtOneNodeIsReadyAtAll: the runs of both nodes wait, and those of both go on.
func TestConnectionConnectedAtOneNodeIsReadyAtAll(t *testing.T) {
	c, revoked := heldCluster(t)
	a, b := c.node("a"), c.node("b")
	acceptMany(t, a.Engine, "first", "second")
	acceptMany(t, b.Engine, "third", "fourth")
	waitingForCRM(t, a.database, 4)
	revoked.Store(false)
	if _, err := a.ConnectionReady(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	awaitAllSucceeded(t, b.database, 4)
}

// TestRunWaitingForAConnectionIsRetriedAfterItsNodeEnds: the node that takes it over never had to wait
// for the connection.
func TestRunWaitingForAConnectionIsRetriedAfterItsNodeEnds(t *testing.T) {
	c, revoked := heldCluster(t)
	a, b := c.node("a"), c.node("b")
	acceptMany(t, a.Engine, "first")
	waitingForCRM(t, a.database, 1)
	revoked.Store(false)
	a.kill()
	awaitAllSucceeded(t, b.database, 1)
}

// TestApprovalLinkWorksAtAnotherNode: once in all.
func TestApprovalLinkWorksAtAnotherNode(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: one, wait: {approval: first, by: [ada]}}\n"})
	a, b := c.node("a"), c.node("b")
	acceptMany(t, a.Engine, "k")
	id := stands(t, a.database, engine.Waiting)
	token, _, err := a.Link(t.Context(), id, "", "ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.LinkQuestion(t.Context(), token); err != nil {
		t.Errorf("the other node does not know the question: %v", err)
	}
	if _, err := b.AnswerLink(t.Context(), token, "approve", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AnswerLink(t.Context(), token, "reject", ""); !errors.Is(err, engine.ErrLink) && !errors.Is(err, engine.ErrStale) {
		t.Errorf("a link was answered twice: %v", err)
	}
	stands(t, a.database, engine.Succeeded)
}
