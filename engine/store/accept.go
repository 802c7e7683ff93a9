package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/mattn/go-sqlite3"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the content of an event, so that a flipped bit is detected: SQLite's own
// integrity check looks at structure, not at content.
func checksum(trigger, key, kind string, body []byte) int64 {
	c := crc32.Update(0, castagnoli, []byte(trigger+"\x00"+key+"\x00"+kind+"\x00"))
	return int64(crc32.Update(c, castagnoli, body))
}

const (
	claimKey = `INSERT INTO keys (trigger, key, event_id, seen_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (trigger, key) DO UPDATE SET event_id = excluded.event_id, seen_at = excluded.seen_at WHERE keys.seen_at < ?`
	insertEvent = `INSERT INTO events (id, trigger, inlet, key, flag, type, time, received_at, method, path, headers, query,
		data_expr, inputs, only_one, body, crc, identity, same_body, content_sum, proof)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	// insertPlain stores the most common events, whose other columns have their defaults: each
	// bound value costs time.
	insertPlain = `INSERT INTO events (id, trigger, inlet, key, type, time, received_at, method, path, headers, query, data_expr,
		body, crc, identity, proof)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sealInputs     = `UPDATE events SET sealed = ? WHERE id = ?`
	markNotUTF8    = `UPDATE events SET not_utf8 = 1 WHERE id = ?`
	insertInbox    = `INSERT INTO inbox (event_id) VALUES (?)`
	deleteInbox    = `DELETE FROM inbox WHERE event_id = ?`
	insertSighting = `INSERT INTO sightings (event_id, at, inlet, same) VALUES (?, ?, ?, ?)`
)

// encodedDelivery is a delivery, encoded outside the writer's goroutine.
type encodedDelivery struct {
	id             engine.EventID
	d              *engine.Delivery
	headers, query string
	inputs, body   driver.Value
	// sealed holds the encrypted inputs, if some are masked.
	sealed driver.Value
	// bodyDigest is the digest of type and body where an equal body has a meaning; nil elsewhere.
	bodyDigest []byte
	sum, now   int64
	// notUTF8 reports that the body is not UTF-8, which SQL cannot tell: the views show it in hex.
	notUTF8 bool
	// decided reports whether the decisions of the workflows are stored with the event.
	decided bool
}

func (s *Store) encodeDelivery(id engine.EventID, d *engine.Delivery) (a encodedDelivery, err error) {
	if err := engine.CheckInlet(d.Inlet); err != nil {
		return a, err
	}
	if d.Key == "" {
		d.Key = id.String() // a manual start is its own event
	}
	a = encodedDelivery{id: id, d: d, headers: s.texts(d.Headers), query: s.texts(d.Query), sum: checksum(d.Trigger, d.Key, d.Type, d.Raw),
		now: d.ReceivedAt.UnixMilli()}
	if d.Inputs != nil {
		in, err := s.encodeInputs(d)
		if err != nil {
			return a, err
		}
		a.inputs, a.sealed = in.shown, in.sealed
	}
	switch d.SameBody {
	case engine.BodyMarked:
		a.bodyDigest = digestOf([]byte("body"), d.Raw)
	case engine.BodyDuplicate:
		a.bodyDigest = digestOf([]byte("type and body"), []byte(d.Type), d.Raw)
	}
	if d.Raw != nil {
		a.body, a.notUTF8 = d.Raw, !utf8.Valid(d.Raw)
	}
	return a, nil
}

// Accept implements engine.Store. The key is claimed in the transaction that stores the event, so a
// failed write does not use up the key.
func (s *Store) Accept(ctx context.Context, id engine.EventID, d *engine.Delivery) (r engine.Receipt, err error) {
	list := make([]encodedDelivery, 1)
	if list[0], err = s.encodeDelivery(id, d); err != nil {
		return r, err
	}
	err = s.w.queued(ctx, order{needs: needs{deliveries: list}}, func(t *tx) (err error) {
		r, err = t.accept(&list[0])
		return err
	})
	return r, err
}

// AcceptDecided implements engine.Store.
func (s *Store) AcceptDecided(ctx context.Context, id engine.EventID, d *engine.Delivery, m engine.Match) (r engine.Receipt,
	result engine.MatchResult, err error) {
	list := make([]encodedDelivery, 1)
	if list[0], err = s.encodeDelivery(id, d); err != nil {
		return r, result, err
	}
	list[0].decided = true
	rows, err := s.encodeMatch(m)
	if err != nil {
		return r, result, err
	}
	err = s.w.queued(ctx, order{needs: needs{deliveries: list}}, func(t *tx) (err error) {
		if r, err = t.accept(&list[0]); err != nil || r.Duplicate {
			return err
		}
		if r.Mine {
			if err := t.deleteInbox(int64(id)); err != nil {
				return err
			}
			if t.changes == 0 {
				result = engine.MatchResult{Known: true}
				return nil
			}
			t.decidedEvent(id)
		}
		if err := t.reliesOn(m.Rules); err != nil {
			return err
		}
		result, err = rows.write(t)
		return err
	})
	return r, result, err
}

// AcceptAll implements engine.Store.
func (s *Store) AcceptAll(ctx context.Context, ids []engine.EventID, ds []*engine.Delivery) ([]engine.Receipt, error) {
	list, out := make([]encodedDelivery, len(ds)), make([]engine.Receipt, len(ds))
	for i, d := range ds {
		var err error
		if list[i], err = s.encodeDelivery(ids[i], d); err != nil {
			return nil, err
		}
	}
	err := s.w.queued(ctx, order{needs: needs{deliveries: list}}, func(t *tx) (err error) {
		for i := range list {
			if out[i], err = t.accept(&list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (t *tx) accept(a *encodedDelivery) (r engine.Receipt, err error) {
	d := a.d
	r = engine.Receipt{Event: a.id}
	if d.Dedupe > 0 {
		first, err := t.identify(&r, a)
		if err != nil {
			return r, err
		}
		if first == int64(a.id) {
			return t.ownReceipt(a)
		}
		if first != 0 {
			return r, t.recordDuplicate(&r, a, first)
		}
	}
	if t.careful {
		// PostgreSQL ends a transaction in which a statement fails: a second event of an id makes the batch
		// fail, whose commands are then executed alone.
		stored, err := t.row(`SELECT 1 FROM events WHERE id = ?`, make([]driver.Value, 1), int64(a.id))
		if err != nil {
			return r, err
		}
		if stored {
			return t.ownReceiptOr(a, fmt.Errorf("event %s is already stored, with another content", a.id))
		}
	}
	if err := errors.Join(t.insertEvent(a, r.RepeatsBodyOf), t.dropLateCount(int64(a.id))); err != nil {
		return t.storedBefore(a, err)
	}
	if a.sealed != nil {
		if err := t.put(sealInputs, a.sealed, int64(a.id)); err != nil {
			return r, err
		}
	}
	if a.notUTF8 {
		if err := t.exec(markNotUTF8, int64(a.id)); err != nil {
			return r, err
		}
	}
	if d.Unsubscribed || a.decided {
		t.decidedEvent(a.id)
		if a.decided {
			return r, nil
		}
		return r, t.reliesOn(d.Rules)
	}
	t.signal(engine.SignalEvents)
	if d.Lane != "" && t.w.pg != nil {
		err := t.placeInLane(a, &r)
		return r, err
	}
	return r, t.put(insertInbox, int64(a.id))
}

// ownReceipt returns the receipt of a delivery whose event an earlier call stored. It returns
// engine.ErrNotFound if there is no such event.
func (t *tx) ownReceipt(a *encodedDelivery) (r engine.Receipt, err error) {
	v := make([]driver.Value, 3)
	found, err := t.row(`SELECT trigger, crc, same_body FROM events WHERE id = ?`, v, int64(a.id))
	if err != nil {
		return r, err
	}
	crc, _ := v[1].(int64)
	if !found || columnText(v[0]) != a.d.Trigger || crc != a.sum {
		return r, fmt.Errorf("event %s: %w", a.id, engine.ErrNotFound)
	}
	body, _ := v[2].(int64)
	return engine.Receipt{Event: a.id, Mine: true, RepeatsBodyOf: engine.EventID(body), Behind: t.w.pg != nil && a.d.Lane != ""}, nil
}

// storedBefore reports whether an insert failed because the event is already stored: an event
// without a remembered key is recognized by its id alone.
func (t *tx) storedBefore(a *encodedDelivery, cause error) (engine.Receipt, error) {
	var se sqlite3.Error
	if !errors.As(cause, &se) || se.ExtendedCode != sqlite3.ErrConstraintPrimaryKey {
		return engine.Receipt{}, cause
	}
	return t.ownReceiptOr(a, cause)
}

// ownReceiptOr is ownReceipt, with the error cause if there is no such event.
func (t *tx) ownReceiptOr(a *encodedDelivery, cause error) (engine.Receipt, error) {
	r, err := t.ownReceipt(a)
	if errors.Is(err, engine.ErrNotFound) {
		err = cause
	}
	return r, err
}

func (t *tx) insertEvent(a *encodedDelivery, repeatsBodyOf engine.EventID) error {
	d := a.d
	var proof driver.Value
	if d.Proof != "" {
		proof = string(d.Proof)
	}
	if d.Flag == "" && d.Only == "" && a.inputs == nil && d.ContentSum == 0 && repeatsBodyOf == 0 {
		return t.put(insertPlain, int64(a.id), d.Trigger, string(d.Inlet), d.Key,
			d.Type, d.Time.UnixMilli(), a.now, d.Method, d.Path, a.headers, a.query,
			d.DataExpr, a.body, a.sum, int64(d.Identity), proof)
	}
	var contentSum, sameBody driver.Value
	if d.ContentSum != 0 {
		contentSum = d.ContentSum
	}
	if repeatsBodyOf != 0 {
		sameBody = int64(repeatsBodyOf)
	}
	return t.put(insertEvent, int64(a.id), d.Trigger, string(d.Inlet), d.Key, d.Flag, d.Type, d.Time.UnixMilli(), a.now, d.Method, d.Path,
		a.headers, a.query,
		d.DataExpr, a.inputs, d.Only, a.body, a.sum, int64(d.Identity), sameBody, contentSum, proof)
}

// Admitted records that a refused delivery was accepted as an event later.
func (s *Store) Admitted(ctx context.Context, refusal int64, event engine.EventID) error {
	return s.w.do(ctx, false, func(t *tx) error {
		return t.exec(`UPDATE quarantine SET event_id = ? WHERE id = ?`, int64(event), refusal)
	})
}

// UseSecrets adds to the counts of how often each secret verified a delivery.
func (s *Store) UseSecrets(ctx context.Context, uses []engine.SecretUse) error {
	return s.w.do(ctx, false, func(t *tx) error {
		for _, u := range uses {
			at := u.LastAt.UnixMilli()
			if err := t.exec(`INSERT INTO secret_uses (trigger, secret, count, first_at, last_at) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (trigger, secret) DO UPDATE SET count = secret_uses.count + excluded.count,
				last_at = max(secret_uses.last_at, excluded.last_at)`, u.Trigger,
				u.Secret, u.Count, at, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// json encodes plain data for a row, with secrets masked. nil becomes NULL.
func (s *Store) json(v any, m *redact.Masker) (driver.Value, error) {
	if v == nil {
		return nil, nil
	}
	text, err := encodeText(v, func(b []byte) []byte {
		b, _ = s.maskJSON(b, m)
		return b
	})
	if err != nil {
		return nil, err
	}
	return text, nil
}

// texts encodes headers or a query for a row, with secrets masked.
func (s *Store) texts(m map[string]string) string {
	b, _ := s.o.Redactor.JSON(value.AppendTexts(nil, m))
	return string(b)
}

func millis(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}
