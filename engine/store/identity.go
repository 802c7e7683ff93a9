package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// This file decides whether a delivery belongs to a known event, and stores what such a delivery
// contained if it differs.

const (
	// claimDigest claims a digest for an event, unless another event has it.
	claimDigest = `INSERT INTO claims (trigger, digest, event_id, expires_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (trigger, digest) DO UPDATE SET event_id = excluded.event_id, expires_at = excluded.expires_at
			WHERE claims.expires_at <= ?`
	insertConflict = `INSERT INTO conflicts (event_id, digest, at, trigger, key, type, time, method, path, headers, query, data_expr,
		size, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id, digest) DO UPDATE SET count = conflicts.count + 1`
)

// digestOf is a short digest of parts; the boundaries between the parts are unambiguous.
func digestOf(parts ...[]byte) []byte {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return h.Sum(nil)[:16]
}

// identify claims what identifies a delivery. It returns the event that already has one of these
// identities, or 0 if the delivery is a new event.
func (t *tx) identify(r *engine.Receipt, a *encodedDelivery) (first int64, err error) {
	d := a.d
	if d.Identity != engine.ByContent && !t.claimedAhead(a) {
		if err := t.exec(claimKey, d.Trigger, d.Key, int64(a.id), a.now, a.now-d.Dedupe.Milliseconds()); err != nil {
			return 0, err
		}
		if t.changes == 0 {
			return t.keyHolder(a)
		}
	}
	if d.Claim != nil {
		if first, err = t.claim(a, d.Claim); err != nil {
			return 0, err
		}
		if first != 0 && d.Identity != engine.ByContent {
			// If the key is not signed, whoever repeats a signature chooses the id sent with it:
			// such an id is not claimed, since the real sender may still use it.
			return first, t.exec(`DELETE FROM keys WHERE trigger = ? AND key = ? AND event_id = ?`, d.Trigger, d.Key, int64(a.id))
		}
	}
	if first == 0 && a.bodyDigest != nil {
		same, err := t.claim(a, a.bodyDigest)
		if err != nil {
			return 0, err
		}
		if d.SameBody == engine.BodyDuplicate {
			first = same
		} else {
			r.RepeatsBodyOf = engine.EventID(same)
		}
	}
	if first != 0 {
		// What was claimed until here belongs to the first event, too.
		return first, t.handOver(a, first)
	}
	return 0, nil
}

// keyHolder returns the event that has the key of a delivery. A repeated delivery with a new signature
// also uses up that signature: otherwise anybody who has it could send another body under it.
func (t *tx) keyHolder(a *encodedDelivery) (first int64, err error) {
	d := a.d
	if first, err = t.holder(`SELECT event_id FROM keys WHERE trigger = ? AND key = ?`, d.Trigger, d.Key); err != nil || first == 0 ||
		d.Claim == nil {
		return first, err
	}
	return first, t.exec(claimDigest, d.Trigger, d.Claim, first, a.claimEnds(d.Claim), a.now)
}

// claim claims a digest for a delivery; it returns the event that has it, 0 if none has.
func (t *tx) claim(a *encodedDelivery, digest []byte) (int64, error) {
	if t.signedAhead(a, digest) {
		return 0, nil
	}
	if err := t.exec(claimDigest, a.d.Trigger, digest, int64(a.id), a.claimEnds(digest), a.now); err != nil || t.changes == 1 {
		return 0, err
	}
	return t.holder(`SELECT event_id FROM claims WHERE trigger = ? AND digest = ?`, a.d.Trigger, digest)
}

// claimEnds is when a digest expires: for signed content, not before the signature itself expires.
func (a *encodedDelivery) claimEnds(digest []byte) int64 {
	window := a.d.Dedupe
	if bytes.Equal(digest, a.d.Claim) {
		window = max(window, a.d.ClaimFor)
	}
	return a.now + window.Milliseconds()
}

func (t *tx) holder(query string, args ...driver.Value) (int64, error) {
	dest := make([]driver.Value, 1)
	found, err := t.row(query, dest, args...)
	if err != nil || !found {
		return 0, fmt.Errorf("finding the first delivery: %w", err)
	}
	first, _ := dest[0].(int64)
	return first, nil
}

func (t *tx) handOver(a *encodedDelivery, first int64) error {
	if a.d.Identity != engine.ByContent {
		if err := t.exec(`UPDATE keys SET event_id = ? WHERE trigger = ? AND key = ? AND event_id = ?`, first, a.d.Trigger, a.d.Key,
			int64(a.id)); err != nil {
			return err
		}
	}
	for _, digest := range [][]byte{a.d.Claim, a.bodyDigest} {
		if digest == nil {
			continue
		}
		if err := t.exec(`UPDATE claims SET event_id = ? WHERE trigger = ? AND digest = ? AND event_id = ?`, first, a.d.Trigger, digest,
			int64(a.id)); err != nil {
			return err
		}
	}
	return nil
}

// sampleSighting is the inlet of the sighting of a sample, which comparisons leave out: it shows nothing of
// the provider's webhook.
const sampleSighting = "sample"

// recordDuplicate records another delivery of a known event. It waits for the same commit as a first
// delivery would, so its response is as durable.
func (t *tx) recordDuplicate(r *engine.Receipt, a *encodedDelivery, first int64) error {
	d := a.d
	r.Event, r.Duplicate, r.RepeatsBodyOf = engine.EventID(first), true, 0
	dest := make([]driver.Value, 4)
	found, err := t.row(`SELECT inlet, key, crc, content_sum FROM events WHERE id = ?`, dest, first)
	if err != nil {
		return fmt.Errorf("finding the first delivery: %w", err)
	}
	same := int64(0)
	if found {
		inlet, key := columnText(dest[0]), columnText(dest[1])
		crc, _ := dest[2].(int64)
		sum, _ := dest[3].(int64)
		own := a.sum
		if key != d.Key {
			own = checksum(d.Trigger, key, d.Type, d.Raw)
		}
		if crc == own {
			same = 1
		} else if d.Inlet == workflows.InletWebhook && inlet == string(workflows.InletWebhook) && (d.ContentSum == 0 || d.ContentSum != sum) {
			// A poll describes the same event in other words; a webhook does not.
			r.Conflict = true
			if err := t.keepConflict(a, first); err != nil {
				return err
			}
		}
	}
	inlet := string(d.Inlet)
	if d.Headers["user-agent"] == engine.SampleAgent {
		inlet = sampleSighting
	}
	return t.exec(insertSighting, first, a.now, inlet, same)
}

func columnText(v driver.Value) string {
	switch x := v.(type) {
	case string:
		return x
	case []byte:
		return string(x)
	}
	return ""
}

// keepConflict stores the content of a conflicting delivery, once for equal ones.
func (t *tx) keepConflict(a *encodedDelivery, first int64) error {
	d := a.d
	number, size := int64(t.w.maxConflicts), t.w.maxConflictBytes
	body := a.body
	if int64(len(d.Raw)) > size/4 {
		body = nil // it would push out all others
	}
	if err := t.exec(insertConflict, first, digestOf([]byte(d.Type), d.Raw), a.now, d.Trigger, d.Key, d.Type, d.Time.UnixMilli(),
		d.Method, d.Path, a.headers, a.query,
		d.DataExpr, int64(len(d.Raw)), body); err != nil {
		return err
	}
	// One trigger may use a quarter of the limit for all.
	if err := t.exec(boundConflicts(`WHERE trigger = ?1`), d.Trigger, number/4, size/4); err != nil {
		return err
	}
	return t.exec(boundConflicts(`WHERE ?1 <> ''`), d.Trigger, number, size)
}

// boundConflicts drops the oldest conflicts beyond a number (?2) or a size (?3).
func boundConflicts(of string) string {
	return `DELETE FROM conflicts WHERE id IN (SELECT id
		FROM (SELECT id, row_number() OVER w AS n, sum(coalesce(length(body), 0) + 512) OVER w AS sum FROM conflicts ` + of +
		` WINDOW w AS (ORDER BY id DESC)) WHERE n > ?2 OR sum > ?3 AND n > 1)`
}

// identityFilters are the statuses of a list of events that concern their identity. Each repeats
// the condition of its own index.
var identityFilters = map[string]string{
	"by-content":    "e.identity = 4",
	"repeated-body": "e.same_body IS NOT NULL",
	"conflicting":   "e.id IN (SELECT event_id FROM conflicts)",
}

const selectConflict = `SELECT id, event_id, at, count, trigger, key, type, time, method, path, headers, query, data_expr, size, body,
	admitted FROM conflicts`

func scanConflict(row scanner) (engine.Conflict, error) {
	c := engine.Conflict{Delivery: &engine.Delivery{Inlet: "webhook"}}
	d := c.Delivery
	var id, event, at, when int64
	var headers, query string
	var admitted sql.NullInt64
	err := row.Scan(&id, &event, &at, &c.Count, &d.Trigger, &c.Key, &c.Type, &when, &d.Method, &d.Path, &headers, &query, &d.DataExpr,
		&c.Size, &d.Raw, &admitted)
	if err != nil {
		return c, err
	}
	c.ID, c.Event, c.At = engine.ConflictID(id), engine.EventID(event), fromMillis(at)
	d.Key, d.Type, d.Time, d.ReceivedAt = c.Key, c.Type, fromMillis(when), c.At
	if admitted.Valid {
		c.Admitted = engine.EventID(admitted.Int64).String()
	}
	if err := json.Unmarshal([]byte(headers), &d.Headers); err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(query), &d.Query)
}

// shownConflicts is how many conflicting deliveries an event's page compares.
const shownConflicts = 20

// conflicts lists the conflicting deliveries of an event, compared with it.
func (h *History) conflicts(ctx context.Context, first *engine.Event) ([]engine.Conflict, error) {
	list, err := collect(ctx, h.db, selectConflict+fmt.Sprintf(` WHERE event_id = ? ORDER BY id LIMIT %d`, shownConflicts),
		[]any{int64(first.ID)}, scanConflict)
	for i := range list {
		list[i].Compare(first)
	}
	return list, err
}

// Conflict implements engine.Store.
func (s *Store) Conflict(ctx context.Context, id string) (*engine.Conflict, error) {
	return s.History().Conflict(ctx, id)
}

// Conflict loads one conflicting delivery.
func (h *History) Conflict(ctx context.Context, id string) (*engine.Conflict, error) {
	n, err := engine.ParseConflictID(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrQuery, err)
	}
	c, err := scanConflict(h.db.QueryRowContext(ctx, selectConflict+` WHERE id = ?`, n))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("conflicting delivery %s: %w", id, engine.ErrNotFound)
	}
	if err != nil {
		return nil, classify(err)
	}
	return &c, nil
}

// ConflictAdmitted implements engine.Store.
func (s *Store) ConflictAdmitted(ctx context.Context, id string, event engine.EventID) error {
	n, err := engine.ParseConflictID(id)
	if err != nil {
		return err
	}
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`UPDATE conflicts SET admitted = ? WHERE id = ?`, int64(event), n)
	})
}
