package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
)

// This file stores on PostgreSQL why runs failed. Reading the fields of a JSON text and looking for the last attempt
// of the failed step take 25 us of the server for each dead letter: a page by cause of 10,000 of them took 0.3 seconds.
// A failed run does not change any more, so its cause is the same until pruning removes it.
//
// The rows need not be complete. A node of an earlier program does not write them; lists find the causes of its runs
// as SQLite does, until the next pruning writes them.

const (
	noCause = `NOT EXISTS (SELECT 1 FROM dead_causes f WHERE f.run_id = r.id)`
	// hostsOfDead are the ids and hosts of dead runs. OFFSET keeps the planner from reading the error of each run before it
	// knows whether its cause is stored.
	hostsOfDead = `SELECT f.run_id AS id, f.host FROM dead_causes f UNION ALL SELECT m.id, m.host FROM (SELECT r.id, ` + runHost +
		` AS host FROM (SELECT r.id FROM runs r WHERE (r.status = 'failed' OR r.status = 'timed_out') AND ` + noCause +
		` OFFSET 0) AS l JOIN runs r ON r.id = l.id OFFSET 0) AS m`
	// readCauses finds out why runs failed. It reads the fields of each error once, however many runs have it.
	readCauses = `dead AS MATERIALIZED (SELECT r.id, r.event_id, r.workflow, r.version, r.error, r.finished_at FROM runs r`
	readFields = `), causes AS MATERIALIZED (SELECT r.error, ` + errorStep + ` AS step, ` + errorCode + ` AS code, ` + errorMessage +
		` AS message FROM (SELECT DISTINCT error FROM dead) AS r)`
	// selectCauses selects the columns of dead_causes after run_id.
	selectCauses = ` d.workflow, d.version, c.step, c.code, c.message, coalesce((SELECT s.destination FROM steps s WHERE s.run_id = d.id AND
			s.path = c.step AND s.destination IS NOT NULL AND d.error IS NOT NULL ORDER BY s.attempt DESC LIMIT 1), '') AS host, d.finished_at
		FROM dead d JOIN causes c ON coalesce(c.error, '') = coalesce(d.error, '') AND (c.error IS NULL) = (d.error IS NULL)`
	// storedCauses counts dead runs by stored cause; id is that of a run without one.
	storedCauses = `stored AS MATERIALIZED (SELECT CASE WHEN f.run_id IS NULL THEN r.id END AS id, f.workflow, f.version, f.step, f.code,
		f.message, f.host, count(*) AS n, min(f.finished_at) AS began, max(f.finished_at) AS ended FROM runs r
		LEFT JOIN dead_causes f ON f.run_id = r.id`
	// writeCauses stores the causes of runs; those that did not fail have none.
	writeCauses = `INSERT INTO dead_causes (run_id, trigger, type, workflow, version, step, code, message, host, finished_at) WITH ` +
		readCauses + ` WHERE r.id IN (SELECT value FROM json_each(?)) AND (r.status = 'failed' OR r.status = 'timed_out')` + readFields +
		` SELECT d.id, coalesce(e.trigger, ''), coalesce(e.type, ''),` + selectCauses + ` LEFT JOIN events e ON e.id = d.event_id ` +
		`ON CONFLICT (run_id) DO UPDATE SET trigger = excluded.trigger, type = excluded.type`
	// incomplete are the runs without a stored cause, and those of which an earlier program stored it without the trigger.
	incomplete = `SELECT r.id FROM runs r WHERE (r.status = 'failed' OR r.status = 'timed_out') AND NOT EXISTS (SELECT 1 FROM dead_causes f
		WHERE f.run_id = r.id AND f.trigger IS NOT NULL) AND r.id > ? ORDER BY r.id LIMIT ?`
)

// storedFields are the fields of dead letters as dead_causes has them.
var storedFields = deadFields{`coalesce((SELECT f.code FROM dead_causes f WHERE f.run_id = r.id), ` + errorCode + `)`,
	`(r.id IN (SELECT x.id FROM (` + hostsOfDead + `) AS x WHERE x.host`}

// groupCauses is the query that counts the dead runs of conditions by cause; those without a stored cause are counted
// one by one. It is one statement: between two, a cause may be stored.
func groupCauses(w where) (query string, args []any) {
	var stored where
	for _, part := range w.parts {
		own := w.args[:strings.Count(part, "?")]
		w.args = w.args[len(own):]
		if quick := byCause(part); quick != part {
			part, own = quick, slices.Concat(own, own)
		}
		stored.add(part, own...)
	}
	return `WITH ` + storedCauses + stored.String() + ` GROUP BY 1, 2, 3, 4, 5, 6, 7), ` + readCauses +
		` WHERE r.id IN (SELECT id FROM stored WHERE id IS NOT NULL)` + readFields + ` SELECT workflow, version, step, code, message, host, n,
			began, ended FROM stored WHERE id IS NULL UNION ALL SELECT x.workflow, x.version, x.step, x.code, x.message, x.host, 1, x.finished_at,
			x.finished_at FROM (SELECT` + selectCauses + `) AS x`, stored.args
}

// byCause is a condition of runs that reads the row of a run only if no cause is stored. It has the parameters twice.
func byCause(part string) string {
	const stored = `(f.%[1]s %[2]s OR f.%[3]s IS NULL AND EXISTS (SELECT 1 FROM runs y %[4]s WHERE y.id = r.id AND %[5]s.%[1]s %[2]s ` +
		`LIMIT 1 OFFSET 0))`
	const event = `JOIN events e ON e.id = y.event_id`
	switch part {
	case ofTrigger:
		return fmt.Sprintf(stored, "trigger", "= ?", "trigger", event, "e")
	case ofType:
		return fmt.Sprintf(stored, "type", "= ?", "trigger", event, "e")
	}
	for _, column := range []string{"workflow", "finished_at"} {
		if rest, found := strings.CutPrefix(part, "r."+column+" "); found {
			return fmt.Sprintf(stored, column, rest, "run_id", "", "y")
		}
	}
	return part
}

// writeDead stores the causes of the runs that the transaction ends without success.
func (t *tx) writeDead() error {
	var ids []int64
	for _, c := range t.w.feed.changes {
		if c.kind > 0 && (feedStatuses[c.kind-1] == engine.Failed || feedStatuses[c.kind-1] == engine.TimedOut) {
			ids = append(ids, c.id)
		}
	}
	return t.putCauses(ids)
}

// putCauses stores the causes of failed runs.
func (t *tx) putCauses(ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	return t.put(writeCauses, string(list))
}

// causes stores the causes that are missing, and removes those of runs that are gone.
func (p *pruner) causes(ctx context.Context) error {
	for _, x := range []struct {
		query string
		apply func(*tx, []int64) error
	}{
		{incomplete, (*tx).putCauses},
		{`SELECT f.run_id FROM dead_causes f WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = f.run_id) AND f.run_id > ? ORDER BY f.run_id
			LIMIT ?`, (*tx).dropCauses},
	} {
		for after := int64(0); ; {
			ids, err := p.ids(ctx, x.query, after, pruneStep)
			if err == nil && len(ids) > 0 {
				err = p.step(ctx, func(t *tx) error { return x.apply(t, ids) })
			}
			if err != nil {
				return fmt.Errorf("the causes of failed runs: %w", err)
			}
			if len(ids) == 0 {
				break
			}
			after = ids[len(ids)-1]
		}
	}
	return nil
}

// dropCauses removes the causes of runs.
func (t *tx) dropCauses(ids []int64) error {
	for _, id := range ids {
		if err := t.put(`DELETE FROM dead_causes WHERE run_id = ?`, id); err != nil {
			return err
		}
	}
	return nil
}
