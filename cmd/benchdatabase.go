package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgres"
)

// databaseResult is the result of one round on one database.
type databaseResult struct {
	benchResult
	Database string `json:"database"`
	// DatabaseCPU is the processor time of the server in microseconds, WAL the bytes of its log, and
	// RoundTrips how often the node waited for it, each per event. DatabaseCPU is nil where the server is
	// on another machine.
	DatabaseCPU *float64 `json:"database_cpu_us,omitempty"`
	WAL         float64  `json:"wal_bytes,omitempty"`
	RoundTrips  float64  `json:"round_trips,omitempty"`
}

// benchMeter measures what a database does during the load. A nil meter measures nothing.
type benchMeter struct {
	meter  *postgres.Meter
	before postgres.Usage
	trips  int64
	result *databaseResult
}

// began is called when the load begins.
func (m *benchMeter) began(ctx context.Context, s *server) (err error) {
	if m == nil {
		return nil
	}
	m.trips = s.store.RoundTrips()
	m.before, err = m.meter.Read(ctx)
	return err
}

// ended is called when the last event of the load has been processed.
func (m *benchMeter) ended(ctx context.Context, s *server, events float64) error {
	if m == nil {
		return nil
	}
	after, err := m.meter.Read(ctx)
	if err != nil {
		return err
	}
	m.result.WAL = float64(after.WAL-m.before.WAL) / events
	m.result.RoundTrips = float64(s.store.RoundTrips()-m.trips) / events
	if m.meter.Local() {
		used := float64((after.CPU - m.before.CPU).Microseconds()) / events
		m.result.DatabaseCPU = &used
	}
	return nil
}

// benchDatabases are measured in this order in each round, on SQLite and on the server in turn.
var benchDatabases = []string{"accept", "whole"}

// benchDatabase measures a PostgreSQL server beside SQLite.
func (a *app) benchDatabase(ctx context.Context, o benchOptions) (err error) {
	tuneMemory()
	address, err := postgres.Parse(o.db)
	if err != nil {
		return usageError("--db: %v", err)
	}
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "hookloom-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	meter, err := postgres.NewMeter(ctx, address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, meter.Close(context.WithoutCancel(ctx))) }()
	all := map[string][]databaseResult{}
	for round := range o.rounds {
		for _, name := range benchDatabases {
			for _, database := range []string{"sqlite", "postgresql"} {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				fmt.Fprintf(a.err, "round %d of %d: %s, %s\n", round+1, o.rounds, name, database)
				at := filepath.Join(dir, fmt.Sprintf("%s-%s-%d", name, database, round))
				r, err := benchOnDatabase(ctx, name, database, at, o, meter)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", name, database, err)
				}
				all[name+" "+database] = append(all[name+" "+database], r)
			}
		}
	}
	return a.databaseReport(all, o, meter.Local())
}

// benchOnDatabase measures one server of this process. On PostgreSQL its tables are in a schema of their own.
func benchOnDatabase(ctx context.Context, name, database, dir string, o benchOptions, meter *postgres.Meter) (r databaseResult, err error) {
	r.Database = database
	if database == "sqlite" {
		o.db = ""
		r.benchResult, err = benchOne(ctx, name, dir, o, nil)
		return r, err
	}
	schema := fmt.Sprintf("hookloom_bench_%d", time.Now().UnixNano())
	if o.db, err = postgres.WithSchema(o.db, schema); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, meter.DropSchema(context.WithoutCancel(ctx), schema)) }()
	r.benchResult, err = benchOne(ctx, name, dir, o, &benchMeter{meter: meter, result: &r})
	return r, err
}

func (a *app) databaseReport(all map[string][]databaseResult, o benchOptions, local bool) error {
	mid := map[string]databaseResult{}
	for name, list := range all {
		slices.SortFunc(list, func(x, y databaseResult) int { return int(x.PerSecond - y.PerSecond) })
		mid[name] = list[len(list)/2]
	}
	accept, whole := mid["accept postgresql"].PerSecond/mid["accept sqlite"].PerSecond, mid["whole postgresql"].PerSecond/
		mid["whole sqlite"].PerSecond
	if a.json() {
		return a.printJSON(map[string]any{"connections": o.connections, "rounds": o.rounds, "duration_s": o.duration.Seconds(), "results": mid,
			"accept_to_sqlite": accept, "whole_to_sqlite": whole})
	}
	t := newTable("", "PER SECOND", "P50 MS", "P99 MS", "CPU US", "DATABASE CPU US", "WAL BYTES", "ROUND TRIPS", "FAILED")
	for _, name := range benchDatabases {
		for _, database := range []string{"sqlite", "postgresql"} {
			r := mid[name+" "+database]
			cpu, wal, trips := "", "", ""
			if database == "postgresql" {
				cpu, wal, trips = "not measured", fmt.Sprintf("%.0f", r.WAL), fmt.Sprintf("%.3f", r.RoundTrips)
			}
			if r.DatabaseCPU != nil {
				cpu = fmt.Sprintf("%.0f", *r.DatabaseCPU)
			}
			t.row(name+"  "+database, fmt.Sprintf("%.0f", r.PerSecond), fmt.Sprintf("%.2f", r.P50), fmt.Sprintf("%.2f", r.P99),
				fmt.Sprintf("%.0f", r.CPU), cpu, wal, trips, strconv.Itoa(r.Failed))
		}
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	a.printf("\naccept  %.3f   PostgreSQL, relative to SQLite\n", accept)
	a.printf("whole   %.3f   PostgreSQL, relative to SQLite\n", whole)
	a.printf("\nCPU US is that of this process, with the load and the sink.")
	if !local {
		a.printf(" The database's is not measured, because its server is not on this machine.")
	}
	a.printf("\n%d connections, median of %s of %s\n", o.connections, counted(o.rounds, "round"), o.duration)
	return nil
}
