package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ClockAhead returns by how much at least the clock that now reads is ahead of the server's, negative if it is
// behind. A slow answer of the server makes no difference.
func ClockAhead(ctx context.Context, c *pgx.Conn, now func() time.Time) (time.Duration, error) {
	before := now()
	var at time.Time
	if err := c.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at); err != nil {
		return 0, fmt.Errorf("reading the server's clock: %w", err)
	}
	after := now()
	switch {
	case before.After(at):
		return before.Sub(at), nil
	case after.Before(at):
		return after.Sub(at), nil
	}
	return 0, nil
}
