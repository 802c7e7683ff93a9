package cmd

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// connections is a listener that limits the open connections: at the limit, silent, slow or idle
// connections are closed in favor of new ones, oldest first.
type connections struct {
	net.Listener
	limit int
	// tight listeners accept no more connections than the limit: the others wait in the kernel.
	tight  bool
	closed atomic.Bool
	// endSlow ends up to n requests whose bodies arrive too slowly, and returns their number.
	endSlow func(n int) int

	mu   sync.Mutex
	open map[*connection]struct{}
}

// connection is one of the connections.
type connection struct {
	net.Conn
	owner *connections
	// state is an http.ConnState; since is when it began, in Unix nanoseconds; requests is the
	// number of requests in a handler.
	state    atomic.Int32
	since    atomic.Int64
	requests atomic.Int32
}

const (
	// maxConnections limits the connections of the hooks address; if the system's limit on open
	// files is lower, three quarters of that.
	maxConnections = 10_000
	// silentFor is how long a connection may be without complete headers while others need its
	// place.
	silentFor = time.Second
	// silentTight is the same if there are very few places.
	silentTight = 50 * time.Millisecond
)

// newConnections wraps the listener of the hooks address.
func newConnections(l net.Listener, endSlow func(int) int) *connections {
	limit := maxConnections
	if files, limited := fileLimit(); limited && files < maxConnections*4/3 {
		limit = max(16, int(files*3/4)) //nolint:gosec // below maxConnections
	}
	return &connections{Listener: l, limit: limit, endSlow: endSlow, open: map[*connection]struct{}{}}
}

// Accept implements net.Listener.
func (l *connections) Accept() (net.Conn, error) {
	for {
		l.awaitRoom()
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		x := &connection{Conn: c, owner: l}
		x.since.Store(time.Now().UnixNano())
		l.mu.Lock()
		l.open[x] = struct{}{}
		n := len(l.open)
		l.mu.Unlock()
		if n <= l.limit || l.makeRoom() || n <= l.limit*9/8 {
			return x, nil
		}
		_ = x.Close() // there is no place for it
	}
}

// awaitRoom waits for a free place if there are few.
func (l *connections) awaitRoom() {
	for l.tight && !l.closed.Load() {
		l.mu.Lock()
		n := len(l.open)
		l.mu.Unlock()
		if n < l.limit || l.makeRoom() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Close implements net.Listener.
func (l *connections) Close() error {
	l.closed.Store(true)
	return l.Listener.Close()
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// changed implements http.Server.ConnState.
func (l *connections) changed(c net.Conn, state http.ConnState) {
	if x := connectionOf(c); x != nil {
		x.state.Store(int32(state)) //nolint:gosec // one of five
		x.since.Store(time.Now().UnixNano())
	}
}

// connectionOf returns the connection below TLS.
func connectionOf(c net.Conn) *connection {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	x, _ := c.(*connection)
	return x
}

type connectionKey struct{}

// context implements http.Server.ConnContext.
func (l *connections) context(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, connectionOf(c))
}

// handled records which connections have a request in a handler.
func handled(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x, _ := r.Context().Value(connectionKey{}).(*connection); x != nil {
			x.requests.Add(1)
			defer x.requests.Add(-1)
		}
		h.ServeHTTP(w, r)
	})
}

// makeRoom closes a sixteenth of the connections: those without complete headers, then those with
// slow bodies, then idle ones. It reports whether it closed any.
func (l *connections) makeRoom() bool {
	want, patience := max(1, l.limit/16), silentFor
	if l.tight {
		patience = silentTight
	}
	now := time.Now()
	var silent, idle []*connection
	l.mu.Lock()
	for x := range l.open {
		switch state := http.ConnState(x.state.Load()); {
		case x.requests.Load() > 0:
		case state == http.StateIdle:
			idle = append(idle, x)
		case now.UnixNano()-x.since.Load() > int64(patience):
			silent = append(silent, x)
		}
	}
	l.mu.Unlock()
	ended := closeOldest(silent, want)
	if ended < want {
		ended += l.endSlow(want - ended)
	}
	if ended == 0 {
		ended = closeOldest(idle, want)
	}
	return ended > 0
}

// closeOldest closes up to n connections, those in their state for longest first.
func closeOldest(list []*connection, n int) int {
	if len(list) > n {
		slices.SortFunc(list, func(a, b *connection) int { return cmp.Compare(a.since.Load(), b.since.Load()) })
		list = list[:n]
	}
	for _, x := range list {
		_ = x.Close() // it is being closed anyway
	}
	return len(list)
}
