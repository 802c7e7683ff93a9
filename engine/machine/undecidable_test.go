package machine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
)

// unwritable is a store that cannot store that a run of workflow bad begins.
type unwritable struct{ longWay }

func (u unwritable) Match(ctx context.Context, ms []engine.Match) ([]engine.MatchResult, error) {
	for _, m := range ms {
		if slices.ContainsFunc(m.Starts, func(s engine.RunUpdate) bool { return s.Run.Workflow == "bad" }) {
			return nil, errors.New("this row is not taken")
		}
	}
	return u.Store.Match(ctx, ms)
}

// TestUnrecordableDecisionFailsOnlyItsEvent: it is on record as failed for each workflow, and reported;
// the events that are decided with it begin their runs.
func TestUnrecordableDecisionFailsOnlyItsEvent(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nconcurrency: 10\nsteps: [{uses: test/act, with: {n: \"${{ event.key }}\"}}]",
		"bad": "on: hook\nwhen: event.data.bad\nconcurrency: 10\nsteps: [{uses: test/act}]"})
	w.store = func(s engine.Store) engine.Store { return unwritable{longWay{s}} }
	var mu sync.Mutex
	told := map[engine.EventID][]string{}
	w.options.Observe = func(c engine.Change) {
		mu.Lock()
		defer mu.Unlock()
		if c.Decision != nil {
			told[c.Event.ID] = append(told[c.Event.ID], c.Decision.Workflow+" "+string(c.Decision.Outcome))
		}
	}
	var ids []engine.EventID
	accept := func(e *machine.Engine) {
		for i, bad := range []bool{false, true, false} {
			r, err := e.Accept(t.Context(), delivery(fmt.Sprint("k", i), fmt.Sprintf(`{"bad": %t}`, bad)))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.Event)
		}
	}
	w.before = accept // so that they are decided together
	e, s, stop := w.start(nil)
	settled(t, s, 2)
	if r, err := e.Await(t.Context(), ids[1]); err != nil || r.Run != nil {
		t.Errorf("the event is waited for: %+v, %v", r, err)
	}
	waitFor(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told[ids[0]]) == 2 && len(told[ids[1]]) == 2 && len(told[ids[2]]) == 2
	})
	for i, want := range []string{"bad skipped w matched", "bad rule_failed w rule_failed", "bad skipped w matched"} {
		d, err := s.History.EventDetail(t.Context(), ids[i])
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range d.Decisions {
			got = append(got, x.Workflow+" "+x.Outcome)
			if x.Outcome == string(engine.RuleFailed) && !strings.Contains(x.Reason, "cannot be recorded: this row is not taken") {
				t.Errorf("event %d, workflow %s: %s", i, x.Workflow, x.Reason)
			}
		}
		slices.Sort(got)
		mu.Lock()
		slices.Sort(told[ids[i]])
		if strings.Join(got, " ") != want || strings.Join(told[ids[i]], " ") != want {
			t.Errorf("event %d: on record is %q, reported %q, want %s", i, got, told[ids[i]], want)
		}
		mu.Unlock()
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
