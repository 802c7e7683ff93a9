package triggers

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// TestOnlyTheLeaseHolderFiresASchedule: a process without the lease fires nothing, and goes on from
// what the other one has stored when it gets it.
func TestOnlyTheLeaseHolderFiresASchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		d := &diary{states: map[string]engine.InletState{}}
		s := scheduleOf(t, d, "*/10 * * * *", workflows.Schedule{Missed: "all"}, &log)
		d.follows.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.run(ctx) }()
		defer func() { cancel(); <-done }()
		time.Sleep(35 * time.Minute)
		if got := d.told(); len(got) != 0 {
			t.Errorf("without the lease it fired %q", got)
		}
		now := time.Now() // the other process has fired what was due so far
		d.mu.Lock()
		d.states["t"+s.inlet()] = engine.InletState{Cursor: s.table.stamp(), AskedAt: now, OKAt: now}
		d.mu.Unlock()
		d.follows.Store(false)
		time.Sleep(10 * time.Minute)
		if got := d.told(); len(got) != 1 {
			t.Errorf("with the lease it fired %q", got)
		}
	})
}
