package store

import (
	"bytes"
	"context"
	"database/sql/driver"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// maxOrders is how many keys of orders are stored.
const maxOrders = 10_000

// BeginOrder implements engine.Store.
func (s *Store) BeginOrder(ctx context.Context, key string, digest []byte, now time.Time) (o engine.Order, err error) {
	err = s.w.do(ctx, true, func(t *tx) error {
		o = engine.Order{At: now}
		if err := t.exec(`DELETE FROM orders WHERE at < ?`, now.Add(-engine.OrderTime).UnixMilli()); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO orders (key, digest, status, at) VALUES (?, ?, 0, ?) ON CONFLICT DO NOTHING`, key, digest,
			now.UnixMilli()); err != nil {
			return err
		}
		if t.changes == 1 {
			return t.exec(`DELETE FROM orders WHERE (SELECT count(*) FROM orders) > ? AND key = (SELECT key FROM orders ORDER BY at LIMIT 1)`,
				int64(maxOrders))
		}
		v := make([]driver.Value, 4)
		if _, err := t.row(`SELECT digest, status, answer, at FROM orders WHERE key = ?`, v, key); err != nil {
			return err
		}
		had, _ := v[0].([]byte)
		status, _ := v[1].(int64)
		answer, _ := v[2].([]byte)
		at, _ := v[3].(int64)
		o = engine.Order{Known: true, Same: bytes.Equal(had, digest), Status: int(status), Answer: bytes.Clone(answer), At: fromMillis(at)}
		return nil
	})
	return o, err
}

// EndOrder implements engine.Store.
func (s *Store) EndOrder(ctx context.Context, key string, o engine.Order) error {
	return s.w.do(ctx, true, func(t *tx) error {
		if o.Status == 0 {
			return t.exec(`DELETE FROM orders WHERE key = ? AND status = 0`, key)
		}
		return t.exec(`UPDATE orders SET status = ?, answer = ? WHERE key = ?`, int64(o.Status), o.Answer, key)
	})
}
