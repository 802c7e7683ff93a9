package destination

import (
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// crowd is runs that all want to go to one host, as the engine has them go: each asks
// for a permit, waits when there is none, and comes when it is called.
type crowd struct {
	table *Table
	mu    sync.Mutex
	// down tells what the host answers; after is its Retry-After.
	down  bool
	after time.Duration
	// tries are the moments of the attempts, done how many went well.
	tries []time.Time
	done  int
	wake  chan struct{}
}

func newCrowd() *crowd {
	c := &crowd{wake: make(chan struct{}, 1)}
	c.table = New(Options{MaxRuns: 512, Pause: 5 * time.Second, Log: slog.New(slog.DiscardHandler),
		OnPermit: func(run int64) bool { go c.run(run); return true },
		Wake: func() {
			select {
			case c.wake <- struct{}{}:
			default:
			}
		}})
	return c
}

// run makes one attempt of a run, and asks again when it failed.
func (c *crowd) run(id int64) {
	p, h := c.table.Acquire("https://api.example", workflows.Limit{}, id)
	if h != nil {
		return // it waits, and is called
	}
	c.mu.Lock()
	c.tries = append(c.tries, time.Now())
	down, after := c.down, c.after
	c.mu.Unlock()
	time.Sleep(20 * time.Millisecond)
	if !down {
		c.mu.Lock()
		c.done++
		c.mu.Unlock()
		p.Release(Outcome{Status: 200})
		return
	}
	p.Release(Outcome{Status: 503, Failed: true, RetryAfter: after})
	time.Sleep(time.Second)
	c.run(id)
}

// dispatch looks at the queues as the engine's dispatcher does, for a while.
func (c *crowd) dispatch(d time.Duration) {
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		next := c.table.Tick(time.Now())
		wait := time.Until(end)
		if !next.IsZero() {
			wait = min(wait, time.Until(next))
		}
		select {
		case <-c.wake:
			time.Sleep(time.Millisecond)
		case <-time.After(max(wait, time.Millisecond)):
		}
	}
}

// TestAnOutageCausesNoRetryStorm: 10,000 runs want to go to a host that is down for ten
// minutes. It hears of few of them, and when it is back it is sent more little by
// little: in no ten seconds more than twice as many as in the ten before.
func TestAnOutageCausesNoRetryStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		c.down = true
		for i := range 10_000 {
			go c.run(int64(i + 1))
		}
		c.dispatch(10 * time.Minute)
		c.mu.Lock()
		during := len(c.tries)
		c.down = false
		c.mu.Unlock()
		if during > 200 {
			t.Errorf("%d attempts while it was down", during)
		}
		back := time.Now()
		c.dispatch(2 * time.Minute)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.done != 10_000 {
			t.Errorf("%d of 10,000 have gone through", c.done)
		}
		begin := back
		for _, at := range c.tries[during:] {
			if at.After(back) {
				begin = at
				break
			}
		}
		var each [12]int
		for _, at := range c.tries[during:] {
			if i := int(at.Sub(begin) / rampEvery); i >= 0 && i < len(each) {
				each[i]++
			}
		}
		t.Logf("%d attempts in ten minutes of outage; then in each ten seconds %v", during, each)
		for i := 1; i < len(each); i++ {
			if each[i-1] > 0 && float64(each[i]) > 2.3*float64(each[i-1]) { // bursts count into one or the other
				t.Errorf("from %d to %d", each[i-1], each[i])
			}
		}
		if each[0] > 250 {
			t.Errorf("%d at once when it is back", each[0])
		}
	})
}

// TestNoRequestIsSentBeforeRetryAfter: what one run hears holds for all.
func TestNoRequestIsSentBeforeRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		c.down, c.after = true, 2*time.Minute
		go c.run(1)
		c.dispatch(time.Second)
		for i := range 100 {
			go c.run(int64(i + 2))
		}
		c.dispatch(time.Minute)
		c.mu.Lock()
		if len(c.tries) != 1 {
			t.Errorf("%d attempts before it wants to be asked again", len(c.tries))
		}
		c.down = false
		first := c.tries[0]
		c.mu.Unlock()
		c.dispatch(3 * time.Minute)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.done != 101 || c.tries[1].Sub(first) < 2*time.Minute {
			t.Errorf("%d done, the second attempt after %v", c.done, c.tries[1].Sub(first))
		}
	})
}

// TestFreePermitChangesNoCounters: it is given only where nothing has to be waited
// for or counted, and giving it back unused changes nothing.
func TestFreePermitChangesNoCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		ds, none := c.table, workflows.Limit{}
		for range 1000 {
			p := ds.TryAcquire("https://api.example", none)
			if p == nil {
				t.Fatal("an idle host gave none")
			}
			p.Release(Outcome{Cut: true})
		}
		if p := ds.TryAcquire("https://rated.example", workflows.Limit{Rate: 10, Per: time.Second}); p != nil {
			t.Error("a token of a rate was taken")
		}
		var held []*Permit
		for range ds.part() {
			held = append(held, ds.TryAcquire("https://full.example", none))
		}
		if p := ds.TryAcquire("https://full.example", none); p != nil {
			t.Error("a full host gave one more")
		}
		held[0].Release(Outcome{Status: 429, RetryAfter: time.Minute})
		if p := ds.TryAcquire("https://full.example", none); p != nil {
			t.Error("a host that asks to wait gave one")
		}
		for _, p := range held[1:] {
			p.Release(Outcome{Failed: true})
		}
		time.Sleep(2 * time.Minute)
		if p := ds.TryAcquire("https://full.example", none); p != nil {
			t.Error("a host that does not answer gave one: the attempt that tries it may be no duplicate's")
		}
		if _, h := ds.Acquire("https://full.example", none, 1); h != nil {
			t.Errorf("the attempt that tries the host has to wait: %s", h.Why)
		}
	})
}

// TestARateHoldsInEachWindow, also after a pause, after a reload, and over the end of the
// process, whose successor knows nothing of what was sent.
func TestARateHoldsInEachWindow(t *testing.T) {
	for _, limit := range []workflows.Limit{{Rate: 5, Per: 5 * time.Second}, {Rate: 100, Per: time.Minute}, {Rate: 200, Per: time.Second},
		{Rate: 1, Per: time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			var grants []time.Time
			run := int64(0)
			ask := func(p *pace, d time.Duration) {
				for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(time.Millisecond) {
					for p.allow(time.Now()) {
						grants = append(grants, time.Now())
						run++
					}
				}
			}
			p := newPace(limit, time.Now(), true)
			ask(p, 2*limit.Per)
			if n := len(grants); float64(n) < 1.5*float64(limit.Rate)-2 {
				t.Errorf("%v: only %d attempts in twice its time", limit, n)
			}
			time.Sleep(3 * limit.Per) // SIGSTOP, or nothing to do
			ask(p, limit.Per+limit.Per/2)
			ask(newPace(limit, time.Now(), true), limit.Per) // killed in the middle of a stretch, and started again
			for i := limit.Rate; i < len(grants); i++ {
				if gap := grants[i].Sub(grants[i-limit.Rate]); gap < limit.Per {
					t.Fatalf("%v: %d attempts within %v", limit, limit.Rate+1, gap)
				}
			}
		})
	}
}
