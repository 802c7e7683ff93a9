package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// mostStale is the maximum number of idle connections, closed by the server, that one request
// tries.
const mostStale = 4

// Once returns a RoundTripper that sends a request with an effect at most once.
//
// net/http retries a request if an idle connection is closed before the response, provided that its
// body can be rewound and it has an Idempotency-Key (net/http.Transport: "Transport only retries a
// request upon encountering a network error if ..."); over HTTP/2 also if the server refuses the
// stream or goes away. The caller would not know. Once therefore removes the means to rewind the
// body; the caller decides whether to retry.
func Once(next http.RoundTripper) http.RoundTripper { return once{next} }

type once struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o once) RoundTrip(r *http.Request) (*http.Response, error) { return sendOnce(o.next, r) }

// CloseIdleConnections serves http.Client.CloseIdleConnections.
func (o once) CloseIdleConnections() {
	if c, ok := o.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// repeatable reports whether a method is safe (RFC 9110, 9.2.1), so that the transport may retry
// the request once.
func repeatable(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// sendOnce sends a request with an effect. If an idle connection turns out to be closed before any
// byte was written to it, it tries another.
func sendOnce(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	if repeatable(r.Method) {
		return sendSafe(next, r)
	}
	for stale := 0; ; stale++ {
		ctx := r.Context()
		w, _ := ctx.Value(wireKey{}).(*wire)
		if w == nil {
			w = &wire{}
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: w.got})
		}
		try, err := unrewindable(r, ctx, stale > 0)
		if err != nil {
			return nil, err
		}
		resp, err := next.RoundTrip(try)
		if err == nil {
			resp.Request = r
			return resp, nil
		}
		if stale == mostStale || r.Context().Err() != nil || !w.untouched() || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
			return nil, err
		}
	}
}

// maxSends is how often the transport may send a safe request. It sends it again if the server closes an idle connection
// instead of answering, as a server does when its idle timeout has passed. Without a limit it would try all idle
// connections.
const maxSends = 2

// sendSafe sends a request without an effect, at most maxSends times.
func sendSafe(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	w, _ := ctx.Value(wireKey{}).(*wire)
	if w == nil {
		w = &wire{}
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: w.got})
	}
	w.conn, w.sends, w.refused, w.cancel = nil, 0, false, cancel
	resp, err := next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		if w.refused && r.Context().Err() == nil {
			return nil, io.EOF // what the transport returns for a connection that ends before the response
		}
		return nil, err
	}
	resp.Request, resp.Body = r, &cancelingBody{resp.Body, cancel}
	return resp, nil
}

// cancelingBody releases the context of a request when its response has been read.
type cancelingBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *cancelingBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// unrewindable returns a copy of a request whose body can be read only once.
func unrewindable(r *http.Request, ctx context.Context, again bool) (*http.Request, error) {
	out := r.WithContext(ctx)
	out.GetBody = nil
	if r.Body == nil || r.Body == http.NoBody {
		// net/http considers a missing body rewindable, so set one of no bytes. Its length is
		// unknown to net/http, which would use chunked encoding. Set the length header here, under
		// a name that net/http does not recognize.
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(nil)), 0
		out.TransferEncoding = []string{"identity"}
		if r.Method != http.MethodDelete {
			out.Header = r.Header.Clone()
			if out.Header == nil {
				out.Header = http.Header{}
			}
			out.Header["content-length"] = []string{"0"}
		}
		return out, nil
	}
	if again {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	return out, nil
}

// WithSent returns a context for one request at a time: sent is called when the header of the
// request has been written, possibly by another goroutine. It replaces a trace of
// net/http/httptrace, because two traces in one context are combined by reflection.
func WithSent(ctx context.Context, sent func()) context.Context {
	w := &wire{}
	ctx = context.WithValue(ctx, wireKey{}, w)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: sent, GotConn: w.got})
}

type wireKey struct{}

// wire is the connection used by a request.
type wire struct {
	// ctx and mayBegin are set for a request that may have to wait before it is written.
	ctx      context.Context
	mayBegin func() bool
	conn     *countedConn
	before   int64
	reused   bool
	// sends counts how often a safe request was written before; cancel ends it, and refused reports that it was ended
	// because of maxSends.
	sends   int
	cancel  context.CancelFunc
	refused bool
}

// got implements httptrace.ClientTrace.GotConn. The goroutine of RoundTrip calls it.
func (w *wire) got(info httptrace.GotConnInfo) {
	if w.conn != nil && w.conn.written.Load() != w.before {
		w.sends++
	}
	if w.cancel != nil && w.sends >= maxSends {
		w.refused = true
		w.cancel()
		closeUnshared(info.Conn)
		return
	}
	w.take(info)
	w.await(info.Conn)
}

// beginAgain is how often a request that may not be written looks whether it may.
const beginAgain = 20 * time.Millisecond

// gated returns a request that is written only when it may begin.
func gated(r *http.Request, may func() bool) *http.Request {
	ctx := r.Context()
	w, _ := ctx.Value(wireKey{}).(*wire)
	if w == nil {
		w = &wire{}
		ctx = context.WithValue(ctx, wireKey{}, w)
		r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: w.got}))
	}
	w.ctx, w.mayBegin = r.Context(), may
	return r
}

// await returns when the request may be written. net/http writes nothing before GotConn has returned,
// and then writes even if the context has ended: so a connection that got no permission is closed. A
// shared one, of HTTP/2, is not: it looks at the context before it writes.
func (w *wire) await(conn net.Conn) {
	for w.mayBegin != nil && !w.mayBegin() {
		select {
		case <-w.ctx.Done():
			closeUnshared(conn)
			return
		case <-time.After(beginAgain):
		}
	}
}

// closeUnshared closes a connection, so that a write to it fails, unless other requests use it too.
func closeUnshared(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); !ok || t.ConnectionState().NegotiatedProtocol != "h2" {
		_ = conn.Close() // the write reports it
	}
}

// take notes the connection.
func (w *wire) take(info httptrace.GotConnInfo) {
	conn := info.Conn
	w.conn, w.reused = nil, info.Reused
	if t, ok := conn.(*tls.Conn); ok {
		if t.ConnectionState().NegotiatedProtocol == "h2" {
			return // other requests write to it as well
		}
		conn = t.NetConn()
	}
	if c, ok := conn.(*countedConn); ok {
		w.conn, w.before = c, c.written.Load()
	}
}

// untouched reports whether the connection was an idle one and no byte of the request was written
// to it. When net/http returns an error not caused by the request's context, it has stopped
// writing.
func (w *wire) untouched() bool {
	return w.reused && w.conn != nil && w.conn.written.Load() == w.before
}

// countedConn counts the bytes passed to the kernel.
type countedConn struct {
	net.Conn
	written atomic.Int64
	// release frees the connection's place; nil if it has none.
	release func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	err := c.Conn.Close()
	if c.release != nil {
		c.release()
	}
	return err
}

// Write implements net.Conn. It counts bytes before writing them: an unchanged count shows that no
// write was attempted.
func (c *countedConn) Write(b []byte) (int, error) {
	c.written.Add(int64(len(b)))
	return c.Conn.Write(b)
}
