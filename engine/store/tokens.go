package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file stores the tokens of connections, which are already encrypted.

var _ engine.TokenStore = (*Store)(nil)

const tokenColumns = `connection, sealed, version, account, scopes, config, expires_at, obtained_at, used_at, error, error_at,
	held, held_at`

func scanToken(r scanner) (t engine.TokenState, err error) {
	var scopes string
	var expires, obtained, used, failed, held sql.NullInt64
	if err := r.Scan(&t.Connection, &t.Sealed, &t.Version, &t.Account, &scopes, &t.Config, &expires, &obtained, &used, &t.LastError,
		&failed, &t.Held, &held); err != nil {
		return t, err
	}
	if err := json.Unmarshal([]byte(scopes), &t.Scopes); err != nil {
		return t, fmt.Errorf("scopes of connection %s: %w", t.Connection, err)
	}
	t.ExpiresAt, t.ObtainedAt, t.UsedAt = nullTime(expires), nullTime(obtained), nullTime(used)
	t.ErrorAt, t.HeldAt = nullTime(failed), nullTime(held)
	return t, nil
}

const listTokens = `SELECT ` + tokenColumns + ` FROM tokens ORDER BY connection`

// Tokens implements engine.TokenStore.
func (s *Store) Tokens(ctx context.Context) ([]engine.TokenState, error) {
	return collect(ctx, s.readers, listTokens, nil, scanToken)
}

// Tokens lists the stored tokens of connections.
func (h *History) Tokens(ctx context.Context) ([]engine.TokenState, error) {
	return collect(ctx, h.db, listTokens, nil, scanToken)
}

// ClaimToken implements engine.TokenStore.
func (s *Store) ClaimToken(ctx context.Context, name, owner string, now, until time.Time) (t engine.TokenState, ok bool, err error) {
	err = s.w.do(ctx, true, func(x *tx) error {
		if err := x.exec(`INSERT INTO tokens (connection) VALUES (?) ON CONFLICT DO NOTHING`, name); err != nil {
			return err
		}
		err := x.exec(`UPDATE tokens SET owner = ?2, claimed_until = ?4 WHERE connection = ?1 AND (owner IN ('', ?2) OR claimed_until <= ?3)`,
			name, owner, now.UnixMilli(), until.UnixMilli())
		ok = x.changes > 0
		return err
	})
	if err != nil {
		return t, false, err
	}
	t, err = scanToken(s.readers.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE connection = ?`, name))
	return t, ok && err == nil, classify(err)
}

// SaveToken implements engine.TokenStore.
func (s *Store) SaveToken(ctx context.Context, owner string, t engine.TokenState) error {
	if t.Scopes == nil {
		t.Scopes = []string{}
	}
	scopes, err := json.Marshal(t.Scopes)
	if err != nil {
		return err
	}
	var sealed driver.Value
	if t.Sealed != nil {
		sealed = t.Sealed
	}
	mask := s.o.Redactor.Text
	return s.w.do(ctx, true, func(x *tx) error {
		x.signal(engine.SignalTokens)
		err := x.exec(`UPDATE tokens SET sealed = ?, version = version + 1, account = ?, scopes = ?, config = ?, expires_at = ?, obtained_at = ?,
			error = ?, error_at = ?, held = ?, held_at = ?, owner = '', claimed_until = 0 WHERE connection = ? AND owner = ?`, sealed,
			mask(t.Account), string(scopes), t.Config, millis(t.ExpiresAt), millis(t.ObtainedAt), mask(t.LastError), millis(t.ErrorAt),
			mask(t.Held), millis(t.HeldAt), t.Connection, owner)
		if err == nil && x.changes == 0 {
			err = engine.ErrStale
		}
		return err
	})
}

// DropClaim implements engine.TokenStore.
func (s *Store) DropClaim(ctx context.Context, name, owner string) error {
	return s.w.do(ctx, true, func(x *tx) error {
		return x.exec(`UPDATE tokens SET owner = '', claimed_until = 0 WHERE connection = ? AND owner = ?`, name, owner)
	})
}

// UseTokens implements engine.TokenStore.
func (s *Store) UseTokens(ctx context.Context, uses map[string]time.Time) error {
	return s.w.do(ctx, false, func(x *tx) error {
		for name, at := range uses {
			if err := x.exec(`INSERT INTO tokens (connection, used_at) VALUES (?1, ?2) ON CONFLICT (connection)
				DO UPDATE SET used_at = max(?2, coalesce(tokens.used_at, 0))`, name, at.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}

// ResumeHeld implements engine.Store.
func (s *Store) ResumeHeld(ctx context.Context, destination string, now time.Time) (int, error) {
	var n int64
	err := s.w.do(ctx, true, func(t *tx) error {
		err := t.exec(`UPDATE runs SET due_at = ?1 WHERE due_at > ?1 AND status = 'waiting' AND id IN (SELECT run_id FROM steps
			WHERE run_id IN (SELECT id FROM runs WHERE due_at > ?1 AND status = 'waiting') AND status = 'waiting' AND destination = ?2)`,
			now.UnixMilli(), destination)
		n = t.changes
		t.signal(engine.SignalDue)
		return err
	})
	return int(n), err
}
