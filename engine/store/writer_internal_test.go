package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// The zero options are those for production.
func TestANewDatabaseHasSafeSettings(t *testing.T) {
	s := openTest(t)
	o := s.o
	if o.Synchronous != "FULL" || o.Verb != "serve" || o.MaxQueued != 8192 || o.MaxQuarantine != 10_000 || o.MaxQuarantineBytes != 64<<20 ||
		o.Log == nil || o.Signals == nil || cap(s.w.queue) != 8192 || s.w.maxConflicts != 10_000 || s.w.maxConflictBytes != 64<<20 {
		t.Errorf("%+v", o)
	}
	limit := s.w.space.limit
	if s.w.passAt != limit || s.w.waitAt != 2*limit || s.w.wal != realPath(s.path)+"-wal" || s.w.path != s.path || s.w.walFile == nil {
		t.Errorf("%d, %d, %s, %s", s.w.passAt, s.w.waitAt, s.w.wal, s.w.path)
	}
	if st := s.readers.Stats(); st.MaxOpenConnections != 4 || st.OpenConnections != 4 || st.Idle != 4 {
		t.Errorf("%+v", st)
	}
	if err := s.w.do(t.Context(), true, func(x *tx) error {
		for name, want := range map[string]string{"page_size": "8192", "auto_vacuum": "2", "journal_mode": "wal", "synchronous": "2",
			"wal_autocheckpoint": "0", "temp_store": "2", "cache_size": "-4096", "journal_size_limit": fmt.Sprint(limit), "foreign_keys": "0",
			"busy_timeout": "5000"} {
			if got, err := queryText(x.w.conn, "PRAGMA "+name); err != nil || got != want {
				t.Errorf("PRAGMA %s is %s, want %s, %v", name, got, want, err)
			}
		}
		if err := checkPragmas(x.w.conn, map[string]string{"synchronous": "1"}); err == nil || !strings.Contains(err.Error(),
			"PRAGMA synchronous is 2, not 1") {
			t.Errorf("%v", err)
		}
		return checkPragmas(x.w.conn, map[string]string{"synchronous": "2"})
	}); err != nil {
		t.Error(err)
	}
	if s.Instance() == "" || s.Err() != nil || s.Shared() {
		t.Errorf("%q, %v", s.Instance(), s.Err())
	}
	if _, err := s.readers.Exec(`DELETE FROM meta`); err == nil {
		t.Error("a reader can write")
	}
}

// A command that fails is undone alone; the others of its batch are stored, each once.
func TestAFailedCommandFailsAlone(t *testing.T) {
	s := openTest(t)
	signals := s.Subscribe(t.Context(), engine.SignalDue|engine.SignalTokens)
	stopped, hold := make(chan struct{}), make(chan struct{})
	odd := errors.New("odd")
	insert := func(name string, fails error, signal engine.Signal) *command {
		return &command{done: make(chan error, 1), apply: func(x *tx) error {
			x.signal(signal)
			return errors.Join(x.exec(`INSERT INTO meta (name, value) VALUES (?, '1')`, name), fails)
		}}
	}
	first := &command{done: make(chan error, 1), apply: func(*tx) error { close(stopped); <-hold; return nil }}
	s.w.queue <- first
	<-stopped
	batch := []*command{insert("t1", nil, 0), insert("t2", odd, engine.SignalTokens), insert("t3", nil, engine.SignalDue),
		insert("t1", nil, 0)}
	for _, c := range batch {
		s.w.queue <- c
	}
	close(hold)
	for i, want := range []string{"", "odd", "", "UNIQUE constraint failed"} {
		if err := <-batch[i].done; (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("command %d: %v", i, err)
		}
	}
	var names string
	if err := s.readers.QueryRow(`SELECT group_concat(name) FROM (SELECT name FROM meta WHERE name LIKE 't_' ORDER BY name)`).
		Scan(&names); err != nil || names != "t1,t3" {
		t.Errorf("stored are %s, %v", names, err)
	}
	if got := <-signals; got != engine.SignalDue || len(signals) != 0 {
		t.Errorf("signals %b", got)
	}
	if err := <-first.done; err != nil || s.Err() != nil {
		t.Errorf("%v, %v", err, s.Err())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	full := newWriter(nil, nil, "", Options{MaxQueued: 1})
	full.queue <- first
	if err := full.enqueue(ctx, &command{order: order{wait: true}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has given up: %v", err)
	}
}

// What a step waits for is read as it was stored. A time is never earlier than stated.
func TestAWaitIsReadAsItWasStored(t *testing.T) {
	s, at := openTest(t), fromMillis(1_790_000_000_000)
	event := engine.EventID(7).String()
	columns := strings.ReplaceAll(waitColumns, "w.number", "number")
	for i, c := range []struct{ wait, want plan.Wait }{
		{plan.Wait{Kind: plan.WaitApproval, Approval: "ok?", By: []string{"ada", "bob"}, Until: at, Fixed: true},
			plan.Wait{Kind: plan.WaitApproval, Approval: "ok?", By: []string{"ada", "bob"}, Until: at, Fixed: true}},
		{plan.Wait{Kind: plan.WaitApproval, Approval: "ok?", Any: true}, plan.Wait{Kind: plan.WaitApproval, Approval: "ok?", Any: true}},
		{plan.Wait{Kind: plan.WaitEvent, Trigger: "pay", Key: "k", From: at, Until: at.Add(1)},
			plan.Wait{Kind: plan.WaitEvent, Trigger: "pay", Key: "k", From: at, Until: at.Add(time.Millisecond)}},
		{plan.Wait{Kind: plan.WaitCall, Event: event, Workflow: "w"}, plan.Wait{Kind: plan.WaitCall, Event: event, Workflow: "w"}},
		{plan.Wait{Kind: plan.WaitCall, Event: event, Workflow: "w", Ending: &plan.Error{Message: "no", Code: "x"}},
			plan.Wait{Kind: plan.WaitCall, Event: event, Workflow: "w", Ending: &plan.Error{Message: "no", Code: "x", Step: "path"}}},
		{plan.Wait{Kind: plan.WaitSleep, Until: at}, plan.Wait{Kind: plan.WaitSleep, Until: at}},
		{plan.Wait{Kind: plan.WaitDestination, Destination: "https://a"}, plan.Wait{Kind: plan.WaitDestination, Destination: "https://a"}},
	} {
		rows, err := s.encodeWaits(nil, 9, &plan.Record{Path: "path", Waited: true, Waits: []plan.Wait{c.wait}}, nil)
		if err != nil || len(rows) != 2 {
			t.Fatal(rows, err)
		}
		if err := s.w.do(t.Context(), true, func(x *tx) error {
			return errors.Join(x.exec(rows[0].query, rows[0].args...), x.exec(rows[1].query, rows[1].args...))
		}); err != nil {
			t.Fatal(err)
		}
		var row waitRow
		if err := s.readers.QueryRow(`SELECT ` + columns + ` FROM waits w`).Scan(row.dest()...); err != nil {
			t.Fatal(err)
		}
		got, err := s.decodeWait(&row, "path")
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%d: %+v, want %+v, %v", i, got, c.want, err)
		}
	}
	if _, err := s.encodeWaits(nil, 9, &plan.Record{Path: "a", Waits: []plan.Wait{{Kind: plan.WaitCall, Event: "x"}}}, nil); err == nil ||
		!strings.Contains(err.Error(), "what step a waits for: ") {
		t.Errorf("a wrong id: %v", err)
	}
	if rows, err := s.encodeWaits(nil, 9, &plan.Record{Path: "a"}, nil); len(rows) != 0 || err != nil {
		t.Errorf("no wait: %v, %v", rows, err)
	}
	text := func(s string) sql.NullString { return sql.NullString{String: s, Valid: true} }
	for _, row := range []waitRow{{}, {kind: text("odd")}, {kind: text("approval"), by: text("{")}, {kind: text("call"), ending: text("{")}} {
		if w, err := s.decodeWait(&row, "path"); err == nil {
			t.Errorf("%+v is read as %+v", row, w)
		}
	}
	several := map[string]any{"any": []any{map[string]any{"key": "a"}, map[string]any{"key": "b"}}, "key": "c"}
	for _, c := range []struct {
		v      any
		number int
		want   string
	}{{several, 0, "a"}, {several, 1, "b"}, {several, 2, "c"}, {map[string]any{"key": "d"}, 0, "d"}, {nil, 0, "***"},
		{map[string]any{"key": 1},
			0, "***"}} {
		if got := sealedKey(c.v, c.number, "***"); got != c.want {
			t.Errorf("%v, %d: %s", c.v, c.number, got)
		}
	}
}

// What cannot be read of a recorded run is an error of that run, not of its page.
func TestARecordedRunThatCannotBeReadIsMarked(t *testing.T) {
	s := openTest(t)
	sum := checksum("a", "1", "", nil)
	execTest(t, s, fmt.Sprintf(`INSERT INTO events (id, trigger, inlet, key, type, flag, time, received_at, body, crc)
		VALUES (1, 'a', 'webhook', '1', '', '', 1, 1, x'', %d)`, sum), `INSERT INTO inbox (event_id) VALUES (1)`,
		`INSERT INTO emitted (op, event_id, run_id, path, duplicate) VALUES ('o', 1, 77, 'p', 0)`,
		`INSERT INTO decisions (event_id, workflow, version, outcome, reason, trace, at) VALUES (1, 'w', 'v', 'skipped', 'r', '[]', 1)`,
		`INSERT INTO runs (id, event_id, workflow, version, status, created_at, started_at, finished_at, output, error, ending, repeats) VALUES
		(1, 1, 'a', 'v', 'succeeded', 1, 1, 2, '{', NULL, NULL, NULL), (2, 1, 'b', 'v', 'failed', 1, 1, 2, NULL, '{', NULL, NULL),
		(3, 1, 'c', 'v', 'failed', 1, 1, 2, NULL, NULL, '{', NULL), (4, 1, 'd', 'v', 'failed', 1, 1, 2, NULL, NULL, NULL, NULL),
		(5, 1, 'e', 'v', 'failed', 1, 1, 2, NULL, NULL, NULL, NULL), (6, 1, 'f', 'v', 'failed', 1, 1, 2, NULL, NULL, NULL, NULL),
		(7, 1, 'g', 'v', 'succeeded', 3, 4, 5, '{"n":1}', NULL, NULL, NULL), (8, 1, 'h', 'v', 'failed', 1, 1, 2, '{', NULL, NULL, 7)`,
		`INSERT INTO steps (run_id, path, attempt, action, status, started_at, finished_at, output, error) VALUES
		(4, 'x', 1, 'n', 'succeeded', 1, 2, '{', NULL), (5, 'y', 1, 'n', 'failed', 1, 2, NULL, '{'), (7, 'z', 1, 'n', 'waiting', 1, NULL,
			'{', NULL)`,
		`INSERT INTO answers (run_id, path, attempt, verdict, said_by, comment, output, at) VALUES (6, 'q', 1, 'approve', '', '', '{', 1)`)
	page, err := s.History().RecordedPage(t.Context(), engine.RecordedQuery{Limit: 9})
	if err != nil || len(page) != 1 || len(page[0].Runs) != 7 {
		t.Fatalf("%+v, %v", page, err)
	}
	e := page[0]
	if !e.Pending || e.Emitted != 77 || e.EmittedAt != "p" || len(e.Decisions) != 1 || e.Decisions[0].Reason != "r" ||
		e.Decisions[0].Run != 0 {
		t.Errorf("%+v", e)
	}
	for i, want := range []string{"unexpected", "unexpected", "unexpected", "step x: ", "step y: ", "the answer to step q: ", ""} {
		r := e.Runs[i]
		if (r.Unreadable == nil) != (want == "") || slices.Contains([]int{3, 4, 5}, i) && !strings.Contains(r.Unreadable.Error(), want) {
			t.Errorf("run %d: %v, want %s", i+1, r.Unreadable, want)
		}
	}
	last := e.Runs[6]
	if len(last.Records) != 1 || last.Records[0].Output != nil || last.Run.Output == nil || last.Run.CreatedAt.UnixMilli() != 3 ||
		last.Run.StartedAt.UnixMilli() != 4 || last.Run.FinishedAt.UnixMilli() != 5 || len(e.Runs[5].Answers) != 1 {
		t.Errorf("%+v", last)
	}
}
