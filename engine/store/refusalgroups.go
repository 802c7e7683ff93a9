package store

import (
	"context"
	"math"

	"github.com/hookloom/hookloom/engine"
)

// RefusalGroups counts the refused deliveries that match the filters by trigger and reason; the
// group with the latest delivery comes first.
func (h *History) RefusalGroups(ctx context.Context, q engine.Query) ([]engine.RefusalGroup, error) {
	var w where
	if err := h.refusalConditions(ctx, &w, q); err != nil {
		return nil, err
	}
	// diagnosis is that of the newest row.
	groups, err := collect(ctx, h.db, `SELECT g.trigger, g.reason, g.number, g.admitted, g.first, g.last, n.diagnosis, g.newest
		FROM (SELECT trigger, reason, count(*) AS number, count(event_id) AS admitted,
			min(at) AS first, max(at) AS last, max(id) AS newest
			FROM quarantine`+
		w.String()+` GROUP BY trigger, reason) g
			JOIN quarantine n ON n.id = g.newest ORDER BY g.newest DESC`, w.args, func(s scanner) (engine.RefusalGroup, error) {
		var g engine.RefusalGroup
		var first, last, newest int64
		err := s.Scan(&g.Trigger, &g.Reason, &g.Count, &g.Admitted, &first, &last, &g.Diagnosis, &newest)
		g.First, g.Last = fromMillis(first), fromMillis(last)
		return g, err
	})
	for i := range groups {
		g := &groups[i]
		if err == nil {
			err = h.share(ctx, g)
		}
	}
	return groups, err
}

// share compares a group with all deliveries that its trigger received since the group's first one.
func (h *History) share(ctx context.Context, g *engine.RefusalGroup) error {
	low := engine.FirstID(g.First)
	past, err := h.counted(ctx, low, math.MaxInt64)
	if err != nil {
		return err
	}
	taken, err := h.countSince(ctx, past, "webhook", g.Trigger, webhooksBetween, low)
	if err != nil {
		return err
	}
	var refused int
	if err := h.db.QueryRowContext(ctx, `SELECT count(*) FROM quarantine WHERE trigger = ? AND at >= ?`, g.Trigger,
		g.First.UnixMilli()).Scan(&refused); err != nil {
		return classify(err)
	}
	g.Share = float64(g.Count) / float64(max(taken+refused, g.Count))
	return nil
}
