package store

import (
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine"
)

// This file counts the rows of lists that are shown in pages.

// totalMost is where counting stops.
const totalMost = 100_000

// counted sets the total of a page.
func counted[T any](p *engine.Page[T], n int, more bool) {
	p.Total, p.TotalMore = &n, more || n > totalMost
	if n > totalMost {
		n = totalMost
	}
}

// countRows counts the rows of a query, up to totalMost.
func (h *History) countRows(ctx context.Context, from string, w where) (n int, err error) {
	query := fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM %s%s LIMIT %d)`, from, w.String(), totalMost+1)
	return searchText(h, query, func(query string) (n int, err error) {
		err = h.db.QueryRowContext(ctx, query, w.args...).Scan(&n)
		return n, classify(err)
	})
}

// search counts the rows of a costly query among the newest that one search scans; it reports
// whether there are older ones.
func (h *History) search(ctx context.Context, table, from, column, prefix string, w, x where, costly bool) (n int, more bool, err error) {
	var last int64
	if costly {
		if last, err = h.span(ctx, table, x, engine.Query{}, prefix); err != nil {
			return 0, false, err
		}
		w.within(last, false, column)
	}
	n, err = h.countRows(ctx, from, w)
	return n, last != 0, err
}

// shownAll sets the total of a page if the page shows all items that counting would find, so that a search is not
// executed twice.
func shownAll[T any](q engine.Query, p *engine.Page[T], costly bool) bool {
	if p.Items == nil || q.After != "" || costly && q.Ascending || p.Next != "" && p.SearchedTo == nil {
		return false
	}
	counted(p, len(p.Items), p.SearchedTo != nil)
	return true
}

// CountEvents sets the number of events that match the filters. p is their page, or empty.
func (h *History) CountEvents(ctx context.Context, q engine.Query, p *engine.Page[engine.EventItem]) error {
	w, x, costly, err := eventConditions(q)
	if err != nil || shownAll(q, p, costly) {
		return err
	}
	n, more, err := h.search(ctx, "events", "events e", "e.id", "evt_", w, x, costly)
	counted(p, n, more)
	return err
}

// CountRuns sets the number of runs that match the filters. p is their page, or empty.
func (h *History) CountRuns(ctx context.Context, q engine.Query, p *engine.Page[engine.RunItem]) error {
	w, x, costly, err := h.runConditions(q)
	if err != nil || shownAll(q, p, costly) {
		return err
	}
	n, more, err := h.search(ctx, "runs", "runs r", "r.id", "run_", w, x, costly)
	counted(p, n, more)
	return err
}

// CountDead sets the number of dead letters that match the filters.
func (h *History) CountDead(ctx context.Context, q engine.Query, p *engine.Page[engine.DeadLetter]) error {
	n, err := h.deadTotal(ctx, q)
	counted(p, n, false)
	return err
}

// deadTotal counts the dead letters that match the filters.
func (h *History) deadTotal(ctx context.Context, q engine.Query) (n int, err error) {
	if err := h.checkDead(ctx, q); err != nil {
		return 0, err
	}
	q.DeadOnly, q.After = true, ""
	rules, runs := deadRules(q), deadRunsOf(q)
	if runs != nil {
		w, _, _, err := h.runConditions(*runs)
		if err == nil {
			n, err = h.countRows(ctx, "runs r", w)
		}
		if err != nil {
			return 0, err
		}
	}
	if rules {
		w := ruleConditions(q)
		w.add("d.outcome = 'rule_failed'")
		more, err := h.countRows(ctx, ruleTables(w), w)
		if err != nil {
			return 0, err
		}
		n += more
	}
	return n, nil
}

// CountRefusals sets the number of refused deliveries that match the filters.
func (h *History) CountRefusals(ctx context.Context, q engine.Query, p *engine.Page[engine.RefusalItem]) error {
	var w where
	if err := h.refusalConditions(ctx, &w, q); err != nil {
		return err
	}
	n, err := h.countRows(ctx, "quarantine", w)
	counted(p, n, false)
	return err
}

// CountAudit sets the number of actions that match the filters.
func (h *History) CountAudit(ctx context.Context, q engine.Query, p *engine.Page[engine.AuditEntry]) error {
	n, err := h.countRows(ctx, "audit", auditConditions(q))
	counted(p, n, false)
	return err
}
