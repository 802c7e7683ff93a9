package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// pruneStep is how many rows one transaction of pruning removes: few enough not to delay
// acknowledgements noticeably.
const pruneStep = 200

// vacuumStep is how many pages are returned to the file system at a time.
const vacuumStep = 256

// vacuumFrom is how many free pages are kept for further data.
const vacuumFrom = 64

// On PostgreSQL, dropping partitions by day would remove history at once, but removing an event with a run
// and two steps takes 25 us of the server, plus 17 us of VACUUM (measured with 100,783 of a million). Moving each ended
// run and its steps out of tables of open runs, which partitions need, would write their rows a second
// time, and lists would read an index for each day.

// Prune implements engine.Store. It continues until nothing is left to remove, pausing after each
// transaction for as long as it took. Data that an open run needs is never removed, nor is a key
// before it expires.
func (s *Store) Prune(ctx context.Context, o engine.PruneOrder) (engine.Pruned, error) {
	p := pruner{s: s, o: o}
	phases := []func(context.Context) error{p.keys, p.claims, p.quarantine, p.polls, p.values}
	if !o.Before.IsZero() {
		phases = append(phases, func(ctx context.Context) error { return p.history(ctx, engine.FirstID(o.Before), o.Before) })
	}
	if !o.Bodies.IsZero() {
		phases = append(phases, p.bodies)
	}
	if o.MaxSize > 0 {
		phases = append(phases, p.size)
	}
	phases = append(phases, p.hours)
	if s.w.pg == nil {
		phases = append(phases, p.vacuum)
	} else { // PostgreSQL frees space by itself
		phases = append(phases, p.rules, p.causes, p.analyze)
	}
	for _, phase := range phases {
		if err := phase(ctx); err != nil {
			return p.done, err
		}
	}
	return p.done, nil
}

type pruner struct {
	s    *Store
	o    engine.PruneOrder
	done engine.Pruned
}

// step executes one transaction and pauses for as long as it took.
func (p *pruner) step(ctx context.Context, apply func(*tx) error) error {
	began := time.Now()
	if err := p.s.doUpkeep(ctx, apply); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(time.Since(began), time.Second)):
		return nil
	}
}

// ids lists the ids that a query finds after an id.
func (p *pruner) ids(ctx context.Context, query string, args ...any) ([]int64, error) {
	return collect(ctx, p.s.readers, query, args, func(r scanner) (id int64, err error) {
		err = r.Scan(&id)
		return id, err
	})
}

// noCaller is the condition for runs whose result no caller has yet to read.
const noCaller = `NOT EXISTS (SELECT 1 FROM waits w WHERE w.event_id = runs.event_id)`

// history removes ended runs, then events without runs, below an id. Runs that ended after the
// given time stay.
func (p *pruner) history(ctx context.Context, below int64, endedBefore time.Time) error {
	err := p.walk(ctx, `SELECT id FROM runs WHERE id > ? AND id < ? AND finished_at < ? AND `+noCaller+` ORDER BY id LIMIT ?`,
		[]any{below, endedBefore.UnixMilli()}, &p.done.Runs,
		`DELETE FROM steps WHERE run_id = ?`, `DELETE FROM answers WHERE run_id = ?`, `DELETE FROM run_events WHERE run_id = ?`,
		`DELETE FROM kept_keys WHERE run_id = ?`, `DELETE FROM step_notes WHERE run_id = ?`,
		`DELETE FROM runs WHERE id = ? AND finished_at IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("pruning runs: %w", err)
	}
	err = p.walk(ctx, `SELECT id FROM events e WHERE id > ? AND id < ? AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.event_id = e.id)
		AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.event_id = e.id)
		AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.event_id = e.id AND d.outcome = 'held')
		AND NOT EXISTS (SELECT 1 FROM run_events x WHERE x.event_id = e.id) ORDER BY id LIMIT ?`, []any{below}, &p.done.Events,
		`DELETE FROM decisions WHERE event_id = ?`, `DELETE FROM decision_history WHERE event_id = ?`,
		`DELETE FROM ended_waits WHERE event_id = ?`, `DELETE FROM emitted WHERE event_id = ?`,
		`DELETE FROM sightings WHERE event_id = ?`, `DELETE FROM conflicts WHERE event_id = ?`,
		`DELETE FROM events WHERE id = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE event_id = events.id)
			AND NOT EXISTS (SELECT 1 FROM run_events WHERE event_id = events.id)`)
	if err != nil {
		return fmt.Errorf("pruning events: %w", err)
	}
	return nil
}

// walk executes statements for all ids that a query finds, some at a time. The query's first
// parameter is the id to continue after, its last the maximum number of ids.
func (p *pruner) walk(ctx context.Context, query string, args []any, count *int, statements ...string) error {
	after, step := int64(0), pruneStep
	for {
		ids, err := p.ids(ctx, query, append(append([]any{after}, args...), step)...)
		if err != nil || len(ids) == 0 {
			return err
		}
		err = p.step(ctx, func(t *tx) error {
			for _, id := range ids {
				for _, q := range statements {
					if err := t.put(q, id); err != nil {
						return err
					}
				}
			}
			return t.dropCounts(ids[0], ids[len(ids)-1])
		})
		if errors.Is(err, engine.ErrFull) && step > 1 {
			step = max(1, step/8) // the remaining room is smaller
			continue
		}
		if err != nil {
			return err
		}
		*count += len(ids)
		after = ids[len(ids)-1]
	}
}

// bodies removes the payloads of events and of the steps of their runs.
func (p *pruner) bodies(ctx context.Context) error {
	err := p.walk(ctx, `SELECT id FROM events e WHERE id > ? AND id < ? AND stripped = 0
		AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.event_id = e.id AND r.finished_at IS NULL)
		AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.event_id = e.id)
			AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.event_id = e.id AND d.outcome = 'held')
		AND NOT EXISTS (SELECT 1 FROM waits w WHERE w.event_id = e.id)
		AND NOT EXISTS (SELECT 1 FROM run_events x JOIN runs r ON r.id = x.run_id WHERE x.event_id = e.id AND r.finished_at IS NULL)
			ORDER BY id LIMIT ?`, []any{engine.FirstID(p.o.Bodies)}, &p.done.Bodies,
		`UPDATE conflicts SET body = NULL, headers = '{}', query = '{}' WHERE event_id = ?`,
		`UPDATE events SET body = NULL, inputs = NULL, sealed = NULL, headers = '{}', query = '{}', stripped = 1 WHERE id = ?1
			AND NOT EXISTS (SELECT 1 FROM runs WHERE event_id = ?1 AND finished_at IS NULL)`,
		`UPDATE steps SET input = NULL, output = NULL, sealed = NULL
			WHERE run_id IN (SELECT id FROM runs WHERE event_id = ?1 AND finished_at IS NOT NULL)
				AND (input IS NOT NULL OR output IS NOT NULL)`,
		`UPDATE runs SET output = NULL, sealed = NULL WHERE event_id = ?1 AND finished_at IS NOT NULL AND output IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("pruning bodies: %w", err)
	}
	return nil
}

// keys removes expired keys. They outlive their events.
func (p *pruner) keys(ctx context.Context) error {
	type key struct {
		trigger, key string
		seen         int64
	}
	last := key{}
	for {
		list, err := collect(ctx, p.s.readers, `SELECT trigger, key, seen_at FROM keys WHERE (trigger, key) > (?, ?) ORDER BY trigger, key
			LIMIT 2000`, []any{last.trigger, last.key}, func(r scanner) (k key, err error) {
			err = r.Scan(&k.trigger, &k.key, &k.seen)
			return k, err
		})
		if err != nil {
			return fmt.Errorf("pruning keys: %w", err)
		}
		if len(list) == 0 {
			return nil
		}
		last = list[len(list)-1]
		var old []key
		for _, k := range list {
			dedupe, known := p.o.Dedupe[k.trigger]
			if !known {
				dedupe = p.o.DefaultDedupe
			}
			if k.seen < p.o.Now.Add(-dedupe).UnixMilli() {
				old = append(old, k)
			}
		}
		for len(old) > 0 {
			some := old[:min(len(old), pruneStep)]
			old = old[len(some):]
			err := p.step(ctx, func(t *tx) error {
				for _, k := range some {
					if err := t.exec(`DELETE FROM keys WHERE trigger = ? AND key = ? AND seen_at = ?`, k.trigger, k.key,
						k.seen); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("pruning keys: %w", err)
			}
			p.done.Keys += len(some)
		}
	}
}

// claims removes expired claims.
func (p *pruner) claims(ctx context.Context) error {
	trigger, digest := "", []byte{}
	for {
		list, err := collect(ctx, p.s.readers, `SELECT trigger, digest, expires_at FROM claims WHERE (trigger, digest) > (?, ?)
			ORDER BY trigger, digest LIMIT 2000`, []any{trigger, digest}, scanClaim)
		if err != nil {
			return fmt.Errorf("pruning claims: %w", err)
		}
		if len(list) == 0 {
			return nil
		}
		trigger, digest = list[len(list)-1].trigger, list[len(list)-1].digest
		now := p.o.Now.UnixMilli()
		old := slices.DeleteFunc(list, func(c claimRow) bool { return c.expires > now })
		for some := range slices.Chunk(old, pruneStep) {
			err := p.step(ctx, func(t *tx) error {
				for _, c := range some {
					if err := t.exec(`DELETE FROM claims WHERE trigger = ? AND digest = ? AND expires_at = ?`, c.trigger, c.digest,
						c.expires); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("pruning claims: %w", err)
			}
			p.done.Keys += len(some)
		}
	}
}

type claimRow struct {
	trigger string
	digest  []byte
	expires int64
}

func scanClaim(r scanner) (c claimRow, err error) {
	err = r.Scan(&c.trigger, &c.digest, &c.expires)
	return c, err
}

func (p *pruner) quarantine(ctx context.Context) error {
	if p.o.Before.IsZero() {
		return nil
	}
	if err := p.walk(ctx, `SELECT id FROM quarantine WHERE id > ? AND at < ? ORDER BY id LIMIT ?`, []any{p.o.Before.UnixMilli()},
		&p.done.Refusals, `DELETE FROM quarantine WHERE id = ?`); err != nil {
		return fmt.Errorf("pruning quarantine: %w", err)
	}
	p.s.quarantine.stale.Store(true)
	return nil
}

// polls removes the costs and sightings of polls, and remembered items that are no longer listed:
// the time of listed items is renewed.
func (p *pruner) polls(ctx context.Context) error {
	old := []struct {
		query  string
		before time.Time
	}{{`DELETE FROM remembered WHERE (trigger, key) IN (SELECT trigger, key FROM remembered WHERE at < ? LIMIT ?)`,
		p.o.Now.Add(-p.o.DefaultDedupe)}}
	if !p.o.Before.IsZero() {
		old = append(old, []struct {
			query  string
			before time.Time
		}{{`DELETE FROM poll_log WHERE rowid IN (SELECT rowid FROM poll_log WHERE at < ? LIMIT ?)`, p.o.Before},
			{`DELETE FROM observed WHERE (trigger, key) IN (SELECT trigger, key FROM observed WHERE at < ? LIMIT ?)`, p.o.Before}}...)
	}
	for _, x := range old {
		for more := true; more; {
			err := p.step(ctx, func(t *tx) error {
				err := t.exec(x.query, x.before.UnixMilli(), int64(pruneStep))
				more = t.changes == pruneStep
				return err
			})
			if err != nil {
				return fmt.Errorf("pruning polls: %w", err)
			}
		}
	}
	return nil
}

// size removes the oldest part of the history until the rest is within its limit.
func (p *pruner) size(ctx context.Context) error {
	for {
		used, some, err := p.used(ctx)
		if err != nil || used <= p.o.MaxSize {
			return err
		}
		before := p.done
		var next int64
		err = p.s.readers.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM (SELECT id FROM events ORDER BY id LIMIT ?)`,
			some).Scan(&next)
		if err != nil {
			return classify(err)
		}
		var run int64
		if err := p.s.readers.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM (SELECT id FROM runs ORDER BY id LIMIT ?)`,
			some).Scan(&run); err != nil {
			return classify(err)
		}
		if err := p.history(ctx, max(next, run)+1, p.o.Now); err != nil {
			return err
		}
		if p.done == before {
			p.s.o.Log.Warn("the history is larger than history.max_size and nothing more can be removed: the rest are open runs", "bytes",
				used, "max_size", p.o.MaxSize)
			return nil
		}
	}
}

// used is how many bytes are in use, and how many events are removed before it is read again. On PostgreSQL
// that is enough for what is too much, up to pruneMost, because each reading counts the rows.
func (p *pruner) used(ctx context.Context) (bytes int64, some int, err error) {
	if p.s.w.pg != nil {
		h, err := p.s.historySize(ctx)
		return h.bytes, int(max(1, min(pruneMost, (h.bytes-p.o.MaxSize)/max(h.perEvent, 1)))), err
	}
	pages, free, size, err := p.s.pages(ctx)
	return (pages - free) * size, 5 * pruneStep, err
}

// pruneMost is how many events are removed at most before the size is read again.
const pruneMost = 100_000

// pages returns the number of pages of the file, how many of them are free, and the size of a page
// in bytes.
func (s *Store) pages(ctx context.Context) (pages, free, size int64, err error) {
	for query, to := range map[string]*int64{"page_count": &pages, "freelist_count": &free, "page_size": &size} {
		if err := s.readers.QueryRowContext(ctx, "PRAGMA "+query).Scan(to); err != nil {
			return 0, 0, 0, classify(err)
		}
	}
	return pages, free, size, nil
}

// vacuum returns free pages to the file system.
func (p *pruner) vacuum(ctx context.Context) error {
	small := int64(vacuumStep / 8)
	for {
		_, free, size, err := p.s.pages(ctx)
		if err != nil {
			return fmt.Errorf("shrinking the file: %w", err)
		}
		step, least := int64(vacuumStep), int64(vacuumFrom)
		if p.s.Full() != nil {
			step, least = small, 1
		}
		if free < least {
			return nil
		}
		err = p.step(ctx, func(t *tx) error {
			// It works page by page as its rows are read.
			_, err := queryText(t.w.conn, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", step))
			return err
		})
		if errors.Is(err, engine.ErrFull) && small > 1 {
			small /= 2 // fewer pages need less of the reserve
			continue
		}
		if err != nil {
			return fmt.Errorf("shrinking the file: %w", err)
		}
		_, after, _, err := p.s.pages(ctx)
		if err != nil || after >= free {
			return err // a file created without auto_vacuum cannot shrink
		}
		p.done.Bytes += (free - after) * size
	}
}
