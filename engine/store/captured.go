package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file stores, on PostgreSQL, what nodes with a SQLite file keep in the project's folder: secrets from
// handshakes, and certificates. All of it is already encrypted.

var (
	_ engine.CapturedStore    = (*Store)(nil)
	_ engine.CertificateStore = (*Store)(nil)
)

// doShared runs a transaction on PostgreSQL.
func (s *Store) doShared(ctx context.Context, apply func(*tx) error) error {
	if s.w.pg == nil {
		return errors.ErrUnsupported
	}
	return s.w.do(ctx, true, apply)
}

// AwaitSecret implements engine.CapturedStore.
func (s *Store) AwaitSecret(ctx context.Context, trigger string, until time.Time) error {
	return s.doShared(ctx, func(t *tx) error {
		return t.exec(`INSERT INTO awaited_secrets (trigger, until) VALUES (?, ?) ON CONFLICT (trigger) DO UPDATE SET until = excluded.until`,
			trigger, until.UnixMilli())
	})
}

// AwaitedSecrets implements engine.CapturedStore.
func (s *Store) AwaitedSecrets(ctx context.Context) (map[string]time.Time, error) {
	if s.w.pg == nil {
		return nil, errors.ErrUnsupported
	}
	out := map[string]time.Time{}
	_, err := collect(ctx, s.readers, `SELECT trigger, until FROM awaited_secrets`, nil, func(r scanner) (struct{}, error) {
		var trigger string
		var until int64
		err := r.Scan(&trigger, &until)
		out[trigger] = fromMillis(until)
		return struct{}{}, err
	})
	return out, err
}

// CaptureSecret implements engine.CapturedStore.
func (s *Store) CaptureSecret(ctx context.Context, x engine.CapturedSecret) (ok bool, err error) {
	err = s.doShared(ctx, func(t *tx) error {
		awaited, err := t.row(`SELECT 1 FROM awaited_secrets WHERE trigger = ? AND until > ?`, make([]driver.Value, 1), x.Trigger,
			x.At.UnixMilli())
		if ok = false; err != nil || !awaited {
			return err
		}
		err = t.exec(`INSERT INTO captured_secrets (name, trigger, sealed, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, x.Name,
			x.Trigger, x.Sealed, x.At.UnixMilli())
		if err != nil || t.changes == 0 {
			return err
		}
		ok = true
		t.signal(engine.SignalSecrets)
		return t.exec(`DELETE FROM awaited_secrets WHERE trigger = ? OR until <= ?`, x.Trigger, x.At.UnixMilli())
	})
	return ok && err == nil, err
}

// CapturedSecrets implements engine.CapturedStore.
func (s *Store) CapturedSecrets(ctx context.Context) ([]engine.CapturedSecret, error) {
	if s.w.pg == nil {
		return nil, errors.ErrUnsupported
	}
	return capturedSecrets(ctx, s.readers)
}

// CapturedSecrets lists the secrets from handshakes that a database on PostgreSQL has; a file has none.
func (h *History) CapturedSecrets(ctx context.Context) ([]engine.CapturedSecret, error) {
	if !h.postgres {
		return nil, nil
	}
	return capturedSecrets(ctx, h.db)
}

func capturedSecrets(ctx context.Context, db querier) ([]engine.CapturedSecret, error) {
	return collect(ctx, db, `SELECT name, trigger, sealed, at FROM captured_secrets ORDER BY name`, nil,
		func(r scanner) (x engine.CapturedSecret, err error) {
			var at int64
			err = r.Scan(&x.Name, &x.Trigger, &x.Sealed, &at)
			x.At = fromMillis(at)
			return x, err
		})
}

// Certificate implements engine.CertificateStore.
func (s *Store) Certificate(ctx context.Context, name string) (sealed []byte, err error) {
	if s.w.pg == nil {
		return nil, errors.ErrUnsupported
	}
	err = s.readers.QueryRowContext(ctx, `SELECT sealed FROM certificates WHERE name = ?`, name).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, engine.ErrNotFound
	}
	return sealed, classify(err)
}

// SaveCertificate implements engine.CertificateStore.
func (s *Store) SaveCertificate(ctx context.Context, name string, sealed []byte) error {
	now := time.Now()
	return s.doShared(ctx, func(t *tx) error {
		// A node that was killed leaves the certificate of its challenge.
		if err := t.exec(`DELETE FROM certificates WHERE name LIKE '%+token' AND at < ?`, now.Add(-24*time.Hour).UnixMilli()); err != nil {
			return err
		}
		return t.exec(`INSERT INTO certificates (name, sealed, at) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET sealed =
			excluded.sealed, at = excluded.at`, name, sealed, now.UnixMilli())
	})
}

// DropCertificate implements engine.CertificateStore.
func (s *Store) DropCertificate(ctx context.Context, name string) error {
	return s.doShared(ctx, func(t *tx) error { return t.exec(`DELETE FROM certificates WHERE name = ?`, name) })
}

// ClaimCertificate implements engine.CertificateStore.
func (s *Store) ClaimCertificate(ctx context.Context, name, owner string, now, until time.Time) (ok bool, err error) {
	err = s.doShared(ctx, func(t *tx) error {
		err := t.exec(`INSERT INTO certificate_claims (name, owner, until) VALUES (?1, ?2, ?4) ON CONFLICT (name) DO UPDATE SET owner =
			excluded.owner, until = excluded.until WHERE certificate_claims.owner = ?2 OR certificate_claims.until <= ?3`, name, owner,
			now.UnixMilli(), until.UnixMilli())
		ok = t.changes > 0
		return err
	})
	return ok && err == nil, err
}

// DropCertificateClaim implements engine.CertificateStore.
func (s *Store) DropCertificateClaim(ctx context.Context, name, owner string) error {
	return s.doShared(ctx, func(t *tx) error {
		return t.exec(`DELETE FROM certificate_claims WHERE name = ? AND owner = ?`, name, owner)
	})
}
