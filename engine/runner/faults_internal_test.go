package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// asleep are workflows whose runs wait; those of the second have finally steps.
var asleep = map[string]string{"w": "on: hook\nsteps: [{sleep: 1h}]\n",
	"f": "on: hook\nsteps: [{sleep: 1h}]\nfinally: [{uses: test/act}]\n"}

// TestAFailingStoreIsReportedWithWhatWasTried, and damaged rows do not prevent a cancellation.
func TestAFailingStoreIsReportedWithWhatWasTried(t *testing.T) {
	ctx := t.Context()
	rn, _, _ := storedWith(t, asleep, acting(func(context.Context, engine.Input) (any, error) { return nil, nil }))
	s, _ := broken(rn)
	id := engine.RunID(77)
	const disk = ": the disk is broken: "
	for _, c := range []struct {
		method, workflow string
		err              error
		do               func() error
		want             string // the beginning of the error, empty for none
		status           engine.RunStatus
	}{
		{"Run", "w", errDisk, func() error { return rn.Cancel(ctx, id) }, "run " + id.String() + disk, engine.Waiting},
		{"Event", "w", errDisk, func() error { return rn.Cancel(ctx, id) }, "event of run " + id.String() + disk, engine.Waiting},
		{"Event", "w", errRow, func() error { return rn.Cancel(ctx, id) }, "", engine.Cancelled},
		{"Event", "w", engine.ErrNotFound, func() error { return rn.Cancel(ctx, id) }, "", engine.Cancelled},
		{"Cancel", "w", errRow, func() error { return rn.Cancel(ctx, id) }, "a row is damaged", engine.Waiting},
		{"LoadRun", "f", errRow, func() error { return rn.Cancel(ctx, id) }, "", engine.Cancelled},
		{"LoadRun", "f", errDisk, func() error { return rn.Cancel(ctx, id) }, "the disk is broken", engine.Waiting},
		{"End", "f", errRow, func() error { return rn.Cancel(ctx, id) }, "a row is damaged", engine.Waiting},
		{"", "f", nil, func() error { return rn.Cancel(ctx, id) }, "", engine.Waiting},
		{"EndCalls", "", errRow, func() error { return rn.Resume(ctx) }, "looking for called runs to end: a row", ""},
		{"Replaced", "", errRow, func() error { return rn.Resume(ctx) }, "looking for runs that are replaced: a row", ""},
		{"CancelVersions", "", errRow, func() error { return rn.Resume(ctx) }, "looking for what ends open runs: a row", ""},
		{"CancelledBy", "", errRow, func() error { return rn.Resume(ctx) }, "looking for runs that events have ended: a row", ""},
		{"Suspects", "", errRow, func() error { return rn.Resume(ctx) }, "looking for runs that may have crashed the process: a row", ""},
		{"", "", nil, func() error { return rn.Resume(ctx) }, "", ""},
		{"Replaced", "", errRow, func() error { return rn.CancelLeft(ctx) }, "looking for runs that are replaced: a row", ""},
		{"CancelledBy", "", errRow, func() error { return rn.CancelLeft(ctx) }, "looking for runs that events have ended: a row", ""},
		{"", "", nil, func() error { return rn.CancelLeft(ctx) }, "", ""},
		{"Large", "", errRow, func() error { return rn.Load(ctx) }, "looking for large runs: a row", ""},
		{"Paused", "", errRow, func() error { return rn.Load(ctx) }, "looking for paused endpoints: a row", ""},
		{"Parked", "", errRow, func() error { return rn.UnparkAll(ctx, rn.reg.Snapshot()) }, "looking for held runs: a row", ""},
		{"Unpark", "", errRow, func() error { return rn.unpark(ctx, "w") }, "starting held runs: a row", ""},
		{"NodeOrders", "", errRow, func() error { return rn.CarryOutOrders(ctx) }, "reading requests of other nodes: a row", ""},
		{"OrderNodes", "", errRow, func() error { return rn.orderCancel(ctx, id, nil) }, "ordering the end of run " + id.String() +
			": a row", ""},
		{"OrderNodes", "", errRow, func() error { _, err := rn.Unpause(ctx, host); return err }, "destination " + host + ": a row", ""},
		{"ResumeRuns", "", errRow, func() error { _, err := rn.Unpause(ctx, host); return err }, "destination " + host + ": a row", ""},
		{"ClaimDue", "", errDisk, func() error { return rn.takeDue(ctx) }, "looking for due runs: the disk", ""},
		{"ClaimDue", "", errRow, func() error { return rn.takeDue(ctx) }, "", ""},
		{"Suspects", "", errRow, func() error {
			if left, err := rn.ResumeSuspects(ctx); !left {
				return fmt.Errorf("none is left: %w", err)
			} else {
				return err
			}
		}, "looking for runs that may have", ""},
	} {
		s.fail("", nil)
		rn.lookedDue = time.Time{}
		if c.workflow != "" {
			id = begin(t, rn, c.workflow, false).ID
			c.want = strings.ReplaceAll(c.want, engine.RunID(77).String(), id.String())
		}
		s.fail(c.method, c.err)
		err := c.do()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || !errors.Is(err, c.err)) {
			t.Errorf("%s fails by %q: %v, want %q", c.method, c.err, err, c.want)
		}
		if c.workflow != "" {
			if r, err := s.Store.Run(ctx, id); err != nil || r.Status != c.status || (r.Ending != nil) != (c.method == "") {
				t.Errorf("%s fails by %q: %+v %v, want it %s", c.method, c.err, r, err, c.status)
			}
		}
		id = 77
	}
}

// TestAStopIsNoFailedStart: what is read at a start may then be incomplete.
func TestAStopIsNoFailedStart(t *testing.T) {
	rn, _, _ := stored(t)
	s, _ := broken(rn)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, method := range []string{"EndCalls", "Suspects", "CancelledBy"} {
		s.fail(method, errRow)
		if err := rn.Resume(stopped); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	for _, method := range []string{"Large", "Paused"} {
		s.fail(method, errRow)
		if err := rn.Load(stopped); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// TestABusyStoreIsAskedForDueRunsAgainSoon, and one that is broken ends the process.
func TestABusyStoreIsAskedForDueRunsAgainSoon(t *testing.T) {
	rn, _, _ := stored(t)
	s, _ := broken(rn)
	s.fail("ClaimDue", engine.ErrBusy)
	if err := rn.takeDue(t.Context()); err != nil || time.Until(rn.nextDue) < 50*time.Millisecond || time.Until(rn.nextDue) > time.Second {
		t.Errorf("asked again in %v, %v", time.Until(rn.nextDue), err)
	}
	s.fail("ClaimDue", errDisk)
	rn.nextDue = time.Now()
	rn.RunDue(t.Context())
	select {
	case err := <-rn.store.Failed():
		if !errors.Is(err, engine.ErrDisk) {
			t.Errorf("the process ends by %v", err)
		}
	default:
		t.Error("the process goes on")
	}
}

// TestOrdersOfOtherNodesAreCarriedOut, each once, and those after a failed one stay.
func TestOrdersOfOtherNodesAreCarriedOut(t *testing.T) {
	rn, _, _ := storedWith(t, asleep, nil)
	id := begin(t, rn, "w", false).ID
	var yielded []string
	s, _ := broken(rn)
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339Nano) }
	rn.HoldConnection(t.Context(), "crm", "why")
	s.given = []engine.NodeOrder{{ID: 1, Kind: engine.OrderCancel, Subject: id.String(), Why: &plan.Error{Message: "x", Code: "cancelled"}},
		{ID: 2, Kind: engine.OrderCancel, Subject: id.String()}, {ID: 3, Kind: engine.OrderCancel, Subject: engine.RunID(9 << 40).String()},
		{ID: 4, Kind: engine.OrderDelay, Subject: in(time.Hour) + " https://slow.example"},
		{ID: 5, Kind: engine.OrderDelay, Subject: in(time.Hour) + " https://lifted.example"},
		{ID: 6, Kind: engine.OrderLift, Subject: "https://lifted.example"}, {ID: 7, Kind: engine.OrderReady, Subject: "crm"},
		{ID: 8, Kind: engine.OrderYield, Subject: "clock"}, {ID: 9, Kind: engine.OrderDelay, Subject: "soon https://other.example"}}
	if err := rn.CarryOutOrders(t.Context()); err != nil || !slices.Equal(s.done, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Fatalf("done are %v, %v", s.done, err)
	}
	if r, err := rn.store.Run(t.Context(), id); err != nil || r.Status != engine.Cancelled || r.Error == nil || r.Error.Message != "x" {
		t.Errorf("the run: %+v %v", r, err)
	}
	if _, held := rn.heldConnections.Load("crm"); held {
		t.Error("the connection is held")
	}
	for host, want := range map[string]bool{"slow": true, "lifted": false, "other": false} {
		same := func(d destination.Delay) bool { return d.Name == "https://"+host+".example" }
		if slices.ContainsFunc(rn.destinations.Delays(), same) {
			t.Errorf("%s is told to the other nodes again", host)
		}
		if p, _ := rn.destinations.Acquire("https://"+host+".example", workflows.Limit{}, 1); (p == nil) != want {
			t.Errorf("%s asks to wait: %t, want %t", host, p == nil, want)
		}
	}
	rn.o.Yield = func(_ context.Context, work string) error { yielded = append(yielded, work); return errRow }
	s.done, s.given = nil, []engine.NodeOrder{{ID: 10, Kind: engine.OrderYield, Subject: "clock"}, {ID: 11, Kind: engine.OrderLift}}
	if err := rn.CarryOutOrders(t.Context()); !errors.Is(err, errRow) || len(s.done) != 0 || !slices.Equal(yielded, []string{"clock"}) {
		t.Errorf("%v; done are %v, yielded %v", err, s.done, yielded)
	}
	s.given = s.given[1:]
	s.fail("DoneOrder", errDisk)
	if err := rn.CarryOutOrders(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("an order that stays: %v", err)
	}
}

// TestARunOfAnotherNodeIsCancelledThere: the order has the reason. One node alone waits until the run can be cancelled.
func TestARunOfAnotherNodeIsCancelledThere(t *testing.T) {
	rn, _, _ := storedWith(t, asleep, nil)
	id := begin(t, rn, "w", true).ID
	if err := rn.store.Take(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s, _ := broken(rn)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := rn.Cancel(ctx, id); !errors.Is(err, context.DeadlineExceeded) || len(s.orders) != 0 {
		t.Errorf("alone: %v, ordered %+v", err, s.orders)
	}
	s.shared = true
	why := &plan.Error{Message: "replaced"}
	if err := rn.cancel(t.Context(), id, why); err != nil || len(s.orders) != 1 || s.orders[0].Kind != engine.OrderCancel ||
		s.orders[0].Subject != id.String() || s.orders[0].Why != why {
		t.Errorf("%v, ordered %+v", err, s.orders)
	}
	var ended *engine.HasEnded
	r, _ := rn.store.Run(t.Context(), id)
	r.Status, r.FinishedAt = engine.Failed, time.Now()
	if _, err := rn.store.CommitRun(t.Context(), engine.RunUpdate{Run: r, Answers: -1}); err != nil {
		t.Fatal(err)
	}
	if err := rn.cancel(t.Context(), id, why); !errors.As(err, &ended) || ended.Status != engine.Failed || ended.Run != id {
		t.Errorf("a run that has ended: %v", err)
	}
}

// TestReadyConnectionsResumeTheirRuns, although the other nodes are not told; an error says which connection it is.
func TestReadyConnectionsResumeTheirRuns(t *testing.T) {
	rn, _, _ := stored(t)
	s, log := broken(rn)
	s.fail("OrderNodes", errRow)
	rn.HoldConnection(t.Context(), "crm", "why")
	rn.nextDue = time.Time{}
	if n, err := rn.ConnectionReady(t.Context(), "crm"); n != 0 || err != nil || !strings.Contains(log.String(), "not notified") {
		t.Errorf("%d %v %s", n, err, log)
	}
	if !rn.nextDue.IsZero() {
		t.Error("due runs are looked for although none waited")
	}
	s.fail("ResumeHeld", errRow)
	rn.HoldConnection(t.Context(), "crm", "why")
	if n, err := rn.ConnectionReady(t.Context(), "crm"); n != 0 || err == nil || err.Error() != "connection crm: a row is damaged" {
		t.Errorf("%d %v", n, err)
	}
	log.Reset()
	ex := at(rn, 1)
	ex.heldBy = []string{"held", "crm"}
	rn.HoldConnection(t.Context(), "held", "why")
	if rn.resumeReady(ex); strings.Count(log.String(), "cannot resume the runs") != 1 || !strings.Contains(log.String(), "connection=crm") {
		t.Error(log.String())
	}
}

// TestAGatheringIsClosedWhenItsEventsAreDecided, and looked at again when it has changed.
func TestAGatheringIsClosedWhenItsEventsAreDecided(t *testing.T) {
	now := time.Now()
	rn, _, _ := stored(t)
	s, _ := broken(rn)
	old, later := engine.EventID((now.UnixMilli()-time.Date(2020, 1, 1, 1, 0, 0, 0, time.UTC).UnixMilli())<<21), now.Add(time.Hour)
	for _, c := range []struct {
		name         string
		due          time.Duration // before now
		next         time.Time
		oldest       engine.EventID
		up           time.Duration
		method       string
		err          error
		want         string // the beginning of the error
		atOnce, same bool   // looked at again at once, or at next
	}{
		{name: "none waits", due: time.Minute, next: later, up: time.Hour, same: true},
		{name: "an older event is undecided", due: time.Second, next: later, oldest: old, up: time.Hour, atOnce: true},
		{name: "it has waited for long", due: time.Minute, next: later, oldest: old, up: time.Hour, same: true},
		{name: "the process has just begun", due: time.Minute, next: later, oldest: old, up: time.Second, atOnce: true},
		{name: "it has changed", due: time.Minute, up: time.Hour, method: "CloseGathering", err: engine.ErrStale, atOnce: true},
		{name: "it is gone, with a next", due: time.Minute, next: later, up: time.Hour, method: "CloseGathering", err: engine.ErrNotFound,
			atOnce: true},
		{name: "it has failed", due: time.Minute, next: later, up: time.Hour, method: "CloseGathering", err: errRow,
			want: "starting gathered run", same: true},
		{name: "they cannot be read", next: later, up: time.Hour, method: "DueGatherings", err: errDisk, want: "the disk", same: true},
	} {
		s.fail(c.method, c.err)
		s.dueNow = func() ([]engine.DueGathering, time.Time, engine.EventID) {
			return []engine.DueGathering{{Run: 5, Event: 7, Workflow: "w", Version: "v", Due: time.Now().Add(-c.due)}}, c.next, c.oldest
		}
		next, err := rn.closeDue(t.Context(), time.Now().Add(-c.up))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if c.same && !next.Equal(c.next) || c.atOnce && (next.IsZero() || time.Until(next) > time.Second) {
			t.Errorf("%s: looked at again at %v", c.name, next)
		}
		if c.method != "DueGatherings" && !rn.gatherNext.Equal(c.next) {
			t.Errorf("%s: the next is due at %v", c.name, rn.gatherNext)
		}
	}
}

// TestTheEarliestGatheringWakesItsLoop: a later one does not.
func TestTheEarliestGatheringWakesItsLoop(t *testing.T) {
	rn, _ := idle(t)
	now := time.Now()
	for i, c := range []struct {
		at    time.Time
		wakes bool
		next  time.Time
	}{{time.Time{}, false, time.Time{}}, {now, true, now}, {now, false, now}, {now.Add(1), false, now}, {now.Add(-1), true, now.Add(-1)}} {
		rn.GatherDue(c.at)
		if len(rn.wakeGather) == 1 != c.wakes || !rn.gatherNext.Equal(c.next) {
			t.Errorf("%d: woken %d times, next is %v", i, len(rn.wakeGather), rn.gatherNext)
		}
		if c.wakes {
			<-rn.wakeGather
		}
	}
	rn.GatherDue(now.Add(-2))
	rn.GatherDue(now.Add(-3)) // it holds one signal
	if len(rn.wakeGather) != 1 {
		t.Error("it is not woken")
	}
}

// TestADroppedGatheringEndsItsRun with the reason; one that begins is due, and what it replaces is cancelled.
func TestADroppedGatheringEndsItsRun(t *testing.T) {
	rn, _, _ := storedWith(t, asleep, nil)
	dropped, replaced := begin(t, rn, "w", false).ID, begin(t, rn, "w", false).ID
	s, _ := broken(rn)
	s.closed = engine.Closed{Dropped: "the queue is full"}
	if changed, err := rn.closeGathering(t.Context(), engine.DueGathering{Run: dropped, Workflow: "w"}); changed || err != nil {
		t.Errorf("%t %v", changed, err)
	}
	due := time.Now().Add(-time.Minute)
	s.closed = engine.Closed{Due: due, Replaced: []engine.RunID{replaced}}
	woken(rn)
	if changed, err := rn.closeGathering(t.Context(), engine.DueGathering{Run: 9, Workflow: "w"}); changed || err != nil ||
		!rn.nextDue.Equal(due) || !woken(rn) {
		t.Errorf("%t %v; the next is due at %v", changed, err, rn.nextDue)
	}
	rn.Wait()
	for id, want := range map[engine.RunID]*plan.Error{dropped: {Message: "the queue is full", Code: "dropped"},
		replaced: engine.ReplacedByNewer()} {
		if r, err := s.Run(t.Context(), id); err != nil || r.Status != engine.Cancelled || r.Error == nil || r.Error.Code != want.Code ||
			r.Error.Message != want.Message {
			t.Errorf("%+v %v, want %v", r, err, want)
		}
	}
	s.fail("Run", errRow)
	if err := rn.cancelGathered(t.Context(), 5, nil); err == nil || !strings.HasPrefix(err.Error(), "ending gathered run") {
		t.Errorf("%v", err)
	}
	s.fail("Run", engine.ErrNotFound)
	if err := rn.cancelGathered(t.Context(), 5, nil); err != nil {
		t.Errorf("a run that is gone: %v", err)
	}
}

// TestHeldRunsOfASwitchedOffWorkflowDoNotBegin until it is switched on; one that has begun goes on.
func TestHeldRunsOfASwitchedOffWorkflowDoNotBegin(t *testing.T) {
	rn, _, _ := storedWith(t, asleep, nil)
	begun, id := begin(t, rn, "w", false).ID, begin(t, rn, "w", true).ID
	other := begin(t, rn, "f", true).ID
	s, _ := broken(rn)
	resting := rn.reg.Snapshot().Resting
	parked := func(id engine.RunID, want bool, wantErr error) {
		t.Helper()
		if is, err := rn.parked(t.Context(), id); is != want || !errors.Is(err, wantErr) {
			t.Errorf("%t %v, want %t %v", is, err, want, wantErr)
		}
	}
	parked(id, false, nil)
	resting["w"] = true
	s.fail("Run", errDisk)
	parked(id, false, errDisk)
	s.fail("Run", errRow)
	parked(id, false, nil)
	s.fail("Park", errRow)
	parked(id, false, errRow)
	s.fail("", nil)
	parked(begun, false, nil)
	parked(other, false, nil)
	parked(id, true, nil)
	rn.nextDue = time.Time{}
	if err := rn.UnparkAll(t.Context(), rn.reg.Snapshot()); err != nil || !rn.nextDue.IsZero() {
		t.Errorf("while it is off: %v, due at %v", err, rn.nextDue)
	}
	delete(resting, "w")
	if err := rn.UnparkAll(t.Context(), rn.reg.Snapshot()); err != nil || rn.nextDue.IsZero() {
		t.Errorf("when it is on: %v, due at %v", err, rn.nextDue)
	}
	if list, err := rn.store.Parked(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("held are %v, %v", list, err)
	}
}
