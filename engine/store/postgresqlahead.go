package store

import (
	"cmp"
	"database/sql/driver"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/jackc/pgx/v5"
)

// This file asks the questions of a whole batch at once, before its commands are executed: which keys are new,
// which events are in the inbox. What is not found so is asked for by the command itself. An answer stays true
// until the commit, because transactions that write run one at a time.

// needs are what a command asks the database for.
type needs struct {
	// deliveries are those whose keys it claims, matches the decisions about events of the inbox.
	deliveries []encodedDelivery
	matches    []matchRows
	// take is a run that it marks as running, 0 for none.
	take engine.RunID
}

// known is what was asked for a whole batch.
type known struct {
	// claimed has the events whose key was claimed, signed those whose signature was, too.
	claimed, signed map[engine.EventID]bool
	// inbox has the events that are in the inbox.
	inbox map[int64]bool
	// taken has the runs that were marked as running.
	taken map[int64]bool
}

// claimKeys and claimSigned claim those keys and digests that no event has. Nobody else can claim one meanwhile,
// because this transaction has the turn: ON CONFLICT would take a lock for each row and log each twice. Rows
// of one statement differ in their keys (firstOf). event_id is never NULL, so the subquery in WHERE is NULL only for a
// new key; unlike NOT EXISTS, it is never executed by reading the whole table.
const (
	claimKeys = `INSERT INTO ` + schemaName + `.keys (trigger, key, event_id, seen_at)
		SELECT v.* FROM (SELECT unnest($1::text[]) AS trigger, unnest($2::text[]) AS key, unnest($3::bigint[]), unnest($4::bigint[])) AS v
		WHERE (SELECT k.event_id FROM ` + schemaName + `.keys k WHERE k.trigger = v.trigger AND k.key = v.key) IS NULL RETURNING event_id`
	claimSigned = `INSERT INTO ` + schemaName + `.claims (trigger, digest, event_id, expires_at)
		SELECT v.* FROM (SELECT unnest($1::text[]) AS trigger, unnest($2::bytea[]) AS digest, unnest($3::bigint[]), unnest($4::bigint[])) AS v
		WHERE (SELECT c.event_id FROM ` + schemaName + `.claims c WHERE c.trigger = v.trigger AND c.digest = v.digest) IS NULL
		RETURNING event_id`
	// takeRuns is takeRun for many runs, except those whose start a rate may delay. As in ownParts, the condition
	// of their status is in no index.
	takeRuns = `UPDATE ` + schemaName + `.runs AS r SET owner_node = ` + nodeNumber + `, status = 'running', due_at = NULL,
		started_at = coalesce(started_at, $2) WHERE id = ANY ($1::bigint[]) AND coalesce(status, '') IN ('queued', 'waiting')
		AND NOT EXISTS (SELECT 1 FROM ` + schemaName + `.places p WHERE p.run_id = r.id AND p.started = 0 AND p.rate_grp IS NOT NULL)
		RETURNING id`
	findInbox = `SELECT event_id FROM ` + schemaName + `.inbox WHERE event_id = ANY ($1::bigint[])`
)

// askAhead asks for what the commands of a batch need.
func (p *postgresql) askAhead(batch []*command) error {
	var deliveries []*encodedDelivery
	var inbox [][]driver.Value
	var takes []int64
	for _, c := range batch {
		if c.needs.take != 0 {
			takes = append(takes, int64(c.needs.take))
		}
		for i := range c.needs.deliveries {
			if a := &c.needs.deliveries[i]; a.d.Dedupe > 0 {
				deliveries = append(deliveries, a)
			}
		}
		for i := range c.needs.matches {
			inbox = append(inbox, []driver.Value{int64(c.needs.matches[i].of.Event)})
		}
	}
	p.known = known{claimed: map[engine.EventID]bool{}, signed: map[engine.EventID]bool{}, inbox: map[int64]bool{},
		taken: map[int64]bool{}}
	asked := p.askFor(claimKeys, keyRows(deliveries), func(id int64) { p.known.claimed[engine.EventID(id)] = true })
	if len(inbox) > 0 {
		asked = p.askFor(findInbox, inbox, func(id int64) { p.known.inbox[id] = true }) || asked
	}
	if len(takes) > 0 {
		asked = true
		p.queue(p.here(takeRuns), anyNumber, found(func(id int64) { p.known.taken[id] = true }), takes, time.Now().UnixMilli())
	}
	if !asked {
		return nil
	}
	if _, err := p.send(statementTime); err != nil {
		return err
	}
	if p.askFor(claimSigned, p.signedRows(deliveries), func(id int64) { p.known.signed[engine.EventID(id)] = true }) {
		_, err := p.send(statementTime)
		return err
	}
	return nil
}

// askFor queues a query about rows that returns ids; it reports whether there are any rows.
func (p *postgresql) askFor(query string, rows [][]driver.Value, visit func(id int64)) bool {
	if len(rows) == 0 {
		return false
	}
	p.queue(p.here(query), anyNumber, found(visit), columnsOf(rows)...)
	return true
}

// found reads ids.
func found(visit func(id int64)) func(pgx.Rows) error {
	return func(r pgx.Rows) error {
		var id int64
		for r.Next() {
			if err := r.Scan(&id); err != nil {
				return err
			}
			visit(id)
		}
		return nil
	}
}

// keyRows are the rows of keys for deliveries with a key, sorted as all transactions lock them. Of several
// deliveries with one key, the first has the key.
func keyRows(deliveries []*encodedDelivery) [][]driver.Value {
	rows := make([][]driver.Value, 0, len(deliveries))
	for _, a := range deliveries {
		if a.d.Identity != engine.ByContent {
			rows = append(rows, []driver.Value{storable(a.d.Trigger), storable(a.d.Key), int64(a.id), a.now})
		}
	}
	return firstOf(rows, func(x, y []driver.Value) int {
		return cmp.Or(cmp.Compare(x[0].(string), y[0].(string)), cmp.Compare(x[1].(string), y[1].(string)))
	})
}

// signedRows are the rows of claims for the signatures of new events.
func (p *postgresql) signedRows(deliveries []*encodedDelivery) [][]driver.Value {
	var rows [][]driver.Value
	for _, a := range deliveries {
		if a.d.Claim != nil && (p.known.claimed[a.id] || a.d.Identity == engine.ByContent) {
			rows = append(rows, []driver.Value{storable(a.d.Trigger), a.d.Claim, int64(a.id), a.claimEnds(a.d.Claim)})
		}
	}
	return firstOf(rows, func(x, y []driver.Value) int {
		return cmp.Or(cmp.Compare(x[0].(string), y[0].(string)), slices.Compare(x[1].([]byte), y[1].([]byte)))
	})
}

// firstOf sorts rows and keeps the first of equal ones.
func firstOf(rows [][]driver.Value, compare func(x, y []driver.Value) int) [][]driver.Value {
	slices.SortStableFunc(rows, compare)
	return slices.CompactFunc(rows, func(x, y []driver.Value) bool { return compare(x, y) == 0 })
}

// claimedAhead reports whether the key of a delivery was claimed for it before the batch's commands.
func (t *tx) claimedAhead(a *encodedDelivery) bool {
	return t.w.pg != nil && t.w.pg.known.claimed[a.id]
}

// signedAhead is claimedAhead for the digest of a signature.
func (t *tx) signedAhead(a *encodedDelivery, digest []byte) bool {
	return t.w.pg != nil && t.w.pg.known.signed[a.id] && len(digest) > 0 && &digest[0] == &a.d.Claim[0]
}

// takenAhead reports whether a run was marked as running for this command: of two that take it, the first has it.
func (t *tx) takenAhead(run int64) bool {
	if t.w.pg == nil || !t.w.pg.known.taken[run] {
		return false
	}
	delete(t.w.pg.known.taken, run)
	return true
}

// deleteInbox removes an event from the inbox; changes is 0 if it is not there.
func (t *tx) deleteInbox(id int64) error {
	if t.w.pg == nil || !t.w.pg.known.inbox[id] {
		return t.exec(deleteInbox, id)
	}
	delete(t.w.pg.known.inbox, id)
	t.changes = 1
	return t.put(deleteInbox, id)
}

// update changes a row that must still be in the expected state; otherwise the error is engine.ErrStale.
func (t *tx) update(query string, args ...driver.Value) error {
	if t.w.pg != nil && !t.careful {
		return t.put(query, args...)
	}
	err := t.exec(query, args...)
	if err == nil && t.changes == 0 {
		err = engine.ErrStale
	}
	return err
}
