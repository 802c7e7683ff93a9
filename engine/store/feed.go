package store

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file writes the feed: the changes, in the order of the commits. Ids cannot provide that
// order: they are assigned before the commit, so a larger id may be committed first. The feed costs
// one row per commit, whatever its number of changes.

const (
	insertFeed = `INSERT INTO feed (seq, total, changes) VALUES (?, ?, ?)`
	// cutFeed deletes the oldest rows. total rises with seq, so if a row stays, all later rows stay
	// too.
	cutFeed = `DELETE FROM feed WHERE seq IN (SELECT seq FROM (SELECT seq, total FROM feed ORDER BY seq LIMIT ?) WHERE total < ?)`
	// keepFeed is the size limit of the feed in bytes, about 600,000 events and their runs.
	keepFeed = 8 << 20
	// feedRowBytes is the size of a row without its changes.
	feedRowBytes = 20
	// cutFeedEach is the number of rows after which the feed is cut; a cut deletes at most twice as
	// many.
	cutFeedEach = 64
)

// feedStatuses are the statuses of runs, in the order of their numbers in the feed. New ones are
// appended. The number 0 is an event.
var feedStatuses = []engine.RunStatus{engine.Queued, engine.Running, engine.Waiting, engine.Succeeded, engine.Failed, engine.Cancelled,
	engine.TimedOut}

// feedChange is a change made by the running transaction.
type feedChange struct {
	kind byte
	id   int64
}

// feed is the state that the writer needs to extend the feed. It is owned by the writer's
// goroutine.
type feed struct {
	// last is the newest position, total the number of bytes written so far.
	last, total int64
	rows        int
	// changes are those of the running transaction; blob is the buffer for their encoding.
	changes []feedChange
	blob    []byte
}

// decidedEvent records in the feed that an event was decided.
func (t *tx) decidedEvent(id engine.EventID) {
	t.signal(engine.SignalEvents)
	t.w.feed.changes = append(t.w.feed.changes, feedChange{0, int64(id)})
}

// changedRun records in the feed that a run's status changed.
func (t *tx) changedRun(id engine.RunID, status engine.RunStatus) {
	t.signal(engine.SignalRuns)
	if status == engine.Queued || status == engine.Waiting {
		t.signal(engine.SignalDue)
	}
	t.w.feed.changes = append(t.w.feed.changes, feedChange{byte(1 + slices.Index(feedStatuses, status)), int64(id)})
}

// writeFeed stores the changes of the transaction. It must be its last statement.
func (t *tx) writeFeed() error {
	f := &t.w.feed
	n := int64(len(f.changes))
	if n == 0 {
		return nil
	}
	seq := max(f.last+1, engine.FirstID(time.Now())) + n - 1
	f.blob = appendChanges(f.blob[:0], seq, f.changes)
	total := f.total + int64(len(f.blob)) + feedRowBytes
	if err := t.put(insertFeed, seq, total, f.blob); err != nil {
		return err
	}
	// If the commit fails, the position is not reused; positions may have gaps.
	f.last, f.total = seq, total
	if f.rows++; f.rows%cutFeedEach != 0 {
		return nil
	}
	return t.put(cutFeed, int64(2*cutFeedEach), total-keepFeed)
}

// appendChanges encodes changes: for each a byte for its kind, and its id as a varint, as the
// difference from the previous id, the first from seq.
func appendChanges(b []byte, seq int64, list []feedChange) []byte {
	before := seq
	for _, c := range list {
		b = binary.AppendVarint(append(b, c.kind), c.id-before)
		before = c.id
	}
	return b
}

// decodeChanges reads the changes of a row.
func decodeChanges(seq int64, b []byte) ([]engine.FeedChange, error) {
	out := make([]engine.FeedChange, 0, len(b)/2)
	for id := seq; len(b) > 0; {
		kind := int(b[0])
		distance, n := binary.Varint(b[1:])
		if n <= 0 || kind > len(feedStatuses) {
			return nil, fmt.Errorf("the feed's row %d cannot be read", seq)
		}
		id += distance
		if kind == 0 {
			out = append(out, engine.FeedChange{Event: engine.EventID(id)})
		} else {
			out = append(out, engine.FeedChange{Run: engine.RunID(id), Status: feedStatuses[kind-1]})
		}
		b = b[1+n:]
	}
	for i := range out {
		out[i].At = engine.Cursor(seq - int64(len(out)-1-i))
	}
	return out, nil
}
