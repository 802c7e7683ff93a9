package alert

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testgolden"
)

// TestAlertsSayWhatIsRecorded: the text and the facts of each condition, and whether it holds at the bounds of its numbers.
func TestAlertsSayWhatIsRecorded(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	var out strings.Builder
	told := func(what string) {
		var lines []string
		r.mu.Lock()
		defer r.mu.Unlock()
		for k, a := range r.pending {
			line := fmt.Sprintf("%s: %s %q is over", what, k.kind, k.subject)
			if a != nil {
				line = fmt.Sprintf("%s: %s %q of %q: %s %v", what, k.kind, k.subject, a.Trigger, a.Message, a.Data)
			}
			lines = append(lines, line+"\n")
		}
		if len(lines) == 0 {
			lines = append(lines, what+": nothing\n")
		}
		slices.Sort(lines)
		out.WriteString(strings.Join(lines, ""))
		clear(r.pending)
		clear(r.Monitor.open)
		r.some.Store(0)
	}
	ev := &engine.Event{ID: 9, Delivery: engine.Delivery{Trigger: "hook"}}
	for _, d := range []engine.Decision{{Workflow: "w", Outcome: engine.RuleFailed, Reason: "no field"},
		{Workflow: "w", Outcome: engine.RuleFailed, Reason: engine.InvalidFlag + ": no id"}, {Workflow: "w", Outcome: engine.Matched}} {
		r.Changed(engine.Change{Event: ev, Decision: &d})
		told("rule " + string(d.Outcome))
	}
	for _, status := range engine.RunStatuses {
		for _, err := range []*plan.Error{nil, {Message: "no luck", Step: "s", Code: "c"}} {
			r.Changed(engine.Change{Run: &engine.Run{ID: 7, Workflow: "w", Status: engine.RunStatus(status), Error: err}})
			told("run " + status)
		}
	}
	r.AwaitsPerson(&engine.Run{ID: 7, Workflow: "w"}, &plan.Question{Text: "pay?", Path: "s", Kind: "approval"}, r.o.Registry.EveryRun())
	told("person")
	for n := range 12 {
		r.Refused(engine.Refusal{Trigger: "hook", Reason: fmt.Sprintf("reason %d", n)})
	}
	r.Refused(engine.Refusal{Reason: "no such path"})
	told("refused")
	disk := func(free, total int64, err error) {
		r.o.Disk = func() (int64, int64, error) { return free, total, err }
		r.lookAtConditions(t.Context(), time.Now())
		told(fmt.Sprintf("%d of %d free, %v", free, total, err))
	}
	for _, free := range []int64{0, 1<<20 - 1, 1 << 20, 50 << 20, 99 << 20, 100 << 20, 256 << 20, 512 << 20, 1 << 30, 5 << 30, 1 << 40} {
		disk(free, 1<<40, nil)
	}
	disk(0, 0, errors.New("unknown"))
	testgolden.Compare(t, "alerts.golden", out.String())
}
