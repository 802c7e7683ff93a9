package cmd

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestBenchmarkComparesADatabaseWithSQLite: with figures for each event, and nothing is left in it. A database that
// the environment names is not written.
func TestBenchmarkComparesADatabaseWithSQLite(t *testing.T) {
	address := postgrestest.Shared(t).Database(t)
	own := filepath.Join(t.TempDir(), "own.db")
	t.Setenv("HOOKLOOM_DB", own)
	var out bytes.Buffer
	a := &app{out: &out, err: io.Discard, output: "json"}
	o := benchOptions{db: address, connections: 4, rounds: 1, duration: 300 * time.Millisecond, acting: 1, ids: "rising"}
	if err := a.benchDatabase(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var report struct {
		Results map[string]databaseResult
		Accept  float64 `json:"accept_to_sqlite"`
		Whole   float64 `json:"whole_to_sqlite"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 4 || report.Accept <= 0 || report.Whole <= 0 {
		t.Fatalf("%s", out.Bytes())
	}
	for name, r := range report.Results {
		if r.PerSecond <= 0 || r.Failed != 0 || r.CPU <= 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if r.Database == "sqlite" {
			continue
		}
		// An event of 1.2 KB is in the log once at least; a batch has at most 512.
		if r.WAL < 1200 || r.WAL > 100_000 || r.RoundTrips < 1./512 || r.RoundTrips > 1000 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if n := postgrestest.Value(t, address, `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'hookloom%'`); n != "0" {
		t.Errorf("%s schemas are left", n)
	}
	if _, err := store.OpenHistory(own); err == nil {
		t.Error("the database of the environment was used")
	}
}
