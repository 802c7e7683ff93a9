package egress

import (
	"net"
	"net/netip"
	"testing"
)

// TestAnAddressOfThisMachineIsLocalInEachSpelling: as IPv4, as IPv4 in IPv6 and with a zone; an address of another machine is not.
func TestAnAddressOfThisMachineIsLocalInEachSpelling(t *testing.T) {
	for text, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "0.0.0.0": true, "::": true,
		"::ffff:127.0.0.1": true, "::ffff:0.0.0.0": true, "::1%eth0": true, "::%eth0": true, "192.0.2.1": false, "::ffff:192.0.2.1": false,
		"2001:db8::1": false, "fe80::dead:beef:1%eth0": false, "::ffff:127.0.0.1%eth0": true} {
		a, err := netip.ParseAddr(text)
		if err != nil {
			continue // Go refuses a zone after an IPv4 address
		}
		if got := isLocal(a); got != want {
			t.Errorf("%s is local: %t", text, got)
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range addrs {
		n, ok := x.(*net.IPNet)
		if !ok {
			continue
		}
		a, _ := netip.AddrFromSlice(n.IP)
		spelled := []netip.Addr{a, a.Unmap()}
		if a = a.Unmap(); a.Is4() {
			spelled = append(spelled, netip.AddrFrom16(a.As16()), netip.AddrFrom16(a.As16()).WithZone("eth0"))
		} else {
			spelled = append(spelled, a.WithZone("eth0"))
		}
		for _, a := range spelled {
			if !isLocal(a) {
				t.Errorf("%s of this machine is not local", a)
			}
		}
	}
}

// TestAHostThatEndsInANumberIsAnAddress in some spelling, and is not looked up.
func TestAHostThatEndsInANumberIsAnAddress(t *testing.T) {
	for host, want := range map[string]bool{"": false, ".": false, "a.": false, "127.1": true, "0x7f000001": true, "a.0x": true,
		"a.0xg": false, "2130706433": true, "a.b1": false, "a.1b": false, "1.a": false, "0xa.b": false, "a.0xff": true, "a.9": true, "x9": false,
		"a.0X1": false} {
		if got := endsInNumber(host); got != want {
			t.Errorf("%q ends in a number: %t", host, got)
		}
	}
}

// TestMethodsWithoutAnEffectMayBeRepeated, and no others.
func TestMethodsWithoutAnEffectMayBeRepeated(t *testing.T) {
	for method, want := range map[string]bool{"": true, "GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "POST": false, "PUT": false,
		"DELETE": false, "PATCH": false, "CONNECT": false, "get": false} {
		if got := repeatable(method); got != want {
			t.Errorf("%q may be repeated: %t", method, got)
		}
	}
	if got := (&ProxyError{407}).Error() + "; " + (&ProxyError{799}).Error(); got != "the proxy answered 407 Proxy Authentication Required; "+
		"the proxy answered 799" {
		t.Error(got)
	}
}
