package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
)

// TestASlotIsFreeDuringARetryPause: the items that can go on do so while others wait for
// their next try, and never more than max_parallel are at work. Without a width items go
// one after another.
func TestASlotIsFreeDuringARetryPause(t *testing.T) {
	for width, want := range map[string]string{"max_parallel: 2, ": "0 1 2 3 4 5 0 1", "": "0 0 1 1 2 3 4 5"} {
		st := state(flow(t, "on: manual\nsteps: [{id: a, foreach: 0..5, "+width+
			"uses: test/act, with: {n: \"${{ item }}\"}, retry: {max: 1, delay: 10s, jitter: false}}]"), nil)
		var order []string
		tried := map[string]bool{}
		atWork := map[string]*plan.Record{}
		end := func() *plan.End {
			for range 100 {
				d := plan.Next(st)
				if d.End != nil {
					return d.End
				}
				began := false
				next := d.Wake
				for _, x := range d.Due {
					if x.NotBefore.After(st.Now) {
						if next.IsZero() || x.NotBefore.Before(next) {
							next = x.NotBefore
						}
						continue
					}
					r := &plan.Record{Path: x.Path, Attempt: x.Attempt, Action: "test/act", Status: plan.Running, StartedAt: st.Now}
					st.AddRecord(r)
					atWork[x.Path], began = r, true
					order = append(order, strings.TrimPrefix(x.Path, "a/"))
				}
				if len(atWork) > 2 {
					t.Fatalf("%d at work", len(atWork))
				}
				if began {
					continue
				}
				for path, r := range atWork {
					done := *r
					done.Status, done.FinishedAt = plan.Succeeded, st.Now
					if n := strings.TrimPrefix(path, "a/"); (n == "0" || n == "1") && !tried[n] {
						tried[n] = true
						done.Status, done.Error = plan.Failed, &plan.Error{Message: "503", Code: "http_status", Retryable: true}
					}
					st.AddRecord(&done)
					delete(atWork, path)
				}
				if len(d.Due) > 0 && !slices.ContainsFunc(d.Due, func(x plan.Due) bool { return !x.NotBefore.After(st.Now) }) &&
					len(plan.Next(st).Due) == len(d.Due) {
					st.Now = next
				}
			}
			t.Fatal("it does not end")
			return nil
		}()
		if end.Status != "succeeded" {
			t.Errorf("%q: %+v", width, end.Error)
		}
		if got := strings.Join(order, " "); width != "" && !sameStart(got, want) || width == "" && got != want {
			t.Errorf("%q: the order is %s, want %s", width, got, want)
		}
	}
}

// sameStart reports whether the same tries were made in the same rounds of two.
func sameStart(got, want string) bool {
	a, b := strings.Fields(got), strings.Fields(want)
	if len(a) != len(b) {
		return false
	}
	slices.Sort(a[6:])
	return slices.Equal(a, b)
}

// TestStepCutByAGroupTimeoutNamesTheGroup: what waited has the reason on record, and the
// run goes on to the group's handler.
func TestStepCutByAGroupTimeoutNamesTheGroup(t *testing.T) {
	for _, body := range []string{"{sleep: 1h}", "{wait: {approval: ok}}", "{id: s, foreach: 1..2, max_parallel: 2, wait: {approval: ok}}"} {
		st := state(flow(t, "on: manual\nsteps: [{id: g, timeout: 5s, steps: ["+body+"], on_failure: [{id: h, uses: test/act}]}]"), nil)
		plan.Next(st)
		st.Now = st.Now.Add(6 * time.Second)
		d := plan.Next(st)
		if len(d.Due) != 1 || d.Due[0].Path != "g/on_failure/h" {
			t.Errorf("%s: %+v", body, d)
		}
		cut := 0
		for path, list := range st.Records {
			r := list[len(list)-1]
			if r.Status == plan.Waiting {
				t.Errorf("%s: %s still waits", body, path)
			}
			if r.Error != nil && r.Error.Message == "cut: its group g took longer than its timeout of 5s" && r.Error.Code == "timeout" {
				cut++
			}
		}
		if cut == 0 {
			t.Errorf("%s: no step says that it was cut", body)
		}
	}
}

// TestGroupTimeoutEndsItsCallsBeforeItsHandler runs, and so does fail_fast.
func TestGroupTimeoutEndsItsCallsBeforeItsHandler(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: g, timeout: 5s, steps: [{id: c, call: other}], on_failure: [{id: h, uses: test/act}]}]"),
		nil)
	d := plan.Next(st)
	if len(d.Calls) != 1 {
		t.Fatalf("%+v", d)
	}
	st.AddRecord(&plan.Record{Path: "g/c", Attempt: 1, Action: "call", Status: plan.Waiting, StartedAt: st.Now,
		Waits: []plan.Wait{{Kind: plan.WaitCall, Event: "evt_1", Workflow: "other"}}})
	st.Now = st.Now.Add(6 * time.Second)
	d = plan.Next(st)
	call := st.Records["g/c"][0].Call()
	if call == nil || call.Ending == nil {
		t.Fatalf("%+v", st.Records["g/c"][0])
	}
	event, why := call.Event, call.Ending.Message
	if len(d.Due) != 0 || event != "evt_1" || !strings.Contains(why, "its group g took longer than its timeout of 5s") ||
		len(d.Questions) != 1 {
		t.Fatalf("%q %q %+v", event, why, d)
	}
	st.Answers = map[string]*plan.Answer{"g/c": {Attempt: 1, Verdict: "call", Err: &plan.Error{Message: "cancelled", Code: "call_cancelled"}}}
	d = plan.Next(st)
	if r := st.Records["g/c"][0]; len(d.Due) != 1 || d.Due[0].Path != "g/on_failure/h" || r.Status != plan.Failed ||
		r.Error.Code != "timeout" {
		t.Errorf("%+v %+v", r, d)
	}
}

// TestFailingLoopTriesABoundedNumberOfItems before the first pause is over.
func TestFailingLoopTriesABoundedNumberOfItems(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: a, foreach: 1..1000, max_parallel: 4, fail_fast: false, uses: test/act, retry: {max: 1, "+
		"delay: 1h}}]"), nil)
	tried := 0
	for range 1000 {
		began := false
		for _, x := range plan.Next(st).Due {
			if !x.NotBefore.After(st.Now) {
				tried, began = tried+1, true
				st.AddRecord(&plan.Record{Path: x.Path, Attempt: x.Attempt, Action: "test/act", Status: plan.Failed, StartedAt: st.Now,
					FinishedAt: st.Now,
					Error:      &plan.Error{Message: "503", Code: "http_status", Retryable: true}})
			}
		}
		if !began {
			break
		}
	}
	if tried < 100 || tried > 108 {
		t.Errorf("%d items were tried", tried)
	}
}

// TestALoopInsideALoopFailsFastByItself: what it cut of its own iterations does not keep
// the outer loop from going on.
func TestALoopInsideALoopFailsFastByItself(t *testing.T) {
	st := state(flow(t, "on: manual\nsteps: [{id: o, foreach: 1..3, as: x, steps: [{foreach: 1..2, max_parallel: 2, continue_on_error: true, "+
		"steps: [{if: item == 2, fail: no luck}, {sleep: 1h}]}, {id: after, uses: test/act}]}]"), nil)
	tried := 0
	if end := carry(t, st, func(plan.Due) *plan.Error { tried++; return nil }); end.Status != "succeeded" || tried != 3 {
		t.Errorf("%d of 3 iterations went on: %+v", tried, end)
	}
}

// TestSlotFreedByAWaitHasOneOwner: an iteration whose sleep ends has no slot until its next step
// begins. Asked twice, the planner gives the slot to the same iteration, so that no more than
// max_parallel begin.
func TestSlotFreedByAWaitHasOneOwner(t *testing.T) {
	st := state(flow(t, `on: manual
steps:
  - foreach: 0..2
    as: n
    max_parallel: 2
    steps:
      - {id: a, uses: test/act, retry: {max: 1, delay: 1m, jitter: false}}
      - {sleep: "${{ n == 0 ? '2h' : '2m' }}"}
      - {id: b, uses: test/act}
`), nil)
	ended := func(path string, status plan.Status, e *plan.Error) {
		st.AddRecord(&plan.Record{Path: path, Attempt: 1, Action: "test/act", Status: status, StartedAt: st.Now, FinishedAt: st.Now, Error: e})
	}
	ended("0/0/a", plan.Succeeded, nil)
	ended("0/1/a", plan.Failed, &plan.Error{Message: "503", Code: "http_status", Retryable: true})
	ended("0/2/a", plan.Succeeded, nil)
	if d := plan.Next(st); len(d.Due) != 0 {
		t.Fatalf("both slots are taken: %v", paths(d))
	}
	st.Now = st.Now.Add(3 * time.Minute) // the pause of 1 and the sleep of 2 are over
	first, second := paths(plan.Next(st)), paths(plan.Next(st))
	if len(first) != 1 || !slices.Equal(first, second) {
		t.Errorf("one slot is free: first %v, then %v", first, second)
	}
}
