package store

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// maxAudit is how many actions of people are stored.
const maxAudit = 100_000

// Audit implements engine.Store.
func (s *Store) Audit(ctx context.Context, a engine.AuditEntry) error {
	return s.doUpkeep(ctx, func(t *tx) error { // pruning is an action, too
		if err := t.exec(`INSERT INTO audit (at, who, role, proof, remote, action, target, status, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			a.At.UnixMilli(), a.Who, a.Role, a.Proof, a.Remote, a.Action, a.Target, int64(a.Status), s.o.Redactor.Text(a.Detail)); err != nil {
			return err
		}
		return t.exec(`DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?`, int64(maxAudit))
	})
}

// EndSession records that a session of the console was ended early.
func (s *Store) EndSession(ctx context.Context, id string, until time.Time) error {
	return s.w.do(ctx, true, func(t *tx) error {
		if err := t.exec(`DELETE FROM ended_sessions WHERE until < ?`, time.Now().UnixMilli()); err != nil {
			return err
		}
		return t.exec(`INSERT INTO ended_sessions (id, until) VALUES (?, ?) ON CONFLICT DO NOTHING`, id, until.UnixMilli())
	})
}

// EndedSessions lists the ended sessions with the time at which each would have expired.
func (s *Store) EndedSessions(ctx context.Context) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	_, err := collect(ctx, s.readers, `SELECT id, until FROM ended_sessions`, nil, func(r scanner) (struct{}, error) {
		var id string
		var until int64
		err := r.Scan(&id, &until)
		out[id] = fromMillis(until)
		return struct{}{}, err
	})
	return out, err
}
