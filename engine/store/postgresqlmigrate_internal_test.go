package store

import (
	"context"
	"errors"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/jackc/pgx/v5"
)

// cancelling cancels the n-th statement of a connection.
type cancelling struct{ n, seen int }

// TraceQueryStart implements pgx.QueryTracer.
func (c *cancelling) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if c.seen++; c.seen != c.n {
		return ctx
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	return gone
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*cancelling) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Each statement of a migration fails once. The error is reported, and the next start applies the migration again.
func TestAMigrationThatFailsAnywhereIsReportedAndRepeated(t *testing.T) {
	address := postgrestest.Shared(t).Database(t)
	a, err := postgres.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	tracer := &cancelling{}
	config := a.Config()
	config.Tracer = tracer
	var conn *pgx.Conn
	prepare := func(n int) {
		t.Helper()
		if conn == nil || conn.IsClosed() { // a cancelled statement may end it
			if conn, err = pgx.ConnectConfig(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		}
		tracer.n, tracer.seen = n, 0
	}
	if h, err := HolderOf(address); h != nil || err == nil {
		t.Errorf("the holder of a database without tables: %+v, %v", h, err)
	}
	failures := 0
	for n := 1; ; n++ {
		prepare(n)
		err := MigratePostgres(t.Context(), a, conn)
		if tracer.seen < n {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if failures++; !errors.Is(err, context.Canceled) {
			t.Fatalf("failure at statement %d: %v", n, err)
		}
	}
	for n := range 4 {
		prepare(n + 1)
		v, err := PostgresSchema(t.Context(), a, conn)
		if failed := tracer.seen >= tracer.n; failed != (err != nil) || !failed && (v.Have != v.Want || v.Want == 0) {
			t.Errorf("failure at statement %d of %d: %+v, %v", tracer.n, tracer.seen, v, err)
		}
	}
	if failures < 12 {
		t.Errorf("only %d failures", failures)
	}
	if h, err := HolderOf(address); h != nil || err != nil {
		t.Errorf("the holder of an unused database: %+v, %v", h, err)
	}
	holdersOf(t, address)
}

// holdersOf looks at a node of this host and of another.
func holdersOf(t *testing.T, address string) {
	t.Helper()
	s, err := Open(t.Context(), address, Options{Verb: "serve", Node: "one"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Announce("http://localhost:1", "http://10.0.0.1:2"); err != nil || s.Wanted() {
		t.Error(err, s.Wanted())
	}
	here := Holder{Verb: "serve", Hooks: "http://localhost:1", Admin: "http://10.0.0.1:2"}
	h, err := HolderOf(address)
	if err != nil || h == nil || h.PID == 0 {
		t.Fatalf("%+v, %v", h, err)
	}
	if h.PID = 0; *h != here {
		t.Errorf("the holder on this host: %+v", h)
	}
	s.mustExec(t, `UPDATE nodes SET host = 'other'`)
	here.Host, here.Hooks = "other", ""
	if h, err = HolderOf(address); err != nil || h == nil || h.Host != "other" || h.Hooks != "" || h.Admin != here.Admin {
		t.Errorf("the holder on another host: %+v, %v", h, err)
	}
	list, err := s.Nodes(t.Context())
	if err != nil || len(list) != 1 || list[0].State != engine.NodeLive || !list[0].Self || list[0].Leases != nil {
		t.Errorf("the nodes: %+v, %v", list, err)
	}
	if leads, err := s.Lease(t.Context(), "poll"); !leads || err != nil {
		t.Error(leads, err)
	}
	for _, x := range []struct{ change, state string }{{`UPDATE nodes SET drain = TRUE`, engine.NodeDraining},
		{`UPDATE nodes SET gone = TRUE`, engine.NodeGone}} {
		if x.state == engine.NodeDraining {
			if err := errors.Join(DrainNodeOf(t.Context(), address, "one"), s.DrainNode(t.Context(), "one")); err != nil {
				t.Error(err)
			}
		}
		s.mustExec(t, x.change)
		list, err := s.History().Nodes(t.Context())
		if err != nil || len(list) != 1 || list[0].State != x.state || len(list[0].Leases) > 1 {
			t.Errorf("after %s: %+v, %v", x.change, list, err)
		}
	}
	for _, err := range []error{DrainNodeOf(t.Context(), address, "none"), DrainNodeOf(t.Context(), address, "one")} {
		if !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("a node that is not there drains: %v", err)
		}
	}
	if DrainNodeOf(t.Context(), "postgres://:x", "one") == nil {
		t.Error("an address that is none is taken")
	}
}
