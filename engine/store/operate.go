package store

import (
	"context"

	"github.com/hookloom/hookloom/engine"
)

// maxAudit is how many actions of people are kept.
const maxAudit = 100_000

// Audit implements engine.Store.
func (s *Store) Audit(ctx context.Context, a engine.AuditEntry) error {
	return s.w.do(ctx, true, func(t *tx) error {
		if err := t.exec(`INSERT INTO audit (at, who, role, remote, action, target, status) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			a.At.UnixMilli(), a.Who, a.Role, a.Remote, a.Action, a.Target, int64(a.Status)); err != nil {
			return err
		}
		return t.exec(`DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?`, int64(maxAudit))
	})
}

// SetSwitch implements engine.Store.
func (s *Store) SetSwitch(ctx context.Context, x engine.Switch, on bool) error {
	return s.w.do(ctx, true, func(t *tx) error {
		if on {
			return t.exec(`DELETE FROM switched_off WHERE workflow = ?`, x.Workflow)
		}
		return t.exec(`INSERT INTO switched_off (workflow, by, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, x.Workflow, x.By, x.At.UnixMilli())
	})
}

// Switches implements engine.Store.
func (s *Store) Switches(ctx context.Context) ([]engine.Switch, error) {
	return collect(ctx, s.readers, `SELECT workflow, by, at FROM switched_off`, nil, func(r scanner) (engine.Switch, error) {
		var x engine.Switch
		var at int64
		err := r.Scan(&x.Workflow, &x.By, &at)
		x.At = fromMillis(at)
		return x, err
	})
}
