package machine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/testsize"
)

// back is an event of the trigger back.
func back(key, kind, body string) *engine.Delivery {
	d := delivery(key, body)
	d.Trigger, d.Type = "back", kind
	return d
}

// TestAnEventEndsTheOpenRunsOfItsKey: those of events before it, however they are open.
func TestAnEventEndsTheOpenRunsOfItsKey(t *testing.T) {
	const asleep = "steps: [{sleep: 1h}, {uses: test/act, with: {n: never}}]\n"
	for _, c := range []struct {
		name, flow string
		by         *engine.Delivery
		ended      bool
	}{
		{"by the key of the event", "cancel_on: {event: back, key: event.data.order}\n" + asleep, back("7", "gone", `{}`), true},
		{"by the same expression", "cancel_on: {event: back, key: event.data.order}\n" + asleep, back("x", "gone", `{"order": 7}`), true},
		{"another key", "cancel_on: {event: back, key: event.data.order}\n" + asleep, back("8", "gone", `{"order": 8}`), false},
		{"a type that counts", "cancel_on: [{event: back, events: [go*], key: event.data.order}]\n" + asleep, back("7", "gone", `{}`), true},
		{"a type that does not", "cancel_on: [{event: back, events: [came], key: event.data.order}]\n" + asleep, back("7", "gone", `{}`), false},
		{"at work", "cancel_on: {event: back, key: event.data.order}\nsteps: [{uses: test/act, with: {n: cut}, timeout: 1h}, {uses: test/act, " +
			"with: {n: never}}]\n", back("7", "gone", `{}`), true},
		{"gathering", "debounce: {wait: 1h}\ncancel_on: {event: back, key: event.data.order}\n" + asleep, back("7", "gone", `{}`), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, map[string]string{"w": "on: hook\n" + c.flow + "finally: [{uses: test/act, with: {n: \"clean ${{ error?.code " +
				"}}\"}}]\n"})
			e, s, stop := w.startCuttable()
			ctx := context.Background()
			first, err := e.Accept(ctx, delivery("k", `{"order": 7}`))
			if err != nil {
				t.Fatal(err)
			}
			id := runOf(t, s, first.Event)
			if !strings.HasPrefix(c.flow, "debounce") {
				openRun(t, s, first.Event)
			}
			by, err := e.Accept(ctx, c.by)
			if err != nil {
				t.Fatal(err)
			}
			if !c.ended {
				waitFor(t, func() bool { n, err := s.History.Counts(ctx); return err == nil && n.Inbox == 0 })
				if r, err := s.Run(ctx, id); err != nil || r.Status.Ended() || r.Ending != nil {
					t.Errorf("run %s (%v)", r.Status, err)
				}
			} else {
				settled(t, s, 1)
				r, err := s.Run(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				if r.Status != engine.Cancelled || r.Error == nil || r.Error.Code != "cancelled_by_event" ||
					!strings.Contains(r.Error.Message, by.Event.String()) {
					t.Errorf("run %s: %+v", r.Status, r.Error)
				}
				d, err := s.History.EventDetail(ctx, by.Event)
				if err != nil {
					t.Fatal(err)
				}
				if len(d.EndedWaits) != 1 || d.EndedWaits[0].Run != id.String() || d.EndedWaits[0].Step != "" {
					t.Errorf("the event shows %+v", d.EndedWaits)
				}
				if began := !strings.HasPrefix(c.flow, "debounce"); began != (len(w.target.sent("clean cancelled_by_event")) == 1) {
					t.Errorf("finally sent %q", w.target.sent("clean"))
				}
			}
			// A run of a later event is not ended by an earlier one.
			later, err := e.Accept(ctx, delivery("later", `{"order": 7}`))
			if err != nil {
				t.Fatal(err)
			}
			if r, err := s.Run(ctx, runOf(t, s, later.Event)); err != nil || r.Status.Ended() || r.Ending != nil {
				t.Errorf("the later run %s (%v)", r.Status, err)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// runOf waits for the run of an event.
func runOf(t *testing.T, s database, of engine.EventID) (id engine.RunID) {
	t.Helper()
	waitFor(t, func() bool {
		runs, err := s.History.Runs(context.Background(), engine.Query{Event: of.String()})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) > 0 {
			if id, err = engine.ParseRunID(runs[0].ID); err != nil {
				t.Fatal(err)
			}
		}
		return len(runs) > 0
	})
	return id
}

// TestEventEndsRunsAcrossACrash fails the n-th commit after the run waits, and all later
// ones, for every n: once the event is acknowledged, the run ends.
func TestEventEndsRunsAcrossACrash(t *testing.T) {
	for n := 1; ; n += testsize.Of(t, "HOOKLOOM_FAULTSTEP", 1) {
		w := newWorld(t, map[string]string{"w": "on: hook\ncancel_on: {event: back, key: event.key}\nsteps: [{sleep: 1h}]\n" + cleaned})
		var mu sync.Mutex
		armed, count, crashed := false, 0, false
		e, s, stop := w.start(func(int) error {
			mu.Lock()
			defer mu.Unlock()
			if armed {
				count++
			}
			crashed = armed && count >= n
			if crashed {
				return errCrash
			}
			return nil
		})
		ctx := context.Background()
		first, err := e.Accept(ctx, delivery("k", `{}`))
		if err != nil {
			t.Fatal(err)
		}
		id := openRun(t, s, first.Event)
		waitFor(t, func() bool { r, err := s.Run(ctx, id); return err == nil && r.Status == engine.Waiting })
		mu.Lock()
		armed = true
		mu.Unlock()
		_, err = e.Accept(ctx, back("k", "gone", `{}`))
		acked := err == nil
		time.Sleep(30 * time.Millisecond)
		if err := stop(); err != nil && !errors.Is(err, errCrash) && !strings.Contains(err.Error(), "power") {
			t.Fatal(err)
		}
		e, s, stop = w.start(nil)
		if !acked {
			if _, err := e.Accept(ctx, back("k", "gone", `{}`)); err != nil {
				t.Fatal(err)
			}
		}
		if r := settled(t, s, 1)[0]; r.Status != "cancelled" || len(w.target.sent("clean cancelled cancelled_by_event")) == 0 {
			t.Errorf("n=%d: run %s, finally sent %q", n, r.Status, w.target.sent("clean"))
		}
		checkRows(t, s, fmt.Sprintf("n=%d", n))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		over := !crashed
		mu.Unlock()
		if over {
			return
		}
	}
}

// TestAnEventDoesNotCutFinally: a run that has ended but for its finally keeps its status.
func TestAnEventDoesNotCutFinally(t *testing.T) {
	w := newWorld(t, map[string]string{"w": "on: hook\ncancel_on: {event: back, key: event.key}\nsteps: [{set: {x: 1}}]\nfinally: [{uses: " +
		"test/act, with: {n: slow}}, {uses: test/act, with: {n: \"clean ${{ run.status }}\"}}]\n"})
	e, s, stop := w.startCuttable()
	for i := range 10 {
		key := fmt.Sprint("k", i)
		if _, err := e.Accept(context.Background(), delivery(key, `{}`)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return len(w.target.sent("slow")) == i+1 })
		if _, err := e.Accept(context.Background(), back(key, "gone", `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range settled(t, s, 10) {
		if r.Status != "succeeded" {
			t.Errorf("run %s %s: %s", r.ID, r.Status, r.Error)
		}
	}
	if got := w.target.sent("clean"); len(got) != 10 {
		t.Errorf("finally sent %q", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestEventThatEndsManyRunsDelaysNoOther: they are marked in one pass, while nothing
// else is stored.
func TestEventThatEndsManyRunsDelaysNoOther(t *testing.T) {
	const many = 10_000
	w := newFileWorld(t, map[string]string{"w": "on: hook\ncancel_on: {event: back, key: event.data.order}\nsteps: [{sleep: 1h}]\n"})
	e, s, stop := w.start(nil)
	first, err := e.Accept(context.Background(), delivery("k", `{"order": 7}`))
	if err != nil {
		t.Fatal(err)
	}
	openRun(t, s, first.Event)
	w.ownRows = true
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+w.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?) SELECT i FROM c`,
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at, started_at, due_at, repeats)
			SELECT r.id + n.i, r.event_id, r.workflow, r.version, r.status, r.created_at, r.started_at, r.due_at, r.id FROM runs r, temp.n`,
		`INSERT INTO cancel_keys (run_id, trigger, rule, key) SELECT c.run_id + n.i, c.trigger, c.rule, c.key FROM cancel_keys c, temp.n`,
	} {
		db.SetMaxOpenConns(1)
		args := []any{many}[:strings.Count(q, "?")]
		if _, err := db.Exec(q, args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	e, s, stop = w.start(nil)
	began := time.Now()
	if _, err := e.Accept(context.Background(), back("7", "gone", `{}`)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { n, err := s.History.Counts(context.Background()); return err == nil && n.Inbox == 0 })
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("marking %d runs took %s", many, took)
	}
	if list, err := s.CancelledBy(context.Background()); err != nil || len(list) < many/2 {
		t.Errorf("%d runs are marked, %v", len(list), err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
