package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file counts the events and runs of past hours. Counting a million rows takes 0.1 seconds of
// processor time, and a chart of 30 days counts them by trigger and workflow. The hours are counted by
// pruning, not by each write: events and runs of an hour that is over are not added any more, and only
// pruning removes them. So the counts are exact: pruning drops those of its hours in the same
// transaction, and what is stored later than usual drops that of its hour.
//
// On PostgreSQL a node of an earlier program does not know of the counts. So they hold only while the
// node that made them has the lease for pruning; the next one that knows of them counts anew.

const (
	// hourMS is the length of an hour in milliseconds.
	hourMS = int64(time.Hour / time.Millisecond)
	// countAfter is how long after its end an hour is counted. Ids are made before they are stored, and the
	// clocks of nodes differ.
	countAfter = time.Hour
	// lateAfter is the age of an id that may belong to a counted hour.
	lateAfter = 30 * time.Minute
	// countMostHours is how many hours one pruning counts.
	countMostHours = 1000
)

// hourOf is the hour of an id, in hours since 2020.
func hourOf(id int64) int64 { return id >> 21 / hourMS }

// hourID is the first id of an hour.
func hourID(hour int64) int64 { return hour * hourMS << 21 }

// hourCounts are the statements that count an hour: the ids between which it lies are ?1 and ?2.
var hourCounts = []string{
	`INSERT INTO hour_counts (kind, name, hour, n) SELECT 'event', trigger, (min(id) >> 21) / 3600000, count(*) FROM events
		WHERE id >= ?1 AND id < ?2 GROUP BY trigger`,
	`INSERT INTO hour_counts (kind, name, hour, n) SELECT 'webhook', trigger, (min(id) >> 21) / 3600000, count(*) FROM events
		WHERE id >= ?1 AND id < ?2 AND inlet = 'webhook' GROUP BY trigger`,
	`INSERT INTO hour_counts (kind, name, hour, n) SELECT 'run', workflow, (min(id) >> 21) / 3600000, count(*) FROM runs
		WHERE id >= ?1 AND id < ?2 GROUP BY workflow`,
}

// hours counts the hours that are over, the newest first.
func (p *pruner) hours(ctx context.Context) error {
	var oldest sql.NullInt64
	if err := p.s.readers.QueryRowContext(ctx, `SELECT min(id) FROM events`).Scan(&oldest); err != nil {
		return classify(err)
	}
	if !oldest.Valid {
		return nil
	}
	if may, err := p.mayCount(ctx); err != nil || !may {
		return err
	}
	first, end := hourOf(oldest.Int64), hourOf(engine.FirstID(p.o.Now.Add(-countAfter)))
	list, err := p.ids(ctx, `SELECT hour FROM hour_counts WHERE kind = 'event' AND name = '' AND hour >= ?`, first)
	if err != nil {
		return err
	}
	counted := map[int64]bool{}
	for _, hour := range list {
		counted[hour] = true
	}
	n := 0
	for hour := end - 1; hour >= first && n < countMostHours; hour-- {
		if counted[hour] {
			continue
		}
		n++
		if err := p.step(ctx, func(t *tx) error { return t.countHour(hour) }); err != nil {
			return fmt.Errorf("counting the events of an hour: %w", err)
		}
	}
	return nil
}

// mayCount reports whether this process may count hours. It drops the counts of other nodes.
func (p *pruner) mayCount(ctx context.Context) (bool, error) {
	if p.s.w.pg == nil {
		return true, nil
	}
	epoch := p.s.w.pg.epoch
	holder, err := p.s.leaseHolder(ctx, "prune")
	if err != nil || holder != epoch { // an order of a person, which any node executes
		return false, err
	}
	var counts int64
	err = p.s.readers.QueryRowContext(ctx, `SELECT coalesce((SELECT n FROM hour_counts WHERE kind = 'node'), 0)`).Scan(&counts)
	if err != nil || counts == epoch {
		return err == nil, classify(err)
	}
	return true, p.step(ctx, func(t *tx) error {
		return errors.Join(t.exec(`DELETE FROM hour_counts`),
			t.exec(`INSERT INTO hour_counts (kind, name, hour, n) VALUES ('node', '', -1, ?)`, epoch))
	})
}

// countHour stores the counts of an hour.
func (t *tx) countHour(hour int64) error {
	if err := t.exec(`DELETE FROM hour_counts WHERE hour = ?`, hour); err != nil {
		return err
	}
	for _, query := range hourCounts {
		if err := t.exec(query, hourID(hour), hourID(hour+1)); err != nil {
			return err
		}
	}
	for _, kind := range []string{"event", "webhook", "run"} {
		if err := t.exec(`INSERT INTO hour_counts (kind, name, hour, n) VALUES (?1, '', ?2,
			(SELECT coalesce(sum(n), 0) FROM hour_counts WHERE kind = ?1 AND hour = ?2))`, kind, hour); err != nil {
			return err
		}
	}
	return nil
}

// dropCounts drops the counts of the hours between two ids, whose rows are removed.
func (t *tx) dropCounts(first, last int64) error {
	return t.exec(`DELETE FROM hour_counts WHERE hour >= ? AND hour <= ?`, hourOf(first), hourOf(last))
}

// dropLateCount drops the count of the hour of an event or run that is stored late, as after an outage.
func (t *tx) dropLateCount(id int64) error {
	if time.Since(engine.EventID(id).Time()) < lateAfter {
		return nil
	}
	return t.exec(`DELETE FROM hour_counts WHERE hour = ?`, hourOf(id))
}

// countedHours are hours that have been counted without a gap, from first up to and excluding end.
type countedHours struct{ first, end int64 }

// none reports whether no hour has been counted.
func (c countedHours) none() bool { return c.first >= c.end }

// rest are the parts of the ids from low up to and excluding high outside of the hours.
func (c countedHours) rest(low, high int64) [][2]int64 {
	if c.none() {
		return [][2]int64{{low, high}}
	}
	var out [][2]int64
	for _, x := range [][2]int64{{low, hourID(c.first)}, {hourID(c.end), high}} {
		if x[0] < x[1] {
			out = append(out, x)
		}
	}
	return out
}

// counted returns the newest counted hours, without a gap, among the ids from low up to and excluding high.
func (h *History) counted(ctx context.Context, low, high int64) (c countedHours, err error) {
	first := hourOf(low)
	if hourID(first) < low {
		first++
	}
	valid := ""
	if h.postgres {
		valid = ` AND EXISTS (SELECT 1 FROM hour_counts c JOIN leases l ON l.epoch = c.n WHERE c.kind = 'node' AND l.name = 'prune')`
	}
	list, err := collect(ctx, h.db, `SELECT hour FROM hour_counts WHERE kind = 'event' AND name = '' AND hour >= ? AND hour < ?`+valid+`
		ORDER BY hour DESC`, []any{first, hourOf(high)}, func(s scanner) (hour int64, err error) {
		err = s.Scan(&hour)
		return hour, err
	})
	for i, hour := range list {
		if i > 0 && hour != c.first-1 {
			break
		}
		if c.first = hour; i == 0 {
			c.end = hour + 1
		}
	}
	return c, err
}

// countSince counts the events or runs of a name since an id. query counts those between two ids.
func (h *History) countSince(ctx context.Context, c countedHours, kind, name, query string, low int64) (n int, err error) {
	if !c.none() {
		err = h.db.QueryRowContext(ctx, `SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM hour_counts WHERE kind = ? AND name = ? AND hour >= ?
			AND hour < ?`, kind, name, c.first, c.end).Scan(&n)
	}
	for _, part := range c.rest(low, math.MaxInt64) {
		var more int
		if err == nil {
			err = h.db.QueryRowContext(ctx, query, name, part[0], part[1]).Scan(&more)
		}
		n += more
	}
	return n, classify(err)
}

// Queries for countSince.
const (
	eventsBetween   = `SELECT count(*) FROM events WHERE trigger = ? AND id >= ? AND id < ?`
	webhooksBetween = `SELECT count(*) FROM events WHERE trigger = ? AND id >= ? AND id < ? AND inlet = 'webhook'`
	runsBetween     = `SELECT count(*) FROM runs WHERE workflow = ? AND id >= ? AND id < ?`
)
