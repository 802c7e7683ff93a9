package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
	"github.com/hookloom/hookloom/workflows/value"
)

// testMonitor is a Monitor over a real database and a project that listens to alerts.
type testMonitor struct {
	*Monitor
	t     *testing.T
	store *store.Store
	log   strings.Builder
	// mu guards heard and fails, as the test reads them while Run runs.
	mu sync.Mutex
	// heard are the deliveries that were accepted; fails is how many are refused before.
	heard   []*engine.Delivery
	fails   int
	hosts   []destination.State
	alerted []engine.Alert
	// onOpen is called when an alert was opened, while it is being told; onAccept while its event is accepted.
	onOpen, onAccept func()
}

const listens = "on: hookloom.alerts\nsteps: [{stop: x}]"

func newTestMonitor(t *testing.T, flow string) *testMonitor {
	t.Helper()
	p := projecttest.Load(t, map[string]string{"hookloom.yaml": "triggers:\n  hook: {webhook: {auth: none}}\n", "workflows/w.yaml": flow},
		workflows.Catalog{})
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
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
	r := &testMonitor{t: t, store: s}
	r.restart(reg, masks)
	return r
}

// restart makes another Monitor over the same database, as the next process does.
func (r *testMonitor) restart(reg *registry.Registry, masks *redact.Redactor) {
	r.Monitor = New(Options{Store: r.store, Registry: reg, Redactor: masks, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		RunURL: func(id engine.RunID) string { return "https://console/" + id.String() }, Watch: watch{r: r},
		Destinations: func() []destination.State { return r.hosts },
		Accept: func(_ context.Context, d *engine.Delivery) (engine.Receipt, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.fails > 0 {
				r.fails--
				return engine.Receipt{}, engine.ErrFull
			}
			r.heard = append(r.heard, d)
			if r.onAccept != nil {
				r.onAccept()
			}
			return engine.Receipt{}, nil
		}})
	if err := r.Load(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// tries returns how many more calls of Accept fail, and how many have not.
func (r *testMonitor) tries() (fails, heard int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fails, len(r.heard)
}

type watch struct {
	engine.Watch
	r *testMonitor
}

func (w watch) Alerted(a engine.Alert) {
	w.r.alerted = append(w.r.alerted, a)
	if w.r.onOpen != nil {
		w.r.onOpen()
	}
}

// sendPending reports what is pending, and fails unless all could be reported.
func (r *testMonitor) sendPending() {
	r.t.Helper()
	if !r.notifyPending(r.t.Context()) {
		r.t.Error("some of it has to wait")
	}
}

// types lists what was heard, in order.
func (r *testMonitor) types() (list []string) {
	for _, d := range r.heard {
		list = append(list, d.Type)
	}
	return list
}

// stored lists the subjects of the alerts that are open in the database.
func (r *testMonitor) stored() (list []string) {
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

func (r *testMonitor) holds(what string, types, open []string) {
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

// TestConditionIsReportedAtItsStartAndEnd, once each, however often it is reported.
func TestConditionIsReportedAtItsStartAndEnd(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	r.AlertOver(failing.Kind, "shop") // nothing is open
	r.sendPending()
	r.holds("before", nil, nil)
	for range 3 {
		r.Alert(t.Context(), failing)
		r.sendPending()
	}
	r.holds("open", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
	for range 3 {
		r.AlertOver(failing.Kind, "shop")
		r.sendPending()
	}
	r.holds("over", []string{"alert.poll_failing", "alert.poll_failing.closed"}, nil)
	if len(r.alerted) != 1 || r.some.Load() != 0 {
		t.Errorf("counted %v, %d in mind", r.alerted, r.some.Load())
	}
	if n := strings.Count(r.log.String(), "alert"); !strings.Contains(r.log.String(), "alert: no answer") || n < 2 {
		t.Errorf("logged %s", r.log.String())
	}
}

// TestConditionThatEndsUnreportedIsNotReported, neither one that begins and ends nor one that ends
// and begins.
func TestConditionThatEndsUnreportedIsNotReported(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	r.Alert(t.Context(), failing)
	r.AlertOver(failing.Kind, "shop")
	r.sendPending()
	r.holds("it passed", nil, nil)
	r.Alert(t.Context(), failing)
	r.sendPending()
	r.AlertOver(failing.Kind, "shop")
	r.Alert(t.Context(), failing)
	r.sendPending()
	r.holds("it came back", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
}

// TestAConditionThatEndsWhileItIsPublishedIsClosed: it is no longer one that nobody was told of.
func TestAConditionThatEndsWhileItIsPublishedIsClosed(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	r.onAccept = func() { r.AlertOver(failing.Kind, "shop") }
	r.Alert(t.Context(), failing)
	r.sendPending()
	r.onAccept = nil
	r.sendPending()
	r.holds("over", []string{"alert.poll_failing", "alert.poll_failing.closed"}, nil)
}

// TestAlertEventContainsTheFacts: its data cannot take the place of these facts, its
// message is masked and bounded, and each opening and closing has a key of its own.
func TestAlertEventContainsTheFacts(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	r.o.Redactor.Learn("sk_abcdefghij12345")
	a := failing
	a.Message = "refused sk_abcdefghij12345: " + strings.Repeat("long ", 2000)
	a.Data = map[string]any{"kind": "other", "state": "other", "count": 3}
	for range 2 {
		r.Alert(t.Context(), a)
		r.sendPending()
		time.Sleep(2 * time.Millisecond) // keys have milliseconds
		r.AlertOver(a.Kind, "shop")
		r.sendPending()
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

// TestAlertWithoutSubscribersMakesNoEvent; it is open all the same.
func TestAlertWithoutSubscribersMakesNoEvent(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, "on: hook\nsteps: [{stop: x}]")
	r.Alert(t.Context(), failing)
	r.sendPending()
	r.holds("open", nil, []string{"poll_failing shop"})
}

// TestReportThatCannotBeStoredIsSentLater, also its end.
func TestReportThatCannotBeStoredIsSentLater(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	r.fails = 1
	r.Alert(t.Context(), failing)
	if r.notifyPending(t.Context()) {
		t.Error("all is told although it cannot be stored")
	}
	r.holds("not yet", nil, nil)
	r.sendPending()
	r.holds("later", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
	r.fails = 1
	r.AlertOver(failing.Kind, "shop")
	if r.notifyPending(t.Context()) {
		t.Error("all is told although it cannot be stored")
	}
	r.holds("not over yet", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
	r.sendPending()
	r.holds("over", []string{"alert.poll_failing", "alert.poll_failing.closed"}, nil)
	if n := strings.Count(r.log.String(), "it will be tried again"); n != 2 {
		t.Errorf("logged %d times", n)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	r.fails = 1
	r.Alert(t.Context(), failing)
	r.notifyPending(ended)
	if n := strings.Count(r.log.String(), "it will be tried again"); n != 2 {
		t.Error("an end of the process is logged as a failure")
	}
}

// TestConditionIsReportedOnceAcrossARestart: what the last process told stays told, what ended
// while none ran is told then.
func TestConditionIsReportedOnceAcrossARestart(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	stays := engine.Alert{Kind: engine.AlertReloadFailed, Subject: "stays", Message: "m"}
	ends := engine.Alert{Kind: engine.AlertReloadFailed, Subject: "ends", Message: "m"}
	r.Alert(t.Context(), stays)
	r.Alert(t.Context(), ends)
	r.sendPending()
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
	r.sendPending()
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

// TestAlertIsOpenOnlyOnceStored: the next process would not know of it.
func TestAlertIsOpenOnlyOnceStored(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	whole := r.o.Store
	r.o.Store = brokenAlerts{whole}
	if err := r.Load(t.Context()); !errors.Is(err, engine.ErrBusy) || !strings.Contains(err.Error(), "reading the open alerts") {
		t.Errorf("%v", err)
	}
	r.Alert(t.Context(), failing)
	if r.notifyPending(t.Context()) || len(r.OpenAlerts()) != 0 || len(r.alerted) != 0 {
		t.Errorf("open: %v", r.OpenAlerts())
	}
	r.o.Store = whole
	r.sendPending()
	r.o.Store = brokenAlerts{whole}
	r.AlertOver(failing.Kind, "shop")
	if r.notifyPending(t.Context()) || len(r.OpenAlerts()) != 1 {
		t.Errorf("over, but still on record: %v", r.OpenAlerts())
	}
}

// TestNumberOfConditionsIsBounded: beyond ten thousand no new one is followed, but each end is.
func TestNumberOfConditionsIsBounded(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
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

// TestOpenAlertsAreListedNewestFirst, those of one moment by kind and subject.
func TestOpenAlertsAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newTestMonitor(t, listens)
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

func TestPendingReportsAreSentAtShutdown(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	ctx, end := context.WithCancel(t.Context())
	end()
	r.Alert(t.Context(), failing)
	<-r.wake // so that it sees the end alone
	r.Run(ctx)
	r.holds("at the end", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
}

// TestEndDuringTheReportOfTheStartIsReported next.
func TestEndDuringTheReportOfTheStartIsReported(t *testing.T) {
	t.Parallel()
	r := newTestMonitor(t, listens)
	r.onOpen = func() { r.AlertOver(failing.Kind, "shop") }
	r.Alert(t.Context(), failing)
	r.sendPending()
	r.holds("the beginning", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
	if r.some.Load() != 2 { // it is open, and its end is to be told
		t.Errorf("%d in mind", r.some.Load())
	}
	r.sendPending()
	r.holds("the end", []string{"alert.poll_failing", "alert.poll_failing.closed"}, nil)
}

// TestFailedReportIsRetriedAfterFiveSeconds, and what was reported before the load
// is told after it.
func TestFailedReportIsRetriedAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestMonitor(t, listens)
		next := New(r.o)
		r.Monitor = next
		r.fails = 2
		r.Alert(t.Context(), failing)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.Run(ctx) }()
		synctest.Wait()
		if left, _ := r.tries(); left != 2 {
			t.Error("it is told before the open alerts are known")
		}
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, left := range []int{1, 0} {
			synctest.Wait()
			if fails, heard := r.tries(); fails != left || heard != 0 {
				t.Errorf("try %d: %d more fail, %d heard", i, fails, heard)
			}
			time.Sleep(5*time.Second - time.Nanosecond)
			synctest.Wait()
			if fails, _ := r.tries(); fails != left {
				t.Errorf("try %d is repeated before five seconds are over", i)
			}
			time.Sleep(time.Nanosecond)
		}
		synctest.Wait()
		r.holds("the third try", []string{"alert.poll_failing"}, []string{"poll_failing shop"})
		end()
		<-ended
	})
}

// TestConditionsAreCheckedEveryFifteenSeconds, if nothing else is said.
func TestConditionsAreCheckedEveryFifteenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestMonitor(t, listens)
		looks := 0
		o := r.o
		o.Every, o.Disk = 0, func() (int64, int64, error) { looks++; return 0, 0, errors.New("unknown") }
		ctx, end := context.WithTimeout(t.Context(), time.Minute-time.Nanosecond)
		defer end()
		New(o).RunConditions(ctx)
		if looks != 4 {
			t.Errorf("looked %d times within a minute", looks)
		}
	})
}
