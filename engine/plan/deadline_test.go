package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// TestDeadlineCoversAttemptsPausesAndWaits: attempts, pauses, sleeps and waits of a step
// or of the whole run; each case says when it ends, and how.
func TestDeadlineCoversAttemptsPausesAndWaits(t *testing.T) {
	retryable := &plan.Error{Message: "503", Code: "http_status", Status: 503, Retryable: true}
	for _, c := range []struct {
		name, text string
		end        time.Duration
		status     string
		want       string
	}{
		{"retries of a step", "steps:\n  - {id: a, uses: test/act, retry: {max: 50, delay: 1m, factor: 1, jitter: false}, deadline: 150s}",
			150 * time.Second, "failed", "a: deadline: the step took longer than its deadline of 2m30s; attempt 3 failed: 503"},
		{"a step that fails before it", "steps:\n  - {id: a, uses: test/act, retry: {max: 1, delay: 1m, factor: 1, jitter: false}, " +
			"deadline: 1h}", time.Minute, "failed", "a: http_status: 503"},
		{"an approval", "steps:\n  - {id: a, wait: {approval: go on}, deadline: 5m}", 5 * time.Minute, "failed",
			"a: deadline: the step took longer than its deadline of 5m"},
		{"a sleep", "steps:\n  - {id: a, sleep: 1h, deadline: 5m}", 5 * time.Minute, "failed", "a: deadline"},
		{"a group with a sleep", "steps:\n  - {id: g, deadline: 5m, steps: [{sleep: 3m}, {sleep: 3m}]}", 5 * time.Minute, "failed",
			"g: deadline"},
		{"side by side", "steps:\n  - {id: g, deadline: 5m, parallel: [{sleep: 3m}, {id: x, wait: {approval: go on}}]}", 5 * time.Minute,
			"failed", "g: deadline"},
		{"a loop as a whole", "steps:\n  - {id: g, foreach: '1..9', deadline: 5m, steps: [{sleep: 2m}]}", 5 * time.Minute, "failed",
			"g: deadline"},
		{"forgiven, the run goes on", "steps:\n  - {id: a, wait: {approval: go on}, deadline: 5m, continue_on_error: true}\n  - {sleep: " +
			"1h}\n  - {fail: 'a is ${{ steps.a.status }} ${{ steps.a.error.code }}'}", 65 * time.Minute, "failed", "2: fail: a is failed deadline"},
		{"a group forgiven", "steps:\n  - {id: g, deadline: 5m, continue_on_error: true, steps: [{id: x, set: {n: 1}}, {wait: {approval: go " +
			"on}}, {id: y, uses: test/act}]}\n  - {sleep: 1h}\n  - {fail: '${{ steps.x.status }} ${{ steps.g.status }}'}", 65 * time.Minute,
			"failed", "2: fail: succeeded failed"},
		{"its handler has all its time", "steps:\n  - {id: a, wait: {approval: go on}, deadline: 5m, on_failure: [{sleep: 1h}]}",
			65 * time.Minute, "failed", "a: deadline"},
		{"the handler of another failure too", "steps:\n  - {id: a, uses: test/act, deadline: 5m, on_failure: [{sleep: 1h}]}", time.Hour,
			"failed", "a: http_status: 503"},
		{"the run", "deadline: 10m\nsteps:\n  - {sleep: 6m}\n  - {id: a, wait: {approval: go on}}", 10 * time.Minute, "timed_out",
			"a: deadline: the run took longer than its deadline of 10m, waiting included"},
		{"the run's handlers come after it", "deadline: 10m\nsteps:\n  - {sleep: 1h}\non_failure:\n  - {sleep: 1h}", 70 * time.Minute,
			"timed_out", "0: deadline"},
		{"a run that failed before it", "deadline: 10m\nsteps:\n  - {id: a, uses: test/act}\non_failure:\n  - {sleep: 1h}", time.Hour, "failed",
			"a: http_status"},
		{"the run's is shorter than the step's", "deadline: 10m\nsteps:\n  - {id: a, wait: {approval: go on}, deadline: 20m}", 10 * time.Minute,
			"timed_out", "a: deadline: the run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := state(flow(t, "on: manual\n"+c.text), nil)
			end := pass(t, st, retryable)
			got := end.Error.Step + ": " + end.Error.Code + ": " + end.Error.Message
			if end.Status != c.status || !strings.HasPrefix(got, c.want) || st.Now.Sub(st.StartedAt) != c.end {
				t.Errorf("%s after %s, %s\nwant %s after %s, %s", end.Status, st.Now.Sub(st.StartedAt), got, c.status, c.end, c.want)
			}
			if again := plan.Next(st); again.End == nil || again.End.Error.Message != end.Error.Message || len(again.Due)+len(again.Calls) > 0 {
				t.Errorf("asked again it says %+v", again)
			}
			st.Now = st.StartedAt.Add(time.Second) // the clock is set back
			if again := plan.Next(st); strings.Contains(c.want, "the step") && (again.End == nil || again.End.Error.Code != "deadline") {
				t.Errorf("with the clock set back the step is alive again: %+v", again)
			}
			for path, list := range st.Records {
				if last := list[len(list)-1]; last.Status == plan.Waiting && c.status == "failed" && strings.Contains(c.want, "deadline") {
					t.Errorf("%s still waits", path)
				}
			}
		})
	}
}

// pass lets time go by until the run ends, from one wake to the next; attempts take none,
// and fail.
func pass(t *testing.T, st *plan.State, with *plan.Error) *plan.End {
	t.Helper()
	for range 1000 {
		d := plan.Next(st)
		if d.End != nil {
			return d.End
		}
		next, acted := d.Wake, false
		for _, x := range d.Due {
			if x.NotBefore.After(st.Now) {
				if next.IsZero() || x.NotBefore.Before(next) {
					next = x.NotBefore
				}
				continue
			}
			e := *with
			st.AddRecord(&plan.Record{Path: x.Path, Attempt: x.Attempt, Action: x.Step.Uses, Status: plan.Failed, StartedAt: st.Now,
				FinishedAt: st.Now, Error: &e})
			acted = true
		}
		if !acted {
			st.Now = next
		}
	}
	t.Fatal("the run does not end")
	return nil
}

// TestAttemptCutByADeadlineNamesIt: not that there was no answer within the time that
// was left.
func TestAttemptCutByADeadlineNamesIt(t *testing.T) {
	for text, want := range map[string]string{
		"steps:\n  - {id: a, uses: test/act, deadline: 5s}":                                 "failed a deadline",
		"steps:\n  - {id: a, uses: test/act, deadline: 5s, retry: 3}":                       "failed a deadline",
		"steps:\n  - {id: g, deadline: 5s, steps: [{id: a, uses: test/act}]}":               "failed g deadline",
		"deadline: 5s\nsteps:\n  - {id: a, uses: test/act}":                                 "timed_out a deadline",
		"deadline: 1h\nsteps:\n  - {id: a, uses: test/act}\non_failure:\n  - {sleep: 1h}":   "failed a timeout",
		"steps:\n  - {id: a, uses: test/act, deadline: 1h, on_failure: [{sleep: 1h}]}":      "failed a timeout",
		"steps:\n  - {id: a, uses: test/act, deadline: 5s, on_failure: [{sleep: 3h}]}":      "failed a deadline",
		"deadline: 2h\nsteps:\n  - {id: a, uses: test/act, deadline: 5s, on_unknown: fail}": "failed a deadline",
	} {
		st := state(flow(t, "on: manual\n"+text), nil)
		d := plan.Next(st)
		if len(d.Due) != 1 || d.Due[0].Deadline.IsZero() {
			t.Fatalf("%s: %+v", text, d)
		}
		at := st.Now
		st.AddRecord(&plan.Record{Path: d.Due[0].Path, Attempt: 1, Action: "test/act", Status: plan.Running, StartedAt: at})
		if busy := plan.Next(st); busy.End != nil || busy.Wake.IsZero() {
			t.Fatalf("%s: at work: %+v", text, busy)
		}
		st.Now = at.Add(5 * time.Second)
		st.AddRecord(&plan.Record{Path: d.Due[0].Path, Attempt: 1, Action: "test/act", Status: plan.Failed, StartedAt: at, FinishedAt: st.Now,
			Error: &plan.Error{Message: "no answer within 5s", Code: "timeout", Retryable: true}})
		end := carry(t, st, func(plan.Due) *plan.Error { t.Error("it is tried again"); return nil })
		if got := end.Status + " " + end.Error.Step + " " + end.Error.Code; got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
