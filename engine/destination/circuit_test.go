package destination

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

const api = "https://api.example"

// attempts makes attempts of runs that get permits at once, and gives them back.
func attempts(t *testing.T, table *Table, o Outcome, n int) {
	t.Helper()
	for i := range n {
		p, h := table.Acquire(api, workflows.Limit{}, int64(i+1))
		if h != nil {
			t.Fatalf("attempt %d has to wait: %s", i, h.Why)
		}
		p.Release(o)
	}
}

// stateOf is the one host of a table.
func stateOf(t *testing.T, table *Table) State {
	t.Helper()
	all := table.States()
	if len(all) != 1 {
		t.Fatalf("%d hosts", len(all))
	}
	return all[0]
}

// TestFiveFailuresOfTenOpenTheCircuit: five failures, and half of the attempts, within 30
// seconds. What was cut from here says nothing of the host.
func TestFiveFailuresOfTenOpenTheCircuit(t *testing.T) {
	well, bad, cut := Outcome{Status: 200}, Outcome{Status: 503}, Outcome{Cut: true, Failed: true}
	type part struct {
		o     Outcome
		n     int
		pause time.Duration
	}
	for name, c := range map[string]struct {
		parts []part
		want  string
	}{
		"4 failures":                        {[]part{{bad, 4, 0}}, "closed"},
		"5 failures":                        {[]part{{bad, 5, 0}}, "open"},
		"no answer, 5 times":                {[]part{{Outcome{Failed: true}, 5, 0}}, "open"},
		"half of ten":                       {[]part{{well, 5, 0}, {bad, 5, 0}}, "open"},
		"less than half":                    {[]part{{well, 6, 0}, {bad, 5, 0}}, "closed"},
		"refused, 9 times":                  {[]part{{Outcome{Status: 499}, 9, 0}}, "closed"},
		"cut, 9 times":                      {[]part{{cut, 9, 0}}, "closed"},
		"4 failures, 26 seconds, a failure": {[]part{{bad, 4, 26 * time.Second}, {bad, 1, 0}}, "open"},
		"4 failures, 34 seconds, a failure": {[]part{{bad, 4, 34 * time.Second}, {bad, 1, 0}}, "closed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			table := newCrowd().table
			for _, p := range c.parts {
				attempts(t, table, p.o, p.n)
				time.Sleep(p.pause)
			}
			if s := stateOf(t, table); s.Circuit != c.want || s.Down() != (c.want == "open") {
				t.Errorf("%s: the circuit is %s, down %t", name, s.Circuit, s.Down())
			}
		})
	}
}

// TestOpenCircuitProbesAfterGrowingPauses: 5, 10, 20 and 30 seconds; one attempt
// goes at the end of each, and says which failure the others wait for.
func TestOpenCircuitProbesAfterGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newCrowd().table
		bad := Outcome{Failed: true, Message: "connection refused"}
		attempts(t, table, bad, 5)
		for i, pause := range []time.Duration{5, 10, 20, 30, 30} {
			until := time.Now().Add(pause*time.Second + 10*time.Millisecond)
			s := stateOf(t, table)
			if s.Until == nil || !s.Until.Equal(until) || s.Limit != 1 || s.Why != "it does not answer" {
				t.Fatalf("pause %d: %+v, expected until %s", i, s, until)
			}
			time.Sleep(time.Until(until) - time.Millisecond)
			if _, h := table.Acquire(api, workflows.Limit{}, 100); h == nil || !h.Down || h.Host != api ||
				h.Why != api+" does not answer (connection refused)" {
				t.Fatalf("pause %d: an attempt before its end: %+v", i, h)
			}
			table.Forget(100, table.Mark())
			time.Sleep(2 * time.Millisecond)
			p, h := table.Acquire(api, workflows.Limit{}, 1)
			if h != nil {
				t.Fatalf("pause %d: nobody may try it: %s", i, h.Why)
			}
			if _, h := table.Acquire(api, workflows.Limit{}, 2); h == nil || !h.Down {
				t.Fatalf("pause %d: two try it at once: %+v", i, h)
			}
			p.Release(bad)
		}
	})
}

// TestRetryAfterHoldsAHostForFiveMinutesAtMost: for all runs, whatever its Retry-After says.
func TestRetryAfterHoldsAHostForFiveMinutesAtMost(t *testing.T) {
	for asks, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, 24 * time.Hour: 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			table := newCrowd().table
			attempts(t, table, Outcome{Status: 429, RetryAfter: asks}, 1)
			s := stateOf(t, table)
			if s.Until == nil || !s.Until.Equal(time.Now().Add(want)) || s.Why != "it asked to wait (Retry-After)" || s.Down() {
				t.Errorf("Retry-After %s: %+v", asks, s)
			}
			if _, h := table.Acquire(api, workflows.Limit{}, 9); h == nil || h.Down || !strings.Contains(h.Why, "asks to wait until") {
				t.Errorf("Retry-After %s: %+v", asks, h)
			}
			time.Sleep(want)
			table.Tick(time.Now())
			if s := stateOf(t, table); s.Waiting != 0 {
				t.Errorf("after %s %d still wait", want, s.Waiting)
			}
			time.Sleep(time.Second) // its attempt ends
		})
	}
}

// TestUnusedHostsAreRemoved: from 4096 on, but none that has attempts under way,
// runs that wait, or permits that are not used yet.
func TestUnusedHostsAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		table := c.table
		table.o.OnPermit = func(int64) bool { return true } // its reservation is not used
		one := map[string]workflows.Limit{"busy.example": {Concurrency: 1}, "called.example": {Concurrency: 1}}
		table.Use(one)
		busy, _ := table.Acquire("https://busy.example", workflows.Limit{}, 1)
		if _, h := table.Acquire("https://busy.example", workflows.Limit{}, 2); h == nil {
			t.Fatal("a second attempt")
		}
		called, _ := table.Acquire("https://called.example", workflows.Limit{}, 3)
		if _, h := table.Acquire("https://called.example", workflows.Limit{}, 4); h == nil {
			t.Fatal("a second attempt")
		}
		called.Release(Outcome{Status: 200})                                     // run 4 has a reservation
		alone, _ := table.Acquire("https://alone.example", workflows.Limit{}, 5) // an attempt, and nobody waits
		for i := len(table.States()); i < 4096; i++ {
			p, _ := table.Acquire(fmt.Sprintf("https://h%d.example", i), workflows.Limit{}, int64(10+i))
			p.Release(Outcome{Status: 200})
		}
		if n := len(table.States()); n != 4096 {
			t.Fatalf("%d hosts", n)
		}
		p, _ := table.Acquire("https://new.example", workflows.Limit{}, 9)
		var left []string
		for _, s := range table.States() {
			left = append(left, s.Name)
		}
		if got := strings.Join(left, " "); got != "https://alone.example https://busy.example https://called.example https://new.example" {
			t.Errorf("%d hosts are left: %.200s", len(left), got)
		}
		if !table.HasReservation(4) || table.HasReservation(2) {
			t.Error("the reservations are not those that were given")
		}
		p.Release(Outcome{Status: 200})
		alone.Release(Outcome{Status: 200})
		busy.Release(Outcome{Status: 200})
	})
}

// TestChangedLimitAppliesAtOnce: for hosts that are in use already.
func TestChangedLimitAppliesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newCrowd().table
		attempts(t, table, Outcome{Status: 200}, 1)
		if s := stateOf(t, table); s.Limit != 512/8 {
			t.Errorf("an eighth of 512 runs at one host are %d", s.Limit)
		}
		for _, limit := range []int{2, 7, 1} {
			table.Use(map[string]workflows.Limit{"api.example": {Concurrency: limit}})
			var permits []*Permit
			for i := range limit {
				p, h := table.Acquire(api, workflows.Limit{}, int64(i+1))
				if h != nil {
					t.Fatalf("attempt %d of %d has to wait: %s", i+1, limit, h.Why)
				}
				permits = append(permits, p)
			}
			if _, h := table.Acquire(api, workflows.Limit{}, 99); h == nil || h.Why != fmt.Sprintf("%d attempts to %s are in flight", limit, api) {
				t.Errorf("attempt %d: %+v", limit+1, h)
			}
			table.o.OnPermit = func(run int64) bool { table.Forget(run, table.Mark()); return true }
			for _, p := range permits {
				p.Release(Outcome{Status: 200})
			}
		}
	})
}

// TestDelayedPermitIsCheckedAgainstTheRateAgain: a process that was stopped between its
// permit and its attempt must not go beside those that went meanwhile.
func TestDelayedPermitIsCheckedAgainstTheRateAgain(t *testing.T) {
	for idle, waits := range map[time.Duration]time.Duration{50 * time.Millisecond: 0, time.Minute: 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			table := newCrowd().table
			rate := workflows.Limit{Rate: 1, Per: 10 * time.Second}
			time.Sleep(time.Minute) // the process has not just begun
			p, h := table.Acquire(api, rate, 1)
			if h != nil {
				t.Fatal(h.Why)
			}
			time.Sleep(idle)
			if idle > time.Second {
				other, h := table.Acquire(api, rate, 2)
				if h != nil {
					t.Fatal(h.Why)
				}
				defer other.Release(Outcome{Status: 200})
			}
			at := time.Now()
			p.Renew(context.Background())
			if took := time.Since(at); took < waits || took > waits+time.Second {
				t.Errorf("after %s, an attempt waits for %s, expected %s", idle, took, waits)
			}
			p.Release(Outcome{Status: 200})
		})
	}
}

// TestRespondingHostMayHaveThreeQuartersOfAllRuns: one that has not answered within a
// second keeps its eighth.
func TestRespondingHostMayHaveThreeQuartersOfAllRuns(t *testing.T) {
	for since, want := range map[time.Duration]int{999 * time.Millisecond: 384, time.Second: 64} {
		synctest.Test(t, func(t *testing.T) {
			table := newCrowd().table
			attempts(t, table, Outcome{Status: 200}, 1)
			time.Sleep(since)
			n := 0
			for _, h := table.Acquire(api, workflows.Limit{}, 1); h == nil; _, h = table.Acquire(api, workflows.Limit{}, int64(n+1)) {
				n++
			}
			if n != want {
				t.Errorf("%s after an answer %d attempts may be under way, expected %d", since, n, want)
			}
		})
	}
}
