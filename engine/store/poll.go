package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// Poll implements engine.Store: the items found and the position of the inlet are stored in one
// transaction, so after a crash no item is lost or repeated.
func (s *Store) Poll(ctx context.Context, ids []engine.EventID, b *engine.PollBatch) ([]engine.Receipt, error) {
	list, out := make([]encodedDelivery, len(b.Items)), make([]engine.Receipt, len(b.Items))
	for i, d := range b.Items {
		var err error
		if list[i], err = s.encodeDelivery(ids[i], d); err != nil {
			return nil, err
		}
	}
	err := s.w.do(ctx, true, func(t *tx) error {
		clear(out)
		fresh := 0
		for i := range list {
			var err error
			if out[i], err = t.found(b, &list[i]); err != nil {
				return err
			}
			if out[i].Event != 0 && !out[i].Duplicate {
				fresh++
			}
		}
		return t.advance(b, fresh)
	})
	return out, err
}

// found stores one item of a poll. The receipt is empty if it made no event.
func (t *tx) found(b *engine.PollBatch, a *encodedDelivery) (engine.Receipt, error) {
	d, none := a.d, engine.Receipt{}
	result, recorded := b.Recorded(d)
	var known engine.KnownItem
	if !recorded && d.Inlet == workflows.InletPoll {
		var err error
		if known, err = t.knownItem(a); err != nil {
			return none, err
		}
	}
	if !recorded {
		result = known.Result(a.id, d)
	}
	switch result {
	case engine.ItemRemembered:
		return none, t.exec(`INSERT INTO remembered (trigger, key, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, d.Trigger, d.Key, a.now)
	case engine.ItemObserved:
		return none, t.exec(`INSERT INTO observed (trigger, key, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, d.Trigger, d.Key, a.now)
	case engine.ItemStored:
		return t.ownReceipt(a)
	case engine.ItemKnown:
		// Items that a list still contains stay known, however long ago they were new.
		stale := a.now - d.Dedupe.Milliseconds()/2
		if known.Remembered {
			return none, t.exec(`UPDATE remembered SET at = ? WHERE trigger = ? AND key = ? AND at < ?`, a.now, d.Trigger, d.Key, stale)
		}
		return none, t.exec(`UPDATE keys SET seen_at = ? WHERE trigger = ? AND key = ? AND seen_at < ?`, a.now, d.Trigger, d.Key, stale)
	}
	r, err := t.accept(a)
	if err == nil && d.Recovered && !r.Duplicate && !r.Mine {
		err = t.exec(`UPDATE events SET recovered = 1 WHERE id = ?`, int64(r.Event))
	}
	return r, err
}

// knownItem returns what is known of an item's key.
func (t *tx) knownItem(a *encodedDelivery) (k engine.KnownItem, err error) {
	d := a.d
	if k.Remembered, err = t.row(`SELECT 1 FROM remembered WHERE trigger = ? AND key = ?`, make([]driver.Value, 1), d.Trigger,
		d.Key); err != nil || k.Remembered {
		return k, err
	}
	v := make([]driver.Value, 3)
	found, err := t.row(`SELECT k.event_id, EXISTS (SELECT 1 FROM events e WHERE e.id = k.event_id AND e.inlet = 'poll')
			OR EXISTS (SELECT 1 FROM sightings s WHERE s.event_id = k.event_id AND s.inlet = 'poll'),
		NOT EXISTS (SELECT 1 FROM events e WHERE e.id = k.event_id)
		FROM keys k WHERE k.trigger = ? AND k.key = ? AND k.seen_at >= ?`,
		v, d.Trigger, d.Key, a.now-d.Dedupe.Milliseconds())
	if err != nil || !found {
		return k, err
	}
	id, _ := v[0].(int64)
	k.Event, k.Polled, k.Gone = engine.EventID(id), v[1] == int64(1), v[2] == int64(1)
	return k, nil
}

// advance records the position of the inlet, and the cost of the poll.
func (t *tx) advance(b *engine.PollBatch, fresh int) error {
	st := b.State
	var cursor driver.Value
	if st.Cursor != nil {
		cursor = string(st.Cursor)
	}
	var rest driver.Value
	if st.Rest != nil {
		rest = string(st.Rest)
	}
	err := t.exec(`INSERT INTO inlets (trigger, inlet, cursor, rest, etag, modified, asked_at, ok_at, failures, error, retry_at,
		timetable) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (trigger, inlet) DO UPDATE SET cursor = excluded.cursor, rest = excluded.rest, etag = excluded.etag,
			modified = excluded.modified, asked_at = excluded.asked_at, ok_at = excluded.ok_at,
		failures = excluded.failures, error = excluded.error, retry_at = excluded.retry_at, timetable = excluded.timetable`,
		b.Trigger, b.Inlet, cursor, rest, st.ETag, st.Modified, st.AskedAt.UnixMilli(), millis(st.OKAt), int64(st.Failures),
		t.w.redactor.Text(st.Error), millis(st.RetryAt), st.Timetable)
	if err != nil || b.Cost.Requests == 0 {
		return err
	}
	return t.exec(`INSERT INTO poll_log (trigger, at, requests, bytes, items, fresh, outcome, took_ms, quota)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.Trigger, st.AskedAt.UnixMilli(), int64(b.Cost.Requests), b.Cost.Bytes, int64(len(b.Items)), int64(fresh), b.Cost.Outcome,
		b.Cost.Took.Milliseconds(), b.Cost.Quota)
}

// InletState implements engine.Store.
func (s *Store) InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error) {
	return (&History{db: s.readers}).InletState(ctx, trigger, inlet)
}

// InletState returns the position of a poll or a schedule; zero if it has none yet.
func (h *History) InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error) {
	var st engine.InletState
	var cursor, rest sql.NullString
	var asked int64
	var ok, retry sql.NullInt64
	err := h.db.QueryRowContext(ctx, `SELECT cursor, rest, etag, modified, asked_at, ok_at, failures, error, retry_at, timetable
		FROM inlets WHERE trigger = ? AND inlet = ?`, trigger, inlet).
		Scan(&cursor, &rest, &st.ETag, &st.Modified, &asked, &ok, &st.Failures, &st.Error, &retry, &st.Timetable)
	if errors.Is(err, sql.ErrNoRows) {
		return st, nil
	}
	if err != nil {
		return st, classify(err)
	}
	if cursor.Valid {
		st.Cursor = []byte(cursor.String)
	}
	if rest.Valid {
		st.Rest = []byte(rest.String)
	}
	st.AskedAt, st.OKAt, st.RetryAt = fromMillis(asked), nullTime(ok), nullTime(retry)
	return st, nil
}

// SaveDifference implements engine.Store.
func (s *Store) SaveDifference(ctx context.Context, id engine.EventID, inlet engine.Inlet, diff map[string]any) error {
	var text driver.Value
	same := int64(1)
	if len(diff) > 0 {
		var err error
		if text, err = s.json(diff, nil); err != nil {
			return err
		}
		same = 0
	}
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`UPDATE sightings SET diff = ?, same = ?
			WHERE rowid = (SELECT max(rowid) FROM sightings WHERE event_id = ? AND inlet = ?)`, text, same, int64(id), string(inlet))
	})
}

// LastDelivery implements engine.Store.
func (s *Store) LastDelivery(ctx context.Context, trigger string) (time.Time, error) {
	var at int64
	err := s.readers.QueryRowContext(ctx, `SELECT received_at FROM events WHERE trigger = ? AND inlet = 'webhook' ORDER BY id DESC
		LIMIT 1`, trigger).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return fromMillis(at), classify(err)
}

// Known implements engine.Store.
func (s *Store) Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error) {
	return (&History{db: s.readers}).Known(ctx, trigger, keys)
}

// Known reports which keys a poll would not treat as new.
func (h *History) Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, k := range keys {
		var known bool
		if err := h.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM keys WHERE trigger = ?1 AND key = ?2)
			OR EXISTS (SELECT 1 FROM remembered WHERE trigger = ?1 AND key = ?2)`, trigger, k).Scan(&known); err != nil {
			return nil, classify(err)
		}
		out[k] = known
	}
	return out, nil
}

// The parts of an event and of one of its sightings that seenEvents encodes in one number: each column of many rows
// costs time.
const (
	seenByPoll = 1 << iota
	seenRecovered
	seenTest
	againByWebhook
	againByPoll
	againOther
)

// seenEvents selects the events of a trigger, each with its sightings.
var seenEvents = fmt.Sprintf(`SELECT e.key, e.time, e.received_at, coalesce(s.at, 0), CASE WHEN e.inlet = 'poll' THEN %d ELSE 0 END
	+ CASE WHEN e.recovered = 1 THEN %d ELSE 0 END + %d * %s
	+ CASE s.inlet WHEN 'webhook' THEN %d WHEN 'poll' THEN %d WHEN '`+sampleSighting+`' THEN 0 ELSE CASE WHEN s.inlet IS NULL THEN 0
		ELSE %d END END
	FROM events e LEFT JOIN sightings s ON s.event_id = e.id AND s.event_id >= ?2
	WHERE e.trigger = ?1 AND e.id >= ?2 AND e.inlet IN ('webhook', 'poll') ORDER BY e.id, s.at`, seenByPoll, seenRecovered, seenTest,
	isTest, againByWebhook, againByPoll, againOther)

// Sightings returns the data that compare needs of a trigger's events since a time.
func (h *History) Sightings(ctx context.Context, trigger string, since time.Time) (engine.Sightings, error) {
	var out engine.Sightings
	var key, last string
	var at, received, again, seen int64
	err := h.each(ctx, seenEvents, []any{trigger, engine.FirstID(since)}, func(row scanner) error {
		if err := row.Scan(&key, &at, &received, &again, &seen); err != nil {
			return err
		}
		if key != last {
			last = key
			out.Events = append(out.Events, engine.SeenEvent{Key: key, Time: fromMillis(at), Recovered: seen&seenRecovered != 0,
				Test: seen&seenTest != 0})
			out.Events[len(out.Events)-1].See(inletSeen(seen&seenByPoll != 0), fromMillis(received))
		}
		if seen&(againByWebhook|againByPoll|againOther) != 0 {
			e := &out.Events[len(out.Events)-1]
			if seen&againByWebhook != 0 && !e.Webhook.IsZero() {
				e.Repeats++
			}
			e.See(inletSeen(seen&againByPoll != 0), fromMillis(again))
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	if err := h.observed(ctx, trigger, since, &out); err != nil {
		return out, err
	}
	out.Polls, err = collect(ctx, h.db, `SELECT at, requests, bytes, items, fresh, outcome, took_ms, quota FROM poll_log WHERE trigger = ?
		AND at >= ? ORDER BY at`, []any{trigger, since.UnixMilli()}, func(r scanner) (engine.PollEntry, error) {
		var p engine.PollEntry
		var at, took int64
		err := r.Scan(&at, &p.Requests, &p.Bytes, &p.Items, &p.Fresh, &p.Outcome, &took, &p.Quota)
		p.At, p.Took = fromMillis(at), time.Duration(took)*time.Millisecond
		return p, err
	})
	return out, err
}

func inletSeen(poll bool) engine.Inlet {
	if poll {
		return workflows.InletPoll
	}
	return workflows.InletWebhook
}

// observed records the items seen by a poll that only measures.
func (h *History) observed(ctx context.Context, trigger string, since time.Time, out *engine.Sightings) error {
	type seen struct {
		key string
		at  int64
	}
	list, err := collect(ctx, h.db, `SELECT key, at FROM observed WHERE trigger = ? AND at >= ?`, []any{trigger, since.UnixMilli()},
		func(r scanner) (x seen, err error) {
			err = r.Scan(&x.key, &x.at)
			return x, err
		})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return nil
	}
	byKey := map[string]int{}
	for i, e := range out.Events {
		byKey[e.Key] = i
	}
	for _, x := range list {
		i, known := byKey[x.key]
		if !known {
			out.Events = append(out.Events, engine.SeenEvent{Key: x.key, Time: fromMillis(x.at)})
			i = len(out.Events) - 1
		}
		out.Events[i].See("poll", fromMillis(x.at))
	}
	return nil
}
