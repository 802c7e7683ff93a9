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
