package intake

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/storetest"
	"github.com/hookloom/hookloom/workflows"
)

// altered is a store that answers some calls in another way, if their fields are set.
type altered struct {
	engine.Store
	acceptAll, match, claim error
	claimed                 int
	rules                   int64
	matched                 []engine.Match
	refused                 *engine.Refusal
	differs                 func(diff map[string]any)
}

func (s *altered) AcceptAll(ctx context.Context, ids []engine.EventID, ds []*engine.Delivery) ([]engine.Receipt, error) {
	if s.acceptAll != nil {
		return []engine.Receipt{{Event: 1}}, s.acceptAll
	}
	return s.Store.AcceptAll(ctx, ids, ds)
}

func (s *altered) Match(ctx context.Context, ms []engine.Match) ([]engine.MatchResult, error) {
	s.matched = append(s.matched, ms...)
	if s.match != nil {
		return nil, s.match
	}
	return s.Store.Match(ctx, ms)
}

func (s *altered) ClaimInbox(ctx context.Context, owner engine.Owner, limit int, working func(engine.EventID) bool) ([]*engine.Event, bool,
	error) {
	if s.claimed++; s.claim != nil {
		return nil, false, s.claim
	}
	return s.Store.ClaimInbox(ctx, owner, limit, working)
}

func (s *altered) Rules(ctx context.Context) (int64, []engine.Run, error) {
	seq, versions, err := s.Store.Rules(ctx)
	return seq + s.rules, versions, err
}

func (s *altered) Refuse(ctx context.Context, r engine.Refusal) error {
	s.refused = &r
	return s.Store.Refuse(ctx, r)
}

func (s *altered) SaveDifference(ctx context.Context, id engine.EventID, inlet workflows.Inlet, diff map[string]any) error {
	if s.differs != nil {
		s.differs(diff)
	}
	return s.Store.SaveDifference(ctx, id, inlet, diff)
}

// arriving is a delivery with a key.
func arriving(inlet workflows.Inlet, key, body string) *engine.Delivery {
	now := time.Now().UTC()
	return &engine.Delivery{Trigger: "hook", Inlet: inlet, Key: key, Type: "t", Time: now, ReceivedAt: now, Raw: []byte(body),
		Headers: map[string]string{"content-type": "application/json"}, Dedupe: time.Hour}
}

// TestARefusedDeliveryIsStoredMasked: the fields of history.redact are not to be stored anywhere.
func TestARefusedDeliveryIsStoredMasked(t *testing.T) {
	s := &altered{Store: storetest.New(t).Store}
	in := overWith(t, s, "triggers: {hook: {webhook: {auth: none}}}\nhistory: {redact: [event.data.iban]}")
	in.Refuse(engine.Refusal{At: time.Now(), Trigger: "hook", Reason: "signature", Body: []byte(`{"iban":"DE89"}`),
		Headers: map[string]string{"content-type": "application/json"}})
	if s.refused == nil || strings.Contains(string(s.refused.Body), "DE89") {
		t.Errorf("%+v", s.refused)
	}
}

// TestEventsOfOneRequestThatAreNotStoredAreAnError, without any receipt.
func TestEventsOfOneRequestThatAreNotStoredAreAnError(t *testing.T) {
	full := errors.New("the disk is full")
	in := over(t, &altered{Store: storetest.New(t).Store, acceptAll: full})
	if list, err := in.AcceptAll(t.Context(), []*engine.Delivery{arriving("webhook", "k", `{}`)}); !errors.Is(err, full) || list != nil {
		t.Errorf("%+v %v", list, err)
	}
}

// TestRepeatedDeliveriesBeforeTheStartAreBounded: they are in memory with their bodies.
func TestRepeatedDeliveriesBeforeTheStartAreBounded(t *testing.T) {
	in := ready(t)
	for i := range maxEarly + 2 {
		in.compareLater(arriving("poll", strconv.Itoa(i), `{}`), engine.Receipt{Event: 1, Duplicate: true})
	}
	if len(in.early) != maxEarly {
		t.Errorf("%d are kept", len(in.early))
	}
	in.Start(t.Context())
	in.Wait()
	if in.early != nil || !in.backlog.Load() || !in.ordered.backlog {
		t.Errorf("after the start, %d are kept; the inbox is to be read: %t, %t", len(in.early), in.backlog.Load(), in.ordered.backlog)
	}
}

// TestDifferencesBetweenInletsAreRecorded, with memory for both bodies meanwhile. The same inlet, or one that did not
// fetch the data, has nothing to compare.
func TestDifferencesBetweenInletsAreRecorded(t *testing.T) {
	s := &altered{Store: storetest.New(t).Store}
	in := over(t, s)
	in.Start(t.Context())
	large := `, "text": "` + strings.Repeat("x", 1<<20) + `"}`
	r, err := in.store.Accept(t.Context(), engine.EventID(in.reg.NextID()), arriving("webhook", "k", `{"a": 1`+large))
	if err != nil {
		t.Fatal(err)
	}
	partial := arriving("poll", "k", `{"a": 2`+large)
	partial.Partial = true
	for i, c := range []struct {
		d    *engine.Delivery
		want int
	}{{arriving("poll", "k", `{"a": 2`+large), 1}, {arriving("webhook", "k", `{"a": 2`+large), 0}, {partial, 0}} {
		n := 0
		s.differs = func(diff map[string]any) {
			n++
			if len(diff) != 1 || in.store.Decoded.Lent() == 0 {
				t.Errorf("%d: %d differences, with %d bytes", i, len(diff), in.store.Decoded.Lent())
			}
		}
		in.compareData(t.Context(), c.d, engine.Receipt{Event: r.Event, Duplicate: true})
		if n != c.want || in.store.Decoded.Lent() != 0 {
			t.Errorf("%d: recorded %d times; %d bytes are lent", i, n, in.store.Decoded.Lent())
		}
	}
}

// TestAPollCountsTheNewEvents, and not those that are known.
func TestAPollCountsTheNewEvents(t *testing.T) {
	in := ready(t)
	for _, want := range []int{2, 0} {
		n, err := in.Poll(t.Context(), &engine.PollBatch{Trigger: "hook", Inlet: "poll",
			Items: []*engine.Delivery{arriving("poll", "k1", `{}`), arriving("poll", "k2", `{}`)}})
		if err != nil || n != want {
			t.Errorf("%d new events, want %d, %v", n, want, err)
		}
	}
}

// TestATriggerIsDivertedForAWhile: its events take the normal path after one that would have queued.
func TestATriggerIsDivertedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := ready(t)
		in.Start(t.Context())
		in.Wait()
		in.backlog.Store(false)
		in.divert("hook", busyFor)
		for _, c := range []struct {
			trigger string
			after   time.Duration
			fast    bool
		}{{"other", 0, true}, {"hook", 50 * time.Millisecond, false}, {"hook", 50 * time.Millisecond, true}} {
			time.Sleep(c.after)
			fast := in.enterFastPath(c.trigger)
			if fast {
				in.leaveFastPath()
			}
			if fast != c.fast {
				t.Errorf("%+v: %t", c, fast)
			}
		}
	})
}

// TestAMatchNamesTheRulesItReliesOn, so that the store refuses it once another node has changed them.
func TestAMatchNamesTheRulesItReliesOn(t *testing.T) {
	s := &altered{Store: storetest.New(t).Store, rules: 7}
	in := over(t, s)
	in.Start(t.Context())
	in.match(&engine.Event{ID: 1, Delivery: *arriving("webhook", "k", `{}`)})
	if len(s.matched) == 0 || s.matched[0].Rules != in.reg.Rules() || in.reg.Rules() < 7 {
		t.Errorf("%+v, rules %d", s.matched, in.reg.Rules())
	}
}

// TestAnEventWhoseDecisionIsNotStoredStaysInTheInbox, and its run frees the slot.
func TestAnEventWhoseDecisionIsNotStoredStaysInTheInbox(t *testing.T) {
	in := over(t, &altered{Store: storetest.New(t).Store, match: engine.ErrClosed})
	in.Start(t.Context())
	in.Wait()
	in.backlog.Store(false)
	in.ordered.backlog = false
	in.matching[1] = true
	if going := in.match(&engine.Event{ID: 1, Delivery: *arriving("webhook", "k", `{}`)}); len(going) != 0 || in.runner.AtWork() != 0 {
		t.Errorf("%d runs go on, %d are at work", len(going), in.runner.AtWork())
	}
	if !in.backlog.Load() || !in.ordered.backlog || len(in.matching) != 0 {
		t.Errorf("the inbox is to be read: %t, %t; being decided: %v", in.backlog.Load(), in.ordered.backlog, in.matching)
	}
}

// TestTheInboxIsReadOnlyWithABacklog, and a disk that cannot be read ends the process.
func TestTheInboxIsReadOnlyWithABacklog(t *testing.T) {
	s := &altered{Store: storetest.New(t).Store, claim: engine.ErrDisk}
	in := over(t, s)
	if err := in.takeInbox(t.Context()); err != nil || s.claimed != 0 {
		t.Errorf("read %d times, %v", s.claimed, err)
	}
	in.backlog.Store(true)
	in.RunInbox(t.Context()) // returns
	select {
	case err := <-in.store.Failed():
		if !errors.Is(err, engine.ErrDisk) || s.claimed != 1 {
			t.Errorf("read %d times, %v", s.claimed, err)
		}
	default:
		t.Error("the process goes on")
	}
}

// TestOrderedEventsThatAreDroppedAreNoLongerDecided: they are in the inbox.
func TestOrderedEventsThatAreDroppedAreNoLongerDecided(t *testing.T) {
	in := ready(t)
	in.ordered.queue, in.ordered.draining = []*engine.Event{{ID: 1}, {ID: 2}}, true
	in.matching[1], in.matching[2], in.matching[3] = true, true, true
	in.dropOrdered()
	if in.ordered.queue != nil || in.ordered.draining || len(in.matching) != 1 {
		t.Errorf("%+v, being decided: %v", in.ordered, in.matching)
	}
}

func TestTheEndOfARunIsToldToThoseWhoWait(t *testing.T) {
	in := ready(t)
	told, leave := in.waiters.add(1)
	defer leave()
	if in.RunEnded(2); len(told) != 0 {
		t.Error("told of another event")
	}
	if in.RunEnded(1); len(told) != 1 {
		t.Error("not told")
	}
}

// oneRow is a store that takes no decisions of several events at once.
type oneRow struct{ *altered }

func (s oneRow) Match(ctx context.Context, ms []engine.Match) ([]engine.MatchResult, error) {
	if len(ms) > 1 {
		return nil, &engine.UnstorableError{Workflow: "w", Err: errors.New("a row is refused")}
	}
	return s.altered.Match(ctx, ms)
}

// TestEventsWhoseDecisionsAreRefusedTogetherAreDecidedAlone: no run keeps the slot of its first try, and those who wait are told.
func TestEventsWhoseDecisionsAreRefusedTogetherAreDecidedAlone(t *testing.T) {
	s := &altered{Store: storetest.New(t).Store}
	in := over(t, oneRow{s})
	in.Start(t.Context())
	in.Wait()
	var events []*engine.Event
	for id := range engine.EventID(2) {
		d := arriving("webhook", id.String(), `{}`)
		if _, err := s.AcceptAll(t.Context(), []engine.EventID{id + 1}, []*engine.Delivery{d}); err != nil {
			t.Fatal(err)
		}
		events = append(events, &engine.Event{ID: id + 1, Delivery: *d})
	}
	told, leave := in.waiters.add(1)
	defer leave()
	if going := in.match(events...); in.runner.AtWork() != len(going) || len(s.matched) != 2 {
		t.Errorf("%d runs go on, %d are at work, %d decisions are stored", len(going), in.runner.AtWork(), len(s.matched))
	}
	if len(told) != 1 {
		t.Error("who waits for an event is not told of its decision")
	}
}

func TestOrderedEventsStayInTheInboxWhileTheEngineStops(t *testing.T) {
	s := &altered{Store: storetest.New(t).Store}
	in := over(t, s)
	in.Start(t.Context())
	in.Wait()
	in.stopping, in.matching[1] = true, true
	in.ordered.queue, in.ordered.draining = []*engine.Event{{ID: 1, Delivery: *arriving("webhook", "k", `{}`)}}, true
	in.goroutines.Add(1)
	in.matchOrdered()
	if len(s.matched) != 0 || in.ordered.draining || len(in.matching) != 0 {
		t.Errorf("decided: %+v; being decided: %v", s.matched, in.matching)
	}
}
