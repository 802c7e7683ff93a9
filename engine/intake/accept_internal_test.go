package intake

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/storetest"
)

// watched counts what the watch is told.
type watched struct {
	engine.Watch
	stored, polled int
}

func (w *watched) Stored(*engine.Delivery, engine.Receipt) { w.stored++ }
func (w *watched) Polled(*engine.PollBatch, int)           { w.polled++ }

// fastStore counts the events that are stored with their decisions.
type fastStore struct {
	*altered
	decided    int
	errDecided error
	// lost reports that the result of the first call is lost.
	lost              bool
	poll, cancelledBy error
}

func (s *fastStore) CancelledBy(ctx context.Context) ([]engine.CancelledBy, error) {
	list, err := s.Store.CancelledBy(ctx)
	return list, errors.Join(err, s.cancelledBy)
}

func (s *fastStore) AcceptDecided(ctx context.Context, id engine.EventID, d *engine.Delivery, m engine.Match) (engine.Receipt,
	engine.MatchResult, error) {
	if s.decided++; s.errDecided != nil {
		return engine.Receipt{}, engine.MatchResult{}, s.errDecided
	}
	r, result, err := s.Store.AcceptDecided(ctx, id, d, m)
	if s.lost {
		s.lost = false
		return engine.Receipt{}, engine.MatchResult{}, engine.ErrUnknown
	}
	return r, result, err
}

func (s *fastStore) Poll(ctx context.Context, ids []engine.EventID, b *engine.PollBatch) ([]engine.Receipt, error) {
	if s.poll != nil {
		return nil, s.poll
	}
	return s.Store.Poll(ctx, ids, b)
}

// working is an Intake that decides, with an empty inbox.
func working(t *testing.T, config string) (*Intake, *fastStore, *watched) {
	t.Helper()
	s, w := &fastStore{altered: &altered{Store: storetest.New(t).Store}}, &watched{}
	in := overWith(t, s, config)
	in.o.Watch = w
	in.Start(t.Context())
	in.Wait()
	in.backlog.Store(false)
	in.ordered.backlog = false
	return in, s, w
}

const oneHook = "triggers: {hook: {webhook: {auth: none}}}"

// outcomeOf is the stored decision of workflow w about an event; empty without one.
func outcomeOf(t *testing.T, in *Intake, id engine.EventID) engine.Outcome {
	t.Helper()
	at, err := in.store.Decided(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return at.Outcomes["w"]
}

// TestSmallEventIsDecidedBeforeTheAnswer, and a repeated delivery of it is reported as such.
func TestSmallEventIsDecidedBeforeTheAnswer(t *testing.T) {
	in, s, w := working(t, oneHook)
	r, err := in.Accept(t.Context(), arriving("webhook", "k", `{}`))
	if err != nil || r.Duplicate || s.decided != 1 || w.stored != 1 || outcomeOf(t, in, r.Event) != engine.Matched {
		t.Errorf("%+v %v; stored with its decision %d times, reported %d times", r, err, s.decided, w.stored)
	}
	again, err := in.Accept(t.Context(), arriving("webhook", "k", `{}`))
	if err != nil || !again.Duplicate || again.Event != r.Event || s.decided != 2 || w.stored != 2 {
		t.Errorf("%+v %v; reported %d times", again, err, w.stored)
	}
	in.Wait()
	if in.runner.AtWork() != 0 || len(s.matched) != 0 {
		t.Errorf("%d runs are at work; decided again: %+v", in.runner.AtWork(), s.matched)
	}
}

// TestLargeEventIsDecidedAfterTheAnswer, and so is one that could not be stored with its decision.
func TestLargeEventIsDecidedAfterTheAnswer(t *testing.T) {
	for size, refused := range map[int]error{maxFastBody + 1: nil, 10: errors.New("a row is refused")} {
		in, s, _ := working(t, oneHook)
		s.errDecided = refused
		r, err := in.Accept(t.Context(), arriving("webhook", "k", `{"a":"`+strings.Repeat("x", size)+`"}`))
		if err != nil || r.Event == 0 || (s.decided == 0) != (refused == nil) {
			t.Errorf("%d bytes: %+v %v, stored with its decision %d times", size, r, err, s.decided)
		}
		in.Wait()
		if outcomeOf(t, in, r.Event) != engine.Matched {
			t.Errorf("%d bytes: it is not decided", size)
		}
	}
}

// TestDecisionWithALostResultIsFound: the event was stored, and its runs go on. If the runs that it ended cannot be
// read, the process ends, and the next start reads them.
func TestDecisionWithALostResultIsFound(t *testing.T) {
	for _, cause := range []error{nil, errors.New("the database is away")} {
		in, s, _ := working(t, oneHook)
		s.lost, s.cancelledBy = true, cause
		r, err := in.Accept(t.Context(), arriving("webhook", "k", `{}`))
		if err != nil || r.Event == 0 || s.decided != 2 || outcomeOf(t, in, r.Event) != engine.Matched {
			t.Errorf("%+v %v, stored with its decision %d times", r, err, s.decided)
		}
		select {
		case err := <-in.store.Failed():
			if cause == nil || !errors.Is(err, cause) {
				t.Errorf("the process ends: %v", err)
			}
		default:
			if cause != nil {
				t.Error("the process goes on")
			}
		}
	}
}

func TestOnlyHiddenValuesNeedAMaskOfTheirOwn(t *testing.T) {
	in, s, _ := working(t, oneHook)
	for i, hidden := range [][]string{nil, {"s3cret-token"}} {
		ev := &engine.Event{ID: engine.EventID(i + 1), Delivery: *arriving("webhook", "k", `{}`)}
		ev.Hidden = hidden
		in.match(ev)
		m := s.matched[len(s.matched)-1].Mask
		if (m != nil) != (hidden != nil) || m != nil && m.Text("a s3cret-token") != "a ***" {
			t.Errorf("%q: %+v", hidden, m)
		}
	}
}

func TestEventWithoutListenersIsNotDecided(t *testing.T) {
	in, s, _ := working(t, "triggers: {hook: {webhook: {auth: none}}, other: {webhook: {auth: none}}}")
	d := arriving("webhook", "k", `{}`)
	d.Trigger = "other"
	if r, err := in.Accept(t.Context(), d); err != nil || r.Event == 0 || !d.Unsubscribed || s.decided != 0 {
		t.Errorf("%+v %v, stored with decisions %d times", r, err, s.decided)
	}
	in.Wait()
	if len(s.matched) != 0 {
		t.Errorf("it is decided: %+v", s.matched)
	}
}

// TestWorkflowWithoutManualStartIsNotFired, nor one that does not exist.
func TestWorkflowWithoutManualStartIsNotFired(t *testing.T) {
	in, _, _ := working(t, oneHook)
	for workflow, says := range map[string]string{"w": "cannot be started by hand", "none": "not found"} {
		if r, err := in.Fire(t.Context(), workflow, nil, "ada", ""); err == nil || r.Event != 0 || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %+v %v", workflow, r, err)
		}
	}
}

// TestPollIsReportedOnceItIsStored, with its cost if it has one.
func TestPollIsReportedOnceItIsStored(t *testing.T) {
	away := errors.New("the database is away")
	for _, c := range []struct {
		outcome string
		err     error
		polled  int
	}{{"ok", nil, 1}, {"failed", nil, 1}, {"", nil, 0}, {"ok", away, 0}} {
		in, s, w := working(t, oneHook)
		s.poll = c.err
		b := &engine.PollBatch{Trigger: "hook", Inlet: "poll", Items: []*engine.Delivery{arriving("poll", "k", `{}`)}}
		b.Cost.Outcome = c.outcome
		if n, err := in.Poll(t.Context(), b); !errors.Is(err, c.err) || (n == 1) != (c.err == nil) || w.polled != c.polled {
			t.Errorf("%+v: %d new, %v, reported %d times", c, n, err, w.polled)
		}
		in.Wait()
	}
}

func TestRepeatedDeliveryIsComparedIfItsTriggerHasTwoInlets(t *testing.T) {
	for _, two := range []bool{true, false} {
		in, s, _ := working(t, oneHook)
		in.reg.Snapshot().Polled["hook"] = two
		compared := make(chan bool, 1)
		s.differs = func(map[string]any) { compared <- true }
		for _, d := range []*engine.Delivery{arriving("webhook", "k", `{"a": 1}`), arriving("poll", "k", `{"a": 2}`)} {
			if _, err := in.Accept(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		in.Wait()
		if (len(compared) == 1) != two {
			t.Errorf("two inlets: %t, compared: %t", two, len(compared) == 1)
		}
	}
}

func TestEventsOfOneRequestAndPollAreMarkedIfNothingListens(t *testing.T) {
	in, s, _ := working(t, "triggers: {hook: {webhook: {auth: none}}, other: {webhook: {auth: none}}}")
	one, two := arriving("webhook", "k1", `{}`), arriving("poll", "k2", `{}`)
	one.Trigger, two.Trigger = "other", "other"
	if _, err := in.AcceptAll(t.Context(), []*engine.Delivery{one}); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Poll(t.Context(), &engine.PollBatch{Trigger: "other", Inlet: "poll", Items: []*engine.Delivery{two}}); err != nil {
		t.Fatal(err)
	}
	in.Wait()
	if !one.Unsubscribed || !two.Unsubscribed || len(s.matched) != 0 {
		t.Errorf("%t, %t; decided: %+v", one.Unsubscribed, two.Unsubscribed, s.matched)
	}
}
