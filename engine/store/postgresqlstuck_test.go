package store_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// stalling passes connections to a server on, until limit bytes came back on one of them: from then on it
// reads nothing more from any of them, and closes none.
type stalling struct {
	listener net.Listener
	server   string
	limit    int64
	stalled  chan struct{} // closed when it stalls
	stall    func()
	conns    sync.Map // of net.Conn
}

// newStalling returns the address of a database behind a new one.
func newStalling(t *testing.T, address string, limit int64) (*stalling, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &stalling{listener: listener, server: u.Host, limit: limit, stalled: make(chan struct{})}
	p.stall = sync.OnceFunc(func() { close(p.stalled) })
	go p.run()
	u.Host = listener.Addr().String()
	return p, u.String()
}

func (p *stalling) run() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.conns.Store(client, true)
		p.conns.Store(server, true)
		var back atomic.Int64
		go p.pass(client, server, &atomic.Int64{})
		go p.pass(server, client, &back)
	}
}

// pass copies what one side sends until it is closed, or the proxy stalls.
func (p *stalling) pass(from, to net.Conn, passed *atomic.Int64) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		select {
		case <-p.stalled:
			return
		default:
		}
		if passed.Add(int64(n)) > p.limit {
			p.stall()
			return
		}
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			if err == io.EOF {
				_ = to.Close()
			}
			return
		}
	}
}

// close closes all connections.
func (p *stalling) close() {
	p.stall()
	_ = p.listener.Close()
	p.conns.Range(func(c, _ any) bool {
		_ = c.(net.Conn).Close()
		return true
	})
}

// TestStoppedNodeDoesNotBlockTheOthers: a node that is stopped, or cut off, while it receives a
// large result has the turn, and its session waits for it to read on. The other nodes, and one that joins,
// go on when it has not extended its lease for some time.
func TestStoppedNodeDoesNotBlockTheOthers(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(t *testing.T, address string) func() bool{
		"another node": func(t *testing.T, address string) func() bool { return accepts(node(t, address, "b")) },
		"one that joins": func(t *testing.T, address string) func() bool {
			return func() bool { return accepts(node(t, address, "b"))() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := postgrestest.Shared(t).Database(t)
			proxy, through := newStalling(t, address, 4<<20)
			a, goesOn := node(t, through, "a"), other(t, address)
			t.Cleanup(proxy.close) // before the node ends, which would wait for its answers
			read := make(chan error, 1)
			go func() { read <- a.ReadInTurn(ctx, 50<<20) }()
			select {
			case <-proxy.stalled:
			case err := <-read:
				t.Fatalf("it was read: %v", err)
			}
			began := time.Now()
			for !goesOn() && time.Since(began) < 20*time.Second {
				time.Sleep(10 * time.Millisecond)
			}
			took := time.Since(began)
			if took > 5*time.Second {
				t.Errorf("it goes on after %s", took)
			}
			t.Logf("it goes on after %s", took.Round(10*time.Millisecond))
		})
	}
}
