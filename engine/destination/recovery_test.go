package destination

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// called is a table of 16 runs that keeps which runs it called, and how often it was woken.
type called struct {
	*Table
	runs  []int64
	wakes int
	busy  bool // no run can be resumed
	log   bytes.Buffer
}

func newCalled() *called {
	c := &called{}
	c.Table = New(Options{MaxRuns: 16, Pause: 5 * time.Second, Log: slog.New(slog.NewTextHandler(&c.log, nil)),
		OnPermit: func(run int64) bool { c.runs = append(c.runs, run); return !c.busy }, Wake: func() { c.wakes++ }})
	return c
}

// atOnce is how many attempts, which succeed at once, a host gets now, and why no more.
func atOnce(c *called, limit workflows.Limit) (n int, why string) {
	for n < 10_000 {
		p, h := c.Acquire(api, limit, 1)
		if h != nil {
			c.Lift("nobody")
			delete(c.byName[api].queued, 1)
			c.byName[api].queue = nil
			return n, h.Why
		}
		p.Release(Outcome{Status: 200})
		n++
	}
	return n, ""
}

// TestLoadGrowsAfterAnOutage: 20 attempts a second, doubled every ten seconds, and no limit above 1000; it
// gets one notification that the host does not respond, and one that it does.
func TestLoadGrowsAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled()
		attempts(t, c.Table, Outcome{Failed: true, Message: "refused"}, 5)
		time.Sleep(5*time.Second + 10*time.Millisecond)
		attempts(t, c.Table, Outcome{Failed: true, Message: "refused"}, 1)
		time.Sleep(10*time.Second + 10*time.Millisecond)
		attempts(t, c.Table, Outcome{Status: 200}, 1)
		answered := time.Now()
		for i, want := range []int{4, 8, 16, 32, 64, 128} {
			atOnce(c, workflows.Limit{})
			time.Sleep(time.Second)
			n, why := atOnce(c, workflows.Limit{})
			if n != want || !strings.Contains(why, "has just recovered") {
				t.Errorf("%d seconds after it answered: %d attempts, then %q; want %d", 10*i, n, why, want)
			}
			rate := 20 << i
			s := stateOf(t, c.Table)
			if s.Until == nil || s.Circuit != "closed" || !strings.Contains(s.Why, "has just recovered") ||
				time.Until(*s.Until).Round(time.Microsecond) != (time.Second/time.Duration(rate)).Round(time.Microsecond) {
				t.Errorf("%d attempts a second: the next goes at %+v, %v from now", rate, s, time.Until(*s.Until))
			}
			time.Sleep(time.Until(*s.Until) - time.Microsecond)
			if n, _ := atOnce(c, workflows.Limit{}); n != 0 {
				t.Errorf("%d attempts before that", n)
			}
			time.Sleep(2 * time.Microsecond)
			if n, _ := atOnce(c, workflows.Limit{}); n != 1 {
				t.Errorf("%d attempts then", n)
			}
			time.Sleep(time.Until(answered.Add(time.Duration(i+1) * 10 * time.Second)))
		}
		time.Sleep(time.Second)
		if n, why := atOnce(c, workflows.Limit{}); n != 10_000 {
			t.Errorf("a minute later: %d attempts, then %q", n, why)
		}
		if s := stateOf(t, c.Table); s.Until != nil || s.Why != "" || s.Down() {
			t.Errorf("a minute later: %+v", s)
		}
		for text, want := range map[string]int{"does not answer": 1, "answers again": 1} {
			if n := strings.Count(c.log.String(), text); n != want {
				t.Errorf("%q is logged %d times", text, n)
			}
		}
	})
}

// TestLaterOfTwoHoldsApplies: a delay that the host asked for, and its open circuit.
func TestLaterOfTwoHoldsApplies(t *testing.T) {
	for asks, c := range map[time.Duration]struct {
		until time.Duration
		why   string
	}{
		2 * time.Second: {5*time.Second + 10*time.Millisecond, ""},
		time.Minute:     {time.Minute, "it asked to wait (Retry-After)"}, 0: {5*time.Second + 10*time.Millisecond, "it does not answer"},
	} {
		synctest.Test(t, func(t *testing.T) {
			x := newCalled()
			var permits []*Permit
			for i := range 2 {
				p, h := x.Acquire(api, workflows.Limit{}, int64(i))
				if h != nil {
					t.Fatal(h.Why)
				}
				permits = append(permits, p)
			}
			permits[0].Release(Outcome{Status: 503})
			attempts(t, x.Table, Outcome{Status: 503}, 3)
			permits[1].Release(Outcome{Status: 503, RetryAfter: asks})
			s := stateOf(t, x.Table)
			if s.Until == nil || time.Until(*s.Until) != c.until || !strings.Contains(s.Why, c.why) {
				t.Errorf("asked for %s: %+v, want %s, %s", asks, s, c.until, c.why)
			}
		})
	}
}

func TestHostWithARateReportsWhenItOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled()
		time.Sleep(time.Minute) // the process has not just begun
		limit := workflows.Limit{Rate: 2, Per: 10 * time.Second}
		for i, until := range []time.Duration{5 * time.Second, 5 * time.Second} {
			if n, why := atOnce(c, limit); n != 1 || why != "the rate of "+api+" is used up" {
				t.Errorf("%d: %d attempts, then %q", i, n, why)
			}
			s := stateOf(t, c.Table)
			if s.Until == nil || time.Until(*s.Until) != until || s.Why != "its rate is used up" {
				t.Errorf("%d: %+v, %s from now", i, s, time.Until(*s.Until))
			}
			time.Sleep(until)
		}
	})
}

// TestPermitsAreGrantedInQueueOrder; a run that cannot use its permit now keeps its place, and one that
// needs it no more gives it to the next.
func TestPermitsAreGrantedInQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalled()
		c.Use(map[string]workflows.Limit{"api.example": {Concurrency: 1}})
		first, h := c.Acquire(api, workflows.Limit{}, 1)
		if h != nil {
			t.Fatal(h.Why)
		}
		for run := int64(2); run <= 4; run++ {
			for range 2 { // asking twice is waiting once
				if _, h := c.Acquire(api, workflows.Limit{}, run); h == nil || h.Down {
					t.Fatalf("run %d: %+v", run, h)
				}
			}
		}
		if s := stateOf(t, c.Table); s.Waiting != 3 || s.InUse != 1 || s.Limit != 1 || c.wakes != 1 || s.Until != nil {
			t.Errorf("%+v, woken %d times", s, c.wakes)
		}
		now := time.Now()
		if at := c.Tick(now); !at.Equal(now.Add(10*time.Minute)) || len(c.runs) != 0 {
			t.Errorf("it looks again after %s, and called %v", at.Sub(now), c.runs)
		}
		c.busy = true
		first.Release(Outcome{Status: 200})
		if s := stateOf(t, c.Table); !slices.Equal(c.runs, []int64{2}) || s.Waiting != 3 || s.InUse != 0 || c.HasReservation(2) {
			t.Errorf("no run can be resumed: %+v, called %v", s, c.runs)
		}
		c.busy = false
		if at := c.Tick(time.Now()); !slices.Equal(c.runs, []int64{2, 2}) || !c.HasReservation(2) || c.HasReservation(3) || at.IsZero() {
			t.Errorf("then: called %v, looks again at %v", c.runs, at)
		}
		mark := c.Mark()
		c.Forget(2, mark-1)
		c.Forget(3, mark)
		if !c.HasReservation(2) {
			t.Error("a permit is forgotten that was issued later, or to another run")
		}
		c.Forget(2, mark)
		if !slices.Equal(c.runs, []int64{2, 2, 3}) || c.HasReservation(2) || !c.HasReservation(3) {
			t.Errorf("forgotten: called %v", c.runs)
		}
		c.Requeue(3)
		c.Requeue(9) // has none
		if s := stateOf(t, c.Table); s.Waiting != 2 || s.InUse != 0 || c.byName[api].queue[0] != 3 {
			t.Errorf("put back: %+v, %v", s, c.byName[api].queue)
		}
		c.Tick(time.Now())
		p, h := c.Acquire(api, workflows.Limit{}, 3)
		if h != nil || p.Name() != api || c.HasReservation(3) || stateOf(t, c.Table).InUse != 1 {
			t.Errorf("a permit that is ready is not taken: %+v", h)
		}
		p.Release(Outcome{Status: 200})
		if !c.HasReservation(4) {
			t.Error("the last one has no permit")
		}
		c.Forget(4, c.Mark())
		if at := c.Tick(time.Now()); !at.IsZero() || stateOf(t, c.Table).InUse != 0 {
			t.Errorf("nobody waits: it looks again at %v", at)
		}
	})
}
