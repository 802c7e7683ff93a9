package machine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// refusing is a world with a database of a kind that can be made to refuse rows.
type refusing struct {
	start func() (e *machine.Engine, s database, stop func() error)
	// refuse makes the database refuse rows of a table for which a column has a value.
	refuse func(table, column, value string)
}

// eachDatabase runs a test on both kinds of databases.
func eachDatabase(t *testing.T, flows map[string]string, test func(t *testing.T, r refusing)) {
	t.Run("sqlite", func(t *testing.T) {
		w := newFileWorld(t, flows)
		test(t, refusing{
			start: func() (*machine.Engine, database, func() error) { return w.start(nil) },
			refuse: func(table, column, value string) {
				db := raw(t, w.path)
				defer db.Close()
				if _, err := db.Exec(fmt.Sprintf(`CREATE TRIGGER refused_%[1]s BEFORE INSERT ON %[1]s WHEN NEW.%[2]s = '%[3]s'
					BEGIN SELECT RAISE(ABORT, 'this value is not taken'); END`, table, column, value)); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
	t.Run("postgres", func(t *testing.T) {
		c := newCluster(t, flows)
		test(t, refusing{
			start: func() (*machine.Engine, database, func() error) {
				m := c.node("one")
				return m.Engine, m.database, func() error { m.gone = true; return m.stop() }
			},
			refuse: func(table, column, value string) {
				postgrestest.Exec(t, c.address, fmt.Sprintf(`ALTER TABLE hookloom.%[1]s ADD CONSTRAINT "this value is not taken" `+
					`CHECK (%[2]s <> '%[3]s') NOT VALID`, table, column, value))
			},
		})
	})
}

// decisionsOf lists the workflows and outcomes of an event, and the reasons of those that failed.
func decisionsOf(t *testing.T, s database, id engine.EventID) (out, reasons []string) {
	t.Helper()
	d, err := s.History.EventDetail(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range d.Decisions {
		out = append(out, x.Workflow+" "+x.Outcome)
		if x.Outcome == string(engine.RuleFailed) {
			reasons = append(reasons, x.Reason)
		}
	}
	slices.Sort(out)
	return out, reasons
}

// TestARunThatTheDatabaseRefusesFailsAlone: the other workflows of its event run, and so do other events, on
// either way of an event; what is decided again in a batch goes on over it.
func TestARunThatTheDatabaseRefusesFailsAlone(t *testing.T) {
	for name, head := range map[string]string{"at once": "on: hook\n", "in order": "on: hook\nconcurrency: 10\n"} {
		steps := "steps: [{uses: test/act, with: {n: \"${{ event.key }}\"}}]\n"
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, map[string]string{"a": head + steps, "bad": head + "when: event.data.bad\n" + steps, "z": head + steps},
				func(t *testing.T, r refusing) { refusedRuns(t, r, name == "at once") })
		})
	}
}

func refusedRuns(t *testing.T, r refusing, again bool) {
	_, _, stop := r.start()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	r.refuse("runs", "workflow", "bad")
	e, s, stop := r.start()
	var ids []engine.EventID
	for i, bad := range []bool{false, true, false} {
		got, err := e.Accept(t.Context(), delivery(fmt.Sprint("k", i), fmt.Sprintf(`{"bad": %t}`, bad)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got.Event)
	}
	settled(t, s, 6)
	for i, want := range []string{"skipped", "rule_failed", "skipped"} {
		got, reasons := decisionsOf(t, s, ids[i])
		if strings.Join(got, ", ") != "a matched, bad "+want+", z matched" {
			t.Errorf("event %d: %q, want %s of bad", i, got, want)
		}
		for _, reason := range reasons {
			if !strings.Contains(reason, "the run that begins: ") || !strings.Contains(reason, "this value is not taken") {
				t.Errorf("the reason is %q", reason)
			}
		}
	}
	if again {
		refusedAgain(t, e, s, ids[1])
		heldRefused(t, e, s)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// refusedAgain: a batch goes on over what is refused, and a person is told.
func refusedAgain(t *testing.T, e *machine.Engine, s database, id engine.EventID) {
	t.Helper()
	b := batched(t, e, engine.Selection{Trigger: "hook", Since: time.Now().Add(-time.Hour), Again: true}, 1000)
	if b.State != engine.BatchDone || b.Looked != 3 || b.Runs != 6 || b.Failed != 1 || b.NotMatched != 2 {
		t.Errorf("a batch: %+v", b)
	}
	settled(t, s, 12)
	again, err := e.DecideAgain(t.Context(), id, "bad", true, "ada")
	if err == nil || !strings.Contains(err.Error(), "this value is not taken") {
		t.Errorf("decided again: %+v, %v", again, err)
	}
}

// heldRefused: events that were held are decided, though the run of one is refused.
func heldRefused(t *testing.T, e *machine.Engine, s database) {
	t.Helper()
	if _, err := e.Switch(t.Context(), engine.SwitchOrder{Workflow: "bad", Hold: true}); err != nil {
		t.Fatal(err)
	}
	var ids []engine.EventID
	for i, bad := range []bool{true, false} {
		r, err := e.Accept(t.Context(), delivery(fmt.Sprint("held", i), fmt.Sprintf(`{"bad": %t}`, bad)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.Event)
	}
	settled(t, s, 16)
	if _, err := e.Switch(t.Context(), engine.SwitchOrder{Workflow: "bad", On: true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "held events are decided", func() bool {
		first, _ := decisionsOf(t, s, ids[0])
		second, _ := decisionsOf(t, s, ids[1])
		return slices.Contains(first, "bad rule_failed") && slices.Contains(second, "bad skipped")
	})
}

// TestAnUpdateThatTheDatabaseRefusesFailsItsRunAlone: other runs of its event, and other events, go on.
func TestAnUpdateThatTheDatabaseRefusesFailsItsRunAlone(t *testing.T) {
	t.Parallel()
	eachDatabase(t, map[string]string{"a": "on: hook\nsteps: [{id: good, uses: test/act}, {id: later, uses: test/act}]\n",
		"z": "on: hook\nsteps: [{id: good, uses: test/act}, {id: refused, uses: test/act}]\n"}, func(t *testing.T, r refusing) {
		_, _, stop := r.start()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		r.refuse("steps", "path", "refused")
		e, s, stop := r.start()
		for i := range 3 {
			if _, err := e.Accept(t.Context(), delivery(fmt.Sprint("k", i), `{}`)); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range settled(t, s, 6) {
			if x.Workflow == "a" && x.Status != "succeeded" || x.Workflow == "z" && (x.ErrorCode != "cannot_run" ||
				!strings.Contains(x.Error, "cannot be recorded") || !strings.Contains(x.Error, "this value is not taken")) {
				t.Errorf("%s: %s, %s: %s", x.Workflow, x.Status, x.ErrorCode, x.Error)
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
