package store

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// countMost is where counts without a bound of their own stop.
const countMost = 10_000

// names lists the distinct values of an index's first column, by skipping from one to the next: the
// rows between are not read.
func (h *History) names(ctx context.Context, table, column string) ([]string, error) {
	return collect(ctx, h.db, `WITH RECURSIVE n(v) AS (SELECT min(`+column+`) FROM `+table+` UNION ALL
		SELECT (SELECT min(`+column+`) FROM `+table+` WHERE `+column+` > n.v) FROM n WHERE n.v IS NOT NULL)
		SELECT v FROM n WHERE v IS NOT NULL`, nil, func(s scanner) (v string, err error) {
		err = s.Scan(&v)
		return v, err
	})
}

// Activity counts what happened since a time, in n intervals of equal length. It reads only
// indexes, and the counts of past hours if each hour is in one interval.
func (h *History) Activity(ctx context.Context, from time.Time, step time.Duration, n int) ([]engine.Bucket, error) {
	out := make([]engine.Bucket, n)
	for i := range out {
		out[i].At = from.Add(time.Duration(i) * step)
	}
	low, high := engine.FirstID(from), engine.FirstID(from.Add(time.Duration(n)*step))
	// An id contains its time, in milliseconds since 2020; quarantine has its own column.
	count := func(query string, into func(*engine.Bucket) *int, args ...any) error {
		begin := low >> 21
		if strings.Contains(query, "quarantine") {
			begin = from.UnixMilli()
		}
		rows, err := collect(ctx, h.db, query+` GROUP BY 1`, append([]any{begin, step.Milliseconds()}, args...),
			func(s scanner) ([2]int, error) {
				var x [2]int
				err := s.Scan(&x[0], &x[1])
				return x, err
			})
		for _, x := range rows {
			if x[0] >= 0 && x[0] < n {
				*into(&out[x[0]]) += x[1]
			}
		}
		return err
	}
	var past countedHours
	var err error
	if step%time.Hour == 0 && from.UnixMilli()%hourMS == 0 {
		past, err = h.counted(ctx, low, high)
	}
	for _, x := range []struct {
		kind, table, column string
		into                func(*engine.Bucket) *int
	}{{"event", "events", "trigger", func(b *engine.Bucket) *int { return &b.Events }},
		{"run", "runs", "workflow", func(b *engine.Bucket) *int { return &b.Runs }}} {
		err = errors.Join(err, count(`SELECT (hour * 3600000 - ?) / ?, CAST(sum(n) AS BIGINT) FROM hour_counts WHERE kind = ? AND name = ''
			AND hour >= ? AND hour < ?`, x.into, x.kind, past.first, past.end))
		names, nerr := h.names(ctx, x.table, x.column)
		err = errors.Join(err, nerr)
		for _, name := range names {
			for _, part := range past.rest(low, high) {
				err = errors.Join(err, count(`SELECT ((id >> 21) - ?) / ?, count(*) FROM `+x.table+` WHERE `+x.column+` = ? AND id >= ?
					AND id < ?`, x.into, name, part[0], part[1]))
			}
		}
	}
	for _, status := range []engine.RunStatus{engine.Failed, engine.TimedOut, engine.Cancelled} {
		into := func(b *engine.Bucket) *int { return &b.Failed }
		if status == engine.Cancelled {
			into = func(b *engine.Bucket) *int { return &b.Cancelled }
		}
		err = errors.Join(err, count(failedPart(status).perMoment(), into, low, high))
	}
	for _, p := range openParts {
		err = errors.Join(err, count(p.perMoment(), func(b *engine.Bucket) *int { return &b.Open }, low, high))
	}
	err = errors.Join(err, count(`SELECT (at - ?) / ?, count(*) FROM quarantine WHERE at >= ?
		AND at < ?`, func(b *engine.Bucket) *int { return &b.Refused }, from.UnixMilli(), from.Add(time.Duration(n)*step).UnixMilli()))
	return out, err
}

// CurrentState returns the current state of the engine, by partial indexes.
func (h *History) CurrentState(ctx context.Context) (engine.CurrentState, error) {
	var s engine.CurrentState
	err := h.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM inbox),
		(SELECT count(*) FROM runs INDEXED BY runs_due WHERE status = 'queued'), (SELECT count(*) FROM runs INDEXED BY runs_due
			WHERE status = 'waiting'),
		(SELECT count(*) FROM runs WHERE status = 'running'),
		(SELECT count(*) FROM (SELECT 1 FROM runs r WHERE `+deadLetters+` LIMIT ?)), (`+countFailed+`)`, countMost).
		Scan(&s.Inbox, &s.Queued, &s.Waiting, &s.AtWork, &s.DeadLetters, &s.RuleFailures)
	s.DeadLetters += s.RuleFailures
	if err == nil {
		s.NeedPeople, err = h.NeedsPeople(ctx)
	}
	if err == nil {
		err = h.oldest(ctx, &s)
	}
	if h.postgres && err == nil {
		err = h.db.QueryRowContext(ctx, postgresSize).Scan(&s.DatabaseBytes)
		return s, classify(err)
	}
	s.HasWAL = true
	for path, into := range map[string]*int64{h.path: &s.DatabaseBytes, h.path + "-wal": &s.WALBytes} {
		if info, serr := os.Stat(path); serr == nil {
			*into = info.Size()
		}
	}
	return s, classify(err)
}

// TriggerStats returns the statistics of a trigger since a time.
func (h *History) TriggerStats(ctx context.Context, trigger string, since time.Time) (engine.TriggerStats, error) {
	var s engine.TriggerStats
	var last sql.NullInt64
	low := engine.FirstID(since)
	past, err := h.counted(ctx, low, math.MaxInt64)
	if err == nil {
		s.Events, err = h.countSince(ctx, past, "event", trigger, eventsBetween, low)
	}
	if err != nil {
		return s, err
	}
	err = h.db.QueryRowContext(ctx, `SELECT (SELECT max(id) FROM events WHERE trigger = ?1),
		(SELECT count(*) FROM quarantine WHERE trigger = ?1 AND at >= ?2)`, trigger, since.UnixMilli()).Scan(&last, &s.Refused)
	if last.Valid {
		at := engine.RunID(last.Int64).Time()
		s.LastAt = &at
	}
	return s, classify(err)
}

// WorkflowStats returns the statistics of each workflow that has run since a time.
func (h *History) WorkflowStats(ctx context.Context, since time.Time) (map[string]engine.WorkflowStats, error) {
	names, err := h.names(ctx, "runs", "workflow")
	if err != nil {
		return nil, err
	}
	low := engine.FirstID(since)
	failed, open, cancelled := map[string]int{}, map[string]int{}, map[string]int{}
	if err := h.perWorkflow(ctx, failedPart(engine.Cancelled), low, cancelled); err != nil {
		return nil, err
	}
	for _, status := range []engine.RunStatus{engine.Failed, engine.TimedOut} {
		if err := h.perWorkflow(ctx, failedPart(status), low, failed); err != nil {
			return nil, err
		}
	}
	for _, p := range openParts {
		if err := h.perWorkflow(ctx, p, low, open); err != nil {
			return nil, err
		}
	}
	past, err := h.counted(ctx, low, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	out := map[string]engine.WorkflowStats{}
	for _, name := range names {
		s := engine.WorkflowStats{Failed: failed[name], Open: open[name], Cancelled: cancelled[name]}
		if s.Runs, err = h.countSince(ctx, past, "run", name, runsBetween, low); err != nil {
			return nil, err
		}
		var last sql.NullInt64
		if err := h.db.QueryRowContext(ctx, `SELECT max(id) FROM runs WHERE workflow = ?`, name).Scan(&last); err != nil {
			return nil, classify(err)
		}
		if last.Valid {
			at := engine.RunID(last.Int64).Time()
			s.LastAt = &at
		}
		if err := h.durations(ctx, name, low, &s); err != nil {
			return nil, err
		}
		out[name] = s
	}
	return out, nil
}

// durations sums up how long the last ended runs of a workflow took.
func (h *History) durations(ctx context.Context, workflow string, low int64, s *engine.WorkflowStats) error {
	var took, worked, waited []time.Duration
	_, err := collect(ctx, h.db, `SELECT finished_at - created_at, active_ms
		FROM (SELECT created_at, finished_at, started_at, active_ms FROM runs WHERE workflow = ? AND id >= ? ORDER BY id DESC LIMIT 200)
		WHERE finished_at IS NOT NULL AND started_at IS NOT NULL`, []any{workflow, low}, func(r scanner) (struct{}, error) {
		var all, active int64
		err := r.Scan(&all, &active)
		took = append(took, time.Duration(all)*time.Millisecond)
		worked = append(worked, time.Duration(active)*time.Millisecond)
		waited = append(waited, time.Duration(max(0, all-active))*time.Millisecond)
		return struct{}{}, err
	})
	s.Took, s.Worked, s.Waited = engine.DelaysOf(took), engine.DelaysOf(worked), engine.DelaysOf(waited)
	return err
}

// oldest returns since when the oldest undecided event, and the oldest run that is due, have
// waited.
func (h *History) oldest(ctx context.Context, s *engine.CurrentState) error {
	var event, run sql.NullInt64
	err := h.db.QueryRowContext(ctx, `SELECT (SELECT min(event_id) FROM inbox), (SELECT min(due_at) FROM runs
		WHERE `+openRun+` AND due_at <= ?)`, time.Now().UnixMilli()).Scan(&event, &run)
	if event.Valid {
		at := engine.RunID(event.Int64).Time()
		s.OldestEvent = &at
	}
	s.OldestRun = timePointer(run)
	return classify(err)
}

// part is a subset of the runs that has its own index. Queries name it: SQLite would otherwise read
// all runs of the interval.
type part struct{ index, condition string }

// failedPart is one of the three ways in which a run ends unsuccessfully.
func failedPart(status engine.RunStatus) part {
	return part{"runs_not_well", "status = '" + string(status) + "'"}
}

var openParts = []part{{"runs_due", openRun}, {"runs_at_work", "status = 'running'"}}

func (p part) perWorkflow() string {
	return `SELECT workflow, count(*) FROM runs INDEXED BY ` + p.index + ` WHERE ` + p.condition + ` AND id >= ? GROUP BY workflow`
}

func (p part) perMoment() string {
	return `SELECT ((id >> 21) - ?) / ?, count(*) FROM runs INDEXED BY ` + p.index + ` WHERE ` + p.condition + ` AND id >= ? AND id < ?`
}

// perWorkflow counts the runs of a partial index by workflow.
func (h *History) perWorkflow(ctx context.Context, p part, low int64, into map[string]int) error {
	type pair struct {
		name string
		n    int
	}
	rows, err := collect(ctx, h.db, p.perWorkflow(), []any{low}, func(r scanner) (p pair, err error) {
		err = r.Scan(&p.name, &p.n)
		return p, err
	})
	for _, p := range rows {
		into[p.name] += p.n
	}
	return err
}

// Versions lists the recorded versions of a workflow, newest first, without their texts.
func (h *History) Versions(ctx context.Context, workflow string) ([]engine.VersionItem, error) {
	return collect(ctx, h.db, `SELECT version, first_at FROM versions WHERE workflow = ? ORDER BY first_at DESC, version LIMIT 1000`,
		[]any{workflow}, func(s scanner) (engine.VersionItem, error) {
			var v engine.VersionItem
			var at int64
			err := s.Scan(&v.Version, &at)
			v.FirstAt = fromMillis(at)
			return v, err
		})
}

// VersionText returns the text of a version.
func (h *History) VersionText(ctx context.Context, version string) (string, error) {
	var text string
	err := h.db.QueryRowContext(ctx, `SELECT text FROM versions WHERE version = ?`, version).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", engine.ErrNotFound
	}
	return text, classify(err)
}

// AuditPage lists the actions of people, newest first.
func (h *History) AuditPage(ctx context.Context, q engine.Query) (engine.Page[engine.AuditEntry], error) {
	w := auditConditions(q)
	tail, err := w.page(q, "", "id")
	if err != nil {
		return engine.Page[engine.AuditEntry]{}, err
	}
	items, err := collect(ctx, h.db, `SELECT id, at, who, role, proof, remote, action, target, status, detail FROM audit`+w.String()+tail,
		w.args, func(s scanner) (engine.AuditEntry, error) {
			var a engine.AuditEntry
			var at int64
			err := s.Scan(&a.ID, &at, &a.Who, &a.Role, &a.Proof, &a.Remote, &a.Action, &a.Target, &a.Status, &a.Detail)
			a.At = fromMillis(at)
			return a, err
		})
	return finish(items, q, 0, func(a engine.AuditEntry) string { return strconv.FormatInt(a.ID, 10) }, nil), err
}

// LearnedGap is how long a trigger's webhook may be quiet, judged by its last 5,000 events.
func (h *History) LearnedGap(ctx context.Context, trigger string) (time.Duration, error) {
	var g engine.Gaps
	var first, last, gap int64
	err := h.db.QueryRowContext(ctx, `SELECT count(*), coalesce(min(at), 0), coalesce(max(at), 0), coalesce(max(gap), 0) FROM (
		SELECT id >> 21 AS at, (id >> 21) - lag(id >> 21) OVER (ORDER BY id) AS gap
			FROM (SELECT id FROM events WHERE trigger = ? AND inlet = 'webhook' ORDER BY id DESC LIMIT 5000))`, trigger).Scan(&g.Events, &first,
		&last, &gap)
	g.First, g.Last = engine.EventID(first<<21).Time(), engine.EventID(last<<21).Time()
	g.Longest = time.Duration(gap) * time.Millisecond
	return g.Quiet(), classify(err)
}

// LearnedGap implements engine.Store.
func (s *Store) LearnedGap(ctx context.Context, trigger string) (time.Duration, error) {
	return s.History().LearnedGap(ctx, trigger)
}
