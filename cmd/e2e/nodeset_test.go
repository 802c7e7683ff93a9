//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// nodeSet is a project that several nodes serve from one database, behind a balancer. A supervisor
// starts each node again when it ends, as systemd does.
type nodeSet struct {
	*project
	server   *postgrestest.Server
	database string
	nodes    []*nodeOfSet
	balancer *httptest.Server
	next     atomic.Uint64
	stop     func()
}

// nodeOfSet is one node, with its own way to the database.
type nodeOfSet struct {
	name, addr, admin string
	way               *way
	ready             atomic.Bool
	starts            atomic.Int64

	mu   sync.Mutex
	bin  string // the program of the next start
	proc *process
	last string // the end of the log of the process before
}

// newNodeSet starts n nodes of a project with these files on a server that the test has for itself.
func newNodeSet(t *testing.T, n int, files map[string]string) *nodeSet {
	t.Helper()
	realProcess(t)
	return newNodeSetOf(t, buildBinary(t), n, files)
}

// newNodeSetOf is newNodeSet with another program.
func newNodeSetOf(t *testing.T, bin string, n int, files map[string]string) *nodeSet {
	t.Helper()
	c := &nodeSet{server: postgrestest.Start(t, postgrestest.Options{})}
	dir := t.TempDir()
	for name, text := range files {
		if err := writeFile(dir+"/"+name, text); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(c.server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	c.database = strings.TrimPrefix(u.Path, "/")
	c.project = &project{dir: dir, bin: bin, db: u.String(), logLevel: "warn"}
	ctx, cancel := context.WithCancel(t.Context())
	var supervisors sync.WaitGroup
	c.stop = func() {
		cancel()
		for _, x := range c.nodes {
			if p := x.process(); p != nil {
				p.kill()
			}
		}
		supervisors.Wait()
	}
	t.Cleanup(c.stop)
	for i := range n {
		x := &nodeOfSet{name: fmt.Sprint("n", i+1), addr: freeAddr(t), admin: freeAddr(t), way: newWay(t, u.Host), bin: bin}
		c.nodes = append(c.nodes, x)
		v := *u
		v.Host = x.way.address
		argv := []string{"serve", dir, "--db", v.String(), "--addr", x.addr, "--admin-addr", x.admin, "--log-level",
			"warn", "--log-format", "text"}
		supervisors.Go(func() { x.supervise(ctx, t, argv) })
		supervisors.Go(func() { x.watch(ctx) })
	}
	c.balancer = httptest.NewServer(c)
	t.Cleanup(c.balancer.Close)
	c.addr = strings.TrimPrefix(c.balancer.URL, "http://")
	c.awaitAll(t)
	return c
}

// awaitAll waits until all nodes are ready.
func (c *nodeSet) awaitAll(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ready := 0
		for _, x := range c.nodes {
			if x.ready.Load() {
				ready++
			}
		}
		if ready == len(c.nodes) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d nodes are ready\n%s", ready, len(c.nodes), c.logs())
		}
	}
}

// logs are the ends of the logs of all nodes.
func (c *nodeSet) logs() string {
	var text strings.Builder
	for _, x := range c.nodes {
		p := x.process()
		if p == nil {
			continue
		}
		x.mu.Lock()
		log := x.last + p.log.String()
		x.mu.Unlock()
		fmt.Fprintf(&text, "-- %s\n%s\n", x.name, log[max(0, len(log)-2000):])
	}
	return text.String()
}

// supervise runs the node until ctx ends, and starts it again when it ends.
func (x *nodeOfSet) supervise(ctx context.Context, t *testing.T, argv []string) {
	for ctx.Err() == nil {
		x.mu.Lock()
		bin := x.bin
		x.mu.Unlock()
		p, err := spawn(append([]string{bin}, argv...)...)
		if err != nil {
			t.Error(err)
			return
		}
		x.starts.Add(1)
		x.mu.Lock()
		x.proc = p
		x.mu.Unlock()
		select {
		case <-p.exited:
			x.mu.Lock()
			x.last = p.log.String()
			x.mu.Unlock()
			time.Sleep(100 * time.Millisecond)
		case <-ctx.Done():
			p.kill()
		}
	}
}

func (x *nodeOfSet) process() *process {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.proc
}

// watch asks whether the node is ready, as a balancer does.
func (x *nodeOfSet) watch(ctx context.Context) {
	client := &http.Client{Timeout: time.Second}
	for ctx.Err() == nil {
		resp, err := client.Get("http://" + x.addr + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
		x.ready.Store(err == nil && resp.StatusCode == http.StatusOK)
		time.Sleep(200 * time.Millisecond)
	}
}

// ServeHTTP passes a request to the next node that is ready, and to another one if it takes no
// connection.
func (c *nodeSet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	first := c.next.Add(1)
	for i := range uint64(len(c.nodes)) {
		x := c.nodes[(first+i)%uint64(len(c.nodes))]
		if !x.ready.Load() {
			continue
		}
		status, text, err := post(r.Context(), "http://"+x.addr+r.URL.Path, body)
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			x.ready.Store(false)
			continue
		}
		if err != nil {
			status = http.StatusBadGateway
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text) // the sender may have given up
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

// poster keeps no connections: a node may be stopped while it has some.
var poster = &http.Client{Timeout: 8 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// post posts JSON.
func post(ctx context.Context, to string, body []byte) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hookloom", "1") // calls of the API need it where there is no token
	resp, err := poster.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, string(text), err
}

// postUntilAccepted posts an event until it is acknowledged, as providers do, and records its id.
func (c *nodeSet) postUntilAccepted(t *testing.T, a *acknowledged, to, key, body string) bool {
	for wait := 50 * time.Millisecond; t.Context().Err() == nil; wait = min(2*wait, time.Second) {
		status, answer, err := post(t.Context(), to, []byte(body))
		if err == nil && (status == http.StatusAccepted || status == http.StatusOK) {
			_, rest, _ := strings.Cut(answer, `"event":"`)
			id, _, _ := strings.Cut(rest, `"`)
			a.mu.Lock()
			a.events[key] = id
			a.mu.Unlock()
			return true
		}
		if err == nil && status < 500 {
			t.Errorf("%s was answered %d: %s", key, status, answer)
			return false
		}
		time.Sleep(wait)
	}
	return false
}

// settle waits until no run is open. It fails if nothing ends for as long as within.
func (c *nodeSet) settle(t *testing.T, within time.Duration) {
	t.Helper()
	h, err := store.OpenHistory(c.db)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	open, inbox, least := 0, 0, -1
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		n, err := h.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		open, inbox = int(n.Open), int(n.Inbox)
		if open+inbox == 0 {
			return
		}
		if least < 0 || open+inbox < least {
			least, deadline = open+inbox, time.Now().Add(within)
		}
	}
	t.Fatalf("%d runs are open and %d events are not decided, and nothing ended for %v\n%s\n%s", open, inbox, within, c.openWork(t), c.logs())
}

// openWork is a summary of what is not done: which node has it, and since when it is due.
func (c *nodeSet) openWork(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for what, query := range map[string]string{
		"nodes":  "SELECT n.*, b.until FROM hookloom.nodes n LEFT JOIN hookloom.beats b ON b.node = n.node",
		"leases": "SELECT * FROM hookloom.leases",
		"runs": "SELECT workflow, status, owner_node, boots, count(*), min(due_at), max(due_at) FROM hookloom.runs " +
			"WHERE status IN ('queued', 'running', 'waiting') GROUP BY 1, 2, 3, 4",
		"inbox": "SELECT i.*, e.trigger, e.key FROM hookloom.inbox i LEFT JOIN hookloom.events e ON e.id = i.event_id LIMIT 20",
		"steps": "SELECT s.path, s.status, count(*) FROM hookloom.steps s JOIN hookloom.runs r ON r.id = s.run_id " +
			"WHERE r.status IN ('queued', 'running', 'waiting') GROUP BY 1, 2",
		"now": "SELECT (extract(epoch FROM now()) * 1000)::bigint AS now",
	} {
		rows := postgrestest.Value(t, c.db, "SELECT coalesce(string_agg(row_to_json(x)::text, E'\n'), '') FROM ("+query+") x")
		fmt.Fprintf(&text, "-- %s\n%s\n", what, rows)
	}
	return text.String()
}

// way is a node's connection to the database: a proxy that can be cut, and led to another server.
type way struct {
	address string
	target  atomic.Value // of string
	mu      sync.Mutex
	open    chan struct{} // closed while bytes pass
}

// newWay starts a proxy, which ends with the test.
func newWay(t *testing.T, target string) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{address: l.Addr().String(), open: make(chan struct{})}
	close(w.open)
	w.target.Store(target)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.pass(conn) })
		}
	})
	t.Cleanup(func() {
		w.repair()
		_ = l.Close()
	})
	return w
}

// pass passes bytes in both directions, as long as the way is not cut.
func (w *way) pass(client net.Conn) {
	defer client.Close()
	<-w.gate()
	server, err := net.DialTimeout("tcp", w.target.Load().(string), time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			defer func() { done <- struct{}{} }()
			b := make([]byte, 32<<10)
			for {
				n, err := pair[0].Read(b)
				<-w.gate()
				if _, werr := pair[1].Write(b[:n]); err != nil || werr != nil {
					return
				}
			}
		}()
	}
	<-done
}

func (w *way) gate() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}

// cut holds back all bytes, and new connections, until repair is called.
func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = make(chan struct{})
}

func (w *way) repair() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.open:
	default:
		close(w.open)
	}
}

// pause stops the process of a node as SIGSTOP does.
func (x *nodeOfSet) pause(d time.Duration) {
	p := x.process()
	_ = p.cmd.Process.Signal(syscall.SIGSTOP) // it may have ended
	time.Sleep(d)
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
}
