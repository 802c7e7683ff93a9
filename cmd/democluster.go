package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/freeport"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgreslocal"
)

// The demo of several nodes: two real processes on one PostgreSQL server. One of them is killed in the
// middle; the ledger then says what became of every acknowledged event.
const (
	clusterEvents = 300
	clusterFlow   = `on: hook
steps:
  - {id: first, uses: http/post, with: {url: URL/first, body: {run: "${{ run.id }}"}}}
  - {id: second, uses: http/post, with: {url: URL/second, body: {run: "${{ run.id }}"}}}
`
	clusterConfig = `triggers: {hook: {webhook: {provider: standard, secret: "${{ secrets.HOOK_SECRET }}"}}}
egress: {allow: [127.0.0.1]}
`
)

// cluster is the demo of several nodes.
type cluster struct {
	a         *app
	dir, self string
	database  string
	sink      *clusterSink
	nodes     [2]*clusterNode
}

// clusterNode is a process that serves.
type clusterNode struct {
	name, addr string
	process    *exec.Cmd
	log        bytes.Buffer
	// ended is closed when it has ended; err is then the result.
	ended chan struct{}
	err   error
	once  sync.Once
}

// demoCluster runs the demo; everything is stopped and removed at its end.
func (a *app) demoCluster(ctx context.Context) (err error) {
	withoutEnvironment()
	server, err := postgreslocal.Prepare(postgreslocal.Temporary, "hookloom", "demo")
	if err != nil {
		return fmt.Errorf("the demo of several nodes starts its own PostgreSQL server: %w", err)
	}
	a.printf("Starting PostgreSQL and two nodes ...\n")
	if err := server.Create(ctx, nil); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	defer server.Remove()
	c := &cluster{a: a}
	if c.dir, err = os.MkdirTemp("", "hookloom-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	u := server.URL()
	c.database = u.String()
	if c.self, err = os.Executable(); err != nil {
		return err
	}
	if c.sink, err = newClusterSink(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.sink.close()) }()
	if err := c.write(); err != nil {
		return err
	}
	defer c.stop()
	for i := range c.nodes {
		if c.nodes[i], err = c.start(ctx, fmt.Sprint("node-", i+1)); err != nil {
			return err
		}
	}
	return c.play(ctx)
}

// write writes the project.
func (c *cluster) write() error {
	secrets, err := demoSecrets()
	if err != nil {
		return err
	}
	return errors.Join(
		writeFile(filepath.Join(c.dir, "hookloom.yaml"), clusterConfig),
		writeFile(filepath.Join(c.dir, "workflows", "order.yaml"), strings.ReplaceAll(clusterFlow, "URL", c.sink.base)),
		writeFile(filepath.Join(c.dir, ".env"), "HOOK_SECRET="+secrets["DEPLOY_SIGNING_SECRET"]+"\n"))
}

// start starts a node, and returns when it is ready.
func (c *cluster) start(ctx context.Context, name string) (*clusterNode, error) {
	n := &clusterNode{name: name, ended: make(chan struct{})}
	var admin string
	var err error
	if n.addr, err = freeport.Address(); err != nil {
		return nil, err
	}
	if admin, err = freeport.Address(); err != nil {
		return nil, err
	}
	n.process = exec.CommandContext(ctx, c.self, "serve", c.dir, "--node", name, "--addr", n.addr, "--admin-addr", admin,
		"--log-level", "warn", "--log-format", "text")
	// Not an argument: other users of the machine see those.
	n.process.Env = append(os.Environ(), "HOOKLOOM_DB="+c.database)
	n.process.Stderr = &n.log
	if err := n.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		n.err = n.process.Wait()
		close(n.ended)
	}()
	for {
		if resp, err := http.Get("http://" + n.addr + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return n, nil
			}
		}
		select {
		case <-n.ended:
			return nil, fmt.Errorf("%s has ended: %w\n%s", name, n.err, n.log.String())
		case <-ctx.Done():
			n.kill()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// kill is kill -9.
func (n *clusterNode) kill() {
	n.once.Do(func() { _ = n.process.Process.Kill() }) // it may have ended
	<-n.ended
}

// stop ends the nodes.
func (c *cluster) stop() {
	for _, n := range c.nodes {
		if n != nil {
			n.kill()
		}
	}
}

// play sends the events, kills a node in the middle, waits until everything has ended, and prints the
// ledger.
func (c *cluster) play(ctx context.Context) error {
	h, err := store.OpenHistory(c.database)
	if err != nil {
		return err
	}
	defer h.Close() // it only reads
	a := c.a
	a.printf("  node-1    http://%s/hooks/hook\n  node-2    http://%s/hooks/hook\n\nSending %d events, one after the other to each node ...\n",
		c.nodes[0].addr, c.nodes[1].addr, clusterEvents)
	load, err := c.newLoad()
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() { sent <- load.run(ctx) }()
	select {
	case <-load.half:
	case err := <-sent:
		return errors.Join(err, errors.New("the events ended before half of them were sent"))
	}
	killed := time.Now()
	c.nodes[0].kill()
	a.printf("kill -9 of node-1 after %d events were acknowledged; senders go on with node-2\n", load.acknowledged())
	took, err := c.untilTakenOver(ctx, h, killed)
	if err = errors.Join(err, <-sent); err != nil {
		return err
	}
	if err := untilEnded(ctx, h); err != nil {
		return err
	}
	l, err := c.ledger(ctx, h, load)
	if err != nil {
		return err
	}
	l.takeover = took
	return l.print(a)
}

// untilTakenOver waits until node-2 has taken over the work of node-1.
func (c *cluster) untilTakenOver(ctx context.Context, h *store.History, since time.Time) (time.Duration, error) {
	for time.Since(since) < time.Minute {
		list, err := h.Nodes(ctx)
		if err != nil {
			return 0, err
		}
		if len(list) == 1 {
			return time.Since(since), nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-c.nodes[1].ended:
			return 0, fmt.Errorf("node-2 has ended too: %w\n%s", c.nodes[1].err, c.nodes[1].log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return 0, errors.New("node-2 has not taken over the work of node-1 within a minute")
}

// untilEnded waits until no run is open.
func untilEnded(ctx context.Context, h *store.History) error {
	for began := time.Now(); time.Since(began) < 2*time.Minute; {
		n, err := h.Counts(ctx)
		if err != nil || n.Open == 0 && n.Inbox == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("runs are still open after 2 minutes")
}

// clusterLedger is what became of the events.
type clusterLedger struct {
	acknowledged, lost      int
	runs, succeeded         int
	effects, twice, unknown int
	takeover                time.Duration
}

// ledger compares what was acknowledged with the history and with what the service got.
func (c *cluster) ledger(ctx context.Context, h *store.History, load *clusterLoad) (*clusterLedger, error) {
	l := &clusterLedger{acknowledged: load.acknowledged()}
	runs, err := h.Runs(ctx, engine.Query{Limit: 1000})
	if err != nil {
		return nil, err
	}
	ended := map[string]bool{}
	for _, r := range runs {
		l.runs++
		if engine.RunStatus(r.Status) == engine.Succeeded {
			l.succeeded++
		}
		ended[r.Event] = engine.RunStatus(r.Status).Ended()
		id, err := engine.ParseRunID(r.ID)
		if err != nil {
			return nil, err
		}
		steps, err := h.Steps(ctx, id)
		if err != nil {
			return nil, err
		}
		cut := map[string]bool{}
		for _, s := range steps {
			cut[s.Path] = cut[s.Path] || s.Status == "unknown"
		}
		for _, path := range []string{"first", "second"} {
			n := c.sink.count(r.ID, path)
			l.effects += n
			if n > 1 {
				l.twice++
			}
			if n > 1 && cut[path] {
				l.unknown++
			}
		}
	}
	for _, id := range load.events() {
		if !ended[id] {
			l.lost++
		}
	}
	return l, nil
}

// print prints the ledger; it is an error if it is not what several nodes promise.
func (l *clusterLedger) print(a *app) error {
	twice := fmt.Sprint(l.twice)
	if l.twice > 0 {
		twice += fmt.Sprintf(", %d of them marked unknown: node-1 was killed before it stored their results", l.unknown)
	}
	a.printf("\n  acknowledged   %d\n  lost           %d\n  runs ended     %d, %d succeeded\n  calls          %d\n  called twice   %s\n"+
		"  takeover       %s after the kill\n", l.acknowledged, l.lost, l.runs, l.succeeded, l.effects, twice,
		l.takeover.Round(100*time.Millisecond))
	if l.lost > 0 || l.twice != l.unknown || l.succeeded != l.runs || l.acknowledged == 0 || l.effects-l.twice < 2*l.runs {
		return errors.New("this is not what several nodes promise: please report it")
	}
	a.printf("\nEvery acknowledged event has run to its end. PostgreSQL, the nodes and their files are removed.\n")
	return nil
}
