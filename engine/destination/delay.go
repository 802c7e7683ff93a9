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

// shareFrom is how much later than the last one a delay must end to be passed on to the other nodes: many
// attempts in flight get nearly the same answer.
const shareFrom = time.Second

// tell notes the delay of a host for Delays.
func (ds *Table) tell(d *destination) {
	if ds.o.Ask == nil || d.asked.Sub(d.passedOn) < shareFrom {
		return
	}
	d.passedOn = d.asked
	ds.unshared = append(ds.unshared, Delay{d.name, d.asked})
	ds.o.Ask()
}

// Delays returns the delays to pass on to the other nodes, once.
func (ds *Table) Delays() []Delay {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	list := ds.unshared
	ds.unshared = nil
	return list
}

// Delay applies a delay that another node has passed on.
func (ds *Table) Delay(x Delay) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	now := time.Now()
	if most := now.Add(maxAsked); x.Until.After(most) {
		x.Until = most
	}
	if d := ds.byName[x.Name]; d != nil {
		if x.Until.After(d.asked) {
			d.asked, d.passedOn = x.Until, x.Until
		}
		return
	}
	maps.DeleteFunc(ds.fromOthers, func(_ string, until time.Time) bool { return !until.After(now) })
	if len(ds.fromOthers) < forgetFrom {
		ds.fromOthers[x.Name] = x.Until
	}
}
