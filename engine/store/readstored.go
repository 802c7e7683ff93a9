package store

import (
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine"
)

// StoredEvent reads an event as expressions see it. Inputs that are stored encrypted are
// masked. It returns engine.ErrNotFound when there is no such event.
func (h *History) StoredEvent(ctx context.Context, id engine.EventID) (*engine.Event, error) {
	ev, unreadable, err := scanEvent(h.db.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM events WHERE id = ?`, int64(id)))
	if err == nil && unreadable != nil {
		err = fmt.Errorf("event %s: %w", id, unreadable)
	}
	return ev, err
}

// EachEvent passes the newest events of a trigger to visit, newest first, at most limit. An empty
// eventType matches any. Events whose body was removed or cannot be read are counted in skipped.
// visit returns false to stop.
func (h *History) EachEvent(ctx context.Context, trigger, eventType string, limit int, visit func(*engine.Event) bool) (skipped int,
	err error) {
	rows, err := h.db.QueryContext(ctx, `SELECT `+eventColumns+` FROM events WHERE trigger = ?1 AND (?2 = '' OR type = ?2) `+
		`ORDER BY id DESC LIMIT ?3`, trigger, eventType, limit)
	if err != nil {
		return 0, classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		ev, unreadable, err := scanEvent(rows)
		switch {
		case rowsFault(err) && ctx.Err() == nil, err == nil && unreadable != nil:
			skipped++
		case err != nil:
			return skipped, err
		case !visit(ev):
			return skipped, nil
		}
	}
	return skipped, classify(rows.Err())
}
