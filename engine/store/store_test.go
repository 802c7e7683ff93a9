package store_test

import (
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
	"github.com/hookloom/hookloom/engine/redact"
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
	return &engine.Delivery{Trigger: trigger, Inlet: "webhook", Key: key, Type: "t", Time: now, ReceivedAt: now, Raw: []byte(`{"a":1}`),
		Headers: map[string]string{"h": "v"}, Dedupe: time.Hour}
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
	if _, err := store.Open(ctx, "mysql://localhost/x", store.Options{}); err == nil || !strings.Contains(err.Error(), "postgres://") {
		t.Errorf("mysql: %v", err)
	}
	_, err := store.Open(ctx, filepath.Join(dir, "db.example.com:5432", "hookloom"), store.Options{})
	if err == nil || !strings.Contains(err.Error(), "there is no folder "+dir) || !strings.Contains(err.Error(), "postgres://") {
		t.Errorf("an address without its scheme: %v", err)
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

func TestViewsShowTheDocumentedRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	if _, err := s.Accept(ctx, 0x1234, delivery("shop", "k")); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 5, 1, 10, 0, 0, 7e6, time.UTC)
	run := &engine.Run{ID: 0x99, Event: 0x1234, Workflow: "w", Version: "v", Status: engine.Failed, CreatedAt: at, StartedAt: at,
		FinishedAt: at, Error: &plan.Error{Message: "no", Code: "x"}}
	m := engine.Match{Event: 0x1234, At: at, Decisions: []engine.Decision{{Workflow: "w", Version: "v", Outcome: engine.Matched,
		Run: 0x99}},
		Starts: []engine.RunUpdate{{Run: run, New: true,
			Records: []*plan.Record{{Path: "a", Attempt: 1, Action: "log", Status: plan.Succeeded, StartedAt: at, FinishedAt: at,
				Input: map[string]any{"m": 1}}}}}}
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
		`SELECT id || '|' || trigger || '|' || inlet || '|' || key || '|' || type || '|' || duplicates || '|' || body
			FROM events_view`: `evt_0000000000001234|shop|webhook|k|t|0|{"a":1}`,
		`SELECT id || '|' || workflow || '|' || version || '|' || event_id || '|' || status || '|' || started_at || '|' || finished_at || '|' ` +
			`|| error FROM runs_view`: `run_0000000000000099|w|v|evt_0000000000001234|failed|2026-05-01T10:00:00.007Z|` +
			`2026-05-01T10:00:00.007Z|{"code":"x","message":"no","retryable":false}`,
		`SELECT run_id || '|' || path || '|' || action || '|' || attempt || '|' || status || '|' || started_at || '|' || input
			FROM steps_view`: `run_0000000000000099|a|log|1|succeeded|2026-05-01T10:00:00.007Z|{"m":1}`,
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
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at, due_at) VALUES (1, 1, 'w', 'v', 'running', 1, 1)`,
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
	var red redact.Redactor
	red.Set([]string{`hunter2"quoted`, "abc", "s3cr3t-token"})
	s := open(t, path, store.Options{Redactor: &red})
	d := delivery("a", "k")
	d.Headers = map[string]string{"x": `hunter2"quoted`}
	if _, err := s.Accept(ctx, 1, d); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	run := &engine.Run{ID: 1, Event: 1, Workflow: "w", Version: "v", Status: engine.Failed, CreatedAt: at, FinishedAt: at,
		Output: "czNjcjN0LXRva2Vu", Text: "s3cr3t-token",
		Error: &plan.Error{Message: `hunter2"quoted`, Details: map[string]any{"s3cr3t-token": 1}}}
	rec := &plan.Record{Path: "a", Attempt: 1, Action: "x", Status: plan.Failed, StartedAt: at, FinishedAt: at,
		Input: map[string]any{"h": "Bearer s3cr3t-token"}, Output: []any{`hunter2"quoted`}, Error: run.Error}
	if _, err := s.Match(ctx, []engine.Match{{Event: 1, At: at,
		Starts: []engine.RunUpdate{{Run: run, New: true, Records: []*plan.Record{rec}}}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Refuse(ctx, engine.Refusal{At: at, Trigger: "a", Body: []byte("s3cr3t-token"),
		Headers: map[string]string{"x": "s3cr3t-token"}}); err != nil {
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

func TestFullQueueReturnsErrBusy(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	s := open(t, filepath.Join(t.TempDir(), "x.db"),
		store.Options{MaxQueued: 8, Fault: func(int) error { once.Do(func() { <-release }); return nil }})
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
