package engine

import (
	"context"
	"time"
)

// NodeStore coordinates the nodes of a shared database. A node is a process that serves the database;
// all nodes are equal, and any of them may end at any moment. A SQLite file has one node. Its users
// are machine (takeover), registry (ids), runner (MayBegin), and those who have work that only one
// node may do: the inlets of package triggers, control, alert; and the commands nodes and drain.
type NodeStore interface {
	// Node is the number of this process's node, which is part of the ids that it makes; 0 with SQLite.
	Node() int64
	// MayBegin reports whether this node may begin something that other systems notice. It is false
	// from 3 seconds after the last time that the node extended its lease: another node may take over
	// its runs a second later. It is called immediately before a request is sent, after all queues.
	// It reads no rows.
	MayBegin() bool
	// TakeOver queues the runs of nodes that are gone, with one more crash, and makes their open
	// attempts unknown; their events are then decided by this node.
	// The machine calls it each second, and when it starts. It may run twice.
	TakeOver(ctx context.Context, now time.Time) (TakenOver, error)
	// Lease takes the lease of a name if no living node has it, and reports whether this node has it.
	// It is for work that only one node may do, such as a poll; the worker asks before each piece. A
	// lease ends with its node. With SQLite it is always true. It may run twice.
	Lease(ctx context.Context, name string) (bool, error)
	// EndLease gives a lease to whoever asks next. It may run twice.
	EndLease(ctx context.Context, name string) error
	// Nodes lists the nodes by number: those that live, and those whose work was not taken over yet.
	Nodes(ctx context.Context) ([]NodeItem, error)
	// DescribeNode stores what the other nodes show of this one. It may run twice.
	DescribeNode(ctx context.Context, n NodeInfo) error
	// DrainNode asks a node to stop as after SIGTERM; it publishes SignalNodes. ErrNotFound if no
	// living node has the name. It may run twice.
	DrainNode(ctx context.Context, name string) error
	// Draining reports whether this node was asked to drain.
	Draining() bool
}

// Leaser is the part of NodeStore that Leads needs.
type Leaser interface {
	Lease(ctx context.Context, name string) (bool, error)
}

// Leads reports whether this node does the work of a lease now. If the store cannot be asked, it does
// not, and asks again: the node that has the lease may still be at work.
func Leads(ctx context.Context, s Leaser, work string) bool {
	held, err := s.Lease(ctx, work)
	return held && err == nil
}

// TakenOver counts the runs and the events of other nodes that a node has taken over.
type TakenOver struct{ Runs, Events int }

// NodeInfo is what a node tells about itself.
type NodeInfo struct {
	// Version is the version of the program, Digest the digest of the loaded project's files.
	Version, Digest string
	// Problem is why the node should get no requests, empty if it should.
	Problem string
}

// NodeItem is a node in lists.
type NodeItem struct {
	Node int64  `json:"node"`
	Name string `json:"name"`
	// State is live, draining or gone: a node that is gone did not extend its lease.
	State string `json:"state"`
	// Self reports whether the node is the process that answers.
	Self bool   `json:"self"`
	Host string `json:"host"`
	PID  int    `json:"pid"`
	Verb string `json:"verb"`
	// Hooks and Admin are the addresses that the node listens on.
	Hooks   string    `json:"hooks,omitempty"`
	Admin   string    `json:"admin,omitempty"`
	Version string    `json:"version,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	Problem string    `json:"problem,omitempty"`
	Since   time.Time `json:"since"`
	// BeatAgeMS is how long ago the node extended its lease, in milliseconds.
	BeatAgeMS int64 `json:"beat_age_ms"`
	// Runs counts the runs that it executes, Inbox the events that it has yet to decide.
	Runs   int64    `json:"runs"`
	Inbox  int64    `json:"inbox"`
	Leases []string `json:"leases,omitempty"`
}

// The states of a node in lists.
const (
	NodeLive     = "live"
	NodeDraining = "draining"
	NodeGone     = "gone"
)
