package store

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// shownHolders is the maximum number of runs listed that hold the slot another run waits for.
const shownHolders = 3

// holders lists the runs that hold the slots of the group in which a run waits, oldest first.
func (h *History) holders(ctx context.Context, id engine.RunID) ([]engine.SlotHolder, error) {
	type held struct {
		run   engine.RunID
		since int64
	}
	list, err := collect(ctx, h.db,
		`SELECT o.run_id, coalesce(o.starts_at, 0) FROM places p JOIN places o ON o.workflow = p.workflow AND o.grp = p.grp
			AND o.state IN ('has', 'replaced')
		WHERE p.run_id = ? ORDER BY o.run_id LIMIT ?`, []any{int64(id), shownHolders}, func(r scanner) (x held, err error) {
			err = r.Scan(&x.run, &x.since)
			return x, err
		})
	if err != nil {
		return nil, err
	}
	out := []engine.SlotHolder{}
	for _, x := range list {
		d, err := h.opened(ctx, x.run)
		if err != nil {
			return nil, err
		}
		p := engine.SlotHolder{Run: x.run.String(), Status: d.Status, Since: fromMillis(x.since)}
		if d.Status == string(engine.Waiting) {
			p.GoesOn, p.Detail = d.GoesOn(time.UTC), d
		}
		out = append(out, p)
	}
	return out, nil
}

// opened returns the data that says when an open run continues.
func (h *History) opened(ctx context.Context, id engine.RunID) (*engine.RunDetail, error) {
	item, err := scanRunItem(h.db.QueryRowContext(ctx, runItem+` WHERE r.id = ?`, int64(id)))
	if err != nil {
		return nil, classify(err)
	}
	d := &engine.RunDetail{RunItem: item}
	if d.Steps, err = h.Steps(ctx, id); err != nil {
		return nil, err
	}
	return d, h.calls(ctx, id, d)
}

// calls adds the runs that a run has called and waits for, and the run that called it.
func (h *History) calls(ctx context.Context, id engine.RunID, d *engine.RunDetail) (err error) {
	if d.FinishedAt == nil {
		d.Calls, err = collect(ctx, h.db, `SELECT path, printf('evt_%016x', event_id), coalesce(workflow, '') FROM waits WHERE run_id = ? AND `+
			`kind = 'call' ORDER BY path`,
			[]any{int64(id)}, func(r scanner) (x engine.CalledItem, err error) {
				err = r.Scan(&x.Step, &x.Event, &x.Workflow)
				return x, err
			})
		if err != nil {
			return err
		}
	}
	for i := range d.Calls {
		event, err := engine.ParseEventID(d.Calls[i].Event)
		if err != nil {
			continue
		}
		runs, err := collect(ctx, h.db, `SELECT printf('run_%016x', id), status FROM runs WHERE event_id = ? AND repeats IS NULL ORDER BY id `+
			`LIMIT 1`, []any{int64(event)}, func(r scanner) (x [2]string, err error) {
			err = r.Scan(&x[0], &x[1])
			return x, err
		})
		if err != nil {
			return err
		}
		if len(runs) > 0 {
			d.Calls[i].Run, d.Calls[i].Status = runs[0][0], runs[0][1]
		}
	}
	return nil
}

// calledBy returns the run that called another; empty if none did.
func (h *History) calledBy(ctx context.Context, event int64) (string, error) {
	var by string
	err := h.db.QueryRowContext(ctx, `SELECT coalesce((SELECT headers ->> '$.x-called-by' FROM events WHERE id = ? AND inlet = 'call'), '')`,
		event).Scan(&by)
	return by, classify(err)
}
