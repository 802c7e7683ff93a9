package destination

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/workflows"
)

// sharedTable is a table whose limit of one host holds for several nodes.
func sharedTable(limit workflows.Limit) *Table {
	table := New(Options{MaxRuns: 512, Pause: time.Second, Log: slog.New(slog.DiscardHandler), OnPermit: func(int64) bool { return true },
		Wake: func() {}, Ask: func() {}})
	table.Use(map[string]workflows.Limit{"api.example": limit})
	return table
}

// TestNodeUsesOnlyTheSlotsItWasGranted, asks at once for the first, and gives back what it used.
func TestNodeUsesOnlyTheSlotsItWasGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Concurrency: 3}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		mustWait(t, table, limit, 2)
		asks, next := table.Asks(time.Now())
		if len(asks) != 1 || asks[0].Slots != 3 || asks[0].InUse != 0 || asks[0].Wanted != 2 || asks[0].Starts != 0 || !next.After(time.Now()) {
			t.Fatalf("%+v, next %v", asks, next)
		}
		if again, _ := table.Asks(time.Now()); len(again) != 0 {
			t.Errorf("asked twice before the answer: %+v", again)
		}
		table.Granted(asks, []permit.Grant{{Slots: 2}}, 0)
		first := get(t, table, limit, 1)
		get(t, table, limit, 2)
		mustWait(t, table, limit, 3)
		time.Sleep(askEvery)
		if asks, _ = table.Asks(time.Now()); len(asks) != 1 || asks[0].InUse != 2 || asks[0].Wanted != 3 {
			t.Fatalf("%+v", asks)
		}
		table.Granted(asks, nil, 0) // no answer
		mustWait(t, table, limit, 4)
		first.Release(Outcome{Status: 200})
		time.Sleep(askEvery)
		if asks, _ = table.Asks(time.Now()); len(asks) != 1 || asks[0].InUse > 2 {
			t.Errorf("%+v", asks)
		}
	})
}

// TestNodeUsesOnlyTheStartsItWasGranted, each at its time and not after others count on it being over.
func TestNodeUsesOnlyTheStartsItWasGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Rate: 10, Per: time.Second}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		mustWait(t, table, limit, 2)
		asks, _ := table.Asks(time.Now())
		// The margin of 100 ms is added to the second, so that none has more than ten.
		if len(asks) != 1 || asks[0].Slots != 0 || asks[0].Every != 110*time.Millisecond || asks[0].Ahead != 200*time.Millisecond ||
			asks[0].Starts != 1 {
			t.Fatalf("%+v", asks)
		}
		table.Granted(asks, []permit.Grant{{Starts: 1, First: 50 * time.Millisecond, Next: 90 * time.Millisecond}}, 0)
		table.Tick(time.Now())
		mustWait(t, table, limit, 3) // its time has not come
		time.Sleep(50 * time.Millisecond)
		table.Tick(time.Now())
		get(t, table, limit, 1)
		mustWait(t, table, limit, 4)
		if asks, _ = table.Asks(time.Now()); len(asks) != 0 {
			t.Errorf("asked before the time that the store named: %+v", asks)
		}
		time.Sleep(40 * time.Millisecond)
		if asks, _ = table.Asks(time.Now()); len(asks) != 1 || asks[0].Starts != 1 {
			t.Fatalf("%+v", asks)
		}
		table.Granted(asks, []permit.Grant{{Starts: 1, Next: time.Second}}, 0)
		table.mu.Lock()
		d := table.byName[api]
		table.mu.Unlock()
		d.shared.starts = []time.Time{time.Now()}
		time.Sleep(freshFor)
		if d.shared.allow(time.Now()) {
			t.Error("a start is used after its time is over")
		}
	})
}

func TestDelayFromAnotherNodeHoldsAHostNotYetCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := sharedTable(workflows.Limit{})
		table.Delay(Delay{Name: api, Until: time.Now().Add(time.Minute)})
		mustWait(t, table, workflows.Limit{}, 1)
		time.Sleep(time.Minute + time.Second)
		table.Tick(time.Now())
		get(t, table, workflows.Limit{}, 1)
	})
}

// TestLateAttemptNeedsAnotherStart, and asks for one only while it waits.
func TestLateAttemptNeedsAnotherStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Rate: 10, Per: time.Second}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		asks, _ := table.Asks(time.Now())
		table.Granted(asks, []permit.Grant{{Starts: 1, Next: 10 * time.Millisecond}}, 0)
		p := get(t, table, limit, 1)
		time.Sleep(freshFor + 10*time.Millisecond)
		renewed := make(chan struct{})
		go func() {
			p.Renew(t.Context())
			close(renewed)
		}()
		synctest.Wait()
		time.Sleep(askEvery)
		if asks, _ = table.Asks(time.Now()); len(asks) != 1 || asks[0].Starts != 1 {
			t.Fatalf("it does not ask for another start: %+v", asks)
		}
		select {
		case <-renewed:
			t.Fatal("it starts without another start")
		default:
		}
		table.Granted(asks, []permit.Grant{{Starts: 1}}, 0)
		<-renewed
		time.Sleep(askEvery)
		if asks, _ = table.Asks(time.Now()); len(asks) != 0 {
			t.Errorf("it asks for a start that it no longer needs: %+v", asks)
		}
	})
}
