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
