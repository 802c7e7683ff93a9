package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// This file implements engine.SharedStore: what several nodes on PostgreSQL tell each other. A SQLite
// file has one node, which knows all of it.

// Shared implements engine.SharedStore.
func (s *Store) Shared() bool { return s.w.pg != nil }

// ShareRules implements engine.SharedStore.
func (s *Store) ShareRules(ctx context.Context, version, workflow string) error {
	if s.w.pg == nil {
		return nil
	}
	var known bool
	err := s.readers.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM shared_rules WHERE version = ?)`, version).Scan(&known)
	if err != nil || known {
		return classify(err)
	}
	return s.w.do(ctx, true, func(t *tx) error {
		err := t.exec(`INSERT INTO shared_rules (version, workflow) VALUES (?, ?) ON CONFLICT DO NOTHING`, version, workflow)
		if err != nil || t.changes == 0 {
			return err
		}
		return t.rulesChanged()
	})
}

// rulesChanged tells the other nodes that what decisions rely on has changed.
func (t *tx) rulesChanged() error {
	t.signal(engine.SignalSwitches)
	if t.w.pg == nil {
		return nil
	}
	t.w.pg.rules++
	return t.exec(`UPDATE deciding SET seq = seq + 1 WHERE one = 1`)
}

// reliesOn returns engine.ErrRules if a decision relies on rules that have changed. 0 relies on none.
func (t *tx) reliesOn(seq int64) error {
	if t.w.pg == nil || seq == 0 {
		return nil
	}
	if err := t.locked(); err != nil || seq == t.w.pg.rules {
		return err
	}
	return engine.ErrRules
}

// Rules implements engine.SharedStore.
func (s *Store) Rules(ctx context.Context) (seq int64, list []engine.Run, err error) {
	if s.w.pg == nil {
		return 0, nil, nil
	}
	if err := s.readers.QueryRowContext(ctx, `SELECT seq FROM deciding`).Scan(&seq); err != nil {
		return 0, nil, classify(err)
	}
	list, err = collect(ctx, s.readers, `SELECT version, workflow FROM shared_rules ORDER BY version`, nil,
		func(r scanner) (x engine.Run, err error) {
			err = r.Scan(&x.Version, &x.Workflow)
			return x, err
		})
	return seq, list, err
}

// OrderNodes implements engine.SharedStore.
func (s *Store) OrderNodes(ctx context.Context, o engine.NodeOrder) error {
	if s.w.pg == nil {
		return nil
	}
	var why driver.Value
	if o.Why != nil {
		b, err := json.Marshal(o.Why)
		if err != nil {
			return err
		}
		why = string(b)
	}
	return s.w.do(ctx, true, func(t *tx) error {
		t.signal(engine.SignalOrders)
		if o.Kind == engine.OrderCancel {
			id, err := engine.ParseRunID(o.Subject)
			if err != nil {
				return err
			}
			return t.exec(`INSERT INTO orders_to_nodes (run_id, kind, subject, why) VALUES (?, ?, ?, ?)`, int64(id), o.Kind, o.Subject, why)
		}
		return t.exec(`INSERT INTO orders_to_nodes (node, kind, subject, why) SELECT node, ?1, ?2, ?3 FROM nodes WHERE NOT gone AND
			verb = 'serve' AND epoch <> ?4`, o.Kind, o.Subject, why, t.w.pg.epoch)
	})
}

// NodeOrders implements engine.SharedStore. An order to end a run that another node executes is for that
// one; for any node if none executes it.
func (s *Store) NodeOrders(ctx context.Context) ([]engine.NodeOrder, error) {
	if s.w.pg == nil {
		return nil, nil
	}
	return collect(ctx, s.readers, `SELECT o.rowid, o.kind, o.subject, o.why FROM orders_to_nodes o WHERE o.node = ?1 OR o.node IS NULL AND
		NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = o.run_id AND r.status = 'running' AND r.owner_node <> ?1) ORDER BY o.rowid`,
		[]any{s.w.pg.node}, func(r scanner) (o engine.NodeOrder, err error) {
			var why sql.NullString
			if err := r.Scan(&o.ID, &o.Kind, &o.Subject, &why); err != nil || !why.Valid {
				return o, err
			}
			o.Why = &plan.Error{}
			return o, json.Unmarshal([]byte(why.String), o.Why)
		})
}

// DoneOrder implements engine.SharedStore.
func (s *Store) DoneOrder(ctx context.Context, id int64) error {
	if s.w.pg == nil {
		return nil
	}
	return s.w.do(ctx, true, func(t *tx) error { return t.exec(`DELETE FROM orders_to_nodes WHERE rowid = ?`, id) })
}

// placeInLane stores an event that must be decided after the others of its lane. It goes to the node where
// the first of them waits, so that no other node decides it before.
func (t *tx) placeInLane(a *encodedDelivery, r *engine.Receipt) error {
	v := make([]driver.Value, 2)
	if _, err := t.row(`SELECT (SELECT owner_node FROM inbox WHERE lane = ?1 ORDER BY rowid LIMIT 1),
		(SELECT count(*) FROM inbox i WHERE i.lane = ?1 AND (i.event_id >> ?2) & ?3 <> ?4)`, v, a.d.Lane, int64(engine.NodeShift),
		int64(engine.MaxNode), t.w.pg.node); err != nil {
		return err
	}
	owner, waits := v[0].(int64)
	if !waits {
		owner = t.w.pg.node
	}
	foreign, _ := v[1].(int64)
	if r.Elsewhere = owner != t.w.pg.node; r.Elsewhere {
		t.signal(engine.SignalInbox)
	}
	r.Behind = foreign > 0
	return t.put(`INSERT INTO inbox (event_id, owner_node, lane) VALUES (?, ?, ?)`, int64(a.id), owner, a.d.Lane)
}

// nodeKeys is the name in meta of the digests of the nodes' keys, by the epoch of the node.
const nodeKeys = "node_keys"

// ShareKey implements engine.SharedStore. The nodes are compared, not the node with the database: a key may
// be replaced while no node runs.
func (s *Store) ShareKey(ctx context.Context, digest string) error {
	if s.w.pg == nil {
		return nil
	}
	return s.w.do(ctx, true, func(t *tx) error {
		living := map[string]string{} // names by epoch
		if err := t.each(`SELECT n.epoch, n.name FROM nodes n JOIN beats b ON b.node = n.node AND b.epoch = n.epoch WHERE NOT n.gone AND
			b.until > `+databaseNow, 2, func(v []driver.Value) {
			name, _ := v[1].(string)
			living[fmt.Sprint(v[0])] = name
		}); err != nil {
			return err
		}
		v, known := make([]driver.Value, 1), map[string]string{}
		found, err := t.row(`SELECT value FROM meta WHERE name = ?`, v, nodeKeys)
		if err != nil {
			return err
		}
		if text, _ := v[0].(string); found {
			if err := json.Unmarshal([]byte(text), &known); err != nil {
				return fmt.Errorf("meta.%s: %w", nodeKeys, err)
			}
		}
		for epoch, other := range known {
			if name, lives := living[epoch]; !lives {
				delete(known, epoch)
			} else if other != digest {
				return &engine.KeyError{Node: name}
			}
		}
		known[fmt.Sprint(t.w.pg.epoch)] = digest
		text, err := json.Marshal(known)
		if err != nil {
			return err
		}
		return t.exec(`INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, nodeKeys,
			string(text))
	})
}
