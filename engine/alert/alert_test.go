package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// room is a Monitor over a real database and a project that listens to alerts.
type room struct {
	*Monitor
	t     *testing.T
	store *store.Store
	log   strings.Builder
	// heard are the deliveries that were accepted; fails is how many are refused before.
	heard   []*engine.Delivery
	fails   int
	hosts   []destination.State
	alerted []engine.Alert
}

const listens = "on: hookloom.alerts\nsteps: [{stop: x}]"

func newRoom(t *testing.T, flow string) *room {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"hookloom.yaml": "triggers:\n  hook: {webhook: {auth: none}}\n", "workflows/w.yaml": flow} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, mistakes := workflows.Load(dir, workflows.Catalog{}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	s, err := store.Open(t.Context(), filepath.Join(dir, "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	masks := &redact.Redactor{}
	reg := registry.New(registry.Options{Store: s, Redactor: masks, Log: slog.New(slog.DiscardHandler), RunURL: engine.RunID.String,
		Secrets: func(string) (string, bool) { return "", false }})
	if err := reg.Use(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	r := &room{t: t, store: s}
	r.restart(reg, masks)
	return r
}

// restart makes another Monitor over the same database, as the next process does.
func (r *room) restart(reg *registry.Registry, masks *redact.Redactor) {
	r.Monitor = New(Options{Store: r.store, Registry: reg, Redactor: masks, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		RunURL: func(id engine.RunID) string { return "https://console/" + id.String() }, Watch: watch{r: r},
		Destinations: func() []destination.State { return r.hosts },
		Accept: func(_ context.Context, d *engine.Delivery) (engine.Receipt, error) {
			if r.fails > 0 {
				r.fails--
				return engine.Receipt{}, engine.ErrFull
			}
			r.heard = append(r.heard, d)
			return engine.Receipt{}, nil
		}})
	if err := r.Load(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

type watch struct {
	engine.Watch
	r *room
}

func (w watch) Alerted(a engine.Alert) { w.r.alerted = append(w.r.alerted, a) }

// tell tells what is pending, and fails unless all could be told.
func (r *room) tell() {
	r.t.Helper()
	if !r.tellPending(r.t.Context()) {
		r.t.Error("some of it has to wait")
	}
}

// types lists what was heard, in order.
func (r *room) types() (list []string) {
	for _, d := range r.heard {
		list = append(list, d.Type)
	}
	return list
}

// stored lists the subjects of the alerts that are open in the database.
func (r *room) stored() (list []string) {
	r.t.Helper()
	open, err := r.store.OpenAlerts(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, a := range open {
		list = append(list, a.Kind+" "+a.Subject)
	}
	return list
}

func (r *room) holds(what string, types, open []string) {
	r.t.Helper()
	if got := r.types(); !slices.Equal(got, types) {
		r.t.Errorf("%s: heard %q, expected %q", what, got, types)
	}
	if got := r.stored(); !slices.Equal(got, open) {
		r.t.Errorf("%s: stored %q, expected %q", what, got, open)
	}
	var listed []string
	for _, a := range r.OpenAlerts() {
		listed = append(listed, a.Kind+" "+a.Subject)
	}
	if !slices.Equal(listed, open) {
		r.t.Errorf("%s: listed %q, expected %q", what, listed, open)
	}
}

var failing = engine.Alert{Kind: engine.AlertPollFailing, Trigger: "shop", Message: "no answer"}

// TestAConditionIsToldWhenItBeginsAndWhenItIsOver, once each, however often it is reported.
func TestAConditionIsToldWhenItBeginsAndWhenItIsOver(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	r.AlertOver(failing.Kind, "shop") // nothing is open
	r.tell()
	r.holds("before", nil, nil)
	for range 3 {
		r.Alert(t.Context(), failing)
		r.tell()
	}
	r.holds("open", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
	for range 3 {
		r.AlertOver(failing.Kind, "shop")
		r.tell()
	}
	r.holds("over", []string{"alert.poll_failing", "alert.poll_failing.closed"}, nil)
	if len(r.alerted) != 1 || r.some.Load() != 0 {
		t.Errorf("counted %v, %d in mind", r.alerted, r.some.Load())
	}
	if n := strings.Count(r.log.String(), "alert"); !strings.Contains(r.log.String(), "alert: no answer") || n < 2 {
		t.Errorf("logged %s", r.log.String())
	}
}

// TestAConditionThatPassesUntoldIsNotTold, neither one that begins and ends nor one that ends
// and begins.
func TestAConditionThatPassesUntoldIsNotTold(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	r.Alert(t.Context(), failing)
	r.AlertOver(failing.Kind, "shop")
	r.tell()
	r.holds("it passed", nil, nil)
	r.Alert(t.Context(), failing)
	r.tell()
	r.AlertOver(failing.Kind, "shop")
	r.Alert(t.Context(), failing)
	r.tell()
	r.holds("it came back", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
}

// TestTheEventOfAnAlertSaysWhatHolds: its data cannot take the place of these facts, its
// message is masked and bounded, and each opening and closing has a key of its own.
func TestTheEventOfAnAlertSaysWhatHolds(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	r.o.Redactor.Learn("sk_abcdefghij12345")
	a := failing
	a.Message = "refused sk_abcdefghij12345: " + strings.Repeat("long ", 2000)
	a.Data = map[string]any{"kind": "other", "state": "other", "count": 3}
	for range 2 {
		r.Alert(t.Context(), a)
		r.tell()
		time.Sleep(2 * time.Millisecond) // keys have milliseconds
		r.AlertOver(a.Kind, "shop")
		r.tell()
	}
	keys := map[string]bool{}
	for i, d := range r.heard {
		v, err := value.DecodeJSON(d.Raw)
		if err != nil {
			t.Fatal(err)
		}
		data := v.(map[string]any)
		state := []string{"open", "closed"}[i%2]
		if data["kind"] != "poll_failing" || data["state"] != state || data["trigger"] != "shop" || data["subject"] != "shop" ||
			(data["count"] == nil) != (state == "closed") || len(fmt.Sprint(data["message"])) > 4<<10+40 ||
			strings.Contains(fmt.Sprint(data["message"]), "abcdefg") {
			t.Errorf("%d: %.300s", i, d.Raw)
		}
		if keys[d.Key] || d.Trigger != workflows.AlertsTrigger || d.Dedupe != 24*time.Hour {
			t.Errorf("%d: key %s, %+v", i, d.Key, d)
		}
		if over := strings.Contains(fmt.Sprint(data["message"]), "over after 0s: "); over != (state == "closed") {
			t.Errorf("%d: %.100s", i, data["message"])
		}
		keys[d.Key] = true
	}
	if len(keys) != 4 {
		t.Errorf("%d events", len(keys))
	}
}

// TestAnAlertThatNobodyListensToMakesNoEvent; it is open all the same.
func TestAnAlertThatNobodyListensToMakesNoEvent(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "on: hook\nsteps: [{stop: x}]")
	r.Alert(t.Context(), failing)
	r.tell()
	r.holds("open", nil, []string{"poll_failing shop"})
}

// TestWhatCannotBeStoredIsToldLater, also its end.
func TestWhatCannotBeStoredIsToldLater(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	r.fails = 1
	r.Alert(t.Context(), failing)
	if r.tellPending(t.Context()) {
		t.Error("all is told although it cannot be stored")
	}
	r.holds("not yet", nil, nil)
	r.tell()
	r.holds("later", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
	r.fails = 1
	r.AlertOver(failing.Kind, "shop")
	if r.tellPending(t.Context()) {
		t.Error("all is told although it cannot be stored")
	}
	r.holds("not over yet", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
	r.tell()
	r.holds("over", []string{"alert.poll_failing", "alert.poll_failing.closed"}, nil)
	if n := strings.Count(r.log.String(), "it will be tried again"); n != 2 {
		t.Errorf("logged %d times", n)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	r.fails = 1
	r.Alert(t.Context(), failing)
	r.tellPending(ended)
	if n := strings.Count(r.log.String(), "it will be tried again"); n != 2 {
		t.Error("an end of the process is logged as a failure")
	}
}

// TestOverARestartAConditionIsToldOnce: what the last process told stays told, what ended
// while none ran is told then.
func TestOverARestartAConditionIsToldOnce(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	stays := engine.Alert{Kind: engine.AlertReloadFailed, Subject: "stays", Message: "m"}
	ends := engine.Alert{Kind: engine.AlertReloadFailed, Subject: "ends", Message: "m"}
	r.Alert(t.Context(), stays)
	r.Alert(t.Context(), ends)
	r.tell()
	r.heard = nil
	next := New(r.o)
	next.Alert(t.Context(), stays)
	next.Alert(t.Context(), engine.Alert{Kind: engine.AlertReloadFailed, Subject: "new", Message: "m"})
	next.AlertOver(ends.Kind, ends.Subject)
	next.AlertOver(ends.Kind, "never open")
	next.AlertOver(engine.AlertRunFailed, "not noted before the load")
	if len(next.OpenAlerts()) != 0 || len(next.pending) != 4 {
		t.Errorf("before the load: %v, %v", next.OpenAlerts(), next.pending)
	}
	if err := next.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Monitor = next
	if r.some.Load() != 4 { // two open, two to be told
		t.Errorf("%d in mind", r.some.Load())
	}
	r.tell()
	slices.Sort(r.stored())
	if got := r.types(); len(got) != 2 || !slices.Contains(got, "alert.reload_failed") || !slices.Contains(got, "alert.reload_failed.closed") {
		t.Errorf("heard %q", got)
	}
	if got := r.stored(); len(got) != 2 || !slices.Contains(got, "reload_failed stays") || !slices.Contains(got, "reload_failed new") {
		t.Errorf("open %q", got)
	}
}

// brokenAlerts is a store that cannot give the open alerts, nor keep any.
type brokenAlerts struct{ engine.Store }

func (brokenAlerts) OpenAlerts(context.Context) ([]engine.OpenAlert, error) {
	return nil, engine.ErrBusy
}
func (brokenAlerts) SaveAlert(context.Context, engine.OpenAlert) error { return engine.ErrBusy }
func (brokenAlerts) DropAlert(context.Context, string, string) error   { return engine.ErrBusy }

// TestAnAlertThatIsNotOnRecordIsNotOpen: the next process would not know of it.
func TestAnAlertThatIsNotOnRecordIsNotOpen(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	whole := r.o.Store
	r.o.Store = brokenAlerts{whole}
	if err := r.Load(t.Context()); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("%v", err)
	}
	r.Alert(t.Context(), failing)
	if r.tellPending(t.Context()) || len(r.OpenAlerts()) != 0 || len(r.alerted) != 0 {
		t.Errorf("open: %v", r.OpenAlerts())
	}
	r.o.Store = whole
	r.tell()
	r.o.Store = brokenAlerts{whole}
	r.AlertOver(failing.Kind, "shop")
	if r.tellPending(t.Context()) || len(r.OpenAlerts()) != 1 {
		t.Errorf("over, but still on record: %v", r.OpenAlerts())
	}
}

// TestTheConditionsAreBounded: beyond ten thousand no new one is followed, but each end is.
func TestTheConditionsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	for i := range maxAlerts + 5 {
		r.Alert(t.Context(), engine.Alert{Kind: engine.AlertApprovalWaiting, Subject: fmt.Sprint(i)})
	}
	if len(r.pending) != 10_000 || r.some.Load() != 10_000 {
		t.Errorf("%d are followed, %d in mind", len(r.pending), r.some.Load())
	}
	r.AlertOver(engine.AlertApprovalWaiting, "3")
	if len(r.pending) != 9_999 || r.some.Load() != 9_999 {
		t.Errorf("%d are followed after an end, %d in mind", len(r.pending), r.some.Load())
	}
	r.mu.Lock()
	clear(r.pending)
	for i := range maxAlerts {
		r.open[key{engine.AlertApprovalWaiting, fmt.Sprint(i)}] = engine.OpenAlert{}
	}
	r.mu.Unlock()
	r.Alert(t.Context(), failing)
	r.AlertOver(engine.AlertApprovalWaiting, "3")
	if _, over := r.pending[key{engine.AlertApprovalWaiting, "3"}]; !over || len(r.pending) != 1 {
		t.Errorf("pending %v", r.pending)
	}
}

// TestOpenAlertsAreListedTheNewestFirst, those of one moment by kind and subject.
func TestOpenAlertsAreListedTheNewestFirst(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRoom(t, listens)
	for _, a := range []engine.OpenAlert{{Kind: "b", Subject: "1", OpenedAt: now}, {Kind: "a", Subject: "2", OpenedAt: now},
		{Kind: "a", Subject: "1", OpenedAt: now}, {Kind: "z", OpenedAt: now.Add(time.Second)}, {Kind: "c", OpenedAt: now.Add(-time.Second)}} {
		r.open[key{a.Kind, a.Subject}] = a
	}
	var got []string
	for _, a := range r.OpenAlerts() {
		got = append(got, a.Kind+a.Subject)
	}
	if want := []string{"z", "a1", "a2", "b1", "c"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestWhatIsLeftIsToldAsTheProcessEnds.
func TestWhatIsLeftIsToldAsTheProcessEnds(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	ctx, end := context.WithCancel(t.Context())
	end()
	r.Alert(t.Context(), failing)
	r.Run(ctx)
	r.holds("at the end", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
}

// TestARunThatFailsIsToldUntilOneSucceeds: a timeout is a failure, a cancellation is neither.
func TestARunThatFailsIsToldUntilOneSucceeds(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	run := func(status engine.RunStatus, err *plan.Error) {
		r.Changed(engine.Change{Run: &engine.Run{ID: 7, Workflow: "w", Status: status, Error: err}})
	}
	for _, c := range []struct {
		status engine.RunStatus
		err    *plan.Error
		want   string
	}{
		{engine.Running, nil, ""}, {engine.Cancelled, nil, ""},
		{engine.Failed, &plan.Error{Message: "no luck", Code: "x", Step: "a"}, "a run of workflow w has failed: no luck"},
		{engine.Cancelled, nil, "a run of workflow w has failed: no luck"},
		{engine.Waiting, nil, "a run of workflow w has failed: no luck"},
		{engine.Succeeded, nil, ""},
		{engine.TimedOut, nil, "a run of workflow w has timed out: timed_out"},
		{engine.Succeeded, nil, ""},
	} {
		run(c.status, c.err)
		r.tell()
		got := ""
		for _, a := range r.OpenAlerts() {
			got += a.Message
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.status, got, c.want)
		}
	}
	if data := string(r.heard[0].Raw); !strings.Contains(data, `"run_url":"https://console/`) || !strings.Contains(data, `"step":"a"`) ||
		!strings.Contains(data, `"code":"x"`) {
		t.Error(data)
	}
}

// TestARuleThatCannotBeEvaluatedIsToldUntilOneCan.
func TestARuleThatCannotBeEvaluatedIsToldUntilOneCan(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	ev := &engine.Event{ID: 9, Delivery: engine.Delivery{Trigger: "hook"}}
	r.Changed(engine.Change{Event: ev, Decision: &engine.Decision{Workflow: "w", Outcome: engine.RuleFailed, Reason: "no field x"}})
	r.tell()
	r.holds("it cannot", []string{"alert.rule_failed"}, []string{"rule_failed w"})
	if m := r.OpenAlerts()[0].Message; !strings.Contains(m, "no field x") || !strings.Contains(m, "hookloom replay "+ev.ID.String()+" --workflow w") {
		t.Error(m)
	}
	r.Changed(engine.Change{Event: ev, Decision: &engine.Decision{Workflow: "w", Outcome: engine.Matched}})
	r.tell()
	r.holds("it can", []string{"alert.rule_failed", "alert.rule_failed.closed"}, nil)
}

// TestARunThatWaitsForAPersonIsToldUntilItDoesNot, and until it ends.
func TestARunThatWaitsForAPersonIsToldUntilItDoesNot(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	run := &engine.Run{ID: 7, Workflow: "w", Status: engine.Waiting}
	ask := func() {
		r.AwaitsPerson(run, &plan.Question{Path: "ok", Text: "Ship it?"}, r.o.Registry.EveryRun())
		r.tell()
		if a := r.OpenAlerts(); len(a) != 1 || !strings.HasSuffix(a[0].Message, "waits for a person: Ship it?") {
			t.Errorf("%+v", a)
		}
	}
	ask()
	r.AwaitsPerson(run, nil, nil)
	r.tell()
	if a := r.OpenAlerts(); len(a) != 0 {
		t.Errorf("without a question: %+v", a)
	}
	ask()
	r.Changed(engine.Change{Run: &engine.Run{ID: 7, Workflow: "w", Status: engine.Cancelled}})
	r.tell()
	if a := r.OpenAlerts(); len(a) != 0 {
		t.Errorf("at its end: %+v", a)
	}
}

// TestADiskIsLowUntilThereIsRoom. A disk that cannot be asked changes nothing.
func TestADiskIsLowUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	var free int64
	var broken error
	r.o.Disk = func() (int64, int64, error) { return free, 1 << 40, broken }
	for _, c := range []struct {
		free int64
		err  error
		low  bool
	}{{6 << 30, nil, false}, {1 << 20, errors.New("?"), false}, {1 << 20, nil, true}, {6 << 30, errors.New("?"), true}, {6 << 30, nil, false}} {
		free, broken = c.free, c.err
		r.lookAtConditions(t.Context(), time.Now())
		r.tell()
		if low := len(r.OpenAlerts()) == 1; low != c.low {
			t.Errorf("%d bytes free, %v: low is %v", c.free, c.err, low)
		} else if low && !strings.HasPrefix(r.OpenAlerts()[0].Message, "1 MB are free") {
			t.Error(r.OpenAlerts()[0].Message)
		}
	}
}

// TestABacklogIsOldAfterFiveMinutes.
func TestABacklogIsOldAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	received := time.Now().UTC().Truncate(time.Millisecond)
	if _, err := r.store.Accept(t.Context(), engine.EventID(engine.FirstID(received)), &engine.Delivery{Trigger: "hook", Inlet: "webhook",
		Key: "k", Time: received, ReceivedAt: received, Raw: []byte("{}"), Dedupe: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		age time.Duration
		old bool
	}{{0, false}, {5*time.Minute - time.Millisecond, false}, {5 * time.Minute, true}, {time.Minute, false}} {
		r.lookAtConditions(t.Context(), received.Add(c.age))
		r.tell()
		if old := len(r.OpenAlerts()) == 1; old != c.old {
			t.Errorf("after %v: old is %v", c.age, old)
		} else if m := r.OpenAlerts(); old && m[0].Message != "an event has waited to be decided for 5m0s" {
			t.Errorf("%+v", m)
		}
	}
}

// TestAHostIsToldWhileItIsDown, and is over when nobody uses it any more.
func TestAHostIsToldWhileItIsDown(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	down := destination.State{Name: "https://a.example", Circuit: "open", Waiting: 3, Last: "refused"}
	for _, c := range []struct {
		hosts []destination.State
		open  string
	}{
		{nil, ""}, {[]destination.State{down}, "https://a.example does not answer (refused); 3 attempts wait"},
		{[]destination.State{{Name: down.Name, Circuit: "closed"}}, ""},
		{[]destination.State{down}, "https://a.example does not answer (refused); 3 attempts wait"}, {nil, ""},
	} {
		r.hosts = c.hosts
		r.lookAtConditions(t.Context(), time.Now())
		r.tell()
		got := ""
		for _, a := range r.OpenAlerts() {
			got += a.Message
		}
		if got != c.open {
			t.Errorf("%+v: %q, want %q", c.hosts, got, c.open)
		}
	}
}

// TestAlertsOfWhatIsGoneAreClosed, and those of what is there are not.
func TestAlertsOfWhatIsGoneAreClosed(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	for _, a := range []engine.Alert{
		{Kind: engine.AlertRunFailed, Subject: "w"}, {Kind: engine.AlertRunFailed, Subject: "gone"},
		{Kind: engine.AlertRuleFailed, Subject: "gone"}, {Kind: engine.AlertSilence, Subject: "hook"},
		{Kind: engine.AlertSilence, Subject: "gone"}, {Kind: engine.AlertPollFailing, Subject: "gone"},
		{Kind: engine.AlertWebhookMissed, Subject: "gone"}, {Kind: engine.AlertRefusals, Subject: "counted by the last process"},
		{Kind: engine.AlertConnectionHeld, Subject: "gone"},
	} {
		r.Alert(t.Context(), a)
	}
	r.tell()
	r.lookAtConditions(t.Context(), time.Now())
	r.tell()
	open := r.stored()
	slices.Sort(open)
	if want := []string{"connection_held gone", "run_failed w", "silence hook"}; !slices.Equal(open, want) {
		t.Errorf("open %q, want %q", open, want)
	}
}

// TestRefusalsOfAnUnknownPathAreNoAlert: anybody may ask for one.
func TestRefusalsOfAnUnknownPathAreNoAlert(t *testing.T) {
	t.Parallel()
	r := newRoom(t, listens)
	for range 30 {
		r.Refused(engine.Refusal{Reason: "no such path"})
	}
	r.tell()
	r.holds("an unknown path", nil, nil)
	for range 30 {
		r.Refused(engine.Refusal{Trigger: "hook", Reason: "signature"})
	}
	r.tell()
	r.holds("a trigger", []string{"alert.refusals"}, []string{"refusals hook"})
	if m := r.OpenAlerts()[0].Message; m != "10 deliveries of trigger hook were refused within 5m0s, usually 0; the last one: signature" {
		t.Error(m)
	}
}
