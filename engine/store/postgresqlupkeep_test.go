package store

import (
	"context"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestWriterConnectionIsRenewed after its life, between two transactions.
func TestWriterConnectionIsRenewed(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), postgrestest.Shared(t).Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	session := func(age time.Duration) (pid int64) {
		err := s.w.do(t.Context(), true, func(t *tx) error {
			v := make([]driver.Value, 1)
			_, err := t.row(`SELECT pg_backend_pid()`, v)
			pid, _ = v[0].(int64)
			t.w.pg.connected = time.Now().Add(-age)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	first := session(connectionLife / 2)
	if again := session(connectionLife + time.Second); again != first {
		t.Error("the connection was renewed before its time")
	}
	if renewed := session(0); renewed == first || renewed == 0 {
		t.Errorf("session %d was not renewed", first)
	}
}

// TestTablesThatGrewAreAnalyzed by pruning, where autovacuum does not do it.
func TestTablesThatGrewAreAnalyzed(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Options{Settings: map[string]string{"autovacuum": "off"}})
	address := server.Database(t)
	s, err := Open(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	postgrestest.Exec(t, address, `INSERT INTO hookloom.observed (trigger, key, at) SELECT 't', g::text, 1 FROM generate_series(1, 12000) g`,
		`INSERT INTO hookloom.remembered (trigger, key, at) SELECT 't', g::text, 1e15::bigint FROM generate_series(1, 100) g`)
	analyzed := func(table string) string {
		return postgrestest.Value(t, address, `SELECT count(last_analyze) FROM pg_stat_user_tables WHERE relname = '`+table+`'`)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for analyzed("observed") != "1" { // the server counts changes with a delay
		if _, err := s.Prune(ctx, engine.PruneOrder{Now: time.Now(), DefaultDedupe: time.Hour}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if analyzed("remembered") != "0" {
		t.Error("a small table was analyzed")
	}
}
