package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// control are the promises of ControlStore.
var control = []test{
	{"a run is replayed once, or again when that is asked", replayedOnce},
	{"a replay from the failed step keeps what succeeded", replayedFromFailed},
	{"a run that is decided again takes over the steps that an earlier one carried out", stepsDoneBefore},
	{"an event is decided again, and the earlier decision is kept", decidedAgain},
	{"an event that is decided again in the same way has no earlier decision", decidedTheSame},
	{"a switch holds over restarts, and what it held is found", switches},
	{"a parked run is due again when it is unparked", parked},
	{"an endpoint that is paused stays paused until it is not", pauses},
	{"an order is carried out once for its key", ordersOnce},
	{"a batch goes through its states and counts what it did", batches},
	{"an alert is open until it is dropped", alerts},
	{"the backlog is as old as its oldest part", backlog},
	{"what people did is recorded", audited},
	{"an ended session stays ended", sessions},
	{"old history is pruned, and open runs stay", pruned},
}

// failed stores a run with two steps, of which the second failed.
func failed(t testing.TB, s Opened, n int64) {
	t.Helper()
	u := running(t, s, n)
	u.Run.Error = &plan.Error{Message: "no", Code: "x"}
	b := attempt("b", plan.Failed)
	b.Error = u.Run.Error
	commit(t, s, u, engine.Failed, attempt("a", plan.Succeeded), b)
}

func replayedOnce(t *testing.T, s Opened) {
	failed(t, s, 1)
	r := engine.Replay{New: run(2), Of: run(1), From: "start", Version: "v2", At: at.Add(time.Hour), By: "ada"}
	dueAt, _, err := s.Replay(t.Context(), r)
	if err != nil || !dueAt.Equal(r.At) {
		t.Fatalf("%v %v", dueAt, err)
	}
	got, err := s.LoadRun(t.Context(), run(2))
	if err != nil || got.Run.Repeats != run(1) || got.Run.Version != "v2" || got.Run.Event != event(1) || got.Run.Status != engine.Queued ||
		len(got.Records) != 0 {
		t.Errorf("%+v %v", got.Run, err)
	}
	r.New = run(3)
	var already *engine.ReplayedError
	if _, _, err := s.Replay(t.Context(), r); !errors.As(err, &already) || already.As != run(2) {
		t.Errorf("replayed twice: %v", err)
	}
	r.Again = true
	if _, _, err := s.Replay(t.Context(), r); err != nil {
		t.Errorf("again: %v", err)
	}
	r.New, r.Of = run(4), run(2)
	if _, _, err := s.Replay(t.Context(), r); !errors.Is(err, engine.ErrStale) {
		t.Errorf("of an open run: %v", err)
	}
}

func replayedFromFailed(t *testing.T, s Opened) {
	failed(t, s, 1)
	if _, _, err := s.Replay(t.Context(), engine.Replay{New: run(2), Of: run(1), From: "failed", Version: "v", At: at}); err != nil {
		t.Fatal(err)
	}
	got, err := s.LoadRun(t.Context(), run(2))
	if err != nil || len(got.Records) != 1 || got.Records[0].Path != "a" || got.Records[0].Status != plan.Succeeded {
		t.Errorf("%+v %v", got, err)
	}
}

func stepsDoneBefore(t *testing.T, s Opened) {
	failed(t, s, 1)
	done, err := s.DoneSteps(t.Context(), event(1), "w")
	if err != nil || len(done) != 1 || done[0].Path != "a" || done[0].Run != run(1) {
		t.Fatalf("%+v %v", done, err)
	}
	if none, err := s.DoneSteps(t.Context(), event(1), "other"); err != nil || len(none) != 0 {
		t.Errorf("of another workflow: %+v %v", none, err)
	}
	u := start(run(2), event(1))
	u.Run.Status, u.Run.StartedAt, u.Run.DueAt, u.Records = engine.Queued, time.Time{}, at, nil
	again := engine.Redecision{Event: event(1), At: at, Once: engine.EachTime, By: "ada", Start: &u, Done: done,
		Decision: engine.Decision{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: run(2)}}
	if out, err := s.Redecide(t.Context(), []engine.Redecision{again}, nil); err != nil || out[0].Run != run(2) || out[0].Repeats != run(1) {
		t.Fatalf("%+v %v", out, err)
	}
	got, err := s.LoadRun(t.Context(), run(2))
	if err != nil || len(got.Records) != 1 || got.Records[0].Path != "a" || got.Records[0].Status != plan.Succeeded {
		t.Errorf("%+v %v", got, err)
	}
}

func decidedAgain(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("a", "k"))
	again := engine.Redecision{Event: event(1), At: at, Once: engine.OnceAsked, By: "ada",
		Decision: engine.Decision{Workflow: "w", Version: "v2", Outcome: engine.Matched, Run: run(1)}}
	u := start(run(1), event(1))
	u.Run.Status, u.Run.StartedAt, u.Run.DueAt, u.Records = engine.Queued, time.Time{}, at, nil
	again.Start = &u
	if _, err := s.Redecide(t.Context(), []engine.Redecision{again}, nil); !errors.Is(err, engine.ErrPending) {
		t.Errorf("before the first decision: %v", err)
	}
	match(t, s, engine.Match{Event: event(1), At: at, Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Skipped}}})
	out, err := s.Redecide(t.Context(), []engine.Redecision{again}, nil)
	if err != nil || out[0].Run != run(1) || out[0].Known {
		t.Fatalf("%+v %v", out, err)
	}
	if out, err = s.Redecide(t.Context(), []engine.Redecision{again}, nil); err != nil || !out[0].Known || out[0].Run != run(1) {
		t.Errorf("twice: %+v %v", out, err)
	}
	d, err := s.History.EventDetail(t.Context(), event(1))
	if err != nil || len(d.Decisions) != 1 || d.Decisions[0].Outcome != "matched" || len(d.Earlier) != 1 || d.Earlier[0].Outcome != "skipped" {
		t.Errorf("%+v %v", d, err)
	}
	if n, err := s.CountEvents(t.Context(), []string{"a"}, 0, event(100)); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	list, err := s.Undone(t.Context(), []string{"a"}, 0, event(100), 10)
	if err != nil || len(list) != 1 || !slices.Equal(list[0].Ran, []string{"w"}) {
		t.Errorf("%+v %v", list, err)
	}
}

func decidedTheSame(t *testing.T, s Opened) {
	accept(t, s, event(1), delivery("a", "k"))
	earlier := 0
	again := func(what string, more int, d engine.Decision, u *engine.RunUpdate) {
		t.Helper()
		d.Workflow = "w"
		r := engine.Redecision{Event: event(1), At: at, Once: engine.EachTime, By: "ada", Decision: d, Start: u}
		if _, err := s.Redecide(t.Context(), []engine.Redecision{r}, nil); err != nil {
			t.Fatal(err)
		}
		earlier += more
		if x, err := s.History.EventDetail(t.Context(), event(1)); err != nil || len(x.Decisions) != 1 || len(x.Earlier) != earlier {
			t.Errorf("%s: %+v %v, want %d earlier decisions", what, x, err, earlier)
		}
	}
	first := engine.Decision{Workflow: "w", Version: "v", Outcome: engine.Skipped, Reason: "a"}
	match(t, s, engine.Match{Event: event(1), At: at, Decisions: []engine.Decision{first}})
	again("the same", 0, first, nil)
	again("another version", 1, engine.Decision{Version: "v2", Outcome: engine.Skipped, Reason: "a"}, nil)
	again("another outcome", 1, engine.Decision{Version: "v2", Outcome: engine.Filtered, Reason: "a"}, nil)
	again("another reason", 1, engine.Decision{Version: "v2", Outcome: engine.Filtered, Reason: "b"}, nil)
	for n := range int64(2) {
		u := start(run(n), event(1))
		u.Run.Status, u.Run.StartedAt, u.Run.DueAt, u.Records = engine.Queued, time.Time{}, at, nil
		again("a run", 1, engine.Decision{Version: "v", Outcome: engine.Matched, Run: run(n)}, &u)
		taken, err := takeUp(t, s, run(n))
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, engine.RunUpdate{Run: taken.Run, Answers: -1}, engine.Succeeded)
	}
}

func switches(t *testing.T, s Opened) {
	x := engine.Switch{Workflow: "w", By: "ada", At: at, State: engine.SwitchHold}
	for range 2 {
		if err := s.SetSwitch(t.Context(), x, false); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.Switches(t.Context()); err != nil || len(list) != 1 || list[0] != x {
		t.Errorf("%+v %v", list, err)
	}
	for n, outcome := range map[int64]engine.Outcome{1: engine.Held, 2: engine.Held, 3: engine.Disabled} {
		accept(t, s, event(n), delivery("a", event(n).String()))
		match(t, s, engine.Match{Event: event(n), At: at, Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: outcome}}})
	}
	if m, err := s.Missed(t.Context(), "w"); err != nil || m.Missed != 1 || m.Held != 2 {
		t.Errorf("%+v %v", m, err)
	}
	if ids, err := s.HeldEvents(t.Context(), "w", 10); err != nil || !slices.Equal(ids, []engine.EventID{event(1), event(2)}) {
		t.Errorf("%v %v", ids, err)
	}
	if err := s.SetSwitch(t.Context(), x, true); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Switches(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

func parked(t *testing.T, s Opened) {
	enter(t, s, 1, slot(1))
	for range 2 {
		if err := s.Park(t.Context(), run(1)); err != nil {
			t.Fatal(err)
		}
	}
	if ids := due(t, s, at.AddDate(100, 0, 0)); len(ids) != 0 {
		t.Errorf("due: %v", ids)
	}
	if names, err := s.Parked(t.Context()); err != nil || !slices.Equal(names, []string{"w"}) {
		t.Errorf("%v %v", names, err)
	}
	if n, err := s.Unpark(t.Context(), []string{"w"}, at); err != nil || n != 1 {
		t.Errorf("%d %v", n, err)
	}
	if ids := due(t, s, at); !slices.Equal(ids, []engine.RunID{run(1)}) {
		t.Errorf("due: %v", ids)
	}
}

func pauses(t *testing.T, s Opened) {
	p := engine.Pause{Key: "https://a.example/x", Endpoint: "https://a.example/x", Run: run(1).String(), At: at}
	for range 2 {
		if err := s.Pause(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.Paused(t.Context()); err != nil || len(list) != 1 || list[0].Key != p.Key {
		t.Errorf("%+v %v", list, err)
	}
	if err := s.Unpause(t.Context(), p.Key); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Paused(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

func ordersOnce(t *testing.T, s Opened) {
	begin := func(key, digest string) engine.Order {
		t.Helper()
		o, err := s.BeginOrder(t.Context(), key, []byte(digest), at)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := begin("k", "d"); o.Known {
		t.Errorf("%+v", o)
	}
	if err := s.EndOrder(t.Context(), "k", engine.Order{Status: 201, Answer: []byte("done")}); err != nil {
		t.Fatal(err)
	}
	if o := begin("k", "d"); !o.Known || !o.Same || o.Status != 201 || string(o.Answer) != "done" {
		t.Errorf("%+v", o)
	}
	if o := begin("k", "other"); !o.Known || o.Same {
		t.Errorf("%+v", o)
	}
	begin("back", "d")
	if err := s.EndOrder(t.Context(), "back", engine.Order{}); err != nil {
		t.Fatal(err)
	}
	if o := begin("back", "d"); o.Known {
		t.Errorf("a key that was given back: %+v", o)
	}
}

func batches(t *testing.T, s Opened) {
	id := engine.BatchID(event(5))
	b := &engine.Batch{ID: id.String(), At: at, By: "ada", State: engine.BatchRunning, Rate: 10, Total: 3, End: event(100)}
	if err := s.AddBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	step := &engine.BatchStep{ID: id, Cursor: event(1), Looked: 1, Known: 1, At: at}
	if _, err := s.Redecide(t.Context(), nil, step); err != nil {
		t.Fatal(err)
	}
	got, err := s.Batch(t.Context(), id)
	if err != nil || got.Looked != 1 || got.Known != 1 || got.Cursor != event(1) || got.End != event(100) || got.By != "ada" {
		t.Errorf("%+v %v", got, err)
	}
	for i, want := range []bool{true, false} {
		changed, err := s.ChangeBatch(t.Context(), id, []string{engine.BatchRunning}, engine.BatchPaused, "by ada", at)
		if err != nil || changed != want {
			t.Errorf("time %d: %v %v", i, changed, err)
		}
	}
	if _, err := s.Redecide(t.Context(), nil, step); !errors.Is(err, engine.ErrStale) {
		t.Errorf("a step of a paused batch: %v", err)
	}
	if list, err := s.Batches(t.Context(), engine.BatchPaused); err != nil || len(list) != 1 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := s.Batch(t.Context(), engine.BatchID(event(6))); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no such batch: %v", err)
	}
}

func alerts(t *testing.T, s Opened) {
	a := engine.OpenAlert{Kind: "silence", Subject: "shop", Trigger: "shop", Message: "nothing came", OpenedAt: at}
	for range 2 {
		if err := s.SaveAlert(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.OpenAlerts(t.Context()); err != nil || len(list) != 1 || list[0] != a {
		t.Errorf("%+v %v", list, err)
	}
	if err := s.DropAlert(t.Context(), a.Kind, a.Subject); err != nil {
		t.Fatal(err)
	}
	if list, err := s.OpenAlerts(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

func backlog(t *testing.T, s Opened) {
	if b, err := s.Backlog(t.Context(), at); err != nil || !b.OldestEvent.IsZero() || !b.OldestRun.IsZero() {
		t.Errorf("%+v %v", b, err)
	}
	put(t, s, running(t, s, 2), at.Add(-time.Minute), plan.Wait{Kind: plan.WaitSleep, Until: at.Add(-time.Minute)})
	accept(t, s, event(1), delivery("a", "k"))
	b, err := s.Backlog(t.Context(), at)
	if err != nil || !b.OldestEvent.Equal(event(1).Time()) || !b.OldestRun.Equal(at.Add(-time.Minute)) {
		t.Errorf("%+v %v", b, err)
	}
}

func audited(t *testing.T, s Opened) {
	a := engine.AuditEntry{At: at, Who: "ada", Action: "run.replay", Target: run(1).String(), Status: 201}
	if err := s.Audit(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	page, err := s.History.AuditPage(t.Context(), engine.Query{Who: "ada"})
	if err != nil || len(page.Items) != 1 || page.Items[0].Action != "run.replay" || !page.Items[0].At.Equal(at) {
		t.Errorf("%+v %v", page.Items, err)
	}
}

func sessions(t *testing.T, s Opened) {
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	for range 2 {
		if err := s.EndSession(t.Context(), "id", until); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.EndedSessions(t.Context()); err != nil || len(list) != 1 || !list["id"].Equal(until) {
		t.Errorf("%v %v", list, err)
	}
}

func pruned(t *testing.T, s Opened) {
	failed(t, s, 1)
	put(t, s, running(t, s, 2), time.Time{}, plan.Wait{Kind: plan.WaitApproval, Approval: "?"})
	later := at.Add(48 * time.Hour)
	n, err := s.Prune(t.Context(), engine.PruneOrder{Now: later, Before: later.Add(-time.Hour), DefaultDedupe: time.Hour})
	if err != nil || n.Runs != 1 || n.Events != 1 {
		t.Fatalf("%+v %v", n, err)
	}
	if _, err := s.Run(t.Context(), run(1)); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("the ended run: %v", err)
	}
	if got, err := s.LoadRun(t.Context(), run(2)); err != nil || got.Event.Stripped || len(got.Records) != 1 {
		t.Errorf("the open run: %+v %v", got, err)
	}
}
