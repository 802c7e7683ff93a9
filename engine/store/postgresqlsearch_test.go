package store_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestASearchFindsBodiesOfAnyBytes: a body with a zero byte, and one that is no UTF-8 and that an earlier program has not
// marked, do not keep a search from the other bodies, and are found by their own text.
func TestASearchFindsBodiesOfAnyBytes(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	lite := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	server := open(t, address, store.Options{})
	bodies := []string{`{"a":"Plain Żółw"}`, "zero\x00byte PLAIN", "\xff latin", `{"a":"C:\\plain\\dir"}`}
	for n, body := range bodies {
		d := delivery("shop", "k"+string(rune('0'+n)))
		d.Time, d.ReceivedAt, d.Raw = listed, listed, []byte(body)
		for _, s := range []*store.Store{lite, server} {
			if _, err := s.Accept(ctx, engine.EventID(listedID(int64(n))), d); err != nil {
				t.Fatal(err)
			}
		}
	}
	search := func(what string, found map[string]int) {
		t.Helper()
		for text, n := range found {
			for _, read := range []string{"events", "totals"} {
				q := engine.Query{Grep: text}
				if want, got := readList(t, lite, q, listReaders[read]), readList(t, server, q, listReaders[read]); want != got {
					t.Errorf("%s: %s with %q\n SQLite     %.900s\n PostgreSQL %.900s", what, read, text, want, got)
				}
			}
			p, err := server.History().EventPage(ctx, engine.Query{Grep: text})
			if err != nil || len(p.Items) != n {
				t.Errorf("%s: %d events with %q, not %d: %v", what, len(p.Items), text, n, err)
			}
		}
	}
	found := map[string]int{"plain żółw": 0, "PLAIN Żółw": 1, "latin": 1, "zero": 1, `c:\\plain`: 1, "nowhere": 0}
	search("marked", found)
	postgrestest.Exec(t, address, `UPDATE hookloom.events SET not_utf8 = NULL`)
	search("not marked", found)
	postgrestest.Exec(t, address, `DELETE FROM hookloom.events WHERE position('\x00'::bytea IN body) > 0`)
	if p, err := server.History().EventPage(ctx, engine.Query{Grep: "latin"}); err != nil || len(p.Items) != 1 {
		t.Errorf("a body that is not marked: %d found: %v", len(p.Items), err)
	}
}

// TestManyRowsAreReadAfterConnectionsEnd: reads that use the connections of database/sql without it say that the
// database is away, and use another connection afterwards.
func TestManyRowsAreReadAfterConnectionsEnd(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	open(t, address, store.Options{})
	const ofDatabase = `FROM pg_stat_activity WHERE datname = current_database()`
	others := postgrestest.Value(t, address, `SELECT coalesce(string_agg(pid::text, ','), '0') `+ofDatabase)
	h, err := store.OpenHistory(address)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 3 {
		if _, err := h.DeadGroups(ctx, engine.Query{}); err != nil {
			t.Fatal(err)
		}
		postgrestest.Exec(t, address, `SELECT pg_terminate_backend(pid) `+ofDatabase+` AND pid <> pg_backend_pid() AND pid NOT IN (`+others+`)`)
		var away *store.AwayError
		if _, err := h.Sightings(ctx, "shop", listed); err != nil && !errors.As(err, &away) {
			t.Errorf("the connection has ended: %v", err)
		}
	}
}
