package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/seal"
	"github.com/hookloom/hookloom/engine/store"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func open(t testing.TB, path string, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(ctx, path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func delivery(trigger, key string) *engine.Delivery {
	now := time.Now()
	return &engine.Delivery{Trigger: trigger, Inlet: "webhook", Key: key, Type: "t", Time: now, ReceivedAt: now, Raw: []byte(`{"a":1}`), Headers: map[string]string{"h": "v"}, Dedupe: time.Hour}
}

func TestTheSameKeyIsOneEvent(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	first, err := s.Accept(ctx, 1, delivery("a", "k"))
	if err != nil || first.Duplicate {
		t.Fatalf("%+v %v", first, err)
	}
	changed := delivery("a", "k")
	changed.Raw = []byte(`{"a":2}`)
	for i, d := range []*engine.Delivery{delivery("a", "k"), changed} {
		r, err := s.Accept(ctx, engine.EventID(2+i), d)
		if err != nil || !r.Duplicate || r.Event != 1 {
			t.Errorf("%+v %v", r, err)
		}
	}
	if r, err := s.Accept(ctx, 5, delivery("b", "k")); err != nil || r.Duplicate {
		t.Errorf("another trigger: %+v %v", r, err)
	}
	d, err := s.History().EventDetail(ctx, 1)
	if err != nil || d.Duplicates != 2 || !d.Sightings[0].SameBody || d.Sightings[1].SameBody {
		t.Errorf("%+v %v", d, err)
	}
}

func TestAKeyIsForgottenAfterItsTime(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	d := delivery("a", "k")
	if _, err := s.Accept(ctx, 1, d); err != nil {
		t.Fatal(err)
	}
	later := delivery("a", "k")
	later.ReceivedAt = d.ReceivedAt.Add(2 * time.Hour)
	if r, err := s.Accept(ctx, 2, later); err != nil || r.Duplicate {
		t.Errorf("after the time: %+v %v", r, err)
	}
	off := delivery("a", "k")
	off.Dedupe = 0
	if r, err := s.Accept(ctx, 3, off); err != nil || r.Duplicate {
		t.Errorf("dedupe off: %+v %v", r, err)
	}
}

// TestAThousandCopiesAtOnceAreOneEvent holds promise 3 at its worst moment.
func TestAThousandCopiesAtOnceAreOneEvent(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	firsts, events := 0, map[engine.EventID]bool{}
	for i := range 1000 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, err := s.Accept(ctx, engine.EventID(i+1), delivery("a", "k"))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			events[r.Event] = true
			if !r.Duplicate {
				firsts++
			}
		}()
	}
	wg.Wait()
	if firsts != 1 || len(events) != 1 {
		t.Errorf("%d firsts, %d events", firsts, len(events))
	}
	if items, err := s.History().Events(ctx, engine.Query{}); err != nil || len(items) != 1 || items[0].Duplicates != 999 {
		t.Errorf("%+v %v", items, err)
	}
}

func TestASecondProcessIsRefusedByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	open(t, path, store.Options{})
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, link} {
		_, err := store.Open(ctx, p, store.Options{})
		var inUse *store.InUseError
		if !errors.As(err, &inUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestAnotherDatabaseOrSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := store.Open(ctx, "postgres://localhost/x", store.Options{}); err == nil || !strings.Contains(err.Error(), "SQLite only") {
		t.Errorf("postgres: %v", err)
	}
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(ctx, garbage, store.Options{}); err == nil {
		t.Error("garbage was opened")
	}
	newer := filepath.Join(dir, "newer.db")
	db, err := sql.Open("sqlite3", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 999"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := store.Open(ctx, newer, store.Options{}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("newer schema: %v", err)
	}
}

func TestTheViewsShowWhatTheContractNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	if _, err := s.Accept(ctx, 0x1234, delivery("shop", "k")); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 1, 10, 0, 0, 7e6, time.UTC)
	run := &engine.Run{ID: 0x99, Event: 0x1234, Workflow: "w", Version: "v", Status: engine.Failed, CreatedAt: at, StartedAt: at, FinishedAt: at, Error: &plan.Error{Message: "no", Code: "x"}}
	m := engine.Match{Event: 0x1234, At: at, Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Matched, Run: 0x99}},
		Starts: []engine.Settlement{{Run: run, New: true, Records: []*plan.Record{{Path: "a", Attempt: 1, Action: "log", Status: plan.Succeeded, StartedAt: at, FinishedAt: at, Input: map[string]any{"m": 1}}}}}}
	if _, err := s.Match(ctx, []engine.Match{m}); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Match(ctx, []engine.Match{m}); err != nil || !again[0].Known {
		t.Errorf("matched twice: %+v, %v", again, err)
	}
	// Through a connection of its own, as any SQLite shell has.
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]string{
		`SELECT id || '|' || trigger || '|' || inlet || '|' || key || '|' || type || '|' || duplicates || '|' || body FROM events_view`:                                `evt_0000000000001234|shop|webhook|k|t|0|{"a":1}`,
		`SELECT id || '|' || workflow || '|' || version || '|' || event_id || '|' || status || '|' || started_at || '|' || finished_at || '|' || error FROM runs_view`: `run_0000000000000099|w|v|evt_0000000000001234|failed|2026-05-01T10:00:00.007Z|2026-05-01T10:00:00.007Z|{"code":"x","message":"no","retryable":false}`,
		`SELECT run_id || '|' || path || '|' || action || '|' || attempt || '|' || status || '|' || started_at || '|' || input FROM steps_view`:                        `run_0000000000000099|a|log|1|succeeded|2026-05-01T10:00:00.007Z|{"m":1}`,
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s\n got %s (%v)\nwant %s", query, got, err, want)
		}
	}
}

func TestTheSchemaRefusesImpossibleStates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	open(t, path, store.Options{}).Close()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, bad := range []string{
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at) VALUES (1, 1, 'w', 'v', 'done', 1)`,
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at) VALUES (1, 1, 'w', 'v', 'succeeded', 1)`,
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at) VALUES (1, 1, 'w', 'v', 'queued', 1)`,
		`INSERT INTO steps (run_id, path, attempt, action, status, started_at) VALUES (1, 'a', 1, 'x', 'succeeded', 1)`,
		`INSERT INTO steps (run_id, path, attempt, action, status, started_at) VALUES (1, 'a', 0, 'x', 'running', 1)`,
		`INSERT INTO decisions (event_id, workflow, version, outcome, at) VALUES (1, 'w', 'v', 'matched', 1)`,
		`INSERT INTO keys (trigger, key, event_id, seen_at) VALUES ('t', '', 1, 1)`,
	} {
		if _, err := db.Exec(bad); err == nil || !strings.Contains(err.Error(), "CHECK") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestSecretsNeverReachARow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	var red engine.Redactor
	red.Set([]string{`hunter2"quoted`, "abc", "s3cr3t-token"})
	s := open(t, path, store.Options{Redactor: &red})
	d := delivery("a", "k")
	d.Headers = map[string]string{"x": `hunter2"quoted`}
	if _, err := s.Accept(ctx, 1, d); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	run := &engine.Run{ID: 1, Event: 1, Workflow: "w", Version: "v", Status: engine.Failed, CreatedAt: at, FinishedAt: at, Output: "czNjcjN0LXRva2Vu", Text: "s3cr3t-token", Error: &plan.Error{Message: `hunter2"quoted`, Details: map[string]any{"s3cr3t-token": 1}}}
	rec := &plan.Record{Path: "a", Attempt: 1, Action: "x", Status: plan.Failed, StartedAt: at, FinishedAt: at, Input: map[string]any{"h": "Bearer s3cr3t-token"}, Output: []any{`hunter2"quoted`}, Error: run.Error}
	if _, err := s.Match(ctx, []engine.Match{{Event: 1, At: at, Starts: []engine.Settlement{{Run: run, New: true, Records: []*plan.Record{rec}}}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Refuse(ctx, engine.Refusal{At: at, Trigger: "a", Body: []byte("s3cr3t-token"), Headers: map[string]string{"x": "s3cr3t-token"}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "s3cr3t-token", "czNjcjN0LXRva2Vu"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("%s stands in the database", secret)
		}
	}
}

func TestTheDatabaseIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	if _, err := s.Accept(ctx, 1, delivery("a", "k")); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", suffix, info.Mode(), err)
		}
	}
}

func TestQuarantineIsBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{MaxQuarantine: 10})
	for range 30 {
		if err := s.Refuse(ctx, engine.Refusal{At: time.Now(), Trigger: "a", Reason: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if items, err := s.History().Quarantine(ctx, engine.Query{}); err != nil || len(items) != 10 {
		t.Errorf("%d kept, %v", len(items), err)
	}
}

func TestBodiesOfTheQuarantineAreBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{MaxQuarantineBytes: 10 << 10})
	for range 128 {
		if err := s.Refuse(ctx, engine.Refusal{At: time.Now(), Trigger: "a", Reason: "x", Diagnosis: "d", URL: "https://x/", Body: make([]byte, 1024), Size: 1024}); err != nil {
			t.Fatal(err)
		}
	}
	items, err := s.History().Quarantine(ctx, engine.Query{Limit: 1000})
	if err != nil || len(items) != 128 {
		t.Fatalf("%d kept, %v", len(items), err)
	}
	kept := 0
	for i, x := range items {
		kept += x.Kept
		if i < 8 && x.Kept == 0 {
			t.Errorf("the body of %s, one of the newest, is gone", x.ID)
		}
	}
	if kept > 11<<10 {
		t.Errorf("%d bytes of bodies are kept", kept)
	}
}

func TestARefusalIsMarkedWhenItIsAdmitted(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err := s.Refuse(ctx, engine.Refusal{At: time.Now(), Trigger: "a", Reason: "x", Headers: map[string]string{"h": "v"}, Body: []byte{0xff, 1}, Size: 2}); err != nil {
		t.Fatal(err)
	}
	if err := s.Admitted(ctx, 1, 7); err != nil {
		t.Fatal(err)
	}
	x, body, err := s.History().Refusal(ctx, "ref_1")
	if err != nil || x.Event != engine.EventID(7).String() || string(body) != "\xff\x01" || x.Headers["h"] != "v" {
		t.Errorf("%+v %q %v", x, body, err)
	}
	if _, _, err := s.History().Refusal(ctx, "ref_2"); !errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := s.History().Refusal(ctx, "ref_2 OR 1=1"); err == nil || errors.Is(err, engine.ErrNotFound) {
		t.Error(err)
	}
}

func TestARefusedBodyIsShownMaskedAndJudgedWhole(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "x.db"), store.Options{Sealer: seal.New(dir)})
	whole := `{"iban":"DE89 canary"}`
	for _, r := range []engine.Refusal{{Body: []byte(`{"iban":"***"}`), Whole: []byte(whole)}, {Body: []byte("plain")}} {
		r.At, r.Trigger, r.Size = time.Now(), "a", 22
		if err := s.Refuse(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, shown, err := s.History().Refusal(ctx, "ref_1"); err != nil || string(shown) != `{"iban":"***"}` {
		t.Errorf("shown is %s %v", shown, err)
	}
	for id, want := range map[string]string{"ref_1": whole, "ref_2": "plain"} {
		if b, err := s.RefusedBody(ctx, id); err != nil || string(b) != want {
			t.Errorf("%s is judged by %s %v", id, b, err)
		}
	}
	for _, name := range []string{"x.db", "x.db-wal"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s holds the field, or cannot be read: %v", name, err)
		}
	}
}

func TestUsesOfSecretsAddUp(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for i, n := range []int64{3, 4} {
		if err := s.UseSecrets(ctx, []engine.SecretUse{{Trigger: "a", Secret: "S", Count: n, LastAt: at.Add(time.Duration(i) * time.Hour)}}); err != nil {
			t.Fatal(err)
		}
	}
	uses, err := s.History().SecretUses(ctx)
	if err != nil || len(uses) != 1 || uses[0].Count != 7 || !uses[0].FirstAt.Equal(at) || !uses[0].LastAt.Equal(at.Add(time.Hour)) {
		t.Errorf("%+v %v", uses, err)
	}
}

func TestAFloodIsToldToComeAgain(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{MaxQueued: 8, Fault: func(int) error { once.Do(func() { <-release }); return nil }})
	var wg sync.WaitGroup
	var mu sync.Mutex
	busy := 0
	for i := range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := s.Accept(ctx, engine.EventID(i+1), delivery("a", fmt.Sprint(i))); errors.Is(err, engine.ErrBusy) {
				mu.Lock()
				busy++
				mu.Unlock()
			} else if err != nil {
				t.Error(err)
			}
		}()
	}
	time.Sleep(50 * time.Millisecond)
	close(release)
	wg.Wait()
	items, err := s.History().Events(ctx, engine.Query{Limit: 1000})
	if err != nil || busy == 0 || len(items) != 50-busy {
		t.Errorf("%d busy, %d stored, %v", busy, len(items), err)
	}
}

func TestListsPageByKeyAndFilter(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	for i := 1; i <= 25; i++ {
		d := delivery("a", fmt.Sprintf("k%02d", i))
		if i%5 == 0 {
			d.Trigger, d.Raw = "b", []byte(`{"needle":"100%_sure"}`)
		}
		if _, err := s.Accept(ctx, engine.EventID(i), d); err != nil {
			t.Fatal(err)
		}
	}
	h := s.History()
	seen, after := 0, ""
	for {
		page, err := h.Events(ctx, engine.Query{Limit: 10, After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		seen += len(page)
		after = page[len(page)-1].ID
	}
	if seen != 25 {
		t.Errorf("pages hold %d", seen)
	}
	for _, c := range []struct {
		q    engine.Query
		want int
	}{{engine.Query{Trigger: "b"}, 5}, {engine.Query{Grep: "100%_sure"}, 5}, {engine.Query{Grep: "%"}, 5}, {engine.Query{Grep: "' OR 1=1 --"}, 0}, {engine.Query{Type: "t", Limit: 100}, 25}} {
		if items, err := h.Events(ctx, c.q); err != nil || len(items) != c.want {
			t.Errorf("%+v: %d, %v", c.q, len(items), err)
		}
	}
	if _, err := h.Events(ctx, engine.Query{After: "evt_zz"}); err == nil {
		t.Error("a wrong cursor was taken")
	}
}

// TestASearchLooksAtABoundedNumberOfRows: a page costs the same however long the
// history is; what is further back is found by going on.
func TestASearchLooksAtABoundedNumberOfRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const runs = 50_000
	fill(t, path, runs)
	h := s.History()
	for name, page := range map[string]func(q engine.Query) (found int, next string, paused bool, err error){
		"events": func(q engine.Query) (int, string, bool, error) {
			q.Grep = `"n":7,`
			p, err := h.EventPage(t.Context(), q)
			return len(p.Items), p.Next, p.SearchedTo != nil, err
		},
		"runs": func(q engine.Query) (int, string, bool, error) {
			q.Status, q.Grep = "succeeded", "k7"
			p, err := h.RunPage(t.Context(), q)
			n := 0
			for _, i := range p.Items {
				if i.Event == engine.EventID(13).String() {
					n++
				}
			}
			return n, p.Next, p.SearchedTo != nil, err
		},
	} {
		var q engine.Query
		q.Limit = 1000
		found, pages, pauses := 0, 0, 0
		for {
			n, next, paused, err := page(q)
			if err != nil {
				t.Fatal(err)
			}
			found, pages = found+n, pages+1
			if paused {
				pauses++
			}
			if next == "" {
				break
			}
			q.After = next
		}
		if found != 1 || pauses < 2 || name == "events" && pages != 3 {
			t.Errorf("%s: found %d times on %d pages, %d of which paused", name, found, pages, pauses)
		}
	}
	all, err := h.Events(t.Context(), engine.Query{Grep: `"n":7,`})
	if err != nil || len(all) != 1 {
		t.Errorf("without pages: %d %v", len(all), err)
	}
}

// TestActivityCountsWhatIsThere compares the counts with the rows.
func TestActivityCountsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fill(t, path, 1000)
	epoch := engine.RunID(0).Time()
	b, err := s.History().Activity(t.Context(), epoch, time.Hour, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := engine.Bucket{At: epoch, Events: 1000, Runs: 1000, Failed: 9, Open: 1}
	if len(b) != 3 || b[0] != want || b[0].Succeeded() != 990 || b[1].Events != 0 {
		t.Errorf("%+v, want %+v", b, want)
	}
	at := epoch.Add(90 * time.Minute)
	if err := s.Refuse(t.Context(), engine.Refusal{At: at, Trigger: "shop", Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	if b, err = s.History().Activity(t.Context(), epoch, time.Hour, 3); err != nil || b[1].Refused != 1 || b[0].Refused != 0 {
		t.Errorf("%+v %v", b, err)
	}
	all, err := s.History().WorkflowStats(t.Context(), epoch)
	w := all["w2"]
	if err != nil || w.Runs != 143 || w.Failed != 2 || w.Took.P50 != 0.1 {
		t.Errorf("%+v %v", w, err)
	}
}

// TestARhythmIsTheLongestSilenceAndHalfAgain, once there are days of history.
func TestARhythmIsTheLongestSilenceAndHalfAgain(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	deliver := func(after time.Duration, inlet string) {
		at = at.Add(after)
		if _, err := s.Accept(t.Context(), engine.EventID(engine.FirstID(at)), &engine.Delivery{Trigger: "shop", Inlet: inlet, Key: at.String(), Time: at, ReceivedAt: at, Dedupe: time.Hour, Unheard: true}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(d time.Duration) {
		t.Helper()
		if got, err := s.History().Rhythm(t.Context(), "shop"); err != nil || got != d {
			t.Errorf("%v %v, want %v", got, err, d)
		}
	}
	want(0)
	for range 60 {
		deliver(time.Minute, "webhook")
	}
	want(0) // an hour tells nothing of the night
	for range 4 {
		deliver(14*time.Hour, "webhook")
		for range 10 {
			deliver(time.Hour, "webhook")
			deliver(0+time.Second, "poll")
		}
	}
	want(21*time.Hour + 1500*time.Millisecond)
}

// A flood at one trigger takes nothing from what is kept of another, and headers count
// as bodies do.
func TestTheQuarantineKeepsAShareForEachTrigger(t *testing.T) {
	for name, c := range map[string]struct {
		options store.Options
		flood   engine.Refusal
	}{
		"by number":  {store.Options{MaxQuarantine: 100}, engine.Refusal{Trigger: "flooded", Reason: "x"}},
		"by bodies":  {store.Options{MaxQuarantineBytes: 64 << 10}, engine.Refusal{Trigger: "flooded", Body: make([]byte, 4<<10), Size: 4 << 10}},
		"by headers": {store.Options{MaxQuarantineBytes: 64 << 10}, engine.Refusal{Trigger: "flooded", Headers: map[string]string{"x": strings.Repeat("h", 4<<10)}}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			s := open(t, path, c.options)
			other := engine.Refusal{At: time.Now(), Trigger: "other", Reason: "evidence", Body: []byte("body"), Size: 4}
			for range 5 {
				if err := s.Refuse(ctx, other); err != nil {
					t.Fatal(err)
				}
			}
			c.flood.At = time.Now()
			for range 300 {
				if err := s.Refuse(ctx, c.flood); err != nil {
					t.Fatal(err)
				}
			}
			items, err := s.History().Quarantine(ctx, engine.Query{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			kept, bytes := 0, 0
			for _, x := range items {
				if x.Trigger == "other" && x.Kept == 4 {
					kept++
				}
				bytes += x.Kept
				for _, v := range x.Headers {
					bytes += len(v)
				}
			}
			if kept != 5 {
				t.Errorf("%d of 5 refusals of the other trigger are kept whole", kept)
			}
			if c.options.MaxQuarantineBytes > 0 && int64(bytes) > c.options.MaxQuarantineBytes {
				t.Errorf("%d bytes are kept; %d at most", bytes, c.options.MaxQuarantineBytes)
			}
			if len(items) < 15 {
				t.Errorf("only %d are kept: the flooded trigger has its share too", len(items))
			}
		})
	}
}
