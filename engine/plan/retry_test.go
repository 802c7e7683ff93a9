package plan_test

import (
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// TestNonIdempotentStepIsRepeatedOnlyIfNotExecuted, unless the step says retry:.
func TestNonIdempotentStepIsRepeatedOnlyIfNotExecuted(t *testing.T) {
	for name, c := range map[string]struct {
		status plan.Status
		err    plan.Error
		again  bool
	}{
		"nobody there":  {plan.Failed, plan.Error{Code: "network", Retryable: true}, true},
		"held too long": {plan.Failed, plan.Error{Code: "destination_down", Retryable: true}, true},
		"no token":      {plan.Failed, plan.Error{Code: plan.TokenCode, Retryable: true}, true},
		"too many":      {plan.Failed, plan.Error{Code: "http_status", Status: 429, Retryable: true}, true},
		"gateway":       {plan.Failed, plan.Error{Code: "http_status", Status: 504, Retryable: true}, false},
		"unavailable":   {plan.Failed, plan.Error{Code: "http_status", Status: 503, Retryable: true}, false},
		"no answer":     {plan.Unknown, plan.Error{Code: "network", Retryable: true}, false},
		"cut off":       {plan.Failed, plan.Error{Code: "timeout", Retryable: true}, false},
	} {
		st := state(flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act, retry: 3}"), nil)
		st.Workflow.Steps[0].Retry.OnlyUndone = true
		st.AddRecord(&plan.Record{Path: "a", Attempt: 1, Status: c.status, StartedAt: st.Now, FinishedAt: st.Now, Error: &c.err})
		if d := plan.Next(st); (len(d.Due) == 1) != c.again {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestRetriesEndWithTheirTime: no try begins later than for: after the first began.
func TestRetriesEndWithTheirTime(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps:\n  - {id: a, uses: test/act, retry: {for: 1m, delay: 10s, factor: 1, jitter: false}}"), nil)
	began, last, tries := st.Now, st.Now, 0
	end := carry(t, st, func(plan.Due) *plan.Error {
		tries, last = tries+1, st.Now
		return &plan.Error{Message: "busy", Code: "http_status", Status: 503, Retryable: true}
	})
	if end.Status != "failed" || tries != 7 || last.Sub(began) != time.Minute {
		t.Errorf("%s after %d tries, the last one %s after the first", end.Status, tries, last.Sub(began))
	}
}
