package egress

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newClient returns a guard's client that may connect to loopback and accepts any certificate.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	g, err := NewGuard([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	g.transport.Load().TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	c := g.Client()
	c.Timeout = 30 * time.Second
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// serveConns handles each connection of a listener until the test ends.
func serveConns(t *testing.T, l net.Listener, handle func(net.Conn)) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// request returns a request with an Idempotency-Key, like the engine's, and a body that net/http
// can rewind, or none.
func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" {
		r.Body, r.GetBody = http.NoBody, nil
	}
	r.Header.Set("Idempotency-Key", "k")
	return r
}

// warm creates n idle connections: the server delays its responses until all requests have arrived.
func warm(t *testing.T, c *http.Client, url string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			resp, err := c.Get(url)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// closingServer answers requests and keeps their connections. It reads a request that closes selects, counts it in
// closed, and closes the connection without an answer. It delays answers until kept requests have arrived.
func closingServer(t *testing.T, kept int, closes func(*http.Request) bool) (url string, closed *atomic.Int32) {
	t.Helper()
	closed = new(atomic.Int32)
	var together sync.WaitGroup
	together.Add(kept)
	l := listen(t)
	serveConns(t, l, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			if closes(r) {
				closed.Add(1)
				return
			}
			together.Done()
			together.Wait()
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
		}
	})
	return "http://" + l.Addr().String(), closed
}

// TestUnsafeRequestIsSentOnce uses a server that reads a request on an idle connection and closes
// it: the client returns the error and does not retry.
func TestUnsafeRequestIsSentOnce(t *testing.T) {
	const kept = 8
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		for _, body := range []string{"", "a body", strings.Repeat("long", 1<<16)} {
			url, effects := closingServer(t, kept, func(r *http.Request) bool { return r.Method != http.MethodGet })
			c := newClient(t)
			warm(t, c, url, kept)
			resp, err := c.Do(request(t, method, url, body))
			if err == nil {
				resp.Body.Close()
			}
			if err == nil || effects.Load() != 1 {
				t.Errorf("%s with %d bytes: %v, the server counted %d requests", method, len(body), err, effects.Load())
			}
		}
	}
}

// TestSafeRequestIsSentTwiceAtMost, however many idle connections the server closes instead of answering.
func TestSafeRequestIsSentTwiceAtMost(t *testing.T) {
	const kept = 8
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		url, asked := closingServer(t, kept, func(r *http.Request) bool { return r.URL.Path == "/asked" })
		c := newClient(t)
		warm(t, c, url, kept)
		for _, through := range []http.RoundTripper{c.Transport, Once(c.Transport)} {
			asked.Store(0)
			r := request(t, method, url+"/asked", "")
			resp, err := through.RoundTrip(r.WithContext(WithSent(t.Context(), func() {})))
			if err == nil {
				resp.Body.Close()
			}
			if !errors.Is(err, io.EOF) || asked.Load() != maxSends {
				t.Errorf("%s: %v, the server was asked %d times", method, err, asked.Load())
			}
		}
	}
}

// TestSafeRequestMayBeRetried checks that the transport retries safe requests.
func TestSafeRequestMayBeRetried(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 2 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	c := newClient(t)
	for range 2 {
		warm(t, c, s.URL, 1)
	}
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// TestRequestWithoutABodyHasLengthZero checks that it has length 0 and is not chunked.
func TestRequestWithoutABodyHasLengthZero(t *testing.T) {
	lines := make(chan string, 1)
	l := listen(t)
	serveConns(t, l, func(c net.Conn) {
		in, head := bufio.NewReader(c), ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			head += line
		}
		lines <- strings.ToLower(head)
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n") // the client's error reports a failure
	})
	c := newClient(t)
	for method, want := range map[string]int{"POST": 1, "PUT": 1, "PATCH": 1, "DELETE": 0} {
		r := request(t, method, "http://"+l.Addr().String(), "")
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if head := <-lines; strings.Count(head, "content-length: 0\r\n") != want || strings.Contains(head, "transfer-encoding") ||
			!strings.Contains(head, "idempotency-key: k") {
			t.Errorf("%s: %q", method, head)
		}
		if len(r.Header) != 1 {
			t.Errorf("%s: the caller's headers were changed: %v", method, r.Header)
		}
	}
}

// frame is one of HTTP/2 (RFC 9113, 4.1).
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	out := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(out, stream), payload...)
}

// serveH2 implements just enough HTTP/2 to read a complete request and then refuse it.
func serveH2(c net.Conn, refuse func(stream uint32) []byte, effects *atomic.Int32) {
	if _, err := io.ReadFull(c, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	if _, err := c.Write(frame(4, 0, 0, nil)); err != nil {
		return
	}
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c, payload); err != nil {
			return
		}
		const endStream = 1
		if kind, stream := head[3], binary.BigEndian.Uint32(head[5:]); kind <= 1 && head[4]&endStream != 0 {
			effects.Add(1)
			out := refuse(stream)
			if out == nil {
				return
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}
}

// TestUnsafeRequestIsSentOnceOverHTTP2 checks it whatever the server claims to have done with it.
func TestUnsafeRequestIsSentOnceOverHTTP2(t *testing.T) {
	certs := httptest.NewTLSServer(nil)
	defer certs.Close()
	code := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for name, refuse := range map[string]func(uint32) []byte{
		"refused stream": func(s uint32) []byte { return frame(3, 0, s, code(7)) },
		"protocol error": func(s uint32) []byte { return frame(3, 0, s, code(1)) },
		"goes away":      func(uint32) []byte { return frame(7, 0, 0, append(code(0), code(0)...)) },
		"cut":            func(uint32) []byte { return nil },
	} {
		for _, body := range []string{"", "a body"} {
			var effects atomic.Int32
			l := tls.NewListener(listen(t), &tls.Config{Certificates: certs.TLS.Certificates, NextProtos: []string{"h2"}})
			serveConns(t, l, func(c net.Conn) { serveH2(c, refuse, &effects) })
			resp, err := newClient(t).Do(request(t, "POST", "https://"+l.Addr().String(), body))
			if err == nil {
				resp.Body.Close()
			}
			if err == nil || effects.Load() != 1 {
				t.Errorf("%s, %d bytes: %v, the server counted %d requests", name, len(body), err, effects.Load())
			}
		}
	}
}

// staleFirst directs the first tries to idle connections that are closed before a byte is written
// to them.
type staleFirst struct {
	stale int
	tries int
	last  []byte
}

func (s *staleFirst) RoundTrip(r *http.Request) (*http.Response, error) {
	s.tries++
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	c := &countedConn{Conn: here}
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{Conn: c, Reused: true})
	if s.tries <= s.stale {
		_, _ = io.Copy(io.Discard, r.Body) // net/http may have buffered it
		return nil, errors.New("closed")
	}
	c.written.Add(1)
	s.last, _ = io.ReadAll(r.Body)
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
}

// TestRequestUsesANewConnectionIfTheOldOneIsClosed checks that the complete request is sent over another
// connection, since no byte was sent.
func TestRequestUsesANewConnectionIfTheOldOneIsClosed(t *testing.T) {
	for _, c := range []struct {
		stale, tries int
		ok           bool
	}{{0, 1, true}, {2, 3, true}, {mostStale, mostStale + 1, true}, {100, mostStale + 1, false}} {
		s := &staleFirst{stale: c.stale}
		resp, err := Once(s).RoundTrip(request(t, "POST", "http://127.0.0.1:1", "a body"))
		if resp != nil {
			resp.Body.Close()
		}
		if s.tries != c.tries || (err == nil) != c.ok || c.ok && string(s.last) != "a body" {
			t.Errorf("%d stale: %d tries, %v, %q", c.stale, s.tries, err, s.last)
		}
	}
}
