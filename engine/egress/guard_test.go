package egress_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/egress"
)

func guard(t *testing.T, allow ...string) *egress.Guard {
	t.Helper()
	g, err := egress.NewGuard(allow)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestEmbeddedIPv4AddressIsReadAtItsOffset: an octet beside it would allow a private address, or refuse a
// public one.
func TestEmbeddedIPv4AddressIsReadAtItsOffset(t *testing.T) {
	g := guard(t, "2001::/32")
	for a, want := range map[string]bool{
		"2002:10a:1:101::": true,  // 6to4 of 1.10.0.1
		"2002:a01:101::":   false, // of 10.1.1.1
		// Teredo: the server, and the client with inverted bits.
		"2001:0:10a:1::f7f7:f7f7":   true,  // 1.10.0.1 and 8.8.8.8
		"2001:0:808:808::f7f5:f7f7": true,  // client 8.10.8.8
		"2001:0:808:808::53f0:ebfe": true,  // client 172.15.20.1
		"2001:0:808:808::3fff:fefd": true,  // client 192.0.1.2
		"2001:0:808:808::3fff:fdfe": false, // client 192.0.2.1
		"2001:0:808:808::53ef:ebfe": false, // client 172.16.20.1
		// ISATAP is known by four octets; 10.0.0.1 behind others is no address.
		"2606:4700::5efe:a00:1": false, "2606:4700::200:5efe:a00:1": false, "2606:4700::300:5efe:a00:1": false,
		"2606:4700::400:5efe:a00:1": true, "2606:4700::1:5efe:a00:1": true, "2606:4700::5ffe:a00:1": true, "2606:4700::5eff:a00:1": true,
		"2606:4700::a00:1": true,
	} {
		if got := g.Allowed(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s is allowed: %t", a, got)
		}
	}
	if g.Allowed(netip.Addr{}) {
		t.Error("no address is allowed")
	}
}

// TestAllowedNameReachesAnyAddressItResolvesTo, in any case and with its last dot; no other name does.
func TestAllowedNameReachesAnyAddressItResolvesTo(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer target.Close()
	port := target.URL[strings.LastIndex(target.URL, ":"):]
	for _, allow := range []string{"localhost", "LocalHost."} {
		g := guard(t, allow)
		for host, want := range map[string]bool{"localhost": true, "LOCALHOST": true, "127.0.0.1": false} {
			resp, err := g.Client().Get("http://" + host + port)
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != want || !want && !errors.Is(err, egress.ErrRefused) {
				t.Errorf("%s, where %s is allowed: %v", host, allow, err)
			}
		}
	}
	for _, wrong := range []string{"", "a b", "a/b"} {
		if _, err := egress.NewGuard([]string{wrong}); err == nil || !strings.Contains(err.Error(), "egress.allow") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// TestOwnListenerIsRecognizedAtEachLocalAddress, also written as IPv6.
func TestOwnListenerIsRecognizedAtEachLocalAddress(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	g := guard(t, "0.0.0.0/0", "::/0")
	g.SetOwn(&net.TCPAddr{IP: net.IPv4zero, Port: 9}, &net.UnixAddr{})
	dial, err := egress.DialOf(g.Client())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLinkLocalUnicast() {
			continue
		}
		hosts := []string{n.IP.String()}
		if n.IP.To4() != nil {
			hosts = append(hosts, "::ffff:"+n.IP.String())
		}
		for _, host := range hosts {
			c, err := dial(t.Context(), "tcp", net.JoinHostPort(host, "9"))
			if err == nil {
				c.Close()
			}
			if !errors.Is(err, egress.ErrRefused) || !strings.Contains(err.Error(), "own address") {
				t.Errorf("%s: %v", host, err)
			}
			if _, err := dial(t.Context(), "tcp", net.JoinHostPort(host, "10")); errors.Is(err, egress.ErrRefused) {
				t.Errorf("another port of %s: %v", host, err)
			}
		}
	}
	// A remote address with the port of a listener is not this machine's: the dial is tried, and given up.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := dial(ctx, "tcp", "192.0.2.1:9"); errors.Is(err, egress.ErrRefused) {
		t.Errorf("a remote address: %v", err)
	}
}

func TestFailedDialIsAnErrorAndReleasesItsSlot(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	g := guard(t, "127.0.0.1")
	g.SetMaxConnections(1)
	dial, err := egress.DialOf(g.Client())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if c, err := dial(ctx, "tcp", address); err == nil || c != nil || errors.Is(err, egress.ErrRefused) || ctx.Err() != nil {
			t.Errorf("%v %v", c, err)
		}
		cancel()
	}
	if _, err := dial(t.Context(), "tcp", "no port"); err == nil || !strings.Contains(err.Error(), "dialling") {
		t.Errorf("an address without a port: %v", err)
	}
	for _, c := range []*http.Client{nil, {}, http.DefaultClient} {
		if _, err := egress.DialOf(c); err == nil {
			t.Error("a client that no guard made dials")
		}
	}
}

// TestZeroConnectionLimitIsUnlimited: 0 does not mean that every request waits.
func TestZeroConnectionLimitIsUnlimited(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	g := guard(t, "127.0.0.1")
	g.SetMaxConnections(0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

// connections counts the connections of a server that are open.
func connections(s *httptest.Server) *atomic.Int64 {
	var open atomic.Int64
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		switch st {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	return &open
}

// TestConnectionsOfOldRulesAreClosed, with a client certificate too, and are kept while the rules stay.
func TestConnectionsOfOldRulesAreClosed(t *testing.T) {
	target := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
		} else if r.TLS != nil && len(r.TLS.PeerCertificates) == 0 {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	open := connections(target)
	target.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	target.StartTLS()
	defer target.Close()
	roots := x509.NewCertPool()
	roots.AddCert(target.Certificate())
	g := guard(t, "127.0.0.1")
	client := g.ClientTLS(&tls.Config{RootCAs: roots, Certificates: target.TLS.Certificates})
	get := func(path string) (int, error) {
		resp, err := client.Get(target.URL + path)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	for path, want := range map[string]int{"/": 200, "/away": 302} {
		if got, err := get(path); err != nil || got != want || open.Load() != 1 {
			t.Errorf("%s: %d %v over %d connections", path, got, err, open.Load())
		}
	}
	none := func(what string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); open.Load() > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		if open.Load() > 0 {
			t.Errorf("%s: %d connections stay open", what, open.Load())
		}
	}
	client.CloseIdleConnections()
	none("idle ones that are closed")
	if _, err := get("/"); err != nil {
		t.Fatal(err)
	}
	if err := g.Set(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := get("/"); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("after the exception was withdrawn: %v", err)
	}
	none("after the exception was withdrawn")
}

// TestIdleConnectionsOfOldRulesAreClosedAtOnce, and stay when the rules are set again as they were.
func TestIdleConnectionsOfOldRulesAreClosedAtOnce(t *testing.T) {
	target := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	open := connections(target)
	target.Start()
	defer target.Close()
	g := guard(t, "127.0.0.1")
	for range 2 {
		resp, err := g.Client().Get(target.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if err := g.Set([]string{"127.0.0.1"}); err != nil {
			t.Fatal(err)
		}
		if open.Load() != 1 {
			t.Errorf("%d connections", open.Load())
		}
	}
	if err := g.Set([]string{"127.0.0.1", "10.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); open.Load() > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if open.Load() > 0 {
		t.Errorf("%d connections stay open", open.Load())
	}
}
