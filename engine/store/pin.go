package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// SaveFile implements engine.Store.
func (s *Store) SaveFile(ctx context.Context, name, version string, text []byte) error {
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`INSERT INTO versions (version, workflow, text, first_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, version, name,
			string(text), time.Now().UnixMilli())
	})
}

// SaveUses implements engine.Store.
func (s *Store) SaveUses(ctx context.Context, u engine.VersionUses) error {
	b, err := json.Marshal(u.Uses)
	if err != nil {
		return err
	}
	return s.w.do(ctx, true, func(t *tx) error {
		return t.exec(`INSERT INTO version_uses (version, from_id, uses) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, u.Version,
			int64(u.From), string(b))
	})
}

// AllUses implements engine.Store.
func (s *Store) AllUses(ctx context.Context) ([]engine.VersionUses, error) {
	return collect(ctx, s.readers, allUses, nil, scanUses)
}

// OpenVersions implements engine.Store. The index of due runs contains the runs that are open when
// the process starts.
func (s *Store) OpenVersions(ctx context.Context) ([]engine.Run, error) {
	return collect(ctx, s.readers, `SELECT max(id), workflow, version FROM runs INDEXED BY runs_due WHERE `+openRun+
		` GROUP BY workflow, version`, nil, func(r scanner) (x engine.Run, err error) {
		var id int64
		err = r.Scan(&id, &x.Workflow, &x.Version)
		x.ID = engine.RunID(id)
		return x, err
	})
}
