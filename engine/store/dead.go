package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const (
	// deadGroups counts dead runs by all parts of a cause; the variable parts of their messages are
	// removed afterwards.
	deadGroups = `SELECT r.workflow, r.version, ` + errorStep + `, ` + errorCode + `, ` + errorMessage + `, ` + runHost + `,
		count(*), min(r.finished_at), max(r.finished_at) FROM runs r INDEXED BY runs_not_well`
	ruleGroups = `SELECT d.workflow, d.version, '', 'rule_failed', d.reason, '', count(*), min(d.at), max(d.at) FROM `
)

// DeadGroups counts the dead letters that match the filters by cause, largest group first.
func (h *History) DeadGroups(ctx context.Context, q engine.Query) ([]engine.DeadGroup, error) {
	if err := h.checkDead(ctx, q); err != nil {
		return nil, err
	}
	rules := deadRules(q)
	q.DeadOnly, q.After = true, ""
	var groups engine.DeadGroups
	// gather adds the groups of a query; those that wanted rejects are left out.
	gather := func(kind, query string, args []any, wanted func(*engine.DeadLetter) bool) error {
		d := engine.DeadLetter{Kind: kind}
		var n int
		var first, last int64
		return h.each(ctx, query, args, func(s scanner) error {
			err := s.Scan(&d.Workflow, &d.Version, &d.ErrorStep, &d.ErrorCode, &d.Error, &d.Host, &n, &first, &last)
			if err == nil && wanted(&d) {
				groups.Add(&d, n, fromMillis(first), fromMillis(last))
			}
			return err
		})
	}
	if runs := deadRunsOf(q); runs != nil {
		query, args, wanted, err := h.deadRuns(*runs)
		if err == nil {
			err = gather("run", query, args, wanted)
		}
		if err != nil {
			return nil, err
		}
	}
	if rules {
		w := ruleConditions(q)
		w.add(`d.outcome = 'rule_failed'`)
		if err := gather("rule_failed", ruleGroups+ruleTables(w)+w.String()+` GROUP BY 1, 2, 5`, w.args, allDead); err != nil {
			return nil, err
		}
	}
	return groups.List(), nil
}

// deadRunsOf is the part of a query of dead letters that is about runs; nil if none is.
func deadRunsOf(q engine.Query) *engine.Query {
	if q.Status == "" {
		return &q
	}
	list := slices.DeleteFunc(trimmed(q.Status), func(s string) bool { return s == "rule_failed" })
	if q.Status = strings.Join(list, ","); q.Status == "" {
		return nil
	}
	return &q
}

func allDead(*engine.DeadLetter) bool { return true }

// deadRuns returns the query that counts dead runs by cause, and which of its rows match. On PostgreSQL hosts and
// codes are compared here: as conditions of the query they would be read from the JSON text of each run.
func (h *History) deadRuns(q engine.Query) (query string, args []any, wanted func(*engine.DeadLetter) bool, err error) {
	if !h.postgres {
		w, _, _, err := h.runConditions(q)
		return deadGroups + w.String() + ` GROUP BY 1, 2, 3, 4, 5, 6`, w.args, allDead, err
	}
	hosts, codes := hostNames(q.Host), trimmed(q.Reason)
	wanted = func(d *engine.DeadLetter) bool {
		return (q.Host == "" || slices.Contains(hosts, d.Host)) && (q.Reason == "" || slices.Contains(codes, d.ErrorCode))
	}
	rest := q
	rest.Host, rest.Reason = "", ""
	w, _, _, err := h.runConditions(rest)
	if q.Host != "" {
		failedAt(&w, hosts)
	}
	query, args = groupCauses(w)
	return query, args, wanted, err
}

// knownHostSteps is how many of the last attempts are searched for a host that is not in the index
// because nothing failed there.
const knownHostSteps = 20_000

// HasHost reports whether an attempt to a host is recorded.
func (h *History) HasHost(ctx context.Context, host string) (bool, error) {
	names := hostNames(host)
	second := names[len(names)-1]
	var found bool
	err := h.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM steps WHERE status = 'failed' AND destination IS NOT NULL
		AND destination IN (?1, ?2))
		OR EXISTS (SELECT 1 FROM (SELECT destination FROM steps ORDER BY rowid DESC LIMIT ?3) WHERE destination IN (?1, ?2))`, names[0],
		second, knownHostSteps).Scan(&found)
	return found, classify(err)
}

// FailedHosts lists the hosts where attempts failed, in alphabetical order.
func (h *History) FailedHosts(ctx context.Context) ([]string, error) {
	return collect(ctx, h.db, `WITH RECURSIVE n(v) AS (SELECT min(destination) FROM steps WHERE status = 'failed'
		AND destination IS NOT NULL
		UNION ALL SELECT (SELECT min(destination) FROM steps WHERE status = 'failed' AND destination IS NOT NULL AND destination > n.v)
			FROM n WHERE n.v IS NOT NULL)
		SELECT v FROM n WHERE v IS NOT NULL LIMIT 1000`, nil, func(s scanner) (v string, err error) {
		err = s.Scan(&v)
		return v, err
	})
}

// NeedsPeople counts the runs that wait for a person, up to countMost.
func (h *History) NeedsPeople(ctx context.Context) (n int, err error) {
	err = h.db.QueryRowContext(ctx, `SELECT count(*)
		FROM (SELECT 1 FROM runs r WHERE `+asksAPerson+` AND `+runWaitsFor+` IN ('approval', 'review') LIMIT ?)`, countMost).Scan(&n)
	return n, classify(err)
}

// HostTimes sums up how long the last attempts to a host took, and how long they had waited.
func (h *History) HostTimes(ctx context.Context, host string) (engine.HostTimes, error) {
	var t engine.HostTimes
	names := hostNames(host)
	var worked, waited []time.Duration
	_, err := collect(ctx, h.db, `SELECT status, finished_at - started_at, coalesce(waited_ms, 0)
		FROM (SELECT status, started_at, finished_at, waited_ms, destination FROM steps ORDER BY rowid DESC LIMIT ?)
		WHERE destination IN (?, ?) AND finished_at IS NOT NULL`, []any{knownHostSteps, names[0], names[len(names)-1]},
		func(s scanner) (struct{}, error) {
			var status string
			var all, wait int64
			err := s.Scan(&status, &all, &wait)
			if t.Attempts++; status != "succeeded" {
				t.Failed++
			}
			worked = append(worked, time.Duration(max(0, all-wait))*time.Millisecond)
			waited = append(waited, time.Duration(wait)*time.Millisecond)
			return struct{}{}, err
		})
	t.Worked, t.Waited = engine.DelaysOf(worked), engine.DelaysOf(waited)
	return t, err
}
