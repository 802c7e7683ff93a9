package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/jackc/pgx/v5"
	"github.com/mattn/go-sqlite3"
)

// FailWrite makes the n-th statement of the writer fail, in the order in which SQLite prepares them, or in which each
// transaction sends them to PostgreSQL; 0 ends that. denied reports whether it has failed.
func (s *Store) FailWrite(ctx context.Context, n int) (denied func() bool, err error) {
	if s.w.pg != nil {
		return s.failPostgres(ctx, n)
	}
	seen, failed := 0, false
	check := func(op int, _, _, _ string) int {
		switch op {
		case sqlite3.SQLITE_SELECT, sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE:
			if seen++; seen == n {
				failed = true
				return sqlite3.SQLITE_DENY
			}
		}
		return sqlite3.SQLITE_OK
	}
	if n == 0 {
		check = nil
	}
	err = s.w.do(ctx, true, func(t *tx) error {
		t.w.conn.RegisterAuthorizer(check)
		return nil
	})
	return func() bool { return failed }, err
}

// spoiler makes the n-th statement of each transaction of PostgreSQL fail.
type spoiler struct {
	sync.Mutex
	n, seen int
	failed  bool
}

// spoilers are those of the open stores.
var spoilers sync.Map

var errSpoiled = errors.New("the connection was replaced")

// failPostgres gives the writer a connection with a spoiler, if it has none yet.
func (s *Store) failPostgres(ctx context.Context, n int) (denied func() bool, err error) {
	v, known := spoilers.LoadOrStore(s, new(spoiler))
	sp := v.(*spoiler)
	if !known {
		replaced := false
		err = s.w.do(ctx, true, func(t *tx) error {
			if p := t.w.pg; !replaced {
				config := p.address.Config()
				config.DefaultQueryExecMode, config.Tracer = execMode(p.address), sp
				_ = p.conn.Close(ctx) // its transaction is rolled back
				if p.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
					return err
				}
				replaced, p.connected = true, time.Now()
			}
			return errSpoiled
		})
		if !errors.Is(err, errSpoiled) {
			return nil, err
		}
	}
	sp.Lock()
	defer sp.Unlock()
	sp.n, sp.failed = n, false
	return func() bool {
		sp.Lock()
		defer sp.Unlock()
		return sp.failed
	}, nil
}

// TraceBatchStart implements pgx.BatchTracer.
func (sp *spoiler) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	sp.Lock()
	defer sp.Unlock()
	for _, q := range data.Batch.QueuedQueries {
		switch {
		case q.SQL == beginTransaction:
			sp.seen = -2 // the turn and the fence
		case q.SQL == "COMMIT":
		default:
			if sp.seen++; sp.seen == sp.n && sp.n > 0 {
				q.SQL, q.Arguments, sp.failed = "SELECT 1/0", nil, true
			}
		}
	}
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (*spoiler) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (*spoiler) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TraceQueryStart implements pgx.QueryTracer.
func (*spoiler) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*spoiler) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Spoiled reports whether err is the failure of a statement.
func (s *Store) Spoiled(err error) bool {
	return s.w.pg == nil && errors.Is(err, engine.ErrDisk) || s.w.pg != nil && err != nil && strings.Contains(err.Error(), "(SQLSTATE 22012)")
}

// Part is a part of a longer operation.
type Part struct {
	Name string
	Do   func(context.Context) error
}

// PrunePhases are the parts of pruning, those that need rows of other parts first.
func (s *Store) PrunePhases(o engine.PruneOrder) (phases []Part, done *engine.Pruned) {
	p := &pruner{s: s, o: o}
	phases = []Part{{"hours", p.hours}, {"bodies", p.bodies}, {"keys", p.keys}, {"claims", p.claims}, {"quarantine", p.quarantine},
		{"polls", p.polls}, {"values", p.values}, {"history", func(ctx context.Context) error {
			return p.history(ctx, engine.FirstID(o.Before), o.Before)
		}}, {"size", p.size}}
	if s.w.pg == nil {
		return append(phases, Part{"vacuum", p.vacuum}), &p.done
	}
	return append(phases, Part{"rules", p.rules}, Part{"causes", p.causes}, Part{"analyze", p.analyze}), &p.done
}
