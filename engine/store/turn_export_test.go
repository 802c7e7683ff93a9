package store

import (
	"context"
	"database/sql/driver"
)

// ReadInTurn reads a number of bytes in a transaction, as a command with a large result does.
func (s *Store) ReadInTurn(ctx context.Context, bytes int64) error {
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`SELECT repeat('x', ?)`, driver.Value(bytes))
	})
}
