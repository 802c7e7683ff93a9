package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// This file stores the values that steps keep between runs.

// ChangeValue implements engine.Store.
func (s *Store) ChangeValue(ctx context.Context, c engine.ValueChange) (next engine.ValueNext, err error) {
	err = s.w.do(ctx, true, func(t *tx) (err error) {
		next, err = t.changeValue(c)
		return err
	})
	return next, err
}

func (t *tx) changeValue(c engine.ValueChange) (next engine.ValueNext, err error) {
	if c.Op != "" {
		v := make([]driver.Value, 1)
		known, err := t.row(`SELECT result FROM kept_writes WHERE op = ?`, v, c.Op)
		if known || err != nil {
			return engine.ValueNext{Result: columnText(v[0])}, err
		}
	}
	v := make([]driver.Value, 2)
	there, err := t.row(`SELECT value, expires_at FROM kept_values WHERE workflow = ? AND key = ?`, v, c.Workflow, c.Key)
	if err != nil {
		return next, err
	}
	old := columnText(v[0])
	end, ends := v[1].(int64)
	next = c.Apply(old, there && (!ends || end > c.Now.UnixMilli()))
	switch {
	case next.Refused != nil:
		return next, nil
	case next.Gone && there:
		err = t.exec(`DELETE FROM kept_values WHERE workflow = ? AND key = ?`, c.Workflow, c.Key)
	case next.Gone:
	default:
		err = t.keepValue(c, &next, there, old)
	}
	if err != nil || next.Refused != nil || c.Op == "" {
		return next, err
	}
	return next, t.exec(`INSERT INTO kept_writes (op, run_id, result) VALUES (?, ?, ?)`, c.Op, int64(c.Run), next.Result)
}

func (t *tx) keepValue(c engine.ValueChange, next *engine.ValueNext, there bool, old string) error {
	keys, bytes := int64(0), int64(len(next.Value)-len(old))
	if !there {
		keys, bytes = 1, int64(len(c.Key)+len(next.Value))
	}
	refused, err := t.roomForValue(c, keys, bytes)
	if err != nil || refused != nil {
		next.Refused = refused
		return err
	}
	// Making room may have removed the value itself, if it was expired.
	return t.exec(`INSERT INTO kept_values (workflow, key, value, expires_at, updated_at, updated_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (workflow, key) DO UPDATE
			SET value = excluded.value, expires_at = CASE WHEN ?7 THEN kept_values.expires_at ELSE excluded.expires_at END,
			updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
		c.Workflow, c.Key, next.Value, millis(next.Expires), c.Now.UnixMilli(), t.w.redactor.Text(c.By), next.KeepEnd)
}

// roomForValue rejects values that would exceed the limits; expired values are removed first.
func (t *tx) roomForValue(c engine.ValueChange, keys, bytes int64) (*plan.Error, error) {
	for _, last := range []bool{false, true} {
		k, b, err := t.keptSize(last)
		if err != nil {
			return nil, err
		}
		tooMany, tooLarge := keys > 0 && k+keys > c.MaxKeys, bytes > 0 && b+bytes > c.MaxBytes
		switch {
		case !tooMany && !tooLarge:
			if t.w.pg != nil {
				t.w.pg.kept.keys += max(0, keys)
				t.w.pg.kept.bytes += max(0, bytes)
			}
			return nil, nil
		case last && tooMany:
			return &plan.Error{Code: "store_full",
				Message: fmt.Sprintf("the store has %d keys, which is the limit; delete some (hookloom store), or set them with ttl:", c.MaxKeys)}, nil
		case last:
			return &plan.Error{Code: "store_full",
				Message: fmt.Sprintf("the store uses %d of %s; delete some keys (hookloom store), or set them with ttl:", b,
					workflows.SizeText(c.MaxBytes))}, nil
		}
		if err := t.exec(`DELETE FROM kept_values WHERE expires_at <= ?`, c.Now.UnixMilli()); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// keptSize returns the number of values and their size. On PostgreSQL, which has no triggers that count
// them, it may be more than there is, unless exact is set.
func (t *tx) keptSize(exact bool) (keys, bytes int64, err error) {
	if pg := t.w.pg; pg != nil && pg.kept.known && !exact {
		return pg.kept.keys, pg.kept.bytes, nil
	}
	v := make([]driver.Value, 2)
	if _, err := t.row(`SELECT keys, bytes FROM kept_size`, v); err != nil {
		return 0, 0, err
	}
	keys, _ = v[0].(int64)
	bytes, _ = v[1].(int64)
	if t.w.pg != nil {
		t.w.pg.kept = keptTotals{known: true, keys: keys, bytes: bytes}
	}
	return keys, bytes, nil
}

const valueColumns = `workflow, key, value, expires_at, updated_at, updated_by`

// Value implements engine.Store.
func (s *Store) Value(ctx context.Context, ref engine.ValueRef, now time.Time) (engine.ValueItem, error) {
	return s.History().Value(ctx, ref, now)
}

// Value returns one kept value; ErrNotFound if there is none, or it has expired.
func (h *History) Value(ctx context.Context, ref engine.ValueRef, now time.Time) (engine.ValueItem, error) {
	item, err := scanValue(h.db.QueryRowContext(ctx, `SELECT `+valueColumns+
		` FROM kept_values WHERE workflow = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)`, ref.Workflow, ref.Key, now.UnixMilli()))
	if errors.Is(err, sql.ErrNoRows) {
		return item, engine.ErrNotFound
	}
	return item, classify(err)
}

// Values lists kept values by workflow and key; those of the project come first.
func (h *History) Values(ctx context.Context, q engine.ValueQuery) ([]engine.ValueItem, error) {
	if q.Limit <= 0 || q.Limit > maxPage {
		q.Limit = 50
	}
	return collect(ctx, h.db, `SELECT `+valueColumns+
		` FROM kept_values WHERE (workflow, key) > (?1, ?2) AND (expires_at IS NULL OR expires_at > ?3)
		AND (?4 = '' OR workflow = ?4) AND (NOT ?5 OR workflow = '') AND (?6 = '' OR instr(key, ?6) > 0) ORDER BY workflow, key LIMIT ?7`,
		[]any{q.After.Workflow, q.After.Key, q.Now.UnixMilli(), q.Workflow, q.Project, q.Q, q.Limit}, scanValue)
}

func scanValue(r scanner) (engine.ValueItem, error) {
	var x engine.ValueItem
	var value string
	var ends sql.NullInt64
	var at int64
	err := r.Scan(&x.Workflow, &x.Key, &value, &ends, &at, &x.UpdatedBy)
	x.Value, x.UpdatedAt = json.RawMessage(value), fromMillis(at)
	if ends.Valid {
		end := fromMillis(ends.Int64)
		x.ExpiresAt = &end
	}
	return x, err
}

// values removes expired values, and the records of writes whose runs are gone.
func (p *pruner) values(ctx context.Context) error {
	for _, x := range []struct {
		query string
		args  []driver.Value
	}{
		{`DELETE FROM kept_values WHERE (workflow, key) IN (SELECT workflow, key FROM kept_values WHERE expires_at <= ? LIMIT ?)`,
			[]driver.Value{p.o.Now.UnixMilli(), int64(pruneStep)}},
		{`DELETE FROM kept_writes WHERE op IN (SELECT op FROM kept_writes w WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = w.run_id) ` +
			`LIMIT ?)`, []driver.Value{int64(pruneStep)}},
	} {
		for more := true; more; {
			n := int64(0)
			err := p.step(ctx, func(t *tx) error {
				err := t.exec(x.query, x.args...)
				n = t.changes
				return err
			})
			if err != nil {
				return fmt.Errorf("pruning kept values: %w", err)
			}
			p.done.Values += int(n)
			more = n == pruneStep
		}
	}
	return nil
}
