// Package permit divides limits that hold for several nodes together: how many attempts to a host may
// be in flight, how many may start within a time, how many deliveries of a trigger are accepted.
//
// A node may use only what it was given in a transaction. The alternative, a fixed share for each node,
// cannot express a limit that is smaller than the number of nodes, leaves unused what one node does not
// need, and has to be changed in two steps whenever a node comes or goes. With grants, a node that dies
// keeps only its slots, and only until its row is removed. A node that joins has nothing until it asks.
//
// The rules are pure: the store calls them inside its transactions, with what it has read there. The
// package must not know stores, hosts or triggers.
package permit

import (
	"slices"
	"time"
)

// Ask is what one node needs of one limit.
type Ask struct {
	// Name is the limit's, equal at all nodes.
	Name string
	// Slots is how many may be in use at all nodes at once; 0 without such a limit. InUse is how many
	// this node uses, Wanted how many it would use if it had them. From the ask on until the answer the
	// node must not use more than InUse.
	Slots, InUse, Wanted int
	// Starts is how many starts the node needs. One is allowed each Every, at most Ahead before its time.
	Starts       int
	Every, Ahead time.Duration
}

// Grant is the answer to an Ask.
type Grant struct {
	// Slots is how many this node may have in use until it asks again.
	Slots int
	// Starts are how many starts it may make: the first one First after the answer, the others Every
	// after the one before. Next is when to ask for more, after the answer.
	Starts      int
	First, Next time.Duration
}

// Start grants starts. next is the time of the first start that no node was granted yet, and after the
// one for the next ask, both in microseconds of the clock of now.
func Start(a Ask, next, now int64) (g Grant, after int64) {
	every, latest := max((a.Every+time.Microsecond-1).Microseconds(), 1), now+a.Ahead.Microseconds()
	// A clock that was set back must not stop all starts until it has caught up.
	first := min(max(next, now), latest+2*every)
	if first <= latest {
		g.Starts = int(min(int64(a.Starts), (latest-first)/every+1))
	}
	after = first + int64(g.Starts)*every
	g.First = time.Duration(first-now) * time.Microsecond
	g.Next = max(time.Duration(after-latest)*time.Microsecond, 0)
	return g, after
}

// Holder is what one node has of the slots of a limit.
type Holder struct {
	// Node tells the nodes apart.
	Node         int64
	Held, Wanted int
}

// turnTime is how long a node keeps a slot that does not divide among the nodes that want it.
const turnTime = time.Second

// Slots divides slots. A node is given as many as it wants, up to its share and to what the other nodes
// do not hold; if it is given fewer than it uses, it begins nothing until so many of its own have ended.
// held is what it holds for the others until it asks again. Where slots do not divide, the nodes have the
// last ones in turn.
func Slots(a Ask, self int64, others []Holder, now int64) (given, held int) {
	free := a.Slots
	all := []Holder{{Node: self, Wanted: a.Wanted}}
	for _, h := range others {
		free -= h.Held
		all = append(all, h)
	}
	given = max(min(share(a.Slots, self, all, now), free, a.Wanted), 0)
	return given, max(a.InUse, given)
}

// share divides slots: nobody gets more than it wants, and those who want more get the same.
func share(slots int, self int64, all []Holder, now int64) int {
	all = slices.DeleteFunc(all, func(h Holder) bool { return h.Wanted <= 0 })
	slices.SortFunc(all, func(a, b Holder) int { return int(min(max(a.Node-b.Node, -1), 1)) })
	for len(all) > 0 {
		each := slots / len(all)
		few := slices.IndexFunc(all, func(h Holder) bool { return h.Wanted <= each })
		if few < 0 {
			at := slices.IndexFunc(all, func(h Holder) bool { return h.Node == self })
			turn := now / turnTime.Microseconds() % int64(len(all))
			if (at+int(turn))%len(all) < slots%len(all) {
				each++
			}
			return each
		}
		if all[few].Node == self {
			return all[few].Wanted
		}
		slots -= all[few].Wanted
		all = slices.Delete(all, few, few+1)
	}
	return 0
}
