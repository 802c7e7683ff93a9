package postgres_test

import (
	"testing"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestMeterCountsTheServersUsage: of all its processes, also of those that have ended.
func TestMeterCountsTheServersUsage(t *testing.T) {
	s := postgrestest.Start(t, postgrestest.Options{})
	address := s.Database(t)
	a, err := postgres.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	m, err := postgres.NewMeter(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	if !m.Local() {
		t.Fatal("the server was not found on this machine")
	}
	before, err := m.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The connection, and with it the process that worked, has ended when the meter is read.
	postgrestest.Exec(t, address, `CREATE SCHEMA measured`, `CREATE TABLE measured.a AS SELECT g, md5(g::text) AS text FROM
		generate_series(1, 300000) g`)
	after, err := m.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wal := after.WAL - before.WAL; wal < 300000*30 || wal > 300000*1000 {
		t.Errorf("%d bytes of the log for 300,000 rows of about 70 bytes", wal)
	}
	if after.CPU-before.CPU < 50e6 {
		t.Errorf("%v of processor time for 300,000 rows", after.CPU-before.CPU)
	}
	if err := m.DropSchema(t.Context(), "measured"); err != nil {
		t.Fatal(err)
	}
	if n := postgrestest.Value(t, address, `SELECT count(*) FROM pg_namespace WHERE nspname = 'measured'`); n != "0" {
		t.Errorf("%s schemas are left", n)
	}
	if err := m.DropSchema(t.Context(), `x; DROP TABLE a`); err == nil {
		t.Error("a schema's name with a statement in it was taken")
	}
}
