package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestNodesMakeDifferentIDsInOneMillisecond makes more ids at one moment than a millisecond
// has for a node.
func TestNodesMakeDifferentIDsInOneMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time stands still
		time.Sleep(26 * 365 * 24 * time.Hour)
		made := map[int64]int64{}
		for _, node := range []int64{0, 1, 2, engine.MaxNode} {
			ids := engine.IDs{Node: node}
			last := int64(0)
			for range 5000 {
				id := ids.Next()
				if other, is := made[id]; is {
					t.Fatalf("nodes %d and %d have both made %x", other, node, id)
				}
				if id <= last || engine.EventID(id).Node() != node {
					t.Fatalf("%x follows %x, of node %d", id, last, engine.EventID(id).Node())
				}
				made[id], last = node, id
			}
			if at := engine.EventID(last).Time(); time.Until(at) > 3*time.Millisecond {
				t.Errorf("5000 ids reach %v ahead", time.Until(at))
			}
		}
	})
}

func TestNewIDsAreLargerThanExistingOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(26 * 365 * 24 * time.Hour)
		now := engine.FirstID(time.Now())
		for name, seen := range map[string]int64{
			"the clock was set back by an hour":          engine.FirstID(time.Now().Add(time.Hour)),
			"a build before counted through this moment": now + 1<<21 - 1,
			"a build before has made a few ids":          now + 7,
			"another node has made it":                   now + 9<<11,
			"the last id of a millisecond of this node":  now + 5<<11 + 1<<11 - 1,
			"an old id": now - 1<<40,
		} {
			ids := engine.IDs{Node: 5}
			ids.Seen(seen)
			first, second := ids.Next(), ids.Next()
			if first <= seen || second <= first || engine.EventID(first).Node() != 5 || engine.EventID(second).Node() != 5 {
				t.Errorf("%s: %x, then %x and %x", name, seen, first, second)
			}
			if at := engine.EventID(first).Time(); at.Sub(engine.EventID(max(seen, now)).Time()) > time.Millisecond {
				t.Errorf("%s: %x is of %v", name, first, at)
			}
		}
	})
}
