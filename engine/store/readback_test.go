package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
)

// TestAnErrorIsReadAsItWasRecorded, of a run and of a step, with that of its handler: retries and expressions use
// its status, and whether it can be retried.
func TestAnErrorIsReadAsItWasRecorded(t *testing.T) {
	x := openShown(t)
	full := &plan.Error{Message: "answered 503", Code: "http_status", Step: "a", Status: 503, Attempts: 3, Retryable: true, Resumed: true,
		RetryAfter: 1500 * time.Millisecond, Details: map[string]any{"body": "busy"},
		Handler: &plan.Error{Message: "no answer", Code: "network", Step: "on_failure.0", Attempts: 1}}
	id := x.run("w", engine.Waiting, nil, &plan.Record{Path: "a", Status: plan.Failed, Error: full},
		&plan.Record{Path: "b", Status: plan.Waiting, Waits: []plan.Wait{{Kind: plan.WaitSleep, Until: x.at.Add(time.Hour)}}})
	loaded, err := x.s.LoadRun(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range loaded.Records {
		if r.Path == "a" {
			found = true
			if !reflect.DeepEqual(r.Error, full) {
				t.Errorf("of a step: %+v, want %+v", r.Error, full)
			}
		}
	}
	if !found {
		t.Errorf("%d records, none of step a", len(loaded.Records))
	}
	r, err := x.s.Run(t.Context(), x.run("w", engine.Failed, full))
	if err != nil || !reflect.DeepEqual(r.Error, full) {
		t.Errorf("of a run: %+v, %v", r, err)
	}
}

// TestHostIsListedAfterItsFirstAttempt, with its scheme or without, whether the attempt failed or not.
func TestHostIsListedAfterItsFirstAttempt(t *testing.T) {
	x := openShown(t)
	x.dead("w", "https://fails.example", "a", "network", "no answer")
	x.run("w", engine.Succeeded, nil, &plan.Record{Path: "a", Status: plan.Succeeded, Destination: "http://works.example:8080"})
	for host, want := range map[string]bool{"fails.example": true, " Fails.example/": true, "https://fails.example": true,
		"http://fails.example": false,
		"works.example:8080":   true, "http://works.example:8080": true, "works.example": false, "no.example": false} {
		if got, err := x.h.HasHost(t.Context(), host); got != want || err != nil {
			t.Errorf("%s is known: %t, %v", host, got, err)
		}
	}
}

// TestAVersionIsFoundByItsBeginning, if only one version begins like this. Files of connectors are none.
func TestAVersionIsFoundByItsBeginning(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	for _, f := range [][2]string{{"paid", "abc1"}, {"paid", "abd2"}, {"connectors/crm", "abc9"}} {
		if err := s.SaveFile(ctx, f[0], f[1], []byte("text of "+f[1])); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, c := range map[string]struct {
		version string
		err     error
	}{
		"abc": {"abc1", nil}, "abd2": {"abd2", nil},
		"ab": {"", engine.ErrQuery}, "abc9": {"", engine.ErrNotFound}, "a%": {"", engine.ErrNotFound},
	} {
		version, workflow, err := s.History().VersionOf(ctx, prefix)
		if version != c.version || !errors.Is(err, c.err) || (workflow == "paid") != (c.err == nil) {
			t.Errorf("%s: %q of %q, %v", prefix, version, workflow, err)
		}
	}
	if text, err := s.Version(ctx, "abc9"); text != "text of abc9" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// TestATriggersEventsAreCountedSinceATime, and not those of others.
func TestATriggersEventsAreCountedSinceATime(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	now := time.Now()
	for i, age := range []time.Duration{2 * time.Hour, 30 * time.Minute, 20 * time.Minute} {
		accept(t, s, engine.EventID(engine.FirstID(now.Add(-age))), delivery("shop", fmt.Sprint("k", i)))
	}
	accept(t, s, engine.EventID(engine.FirstID(now.Add(-10*time.Minute))), delivery("other", "k"))
	for since, want := range map[time.Duration]int{3 * time.Hour: 3, time.Hour: 2, 25 * time.Minute: 1, time.Minute: 0} {
		if got, err := s.History().TriggerStats(ctx, "shop", now.Add(-since)); got.Events != want || err != nil {
			t.Errorf("since %s: %d events, %v; want %d", since, got.Events, err, want)
		}
	}
}

// TestHolderOfADatabaseIsNamed, with its command unless that is serve.
func TestHolderOfADatabaseIsNamed(t *testing.T) {
	for want, h := range map[string]store.Holder{"process": {}, "process 7": {PID: 7, Verb: "serve"}, "process 8": {PID: 8},
		"process 9, hookloom prune": {PID: 9, Verb: "prune"}, "process 9, hookloom prune on db1": {PID: 9, Verb: "prune", Host: "db1"}} {
		if got := h.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestAuditEntriesAreCountedWhole: below the most that is counted, there are no more.
func TestAuditEntriesAreCountedWhole(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	for i := range 3 {
		if err := s.Audit(ctx, engine.AuditEntry{At: time.Now(), Action: fmt.Sprint("a", i)}); err != nil {
			t.Fatal(err)
		}
	}
	var p engine.Page[engine.AuditEntry]
	if err := s.History().CountAudit(ctx, engine.Query{}, &p); err != nil || p.Total == nil || *p.Total != 3 || p.TotalMore {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestFailedRulesOfOneEventStayOnOnePage: the event is the cursor of the page, so that none of them is lost. They
// are listed with dead runs, or alone.
func TestFailedRulesOfOneEventStayOnOnePage(t *testing.T) {
	x := openShown(t)
	first := x.dead("paid", "https://a.example", "ship", "network", "no answer")
	x.at = x.at.Add(time.Second)
	ev := engine.EventID(engine.FirstID(x.at))
	accept(t, x.s, ev, delivery("shop", "rules"))
	m := engine.Match{Event: ev, At: x.at}
	for i := range 3 {
		m.Decisions = append(m.Decisions,
			engine.Decision{Workflow: fmt.Sprint("w", i), Version: "v1", Outcome: engine.RuleFailed, Reason: "bad"})
	}
	if _, err := x.s.Match(ctx, []engine.Match{m}); err != nil {
		t.Fatal(err)
	}
	last := x.dead("paid", "https://a.example", "ship", "network", "no answer")
	list := func(q engine.Query) (ids []string, next string) {
		p, err := x.h.DeadLetters(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Items {
			ids = append(ids, d.ID)
		}
		return ids, p.Next
	}
	rules := strings.Repeat(" "+ev.String(), 3)
	got, next := list(engine.Query{Limit: 2})
	if fmt.Sprint(got) != "["+last.String()+rules+"]" || next != ev.String() {
		t.Errorf("the first page is %s, then %s", got, next)
	}
	if got, next = list(engine.Query{Limit: 2, After: next}); fmt.Sprint(got) != "["+first.String()+"]" || next != "" {
		t.Errorf("the second page is %s, then %s", got, next)
	}
	for status, want := range map[string]string{"failed,rule_failed": "[" + last.String() + rules + " " + first.String() + "]",
		"rule_failed": "[" + rules[1:] + "]", "failed": "[" + last.String() + " " + first.String() + "]",
		"timed_out, rule_failed": "[" + rules[1:] + "]"} {
		if got, _ := list(engine.Query{Status: status}); fmt.Sprint(got) != want {
			t.Errorf("%s: %s, want %s", status, got, want)
		}
	}
}

// TestEventFoundOnlyByAPollIsMarked, and no other item of the poll.
func TestEventFoundOnlyByAPollIsMarked(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	missed, found := delivery("shop", "missed"), delivery("shop", "found")
	missed.Inlet, found.Inlet, missed.Recovered = "poll", "poll", true
	now := engine.FirstID(time.Now())
	got, err := s.Poll(ctx, []engine.EventID{engine.EventID(now), engine.EventID(now + 1)}, &engine.PollBatch{Trigger: "shop", Inlet: "poll",
		Items: []*engine.Delivery{missed, found}})
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	seen, err := s.History().Sightings(ctx, "shop", time.Time{})
	if err != nil || len(seen.Events) != 2 {
		t.Fatalf("%+v, %v", seen, err)
	}
	marked := 0
	for _, e := range seen.Events {
		if e.Recovered {
			marked++
		}
	}
	if marked != 1 {
		t.Errorf("%d of 2 events are marked as missed by the webhook, want 1", marked)
	}
}

// TestADamagedRowIsAnError and not an empty value; a run can be cancelled by what can be read of it.
func TestADamagedRowIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	run, err := begun(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	b := &engine.Batch{ID: engine.BatchID(7).String(), At: time.Now(), State: engine.BatchRunning}
	if err := s.AddBatch(ctx, b); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, damage := range []string{`UPDATE runs SET output = x'00'`, `UPDATE batches SET filter = '{'`, `CREATE TABLE junk (b BLOB)`,
		`INSERT INTO junk VALUES (zeroblob(100000))`, `DROP TABLE junk`} {
		if _, err := db.Exec(damage); err != nil {
			t.Fatalf("%s: %v", damage, err)
		}
	}
	if r, err := s.Run(ctx, run.ID); err == nil || !strings.Contains(err.Error(), run.ID.String()) || r == nil || r.Event != run.Event {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := s.Batch(ctx, 7); err == nil {
		t.Error("a batch without its filter is read")
	}
	if size, err := s.History().Size(ctx); err != nil || size.Free < 90_000 || size.Free%4096 != 0 || size.Bytes <= size.Free {
		t.Errorf("%+v, %v: about 100,000 bytes are free", size, err)
	}
}

// TestDatabaseFitsOnlyIntoAnExistingFolder: where there is none, nothing fits.
func TestDatabaseFitsOnlyIntoAnExistingFolder(t *testing.T) {
	dir := t.TempDir()
	if !store.Fits(filepath.Join(dir, "x.db")) {
		t.Error("a database does not fit into an empty folder")
	}
	if store.Fits(filepath.Join(dir, "none", "x.db")) {
		t.Error("a database fits into a folder that does not exist")
	}
}
