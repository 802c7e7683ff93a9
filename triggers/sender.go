package triggers

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
)

// sender is the origin of a request.
type sender struct {
	// ip is the caller's address: the connection's, or behind trusted proxies the last address that
	// does not belong to them. It is invalid if it cannot be read; problem is then the reason.
	ip      netip.Addr
	problem string
	// proxies are the trusted proxies that the request passed through, including the connection's.
	proxies int
}

// sender returns the origin of a request.
func (t *table) sender(r *http.Request) sender {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return sender{problem: "the connection has none"}
	}
	ip := ap.Addr().Unmap().WithZone("")
	if len(t.trusted) == 0 || !within(t.trusted, ip) {
		return sender{ip: ip}
	}
	return behind(t.trusted, ip, r.Header)
}

// behind returns the sender behind a trusted proxy.
func behind(trusted []netip.Prefix, proxy netip.Addr, h http.Header) sender {
	out := sender{ip: proxy}
	chain := forwardedFor(h)
	for i := len(chain) - 1; i >= 0; i-- {
		out.proxies++
		a, ok := parseNode(chain[i])
		if !ok {
			// The proxy's own address is no substitute: it may be an allowed one.
			out.ip, out.problem = netip.Addr{}, "a trusted proxy wrote "+quoted(chain[i])
			return out
		}
		if out.ip = a; !within(trusted, a) {
			return out
		}
	}
	if len(chain) == 0 {
		out.proxies = 1
	}
	return out
}

func quoted(s string) string { return "\"" + clip(strings.ToValidUTF8(s, "\ufffd"), 100) + "\"" }

// forwardedFor lists the addresses that proxies recorded, the nearest last: those of
// X-Forwarded-For, else of Forwarded (RFC 7239, section 5.2). Each header may be repeated.
func forwardedFor(h http.Header) []string {
	if lines := h.Values("X-Forwarded-For"); len(lines) > 0 {
		list := strings.Split(strings.Join(lines, ","), ",")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		return list
	}
	return forwarded(h, "for")
}

// forwarded returns one parameter of each element of Forwarded; empty if an element does not have
// it.
func forwarded(h http.Header, name string) []string {
	var out []string
	for _, element := range splitQuoted(strings.Join(h.Values("Forwarded"), ","), ',') {
		if strings.TrimSpace(element) == "" {
			continue
		}
		value := ""
		for _, pair := range splitQuoted(element, ';') {
			k, v, _ := strings.Cut(pair, "=")
			if strings.EqualFold(strings.TrimSpace(k), name) {
				value = strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
		out = append(out, value)
	}
	return out
}

// splitQuoted splits at a separator outside double quotes.
func splitQuoted(s string, separator byte) []string {
	if s == "" {
		return nil
	}
	var out []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			out, from = append(out, s[from:i]), i+1
		}
	}
	return append(out, s[from:])
}

// parseNode parses an address as proxies write it: with or without a port, IPv6 with or without
// brackets, a zone or quotes.
func parseNode(s string) (netip.Addr, bool) {
	s = strings.Trim(strings.TrimSpace(s), `"`)
	a, err := netip.ParseAddr(s)
	if err != nil {
		var ap netip.AddrPort
		if ap, err = netip.ParseAddrPort(s); err == nil {
			a = ap.Addr()
		}
	}
	if err != nil && strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		a, err = netip.ParseAddr(s[1 : len(s)-1])
	}
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// publicURL is the request's URL as the sender knows it: the configured one, else the one reported
// by a trusted proxy, else that of the request.
func (r *route) publicURL(req *http.Request, from sender) string {
	if r.public != "" {
		return r.public + req.URL.RequestURI()
	}
	scheme, host := "http", req.Host
	if req.TLS != nil {
		scheme = "https"
	}
	if from.proxies > 0 {
		if s := strings.ToLower(from.said(req.Header, "X-Forwarded-Proto", "proto")); s == "http" || s == "https" {
			scheme = s
		}
		if h := from.said(req.Header, "X-Forwarded-Host", "host"); hostName.MatchString(h) {
			host = h
		}
	}
	return scheme + "://" + host + req.URL.RequestURI()
}

// hostName matches a host as a proxy may name it: a name or an address, and a port.
var hostName = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$`)

// said returns what the outermost trusted proxy reported of the request: the first element that the
// proxies added; elements of the caller come before it.
func (s sender) said(h http.Header, header, parameter string) string {
	var list []string
	if lines := h.Values(header); len(lines) > 0 {
		list = strings.Split(strings.Join(lines, ","), ",")
	} else {
		list = forwarded(h, parameter)
	}
	if len(list) == 0 {
		return ""
	}
	return strings.TrimSpace(list[max(0, len(list)-max(1, s.proxies))])
}

// firstOf returns the first of a list of values.
func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

// Sender is a request's own address, or the one reported by a trusted proxy; invalid if a trusted
// proxy reports no readable address.
func Sender(r *http.Request, trusted []netip.Prefix) netip.Addr {
	return (&table{trusted: trusted}).sender(r).ip
}

// checkCaller checks the address and the client certificate of a caller. It returns "" if
// both are allowed, else the reason and a detail.
func (r *route) checkCaller(req *http.Request, from sender) (reason, detail string) {
	w := r.webhook
	if reason, detail = r.checkAddress(from); reason != "" || !w.ClientCert {
		return reason, detail
	}
	if req.TLS == nil || len(req.TLS.VerifiedChains) == 0 {
		return "client certificate needed", "the sender presented no client certificate issued by server.tls.client_ca"
	}
	if len(w.ClientNames) == 0 {
		return "", ""
	}
	leaf := req.TLS.VerifiedChains[0][0]
	names := append([]string{leaf.Subject.CommonName}, leaf.DNSNames...)
	for _, want := range w.ClientNames {
		for _, n := range names {
			if n != "" && n == want {
				return "", ""
			}
		}
	}
	return "client certificate not allowed", fmt.Sprintf("the certificate is for %.200q", strings.Join(names, ", "))
}

// checkAddress checks the address of a caller.
func (r *route) checkAddress(from sender) (reason, detail string) {
	w := r.webhook
	if len(w.AllowIPs) == 0 && !w.AllowProvider {
		return "", ""
	}
	if !from.ip.IsValid() {
		return "address not allowed", "the sender's address cannot be read: " + from.problem
	}
	if !within(w.AllowIPs, from.ip) && (!w.AllowProvider || r.preset == nil || !within(r.preset.IPs, from.ip)) {
		return "address not allowed", from.ip.String() + " is not in allow_ips"
	}
	return "", ""
}
