package machine_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// TestSeveralNodesReportAConditionOnce: and the node at which it is over reports that, though another one
// has reported it.
func TestSeveralNodesReportAConditionOnce(t *testing.T) {
	c := newCluster(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, retry: 0}\n",
		"n": "on: hookloom.alerts\nsteps: [{stop: x}]"})
	var well atomic.Bool
	c.target.do = func(engine.Input, int) (any, error) {
		if !well.Load() {
			return nil, &plan.Error{Message: "no", Code: "failed"}
		}
		return nil, nil
	}
	a, b := c.node("a"), c.node("b")
	for i, m := range []*member{a, b, a, b} {
		if _, err := m.Accept(t.Context(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	told := func(state string) (n int) {
		for _, ev := range eventsIn(t, a.History) {
			if ev.Trigger == workflows.AlertsTrigger && strings.HasSuffix(ev.Type, ".closed") == (state == "closed") {
				n++
			}
		}
		return n
	}
	both := func(open int) func() bool {
		return func() bool { return len(a.OpenAlerts()) == open && len(b.OpenAlerts()) == open }
	}
	waitFor(t, both(1))
	well.Store(true)
	closer := a
	if told("open") != 1 {
		t.Errorf("the failure was reported %d times", told("open"))
	}
	for i, m := range []*member{b, a} {
		if _, err := m.Accept(t.Context(), delivery(fmt.Sprint("well", i), `{}`)); err != nil {
			t.Fatal(err)
		}
		closer = m
		if i == 0 {
			waitFor(t, both(0))
		}
	}
	settled(t, closer.database, 8)
	if o, x := told("open"), told("closed"); o != 1 || x != 1 {
		t.Errorf("%d reports that it failed, %d that it is over", o, x)
	}
}
