package store_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
)

// TestCheckFindsWaitsWithoutStepsAndStepsWithoutWaits damages the rows of a waiting run.
func TestCheckFindsWaitsWithoutStepsAndStepsWithoutWaits(t *testing.T) {
	const orphan, bare = "each recorded wait belongs to a waiting step of an open run", "each waiting step has a recorded wait"
	for name, c := range map[string]struct {
		damage string
		wrong  []string
	}{
		"sound":                  {"", nil},
		"the wait is gone":       {`DELETE FROM waits`, []string{bare}},
		"the step is gone":       {`DELETE FROM steps`, []string{orphan}},
		"the step does not wait": {`UPDATE steps SET status = 'failed', finished_at = 1`, []string{orphan}},
		"the wait is another's":  {`UPDATE waits SET path = 'b'`, []string{orphan, bare}},
		"the wait has a twin":    {`INSERT INTO waits (run_id, path, number, kind) VALUES (99, 'a', 0, 'sleep')`, []string{orphan}},
		"the run has ended": {`UPDATE runs SET status = 'failed', finished_at = 1, due_at = NULL`,
			[]string{orphan, "no step of an ended run waits"}},
	} {
		path := filepath.Join(t.TempDir(), "x.db")
		s := open(t, path, store.Options{})
		accept(t, s, 1, delivery("a", "k"))
		at := time.Now()
		run := &engine.Run{ID: 1, Event: 1, Workflow: "w", Version: "v", Status: engine.Waiting, CreatedAt: at}
		if _, err := s.Match(ctx, []engine.Match{{Event: 1, At: at, Starts: []engine.RunUpdate{{Run: run, New: true, Answers: -1,
			Records: []*plan.Record{{Path: "a", Attempt: 1, Action: "wait", Status: plan.Waiting, StartedAt: at,
				Waits: []plan.Wait{{Kind: plan.WaitEvent, Trigger: "back", Key: "k", From: at}}}}}}}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite3", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(c.damage); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path, store.Options{})
		found, err := s.History().Check(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string][]string{}
		for _, f := range found {
			if len(f.Wrong) > 0 {
				got[f.What] = f.Wrong
			}
		}
		for _, what := range c.wrong {
			if len(got[what]) != 1 {
				t.Errorf("%s: not found that it is not true that %s: %v", name, what, got)
			}
		}
		if len(c.wrong) == 0 && len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestCheckReportsWhatADamagedTableStillGives, whichever table's first page is overwritten: no damage takes
// the place of what the other checks found.
func TestCheckReportsWhatADamagedTableStillGives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, path, store.Options{})
	if _, err := s.Accept(ctx, 7, delivery("shop", "k")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range []string{"events", "runs", "steps", "answers", "waits", "decisions"} {
		var page, size int
		if err := db.QueryRow(`SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE type = 'table' AND name = ?`,
			table).Scan(&page, &size); err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Clone(sound)
		copy(damaged[(page-1)*size:], bytes.Repeat([]byte{0xa5}, size))
		copied := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(copied, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := store.OpenHistory(copied)
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		found, err := h.Check(t.Context())
		serious := false
		for _, f := range found {
			serious = serious || len(f.Wrong) > 0 && !f.Alone
		}
		if err != nil || !serious {
			t.Errorf("%s is damaged: found %+v, %v", table, found, err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}
