package store

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file finds the runs that made the attempts which a replay from the failed step has kept. A kept
// attempt is a copy, with the times of the first one.

// attemptKey identifies an attempt of a run.
type attemptKey struct {
	path    string
	attempt int
}

// earlierRun is a run of an event that may have made attempts of a later run.
type earlierRun struct {
	origin    engine.StepOrigin
	repeats   engine.RunID
	created   number
	continues bool
	// has are the attempts that the later run has, too.
	has map[attemptKey]bool
}

// origins sets, for a run that continues others, which of its attempts were kept from them.
func (h *History) origins(ctx context.Context, id engine.RunID, d *engine.RunDetail) error {
	var continues bool
	if err := h.db.QueryRowContext(ctx, `SELECT continues IS NOT NULL FROM runs WHERE id = ?`, int64(id)).Scan(&continues); err != nil {
		return classify(err)
	}
	if !continues {
		return nil
	}
	runs, order, err := h.earlierRuns(ctx, id)
	if err != nil {
		return fmt.Errorf("looking for the runs of kept attempts: %w", err)
	}
	read := map[engine.RunID]bool{}
	for i := range d.Steps {
		s := &d.Steps[i]
		if s.Status != "succeeded" && s.Status != "skipped" {
			continue
		}
		of, pruned := madeBy(id, attemptKey{s.Path, s.Attempt}, s.StartedAt.UnixMilli(), runs, order)
		s.Kept = pruned || of != id
		if pruned || of == id {
			continue
		}
		s.KeptFrom = of.String()
		made := &runs[of].origin
		if !read[of] {
			read[of] = true
			if made.Kept, err = keptRuns(ctx, h.db, of); err != nil {
				return err
			}
		}
		o := *made
		if o.Began, err = h.beganAt(ctx, of, s); err != nil {
			return err
		}
		s.Origin = &o
	}
	return nil
}

// madeBy returns the run that made an attempt of a run; pruned reports that it no longer exists. order
// are the runs of the event, newest first.
func madeBy(run engine.RunID, a attemptKey, started int64, runs map[engine.RunID]*earlierRun, order []engine.RunID) (engine.RunID, bool) {
	for {
		r := runs[run]
		if !r.continues {
			return run, false
		}
		var next engine.RunID
		if of := runs[r.repeats]; of != nil && of.has[a] {
			next = r.repeats
		}
		if next == 0 && started >= int64(r.created) {
			return run, false
		}
		// An event's runs that were replaced by evaluating it again may have kept attempts of any earlier one.
		for i := 0; next == 0 && i < len(order); i++ {
			if order[i] < run && runs[order[i]].has[a] {
				next = order[i]
			}
		}
		if next == 0 || next >= run {
			return run, true
		}
		run = next
	}
}

// earlierRuns lists a run and the earlier ones of its event and workflow, with the attempts that both have.
func (h *History) earlierRuns(ctx context.Context, id engine.RunID) (map[engine.RunID]*earlierRun, []engine.RunID, error) {
	runs := map[engine.RunID]*earlierRun{}
	order, err := collect(ctx, h.db, `SELECT o.id, o.version, coalesce(o.repeats, 0), o.continues IS NOT NULL, o.created_at
		FROM runs r JOIN runs o ON o.event_id = r.event_id AND o.workflow = r.workflow AND o.id <= r.id WHERE r.id = ? ORDER BY o.id DESC`,
		[]any{int64(id)}, func(s scanner) (engine.RunID, error) {
			var run, repeats int64
			e := &earlierRun{has: map[attemptKey]bool{}}
			err := s.Scan(&run, &e.origin.Version, &repeats, &e.continues, &e.created)
			e.origin.Run, e.repeats, e.origin.Replays = engine.RunID(run), engine.RunID(repeats), repeats != 0
			runs[engine.RunID(run)] = e
			return engine.RunID(run), err
		})
	if err != nil {
		return nil, nil, err
	}
	_, err = collect(ctx, h.db, `SELECT o.run_id, o.path, o.attempt FROM runs r JOIN runs e ON e.event_id = r.event_id
		AND e.workflow = r.workflow AND e.id < r.id JOIN steps c ON c.run_id = r.id AND c.status IN ('succeeded', 'skipped')
		JOIN steps o ON o.run_id = e.id AND o.path = c.path AND o.attempt = c.attempt AND o.status = c.status
			AND o.started_at = c.started_at AND o.finished_at = c.finished_at WHERE r.id = ?`,
		[]any{int64(id)}, func(s scanner) (struct{}, error) {
			var run int64
			var a attemptKey
			err := s.Scan(&run, &a.path, &a.attempt)
			if e := runs[engine.RunID(run)]; e != nil {
				e.has[a] = true
			}
			return struct{}{}, err
		})
	return runs, order, err
}

// beganAt returns when the first attempt of a kept step began.
func (h *History) beganAt(ctx context.Context, run engine.RunID, s *engine.StepItem) (time.Time, error) {
	if s.Attempt == 1 {
		return s.StartedAt, nil
	}
	var at number
	err := h.db.QueryRowContext(ctx, `SELECT min(started_at) FROM steps WHERE run_id = ? AND path = ?`, int64(run), s.Path).Scan(&at)
	return fromMillis(int64(at)), classify(err)
}
