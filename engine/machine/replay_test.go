package machine_test

import (
	"context"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// TestReplaysAreLinkedAndSpread: a dead letter that was replayed is none any more,
// each replay names what it repeats, and many of them do not begin at once.
func TestReplaysAreLinkedAndSpread(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{id: a, uses: test/act}]"})
	w.target.do = func(_ engine.Input, nth int) (any, error) {
		if w.target.calls() <= 12 {
			return nil, &plan.Error{Message: "no", Code: "refused"}
		}
		return nil, nil
	}
	e, s, stop := w.start(nil)
	ctx := context.Background()
	for _, k := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		if _, err := e.Accept(ctx, delivery(k, `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	dead, err := s.History.Runs(ctx, engine.Query{DeadOnly: true, Limit: 100})
	for settled(t, s, 12); err == nil && len(dead) != 12; {
		dead, err = s.History.Runs(ctx, engine.Query{DeadOnly: true, Limit: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range dead {
		if _, err := e.Replay(ctx, parseRun(t, r.ID), "failed", "current", "ada"); err != nil {
			t.Fatal(err)
		}
	}
	all := settled(t, s, 24)
	first, last := all[11].StartedAt, all[0].StartedAt
	if spread := last.Sub(*first).Milliseconds(); spread < 300 { // 550 on a machine that is not late
		t.Errorf("12 replays began within %d ms", spread)
	}
	for _, r := range all[:12] {
		d, err := s.History.RunDetail(ctx, parseRun(t, r.Repeats))
		if err != nil || r.Status != "succeeded" || len(d.ReplayedAs) != 1 || d.ReplayedAs[0] != r.ID || r.ReplayedBy != "ada" {
			t.Errorf("%+v, %+v, %v", r, d, err)
		}
	}
	if left, err := s.History.Runs(ctx, engine.Query{DeadOnly: true, Limit: 100}); err != nil || len(left) != 0 {
		t.Errorf("%d dead letters are left, %v", len(left), err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
