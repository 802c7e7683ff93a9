package control

import (
	"context"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// follower is a store of a node that has no lease.
type follower struct {
	Store
	pruned int
}

func (*follower) Lease(context.Context, string) (bool, error) { return false, nil }

func (f *follower) Prune(context.Context, engine.PruneOrder) (engine.Pruned, error) {
	f.pruned++
	return engine.Pruned{}, nil
}

// TestNodeWithoutTheLeasePrunesNothing: another one does.
func TestNodeWithoutTheLeasePrunesNothing(t *testing.T) {
	f := &follower{Store: storetest.New(t).Store}
	if n, err := New(Options{Store: f}).pruneHere(t.Context()); err != nil || f.pruned != 0 || n != (engine.Pruned{}) {
		t.Errorf("pruned %d times: %+v %v", f.pruned, n, err)
	}
}
