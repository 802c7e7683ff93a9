package destination

import (
	"maps"
	"time"
)

// This file passes on the delays that hosts ask for (Retry-After), between the nodes of a shared database:
// a host that has asked one node to wait has asked all of them.

// Delay is when a destination may be called again.
type Delay struct {
	Name  string
	Until time.Time
}

// tellFrom is how much later than the last one a delay must end for the other nodes to be told: many
// attempts in flight get nearly the same answer.
const tellFrom = time.Second

// tell notes the delay of a host for Delays.
func (ds *Table) tell(d *destination) {
	if ds.o.Ask == nil || d.asked.Sub(d.told) < tellFrom {
		return
	}
	d.told = d.asked
	ds.untold = append(ds.untold, Delay{d.name, d.asked})
	ds.o.Ask()
}

// Delays returns the delays of which the other nodes are to be told, once.
func (ds *Table) Delays() []Delay {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	list := ds.untold
	ds.untold = nil
	return list
}

// Delay applies a delay of which another node has told.
func (ds *Table) Delay(x Delay) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	now := time.Now()
	if most := now.Add(maxAsked); x.Until.After(most) {
		x.Until = most
	}
	if d := ds.byName[x.Name]; d != nil {
		if x.Until.After(d.asked) {
			d.asked, d.told = x.Until, x.Until
		}
		return
	}
	maps.DeleteFunc(ds.heard, func(_ string, until time.Time) bool { return !until.After(now) })
	if len(ds.heard) < forgetFrom {
		ds.heard[x.Name] = x.Until
	}
}
