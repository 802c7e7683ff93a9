package store

import (
	"context"

	"github.com/hookloom/hookloom/engine"
)

// This file tells which versions open runs continue with, and for which triggers they wait, so that
// it can be checked what an edit would do to them.

// OpenVersion is a version of a workflow that open runs began with, and continue with.
type OpenVersion struct {
	Workflow, Version string
	// From is the newest of the runs, which decides about the other files that are used.
	From engine.RunID
	Runs int
}

// OpenVersions lists the versions that open runs continue with, by workflow.
func (h *History) OpenVersions(ctx context.Context) ([]OpenVersion, error) {
	return collect(ctx, h.db, `SELECT workflow, version, max(id), count(*) FROM runs WHERE `+openRun+`
		GROUP BY workflow, version ORDER BY workflow, version`, nil, func(r scanner) (v OpenVersion, err error) {
		var from int64
		err = r.Scan(&v.Workflow, &v.Version, &from, &v.Runs)
		v.From = engine.RunID(from)
		return v, err
	})
}

// AwaitedTrigger is a trigger for whose events open runs of a workflow wait now.
type AwaitedTrigger struct {
	Workflow, Trigger string
	Runs              int
}

// AwaitedTriggers lists the triggers that open runs wait for now, by workflow.
func (h *History) AwaitedTriggers(ctx context.Context) ([]AwaitedTrigger, error) {
	return collect(ctx, h.db, `SELECT r.workflow, w.trigger, count(DISTINCT r.id) FROM waits w JOIN runs r ON r.id = w.run_id
		WHERE w.kind = 'event' GROUP BY r.workflow, w.trigger ORDER BY 1, 2`, nil, func(r scanner) (t AwaitedTrigger, err error) {
		err = r.Scan(&t.Workflow, &t.Trigger, &t.Runs)
		return t, err
	})
}
