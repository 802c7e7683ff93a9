package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/content"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

const eventItem = `SELECT e.id, e.trigger, e.inlet, e.type, e.key, e.flag, e.received_at, (SELECT count(*) FROM sightings s
	WHERE s.event_id = e.id),
	CASE WHEN EXISTS (SELECT 1 FROM inbox i WHERE i.event_id = e.id) THEN 'pending'
	     ELSE coalesce((SELECT d.outcome FROM decisions d WHERE d.event_id = e.id
	       ORDER BY CASE d.outcome WHEN 'matched' THEN 0 WHEN 'rule_failed' THEN 1 WHEN 'folded' THEN 1 WHEN 'held' THEN 2
		WHEN 'disabled' THEN 3 WHEN 'dropped' THEN 4 WHEN 'skipped' THEN 5 ELSE 6 END LIMIT 1),
	       CASE WHEN EXISTS (SELECT 1 FROM ended_waits x WHERE x.event_id = e.id) THEN 'ended_wait' ELSE 'unmatched' END) END,
	(SELECT count(*) FROM runs r WHERE r.event_id = e.id), (SELECT count(*) FROM decisions d WHERE d.event_id = e.id
		AND d.outcome = 'rule_failed'),
	e.identity, coalesce(e.same_body, 0), (SELECT count(*) FROM conflicts c WHERE c.event_id = e.id), coalesce(e.proof, ''),
	` + isTest + ` FROM events e`

func scanEventItem(row scanner) (engine.EventItem, error) {
	var it engine.EventItem
	var id int64
	var at, same number
	var named engine.Identity
	err := row.Scan(&id, &it.Trigger, &it.Inlet, &it.Type, &it.Key, &it.Flag, &at, &it.Duplicates, &it.Outcome, &it.Runs,
		&it.RuleFailures, &named, &same, &it.Conflicts, &it.Proof, &it.Test)
	it.Identity = named.String()
	if same != 0 {
		it.RepeatsBodyOf = engine.EventID(same).String()
	}
	it.ID, it.ReceivedAt = engine.EventID(id).String(), fromMillis(int64(at))
	return it, err
}

// unreadable finds the events whose body cannot be read, by the condition of the index
// events_unreadable.
const unreadable = `substr(e.flag, 1, 17) = '` + engine.UnreadableFlag + `'`

// Events lists events, newest first, however far back they are.
func (h *History) Events(ctx context.Context, q engine.Query) ([]engine.EventItem, error) {
	return all(ctx, q, h.EventPage)
}

var eventList = listing[engine.EventItem]{
	table: "events", prefix: "evt_", column: "e.id", query: eventItem, scan: scanEventItem,
	id:   func(i engine.EventItem) string { return i.ID },
	name: func(n int64) string { return engine.EventID(n).String() },
}

// EventPage lists events, newest first, at a bounded cost.
func (h *History) EventPage(ctx context.Context, q engine.Query) (engine.Page[engine.EventItem], error) {
	w, x, costly, err := eventConditions(q)
	if err != nil {
		return engine.Page[engine.EventItem]{}, err
	}
	return readPage(ctx, h, q, eventList, w, x, costly)
}

// EventDetail returns one event with all its details.
func (h *History) EventDetail(ctx context.Context, id engine.EventID) (*engine.EventDetail, error) {
	item, err := scanEventItem(h.db.QueryRowContext(ctx, eventItem+` WHERE e.id = ?`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, engine.ErrNotFound
	}
	if err != nil {
		return nil, classify(err)
	}
	ev, unreadable, err := scanEvent(h.db.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM events WHERE id = ?`, int64(id)))
	if err == nil && unreadable != nil {
		err = fmt.Errorf("event %s: %w", id, unreadable)
	}
	if err != nil {
		return nil, err
	}
	d := &engine.EventDetail{EventItem: item, Time: ev.Time, Method: ev.Method, Path: ev.Path, Headers: ev.Headers, Query: ev.Query,
		Body: bodyText(ev), Pruned: ev.Stripped}
	if ev.Inputs != nil {
		if d.Inputs, err = json.Marshal(ev.Inputs); err != nil {
			return nil, err
		}
	}
	if d.Decisions, err = h.decisions(ctx, `d.event_id = ?`, int64(id)); err != nil {
		return nil, err
	}
	if d.Earlier, err = h.earlier(ctx, id); err != nil {
		return nil, err
	}
	if d.EndedWaits, err = h.endedWaits(ctx, id); err != nil {
		return nil, err
	}
	if ev.Inlet == workflows.InletEmit {
		if d.EmittedBy, err = h.emittedBy(ctx, id); err != nil {
			return nil, err
		}
	}
	d.Sightings, err = collect(ctx, h.db, `SELECT at, inlet, same, diff FROM sightings WHERE event_id = ? ORDER BY at LIMIT 1000`,
		[]any{int64(id)}, func(s scanner) (engine.Sighting, error) {
			var x engine.Sighting
			var at int64
			var diff sql.NullString
			err := s.Scan(&at, &x.Inlet, &x.SameBody, &diff)
			x.At = fromMillis(at)
			x.Delay = x.At.Sub(ev.ReceivedAt).Seconds()
			if diff.Valid {
				x.Differences = rawColumn(diff)
			}
			return x, err
		})
	if err != nil {
		return nil, err
	}
	if d.Conflicting, err = h.conflicts(ctx, ev); err != nil {
		return nil, err
	}
	d.RunItems, err = h.Runs(ctx, engine.Query{Event: id.String(), Limit: 1000})
	return d, err
}

// bodyText shows a body as JSON: unchanged if it is JSON, else as text. A body in another charset
// is shown as it was decoded.
func bodyText(ev *engine.Event) json.RawMessage {
	if len(ev.Raw) == 0 {
		return json.RawMessage("null")
	}
	raw := content.Text(ev.Headers["content-type"], ev.Raw)
	text := utf8.Valid(raw) // json.Valid accepts bytes inside of a string that are not UTF-8
	if text && json.Valid(raw) {
		return raw
	}
	if !text {
		if v, err := content.Decode(ev.Headers["content-type"], ev.Raw); err == nil && v != nil {
			if b, err := value.EncodeJSON(v); err == nil {
				return b
			}
		}
		if json.Valid(raw) {
			return bytes.ToValidUTF8(raw, []byte("\ufffd"))
		}
		return json.RawMessage(fmt.Sprintf(`"%d bytes that are not text"`, len(ev.Raw)))
	}
	return value.AppendText(nil, string(raw))
}

func (h *History) decisions(ctx context.Context, cond string, args ...any) ([]engine.DecisionItem, error) {
	return collect(ctx, h.db, `SELECT workflow, version, outcome, reason, trace, run_id, at FROM decisions d
		WHERE `+cond+` ORDER BY workflow`, args, scanDecision)
}
