package machine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
)

func bank(key, body string, age time.Duration) *engine.Delivery {
	d := delivery(key, body)
	d.Trigger, d.ReceivedAt = "back", d.ReceivedAt.Add(-age)
	return d
}

// TestWaitSeesEarlierEvents as far back as since: says, and what came since the run
// itself began however long that is ago.
func TestWaitSeesEarlierEvents(t *testing.T) {
	for _, x := range []struct {
		name, since string
		event, run  time.Duration // how long ago they came
		found       bool
	}{
		{"by default an hour", "", 59 * time.Minute, 0, true},
		{"not longer", "", 61 * time.Minute, 0, false},
		{"as long as it says", "since: 3h", 2 * time.Hour, 0, true},
		{"as short as it says", "since: 1m", 2 * time.Minute, 0, false},
		{"since the run began", "since: 1m", 5 * time.Hour, 6 * time.Hour, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"w": "on: hook\nwhen: event.type == 't'\nsteps: [{id: got, wait: {event: back, key: " +
				"\"${{ event.key }}\", " + x.since + "}, timeout: 1h}]\noutput: ${{ steps.got.output.data.n }}"})
			e, s, stop := w.start(nil)
			first, err := e.Accept(context.Background(), bank("k", `{"n": 7}`, x.event))
			if err != nil {
				t.Fatal(err)
			}
			d := delivery("k", `{}`)
			d.ReceivedAt = d.ReceivedAt.Add(-x.run)
			if _, err := e.Accept(context.Background(), d); err != nil {
				t.Fatal(err)
			}
			if !x.found {
				time.Sleep(30 * time.Millisecond)
				stands(t, s, engine.Waiting)
			} else {
				id := stands(t, s, engine.Succeeded)
				if got := output(t, s, id); got != "succeeded 7 " {
					t.Error(got)
				}
				run, err := s.History.RunDetail(context.Background(), id)
				if err != nil {
					t.Fatal(err)
				}
				event, err := s.History.EventDetail(context.Background(), first.Event)
				if err != nil {
					t.Fatal(err)
				}
				if len(run.EndedBy) != 1 || run.EndedBy[0].Event != first.Event.String() || run.EndedBy[0].Step != "got" || run.EndedBy[0].Key != "k" ||
					len(event.EndedWaits) != 1 || event.EndedWaits[0].Run != id.String() {
					t.Errorf("the run shows %+v, the event %+v", run.EndedBy, event.EndedWaits)
				}
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestARunUsesAnEventOnce: a second wait for the same key wants another one, and the
// run's own event is none.
func TestARunUsesAnEventOnce(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: back\nwhen: event.data.n == 1\nsteps:\n  - {id: a, wait: {event: back, key: " +
		"\"${{ event.key " +
		"}}\"}}\n  - {id: b, wait: {event: back, key: \"${{ event.key }}\"}}\noutput: ${{ [steps.a.output.data.n, steps.b.output.data.n] }}"})
	e, s, stop := w.start(nil)
	for n := 1; n <= 3; n++ {
		d := bank("k", fmt.Sprintf(`{"n": %d}`, n), 0)
		d.Dedupe = time.Nanosecond
		if _, err := e.Accept(context.Background(), d); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		if n < 3 {
			stands(t, s, engine.Waiting)
		}
	}
	id := stands(t, s, engine.Succeeded)
	if got := output(t, s, id); got != "succeeded [2,3] " {
		t.Error(got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// slowCommit is a store to which events of a trigger come late: their ids are given long
// before they are on disk.
type slowCommit struct {
	engine.Store
	given, commit chan struct{}
}

func (s slowCommit) late(d *engine.Delivery) {
	if d.Trigger == "back" {
		s.given <- struct{}{}
		<-s.commit
	}
}

func (s slowCommit) Accept(ctx context.Context, id engine.EventID, d *engine.Delivery) (engine.Receipt, error) {
	s.late(d)
	return s.Store.Accept(ctx, id, d)
}

func (s slowCommit) AcceptDecided(ctx context.Context, id engine.EventID, d *engine.Delivery, m engine.Match) (engine.Receipt,
	engine.MatchResult, error) {
	s.late(d)
	return s.Store.AcceptDecided(ctx, id, d, m)
}

// TestEventCommittedLaterThanItsIDEndsTheWait: it was received before the run's
// own event, and is on disk after the run has begun to wait.
func TestEventCommittedLaterThanItsIDEndsTheWait(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\nwhen: event.type == 't'\nsteps: [{id: got, wait: {event: back, key: \"${{ event.key " +
		"}}\"}, timeout: 1h}]\noutput: ${{ steps.got.output.data.n }}"})
	slow := slowCommit{given: make(chan struct{}), commit: make(chan struct{})}
	w.store = func(s engine.Store) engine.Store { slow.Store = s; return slow }
	e, s, stop := w.start(nil)
	const pairs = 10
	accepted := make(chan error, pairs)
	for i := range pairs {
		go func() {
			_, err := e.Accept(context.Background(), bank(fmt.Sprint(i), `{"n": 7}`, 5*time.Millisecond))
			accepted <- err
		}()
		<-slow.given
	}
	for i := range pairs {
		if _, err := e.Accept(context.Background(), delivery(fmt.Sprint(i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the runs wait", func() bool {
		return len(statuses(t, s)["w"]) == pairs && strings.Count(strings.Join(statuses(t, s)["w"], ","), "waiting") == pairs
	})
	close(slow.commit)
	for range pairs {
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range settled(t, s, pairs) {
		if r.Status != string(engine.Succeeded) {
			t.Errorf("%+v", r)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestTheFirstOfSeveralEndsAWait: its output is the first one's, with its place and kind,
// over a restart too.
func TestTheFirstOfSeveralEndsAWait(t *testing.T) {
	const flow = `on: hook
when: event.type == 't'
steps:
  - id: first
    wait:
      any:
        - {event: back, key: "a${{ event.key }}"}
        - {event: back, key: "b${{ event.key }}"}
        - {approval: "Go on?"}
    timeout: 1h
output: ${{ [steps.first.output.index, steps.first.output.kind, steps.first.output.key ?? steps.first.output.by] }}
`
	for name, x := range map[string]struct {
		come func(e *machine.Engine, id engine.RunID) error
		want string
	}{
		"the second event": {func(e *machine.Engine, _ engine.RunID) error {
			_, err := e.Accept(context.Background(), bank("bk", `{}`, 0))
			return err
		}, `succeeded [1,"event","bk"] `},
		"the approval": {func(e *machine.Engine, id engine.RunID) error {
			_, err := e.Answer(context.Background(), id, engine.Response{Verdict: "approve", By: "ada"})
			return err
		}, `succeeded [2,"approval","ada"] `},
		"both events, the older one first": {func(e *machine.Engine, _ engine.RunID) error {
			_, err := e.AcceptAll(context.Background(), []*engine.Delivery{bank("bk", `{}`, 0), bank("ak", `{}`, time.Minute)})
			return err
		}, `succeeded [0,"event","ak"] `},
		"rejected": {func(e *machine.Engine, id engine.RunID) error {
			_, err := e.Answer(context.Background(), id, engine.Response{Verdict: "reject", By: "ada"})
			return err
		}, "failed null rejected by ada"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"w": flow})
			e, s, stop := w.start(nil)
			if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
				t.Fatal(err)
			}
			id := stands(t, s, engine.Waiting)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			e, s, stop = w.start(nil)
			if err := x.come(e, id); err != nil {
				t.Fatal(err)
			}
			settled(t, s, 1)
			if got := output(t, s, id); got != x.want {
				t.Error(got)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestDefaultsApplyToEveryKindOfStart: not only for a manual start or a call.
func TestDefaultsApplyToEveryKindOfStart(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: [hook, manual]\ninputs: {n: {type: integer, default: 7}}\nwhen: inputs.n == " +
		"7\nsteps: [{id: " +
		"a, set: {v: \"${{ inputs.n }}\"}}]\noutput: ${{ vars.v }}",
		"after": "on:\n  manual:\n  workflow_run: {workflows: [w]}\ninputs: {n: {type: integer, default: 8}}\nsteps: [{stop: x}]\noutput: ${{ " +
			"inputs.n }}"})
	e, s, stop := w.start(nil)
	if _, err := e.Accept(context.Background(), delivery("k", `{}`)); err != nil {
		t.Fatal(err)
	}
	for _, r := range settled(t, s, 2) {
		want := map[string]string{"w": "succeeded 7 ", "after": "succeeded 8 "}[r.Workflow]
		if got := output(t, s, mustRun(t, r.ID)); got != want {
			t.Errorf("%s: %s", r.Workflow, got)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
