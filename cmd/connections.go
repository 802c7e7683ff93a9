package cmd

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connections is a listener that bounds the open connections: beyond the bound those
// that say nothing, crawl or idle give way to new ones, the oldest first.
type connections struct {
	net.Listener
	limit int
	// tight listeners accept no more than the limit: what is beyond waits in the kernel.
	tight  bool
	closed atomic.Bool
	// endSlow ends up to n requests whose bodies lag behind, and gives their number.
	endSlow func(n int) int

	mu   sync.Mutex
	open map[*connection]struct{}
}

// connection is one of them.
type connection struct {
	net.Conn
	owner *connections
	// state is an http.ConnState, since when in Unix nanoseconds; requests counts
	// those that a handler has.
	state    atomic.Int32
	since    atomic.Int64
	requests atomic.Int32
}

const (
	// maxConnections bounds the connections of the hooks address; with a lower limit
	// of the system on open files, three quarters of that.
	maxConnections = 10_000
	// silentFor is how long a connection may be without a whole head while others
	// need its place.
	silentFor = time.Second
	// silentTight is the same where there are very few places.
	silentTight = 50 * time.Millisecond
)

// newConnections wraps the listener of the hooks address.
func newConnections(l net.Listener, endSlow func(int) int) *connections {
	limit := maxConnections
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil && files.Cur < maxConnections*4/3 {
		limit = max(16, int(files.Cur*3/4)) //nolint:gosec // below maxConnections
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
		_ = x.Close() // there is no room for it, and no descriptor to spare
	}
}

// awaitRoom waits, where places are few, until one is free.
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

// changed is the server's ConnState.
func (l *connections) changed(c net.Conn, state http.ConnState) {
	if x := connectionOf(c); x != nil {
		x.state.Store(int32(state)) //nolint:gosec // one of five
		x.since.Store(time.Now().UnixNano())
	}
}

// connectionOf finds the connection beneath TLS.
func connectionOf(c net.Conn) *connection {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	x, _ := c.(*connection)
	return x
}

type connectionKey struct{}

// context is the server's ConnContext.
func (l *connections) context(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, connectionOf(c))
}

// handled notes which connections have a request in a handler.
func handled(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x, _ := r.Context().Value(connectionKey{}).(*connection); x != nil {
			x.requests.Add(1)
			defer x.requests.Add(-1)
		}
		h.ServeHTTP(w, r)
	})
}

// makeRoom ends a sixteenth of the connections: those without a whole head, then
// those whose bodies lag behind, then idle ones. It reports whether it ended any.
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

// closeOldest closes up to n connections, those that have stood for longest first.
func closeOldest(list []*connection, n int) int {
	if len(list) > n {
		slices.SortFunc(list, func(a, b *connection) int { return cmp.Compare(a.since.Load(), b.since.Load()) })
		list = list[:n]
	}
	for _, x := range list {
		_ = x.Close() // it was to end
	}
	return len(list)
}
