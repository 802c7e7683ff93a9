//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/triggers"
)

// cluster is two nodes of one database and project.
type cluster struct {
	nodes     [2]*project
	processes [2]*process
}

// newCluster starts two nodes, node-1 and node-2.
func newCluster(t *testing.T, files map[string]string) *cluster {
	t.Helper()
	return newClusterAt(t, postgrestest.Shared(t).Database(t), files)
}

// newClusterAt starts them on a database.
func newClusterAt(t *testing.T, address string, files map[string]string) *cluster {
	t.Helper()
	c := &cluster{}
	c.nodes[0] = newProject(t, files)
	c.nodes[0].db = address
	other := *c.nodes[0]
	other.addr, other.admin = freeAddr(t), freeAddr(t)
	c.nodes[1] = &other
	for i := range c.nodes {
		c.start(t, i)
	}
	return c
}

// start starts a node.
func (c *cluster) start(t *testing.T, i int) {
	t.Helper()
	p := c.nodes[i]
	c.processes[i] = launch(t, append(p.argv(), "--node", fmt.Sprint("node-", i+1))...)
	if err := c.processes[i].ready(http.DefaultClient, "http://"+p.addr+"/readyz"); err != nil {
		t.Fatalf("%v\n%s", err, c.processes[i].log.String())
	}
}

// balance starts HAProxy before the nodes, and returns its address.
func (c *cluster) balance(t *testing.T) string {
	t.Helper()
	h, url := haproxy(t, c.nodes[0].addr, c.nodes[1].addr)
	if err := h.ready(http.DefaultClient, url+"/readyz"); err != nil {
		t.Fatalf("%v\n%s", err, h.log.String())
	}
	return strings.TrimPrefix(url, "http://")
}

// haproxyExample returns the program of HAProxy, and the configuration of examples/deploy.
func haproxyExample(t *testing.T) (bin, text string) {
	t.Helper()
	bin, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("SKIPPED: no haproxy (Debian: apt-get install haproxy)")
	}
	config, err := os.ReadFile("../../examples/deploy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	return bin, string(config)
}

// haproxy starts HAProxy with the configuration of examples/deploy before the addresses of two nodes, and
// returns its URL.
func haproxy(t *testing.T, node1, node2 string) (h *process, url string) {
	t.Helper()
	bin, text := haproxyExample(t)
	address, config := freeAddr(t), text
	for was, is := range map[string]string{"bind :8080": "bind " + address, " node-1:8080": " " + node1,
		" node-2:8080": " " + node2, " resolvers docker init-addr last,libc,none": "",
		"resolvers docker\n    nameserver dns 127.0.0.11:53\n": ""} {
		if !strings.Contains(config, was) {
			t.Fatalf("haproxy.cfg has no %q", was)
		}
		config = strings.Replace(config, was, is, 1)
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := writeFile(path, config); err != nil {
		t.Fatal(err)
	}
	return launch(t, bin, "-db", "-f", path), "http://" + address
}

// TestHAProxyWithoutNodesAnswersWithRetryAfter: its own 503 has the header, like that of a node.
func TestHAProxyWithoutNodesAnswersWithRetryAfter(t *testing.T) {
	t.Parallel()
	h, url := haproxy(t, freeAddr(t), freeAddr(t))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Post(url+"/hooks/shop", "application/json", strings.NewReader("{}"))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Errorf("answered %d with Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v\n%s", err, h.log.String())
		}
	}
}

// sent counts the answers of deliveries; late are the failed ones that began after dead was set.
type sent struct {
	ok, failed, late atomic.Int64
	dead             atomic.Bool
	wrong            sync.Map
}

// through sends deliveries to an address with n senders until the returned function is called.
func (c *cluster) through(t *testing.T, address string, n int) (*sent, func()) {
	out, p := &sent{}, c.nodes[0]
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for s := range n {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("%s-%d-%d", t.Name(), s, i)
				order := triggers.SampleOrder{ID: key, Body: fmt.Appendf(nil, `{"type":"n","data":{"key":%q}}`, key)}
				delivery, err := triggers.Sample(p.flows, "hook", p.secrets.Lookup, order)
				if err != nil {
					t.Error(err)
					return
				}
				late := out.dead.Load()
				status, answer, err := deliver(context.WithoutCancel(ctx), "http://"+address, delivery)
				if err == nil && status/100 == 2 {
					out.ok.Add(1)
				} else {
					out.failed.Add(1)
					if late {
						out.late.Add(1)
					}
					out.wrong.Store(fmt.Sprint(status, " ", answer, " ", err), true)
				}
			}
		})
	}
	return out, func() {
		cancel()
		wg.Wait()
	}
}

// TestANodeIsDrainedWithoutAFailedRequest: behind HAProxy, under load, and restarted. When a node is
// killed, what was sent while it died may fail. After its death at most one request of each sender
// does: one that HAProxy writes to an idle connection before it reads that the node closed it.
func TestANodeIsDrainedWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	realProcess(t)
	postgrestest.Shared(t) // skips where there is no PostgreSQL
	const senders = 6
	c := newCluster(t, map[string]string{"hookloom.yaml": hookConfig, ".env": hookEnv,
		"workflows/w.yaml": "on: hook\nsteps:\n  - {uses: log, with: {message: \"${{ event.data.key }}\"}}\n"})
	p := c.nodes[1]
	c.named(t, "node-1", "live", "node-2", "live")
	same := launch(t, append(p.argv(), "--node", "node-2")...)
	if code := same.end(t, 20*time.Second); code != exitInUse || !strings.Contains(same.log.String(), `a node with the name "node-2"`) {
		t.Errorf("a second node-2: exit status %d, %s", code, same.log.String())
	}
	if out, err := p.run("drain", "node-3"); err == nil || !strings.Contains(err.Error(), `no node "node-3": the nodes are node-1, node-2`) {
		t.Errorf("drain of an unknown node: %s %v", out, err)
	}
	address := c.balance(t)
	drained, stop := c.through(t, address, senders)
	time.Sleep(time.Second)
	out, err := p.run("drain", "node-1", "--timeout", "60s")
	if err != nil || !strings.Contains(out, "node-1 is draining: ") || !strings.Contains(out, "node-1 has ended after ") {
		t.Errorf("drain: %s %v", out, err)
	}
	if code := c.processes[0].end(t, 10*time.Second); code != exitOK {
		t.Errorf("exit status %d of a drained node\n%s", code, c.processes[0].log.String())
	}
	c.start(t, 0)
	time.Sleep(2 * time.Second) // HAProxy sees it
	stop()
	if drained.failed.Load() > 0 || drained.ok.Load() == 0 {
		t.Errorf("%d of %d requests failed while a node was drained and started again", drained.failed.Load(),
			drained.failed.Load()+drained.ok.Load())
		drained.wrong.Range(func(k, _ any) bool { t.Log(k); return true })
	}
	killed, stop := c.through(t, address, senders)
	time.Sleep(time.Second)
	c.processes[1].kill()
	killed.dead.Store(true)
	time.Sleep(4 * time.Second)
	stop()
	t.Logf("drained: %d requests, %d failed; killed: %d requests, %d failed, %d of them later", drained.ok.Load(), drained.failed.Load(),
		killed.ok.Load(), killed.failed.Load(), killed.late.Load())
	if n, late := killed.failed.Load(), killed.late.Load(); late > senders || n > 5*senders || killed.ok.Load() == 0 {
		t.Errorf("%d requests of %d senders failed, %d of them after the death of a node (%d answered)", n, senders, late, killed.ok.Load())
		killed.wrong.Range(func(k, _ any) bool { t.Log(k); return true })
	}
	c.named(t, "node-1", "live")
	p.idle(t)
	c.processes[0].stop(t)
}

// named waits until hookloom nodes lists these nodes with their states, and no other.
func (c *cluster) named(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		out, err := c.nodes[0].run("nodes", "--output", "json")
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ Items []engine.NodeItem }
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, n := range list.Items {
			if n.Version == "" || n.Digest == "" {
				t.Errorf("%s tells neither version nor digest", n.Name)
			}
			got = append(got, n.Name, n.State)
		}
		if strings.Join(got, " ") == strings.Join(want, " ") {
			return
		}
	}
	t.Errorf("the nodes are %v, want %v", got, want)
}

// TestHAProxyAcceptsTheExampleFile: as it is, and with the lines for https that it has as comments.
func TestHAProxyAcceptsTheExampleFile(t *testing.T) {
	bin, text := haproxyExample(t)
	dir := t.TempDir()
	hooks := filepath.Join(dir, "hooks") // HAProxy finds hooks.pem.key beside hooks.pem by itself
	selfSigned(t, hooks)
	if err := os.Rename(hooks+".key", hooks+".pem.key"); err != nil {
		t.Fatal(err)
	}
	secure := text
	for _, line := range []string{"bind :8443 ssl crt ", "http-request redirect scheme https "} {
		if !strings.Contains(secure, "    # "+line) {
			t.Errorf("haproxy.cfg has no comment %q", line)
		}
		secure = strings.ReplaceAll(secure, "    # "+line, "    "+line)
	}
	secure = strings.ReplaceAll(secure, "/usr/local/etc/haproxy/hooks.pem", hooks+".pem")
	for name, config := range map[string]string{"plain": text, "secure": secure} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(bin, "-c", "-f", path).CombinedOutput()
		others := strings.Count(string(out), "[WARNING]") - strings.Count(string(out), "could not resolve address") // of the nodes
		if err != nil || others != 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
