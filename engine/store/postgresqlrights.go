package store

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// This file notices that the role of the server has lost a right that it had when the store was opened. Such a write
// does not end the store: others may succeed, and the right may be granted again.

// insufficientPrivilege is the code of a missing right.
const insufficientPrivilege = "42501"

// refused records that an event could not be stored because a right is missing.
func (w *writer) refused(batch []*command, err error) {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != insufficientPrivilege || len(batch) != 1 || len(batch[0].needs.deliveries) == 0 {
		return
	}
	if w.pg.denied.Swap(&AwayError{Path: w.path, Cause: err}) == nil {
		w.log.Error("events cannot be stored until the role of the database has the right again: hookloom doctor lists what is missing",
			"database", w.path, "error", err)
	}
}

// askRights ends what refused began, if the role has all its rights again.
func (w *writer) askRights() {
	p := w.pg
	if p.denied.Load() == nil {
		return
	}
	f, err := p.address.Inspect(p.ctx, p.conn)
	if err != nil || p.address.Allowed(f, false) != nil {
		return // it is asked again
	}
	p.denied.Store(nil)
	w.log.Info("the role of the database has its rights again: events are stored", "database", w.path)
}
