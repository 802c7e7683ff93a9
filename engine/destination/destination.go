// Package destination keeps one slow or dead host from holding up what does not
// use it. An attempt needs a permit of its destination (scheme, host and port).
// Where there is none, because enough attempts are under way, the host has stopped
// answering or asks to wait, the run stands in the destination's queue. Who gives a
// permit back hands it to the first in the queue.
//
// It holds what is true of hosts now, in memory. It must not know stores, plans,
// actions or HTTP; runs are numbers to it.
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

// Bounds of destinations.
const (
	// share is which part of the runs at work may be at one destination when others
	// need theirs; while half of all are free it may be half.
	share = 8
	// breakerWindow is the time over which failures are counted; breakerFailures of
	// them, and half of the attempts, open the circuit.
	breakerWindow   = 30 * time.Second
	breakerFailures = 5
	// maxAsked bounds the wait that a Retry-After imposes on all runs.
	maxAsked = 5 * time.Minute
	// answersWithin is how long ago a host answered that is not slow.
	answersWithin = time.Second
	// LookAgain is when a run that waits for a busy host looks by itself, should
	// nobody call it.
	LookAgain = 10 * time.Minute
	// forgetFrom is the number from which idle ones are forgotten.
	forgetFrom = 4096
)

// Options are what a table needs of the engine around it.
type Options struct {
	// MaxRuns is how many runs are at work at once.
	MaxRuns int
	// Pause is how long an open circuit lets nobody through.
	Pause time.Duration
	Log   *slog.Logger
	// Call is called, without a lock, for a run that has its turn; it reports whether the
	// run can come. Wake is called when Look has something to look at.
	Call func(run int64) bool
	Wake func()
}

// After an outage a host is sent rampFirst attempts a second, twice as many every
// rampEvery, and as many as go once that is more than rampLast.
const (
	rampFirst = 20
	rampLast  = 1000
	rampEvery = 10 * time.Second
	// maxPause is the longest that a circuit stays open.
	maxPause = 30 * time.Second
)

// Table holds the destinations that were used lately.
type Table struct {
	o      Options
	mu     sync.Mutex
	byName map[string]*destination
	limits map[string]workflows.Limit
	// granted numbers the tickets.
	granted uint64
	// began is when the process did.
	began time.Time
}

// destination is one host as seen from here.
type destination struct {
	name string
	// max attempts may be under way at once; after an outage limit grows to it again.
	// more lets it have more than that while it answers.
	max, limit, inUse int
	more              bool
	// queue are runs that wait, in order, each once; tickets are permits handed to
	// runs that have not come for them yet, by number.
	queue   []int64
	queued  map[int64]bool
	tickets map[int64]uint64
	// granted is when the tickets were, at a host with a rate.
	granted map[int64]time.Time
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	// pace keeps the host's rate; nil without one.
	pace *pace
	// ramp bounds the rate after an outage, and doubles at grows until it is gone: a
	// host that has just come back is not sent all that waits for it.
	ramp  *rate.Limiter
	grows time.Time
	// closedUntil is when the circuit lets one through; asked when the host wants to
	// be asked again.
	closedUntil, asked time.Time
	// pause is how long the circuit stays open.
	pause time.Duration
	// answered is when it last did.
	answered time.Time
	last     string // its last failure
}

// New makes an empty table.
func New(o Options) *Table { return &Table{o: o, byName: map[string]*destination{}, began: time.Now()} }

// Use takes the limits that the project sets, by host.
func (ds *Table) Use(limits map[string]workflows.Limit) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.limits = limits
	for _, d := range ds.byName {
		d.configure(ds.limits[hostOf(d.name)], ds.part(), ds.began)
	}
}

// hostOf is the part of a destination that hookloom.yaml names.
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
			if x.inUse == 0 && len(x.queue) == 0 && len(x.tickets) == 0 {
				delete(ds.byName, n)
			}
		}
	}
	d = &destination{name: name, queued: map[int64]bool{}, tickets: map[int64]uint64{}}
	d.breaker = ds.newBreaker(d)
	limit := ds.limits[hostOf(name)]
	if limit.Rate == 0 {
		limit.Rate, limit.Per = connector.Rate, connector.Per
	}
	d.configure(limit, ds.part(), ds.began)
	d.limit = d.max
	ds.byName[name] = d
	return d
}

func (d *destination) configure(l workflows.Limit, part int, began time.Time) {
	before := d.max
	d.max, d.more = part, true
	if l.Concurrency > 0 {
		d.max, d.more = l.Concurrency, false
	}
	if d.limit == before || d.limit > d.max {
		d.limit = d.max
	}
	switch now := time.Now(); {
	case l.Rate == 0:
		d.pace = nil
	case d.pace == nil || d.pace.limit.Rate != l.Rate || d.pace.limit.Per != l.Per:
		d.pace = newPace(l, now, d.pace != nil || now.Sub(began) < l.Per)
	}
}

// Permit lets one attempt go to a destination.
type Permit struct {
	ds   *Table
	d    *destination
	done func(error)
	// at is when the rate let it go; zero where there is no rate.
	at time.Time
}

// Name is the host that the permit is for; empty for none.
func (p *Permit) Name() string {
	if p == nil {
		return ""
	}
	return originOf(p.d.name)
}

// Hold says why an attempt has to wait.
type Hold struct {
	Why string
	// Down reports whether the host does not answer, so that waiting has an end.
	Down bool
	// Host is the one that is waited for.
	Host string
}

// Take asks for a permit. Without one, the run is in the destination's queue.
func (ds *Table) Take(name string, connector workflows.Limit, run int64) (*Permit, *Hold) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	p, h := ds.take(name, connector, run)
	if h != nil {
		h.Host = originOf(name)
	}
	return p, h
}

// take is called with the lock held.
func (ds *Table) take(name string, connector workflows.Limit, run int64) (*Permit, *Hold) {
	d := ds.get(name, connector)
	var at time.Time
	if d.tickets[run] != 0 {
		at = d.granted[run]
		delete(d.tickets, run)
		delete(d.granted, run)
	} else {
		now := time.Now()
		h := ds.full(d, now)
		if h != nil {
			ds.enqueue(d, run)
			return nil, h
		}
		if d.pace != nil {
			at = now
		}
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

// TakeFree returns a permit of a destination that nothing holds back and no rate
// bounds, nil of any other. It may be given back as if it had never been taken.
func (ds *Table) TakeFree(name string, connector workflows.Limit) *Permit {
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

// full says why no permit can be had; nil when one can. A token of the rate is
// taken then.
func (ds *Table) full(d *destination, now time.Time) *Hold {
	if len(d.queue) > 0 && d.breaker.State() == gobreaker.StateClosed {
		return &Hold{Why: fmt.Sprintf("%d runs wait for %s before this one", len(d.queue), d.name)}
	}
	return ds.free(d, now)
}

// part is the share of one destination.
func (ds *Table) part() int { return max(ds.o.MaxRuns/share, 1) }

// crowded reports whether no more attempts may be under way. Beyond its share a host may
// have more while it answers: then it gives back at once what it takes, and holding its
// runs would only cost. One that does not answer keeps its share, and one that stops
// answering at most three quarters of the runs at work.
func (ds *Table) crowded(d *destination, now time.Time) bool {
	if d.inUse < d.limit {
		return false
	}
	if d.limit < d.max || !d.more {
		return true
	}
	return now.Sub(d.answered) >= answersWithin || d.inUse >= ds.o.MaxRuns*3/4
}

// free is full without a look at the queue.
func (ds *Table) free(d *destination, now time.Time) *Hold {
	switch {
	case ds.crowded(d, now):
		if d.breaker.State() != gobreaker.StateClosed {
			return d.down()
		}
		return &Hold{Why: fmt.Sprintf("%d attempts to %s are under way", d.inUse, d.name)}
	case d.asked.After(now):
		return &Hold{Why: fmt.Sprintf("%s asks to wait until %s", d.name, d.asked.UTC().Format(time.RFC3339))}
	case d.breaker.State() == gobreaker.StateOpen, d.closedUntil.After(now):
		return d.down()
	case !d.ramped(now):
		return &Hold{Why: d.name + " has just recovered, and its load is increased gradually"}
	case d.pace != nil && !d.pace.allow(now):
		return &Hold{Why: "the rate of " + d.name + " is used up"}
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
		d.ramp.SetBurstAt(now, int(next)/5) // the dispatcher looks ten times a second
	}
	return d.ramp == nil || d.ramp.AllowN(now, 1)
}

// Outcome is what became of an attempt.
type Outcome struct {
	// Cut reports whether it was broken off from here, which says nothing of the host.
	Cut bool
	// Failed reports whether the host did not answer; Status is the HTTP status of its
	// answer, 0 for none.
	Failed  bool
	Status  int
	Message string
	// RetryAfter is how long it asks to be left alone.
	RetryAfter time.Duration
}

// Give returns a permit back; nil gives nothing.
func (p *Permit) Give(o Outcome) {
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
	}
	if verdict == nil {
		d.limit, d.answered = min(d.max, d.limit*2), time.Now()
	}
	p.done(verdict)
	ds.mu.Unlock()
	ds.callNext(d)
}
