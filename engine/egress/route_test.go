package egress_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine/egress"
)

// tunnel is a proxy on loopback that connects and records the requests.
type tunnel struct {
	mu    sync.Mutex
	asked []string
	// refuse is the status of its responses; 0 to connect.
	refuse int
}

// ServeHTTP implements http.Handler.
func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.RequestURI+" "+r.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	if p.refuse != 0 || r.Method != http.MethodConnect {
		w.WriteHeader(max(p.refuse, http.StatusOK))
		_, _ = io.WriteString(w, "from the proxy")
		return
	}
	to, err := net.Dial("tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	from, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(to, buffered); _ = to.Close() }()
	_, _ = io.Copy(from, to)
	_ = from.Close()
}

// TestTargetBehindAProxyIsCheckedToo checks that requests go through the proxy, and that none is
// sent to it for a target that is known here to be refused.
func TestTargetBehindAProxyIsCheckedToo(t *testing.T) {
	target := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "from the target"+r.Header.Get("Proxy-Authorization"))
	}))
	defer target.Close()
	proxy := &tunnel{}
	server := httptest.NewServer(proxy)
	defer server.Close()
	g, err := egress.NewGuard([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	through := func(g *egress.Guard) *http.Client {
		u, _ := url.Parse(server.URL)
		u.User = url.UserPassword("me", "p@ss")
		c, err := egress.Through(g.Client(), egress.Route{Proxy: u,
			TLS: &tls.Config{RootCAs: target.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
	for asked, want := range map[string]string{target.URL: "from the target", "http://only-the-proxy.invalid/a": "from the proxy"} {
		resp, err := through(g).Get(asked)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != want {
			t.Errorf("%s: %s", asked, b)
		}
		resp.Body.Close()
	}
	if all := strings.Join(proxy.asked, "\n"); len(proxy.asked) != 2 || strings.Count(all, " Basic bWU6cEBzcw==") != 2 {
		t.Errorf("the proxy was asked %q", proxy.asked)
	}
	for _, host := range strings.Fields(`10.0.0.1
		169.254.169.254 [::1] [::ffff:10.0.0.1] 127.1 2130706433 0x7f000001 0177.0.0.1 １０.0.0.1 ⓛocalhost`) {
		if resp, err := through(g).Get("http://" + host + "/"); !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s: %v %v", host, resp, err)
		}
	}
	g.SetOwn(target.Listener.Addr())
	if _, err := through(g).Get(target.URL); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("the server's own address: %v", err)
	}
	g.SetOwn()
	strict, err := egress.NewGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, asked := range []string{"http://1.1.1.1/", "http://localhost/"} { // the proxy's own address, and the target's
		if _, err := through(strict).Get(asked); !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s: %v", asked, err)
		}
	}
	if len(proxy.asked) != 2 {
		t.Errorf("the proxy was asked %q", proxy.asked)
	}
	proxy.refuse = http.StatusProxyAuthRequired
	var refused *egress.ProxyError
	if _, err := through(g).Get(target.URL); !errors.As(err, &refused) || refused.Status != http.StatusProxyAuthRequired {
		t.Errorf("a proxy that refuses: %v", err)
	}
}
