package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// TestFourClosedConnectionsAreTried, and a fifth is not: the error is the caller's.
func TestFourClosedConnectionsAreTried(t *testing.T) {
	s := &staleFirst{stale: 100}
	if resp, err := Once(s).RoundTrip(request(t, "POST", "http://127.0.0.1:1", "a body")); err == nil || s.tries != 5 {
		t.Errorf("%d tries: %v %v", s.tries, resp, err)
	}
}

// TestNonReplayableBodyIsSentOnce; a request without a body is repeated like any other.
func TestNonReplayableBodyIsSentOnce(t *testing.T) {
	failing := errors.New("no more")
	for name, c := range map[string]struct {
		change func(*http.Request)
		tries  int
		err    string
	}{
		"no body":             {func(r *http.Request) { r.Body, r.GetBody = nil, nil }, 2, ""},
		"an empty body":       {func(r *http.Request) { r.Body, r.GetBody = http.NoBody, nil }, 2, ""},
		"no headers":          {func(r *http.Request) { r.Body, r.GetBody, r.Header = nil, nil, nil }, 2, ""},
		"no second body":      {func(r *http.Request) { r.GetBody = nil }, 1, "closed"},
		"a second body fails": {func(r *http.Request) { r.GetBody = func() (io.ReadCloser, error) { return nil, failing } }, 1, "no more"},
	} {
		s := &staleFirst{stale: 1}
		r := request(t, "POST", "http://127.0.0.1:1", "a body")
		c.change(r)
		resp, err := Once(s).RoundTrip(r)
		if s.tries != c.tries || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %d tries, %v", name, s.tries, err)
		}
		if resp != nil && resp.Request != r {
			t.Errorf("%s: the response names another request", name)
		}
	}
}

// TestOnlyAReusedConnectionCanBeUnused: not a new one, not one that is not known, and none with a
// byte written. Of TLS it is the connection below, unless requests share it (HTTP/2).
func TestOnlyAReusedConnectionCanBeUnused(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	counted := &countedConn{Conn: here}
	for name, c := range map[string]struct {
		conn   net.Conn
		reused bool
		want   bool
	}{
		"idle": {counted, true, true}, "new": {counted, false, false}, "not known": {here, true, false},
		"idle, TLS": {tls.Client(counted, &tls.Config{}), true, true},
	} {
		counted.written.Store(7)
		var w wire
		w.got(httptrace.GotConnInfo{Conn: c.conn, Reused: c.reused})
		if w.untouched() != c.want {
			t.Errorf("%s: untouched is %t", name, !c.want)
		}
		if counted.written.Add(1); w.untouched() {
			t.Errorf("%s: untouched with a byte written", name)
		}
	}
}

// closer counts calls of CloseIdleConnections.
type closer struct {
	staleFirst
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

// TestCloseIdleConnectionsReachesTheWrappedTransport, and a RoundTripper that has none is left alone.
func TestCloseIdleConnectionsReachesTheWrappedTransport(t *testing.T) {
	c := &closer{}
	(&http.Client{Transport: Once(c)}).CloseIdleConnections()
	(&http.Client{Transport: Once(&staleFirst{})}).CloseIdleConnections()
	if c.closed != 1 {
		t.Errorf("closed %d times", c.closed)
	}
}

// TestClosedConnectionReleasesItsSlot, and its error is the connection's.
func TestClosedConnectionReleasesItsSlot(t *testing.T) {
	l := listen(t)
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	freed := 0
	c := &countedConn{Conn: conn, release: func() { freed++ }}
	if err := c.Close(); err != nil || freed != 1 {
		t.Errorf("%v, freed %d times", err, freed)
	}
	if err := (&countedConn{Conn: conn}).Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
}

// TestATargetBehindAProxyIsCheckedAsIfDialled: by its address and port, with the port of its scheme
// where it names none.
func TestATargetBehindAProxyIsCheckedAsIfDialled(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip", name)
	resolves := err == nil && len(addrs) > 0
	own := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	for _, c := range []struct {
		allow  string
		own    int
		scheme string
		host   string
		want   string // a part of the error; empty for none
	}{
		{"", 0, "http", "localhost", ErrRefused.Error()},
		{"", 0, "http", "a.localhost", ErrRefused.Error()},
		{"127.0.0.1", 0, "http", "localhost", ""},
		{"127.0.0.1", 0, "http", "a.localhost", ""},
		{"127.0.0.1", 80, "http", "localhost", "localhost:80: "},
		{"127.0.0.1", 443, "https", "localhost", "localhost:443: "},
		{"127.0.0.1", 443, "http", "localhost", ""},
		{"127.0.0.1", 8080, "http", "localhost:8080", "localhost:8080: "},
		{"127.0.0.1", 65535, "http", "127.0.0.1:65535", "127.0.0.1:65535: "},
		{"127.0.0.1", 8080, "http", "localhost:8081", ""},
		{"", 0, "http", "10.0.0.1", ErrRefused.Error()},
		{"", 0, "http", "1.1.1.1", ""},
		{"", 0, "http", "a~b.invalid", ""},
		{"", 0, "http", "a\x7fb.invalid", "write the name in ASCII"},
		{"", 0, "http", "ä.invalid", "write the name in ASCII"},
		{"", 0, "http", "0x7f.1", "four decimal numbers"},
		{"", 0, "http", name, map[bool]string{true: ErrRefused.Error()}[resolves && !allPublic(addrs)]},
	} {
		var allow []string
		if c.allow != "" {
			allow = []string{c.allow}
		}
		g, err := NewGuard(allow)
		if err != nil {
			t.Fatal(err)
		}
		g.SetOwn(own(c.own))
		err = g.check(t.Context(), &url.URL{Scheme: c.scheme, Host: c.host})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s://%s, allowed %q, own port %d: %v, expected %q", c.scheme, c.host, c.allow, c.own, err, c.want)
		}
	}
}

func allPublic(addrs []netip.Addr) bool {
	g, err := NewGuard(nil)
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if !g.Allowed(a) {
			return false
		}
	}
	return true
}

// TestARouteNeedsAGuard: without one, nothing would check its targets.
func TestARouteNeedsAGuard(t *testing.T) {
	for name, c := range map[string]*http.Client{"none": nil, "another transport": {Transport: http.DefaultTransport}} {
		if out, err := Through(c, Route{}); err == nil {
			t.Errorf("%s: %v", name, out)
		}
	}
}

// TestClientCertificateIsNotSentToAProxy: with a certificate, the proxy's URL begins with http://. A
// client's own certificate counts as well.
func TestClientCertificateIsNotSentToAProxy(t *testing.T) {
	g, err := NewGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert := &tls.Config{Certificates: []tls.Certificate{{}}, ServerName: "cert"}
	for _, c := range []struct {
		client *http.Client
		scheme string
		cfg    *tls.Config
		ok     bool
		server string
	}{
		{g.Client(), "http", cert, true, "cert"}, {g.Client(), "https", cert, false, ""},
		{g.Client(), "https", &tls.Config{ServerName: "roots"}, true, "roots"}, {g.Client(), "https", nil, true, ""},
		{g.ClientTLS(cert), "http", nil, true, "cert"}, {g.ClientTLS(cert), "https", nil, false, ""},
		{g.ClientTLS(cert), "https", &tls.Config{ServerName: "roots"}, true, "roots"},
	} {
		out, err := Through(c.client, Route{Proxy: &url.URL{Scheme: c.scheme, Host: "proxy.example"}, TLS: c.cfg})
		if (err == nil) != c.ok {
			t.Errorf("%s proxy with %v: %v", c.scheme, c.cfg, err)
		}
		if err != nil {
			continue
		}
		var server string
		if used := out.Transport.(once).next.(*http.Transport).TLSClientConfig; used != nil {
			server = used.ServerName
		}
		if server != c.server {
			t.Errorf("%s proxy: the configuration is of %q, expected %q", c.scheme, server, c.server)
		}
	}
}

func TestAClientWithACertificateKeepsItsConnections(t *testing.T) {
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	g, err := NewGuard([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	c := g.ClientTLS(&tls.Config{InsecureSkipVerify: true})
	defer c.CloseIdleConnections()
	for range 3 {
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), "GET", s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for three requests", n)
	}
}
