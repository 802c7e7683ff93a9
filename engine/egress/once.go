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
)

// mostStale bounds how many kept connections that turn out closed one request tries.
const mostStale = 4

// Once makes a RoundTripper send a request that has an effect at most once.
//
// net/http sends a request again by itself when a kept connection ends before the
// answer, if its body can be had again and it carries an Idempotency-Key
// (net/http.Transport: "Transport only retries a request upon encountering a network
// error if ..."); over HTTP/2 also when the server refuses the stream or goes away.
// Nobody outside would learn of it. So the body is given without the means to rewind
// it; whether there is a second request is for the caller to say.
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

// repeatable reports whether a method has no effect (RFC 9110, 9.2.1), so that the
// transport may send the request again.
func repeatable(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// sendOnce sends a request that has an effect. A kept connection that turns out closed
// before one byte was written to it is given up for another one.
func sendOnce(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	if repeatable(r.Method) {
		return next.RoundTrip(r)
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

// unrewindable is a copy of a request whose body can be read only once.
func unrewindable(r *http.Request, ctx context.Context, again bool) (*http.Request, error) {
	out := r.WithContext(ctx)
	out.GetBody = nil
	if r.Body == nil || r.Body == http.NoBody {
		// No body counts as one that can be had again, so there is one, of no bytes. Its
		// length is unknown to net/http, which would send it in chunks. The length is
		// therefore written here, under a name that net/http does not take for its own.
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

// WithSent returns a context for one request at a time: sent is called when the head of the
// request has been written, perhaps by another goroutine. It stands for a trace of
// net/http/httptrace, two of which in one context are joined by reflection.
func WithSent(ctx context.Context, sent func()) context.Context {
	w := &wire{}
	ctx = context.WithValue(ctx, wireKey{}, w)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: sent, GotConn: w.got})
}

type wireKey struct{}

// wire is the connection that a request got.
type wire struct {
	conn   *countedConn
	before int64
	reused bool
}

// got implements httptrace.ClientTrace.GotConn. It is called by the goroutine of
// RoundTrip.
func (w *wire) got(info httptrace.GotConnInfo) {
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

// untouched reports whether the connection was a kept one and that not one byte of the
// request was written to it. net/http has stopped writing when it gives an error for
// which the request's context is not the reason.
func (w *wire) untouched() bool {
	return w.reused && w.conn != nil && w.conn.written.Load() == w.before
}

// countedConn counts the bytes that were given to the kernel.
type countedConn struct {
	net.Conn
	written atomic.Int64
	// release returns the connection's place back; nil for one that has none.
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

// Write implements net.Conn. Bytes count before they are written: whoever sees no
// change knows that there was no attempt.
func (c *countedConn) Write(b []byte) (int, error) {
	c.written.Add(int64(len(b)))
	return c.Conn.Write(b)
}
