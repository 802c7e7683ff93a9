package engine

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// EventID and RunID are ordered by time. Their 63 bits are
//
//	62      21 20     11 10      0
//	[ 42 bits ][ 10 bits ][ 11 bits ]
//	 ms since    node      counter
//	 2020
//
// A node is a process that makes ids; a database with one server has node 0. Nodes make distinct
// ids without coordination, and the ids of each node only increase. Ids of two nodes within a
// millisecond, or within their clock error, are not ordered by time. Earlier builds had a 21-bit
// counter and no node: their ids are valid, and older than all later ones. As text an id is evt_ or
// run_ and 16 hex digits, so that texts sort like numbers.
type (
	EventID int64
	RunID   int64
)

const (
	nodeBits, counterBits = 10, 11
	// MaxNode is the largest number of a node.
	MaxNode = 1<<nodeBits - 1
	// NodeShift is the position of the node's number in an id.
	NodeShift = counterBits
)

// String returns evt_ and 16 hex digits.
func (id EventID) String() string { return idText("evt_", int64(id)) }

// String returns run_ and 16 hex digits.
func (id RunID) String() string { return idText("run_", int64(id)) }

func idText(prefix string, n int64) string {
	var b [20]byte
	copy(b[:], prefix)
	for i := 19; i > 3; i-- {
		b[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
	return string(b[:])
}

// ParseEventID and ParseRunID parse the text of an id.
func ParseEventID(s string) (EventID, error) {
	n, err := parseID(s, "evt_")
	return EventID(n), err
}

// ParseRunID parses run_ and 16 hex digits.
func ParseRunID(s string) (RunID, error) {
	n, err := parseID(s, "run_")
	return RunID(n), err
}

func parseID(s, prefix string) (int64, error) {
	hex, ok := strings.CutPrefix(s, prefix)
	n, err := strconv.ParseUint(hex, 16, 64) // refuses signs
	if !ok || err != nil || len(hex) != 16 {
		return 0, fmt.Errorf("%q is not an ID (expected %s and 16 hex digits)", s, prefix)
	}
	if n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is not an ID (the first of its 16 digits is at most 7)", s)
	}
	return int64(n), nil
}

// idEpoch is the origin of the milliseconds in ids.
var idEpoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// IDs makes the ids of one node. They only increase, even if the clock is set back. It is safe for
// concurrent use. Set Node before the first use.
type IDs struct {
	Node int64
	last atomic.Int64
}

// Seen registers an existing id, so that new ones come after it.
func (g *IDs) Seen(id int64) {
	for last := g.last.Load(); last < id && !g.last.CompareAndSwap(last, id); last = g.last.Load() {
	}
}

// Next returns a new id.
func (g *IDs) Next() int64 {
	now := time.Since(idEpoch).Milliseconds()
	for {
		last := g.last.Load()
		if id := g.after(last, now); g.last.CompareAndSwap(last, id) {
			return id
		}
	}
}

// after returns the id that follows last, not before a given millisecond. If the counter of a
// millisecond is full, or the last id is another node's, it uses the next millisecond.
func (g *IDs) after(last, now int64) int64 {
	if id := g.first(now); id > last {
		return id
	}
	if id := last + 1; id>>counterBits&MaxNode == g.Node {
		return id
	}
	id := g.first(last >> (nodeBits + counterBits))
	if id <= last {
		id += 1 << (nodeBits + counterBits)
	}
	return id
}

// first is the first id of a millisecond.
func (g *IDs) first(ms int64) int64 { return (ms<<nodeBits | g.Node) << counterBits }

// FirstID is the smallest id of a time, for lists by time.
func FirstID(t time.Time) int64 {
	return max(0, t.Sub(idEpoch).Milliseconds()) << (nodeBits + counterBits)
}

// Node is the number of the node that made the event's id. It is meaningless for ids of earlier
// builds, which had no node.
func (id EventID) Node() int64 { return int64(id) >> counterBits & MaxNode }

// Time is when the event was accepted, to the millisecond.
func (id EventID) Time() time.Time { return RunID(id).Time() }

// Time is when the run was made, to the millisecond.
func (id RunID) Time() time.Time {
	return idEpoch.Add(time.Duration(int64(id)>>(nodeBits+counterBits)) * time.Millisecond).UTC()
}
