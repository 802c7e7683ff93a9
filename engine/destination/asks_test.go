package destination

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/workflows"
)

// mustAsk calls Asks, which must return one ask.
func mustAsk(t *testing.T, table *Table) permit.Ask {
	t.Helper()
	asks, _ := table.Asks(time.Now())
	if len(asks) != 1 {
		t.Fatalf("%d asks instead of one: %+v", len(asks), asks)
	}
	return asks[0]
}

// mustNotAsk calls Asks, which must return no ask, and a time for the next one.
func mustNotAsk(t *testing.T, table *Table, next time.Duration) {
	t.Helper()
	asks, at := table.Asks(time.Now())
	if len(asks) != 0 || time.Until(at) != next {
		t.Fatalf("%d asks (%+v), the next one in %v instead of %v", len(asks), asks, time.Until(at), next)
	}
}

// answer is Granted for one ask.
func answer(table *Table, a permit.Ask, g permit.Grant) {
	table.Granted([]permit.Ask{a}, []permit.Grant{g}, 0)
}

// TestNodeWithoutSlotsAsksTheStoreAgainSoon, and one that has what it needs asks rarely.
func TestNodeWithoutSlotsAsksTheStoreAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Concurrency: 1}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		answer(table, mustAsk(t, table), permit.Grant{}) // others have them all
		mustNotAsk(t, table, askPause)
		time.Sleep(askPause)
		answer(table, mustAsk(t, table), permit.Grant{Slots: 1})
		get(t, table, limit, 1)
		mustNotAsk(t, table, askEvery)
		time.Sleep(2 * askPause)
		mustNotAsk(t, table, askEvery-2*askPause)
	})
}

// TestNodeReturnsSlotsThatOthersWait for as soon as a call has ended, and unused ones later.
func TestNodeReturnsSlotsThatOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Concurrency: 2}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		mustWait(t, table, limit, 2)
		answer(table, mustAsk(t, table), permit.Grant{Slots: 2})
		first, second := get(t, table, limit, 1), get(t, table, limit, 2)
		time.Sleep(askEvery)
		answer(table, mustAsk(t, table), permit.Grant{Slots: 1}) // another node wants one
		time.Sleep(askPause)
		mustNotAsk(t, table, askEvery-askPause)
		first.Release(Outcome{Status: 200})
		if a := mustAsk(t, table); a.InUse != 1 {
			t.Errorf("%+v", a)
		} else {
			answer(table, a, permit.Grant{Slots: 1})
		}
		second.Release(Outcome{Status: 200})
		mustNotAsk(t, table, askEvery)
		time.Sleep(askEvery)
		answer(table, mustAsk(t, table), permit.Grant{})
		time.Sleep(askEvery)
		if asks, next := table.Asks(time.Now()); len(asks) != 0 || !next.IsZero() {
			t.Errorf("a node that needs nothing asks: %+v, %v", asks, next)
		}
	})
}

// TestNoAttemptStartsDuringARequestToTheStore: the answer may be that others may have the free slots.
func TestNoAttemptStartsDuringARequestToTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Concurrency: 2}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		answer(table, mustAsk(t, table), permit.Grant{Slots: 2})
		get(t, table, limit, 1)
		time.Sleep(askEvery)
		a := mustAsk(t, table)
		mustWait(t, table, limit, 2)
		time.Sleep(askEvery)
		if asks, _ := table.Asks(time.Now()); len(asks) != 0 {
			t.Errorf("asked twice before the answer: %+v", asks)
		}
		answer(table, a, permit.Grant{Slots: 2})
		get(t, table, limit, 2)
	})
}

// TestHostWithoutLimitsReturnsItsSlotsOnce, and its attempts wait no longer.
func TestHostWithoutLimitsReturnsItsSlotsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Concurrency: 1}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		answer(table, mustAsk(t, table), permit.Grant{Slots: 1})
		get(t, table, limit, 1)
		table.Use(nil)
		a := mustAsk(t, table)
		if a != (permit.Ask{Name: api, Slots: 1}) {
			t.Errorf("%+v", a)
		}
		answer(table, a, permit.Grant{})
		if asks, _ := table.Asks(time.Now()); len(asks) != 0 {
			t.Errorf("given back twice: %+v", asks)
		}
		get(t, table, workflows.Limit{}, 2)

		table.Use(map[string]workflows.Limit{"api.example": limit}) // it has no slot yet
		table.Use(nil)
		if asks, _ := table.Asks(time.Now()); len(asks) != 0 {
			t.Errorf("given back without having any: %+v", asks)
		}
	})
}

// TestSlotsOfAFailedRequestAreReturned: the store may have counted them.
func TestSlotsOfAFailedRequestAreReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Concurrency: 2}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		table.Granted([]permit.Ask{mustAsk(t, table)}, nil, 0)
		table.Use(nil)
		if a := mustAsk(t, table); a != (permit.Ask{Name: api, Slots: 1}) {
			t.Errorf("%+v", a)
		}
	})
}

// TestLowerLimitAppliesAtOnce, before the next answer of the store, and the slots above it are given back at once.
func TestLowerLimitAppliesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Concurrency: 3}
		table := sharedTable(limit)
		for run := range int64(3) {
			mustWait(t, table, limit, run)
		}
		a := mustAsk(t, table)
		limit.Concurrency = 1
		table.Use(map[string]workflows.Limit{"api.example": limit})
		answer(table, a, permit.Grant{Slots: 3})
		get(t, table, limit, 0)
		mustWait(t, table, limit, 1)
	})
	synctest.Test(t, func(t *testing.T) { // with the slots of the answer before
		limit := workflows.Limit{Concurrency: 3}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		answer(table, mustAsk(t, table), permit.Grant{Slots: 3})
		limit.Concurrency = 1
		table.Use(map[string]workflows.Limit{"api.example": limit})
		get(t, table, limit, 1)
		mustWait(t, table, limit, 2)
		time.Sleep(askPause)
		mustAsk(t, table) // gives two back
	})
}

// TestRunIsCheckedWhenTheStoreMayHaveAStart, and not before.
func TestRunIsCheckedWhenTheStoreMayHaveAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Rate: 1, Per: time.Second}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		answer(table, mustAsk(t, table), permit.Grant{Next: 700 * time.Millisecond})
		if next := table.Tick(time.Now()); time.Until(next) != 700*time.Millisecond {
			t.Errorf("looked at in %v", time.Until(next))
		}
	})
}

// TestStartsAreUsedOnlyAtTheirTimes: the first when the store says, the next ones one distance later.
func TestStartsAreUsedOnlyAtTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Rate: 10, Per: time.Second}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		mustWait(t, table, limit, 2)
		a := mustAsk(t, table)
		answer(table, a, permit.Grant{Starts: 2, First: 50 * time.Millisecond})
		time.Sleep(50 * time.Millisecond)
		if asks, _ := table.Asks(time.Now()); len(asks) != 0 {
			t.Errorf("asks for more starts than runs: %+v", asks)
		}
		table.Tick(time.Now())
		get(t, table, limit, 1)
		mustWait(t, table, limit, 2)
		time.Sleep(a.Every - time.Millisecond)
		table.Tick(time.Now())
		mustWait(t, table, limit, 2)
		time.Sleep(time.Millisecond)
		table.Tick(time.Now())
		get(t, table, limit, 2)
	})
}

// TestUnusedStartIsRequestedAgain: others count on it being over.
func TestUnusedStartIsRequestedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Rate: 1, Per: time.Second}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		answer(table, mustAsk(t, table), permit.Grant{Starts: 1, First: askEvery})
		time.Sleep(askEvery + freshFor - 1)
		if asks, _ := table.Asks(time.Now()); len(asks) != 0 {
			t.Errorf("asked again while it can be used: %+v", asks)
		}
		time.Sleep(time.Nanosecond)
		if a := mustAsk(t, table); a.Starts != 1 {
			t.Errorf("%+v", a)
		}
	})
}

// TestOneRunRequestsAStartWhenTheStoreAllowsIt, and not with the asks for slots before.
func TestOneRunRequestsAStartWhenTheStoreAllowsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Concurrency: 2, Rate: 10, Per: time.Second}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		answer(table, mustAsk(t, table), permit.Grant{Next: 90 * time.Millisecond}) // no slot and no start
		time.Sleep(askPause)
		a := mustAsk(t, table)
		if a.Starts != 0 || a.Wanted != 1 {
			t.Errorf("%+v", a)
		}
		answer(table, a, permit.Grant{Slots: 1})
		mustNotAsk(t, table, 80*time.Millisecond)
		time.Sleep(80 * time.Millisecond)
		if a := mustAsk(t, table); a.Starts != 1 {
			t.Errorf("%+v", a)
		}
	})
}

// TestSlowStoreSpreadsStarts: a start may be used as late as the answer comes. After quick answers, the
// distance shrinks again.
func TestSlowStoreSpreadsStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Rate: 10, Per: time.Second}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		a := mustAsk(t, table)
		for _, x := range []struct{ took, margin time.Duration }{{80 * time.Millisecond, 260 * time.Millisecond},
			{0, 240 * time.Millisecond}, {10 * time.Millisecond, 222500 * time.Microsecond}} {
			table.Granted([]permit.Ask{a}, []permit.Grant{{}}, x.took)
			time.Sleep(askPause)
			if a = mustAsk(t, table); a.Every != (limit.Per+x.margin)/10 || a.Ahead != 2*x.margin {
				t.Errorf("after %v: %+v", x.took, a)
			}
		}
	})
}

// TestStartsAreRequestedLaterAfterAStoreError: a store that does not answer is not asked more often.
func TestStartsAreRequestedLaterAfterAStoreError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Rate: 10, Per: time.Second}
		table := sharedTable(limit)
		mustWait(t, table, limit, 1)
		table.Granted([]permit.Ask{mustAsk(t, table)}, nil, 0)
		mustNotAsk(t, table, askEvery)
		time.Sleep(askEvery)
		mustAsk(t, table)
	})
}

// TestNextRequestIsForTheHostThatNeedsOne, whatever other hosts there are.
func TestNextRequestIsForTheHostThatNeedsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := workflows.Limit{Concurrency: 1}
		table := sharedTable(limit)
		limits := map[string]workflows.Limit{"api.example": limit}
		for _, host := range []string{"a.example", "b.example", "c.example", "d.example"} {
			limits[host] = limit
		}
		table.Use(limits)
		for _, host := range []string{"a", "b", "c", "d"} {
			table.TryAcquire("https://"+host+".example", limit) // idle, with limits
			table.TryAcquire("https://"+host+".other", limit)   // without
		}
		mustWait(t, table, limit, 1)
		answer(table, mustAsk(t, table), permit.Grant{})
		for range 30 { // the order of hosts is random
			mustNotAsk(t, table, askPause)
		}
	})
}

// TestEngineIsNotifiedWhenTheStoreMustBeAsked: a run waits, a slot may be given back, or an attempt needs
// another start. A host without limits asks for nothing.
func TestEngineIsNotifiedWhenTheStoreMustBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		table := New(Options{MaxRuns: 8, Pause: time.Second, Log: slog.New(slog.DiscardHandler), OnPermit: func(int64) bool { return true },
			Wake: func() {}, Ask: func() { told++ }})
		limit := workflows.Limit{Concurrency: 1, Rate: 10, Per: time.Second}
		must := func(what string, n int) {
			t.Helper()
			if told != n {
				t.Errorf("%s: told %d times instead of %d", what, told, n)
			}
			told = 0
		}
		get(t, table, workflows.Limit{}, 1).Release(Outcome{Status: 200})
		must("without limits", 0)
		table.Use(map[string]workflows.Limit{"api.example": limit})
		mustWait(t, table, limit, 2)
		must("a run waits", 1)
		answer(table, mustAsk(t, table), permit.Grant{Slots: 1, Starts: 1, Next: time.Second})
		p := get(t, table, limit, 2)
		time.Sleep(freshFor)
		ctx, cancel := context.WithCancel(t.Context())
		go p.Renew(ctx)
		synctest.Wait()
		must("an attempt came late", 1)
		cancel()
		synctest.Wait()
		time.Sleep(askEvery)
		answer(table, mustAsk(t, table), permit.Grant{}) // another node waits for the slot
		told = 0
		p.Release(Outcome{Status: 200})
		must("a call has ended", 1)
	})
}

// TestADelayFromAnotherNodeCanBeLifted before this node has used the host, and no other is lifted with it.
func TestADelayFromAnotherNodeCanBeLifted(t *testing.T) {
	const receiver = "https://hooks.slack.com/services/T/1"
	for by, lifted := range map[string]bool{receiver: true, "https://hooks.slack.com": true, "hooks.slack.com": true, "slack.com": false} {
		synctest.Test(t, func(t *testing.T) {
			table := sharedTable(workflows.Limit{})
			table.Delay(Delay{Name: receiver, Until: time.Now().Add(time.Minute)})
			table.Lift(by)
			if p, _ := table.Acquire(receiver, workflows.Limit{}, 1); (p != nil) != lifted {
				t.Errorf("lifted by %s: %v", by, p != nil)
			}
		})
	}
}

// TestDelayIsSharedOnce, and again only if the host asks for a delay that ends a second later or more.
func TestDelayIsSharedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		table := New(Options{MaxRuns: 64, Pause: time.Second, Log: slog.New(slog.DiscardHandler), OnPermit: func(int64) bool { return true },
			Wake: func() {}, Ask: func() { told++ }})
		var inFlight []*Permit
		for run := range int64(4) {
			inFlight = append(inFlight, get(t, table, workflows.Limit{}, run))
		}
		for i, x := range []struct {
			after  time.Duration
			passed bool
		}{{time.Minute, true}, {time.Minute + shareFrom - 1, false}, {time.Minute + shareFrom, true}, {time.Minute, false}} {
			inFlight[i].Release(Outcome{Status: 429, RetryAfter: x.after})
			list := table.Delays()
			if (len(list) == 1) != x.passed || (told == 1) != x.passed {
				t.Errorf("%v: passed on %v, told %d times", x.after, list, told)
			}
			if x.passed && (list[0].Name != api || time.Until(list[0].Until) != x.after) {
				t.Errorf("%v: passed on %v", x.after, list[0])
			}
			told = 0
		}
	})
}

// TestADelayFromAnotherNodeNeverShortensOne that the host has asked this node for, and is as limited as that.
func TestADelayFromAnotherNodeNeverShortensOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := sharedTable(workflows.Limit{})
		get(t, table, workflows.Limit{}, 1).Release(Outcome{Status: 429, RetryAfter: time.Minute})
		until := func() time.Duration { return time.Until(*table.States()[0].Until) }
		table.Delay(Delay{Name: api, Until: time.Now().Add(time.Second)})
		if until() != time.Minute {
			t.Errorf("shortened to %v", until())
		}
		table.Delay(Delay{Name: api, Until: time.Now().Add(2 * time.Minute)})
		if until() != 2*time.Minute {
			t.Errorf("not extended: %v", until())
		}
		table.Delay(Delay{Name: api, Until: time.Now().Add(time.Hour)})
		if until() != maxAsked {
			t.Errorf("not limited: %v", until())
		}
	})
}

// TestDelaysOfUnknownHostsAreBounded: those that are over make room for others.
func TestDelaysOfUnknownHostsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := sharedTable(workflows.Limit{})
		for i := range forgetFrom {
			table.Delay(Delay{Name: "https://" + strconv.Itoa(i) + ".example", Until: time.Now().Add(time.Second)})
		}
		table.Delay(Delay{Name: api, Until: time.Now().Add(time.Minute)})
		if p, _ := table.Acquire(api, workflows.Limit{}, 1); p == nil {
			t.Errorf("more than %d hosts are known", forgetFrom)
		}
		const late = "https://late.example"
		time.Sleep(time.Second)
		table.Delay(Delay{Name: late, Until: time.Now().Add(time.Minute)})
		if p, _ := table.Acquire(late, workflows.Limit{}, 2); p != nil {
			t.Error("there is no room although the delays are over")
		}
	})
}
