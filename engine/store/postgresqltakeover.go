package store

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file takes over the work of nodes that are gone. The node's row is marked first, in a
// transaction: from then on the fence rejects every write of that node. Then its runs are queued and
// its events adopted, in chunks; the last one removes the row, so that its number is free.

// adoptEach is how many runs or events one transaction takes over.
const adoptEach = 1000

// orphaned is the condition for rows whose node is gone.
const orphaned = `coalesce(owner_node, -1) NOT IN (SELECT node FROM nodes WHERE NOT gone)`

// recoverNode takes over what nodes have left that are gone, and all that belongs to no node at all.
func (s *Store) recoverNode(ctx context.Context, now time.Time) (int, error) {
	taken, err := s.takeOver(ctx, now)
	if err != nil {
		return taken.Runs, err
	}
	more, err := s.adopt(ctx, now)
	return taken.Runs + more.Runs, err
}

// takeOver implements engine.NodeStore.TakeOver.
func (s *Store) takeOver(ctx context.Context, now time.Time) (taken engine.TakenOver, err error) {
	p := s.w.pg
	list, err := collect(ctx, s.readers, `SELECT n.node, n.epoch, n.name, n.host, n.pid, n.verb, n.gone, coalesce(b.until, 0) - `+databaseNow+
		` FROM nodes n LEFT JOIN beats b ON b.node = n.node AND b.epoch = n.epoch WHERE n.epoch <> ? ORDER BY n.node`, []any{p.epoch},
		func(r scanner) (x otherNode, err error) {
			var left int64
			err = r.Scan(&x.node, &x.epoch, &x.name, &x.host, &x.pid, &x.verb, &x.gone, &left)
			x.left = time.Duration(left) * time.Millisecond
			return x, err
		})
	if err != nil {
		return taken, err
	}
	list = slices.DeleteFunc(list, func(x otherNode) bool { return !x.dead(p.host) && (x.left > 0 || !p.mayTakeOver()) })
	if len(list) == 0 {
		return taken, nil
	}
	for _, x := range list {
		if err := s.markGone(ctx, x); err != nil {
			return taken, err
		}
	}
	return s.adopt(ctx, now)
}

// markGone fences a node.
func (s *Store) markGone(ctx context.Context, x otherNode) error {
	if x.gone {
		return nil
	}
	marked := false
	err := s.w.do(ctx, true, func(t *tx) error {
		dead := x.dead(t.w.pg.host)
		if !dead && !t.w.pg.mayTakeOver() {
			return nil // the database was away while this waited in the queue
		}
		err := t.exec(`DELETE FROM beats WHERE node = ? AND epoch = ? AND (until <= `+databaseNow+` OR ?)`, x.node, x.epoch, dead)
		if err != nil || t.changes == 0 {
			return err // it has beaten meanwhile, or another node was first
		}
		marked = true
		t.signal(engine.SignalNodes)
		return t.exec(`UPDATE nodes SET gone = TRUE WHERE node = ? AND epoch = ?`, x.node, x.epoch)
	})
	if err == nil && marked {
		s.o.Log.Warn("a node is gone: this one takes over its work", "node", x.name, "number", x.node, "process", x.String())
	}
	return err
}

// adopt takes over all runs and events without a living node.
func (s *Store) adopt(ctx context.Context, now time.Time) (taken engine.TakenOver, err error) {
	for more := true; more; {
		var chunk engine.TakenOver
		if err := s.w.do(ctx, true, func(t *tx) (err error) {
			chunk, more, err = t.adopt(now)
			return err
		}); err != nil {
			return taken, err
		}
		taken.Runs += chunk.Runs
		taken.Events += chunk.Events
	}
	return taken, nil
}

// adopt takes over one chunk; more reports that there may be another one.
func (t *tx) adopt(now time.Time) (taken engine.TakenOver, more bool, err error) {
	var ids []int64
	if err := t.each(`SELECT id FROM runs WHERE status = 'running' AND `+orphaned+` ORDER BY id LIMIT ?`, 1, func(v []driver.Value) {
		id, _ := v[0].(int64)
		ids = append(ids, id)
	}, int64(adoptEach)); err != nil {
		return taken, false, err
	}
	if err := t.queueAgain(ids, now); err != nil {
		return taken, false, err
	}
	if err := t.exec(`UPDATE inbox SET owner_node = ? WHERE event_id IN (SELECT event_id FROM inbox WHERE `+orphaned+
		` ORDER BY rowid LIMIT ?)`, t.w.pg.node, int64(adoptEach)); err != nil {
		return taken, false, err
	}
	taken = engine.TakenOver{Runs: len(ids), Events: int(t.changes)}
	if taken.Events > 0 {
		t.signal(engine.SignalEvents)
	}
	if taken.Runs == adoptEach || taken.Events == adoptEach {
		return taken, true, nil
	}
	// Nothing wakes runs that wait for their destination: its queue was in the memory of their node.
	if err := t.exec(`UPDATE runs SET due_at = ? WHERE status = 'waiting' AND id IN (SELECT run_id FROM waits WHERE kind = 'destination')`,
		now.UnixMilli()); err != nil {
		return taken, false, err
	}
	t.signal(engine.SignalDue)
	if err := t.exec(`DELETE FROM orders_to_nodes WHERE node IN (SELECT node FROM nodes WHERE gone)`); err != nil {
		return taken, false, err
	}
	if err := t.exec(`DELETE FROM leases WHERE epoch IN (SELECT epoch FROM nodes WHERE gone)`); err != nil {
		return taken, false, err
	}
	if err := t.exec(`DELETE FROM nodes WHERE gone`); err != nil {
		return taken, false, err
	}
	return taken, false, t.dropPermits()
}

// queueAgain queues runs that a node was executing.
func (t *tx) queueAgain(ids []int64, now time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	list, at := string(text), now.UnixMilli()
	const among = ` run_id IN (SELECT value FROM json_each(?1))`
	for _, err := range []error{
		// The start of a run that was cut off before its first step is not counted: it starts again.
		t.exec(`UPDATE runs SET started_at = NULL WHERE id IN (SELECT run_id FROM places WHERE started = 1 AND`+among+` AND NOT EXISTS
			(SELECT 1 FROM steps s WHERE s.run_id = places.run_id))`, list),
		t.exec(`UPDATE places SET started = 0 WHERE started = 1 AND rate_grp IS NOT NULL AND`+among+` AND NOT EXISTS (SELECT 1 FROM steps s
			WHERE s.run_id = places.run_id)`, list),
		t.exec(`UPDATE steps SET status = 'unknown', finished_at = ?2 WHERE status = 'running' AND`+among, list, at),
		t.exec(`UPDATE runs SET status = 'queued', due_at = ?2, boots = boots + 1, owner_node = NULL WHERE status = 'running' AND id IN
			(SELECT value FROM json_each(?1))`, list, at),
	} {
		if err != nil {
			return err
		}
	}
	for _, id := range ids {
		t.changedRun(engine.RunID(id), engine.Queued)
	}
	return nil
}

// lease implements engine.NodeStore.Lease.
func (s *Store) lease(ctx context.Context, name string) (bool, error) {
	p := s.w.pg
	holder, err := s.leaseHolder(ctx, name)
	if err != nil || holder != 0 {
		return holder == p.epoch, err
	}
	held := false
	err = s.w.do(ctx, true, func(t *tx) error {
		held = false
		if err := t.exec(`INSERT INTO leases AS l (name, node, epoch, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET
			node = excluded.node, epoch = excluded.epoch, at = excluded.at WHERE l.epoch = excluded.epoch OR l.epoch NOT IN
			(SELECT n.epoch FROM nodes n WHERE NOT n.gone)`, name, p.node, p.epoch, time.Now().UnixMilli()); err != nil {
			return err
		}
		held = t.changes > 0
		return nil
	})
	return held, err
}

// leaseHolder is the epoch of the node that has a lease; 0 if none has it. A node whose lease in beats has
// ended still has its other ones until it is marked as gone: it may be back.
func (s *Store) leaseHolder(ctx context.Context, name string) (epoch int64, err error) {
	err = s.readers.QueryRowContext(ctx, `SELECT coalesce((SELECT l.epoch FROM leases l JOIN nodes n ON n.epoch = l.epoch WHERE l.name = ? AND
		NOT n.gone), 0)`, name).Scan(&epoch)
	return epoch, classify(err)
}

// endLease implements engine.NodeStore.EndLease.
func (s *Store) endLease(ctx context.Context, name string) error {
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`DELETE FROM leases WHERE name = ? AND epoch = ?`, name, t.w.pg.epoch)
	})
}

// describeNode implements engine.NodeStore.DescribeNode.
func (s *Store) describeNode(ctx context.Context, n engine.NodeInfo) error {
	return s.w.do(ctx, true, func(t *tx) error {
		t.signal(engine.SignalNodes)
		return t.exec(`UPDATE nodes SET version = ?, digest = ?, problem = ? WHERE epoch = ?`, n.Version, n.Digest, n.Problem, t.w.pg.epoch)
	})
}

// drainNode implements engine.NodeStore.DrainNode.
func (s *Store) drainNode(ctx context.Context, name string) error {
	return s.w.do(ctx, true, func(t *tx) error {
		t.signal(engine.SignalNodes)
		err := t.exec(`UPDATE nodes SET drain = TRUE WHERE name = ? AND NOT gone AND verb = 'serve'`, name)
		if err == nil && t.changes == 0 {
			err = engine.ErrNotFound
		}
		return err
	})
}

// nodes implements engine.NodeStore.Nodes.
func (s *Store) nodes(ctx context.Context) ([]engine.NodeItem, error) {
	return listNodes(ctx, s.readers, s.w.pg.epoch)
}

// Nodes lists the nodes of a database on a PostgreSQL server; none for a SQLite file, whose server is
// its only node.
func (h *History) Nodes(ctx context.Context) ([]engine.NodeItem, error) {
	if !h.postgres {
		return nil, errors.ErrUnsupported
	}
	return listNodes(ctx, h.db, 0)
}
