package permit

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestNodesShareSlotsWithinTheLimit: nodes ask at random moments, use what they were given, and
// now and then one ends; and each node that wants slots gets some.
func TestNodesShareSlotsWithinTheLimit(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		limit := 1 + r.IntN(6)
		held, inUse, wanted, got := map[int64]int{}, map[int64]int{}, map[int64]int{}, map[int64]int{}
		now := int64(0)
		for range 2000 {
			now += int64(r.IntN(50_000))
			n := int64(r.IntN(4))
			if r.IntN(100) == 0 { // it dies
				delete(held, n)
				delete(inUse, n)
				delete(wanted, n)
				continue
			}
			inUse[n] -= r.IntN(inUse[n] + 1) // some calls have ended
			wanted[n] = inUse[n] + 1 + r.IntN(8)
			var others []Holder
			for x := range held {
				if x != n {
					others = append(others, Holder{x, held[x], wanted[x]})
				}
			}
			var given int
			given, held[n] = Slots(Ask{Slots: limit, InUse: inUse[n], Wanted: wanted[n]}, n, others, now)
			if given > inUse[n] {
				got[n]++
			}
			inUse[n] = max(inUse[n], given)
			sum := 0
			for _, h := range held {
				sum += h
			}
			if sum > limit {
				t.Fatalf("seed %d: %v of %d slots are held", seed, held, limit)
			}
		}
		for n := range int64(4) {
			if got[n] < 20 {
				t.Errorf("seed %d: node %d got new slots %d times", seed, n, got[n])
			}
		}
	}
}

// TestStartsKeepTheirDistance: whoever asks, in any window there are no more starts than the rate allows,
// and a clock that is set back does not stop them.
func TestStartsKeepTheirDistance(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	every := 50 * time.Millisecond
	next, now, last, granted := int64(0), int64(1e9), int64(0), 0
	for range 5000 {
		now += int64(r.IntN(60_000))
		g, after := Start(Ask{Starts: r.IntN(4), Every: every, Ahead: 200 * time.Millisecond}, next, now)
		next = after
		for i := range g.Starts {
			at := now + (g.First + time.Duration(i)*every).Microseconds()
			if at-last < every.Microseconds() || at > now+200_000 {
				t.Fatalf("a start at %d after %d, asked at %d", at, last, now)
			}
			last = at
			granted++
		}
	}
	if took := time.Duration(now-1e9) * time.Microsecond; granted < int(took/every)*9/10 {
		t.Errorf("%d starts in %v", granted, took)
	}
	if g, _ := Start(Ask{Starts: 1, Every: every}, next, now-int64(time.Hour/time.Microsecond)); g.Next > time.Second {
		t.Errorf("%+v after the clock was set back by an hour", g)
	}
}

// TestABucketIsFullAfterAPause: as many deliveries as the limit at once, then one each interval.
func TestABucketIsFullAfterAPause(t *testing.T) {
	a := Ask{Starts: 30, Every: 100 * time.Millisecond, Ahead: 900 * time.Millisecond}
	g, next := Start(a, 0, 1e9)
	if g.Starts != 10 || g.Next <= 0 || g.Next > 100*time.Millisecond {
		t.Errorf("%+v", g)
	}
	if g, _ := Start(a, next, 1e9+250_000); g.Starts != 2 {
		t.Errorf("%+v after 250 ms", g)
	}
}
