package workflows

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// privateConnections warns about connections to addresses that steps cannot reach because
// egress.allow does not list them.
func (l *loader) privateConnections() {
	for _, name := range slices.Sorted(maps.Keys(l.p.Connections)) {
		c := l.p.Connections[name]
		v, pos := c.BaseURL, c.pos
		if v != nil {
			pos = v.pos
		} else if k := l.p.Actions.connection(c.Connector); k != nil {
			v = k.BaseURL
		}
		text, constant := v.constantText()
		if v == nil || !constant || c.src == nil {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || !privateHost(u.Hostname()) || allowsHost(l.p.Egress.Allow, u.Hostname()) {
			continue
		}
		hint := fmt.Sprintf("add to hookloom.yaml: egress: {allow: [%s]}", quoteYAML(u.Hostname()))
		if len(l.p.Egress.Allow) > 0 {
			hint = fmt.Sprintf("add %s to egress.allow in hookloom.yaml", u.Hostname())
		}
		c.src.report(pos, "private-address", true, fmt.Sprintf("connection %s calls the private address %s, and egress.allow does not list it",
			name, u.Hostname()), hint)
	}
}

// sharedAddresses is the shared address space between a provider and its customers (RFC 6598).
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// privateHost reports whether a host is written as a non-public address. The guard of outbound
// requests checks more address ranges, and resolved names.
func privateHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || sharedAddresses.Contains(a)
}

// allowsHost reports whether entries of egress.allow include a host. localhost is any address of
// this machine.
func allowsHost(allow []string, host string) bool {
	a, err := netip.ParseAddr(host)
	for _, entry := range allow {
		if strings.EqualFold(strings.TrimSuffix(entry, "."), host) {
			return true
		}
		block, berr := netip.ParsePrefix(entry)
		if one, oerr := netip.ParseAddr(entry); oerr == nil {
			block, berr = netip.PrefixFrom(one, one.BitLen()), nil
		}
		switch {
		case berr != nil:
		case err == nil && block.Contains(a.Unmap()), err != nil && block.Addr().IsLoopback():
			return true
		}
	}
	return false
}
