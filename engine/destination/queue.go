package destination

import (
	"slices"
	"time"
)

func (ds *Table) enqueue(d *destination, run int64) {
	if d.queued[run] {
		return
	}
	d.queued[run] = true
	d.queue = append(d.queue, run)
	ds.ask(d)
	if len(d.queue) == 1 {
		ds.o.Wake()
	}
}

// offerNext issues free permits to the first runs in a destination's queue.
func (ds *Table) offerNext(d *destination) {
	for {
		ds.mu.Lock()
		if len(d.queue) == 0 || ds.free(d, time.Now()) != nil {
			if len(d.queue) > 0 {
				ds.o.Wake() // the dispatcher looks when it is due
			}
			ds.mu.Unlock()
			return
		}
		run := d.queue[0]
		d.queue = d.queue[1:]
		if len(d.queue) == 0 {
			d.queue = nil // releases the memory
		}
		delete(d.queued, run)
		ds.granted++
		t := reservation{number: ds.granted, at: d.allowedAt(time.Now())}
		d.reservations[run] = t
		d.inUse++
		ds.mu.Unlock()
		if !ds.o.OnPermit(run) {
			ds.Requeue(run)
			return // no run can be resumed now; the dispatcher tries again
		}
	}
}

// Requeue puts a run at the front of the queues whose permits it cannot use now.
func (ds *Table) Requeue(run int64) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, d := range ds.byName {
		if _, issued := d.reservations[run]; issued {
			delete(d.reservations, run)
			d.inUse--
			d.queued[run] = true
			d.queue = slices.Insert(d.queue, 0, run)
		}
	}
}

// HasReservation reports whether a run was issued a permit that it has not used yet.
func (ds *Table) HasReservation(run int64) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, d := range ds.byName {
		if _, issued := d.reservations[run]; issued {
			return true
		}
	}
	return false
}

// Mark is the number of the newest reservation.
func (ds *Table) Mark() uint64 {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return ds.granted
}

// Forget releases the permits, up to a mark, that a run will not use: it has ended, or no longer
// needs them.
func (ds *Table) Forget(run int64, mark uint64) {
	ds.mu.Lock()
	var freed []*destination
	for _, d := range ds.byName {
		if t, issued := d.reservations[run]; issued && t.number <= mark {
			delete(d.reservations, run)
			d.inUse--
			freed = append(freed, d)
		}
	}
	ds.mu.Unlock()
	for _, d := range freed {
		ds.offerNext(d)
	}
}

// Tick signals the runs that are due and returns when to look again: zero if none waits.
func (ds *Table) Tick(now time.Time) (next time.Time) {
	var ready []*destination
	ds.eachWaiting(func(d *destination) {
		if !ds.opens(d, now).After(now) {
			ready = append(ready, d)
		}
	})
	for _, d := range ready {
		ds.offerNext(d)
	}
	ds.eachWaiting(func(d *destination) {
		at := ds.opens(d, now)
		if soon := now.Add(100 * time.Millisecond); at.Before(soon) {
			at = soon // there was no slot for it
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	})
	return next
}

func (ds *Table) eachWaiting(visit func(*destination)) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, d := range ds.byName {
		if len(d.queue) > 0 {
			visit(d)
		}
	}
}
