package egress_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/engine/egress"
)

// TestAddressesThatAreNotPublicAreRefused is a table of address spellings that bypassed other
// guards; each is checked as the kernel would dial it.
func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	g, err := egress.NewGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range strings.Fields(
		`127.0.0.1 127.255.255.254 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 169.254.169.254 169.254.0.1
		224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1 192.0.0.1 192.88.99.1 168.63.129.16
		:: ::1 fe80::1 fe80::1%eth0 fc00::1 fd00::1 fd00:ec2::254 fec0::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
		::ffff:169.254.169.254 ::127.0.0.1 ::10.0.0.1
		64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2002:a9fe:a9fe:: 2001::1 2001:db8::1 100::1 3fff::1 5f00::1
		2606:4700::5efe:127.0.0.1 2606:4700::200:5efe:10.0.0.1`) {
		ip, err := netip.ParseAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		if g.Allowed(ip) {
			t.Errorf("%s is allowed", a)
		}
	}
	for _, a := range strings.Fields(`1.1.1.1 8.8.8.8 93.184.216.34 172.32.0.1 100.128.0.1 2606:4700::1111 2a00:1450:4001:81b::200e ` +
		`64:ff9b::808:808 2002:808:808::1 ::ffff:8.8.8.8`) {
		if !g.Allowed(netip.MustParseAddr(a)) {
			t.Errorf("%s is refused", a)
		}
	}
}

// TestNoPacketReachesARefusedAddress checks with a real listener that no spelling and no redirect
// connects.
func TestNoPacketReachesARefusedAddress(t *testing.T) {
	came := 0
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came++ }))
	defer canary.Close()
	port := canary.URL[strings.LastIndex(canary.URL, ":"):]
	g, err := egress.NewGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTP_PROXY", canary.URL)
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433",
		"0x7f000001", "0177.0.0.1"} {
		resp, err := g.Client().Get("http://" + host + port + "/")
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s was reached", host)
			continue
		}
		if strings.Contains(err.Error(), "127.0.0.1:") && !strings.Contains(host, "127.0.0.1") {
			t.Errorf("%s: the error tells what the name resolved to: %v", host, err)
		}
	}
	if came != 0 {
		t.Errorf("%d requests arrived", came)
	}
}

func TestAllowedTargetsAreReached(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/here", http.StatusFound)
		}
	}))
	defer target.Close()
	for _, allow := range []string{"127.0.0.1", "127.0.0.0/8"} {
		g, err := egress.NewGuard([]string{allow})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := g.Client().Get(target.URL + "/away")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusFound {
			t.Error("a redirect was followed")
		}
		if err := g.Set(nil); err != nil {
			t.Fatal(err)
		}
		g.Client().CloseIdleConnections()
		if _, err := g.Client().Get(target.URL); !errors.Is(err, egress.ErrRefused) {
			t.Errorf("after the exception was taken back: %v", err)
		}
	}
	if _, err := egress.NewGuard([]string{"10.0.0.0/99"}); err == nil {
		t.Error("a wrong block was taken")
	}
}

// TestBothHalvesOfATransitionAddressMustPass checks that an exception for one part is not enough.
func TestBothHalvesOfATransitionAddressMustPass(t *testing.T) {
	for _, c := range []struct {
		allow []string
		addr  string
		want  bool
	}{
		{nil, "fd12:3456:789a:1:0:5efe:808:808", false}, // ISATAP: a private prefix around a public address
		{nil, "fe80::5efe:808:808", false},
		{nil, "fec0::200:5efe:808:808", false},
		{[]string{"fd00::/8"}, "fd12:3456:789a:1:0:5efe:808:808", true},
		{[]string{"fd00::/8"}, "fd12:3456:789a:1:0:5efe:a00:1", false},
		{[]string{"fd00::/8", "10.0.0.0/8"}, "fd12:3456:789a:1:0:5efe:a00:1", true},
		{[]string{"10.0.0.1"}, "64:ff9b::a00:1", true},
		{[]string{"10.0.0.1"}, "64:ff9b:1::a00:1", false}, // local-use NAT64 is itself private
		{[]string{"64:ff9b:1::/48"}, "64:ff9b:1::a00:1", false},
		{nil, "::ffff:0:808:808", false}, // IPv4-translated
		{[]string{"::ffff:0:0:0/96"}, "::ffff:0:a00:1", false},
		{[]string{"2001::/32"}, "2001:0:808:808::f5ff:fffe", false}, // Teredo, client 10.0.0.1
		{[]string{"2001::/32"}, "2001:0:a00:1::f7f7:f7f7", false},   // Teredo, server 10.0.0.1
		{[]string{"2001::/32"}, "2001:0:808:808::f7f7:f7f7", true},
		{[]string{"2002::/16"}, "2002:a00:1::", false},
		{[]string{"127.0.0.1"}, "::ffff:127.0.0.1", true},
		{[]string{"127.0.0.1"}, "::127.0.0.1", false},
		{nil, "4000::1", false}, // not allocated
	} {
		g, err := egress.NewGuard(c.allow)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Allowed(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%s with %v: %v", c.addr, c.allow, got)
		}
	}
}

// TestOwnListenersAreNeverDialled checks it for any egress.allow and any spelling of the address.
func TestOwnListenersAreNeverDialled(t *testing.T) {
	came := 0
	own := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came++ }))
	defer own.Close()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer other.Close()
	g, err := egress.NewGuard([]string{"127.0.0.0/8", "::/0", "0.0.0.0", "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	g.SetOwn(own.Listener.Addr())
	port := own.URL[strings.LastIndex(own.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "[::]"} {
		resp, err := g.Client().Get("http://" + host + port)
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, egress.ErrRefused) || !strings.Contains(err.Error(), "own") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if came > 0 {
		t.Errorf("%d requests arrived", came)
	}
	resp, err := g.Client().Get(other.URL)
	if err != nil {
		t.Fatalf("another server on this machine: %v", err)
	}
	resp.Body.Close()
}

// TestWithdrawnExceptionAppliesAtOnce checks idle connections, and those in use when it is
// withdrawn.
func TestWithdrawnExceptionAppliesAtOnce(t *testing.T) {
	hold := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-hold
		}
	}))
	defer target.Close()
	g, err := egress.NewGuard([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	c := g.Client()
	get := func(path string) error {
		resp, err := c.Get(target.URL + path)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := get("/"); err != nil {
		t.Fatal(err)
	}
	inFlight := make(chan error)
	go func() { inFlight <- get("/slow") }()
	if err := g.Set(nil); err != nil {
		t.Fatal(err)
	}
	if err := get("/"); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("over a kept connection: %v", err)
	}
	close(hold)
	if err := <-inFlight; err != nil && !errors.Is(err, egress.ErrRefused) {
		t.Errorf("the request in flight: %v", err)
	}
	if err := get("/"); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("over the connection that was in use: %v", err)
	}
}
