package machine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// stands waits until the newest run has a status.
func stands(t *testing.T, s database, status engine.RunStatus) engine.RunID {
	t.Helper()
	var last []engine.RunItem
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		items, err := s.History.Runs(context.Background(), engine.Query{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if last = items; len(items) == 1 && items[0].Status == string(status) {
			id, err := engine.ParseRunID(items[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
	t.Fatalf("the run is not %s: %+v", status, last)
	return 0
}

func output(t *testing.T, s database, id engine.RunID) string {
	t.Helper()
	d, err := s.History.RunDetail(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d.Status + " " + string(d.Output) + " " + d.Error
}

const approval = `on: hook
steps:
  - {id: ok, wait: {approval: "Pay ${{ event.data.n }}?", by: [ada, bob]}, timeout: 1h}
  - {id: pay, uses: test/act}
output: paid, said ${{ steps.ok.output.by }}
`

// TestApprovalIsGivenOnceByAnApprover: others are told who may, the second word
// comes too late, and the answer outlives the process.
func TestApprovalIsGivenOnceByAnApprover(t *testing.T) {
	w := newWorld(t, map[string]string{"w": approval})
	ctx := context.Background()
	e, s, stop := w.start(nil)
	if _, err := e.Accept(ctx, delivery("k", `{"n": 5}`)); err != nil {
		t.Fatal(err)
	}
	id := stands(t, s, engine.Waiting)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	e, s, stop = w.start(nil)
	stands(t, s, engine.Waiting)
	for _, x := range []struct{ path, verdict, by, proof, want string }{
		{"", "approve", "eve", "token", "ada, bob only"},
		{"", "approve", "ada", "", "the name must be proved: use that person's token (server: {tokens: {ada: ...}} in " +
			"hookloom.yaml)"},
		{"", "resend", "ada", "token", "waits for approve, reject"},
		{"pay", "approve", "ada", "token", "step pay does not wait for an answer; ok does"},
	} {
		if _, err := e.Answer(ctx, id, engine.Response{Path: x.path, Verdict: x.verdict, By: x.by, Proof: x.proof}); err == nil ||
			!strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v", x, err)
		}
	}
	var wg sync.WaitGroup
	taken := make(chan error, 8)
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := e.Answer(ctx, id, engine.Response{Verdict: "approve", By: "ada", Proof: "token"})
			taken <- err
		}()
	}
	wg.Wait()
	first := 0
	for range 8 {
		if err := <-taken; err == nil {
			first++
		}
	}
	stands(t, s, engine.Succeeded)
	if got := output(t, s, id); first != 1 || got != `succeeded "paid, said ada" ` {
		t.Errorf("%d answers were taken, %s", first, got)
	}
	if _, err := e.Answer(ctx, id, engine.Response{Verdict: "approve", By: "ada", Proof: "token"}); err == nil ||
		!strings.Contains(err.Error(), "has ended as succeeded") {
		t.Errorf("after the end: %v", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestRejectedStepsAreNotExecuted: the steps after an approval are those that were
// to be approved.
func TestRejectedStepsAreNotExecuted(t *testing.T) {
	w := newWorld(t, map[string]string{"w": approval})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{"n": 5}`)); err != nil {
		t.Fatal(err)
	}
	id := stands(t, s, engine.Waiting)
	if _, err := e.Answer(context.Background(), id, engine.Response{Verdict: "reject", By: "bob", Proof: "token",
		Comment: "too much"}); err != nil {
		t.Fatal(err)
	}
	stands(t, s, engine.Failed)
	if got := output(t, s, id); got != "failed null rejected by bob: too much" || len(w.target.seen) != 0 {
		t.Errorf("%s, %d calls", got, len(w.target.seen))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAnEventEndsTheWaitForIt whether it comes before, while or after the run
// begins to wait, over a restart, and for no other key.
func TestAnEventEndsTheWaitForIt(t *testing.T) {
	const flow = `on: hook
when: event.type == 't'
steps:
  - {id: ask, uses: test/act}
  - {id: got, wait: {event: back, key: "${{ event.key }}", since: 1ms}, timeout: 1h}
output: ${{ steps.got.output.data.n }}
`
	back := func(key, body string) *engine.Delivery {
		d := delivery(key, body)
		d.Trigger, d.Dedupe = "back", time.Nanosecond
		return d
	}
	ctx := context.Background()
	for _, when := range []string{"before", "at once", "after", "restart"} {
		w := newWorld(t, map[string]string{"w": flow})
		e, s, stop := w.start(nil)
		w.target.do = func(engine.Input, int) (any, error) {
			if when == "before" {
				// The answer is here before the call that asks for it has returned.
				if _, err := e.Accept(ctx, back("k", `{"n": 7}`)); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}
		// An event with the key that is older than since: is not the one that is waited for.
		if _, err := e.Accept(ctx, back("k", `{"n": 1}`)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
		if _, err := e.Accept(ctx, delivery("k", `{}`)); err != nil {
			t.Fatal(err)
		}
		if when == "after" || when == "restart" {
			stands(t, s, engine.Waiting)
			if _, err := e.Accept(ctx, back("other", `{"n": 8}`)); err != nil {
				t.Fatal(err)
			}
		}
		if when == "restart" {
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			e, s, stop = w.start(nil)
		}
		if when != "before" {
			if _, err := e.Accept(ctx, back("k", `{"n": 7}`)); err != nil {
				t.Fatal(err)
			}
		}
		t.Log("the event comes", when)
		id := stands(t, s, engine.Succeeded)
		if got := output(t, s, id); got != "succeeded 7 " {
			t.Errorf("%s: %s", when, got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWaitTimesOut and fails with a code that a handler can test.
func TestWaitTimesOut(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: ok, wait: {approval: now}, timeout: 30ms, continue_on_error: " +
		"true}\noutput: ${{ steps.ok.error.code }}"})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	id := stands(t, s, engine.Succeeded)
	if got := output(t, s, id); got != `succeeded "timeout" ` {
		t.Error(got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestAnAttemptInDoubtIsHeldForAPerson under on_unknown: review, and each word
// has its effect.
func TestAnAttemptInDoubtIsHeldForAPerson(t *testing.T) {
	for verdict, want := range map[string]string{"resend": "succeeded 2 ", "done": "succeeded 9 ",
		"fail": "failed null the attempt was interrupted, and it is unknown whether it took effect; answered by a person"} {
		w := newWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, on_unknown: review, retry: 3}\noutput: ${{ " +
			"steps.a.output.n }}"})
		w.target.do = func(_ engine.Input, nth int) (any, error) {
			if nth == 1 {
				return nil, engine.ErrUnanswered
			}
			return map[string]any{"n": nth}, nil
		}
		e, s, stop := w.start(nil)
		if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
			t.Fatal(err)
		}
		id := stands(t, s, engine.Waiting)
		token, _, err := e.Link(context.Background(), id, "a", "ada")
		if err != nil {
			t.Fatal(err)
		}
		if verdict == "done" { // a link has no result
			_, err = e.Answer(context.Background(), id, engine.Response{Verdict: verdict, By: "ada", Result: map[string]any{"n": 9}})
		} else {
			_, err = e.AnswerLink(context.Background(), token, verdict, "")
		}
		if err != nil {
			t.Fatal(err)
		}
		end := engine.Succeeded
		if verdict == "fail" {
			end = engine.Failed
		}
		stands(t, s, end)
		if got := output(t, s, id); got != want {
			t.Errorf("%s: %s", verdict, got)
		}
		for key, bodies := range w.target.seen {
			if len(bodies) != map[string]int{"resend": 2, "done": 1, "fail": 1}[verdict] {
				t.Errorf("%s: key %s was seen %d times", verdict, key, len(bodies))
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestActiveRunReceivesItsAnswer: the branch that waited goes on while another is
// still busy.
func TestActiveRunReceivesItsAnswer(t *testing.T) {
	w := newWorld(t, map[string]string{"w": `on: hook
steps:
  - parallel:
      - {id: slow, uses: test/act, timeout: 20s}
      - steps: [{id: ok, wait: {approval: go on}}, {id: after, uses: test/act}]
`})
	after := make(chan struct{})
	began := make(chan struct{})
	w.target.do = func(in engine.Input, _ int) (any, error) {
		if strings.HasSuffix(in.Path, "after") {
			close(after)
			return nil, nil
		}
		close(began)
		select {
		case <-after:
			return nil, nil
		case <-time.After(time.Minute):
			return nil, errors.New("the other branch was held up")
		}
	}
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	<-began
	id := stands(t, s, engine.Running)
	if _, err := e.Answer(context.Background(), id, engine.Response{Verdict: "approve"}); err != nil {
		t.Fatal(err)
	}
	stands(t, s, engine.Succeeded)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestCancelledRunLeavesNoWaits: no step of it is left waiting, and the event
// that it waited for finds nobody.
func TestCancelledRunLeavesNoWaits(t *testing.T) {
	w := newWorld(t, map[string]string{"w": approval})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{"n": 1}`)); err != nil {
		t.Fatal(err)
	}
	id := stands(t, s, engine.Waiting)
	if err := e.Cancel(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	stands(t, s, engine.Cancelled) // one that is just being put down is cancelled a moment later
	steps, err := s.History.Steps(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 1 || steps[0].Status != "cancelled" {
		t.Errorf("%+v", steps)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// slowLook is a store whose list of due runs is old when it arrives.
type slowLook struct{ engine.Store }

func (s slowLook) ClaimDue(ctx context.Context, owner engine.Owner, now time.Time, limit int) ([]engine.RunID, time.Time, error) {
	ids, next, err := s.Store.ClaimDue(ctx, owner, now, limit)
	time.Sleep(20 * time.Millisecond)
	return ids, next, err
}

// TestNoSleepingRunIsForgotten: runs that fall asleep while the dispatcher looks for
// others are found all the same.
func TestNoSleepingRunIsForgotten(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nsteps: [{sleep: 1ms}, {sleep: 1ms}, {sleep: 1ms}]"})
	w.store = func(s engine.Store) engine.Store { return slowLook{s} }
	e, s, stop := w.start(nil)
	for i := range 10 {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	settled(t, s, 10)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
