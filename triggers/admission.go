package triggers

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what callers hold before they have proved themselves, in bytes. Half of
// each pool, and at most part of it for one address, is for callers that have proved
// nothing; the rest is kept for those that have.
const (
	// smallBody divides the pools: a crowd of large bodies takes no room from the
	// small ones, which most deliveries are.
	smallBody = 64 << 10
	// smallPool and largePool bound the bodies in memory.
	smallPool = 8 << 20
	largePool = 64 << 20
	// smallPart and largePart are what one unproved address may hold.
	smallPart = 2 << 20
	largePart = 16 << 20
	// proofHolds is how long an address counts as one that proves itself.
	proofHolds = 24 * time.Hour
	// maxCallers bounds the addresses that are remembered.
	maxCallers = 20_000
	// failuresPerSecond is how many failed proofs of one address are verified side by
	// side with those of others; beyond it, and failuresBurst, its requests are
	// verified one at a time.
	failuresPerSecond = 50
	failuresBurst     = 200
	// maxArriving bounds the bodies that arrive at once: beyond it the oldest that lag
	// behind give way. A connection of HTTP/2 can have a hundred of them.
	maxArriving = 20_000
	// manyArriving are so many that honest senders are slow because of each other.
	manyArriving = 250
	// stallsAfter is when a body that stands still gives way to others; slowPace is
	// the pace, in bytes per second, below which it does from its second second on.
	stallsAfter = 250 * time.Millisecond
	slowPace    = 64 << 10
)

// admission accounts for bodies while they arrive and until their delivery is
// answered, by address. It is safe for concurrent use.
type admission struct {
	mu sync.Mutex
	// oldest and newest are the ends of the list of bodies that still arrive.
	oldest, newest *arriving
	count          int
	// held and unproved are the bytes of each pool, and those of unproved callers.
	held, unproved [2]int64
	callers        map[netip.Addr]*caller
	// others stands for addresses beyond maxCallers, and for unreadable ones.
	others *caller
	swept  time.Time
}

// caller is what is known of one address.
type caller struct {
	// provedAt is when it last proved a delivery, in Unix seconds.
	provedAt atomic.Int64
	// turn is held by the one request that is verified when the address has failed
	// too often.
	turn chan struct{}
	// The rest is guarded by admission.mu.
	held     [2]int64
	seen     time.Time
	failures float64
	failedAt time.Time
}

// arriving is one body on its way.
type arriving struct {
	caller  *caller
	proved  bool
	began   time.Time
	control *http.ResponseController
	// got are the bytes that have come, moved when the last of them did, in Unix
	// nanoseconds.
	got, moved atomic.Int64
	// The rest is guarded by admission.mu.
	older, newer *arriving
	listed       bool
	// pool and size are what is charged.
	pool int
	size int64
	// ended tells that it gave way to others.
	ended bool
}

func newAdmission() *admission {
	return &admission{callers: map[netip.Addr]*caller{}, others: newCaller()}
}

func newCaller() *caller { return &caller{turn: make(chan struct{}, 1)} }

// proves tells whether the address has proved a delivery lately.
func (c *caller) proves(now time.Time) bool {
	at := c.provedAt.Load()
	return at > 0 && now.Unix()-at < int64(proofHolds/time.Second)
}

// caller finds what is known of an address. Of IPv6 the first half counts: one
// customer commonly has a /64 (RFC 6177).
func (a *admission) caller(ip netip.Addr, now time.Time) *caller {
	if !ip.IsValid() {
		return a.others
	}
	if ip.Is6() {
		p, err := ip.WithZone("").Prefix(64)
		if err != nil {
			return a.others
		}
		ip = p.Addr()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.callers[ip]
	if c == nil {
		if len(a.callers) >= maxCallers {
			a.sweep(now)
		}
		if len(a.callers) >= maxCallers {
			return a.others
		}
		c = newCaller()
		a.callers[ip] = c
	}
	c.seen = now
	return c
}

// sweep forgets addresses that hold nothing, have proved nothing and were not seen
// for a minute. It is called with the lock held, and works once a second.
func (a *admission) sweep(now time.Time) {
	if now.Sub(a.swept) < time.Second {
		return
	}
	a.swept = now
	for ip, c := range a.callers {
		if c.held == [2]int64{} && !c.proves(now) && now.Sub(c.seen) > time.Minute {
			delete(a.callers, ip)
		}
	}
}

// failed notes a failed proof.
func (a *admission) failed(c *caller, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.drain(now)
	c.failures++
	c.failedAt = now
}

// drain forgets failures as time passes.
func (c *caller) drain(now time.Time) {
	c.failures = max(0, c.failures-failuresPerSecond*now.Sub(c.failedAt).Seconds())
	c.failedAt = now
}

// floods tells whether an address that has proved nothing has failed so often that
// its requests are verified one at a time.
func (a *admission) floods(c *caller, now time.Time) bool {
	if c.proves(now) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.failures < failuresBurst {
		return false
	}
	c.drain(now)
	return c.failures >= failuresBurst
}

// begin lists a body that is about to arrive.
func (a *admission) begin(x *arriving) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count >= maxArriving && a.oldest.lags(x.began) {
		a.end(a.oldest)
	}
	a.count++
	x.listed, x.older = true, a.newest
	if a.newest != nil {
		a.newest.newer = x
	} else {
		a.oldest = x
	}
	a.newest = x
}

// crowded tells whether so many bodies arrive at once that honest ones are slow, too.
func (a *admission) crowded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count > manyArriving
}

// arrived takes a body off the list, whole or given up. It tells whether it had to
// give way. What is charged stays so until release.
func (a *admission) arrived(x *arriving) (ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unlist(x)
	return x.ended
}

func (a *admission) unlist(x *arriving) {
	if !x.listed {
		return
	}
	if x.older != nil {
		x.older.newer = x.newer
	} else {
		a.oldest = x.newer
	}
	if x.newer != nil {
		x.newer.older = x.older
	} else {
		a.newest = x.older
	}
	x.listed, x.older, x.newer = false, nil, nil
	a.count--
}

// release gives back what a body was charged.
func (a *admission) release(x *arriving) {
	if x == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.charge(x, 0, 0)
}

// take charges a body for a buffer of a size, in place of what it had. Where there
// is no room, bodies that stand still or crawl give way, the oldest first.
func (a *admission) take(x *arriving, size int64) bool {
	pool := 0
	if size > smallBody {
		pool = 1
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if x.ended {
		return false
	}
	if !a.room(x, pool, size) && !a.makeRoom(x, pool, size) {
		return false
	}
	a.charge(x, pool, size)
	return true
}

// room tells whether a body may grow to a size in a pool.
func (a *admission) room(x *arriving, pool int, size int64) bool {
	total, part := int64(smallPool), int64(smallPart)
	if pool == 1 {
		total, part = largePool, largePart
	}
	own := int64(0)
	if x.pool == pool {
		own = x.size
	}
	theirs := x.caller.held[pool] - own
	switch {
	case a.held[pool]-own+size > total:
		return false
	case x.proved:
		return theirs+size <= total*3/4 || theirs == 0
	}
	return a.unproved[pool]-own+size <= total/2 && (theirs+size <= part || theirs == 0)
}

// makeRoom ends bodies that lag behind until there is room.
func (a *admission) makeRoom(x *arriving, pool int, size int64) bool {
	now := time.Now()
	for y := a.oldest; y != nil; {
		next := y.newer
		if y != x && y.pool == pool && y.size > 0 && y.lags(now) {
			a.end(y)
			if a.room(x, pool, size) {
				return true
			}
		}
		y = next
	}
	return false
}

// EndSlow ends up to n requests whose bodies lag behind, the oldest first, and gives
// their number.
func (h *Hooks) EndSlow(n int) int { return h.admission.endSlow(n) }

// endSlow ends up to n bodies that lag behind, the oldest first, so that their
// connections become free. It gives the number.
func (a *admission) endSlow(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, ended := time.Now(), 0
	for y := a.oldest; y != nil && ended < n; {
		next := y.newer
		if y.lags(now) {
			a.end(y)
			ended++
		}
		y = next
	}
	return ended
}

// lags tells whether a body stands still or crawls.
func (x *arriving) lags(now time.Time) bool {
	age := now.Sub(x.began)
	moved := x.moved.Load()
	if moved == 0 {
		return age > stallsAfter
	}
	return now.UnixNano()-moved > int64(stallsAfter) || age > time.Second && float64(x.got.Load()) < slowPace*age.Seconds()
}

// end makes a body give way: the read that waits for it returns. Its memory is free
// as soon as that has happened.
func (a *admission) end(x *arriving) {
	a.unlist(x)
	a.charge(x, 0, 0)
	x.ended = true
	if x.control != nil {
		_ = x.control.SetReadDeadline(time.Unix(1, 0)) // who has no deadlines ends by itself
	}
}

// charge books what a body takes in place of what it took.
func (a *admission) charge(x *arriving, pool int, size int64) {
	book := func(pool int, n int64) {
		a.held[pool] += n
		x.caller.held[pool] += n
		if !x.proved {
			a.unproved[pool] += n
		}
	}
	if x.size != 0 {
		book(x.pool, -x.size)
	}
	if x.pool, x.size = pool, size; size != 0 {
		book(pool, size)
	}
}
