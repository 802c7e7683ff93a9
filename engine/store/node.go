package store

import (
	"cmp"
	"context"
	"database/sql"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// This file implements engine.NodeStore. A SQLite file has one node, which nothing takes over; what
// it tells about itself is kept in memory. The rest is in
// postgresqlnode.go, postgresqllink.go and postgresqltakeover.go.

// soleNode is what the only node of a file tells about itself.
type soleNode struct {
	since    time.Time
	mu       sync.Mutex
	info     engine.NodeInfo // guarded by mu
	draining bool            // guarded by mu
	hooks    string          // guarded by mu
	admin    string          // guarded by mu
}

// announce keeps the addresses of the node.
func (n *soleNode) announce(hooks, admin string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hooks, n.admin = hooks, admin
}

// Node implements engine.NodeStore.
func (s *Store) Node() int64 {
	if s.w.pg != nil {
		return s.w.pg.node
	}
	return 0
}

// MayBegin implements engine.NodeStore.
func (s *Store) MayBegin() bool { return s.w.pg == nil || s.w.pg.mayBegin() }

// TakeOver implements engine.NodeStore.
func (s *Store) TakeOver(ctx context.Context, now time.Time) (engine.TakenOver, error) {
	if s.w.pg == nil {
		return engine.TakenOver{}, nil
	}
	return s.takeOver(ctx, now)
}

// Lease implements engine.NodeStore.
func (s *Store) Lease(ctx context.Context, name string) (bool, error) {
	if s.w.pg == nil {
		return true, nil
	}
	return s.lease(ctx, name)
}

// EndLease implements engine.NodeStore.
func (s *Store) EndLease(ctx context.Context, name string) error {
	if s.w.pg == nil {
		return nil
	}
	return s.endLease(ctx, name)
}

// Nodes implements engine.NodeStore.
func (s *Store) Nodes(ctx context.Context) ([]engine.NodeItem, error) {
	if s.w.pg != nil {
		return s.nodes(ctx)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	name := cmp.Or(s.o.Node, host)
	s.sole.mu.Lock()
	defer s.sole.mu.Unlock()
	n := engine.NodeItem{Name: name, State: engine.NodeLive, Self: true, Host: host, PID: os.Getpid(), Verb: s.o.Verb,
		Version: s.sole.info.Version, Digest: s.sole.info.Digest, Problem: s.sole.info.Problem, Since: s.sole.since,
		Hooks: s.sole.hooks, Admin: s.sole.admin}
	if s.sole.draining {
		n.State = engine.NodeDraining
	}
	row := s.readers.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM runs WHERE status = 'running'), (SELECT count(*) FROM inbox)`)
	return []engine.NodeItem{n}, classify(row.Scan(&n.Runs, &n.Inbox))
}

// DescribeNode implements engine.NodeStore.
func (s *Store) DescribeNode(ctx context.Context, n engine.NodeInfo) error {
	if s.w.pg != nil {
		return s.describeNode(ctx, n)
	}
	s.sole.mu.Lock()
	defer s.sole.mu.Unlock()
	s.sole.info = n
	return nil
}

// DrainNode implements engine.NodeStore.
func (s *Store) DrainNode(ctx context.Context, name string) error {
	if s.w.pg != nil {
		return s.drainNode(ctx, name)
	}
	list, err := s.Nodes(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(n engine.NodeItem) bool { return n.Name == name }) {
		return engine.ErrNotFound
	}
	s.sole.mu.Lock()
	s.sole.draining = true
	s.sole.mu.Unlock()
	s.Publish(engine.SignalNodes)
	return nil
}

// Draining implements engine.NodeStore.
func (s *Store) Draining() bool {
	if s.w.pg != nil {
		return s.w.pg.draining.Load()
	}
	s.sole.mu.Lock()
	defer s.sole.mu.Unlock()
	return s.sole.draining
}

// listNodes lists the nodes on a PostgreSQL server; epoch is the one that asks, 0 for none.
func listNodes(ctx context.Context, db querier, epoch int64) ([]engine.NodeItem, error) {
	const query = `SELECT n.node, n.name, n.gone, n.drain, n.epoch = ?1, n.host, n.pid, n.verb, n.hooks, n.admin, n.version, n.digest,
		n.problem, n.since, ` + databaseNow + ` - (b.until - ?2), coalesce(b.until, 0) <= ` + databaseNow + `,
		(SELECT count(*) FROM runs WHERE status = 'running' AND owner_node = n.node),
		(SELECT count(*) FROM inbox WHERE owner_node = n.node),
		coalesce((SELECT string_agg(l.name, ',' ORDER BY l.name) FROM leases l WHERE l.epoch = n.epoch), '')
		FROM nodes n LEFT JOIN beats b ON b.node = n.node AND b.epoch = n.epoch ORDER BY n.node`
	return collect(ctx, db, query, []any{epoch, leaseTime.Milliseconds()}, func(r scanner) (n engine.NodeItem, err error) {
		var gone, drain, late bool
		var since int64
		var age sql.NullInt64
		var leases string
		if err := r.Scan(&n.Node, &n.Name, &gone, &drain, &n.Self, &n.Host, &n.PID, &n.Verb, &n.Hooks, &n.Admin, &n.Version, &n.Digest,
			&n.Problem, &since, &age, &late, &n.Runs, &n.Inbox, &leases); err != nil {
			return n, err
		}
		n.Since, n.BeatAgeMS, n.State = fromMillis(since), age.Int64, engine.NodeLive
		switch {
		case gone || late:
			n.State = engine.NodeGone
		case drain:
			n.State = engine.NodeDraining
		}
		if leases != "" {
			n.Leases = strings.Split(leases, ",")
		}
		return n, nil
	})
}
