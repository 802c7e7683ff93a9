package store

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bodyKey is the second key of a delivery whose id is not signed.
func bodyKey(body []byte) string {
	sum := sha256.Sum256(body)
	return "body:" + hex.EncodeToString(sum[:16])
}

// checksum covers what an event is made of, so that a flipped bit is seen:
// SQLite's own integrity check looks at structure, not at content.
func checksum(trigger, key, kind string, body []byte) int64 {
	c := crc32.Update(0, castagnoli, []byte(trigger+"\x00"+key+"\x00"+kind+"\x00"))
	return int64(crc32.Update(c, castagnoli, body))
}

const (
	claimKey = `INSERT INTO keys (trigger, key, event_id, seen_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (trigger, key) DO UPDATE SET event_id = excluded.event_id, seen_at = excluded.seen_at WHERE keys.seen_at < ?`
	insertEvent = `INSERT INTO events (id, trigger, inlet, key, flag, type, time, received_at, method, path, headers, query, data_expr, inputs, only_one, body, crc)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertInbox    = `INSERT INTO inbox (event_id) VALUES (?)`
	insertSighting = `INSERT INTO sightings (event_id, at, inlet, same) VALUES (?, ?, ?, ?)`
)

// arrival is a delivery encoded, outside of the writer's one goroutine.
type arrival struct {
	id             engine.EventID
	d              *engine.Delivery
	headers, query string
	inputs, body   driver.Value
	// second is the key that the body is, empty for none.
	second   string
	sum, now int64
	// decided tells that what the workflows say to it is stored with it.
	decided bool
}

func (s *Store) arrival(id engine.EventID, d *engine.Delivery) (a arrival, err error) {
	if d.Key == "" {
		d.Key = id.String() // a manual start is an event of its own
	}
	a = arrival{id: id, d: d, headers: s.texts(d.Headers), query: s.texts(d.Query), sum: checksum(d.Trigger, d.Key, d.Type, d.Raw), now: d.ReceivedAt.UnixMilli()}
	if d.Inputs != nil {
		if a.inputs, err = s.json(d.Inputs); err != nil {
			return a, err
		}
	}
	if d.BodyToo {
		a.second = bodyKey(d.Raw)
	}
	if d.Raw != nil {
		a.body = d.Raw
	}
	return a, nil
}

// Accept implements engine.Store. The key is claimed in the transaction that
// stores the event: a write that fails burns no delivery.
func (s *Store) Accept(ctx context.Context, id engine.EventID, d *engine.Delivery) (r engine.Receipt, err error) {
	a, err := s.arrival(id, d)
	if err != nil {
		return r, err
	}
	err = s.w.do(ctx, false, func(t *tx) (err error) {
		r, err = t.accept(&a)
		return err
	})
	return r, err
}

// AcceptDecided implements engine.Store.
func (s *Store) AcceptDecided(ctx context.Context, id engine.EventID, d *engine.Delivery, m engine.Match) (r engine.Receipt, result engine.MatchResult, err error) {
	a, err := s.arrival(id, d)
	if err != nil {
		return r, result, err
	}
	a.decided = true
	rows, err := s.encodeMatch(m)
	if err != nil {
		return r, result, err
	}
	err = s.w.do(ctx, false, func(t *tx) (err error) {
		if r, err = t.accept(&a); err != nil || r.Duplicate {
			return err
		}
		result, err = rows.write(t)
		return err
	})
	return r, result, err
}

// AcceptAll implements engine.Store.
func (s *Store) AcceptAll(ctx context.Context, ids []engine.EventID, ds []*engine.Delivery) ([]engine.Receipt, error) {
	list, out := make([]arrival, len(ds)), make([]engine.Receipt, len(ds))
	for i, d := range ds {
		var err error
		if list[i], err = s.arrival(ids[i], d); err != nil {
			return nil, err
		}
	}
	err := s.w.do(ctx, false, func(t *tx) (err error) {
		for i := range list {
			if out[i], err = t.accept(&list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (t *tx) accept(a *arrival) (r engine.Receipt, err error) {
	d := a.d
	r = engine.Receipt{Event: a.id}
	if d.Dedupe > 0 {
		if err := t.exec(claimKey, d.Trigger, d.Key, int64(a.id), a.now, a.now-d.Dedupe.Milliseconds()); err != nil {
			return r, err
		}
		if t.changes == 0 {
			err := t.seenAgain(&r, d, d.Key, a.sum, a.now)
			return r, err
		}
		if a.second != "" {
			known, err := t.bodyKnown(&r, d, a.id, a.second, a.sum, a.now)
			if known || err != nil {
				return r, err
			}
		}
	}
	if err := t.exec(insertEvent, int64(a.id), d.Trigger, d.Inlet, d.Key, d.Flag, d.Type, d.Time.UnixMilli(), a.now, d.Method, d.Path, a.headers, a.query,
		d.DataExpr, a.inputs, d.Only, a.body, a.sum); err != nil {
		return r, err
	}
	if d.Unheard || a.decided {
		return r, nil
	}
	return r, t.exec(insertInbox, int64(a.id))
}

// bodyKnown claims the body as a second key. When another event has it, the
// first key points there too: a replay under a new id is that event again.
func (t *tx) bodyKnown(r *engine.Receipt, d *engine.Delivery, id engine.EventID, second string, sum, now int64) (bool, error) {
	if err := t.exec(claimKey, d.Trigger, second, int64(id), now, now-d.Dedupe.Milliseconds()); err != nil || t.changes == 1 {
		return false, err
	}
	if err := t.exec(`UPDATE keys SET event_id = (SELECT k.event_id FROM keys k WHERE k.trigger = ?1 AND k.key = ?2) WHERE trigger = ?1 AND key = ?3`, d.Trigger, second, d.Key); err != nil {
		return false, err
	}
	return true, t.seenAgain(r, d, second, sum, now)
}

// seenAgain records a sighting of the event that has the key. It waits for the
// same commit as a first delivery would, so that its answer is as durable.
func (t *tx) seenAgain(r *engine.Receipt, d *engine.Delivery, key string, sum, now int64) error {
	dest := make([]driver.Value, 2)
	found, err := t.row(`SELECT k.event_id, e.crc FROM keys k LEFT JOIN events e ON e.id = k.event_id WHERE k.trigger = ? AND k.key = ?`, dest, d.Trigger, key)
	if err != nil || !found {
		return fmt.Errorf("finding the first delivery: %w", err)
	}
	first, _ := dest[0].(int64)
	same := int64(0)
	if crc, ok := dest[1].(int64); ok && crc == sum {
		same = 1
	}
	r.Event, r.Duplicate = engine.EventID(first), true
	return t.exec(insertSighting, first, now, d.Inlet, same)
}

// Admitted notes that a refused delivery became an event after all.
func (s *Store) Admitted(ctx context.Context, refusal int64, event engine.EventID) error {
	return s.w.do(ctx, false, func(t *tx) error {
		return t.exec(`UPDATE quarantine SET event_id = ? WHERE id = ?`, int64(event), refusal)
	})
}

// UseSecrets adds up how often each secret has proved a delivery.
func (s *Store) UseSecrets(ctx context.Context, uses []engine.SecretUse) error {
	return s.w.do(ctx, false, func(t *tx) error {
		for _, u := range uses {
			at := u.LastAt.UnixMilli()
			if err := t.exec(`INSERT INTO secret_uses (trigger, secret, count, first_at, last_at) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (trigger, secret) DO UPDATE SET count = count + excluded.count, last_at = max(last_at, excluded.last_at)`, u.Trigger, u.Secret, u.Count, at, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// json encodes plain data for a row, secrets masked. nil is SQL's NULL.
func (s *Store) json(v any) (driver.Value, error) {
	if v == nil {
		return nil, nil
	}
	b, err := workflows.EncodeJSON(v)
	if err != nil {
		return nil, fmt.Errorf("encoding for the log: %w", err)
	}
	return string(s.o.Redactor.Bytes(b)), nil
}

// texts encodes headers or a query for a row, secrets masked.
func (s *Store) texts(m map[string]string) string {
	return string(s.o.Redactor.Bytes(workflows.AppendTexts(nil, m)))
}

func millis(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}
