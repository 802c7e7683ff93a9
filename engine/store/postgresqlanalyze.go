package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// This file keeps the planner's statistics of a PostgreSQL database current where autovacuum is off or late:
// without them, lists of a long history read more than they need.

// staleTables are tables that were never analyzed although they have 10,000 new rows, or not for a day although
// a tenth of their rows has changed.
const staleTables = `SELECT relname FROM pg_stat_user_tables WHERE schemaname || '.' = '` + schemaName + `.'
	AND n_mod_since_analyze >= 10000 AND (greatest(last_analyze, last_autoanalyze) IS NULL
		OR greatest(last_analyze, last_autoanalyze) < now() - INTERVAL '1 day' AND n_mod_since_analyze > n_live_tup / 10)`

// analyze brings the statistics up to date. A role that does not own the tables gets a warning of the server, and
// autovacuum remains. It has a connection of its own, because the writer must not wait for it. Several nodes
// prune at once if people order it: SKIP_LOCKED leaves a table to the one that is analyzing it.
func (p *pruner) analyze(ctx context.Context) (err error) {
	pg := p.s.w.pg
	tables, err := collect(ctx, p.s.readers, staleTables, nil, func(r scanner) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	})
	if err != nil || len(tables) == 0 {
		return err
	}
	conn, err := pg.address.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(pg.ctx)) }()
	if pg.address.Hints {
		if _, err := conn.Exec(ctx, keepReaders); err != nil {
			return err
		}
	}
	for _, name := range tables {
		if _, err := conn.Exec(ctx, `ANALYZE (SKIP_LOCKED) `+pgx.Identifier{pg.address.Schema, name}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}
