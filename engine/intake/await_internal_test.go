package intake

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/persist"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// TestEachWaiterIsNotifiedUntilItLeaves: all that wait for an event, and once only. What has been left takes no memory.
func TestEachWaiterIsNotifiedUntilItLeaves(t *testing.T) {
	var c waiters
	first, leaveFirst := c.add(1)
	second, leaveSecond := c.add(1)
	other, leaveOther := c.add(2)
	told := func(ch chan struct{}) bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	for range 2 {
		c.notify(1)
	}
	if !told(first) || !told(second) || told(first) || told(other) {
		t.Error("the waiters of an event are not told once each")
	}
	leaveFirst()
	c.notify(1)
	if told(first) || !told(second) || len(c.waiting[1]) != 1 {
		t.Errorf("after one has left, %d wait", len(c.waiting[1]))
	}
	leaveSecond()
	leaveOther()
	if len(c.waiting) != 0 {
		t.Errorf("nobody waits, and %d events are kept", len(c.waiting))
	}
}

// signalled is a store of several nodes, where one has changed something.
type signalled struct {
	engine.Store
	signals chan engine.Signal
}

func (signalled) Shared() bool                                                    { return true }
func (s signalled) Subscribe(context.Context, engine.Signal) <-chan engine.Signal { return s.signals }

// TestInterruptedWaitIsAnError, also while it looks what another node has done: the caller must not take it
// for an end without a run.
func TestInterruptedWaitIsAnError(t *testing.T) {
	in := ready(t)
	s := signalled{in.store.Store, make(chan engine.Signal, 1)}
	in.store = persist.New(s, in.o.Log)
	r, err := in.store.Accept(t.Context(), 1, &engine.Delivery{Trigger: "hook", Inlet: "webhook", Key: "k", Type: "t", Time: time.Now(),
		ReceivedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // either case may be chosen
		s.signals <- engine.SignalRuns
		if got, err := in.Await(ctx, r.Event); !errors.Is(err, context.Canceled) || got == nil || got.Run != nil {
			t.Fatalf("%+v, %v", got, err)
		}
		select {
		case <-s.signals:
		default:
		}
	}
	told := make(chan struct{}, 1)
	if err := in.settle(ctx, told); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := in.settle(t.Context(), told); err != nil {
		t.Error(err)
	}
}

// TestRefusalIsRecorded although nobody waits for it.
func TestRefusalIsRecorded(t *testing.T) {
	db := storetest.New(t)
	over(t, db.Store).Refuse(engine.Refusal{At: time.Now(), Trigger: "hook", Reason: "signature"})
	list, err := db.History.Quarantine(t.Context(), engine.Query{Limit: 10})
	if err != nil || len(list) != 1 || list[0].Reason != "signature" {
		t.Errorf("%+v, %v", list, err)
	}
}
