// Package destination prevents one slow or dead host from blocking work that does not use it. An
// attempt needs a permit of its destination (scheme, host and port). If none is available, because
// enough attempts are in flight, or the host has stopped answering or asks to wait, the run is
// placed in the destination's queue. A released permit goes to the first run in the queue.
//
// It holds the current state of hosts in memory. It must not know stores, plans, actions or HTTP;
// runs are numbers to it.
package destination

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/hookloom/hookloom/workflows"
)

// Limits of destinations.
const (
	// share is the fraction 1/share of running runs that one destination may use when others need
	// permits; while half of all slots are free, it may use half.
	share = 8
	// breakerWindow is the period over which failures are counted. The circuit opens after
	// breakerFailures of them, if they are at least half of the attempts.
	breakerWindow   = 30 * time.Second
	breakerFailures = 5
	// maxAsked is the longest delay by a Retry-After that applies to all runs.
	maxAsked = 5 * time.Minute
	// answersWithin is how recently a host must have answered to count as responsive.
	answersWithin = time.Second
	// RecheckAfter is when a run that waits for a busy host checks by itself, in case it was not
	// called.
	RecheckAfter = 10 * time.Minute
	// forgetFrom is the number of destinations above which idle ones are removed.
	forgetFrom = 4096
)

// Options are the dependencies of a Table.
type Options struct {
	// MaxRuns is how many runs execute at once.
	MaxRuns int
	// Pause is how long an open circuit admits no attempt.
	Pause time.Duration
	Log   *slog.Logger
	// OnPermit is called, without a lock, for a run whose permit is ready; it reports whether the run
	// can use it. Wake is called when Tick has work.
	OnPermit func(run int64) bool
	Wake     func()
	// Ask is called when Asks has something to ask; nil if limits are those of this process alone.
	Ask func()
}

// After an outage a host gets rampFirst attempts per second, doubled every rampEvery, without a
// limit once that exceeds rampLast.
const (
	rampFirst = 20
	rampLast  = 1000
	rampEvery = 10 * time.Second
	// maxPause is the longest time that a circuit stays open.
	maxPause = 30 * time.Second
)

// Table holds the recently used destinations.
type Table struct {
	o      Options
	mu     sync.Mutex
	byName map[string]*destination
	limits map[string]workflows.Limit
	// granted numbers the reservations.
	granted uint64
	// began is when the process started.
	began time.Time
	// released are hosts that have no limits any more, and of which this node had slots; took is how long
	// the store takes to answer asks.
	released []string
	took     time.Duration
	// unshared are the delays that hosts have asked for and that the other nodes do not have yet; fromOthers
	// are theirs, for hosts that this node has not used.
	unshared   []Delay
	fromOthers map[string]time.Time
}

// destination is the state of one host.
type destination struct {
	name string
	// max is how many attempts may be in flight at once; after an outage limit grows back to it.
	// more allows more than that while the host answers.
	max, limit, inUse int
	more              bool
	// queue are the waiting runs, in order, each once; reservations are permits issued to runs that have
	// not used them yet.
	queue        []int64
	queued       map[int64]bool
	reservations map[int64]reservation
	breaker      *gobreaker.TwoStepCircuitBreaker[struct{}]
	// pace enforces the host's rate; nil without one.
	pace pacer
	// shared is this node's part of the limits; nil without limits, or if there is one node.
	shared *part
	// ramp limits the rate after an outage, and doubles at grows until it is removed: a host that
	// has just recovered must not receive all waiting attempts at once.
	ramp  *rate.Limiter
	grows time.Time
	// closedUntil is when the circuit admits a probe; asked is the earliest time that the host
	// asked for.
	closedUntil, asked time.Time
	// passedOn is the delay that was last passed on to the other nodes.
	passedOn time.Time
	// pause is how long the circuit stays open.
	pause time.Duration
	// answered is when it last answered.
	answered time.Time
	last     string // its last failure
}

// reservation is a permit that was issued to a waiting run: its number, and when the host's rate allowed
// it; at is zero without a rate.
type reservation struct {
	number uint64
	at     time.Time
}

// New makes an empty table.
func New(o Options) *Table {
	return &Table{o: o, byName: map[string]*destination{}, fromOthers: map[string]time.Time{}, began: time.Now()}
}

// Use applies the limits of a project, by host.
func (ds *Table) Use(limits map[string]workflows.Limit) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.limits = limits
	for _, d := range ds.byName {
		limit, _ := ds.limitOf(d.name)
		ds.configure(d, limit)
	}
}

// hostOf is the host of a destination's name, with its port unless that is the scheme's.
func hostOf(name string) string {
	_, host, _ := strings.Cut(originOf(name), "://")
	return host
}

func (ds *Table) get(name string, connector workflows.Limit) *destination {
	name = ds.nameOf(name)
	d := ds.byName[name]
	if d != nil {
		return d
	}
	if len(ds.byName) >= forgetFrom {
		for n, x := range ds.byName {
			if x.inUse == 0 && len(x.queue) == 0 && len(x.reservations) == 0 && (x.shared == nil || x.shared.held == 0) {
				delete(ds.byName, n)
			}
		}
	}
	d = &destination{name: name, queued: map[int64]bool{}, reservations: map[int64]reservation{}}
	d.breaker = ds.newBreaker(d)
	limit, _ := ds.limitOf(name)
	if limit.Rate == 0 {
		limit.Rate, limit.Per = connector.Rate, connector.Per
	}
	ds.configure(d, limit)
	if at, asked := ds.fromOthers[name]; asked {
		d.asked = at
		delete(ds.fromOthers, name)
	}
	ds.byName[name] = d
	return d
}

func (ds *Table) configure(d *destination, l workflows.Limit) {
	before := d.max
	d.max, d.more = ds.part(), true
	if l.Concurrency > 0 {
		d.max, d.more = l.Concurrency, false
	}
	if d.limit == before || d.limit > d.max {
		d.limit = d.max
	}
	if ds.o.Ask != nil {
		ds.share(d, l)
	}
	old, _ := d.pace.(*pace)
	switch now := time.Now(); {
	case l.Rate == 0:
		d.pace = nil
	case d.shared != nil:
		d.pace = d.shared
	case old == nil || old.limit.Rate != l.Rate || old.limit.Per != l.Per:
		d.pace = newPace(l, now, d.pace != nil || now.Sub(ds.began) < l.Per)
	}
}

// Permit allows one attempt to a destination.
type Permit struct {
	ds   *Table
	d    *destination
	done func(error)
	// at is when the rate allowed it; zero without a rate.
	at time.Time
}

// Name is the host that the permit is for; empty for none.
func (p *Permit) Name() string {
	if p == nil {
		return ""
	}
	return originOf(p.d.name)
}

// Denial is why an attempt must wait.
type Denial struct {
	Why string
	// Down reports that the host does not answer, so that the wait is limited.
	Down bool
	// Host is the host that it waits for.
	Host string
}

// Acquire acquires a permit. If none is available, the run is placed in the destination's queue.
func (ds *Table) Acquire(name string, connector workflows.Limit, run int64) (*Permit, *Denial) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	p, h := ds.acquire(name, connector, run)
	if h != nil {
		h.Host = originOf(name)
	}
	return p, h
}

// acquire is called with the lock held.
func (ds *Table) acquire(name string, connector workflows.Limit, run int64) (*Permit, *Denial) {
	d := ds.get(name, connector)
	var at time.Time
	if t, issued := d.reservations[run]; issued {
		at = t.at
		delete(d.reservations, run)
	} else {
		now := time.Now()
		h := ds.full(d, now)
		if h != nil {
			ds.enqueue(d, run)
			return nil, h
		}
		at = d.allowedAt(now)
		d.inUse++
	}
	done, err := d.breaker.Allow()
	if err != nil {
		d.inUse--
		ds.enqueue(d, run)
		return nil, d.down()
	}
	return &Permit{ds: ds, d: d, done: done, at: at}, nil
}

// TryAcquire acquires a permit of a destination that is not held and has no rate; nil for any other.
// It may be returned as if it had never been taken.
func (ds *Table) TryAcquire(name string, connector workflows.Limit) *Permit {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d, now := ds.get(name, connector), time.Now()
	if d.pace != nil || d.ramp != nil || len(d.queue) > 0 || d.breaker.State() != gobreaker.StateClosed || d.asked.After(now) ||
		ds.crowded(d, now) {
		return nil
	}
	done, err := d.breaker.Allow()
	if err != nil {
		return nil
	}
	d.inUse++
	return &Permit{ds: ds, d: d, done: done}
}

// full is why no permit is available; nil if one is. In that case it also takes a token of the
// rate.
func (ds *Table) full(d *destination, now time.Time) *Denial {
	if len(d.queue) > 0 && d.breaker.State() == gobreaker.StateClosed {
		return &Denial{Why: fmt.Sprintf("%d runs are ahead of this one for %s", len(d.queue), d.name)}
	}
	return ds.free(d, now)
}

// part is the number of permits in one destination's share.
func (ds *Table) part() int { return max(ds.o.MaxRuns/share, 1) }

// crowded reports whether no more attempts may be in flight. A host may exceed its share while it
// answers: it then releases permits quickly, and holding its runs would only add cost. A host that
// does not answer is limited to its share, and one that stops answering to three quarters of the
// running runs.
func (ds *Table) crowded(d *destination, now time.Time) bool {
	if d.noSlot() {
		return true
	}
	if d.inUse < d.limit {
		return false
	}
	if d.limit < d.max || !d.more {
		return true
	}
	return now.Sub(d.answered) >= answersWithin || d.inUse >= ds.o.MaxRuns*3/4
}

// free is full without considering the queue.
func (ds *Table) free(d *destination, now time.Time) *Denial {
	switch {
	case ds.crowded(d, now):
		if d.breaker.State() != gobreaker.StateClosed {
			return d.down()
		}
		if d.noSlot() {
			return &Denial{Why: fmt.Sprintf("%d attempts to %s are in flight here, and the nodes have %d slots together", d.inUse, d.name,
				d.shared.limit.Concurrency)}
		}
		return &Denial{Why: fmt.Sprintf("%d attempts to %s are in flight", d.inUse, d.name)}
	case d.asked.After(now):
		return &Denial{Why: fmt.Sprintf("%s asks to wait until %s", d.name, d.asked.UTC().Format(time.RFC3339))}
	case d.breaker.State() == gobreaker.StateOpen, d.closedUntil.After(now):
		return d.down()
	case !d.ramped(now):
		return &Denial{Why: d.name + " has just recovered, and its load is increased gradually"}
	case d.pace != nil && !d.pace.allow(now):
		return &Denial{Why: "the rate of " + d.name + " is used up"}
	}
	return nil
}

// ramped takes a token of the ramp, if there is one.
func (d *destination) ramped(now time.Time) bool {
	for d.ramp != nil && !now.Before(d.grows) {
		d.grows = d.grows.Add(rampEvery)
		next := 2 * d.ramp.Limit()
		if next > rampLast {
			d.ramp = nil
			break
		}
		d.ramp.SetLimitAt(now, next)
		d.ramp.SetBurstAt(now, int(next)/5) // the dispatcher runs ten times a second
	}
	return d.ramp == nil || d.ramp.AllowN(now, 1)
}

// Outcome is the outcome of an attempt.
type Outcome struct {
	// Cut reports that the attempt was interrupted on this side, which says nothing about the host.
	Cut bool
	// Failed reports that the host did not answer; Status is the HTTP status of its response, 0 for
	// none.
	Failed  bool
	Status  int
	Message string
	// RetryAfter is the delay that it asks for.
	RetryAfter time.Duration
}

// Release returns a permit; a nil permit is ignored.
func (p *Permit) Release(o Outcome) {
	if p == nil {
		return
	}
	ds, d := p.ds, p.d
	ds.mu.Lock()
	d.inUse--
	var verdict error
	switch {
	case o.Cut:
		verdict = context.Canceled
	case o.Failed, o.Status >= 500:
		verdict, d.last = errDown, o.Message
	}
	if o.RetryAfter > 0 {
		d.asked = time.Now().Add(min(o.RetryAfter, maxAsked))
		ds.tell(d)
	}
	if verdict == nil {
		d.limit, d.answered = min(d.max, d.limit*2), time.Now()
	}
	p.done(verdict)
	if d.noSlot() {
		ds.ask(d) // another node may wait for the slot
	}
	ds.mu.Unlock()
	ds.offerNext(d)
}
