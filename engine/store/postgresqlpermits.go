package store

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"

	"github.com/hookloom/hookloom/engine/permit"
)

// This file stores the limits that hold for all nodes together. What a node was given is committed before
// it uses it: other nodes need no notification, and nothing is left to do when a node dies.

// databaseMicros is the database's time in microseconds.
const databaseMicros = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

// TakePermits implements engine.SharedStore.
func (s *Store) TakePermits(ctx context.Context, asks []permit.Ask) (grants []permit.Grant, err error) {
	if s.w.pg == nil {
		return nil, errors.ErrUnsupported
	}
	err = s.w.do(ctx, true, func(t *tx) (err error) {
		grants, err = t.takePermits(asks)
		return err
	})
	return grants, err
}

// permitState is what is stored about limits.
type permitState struct {
	now    int64
	starts map[string]int64
	slots  map[string][]permit.Holder
}

func (t *tx) takePermits(asks []permit.Ask) ([]permit.Grant, error) {
	st, err := t.permitState(asks)
	if err != nil {
		return nil, err
	}
	self := t.w.pg.epoch
	grants := make([]permit.Grant, len(asks))
	for i, a := range asks {
		if a.Every > 0 && a.Starts > 0 {
			before := st.starts[a.Name]
			g, next := permit.Start(a, before, st.now)
			if grants[i] = g; next != before {
				st.starts[a.Name] = next
				if err := t.put(`INSERT INTO permit_starts (name, next_at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET next_at =
					excluded.next_at`, a.Name, next); err != nil {
					return nil, err
				}
			}
		}
		if a.Slots == 0 {
			continue
		}
		given, held := permit.Slots(a, self, st.slots[a.Name], st.now)
		grants[i].Slots = given
		if held == 0 && a.Wanted == 0 {
			err = t.put(`DELETE FROM permit_slots WHERE name = ? AND epoch = ?`, a.Name, self)
		} else {
			err = t.put(`INSERT INTO permit_slots (name, epoch, held, wanted) VALUES (?, ?, ?, ?) ON CONFLICT (name, epoch) DO UPDATE SET
				held = excluded.held, wanted = excluded.wanted`, a.Name, self, int64(held), int64(a.Wanted))
		}
		if err != nil {
			return nil, err
		}
	}
	return grants, nil
}

// permitState reads the limits that are asked for. A node that is gone has begun nothing since its lease
// ended, so its slots are free.
func (t *tx) permitState(asks []permit.Ask) (st permitState, err error) {
	st = permitState{starts: map[string]int64{}, slots: map[string][]permit.Holder{}}
	names := make([]string, len(asks))
	for i, a := range asks {
		names[i] = a.Name
	}
	list, err := json.Marshal(names)
	if err != nil {
		return st, err
	}
	err = t.each(`SELECT 1, '', `+databaseMicros+`, 0, 0 UNION ALL
		SELECT 2, name, next_at, 0, 0 FROM permit_starts WHERE name IN (SELECT value FROM json_each(?1)) UNION ALL
		SELECT 3, s.name, s.epoch, s.held, s.wanted FROM permit_slots s JOIN nodes n ON n.epoch = s.epoch AND NOT n.gone
			WHERE s.name IN (SELECT value FROM json_each(?1)) AND s.epoch <> ?2`, 5, func(v []driver.Value) {
		kind, _ := v[0].(int64)
		name, _ := v[1].(string)
		x, _ := v[2].(int64)
		held, _ := v[3].(int64)
		wanted, _ := v[4].(int64)
		switch kind {
		case 1:
			st.now = x
		case 2:
			st.starts[name] = x
		case 3:
			st.slots[name] = append(st.slots[name], permit.Holder{Node: x, Held: int(held), Wanted: int(wanted)})
		}
	}, string(list), t.w.pg.epoch)
	return st, err
}

// dropPermits deletes the slots of nodes that have ended, and limits not used for a day.
func (t *tx) dropPermits() error {
	if err := t.exec(`DELETE FROM permit_slots WHERE epoch NOT IN (SELECT epoch FROM nodes WHERE NOT gone)`); err != nil {
		return err
	}
	return t.exec(`DELETE FROM permit_starts WHERE next_at < ` + databaseMicros + ` - 86400000000`)
}
