package machine_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine"
)

// badRows are rows of a waiting run, or of its event, made such that they cannot be read,
// each with what is said of it.
var badRows = []struct{ name, query, says string }{
	{"output of a step", `UPDATE steps SET output = '[1, 2' WHERE path = 'a' AND run_id = ?1`,
		"the output of step a: JSON, byte 5: the document is incomplete"},
	{"error of a step", `UPDATE steps SET error = '{"code": tru}' WHERE path = 'a' AND run_id = ?1`, "the error of step a: JSON, byte 9"},
	{"time of a step", `UPDATE steps SET started_at = 'soon' WHERE path = 'a' AND run_id = ?1`, "the row of step \"a\": "},
	{"time of a run", `UPDATE runs SET created_at = 'soon' WHERE id = ?1`, "its row: "},
	{"output of a run", `UPDATE runs SET output = x'00' WHERE id = ?1`, "its output: JSON"},
	{"answer", `INSERT INTO answers (run_id, path, attempt, verdict, said_by, comment, output, at) VALUES (?1, 'gate', 1, ` +
		`'approve', '', '', ` +
		`'{', 1)`, "the answer to step gate: JSON"},
	{"body of an event", `UPDATE events SET body = x'7b7d' WHERE id = (SELECT event_id FROM runs WHERE id = ?1)`, "its checksum is wrong"},
	{"headers of an event", `UPDATE events SET headers = 'none' WHERE id = (SELECT event_id FROM runs WHERE id = ?1)`, "its headers: "},
	{"inputs of an event", `UPDATE events SET inputs = '{"a"}' WHERE id = (SELECT event_id FROM runs WHERE id = ?1)`, "its inputs: JSON"},
	{"no event", `DELETE FROM events WHERE id = (SELECT event_id FROM runs WHERE id = ?1)`, "it is not in the database"},
}

// TestARowThatCannotBeReadFailsItsRunAlone: the engine starts over each of them, ends the
// run as a dead letter that says what is wrong, and carries on the others; check names
// the row before.
func TestARowThatCannotBeReadFailsItsRunAlone(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nsteps:\n  - {id: a, uses: test/act, with: {n: \"${{ event.key }}\"}}\n" +
		"  - {id: gate, " +
		"wait: {approval: \"go on?\"}, timeout: 1h}\n"})
	e, s, stop := w.start(nil)
	for i := range len(badRows) + 1 {
		if _, err := e.Accept(t.Context(), delivery(fmt.Sprint("k", i), `{"n": 1}`)); err != nil {
			t.Fatal(err)
		}
	}
	var runs []engine.RunItem
	waitFor(t, func() bool {
		var err error
		runs, err = s.History.Runs(t.Context(), engine.Query{Status: "waiting", Limit: 100})
		return err == nil && len(runs) == len(badRows)+1
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	db := raw(t, w.path)
	want := map[string]string{}
	for i, x := range badRows {
		if _, err := db.Exec(x.query, int64(mustRun(t, runs[i].ID))); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		want[runs[i].ID] = x.says
	}
	good := mustRun(t, runs[len(badRows)].ID)
	// They are all due when the process starts, as after a long wait.
	if _, err := db.Exec(`UPDATE runs SET due_at = 1`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	found := checkOf(t, w)
	for i, x := range badRows[:len(badRows)-1] {
		if !strings.Contains(found, strings.ReplaceAll(x.says, `"`, "")) || !strings.Contains(found, runs[i].ID) &&
			!strings.Contains(found, runs[i].Event) {
			t.Errorf("%s is not found by check:\n%s", x.name, found)
		}
	}
	e, s, stop = w.start(nil)
	waitFor(t, func() bool {
		dead, err := s.History.Runs(t.Context(), engine.Query{Status: "failed", Limit: 100})
		return err == nil && len(dead) == len(badRows)
	})
	for id, says := range want {
		d, err := s.History.RunDetail(t.Context(), mustRun(t, id))
		if err != nil || d.ErrorCode != "cannot_run" || !strings.Contains(d.Error, says) {
			t.Errorf("%q: %+v %v", says, d, err)
		}
	}
	if _, err := e.Answer(t.Context(), good, engine.Response{Verdict: "approve"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		d, err := s.History.RunDetail(t.Context(), good)
		return err == nil && d.Status == "succeeded"
	})
	if err := stop(); err != nil {
		t.Errorf("the engine ended: %v", err)
	}
}

// TestUnreadableEventDelaysNoOther: what stands in the inbox is decided over a
// start, whatever is wrong with one of them.
func TestUnreadableEventDelaysNoOther(t *testing.T) {
	for _, x := range []struct{ name, query string }{
		{"its body", `UPDATE events SET body = x'7b7d' WHERE id = ?1`},
		{"its row", `UPDATE events SET received_at = 'soon' WHERE id = ?1`},
	} {
		w := newFileWorld(t, map[string]string{"w": "on: hook\nsteps: [{uses: test/act}]\n"})
		s, err := w.open(nil)
		if err != nil {
			t.Fatal(err)
		}
		ids := []engine.EventID{engine.EventID(1 << 40), engine.EventID(2 << 40), engine.EventID(3 << 40)}
		for i, id := range ids {
			if _, err := s.Accept(t.Context(), id, delivery(fmt.Sprint("k", i), `{"n": 1}`)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		db := raw(t, w.path)
		if _, err := db.Exec(x.query, int64(ids[1])); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		_, again, stop := w.start(nil)
		waitFor(t, func() bool {
			c, err := again.History.Counts(t.Context())
			return err == nil && c.Inbox == 0 && c.Open == 0
		})
		if n := w.target.calls(); n != 2 {
			t.Errorf("%s: %d runs of the two good events", x.name, n)
		}
		if err := stop(); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

// raw opens a database beside the store, which is closed.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// checkOf is all that check finds wrong.
func checkOf(t *testing.T, w *world) string {
	t.Helper()
	h := w.file()
	found, err := h.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, f := range found {
		out += strings.Join(f.Wrong, "\n") + "\n"
	}
	return out
}

// TestPanicInARunEndsOnlyThatRun: the run is a dead letter that says so, its
// steps are closed, and others go on.
func TestPanicInARunEndsOnlyThatRun(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nsteps: [{id: a, uses: test/act}, {sleep: 5ms}, {id: b, uses: test/act}]\n"})
	w.options.Observe = func(c engine.Change) {
		if c.Run != nil && c.Event.Key == "bad" && slices.ContainsFunc(c.Steps, func(x engine.StepChange) bool { return x.Path == "b" }) {
			panic("a bug")
		}
	}
	e, s, stop := w.start(nil)
	for _, key := range []string{"bad", "good"} {
		if _, err := e.Accept(t.Context(), delivery(key, `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	status := map[string]int{}
	for _, r := range settled(t, s, 2) {
		status[r.Status+" "+r.ErrorCode]++
	}
	if status["failed cannot_run"] != 1 || status["succeeded "] != 1 {
		t.Errorf("%v", status)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if found := strings.TrimSpace(checkOf(t, w)); found != "" {
		t.Error(found)
	}
}

// TestARunThatCannotContinueFreesItsGroup: the next one of the group begins, and no step of it stays open.
func TestARunThatCannotContinueFreesItsGroup(t *testing.T) {
	w := newFileWorld(t, map[string]string{"w": "on: hook\nconcurrency: 1\nsteps:\n  - {id: a, uses: test/act, with: {n: 1}}\n" +
		"  - {sleep: 1h}\n"})
	e, s, stop := w.start(nil)
	for i := range 2 {
		if _, err := e.Accept(t.Context(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	of := func(status string) []engine.RunItem {
		list, err := s.History.Runs(t.Context(), engine.Query{Status: status, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	waitFor(t, func() bool { return len(of("waiting")) == 1 && len(of("queued")) == 1 })
	first, second := of("waiting")[0].ID, of("queued")[0].ID
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	db := raw(t, w.path)
	for _, query := range []string{`UPDATE steps SET output = '[1, 2' WHERE path = 'a'`,
		`UPDATE runs SET due_at = 1 WHERE status = 'waiting'`} {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, s, stop = w.start(nil)
	waitFor(t, func() bool {
		failed, waiting := of("failed"), of("waiting")
		return len(failed) == 1 && failed[0].ID == first && len(waiting) == 1 && waiting[0].ID == second
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	open := groups(t, w.path, `SELECT status, count(*) FROM steps WHERE finished_at IS NULL GROUP BY 1`)
	if open["waiting"] != 1 || len(open) != 1 {
		t.Errorf("open steps: %v, want only the sleep of the second run", open)
	}
}
