package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/permit"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Each statement that only nodes write fails once. An error that is not reported could, for example, let two nodes
// execute the same run.
func TestANodeReportsTheFailureOfAnyStatement(t *testing.T) {
	address := postgrestest.Shared(t).Database(t)
	o := filledOptions()
	o.Verb = "serve"
	s, err := store.Open(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fillAll(t, s)
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := c.Exec(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	number := func(query string) (n int64) {
		t.Helper()
		if err := c.QueryRow(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	failures := map[string]int{}
	parts := map[string]bool{"TakeOver, gone false": true, "Recover": true} // they commit more than once
	eachFails := func(name string, do func(context.Context) error) {
		t.Helper()
		for n := 1; ; n++ {
			before := number(`SELECT batch FROM hookloom.nodes WHERE node = 0`)
			denied, err := s.FailWrite(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			if err = do(t.Context()); !denied() {
				if err != nil && !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
			failures[name]++
			if after := number(`SELECT batch FROM hookloom.nodes WHERE node = 0`); !s.Spoiled(err) || after != before && !parts[name] {
				t.Errorf("%s, failure at statement %d: %v, commits %d to %d", name, n, err, before, after)
			}
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	// leaves adds a node of this host that has ended, with a run, an event and a lease.
	leaves := func(gone bool) {
		t.Helper()
		exec(`INSERT INTO hookloom.nodes (node, epoch, name, host, pid, verb, since, gone) VALUES (7, 77, 'seven', $1, 1 << 30, 'serve', 0, $2)`,
			host, gone)
		exec(`INSERT INTO hookloom.beats (node, epoch, until) VALUES (7, 77, 1) ON CONFLICT DO NOTHING`)
		exec(`UPDATE hookloom.runs SET status = 'running', owner_node = 7, due_at = NULL, started_at = 1 WHERE id = $1`, int64(laterRun(9)))
		exec(`UPDATE hookloom.inbox SET owner_node = 7 WHERE event_id = $1`, int64(laterEvent(22)))
		exec(`INSERT INTO hookloom.leases (name, node, epoch, at) VALUES ('poll', 7, 77, 1)`)
	}
	for _, gone := range []bool{true, false} {
		leaves(gone)
		var taken engine.TakenOver
		eachFails(fmt.Sprint("TakeOver, gone ", gone), func(ctx context.Context) (err error) {
			taken, err = s.TakeOver(ctx, filledAt)
			return err
		})
		left := number(`SELECT (SELECT count(*) FROM hookloom.nodes) + (SELECT count(*) FROM hookloom.leases WHERE epoch = 77) +
			(SELECT count(*) FROM hookloom.runs WHERE id = ` + fmt.Sprint(int64(laterRun(9))) + ` AND (status <> 'queued' OR owner_node = 7))`)
		if taken != (engine.TakenOver{Runs: 1, Events: 1}) || left != 1 {
			t.Errorf("taken over %+v, and %d rows left", taken, left)
		}
	}
	for _, w := range writesOfNodes(s) {
		eachFails(w.name, w.do)
		if failures[w.name] == 0 {
			t.Errorf("no statement of %s fails", w.name)
		}
	}
	if n := number(`SELECT count(*) FROM hookloom.permit_slots`); n != 0 {
		t.Errorf("%d rows of slots that were given back", n)
	}
	permits, err := s.TakePermits(t.Context(), []permit.Ask{{Name: "b", Starts: 1, Every: time.Hour}})
	if err != nil || len(permits) != 1 || permits[0].Starts != 0 {
		t.Errorf("a second start within an hour: %+v, %v", permits, err)
	}
	readsFail(t, s, &pgconn.PgError{Code: "58030"}, engine.ErrDisk, readsOfNodes)
}

// writesOfNodes are writes that only nodes of PostgreSQL make, or that differ there.
func writesOfNodes(s *store.Store) []plainWrite {
	return []plainWrite{
		{"Lease", func(ctx context.Context) error { _, err := s.Lease(ctx, "poll"); return err }},
		{"EndLease", func(ctx context.Context) error { return s.EndLease(ctx, "poll") }},
		{"ShareRules", func(ctx context.Context) error { return s.ShareRules(ctx, "new", "pay") }},
		{"OrderNodes", func(ctx context.Context) error {
			return s.OrderNodes(ctx, engine.NodeOrder{Kind: engine.OrderCancel, Subject: laterRun(1).String()})
		}},
		{"DoneOrder", func(ctx context.Context) error { return s.DoneOrder(ctx, 1) }},
		{"ShareKey", func(ctx context.Context) error { return s.ShareKey(ctx, "digest") }},
		{"DescribeNode", func(ctx context.Context) error { return s.DescribeNode(ctx, engine.NodeInfo{Version: "2"}) }},
		{"Announce", func(context.Context) error { return s.Announce("http://10.0.0.1:1", "http://localhost:2") }},
		{"DrainNode", func(ctx context.Context) error { return s.DrainNode(ctx, "one") }},
		{"TakePermits", func(ctx context.Context) error {
			_, err := s.TakePermits(ctx, []permit.Ask{{Name: "a", Slots: 3, Wanted: 2}, {Name: "b", Starts: 1, Every: time.Hour}})
			return err
		}},
		{"TakePermits that gives back", func(ctx context.Context) error {
			_, err := s.TakePermits(ctx, []permit.Ask{{Name: "a", Slots: 3}})
			return err
		}},
		{"AwaitSecret", func(ctx context.Context) error { return s.AwaitSecret(ctx, "crm", filledAt) }},
		{"CaptureSecret", func(ctx context.Context) error {
			_, err := s.CaptureSecret(ctx, engine.CapturedSecret{Name: "CRM", Trigger: "crm", Sealed: []byte("s"), At: filledAt})
			return err
		}},
		{"ClaimCertificate", func(ctx context.Context) error {
			_, err := s.ClaimCertificate(ctx, "c", "me", filledAt, filledAt.Add(time.Hour))
			return err
		}},
		{"SaveCertificate", func(ctx context.Context) error { return s.SaveCertificate(ctx, "c", []byte("pem")) }},
		{"DropCertificate", func(ctx context.Context) error { return s.DropCertificate(ctx, "c") }},
		{"DropCertificateClaim", func(ctx context.Context) error { return s.DropCertificateClaim(ctx, "c", "me") }},
		{"an event of a lane", func(ctx context.Context) error {
			d := delivery("lane", "1")
			d.Lane = "l"
			_, err := s.Accept(ctx, laterEvent(900), d)
			return err
		}},
		{"Recover", func(ctx context.Context) error { _, err := s.Recover(ctx, filledAt); return err }},
	}
}

// readsOfNodes are reads that differ on PostgreSQL, or that only it has.
func readsOfNodes(s *store.Store) (out []oneRead) {
	h := s.History()
	for _, r := range append(readsOfStore(s), read("Nodes of the history", h.Nodes), read("Certificate",
		func(ctx context.Context) (any, error) { return s.Certificate(ctx, "cert") })) {
		for _, name := range []string{"Nodes",
			"Rules", "NodeOrders", "Certificate", "CapturedSecrets", "AwaitedSecrets", "ClaimInbox", "ClaimDue"} {
			if r.name == name || strings.HasPrefix(r.name, name+" of") {
				out = append(out, r)
			}
		}
	}
	return out
}
