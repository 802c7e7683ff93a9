package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/hookloom/hookloom/engine"
)

// This file counts dead runs by cause on PostgreSQL, where reading a field of a JSON text costs more than
// reading its run, and each look at the steps of a run as much as three runs. So the texts are read here, and
// the hosts come from the index of failed steps.

const (
	deadRows = `SELECT r.id, r.workflow, r.version, r.error, r.finished_at FROM runs r`
	// deadHosts are the failed attempts of the runs that a query selects.
	deadHosts = `SELECT s.run_id, s.path, s.attempt, s.destination FROM steps s WHERE s.status = 'failed' AND s.destination IS NOT NULL
		AND s.run_id IN (SELECT r.id FROM runs r`
	// otherHosts are the attempts of runs whose step has no failed attempt: of one that timed out, or is in doubt.
	otherHosts = `SELECT s.run_id, s.path, s.attempt, s.destination FROM steps s WHERE s.run_id IN (SELECT value FROM json_each(?))
		AND s.path IN (SELECT value FROM json_each(?)) AND s.destination IS NOT NULL`
)

// deadRow is a dead run.
type deadRow struct {
	id, finished int64
	deadKey
}

// deadKey are the parts by which dead runs are grouped.
type deadKey struct {
	workflow, version string
	cause             *deadCause
	host              string
}

// stepOf identifies a step of a run.
type stepOf struct {
	run  int64
	path string
}

// hostOf is the host of an attempt.
type hostOf struct {
	attempt int64
	host    string
}

// deadRunsByRow counts the dead runs.
func (h *History) deadRunsByRow(ctx context.Context, q engine.Query, add func(engine.DeadLetter, int, int64, int64)) error {
	asked := q
	q.Host, q.Reason = "", ""
	w, _, _, err := runConditions(q)
	if err != nil {
		return err
	}
	if asked.Host != "" {
		w.oneOf(`r.id IN (SELECT f.run_id FROM steps f WHERE f.status = 'failed' AND f.destination IS NOT NULL AND f.destination`,
			hostNames(asked.Host))
		w.parts[len(w.parts)-1] += ")"
	}
	rows, err := h.deadRows(ctx, w)
	if err != nil || len(rows) == 0 {
		return err
	}
	if asked.Reason != "" {
		reasons := trimmed(asked.Reason)
		rows = slices.DeleteFunc(rows, func(r deadRow) bool { return !slices.Contains(reasons, r.cause.Code) })
	}
	if err := h.deadHosts(ctx, w, rows); err != nil {
		return err
	}
	type group struct {
		n           int
		first, last int64
	}
	groups := map[deadKey]*group{}
	for _, r := range rows {
		if asked.Host != "" && !slices.Contains(hostNames(asked.Host), r.host) {
			continue
		}
		g := groups[r.deadKey]
		if g == nil {
			g = &group{first: r.finished, last: r.finished}
			groups[r.deadKey] = g
		}
		g.n++
		g.first, g.last = min(g.first, r.finished), max(g.last, r.finished)
	}
	for k, g := range groups {
		d := engine.DeadLetter{Kind: "run"}
		d.Workflow, d.Version, d.Host = k.workflow, k.version, k.host
		d.ErrorStep, d.ErrorCode, d.Error = k.cause.Step, k.cause.Code, k.cause.Message
		add(d, g.n, g.first, g.last)
	}
	return nil
}

// deadRows lists the runs that conditions select.
func (h *History) deadRows(ctx context.Context, w where) ([]deadRow, error) {
	known := map[string]*deadCause{}
	none := &deadCause{}
	return collect(ctx, h.db, deadRows+w.String(), w.args, func(s scanner) (r deadRow, err error) {
		var text sql.NullString
		err = s.Scan(&r.id, &r.workflow, &r.version, &text, &r.finished)
		if r.cause = none; text.Valid {
			if r.cause = known[text.String]; r.cause == nil {
				r.cause = readCause(text.String)
				known[text.String] = r.cause
			}
		}
		return r, err
	})
}

// deadCause are the parts of a run's error.
type deadCause struct{ Step, Code, Message string }

// readCause reads a run's error as errorStep, errorCode and errorMessage do.
func readCause(text string) *deadCause {
	var c deadCause
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return &deadCause{Message: "the error of this run cannot be read"}
	}
	return &c
}

// deadHosts sets the hosts of runs.
func (h *History) deadHosts(ctx context.Context, w where, rows []deadRow) error {
	hosts := map[stepOf]hostOf{}
	if err := h.hosts(ctx, hosts, deadHosts+w.String()+`)`, w.args...); err != nil {
		return err
	}
	var runs []int64
	var paths []string
	for _, r := range rows {
		if _, ok := hosts[stepOf{r.id, r.cause.Step}]; !ok && r.cause.Step != "" {
			runs, paths = append(runs, r.id), append(paths, r.cause.Step)
		}
	}
	slices.Sort(paths)
	if paths = slices.Compact(paths); len(runs) > 0 {
		list, err := json.Marshal(runs)
		if err != nil {
			return err
		}
		names, err := json.Marshal(paths)
		if err != nil {
			return err
		}
		others := map[stepOf]hostOf{}
		if err := h.hosts(ctx, others, otherHosts, string(list), string(names)); err != nil {
			return err
		}
		for step, host := range others {
			if _, ok := hosts[step]; !ok {
				hosts[step] = host
			}
		}
	}
	for i := range rows {
		rows[i].host = hosts[stepOf{rows[i].id, rows[i].cause.Step}].host
	}
	return nil
}

// hosts adds the host of the last attempt of each step that a query finds.
func (h *History) hosts(ctx context.Context, into map[stepOf]hostOf, query string, args ...any) error {
	_, err := collect(ctx, h.db, query, args, func(s scanner) (struct{}, error) {
		var step stepOf
		var x hostOf
		err := s.Scan(&step.run, &step.path, &x.attempt, &x.host)
		if before, ok := into[step]; err == nil && (!ok || before.attempt < x.attempt) {
			into[step] = x
		}
		return struct{}{}, err
	})
	return err
}
