package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// claimed is how many events and runs the cases about claims use.
const claimed = 40

// claims tests the promises about claims. They concern owners that come and go, so each case opens
// the store more than once.
func claims(t *testing.T, fresh func(t testing.TB) Open) {
	for name, run := range map[string]func(*testing.T, Open){
		"two owners that claim at once never get the same event":  eventsClaimedOnce,
		"two owners that claim at once never get the same run":    runsClaimedOnce,
		"what an owner accepts is its own until the next opening": ownEvents,
		"an owner gets again what it has not taken up":            claimsAreGivenBack,
		"the claims of others leave room in a claim":              claimsOfOthers,
		"what is decided or taken up is claimed by nobody":        claimsEnd,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); run(t, fresh(t)) })
	}
}

// opened opens a store until the test ends, or until it is closed.
func opened(t *testing.T, open Open) (Opened, func()) {
	t.Helper()
	s, err := open(nil)
	if err != nil {
		t.Fatal(err)
	}
	once := sync.OnceFunc(func() {
		holds(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		_ = s.Close()
	})
	return s, once
}

// filled returns a store whose inbox has events of former owners.
func filled(t *testing.T, open Open) (Opened, func()) {
	t.Helper()
	s, stop := opened(t, open)
	for n := range int64(claimed) {
		accept(t, s, event(n), delivery("hook", event(n).String()))
	}
	stop()
	s, stop = opened(t, open)
	takeOver(t, s)
	return s, stop
}

// takeOver takes over the events of owners that are gone, as a start does.
func takeOver(t *testing.T, s Opened) {
	t.Helper()
	if _, err := s.TakeOver(t.Context(), at); err != nil {
		t.Fatal(err)
	}
}

// sleepers returns a store with runs that are due.
func sleepers(t *testing.T, s Opened) {
	t.Helper()
	for n := range int64(claimed) {
		put(t, s, running(t, s, n), at, plan.Wait{Kind: plan.WaitSleep, Until: at})
	}
}

func working(engine.EventID) bool { return false }

// claimAll lets two owners claim concurrently, a few at a time, until nothing is left. Each
// processes what it has claimed; more claims further items.
func claimAll[ID cmp.Ordered](t *testing.T, more func(owner engine.Owner, has map[ID]bool) ([]ID, error)) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	who := map[ID]engine.Owner{}
	for n := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			owner, has := engine.Owner(fmt.Sprint("owner ", n)), map[ID]bool{}
			for {
				ids, err := more(owner, has)
				if err != nil {
					t.Error(err)
				}
				if len(ids) == 0 {
					return
				}
				mu.Lock()
				for _, id := range ids {
					if who[id] != "" {
						t.Errorf("%v was claimed by %s and by %s", id, who[id], owner)
					}
					who[id], has[id] = owner, true
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	if len(who) != claimed {
		t.Errorf("%d of %d were claimed", len(who), claimed)
	}
}

func eventsClaimedOnce(t *testing.T, open Open) {
	s, stop := filled(t, open)
	claimAll(t, func(owner engine.Owner, has map[engine.EventID]bool) (ids []engine.EventID, err error) {
		// Claims of the other owner may fill the scanned rows: more is requested than there is.
		list, _, err := s.ClaimInbox(t.Context(), owner, len(has)+3, func(id engine.EventID) bool { return has[id] })
		for _, ev := range list {
			ids = append(ids, ev.ID)
		}
		return ids, err
	})
	stop()
}

func runsClaimedOnce(t *testing.T, open Open) {
	s, stop := opened(t, open)
	sleepers(t, s)
	claimAll(t, func(owner engine.Owner, _ map[engine.RunID]bool) ([]engine.RunID, error) {
		ids, _, err := s.ClaimDue(t.Context(), owner, at.Add(time.Second), 3)
		for _, id := range ids {
			if err := s.Take(t.Context(), id); err != nil {
				return nil, err
			}
		}
		return ids, err
	})
	stop()
}

func ownEvents(t *testing.T, open Open) {
	s, stop := opened(t, open)
	accept(t, s, event(1), delivery("hook", "k"))
	if list, whole, err := s.ClaimInbox(t.Context(), "other", 10, working); err != nil || len(list) != 0 || !whole {
		t.Errorf("another owner got what this one is accepting: %v %v %v", list, whole, err)
	}
	gone := s.Owner()
	if list, _, err := s.ClaimInbox(t.Context(), gone, 10, working); err != nil || len(list) != 1 {
		t.Errorf("%v %v", list, err)
	}
	stop()
	s, stop = opened(t, open)
	if s.Owner() == gone {
		t.Error("two openings have one owner")
	}
	takeOver(t, s)
	if list, _, err := s.ClaimInbox(t.Context(), "other", 10, working); err != nil || len(list) != 1 {
		t.Errorf("the claim of an owner that is gone stays: %v %v", list, err)
	}
	if list, _, err := s.ClaimInbox(t.Context(), s.Owner(), 10, working); err != nil || len(list) != 0 {
		t.Errorf("claimed by two: %v %v", list, err)
	}
	stop()
}

func claimsAreGivenBack(t *testing.T, open Open) {
	s, stop := filled(t, open)
	if list, _, err := s.ClaimInbox(t.Context(), "a", claimed, working); err != nil || len(list) != claimed {
		t.Fatalf("%d %v", len(list), err)
	}
	// It processes all but one.
	list, _, err := s.ClaimInbox(t.Context(), "a", claimed, func(id engine.EventID) bool { return id != event(5) })
	if err != nil || len(list) != 1 || list[0].ID != event(5) {
		t.Errorf("%v %v", list, err)
	}
	if list, _, err := s.ClaimInbox(t.Context(), "b", claimed, working); err != nil || len(list) != 0 {
		t.Errorf("%d claimed by another: %v", len(list), err)
	}
	stop()
}

func claimsOfOthers(t *testing.T, open Open) {
	s, stop := filled(t, open)
	for _, owner := range []engine.Owner{"a", "b", "c"} {
		if list, _, err := s.ClaimInbox(t.Context(), owner, 3, working); err != nil || len(list) != 3 {
			t.Errorf("%s claimed %d: %v", owner, len(list), err)
		}
	}
	stop()
}

func claimsEnd(t *testing.T, open Open) {
	s, stop := opened(t, open)
	sleepers(t, s)
	ids, _, err := s.ClaimDue(t.Context(), "a", at.Add(time.Second), claimed)
	if err != nil || len(ids) != claimed {
		t.Fatalf("%v %v", ids, err)
	}
	if other, _, err := s.ClaimDue(t.Context(), "b", at.Add(time.Second), claimed); err != nil || len(other) != 0 {
		t.Errorf("%v %v", other, err)
	}
	// A run is also taken once without a claim.
	u, err := takeUp(t, s, run(3))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Take(t.Context(), run(3)); !errors.Is(err, engine.ErrStale) {
		t.Errorf("taken up twice: %v", err)
	}
	// It is due again: the first query gets it.
	u.Run.DueAt = at
	commit(t, s, engine.RunUpdate{Run: u.Run, Answers: -1}, engine.Queued)
	other, _, err := s.ClaimDue(t.Context(), "b", at.Add(time.Second), claimed)
	if err != nil || !slices.Equal(other, []engine.RunID{run(3)}) {
		t.Errorf("%v %v", other, err)
	}
	stop()
}
