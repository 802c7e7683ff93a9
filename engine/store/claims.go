package store

import (
	"context"
	"crypto/rand"
	"maps"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file claims events and runs for owners. A file belongs to one process, so claims are kept in
// memory: they need no rows, and a process that ends leaves none behind. On PostgreSQL an event belongs
// to one node (ownInbox), and a due run is left to one of them for a while (share).

// claims are the events and runs that owners claimed last.
type claims struct {
	// own is the owner of this opening of the database: events accepted in it belong to it.
	own engine.Owner
	// asking is held by one claiming call at a time, so that no two read the same rows.
	asking sync.Mutex
	mu     sync.Mutex
	// events and runs are guarded by mu. They hold only what each owner's last calls returned, so
	// they stay as small as the requests.
	events map[engine.EventID]engine.Owner
	runs   map[engine.RunID]engine.Owner
}

func newClaims() *claims {
	return &claims{own: engine.Owner(rand.Text()), events: map[engine.EventID]engine.Owner{}, runs: map[engine.RunID]engine.Owner{}}
}

// giveBack drops the claims of an owner that are not in hold, and counts those of others.
func giveBack[ID comparable](c *claims, of map[ID]engine.Owner, owner engine.Owner, hold func(ID) bool) (others int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, o := range of {
		if o != owner {
			others++
		} else if !hold(id) {
			delete(of, id)
		}
	}
	return others
}

// Owner implements engine.Store.
func (s *Store) Owner() engine.Owner { return s.claims.own }

// ClaimInbox implements engine.Store.
func (s *Store) ClaimInbox(ctx context.Context, owner engine.Owner, limit int, working func(engine.EventID) bool) (events []*engine.Event,
	whole bool, err error) {
	c := s.claims
	c.asking.Lock()
	defer c.asking.Unlock()
	limit += giveBack(c, c.events, owner, working)
	events, whole, err = s.inbox(ctx, limit, func(id engine.EventID) bool {
		c.mu.Lock()
		holder, claimed := c.events[id]
		c.mu.Unlock()
		if !claimed && int64(id) > s.lastID {
			holder, claimed = c.own, true // it was accepted in this opening
		}
		return claimed && holder != owner || working(id)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ev := range events {
		c.events[ev.ID] = owner
	}
	return events, whole, err
}

// ClaimDue implements engine.Store.
func (s *Store) ClaimDue(ctx context.Context, owner engine.Owner, now time.Time, limit int) ([]engine.RunID, time.Time, error) {
	c := s.claims
	c.asking.Lock()
	defer c.asking.Unlock()
	giveBack(c, c.runs, owner, func(engine.RunID) bool { return false })
	// A run that is taken up while the rows are read may still be due in them. Its claim ends meanwhile,
	// so the claims that count are those from before the read.
	c.mu.Lock()
	held := maps.Clone(c.runs)
	c.mu.Unlock()
	ids, next, err := s.due(ctx, now, limit, func(id engine.RunID) bool {
		_, claimed := held[id]
		return claimed
	}, s.leftToOthers)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.runs[id] = owner
	}
	return ids, next, err
}

// leftToOthers is how long a due run is left to another node.
func (s *Store) leftToOthers(id engine.RunID) time.Duration {
	if s.w.pg == nil || s.w.pg.share.Load().has(int64(id)) {
		return 0
	}
	return lateTime
}

// taken ends the claim of a run that is running now, or that cannot run.
func (c *claims) taken(id engine.RunID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.runs, id)
}
