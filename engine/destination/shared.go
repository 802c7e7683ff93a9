package destination

import (
	"time"

	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/workflows"
)

// This file keeps the limits of hosts that hold for several nodes together (package permit): a node uses
// only the slots and the starts that it was given. A host without limits needs neither, and neither does
// the only node of a file.

const (
	// askEvery is how often a node asks again while it has slots or waits for some: so it learns that others
	// want some, and gives back what it does not use.
	askEvery = 150 * time.Millisecond
	// askPause is the shortest time between two asks.
	askPause = 10 * time.Millisecond
)

// part is what this node was given of the limits of a host.
type part struct {
	limit workflows.Limit
	// slots is how many attempts may be in flight. held is how many slots the others believe to be in use
	// here, at most.
	slots, held int
	// starts are the times at which attempts may start, in order; last is the one that was used last.
	starts []time.Time
	last   time.Time
	// waiting are the attempts that have a permit and need another start (Renew).
	waiting int
	asking  bool
	asked   time.Time
	// startsAt is when to ask for starts again.
	startsAt time.Time
}

// allow uses a start.
func (s *part) allow(now time.Time) bool {
	for len(s.starts) > 0 && now.Sub(s.starts[0]) >= freshFor {
		s.starts = s.starts[1:] // others count on it being over
	}
	if len(s.starts) == 0 || s.starts[0].After(now) {
		return false
	}
	s.last, s.starts = s.starts[0], s.starts[1:]
	return true
}

// opens is when the next attempt may go, as far as this node knows.
func (s *part) opens(now time.Time) time.Time {
	if len(s.starts) > 0 {
		return s.starts[0]
	}
	if soonest := now.Add(askPause); s.startsAt.Before(soonest) {
		return soonest
	}
	return s.startsAt
}

// share makes the limits of a host those of all nodes, or of none if it has none.
func (ds *Table) share(d *destination, l workflows.Limit) {
	switch {
	case l.Concurrency == 0 && l.Rate == 0:
		if d.shared != nil && d.shared.held > 0 {
			ds.released = append(ds.released, d.name)
		}
		d.shared = nil
		return
	case d.shared == nil:
		d.shared = &part{}
	}
	d.shared.limit = l
	d.shared.slots = min(d.shared.slots, l.Concurrency)
}

// noSlot reports whether this node needs another slot before one more attempt may be in flight.
func (d *destination) noSlot() bool {
	return d.shared != nil && d.shared.limit.Concurrency > 0 && d.inUse >= d.shared.slots
}

// allowedAt is the time for which the start that was just used was allowed; zero without a rate.
func (d *destination) allowedAt(now time.Time) time.Time {
	switch {
	case d.pace == nil:
		return time.Time{}
	case d.shared != nil:
		return d.shared.last
	}
	return now
}

// ask makes Asks be called.
func (ds *Table) ask(d *destination) {
	if d.shared != nil {
		ds.o.Ask()
	}
}

// Asks returns what this node needs of the limits of all nodes, and when to ask again; zero if it need not.
// Until Granted, no more attempts are in flight than now: the answer may be that others may have them.
func (ds *Table) Asks(now time.Time) (list []permit.Ask, next time.Time) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, name := range ds.released {
		list = append(list, permit.Ask{Name: name, Slots: 1})
	}
	ds.released = nil
	for _, d := range ds.byName {
		if d.shared == nil {
			continue
		}
		a, at := ds.askFor(d, now)
		if a != nil {
			list = append(list, *a)
		}
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return list, next
}

// askFor is Asks for one host.
func (ds *Table) askFor(d *destination, now time.Time) (*permit.Ask, time.Time) {
	s := d.shared
	starts := 0
	if s.limit.Rate > 0 {
		for len(s.starts) > 0 && now.Sub(s.starts[0]) >= freshFor {
			s.starts = s.starts[1:]
		}
		starts = max(len(d.queue)+s.waiting-len(s.starts), 0)
	}
	wanted := 0
	if s.limit.Concurrency > 0 {
		wanted = d.inUse + len(d.queue)
	}
	needSlots := wanted > 0 || s.held > 0
	if starts == 0 && !needSlots || s.asking {
		return nil, time.Time{}
	}
	at := s.asked.Add(askEvery)
	if starts > 0 && s.startsAt.Before(at) {
		at = s.startsAt
	}
	if needSlots && (s.held == 0 || d.inUse >= s.slots && s.held > d.inUse) {
		at = s.asked
	}
	if soonest := s.asked.Add(askPause); at.Before(soonest) {
		at = soonest
	}
	if at.After(now) {
		return nil, at
	}
	a := &permit.Ask{Name: d.name, Slots: s.limit.Concurrency, InUse: d.inUse, Wanted: wanted}
	if starts > 0 && !s.startsAt.After(now) {
		// A start is used up to the margin late: with this distance no time of the rate's length has more
		// attempts than the rate allows.
		a.Every = (s.limit.Per + ds.margin()) / time.Duration(s.limit.Rate)
		a.Ahead = 2 * ds.margin()
		a.Starts = min(starts, max(int(ds.margin()/a.Every), 1))
	}
	s.asking, s.asked = true, now
	s.slots = min(s.slots, d.inUse)
	return a, now.Add(askEvery)
}

// margin is how late a start may be used: the time until the answer of the store, and freshFor.
func (ds *Table) margin() time.Duration { return freshFor + 2*ds.took }

// Granted takes the answers to asks, which have taken a time; nil if there is no answer.
func (ds *Table) Granted(asks []permit.Ask, grants []permit.Grant, took time.Duration) {
	ds.mu.Lock()
	now := time.Now()
	ds.took = max(took, ds.took*7/8)
	var ready []*destination
	for i, a := range asks {
		d := ds.byName[a.Name]
		if d == nil || d.shared == nil {
			continue
		}
		s := d.shared
		s.asking = false
		if grants == nil {
			s.held = max(s.held, a.Wanted) // what was stored is unknown
			s.startsAt = now.Add(askEvery)
			continue
		}
		g := grants[i]
		if a.Slots > 0 {
			s.slots, s.held = min(g.Slots, s.limit.Concurrency), max(g.Slots, a.InUse)
		}
		if a.Starts > 0 {
			for j := range g.Starts {
				s.starts = append(s.starts, now.Add(g.First+time.Duration(j)*a.Every))
			}
			s.startsAt = now.Add(g.Next)
		}
		ready = append(ready, d)
	}
	ds.mu.Unlock()
	for _, d := range ready {
		ds.offerNext(d)
	}
}
