package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestCausesOfDeadLettersFollowTheirErrors: dead letters by cause are those of SQLite when all causes are stored,
// when a node of an earlier program has stored none or some, and after pruning, which stores the missing ones and
// removes those of runs that are gone.
func TestCausesOfDeadLettersFollowTheirErrors(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	lite := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	server := open(t, address, store.Options{})
	listedHistory(t, lite)
	listedHistory(t, server)
	groups := func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		return s.History().DeadGroups(ctx, q)
	}
	check := func(what, stored string) {
		t.Helper()
		if n := postgrestest.Value(t, address, `SELECT coalesce(string_agg(concat_ws(' ', trigger, type, workflow, version, step, code, host),
			', ' ORDER BY run_id), '') FROM hookloom.dead_causes`); n != stored {
			t.Errorf("%s: the causes %s are stored, not %s", what, n, stored)
		}
		for _, q := range []engine.Query{{}, {Workflow: "w1"}, {Host: "api.example"}, {Reason: "http_status"}, {Reason: "timeout"},
			{Status: "timed_out"}, {Since: listed.Add(time.Second)}, {Since: listed.Add(2 * time.Second)}, {Grep: "http 500"},
			{Trigger: "pay"}, {Type: "t"}} {
			if want, got := readList(t, lite, q, groups), readList(t, server, q, groups); got != want || q == (engine.Query{}) && got == "[]" {
				t.Errorf("%s: dead letters by cause of %+v\n SQLite     %s\n PostgreSQL %s", what, q, want, got)
			}
		}
	}
	one := "pay t w1 v1 send http_status https://api.example"
	others := ", shop t w2 v1 send http_status https://api.example, pay t w2 v1  timeout "
	check("written with the runs", one+others)
	postgrestest.Exec(t, address, `DELETE FROM hookloom.dead_causes`)
	check("of an earlier program", "")
	prune := func() {
		t.Helper()
		if _, err := server.Prune(t.Context(), engine.PruneOrder{Now: listed.Add(time.Hour), DefaultDedupe: 24 * time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	prune()
	check("stored by pruning", one+others)
	postgrestest.Exec(t, address, fmt.Sprintf(`DELETE FROM hookloom.dead_causes WHERE run_id <> %d`, listedID(101)),
		`INSERT INTO hookloom.dead_causes SELECT 7, workflow, version, step, code, message, host, finished_at FROM hookloom.dead_causes`)
	check("one of three, and one of a run that is gone", strings.TrimPrefix(one, "pay t ")+", "+one)
	prune()
	check("pruned", one+others)
	earlier := strings.NewReplacer("pay t ", "", "shop t ", "").Replace(one + others)
	postgrestest.Exec(t, address, `UPDATE hookloom.dead_causes SET trigger = NULL, type = NULL`)
	check("of an earlier program, without triggers", earlier)
	prune()
	check("with triggers after pruning", one+others)
	postgrestest.Exec(t, address, `UPDATE hookloom.dead_causes SET trigger = 'moved'`)
	if got := readList(t, server, engine.Query{Trigger: "moved", Status: "failed"}, groups); got == "[]" {
		t.Error("stored triggers are not used")
	}
}
