package triggers

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds on the memory for bodies of callers that are not verified yet, in bytes. Half of
// each pool, and at most one part of it per address, is for unverified callers; the rest
// is reserved for callers that were verified recently.
const (
	// smallBody is the largest body of the small pool. Most deliveries are small; large bodies
	// use a pool of their own and cannot take their memory.
	smallBody = 64 << 10
	// smallPool and largePool limit the bytes of bodies in memory.
	smallPool = 8 << 20
	largePool = 64 << 20
	// smallPart and largePart are the most that one unverified address may hold.
	smallPart = 2 << 20
	largePart = 16 << 20
	// proofHolds is how long an address counts as verified after a genuine delivery.
	proofHolds = 24 * time.Hour
	// maxCallers is the number of addresses that are tracked.
	maxCallers = 20_000
	// failuresPerSecond is the rate of failed verifications up to which requests of one
	// address are verified concurrently. Above it, and above failuresBurst, they are verified
	// one at a time.
	failuresPerSecond = 50
	failuresBurst     = 200
	// maxArriving is the number of bodies that are received at once. Above it the oldest slow
	// one is ended. One HTTP/2 connection can carry a hundred.
	maxArriving = 20_000
	// manyArriving is the number of concurrent bodies above which a timeout may be our fault:
	// the sender gets 503 instead of 408.
	manyArriving = 250
	// stallsAfter is how long a body may make no progress before it can be ended for others.
	// slowPace is the rate, in bytes per second, below which a body counts as slow after its
	// first second.
	stallsAfter = 250 * time.Millisecond
	slowPace    = 64 << 10
	// lateCheck is how often late bodies are detected. A deadline on each connection would cost a
	// timer for every delivery, although nearly all are complete by then.
	lateCheck = 250 * time.Millisecond
)

// admission accounts for bodies while they arrive and until their delivery is
// answered, by address. It is safe for concurrent use.
type admission struct {
	mu sync.Mutex
	// oldest and newest are the ends of the list of bodies that still arrive.
	oldest, newest *arriving
	count          int
	// checking reports whether checkLate runs again within lateCheck.
	checking bool
	// held and unproved are the bytes of each pool, and those of unproved callers.
	held, unproved [2]int64
	callers        map[netip.Addr]*caller
	// others is used for addresses above maxCallers and for unreadable ones.
	others *caller
	swept  time.Time
}

// caller is the state of one remote address.
type caller struct {
	// provedAt is the time of its last genuine delivery, in Unix seconds.
	provedAt atomic.Int64
	// turn is held by the request that is being verified while the address has too many
	// failures.
	turn chan struct{}
	// The rest is guarded by admission.mu.
	held     [2]int64
	seen     time.Time
	failures float64
	failedAt time.Time
}

// arriving is one body that is being received.
type arriving struct {
	caller  *caller
	proved  bool
	began   time.Time
	control *http.ResponseController
	// got is the number of bytes received, moved the time of the last read in Unix
	// nanoseconds.
	got, moved atomic.Int64
	// The rest is guarded by admission.mu.
	older, newer *arriving
	listed       bool
	// due is when the body must be complete, by what is known of its size so far. late
	// reports whether it was ended because it was not.
	due  time.Time
	late bool
	// pool and size are the memory that is accounted for the body.
	pool int
	size int64
	// ended reports whether the body was ended to free memory for others.
	ended bool
}

func newAdmission() *admission {
	return &admission{callers: map[netip.Addr]*caller{}, others: newCaller()}
}

func newCaller() *caller { return &caller{turn: make(chan struct{}, 1)} }

// proves reports whether the address has sent a genuine delivery within proofHolds.
func (c *caller) proves(now time.Time) bool {
	at := c.provedAt.Load()
	return at > 0 && now.Unix()-at < int64(proofHolds/time.Second)
}

// caller returns the state of an address. IPv6 addresses share one state per /64, the
// usual prefix of one customer (RFC 6177).
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

// sweep removes addresses that hold nothing, were never verified and were not seen for a
// minute. The caller holds the lock. It runs at most once a second.
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

// failed records a failed verification.
func (a *admission) failed(c *caller, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.drain(now)
	c.failures++
	c.failedAt = now
}

// drain reduces the failure count by the time that has passed.
func (c *caller) drain(now time.Time) {
	c.failures = max(0, c.failures-failuresPerSecond*now.Sub(c.failedAt).Seconds())
	c.failedAt = now
}

// floods reports whether an unverified address has failed so often that its requests are
// verified one at a time.
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

// begin adds a body to the list of those being received.
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
	if !a.checking {
		a.checking = true
		time.AfterFunc(lateCheck, a.checkLate)
	}
}

// checkLate ends the bodies that are late, and runs again while any arrives. The read of
// such a body returns a timeout.
func (a *admission) checkLate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for x := a.oldest; x != nil; {
		newer := x.newer
		if now.After(x.due) {
			a.unlist(x)
			x.late = true
			x.stop()
		}
		x = newer
	}
	if a.checking = a.oldest != nil; a.checking {
		time.AfterFunc(lateCheck, a.checkLate)
	}
}

// crowded reports whether so many bodies are received at once that honest ones are slow
// too.
func (a *admission) crowded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count > manyArriving
}

// arrived removes a body from the list, whether it is complete or not, and reports whether
// it was ended for others, or because it was late. Its memory stays accounted until release.
func (a *admission) arrived(x *arriving) (ended, late bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unlist(x)
	return x.ended, x.late
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

// release frees the memory that is accounted for a body.
func (a *admission) release(x *arriving) {
	if x == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.charge(x, 0, 0)
}

// take accounts a buffer of the given size for a body, which replaces the one before. If
// there is no room, bodies that stall or are slow are ended, the oldest first. The body must
// be complete when due.
func (a *admission) take(x *arriving, size int64, due time.Time) bool {
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
	x.due = due
	return true
}

// room reports whether a body may grow to a size within a pool.
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

// makeRoom ends slow bodies until there is room.
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

// EndSlow ends up to n requests whose bodies are slow, the oldest first, and returns how
// many it ended.
func (h *Hooks) EndSlow(n int) int { return h.admission.endSlow(n) }

// endSlow ends up to n slow bodies, the oldest first, so that their connections become
// free. It returns how many it ended.
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

// lags reports whether a body stalls or is slow.
func (x *arriving) lags(now time.Time) bool {
	age := now.Sub(x.began)
	moved := x.moved.Load()
	if moved == 0 {
		return age > stallsAfter
	}
	return now.UnixNano()-moved > int64(stallsAfter) || age > time.Second && float64(x.got.Load()) < slowPace*age.Seconds()
}

// end ends a body: its pending read returns, and its memory is free after that.
func (a *admission) end(x *arriving) {
	a.unlist(x)
	a.charge(x, 0, 0)
	x.ended = true
	x.stop()
}

// stop makes the pending read of a body, and all that follow on its connection, return an
// error.
func (x *arriving) stop() {
	if x.control != nil {
		_ = x.control.SetReadDeadline(time.Unix(1, 0)) // a connection without deadlines ends by itself
	}
}

// charge replaces the accounted memory of a body.
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
