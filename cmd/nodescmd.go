package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/spf13/cobra"
)

// nodesAnswer is what nodes prints as JSON, and the answer of /api/v1/nodes.
type nodesAnswer struct {
	Items    []engine.NodeItem `json:"items"`
	Warnings []string          `json:"warnings,omitempty"`
}

// nodesCmd lists the nodes.
func (a *app) nodesCmd() *cobra.Command {
	var at place
	c := &cobra.Command{Use: "nodes", Short: "List the nodes that serve the database", Args: cobra.NoArgs,
		Long: `Lists the processes of hookloom serve that share the project's PostgreSQL database: since
when, which version and which project files, the runs that each executes, the events that
it has yet to decide, when it was last heard of, and, under DOES, the work that only it
does: polls, schedules, replay batches, alerts and suspects. With alerts it publishes
which conditions for an alert hold; with suspects it executes runs that crashed a node.
A node that is gone is listed until another one has taken over its work. A SQLite
database has one node.`,
		Example: "  hookloom nodes\n  hookloom nodes --output json",
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := at.nodes(c.Context())
			if err != nil {
				return err
			}
			return a.printNodes(list)
		}}
	at.flags(c.Flags())
	return c
}

// nodes reads the nodes of the database: from the database itself, or of a file from its server.
func (p *place) nodes(ctx context.Context) ([]engine.NodeItem, error) {
	l, err := p.load()
	if err != nil {
		return nil, err
	}
	path := l.database()
	if !postgres.IsAddress(path) {
		var out nodesAnswer
		return out.Items, adminCall(ctx, l, "GET", "/api/v1/nodes", nil, &out)
	}
	h, err := store.OpenHistory(path)
	if err != nil {
		return nil, err
	}
	list, err := h.Nodes(ctx)
	return list, errors.Join(err, h.Close())
}

func (a *app) printNodes(list []engine.NodeItem) error {
	out := nodesAnswer{Items: list}
	if list == nil {
		out.Items = []engine.NodeItem{}
	}
	if text := unevenNodes(list); text != "" {
		out.Warnings = append(out.Warnings, "the nodes have different project files ("+text+"): bring the same files to all of them, "+
			"and reload; during an update this is normal")
	}
	if a.json() {
		return a.printJSON(out)
	}
	if len(list) == 0 {
		a.printf("no node serves the database: hookloom serve starts one\n")
		return nil
	}
	t := newTable("NODE", "STATE", "HEARD", "SINCE", "RUNS", "EVENTS", "VERSION", "PROJECT", "HOOKS", "ADMIN", "DOES")
	for _, n := range list {
		heard := (time.Duration(n.BeatAgeMS) * time.Millisecond).Round(100 * time.Millisecond).String()
		t.row(n.Name, n.State, heard, clock(n.Since), fmt.Sprint(n.Runs), fmt.Sprint(n.Inbox), orDash(n.Version), orDash(n.Digest),
			orDash(n.Hooks), orDash(n.Admin), orDash(leasesText(n.Leases)))
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	for _, w := range out.Warnings {
		a.warnf("warning: %s\n", w)
	}
	return nil
}

// leasesShown is how many leases of a node a line shows.
const leasesShown = 3

func leasesText(names []string) string {
	if more := len(names) - leasesShown; more > 0 {
		return strings.Join(names[:leasesShown], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// drainCmd ends a node in an orderly way.
func (a *app) drainCmd() *cobra.Command {
	var at place
	var timeout time.Duration
	c := &cobra.Command{Use: "drain NODE", Short: "Hand over the work of a node, and stop it", Args: cobra.ExactArgs(1),
		Long: `Asks a node to stop, from any machine that reaches the database, and waits until it has.
Its /readyz answers 503 at once. It continues to accept deliveries for the --drain-delay of
its hookloom serve (5 seconds by default), until load balancers send it no more. Then it
stops as after SIGTERM: running steps may finish, and other nodes take over the rest at
once. Its exit status is 0. hookloom nodes lists the names.`,
		Example: "  hookloom drain node-1\n  hookloom drain node-1 --timeout 0",
		RunE: func(c *cobra.Command, args []string) error {
			return a.drain(c.Context(), &at, args[0], timeout)
		}}
	at.flags(c.Flags())
	durationVar(c.Flags(), &timeout, "timeout", 5*time.Minute, "how long to wait until the node has stopped; 0 does not wait")
	return c
}

// drain asks a node to drain, and waits.
func (a *app) drain(ctx context.Context, at *place, name string, timeout time.Duration) error {
	before, err := at.nodes(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(before, func(n engine.NodeItem) bool { return n.Name == name && n.State != engine.NodeGone })
	if i < 0 {
		return unknownNode(name, before)
	}
	if err := at.askToDrain(ctx, name); err != nil {
		if errors.Is(err, engine.ErrNotFound) {
			return unknownNode(name, before)
		}
		return err
	}
	if !slices.ContainsFunc(before, func(n engine.NodeItem) bool { return n.Name != name && n.State == engine.NodeLive }) {
		a.warnf("warning: %s is the only node: deliveries are refused until another one serves the database\n", name)
	}
	if timeout <= 0 {
		a.printf("%s is draining: hookloom nodes shows the work that it still has\n", name)
		return nil
	}
	return a.awaitEnd(ctx, at, before[i], timeout)
}

// askToDrain asks a node, in the database or through the server of a file.
func (p *place) askToDrain(ctx context.Context, name string) error {
	l, err := p.load()
	if err != nil {
		return err
	}
	if path := l.database(); postgres.IsAddress(path) {
		return store.DrainNodeOf(ctx, path, name)
	}
	var out struct{}
	return adminCall(ctx, l, "POST", "/api/v1/nodes/"+url.PathEscape(name)+"/drain", map[string]string{}, &out)
}

func unknownNode(name string, list []engine.NodeItem) error {
	var names []string
	for _, n := range list {
		if n.State != engine.NodeGone {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("no node %q: no node serves the database", name)
	}
	return fmt.Errorf("no node %q: the nodes are %s", name, strings.Join(names, ", "))
}

// awaitEnd waits until a node has ended, and prints what it waits for.
func (a *app) awaitEnd(ctx context.Context, at *place, node engine.NodeItem, timeout time.Duration) error {
	began, said := time.Now(), ""
	silent := time.Duration(node.BeatAgeMS) * time.Millisecond // how long the node had been silent when it was last seen
	for {
		left, age, ended := at.leftOf(ctx, node)
		if age > 0 {
			silent = age
		}
		if ended && silent >= silentNode {
			return fmt.Errorf("%s did not drain: it was silent for %s, and another node takes over its work. If its process is still "+
				"alive, end it before it is started again", node.Name, silent.Round(100*time.Millisecond))
		}
		if ended {
			a.printf("%s has ended after %s\n", node.Name, time.Since(began).Round(100*time.Millisecond))
			return nil
		}
		if left != said && !a.json() {
			a.printf("%s\n", left)
			said = left
		}
		if time.Since(began) > timeout {
			return fmt.Errorf("%s has not ended after %s (%s): it is still draining; hookloom nodes shows the work that it still has",
				node.Name, timeout, left)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is still draining: %w", node.Name, ctx.Err())
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// silentNode is a pause after which a node has stopped and does not drain. A node extends its lease of 4 seconds every
// half second.
const silentNode = 3 * time.Second

// leftOf says what a node that drains has left, how long ago it extended its lease, and whether it has ended.
func (p *place) leftOf(ctx context.Context, node engine.NodeItem) (left string, age time.Duration, ended bool) {
	list, err := p.nodes(ctx)
	if err != nil {
		l, lerr := p.load()
		if lerr == nil && !postgres.IsAddress(l.database()) {
			h, herr := store.HolderOf(l.database())
			return node.Name + " drains", 0, herr == nil && h == nil // its server answered before
		}
		return "the database does not answer: " + err.Error(), 0, false
	}
	for _, n := range list {
		if n.Name == node.Name && n.Since.Equal(node.Since) {
			return fmt.Sprintf("%s is %s: %s in progress, %s to be decided", n.Name, n.State, counted(int(n.Runs), "run"),
				counted(int(n.Inbox), "event")), time.Duration(n.BeatAgeMS) * time.Millisecond, n.State == engine.NodeGone
		}
	}
	return "", 0, true
}
