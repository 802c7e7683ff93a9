package egress

import "net/netip"

// notPublic are the non-public blocks of the IANA special-purpose registries, and the metadata
// addresses of the large clouds. Source: RFC 6890 and its updates; iana-ipv4-special-registry,
// iana-ipv6-special-registry, read 2026-11.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", "2001::/23", "2001:db8::/32", "3fff::/20")

// public6 are the only public IPv6 blocks: the block that IANA allocates as global unicast
// (iana-ipv6-address-space), and the well-known NAT64 prefix, which represents the embedded IPv4
// address (RFC 6052).
var public6 = prefixes("2000::/3", "64:ff9b::/96")

var (
	nat64         = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052, well-known
	nat64Local    = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215, local use
	sixToFour     = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo        = netip.MustParsePrefix("2001::/32")       // RFC 4380
	translated    = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765, IPv4-translated
	compatible    = netip.MustParsePrefix("::/96")           // RFC 4291, IPv4-compatible
	unspecifiedV6 = netip.MustParsePrefix("::/127")          // :: and ::1 contain no IPv4 address
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// embedded returns the IPv4 addresses in a transition address, to which the network would deliver.
func embedded(a netip.Addr) []netip.Addr {
	b := a.As16()
	v4 := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	var out []netip.Addr
	switch {
	case nat64.Contains(a), nat64Local.Contains(a), translated.Contains(a), compatible.Contains(a) && !unspecifiedV6.Contains(a):
		out = append(out, v4(12))
	case sixToFour.Contains(a):
		out = append(out, v4(2))
	case teredo.Contains(a):
		// The server's address, and the client's with inverted bits.
		out = append(out, v4(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if (b[8]&^0x03 == 0) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe { // ISATAP, RFC 5214 6.1: the u and g bits vary
		out = append(out, v4(12))
	}
	return out
}

// Allowed reports whether an address is allowed. For a transition address both parts must be
// allowed: the address itself, and each embedded IPv4 address.
func (gd *Guard) Allowed(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if !a.IsValid() || !gd.allowedAlone(a) {
		return false
	}
	if a.Is6() {
		for _, v4 := range embedded(a) {
			if !gd.allowedAlone(v4) {
				return false
			}
		}
	}
	return true
}

// allowedAlone checks an address without embedded ones.
func (gd *Guard) allowedAlone(a netip.Addr) bool {
	if within(gd.rules.Load().prefixes, a) {
		return true
	}
	return a.IsGlobalUnicast() && !within(notPublic, a) && (a.Is4() || within(public6, a))
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
