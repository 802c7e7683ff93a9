package store_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// TestSlowReaderGetsOneSignalForAllMissedChanges, and only of the kinds that it asked for.
func TestSlowReaderGetsOneSignalForAllMissedChanges(t *testing.T) {
	s := store.NewSignals()
	got := s.Subscribe(t.Context(), engine.SignalEvents|engine.SignalAnswers)
	for _, x := range []engine.Signal{engine.SignalEvents, engine.SignalTokens, engine.SignalAnswers | engine.SignalDue, engine.SignalEvents} {
		s.Publish(x)
	}
	if x := <-got; x != engine.SignalEvents|engine.SignalAnswers {
		t.Errorf("signal %b", x)
	}
	select {
	case x := <-got:
		t.Errorf("a second signal: %b", x)
	default:
	}
}

// TestASubscriptionEndsWithItsContext, so that the readers of yesterday cost nothing.
func TestASubscriptionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewSignals()
		ctx, cancel := context.WithCancel(t.Context())
		ended, stays := s.Subscribe(ctx, engine.SignalDue), s.Subscribe(t.Context(), engine.SignalDue)
		cancel()
		synctest.Wait()
		s.Publish(engine.SignalDue)
		if len(ended) != 0 || len(stays) != 1 {
			t.Errorf("%d signals to a reader that is gone, %d to one that is here", len(ended), len(stays))
		}
	})
}
