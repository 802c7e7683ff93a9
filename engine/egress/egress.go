// Package egress provides the only HTTP client for outbound requests. It checks the address that is
// about to be dialed, after DNS resolution, so that no URL, redirect or rebinding name reaches
// loopback, private or metadata addresses unless the configuration allows it. It must not know
// workflows, actions or secrets.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrRefused is wrapped by the error of a request to an address that is not allowed. The error does
// not disclose the address to which a name resolved.
var ErrRefused = errors.New("address not allowed")

// errOwn means that the address is a listener of this process.
var errOwn = fmt.Errorf("%w: it is this server's own address, which steps may never call, whatever egress.allow says", ErrRefused)

// Guard decides which addresses may be dialed. Its methods are safe for concurrent use.
type Guard struct {
	rules atomic.Pointer[rules]
	// own are the addresses on which this process listens.
	own atomic.Pointer[[]netip.AddrPort]
	// transport has the connections made under the current rules.
	transport atomic.Pointer[http.Transport]
	// places limits the number of connections.
	places places
	// mayBegin, if set, reports whether a request may be written now.
	mayBegin atomic.Pointer[func() bool]
}

// rules are the current exceptions.
type rules struct {
	// allow is the list as written.
	allow    []string
	prefixes []netip.Prefix
	hosts    map[string]bool
}

// NewGuard returns a guard with the given exceptions, in the form that Set takes.
func NewGuard(allow []string) (*Guard, error) {
	g := &Guard{}
	g.own.Store(&[]netip.AddrPort{})
	return g, g.Set(allow)
}

// Set replaces the exceptions by the entries of egress.allow: addresses, CIDR blocks, host names. A
// host name allows whatever it resolves to. After a change, no new request uses a connection made
// under the previous list; requests in flight complete on theirs.
func (gd *Guard) Set(allow []string) error {
	g := &rules{allow: slices.Clone(allow), hosts: map[string]bool{}}
	for _, a := range allow {
		if p, err := netip.ParsePrefix(a); err == nil {
			g.prefixes = append(g.prefixes, p.Masked())
		} else if ip, err := netip.ParseAddr(a); err == nil {
			g.prefixes = append(g.prefixes, netip.PrefixFrom(ip, ip.BitLen()))
		} else if strings.ContainsAny(a, "/ ") || a == "" {
			return fmt.Errorf("egress.allow: %q is not an address, a CIDR block or a host name", a)
		} else {
			g.hosts[canonicalHost(a)] = true
		}
	}
	before := gd.rules.Swap(g)
	if before != nil && slices.Equal(before.allow, g.allow) {
		return nil
	}
	if old := gd.transport.Swap(gd.newTransport()); old != nil {
		old.CloseIdleConnections()
	}
	return nil
}

// SetMayBegin sets a condition that is looked at immediately before a request is written. While it does
// not hold, the request waits.
func (gd *Guard) SetMayBegin(may func() bool) { gd.mayBegin.Store(&may) }

// SetOwn sets the addresses on which this process listens. They are never dialed, whatever
// egress.allow says: a payload's URL must not operate the console or send an event to this server.
func (gd *Guard) SetOwn(listeners ...net.Addr) {
	var own []netip.AddrPort
	for _, l := range listeners {
		if t, ok := l.(*net.TCPAddr); ok {
			own = append(own, t.AddrPort())
		}
	}
	gd.own.Store(&own)
}

// isOwn reports whether a dialed address reaches a listener of this process. Any local address with
// the listener's port counts: an unspecified address dials loopback, and one listener may serve all
// interfaces.
func (gd *Guard) isOwn(to netip.AddrPort) bool {
	for _, l := range *gd.own.Load() {
		if l.Port() == to.Port() && isLocal(to.Addr()) {
			return true
		}
	}
	return false
}

// isLocal reports whether an address belongs to this machine. It returns true if the interfaces
// cannot be listed.
func isLocal(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, x := range addrs {
		if n, ok := x.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a {
				return true
			}
		}
	}
	return false
}

func canonicalHost(h string) string { return strings.ToLower(strings.TrimSuffix(h, ".")) }

// dial resolves and connects; it checks each address that is passed to the kernel.
func (gd *Guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling: %w", err)
	}
	anyAddress := gd.rules.Load().hosts[canonicalHost(host)]
	d.Control = func(network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		switch {
		case err != nil:
			return ErrRefused
		case gd.isOwn(ap):
			return errOwn
		case !anyAddress && !gd.Allowed(ap.Addr()):
			return ErrRefused
		}
		return nil
	}
	release, err := gd.places.take(ctx, gd.closeIdle)
	if err != nil {
		return nil, err
	}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		release()
	}
	switch {
	case errors.Is(err, errOwn):
		return nil, fmt.Errorf("%s: %w", address, errOwn)
	case errors.Is(err, ErrRefused):
		return nil, fmt.Errorf("%s: %w (egress.allow in hookloom.yaml lists exceptions)", host, ErrRefused)
	}
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: c, release: release}, nil
}

// Client returns the HTTP client for outbound requests: no proxy from the environment, no cookies,
// no redirects, no transparent decompression, and no automatic retry of a request with an effect
// (see Once). All clients of a guard share connections.
func (gd *Guard) Client() *http.Client {
	return &http.Client{
		Transport:     transport{gd},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newTransport returns an empty connection pool.
//
// It keeps as many idle connections as runs can be active (512); with fewer, the remaining calls
// would each dial.
func (gd *Guard) newTransport() *http.Transport {
	return &http.Transport{
		Proxy: nil, DialContext: gd.dial, ForceAttemptHTTP2: true, MaxIdleConns: 1024, MaxIdleConnsPerHost: 512,
		IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 0,
		ExpectContinueTimeout: time.Second, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	}
}

// transport sends each request over connections made under the current rules.
type transport struct{ guard *Guard }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if may := t.guard.mayBegin.Load(); may != nil {
		r = gated(r, *may)
	}
	return sendOnce(t.guard.transport.Load(), r)
}

// CloseIdleConnections supports http.Client.CloseIdleConnections.
func (t transport) CloseIdleConnections() { t.guard.transport.Load().CloseIdleConnections() }
