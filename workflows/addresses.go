package workflows

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/workflows/lazyregexp"
)

// listenAddress checks an address that the server listens on.
func (d *decoder) listenAddress(o *objectNode, key string) {
	text := o.text(key, "")
	if text == "" {
		return
	}
	_, port, err := net.SplitHostPort(text)
	example := map[string]string{"addr": "8080", "admin_addr": "8081"}[key]
	known := false
	if err == nil && port != "" {
		_, unknown := net.LookupPort("tcp", port)
		known = unknown == nil
	}
	switch {
	case known:
		return
	case strings.Contains(text, "://"):
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s is an address without a scheme, got %q", key, text),
			fmt.Sprintf(`write %s: "127.0.0.1:%s"; https is tls:`, key, example))
	case err != nil && strings.Trim(text, "0123456789") == "":
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q is only a port", key, text), fmt.Sprintf(`write %s: ":%s"`, key, text))
	case err != nil:
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q has no port", key, text),
			fmt.Sprintf(`write %s: "%s"`, key, net.JoinHostPort(strings.Trim(text, "[]:"), example)))
	default:
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q: the port is a number up to 65535", key, text),
			fmt.Sprintf(`write %s: "127.0.0.1:%s"`, key, example))
	}
}

// webAddress checks a URL of the project itself, given as plain text.
func (d *decoder) webAddress(o *objectNode, key string) {
	text := o.text(key, "")
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "":
		return
	case !strings.Contains(text, "://"):
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q has no scheme", key, text), "write "+key+": "+schemeFor(text)+text)
	default:
		d.add(o.at(key), "bad-address", fmt.Sprintf("%s %q is not an http URL", key, text), "write "+key+": https://hooks.example.com")
	}
}

// baseURL checks the constant part of a connection's base_url.
func (d *decoder) baseURL(v *Value) {
	text, constant := v.constantText()
	if v == nil || !constant {
		return
	}
	if strings.HasPrefix(text, "/") || text == "" {
		d.add(v.pos, "bad-address", fmt.Sprintf("base_url %q has no host", text), "write base_url: https://api.example.com")
		return
	}
	if problem, hint := urlProblem(text, false, true); problem != "" {
		d.add(v.pos, "bad-address", "base_url: "+problem, hint)
	}
}

// hostName matches a valid DNS host name.
var hostName = lazyregexp.New(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$`)

// allowed reads egress.allow: addresses, blocks and host names.
func (d *decoder) allowed(e *objectNode) []string {
	var out []string
	v := e.vals["allow"]
	if v == nil {
		return nil
	}
	for _, n := range v.Content {
		if problem, hint := allowProblem(n.Value); problem != "" {
			d.add(d.pos(n), "bad-address", "egress.allow: "+problem, hint)
			continue
		}
		out = append(out, n.Value)
	}
	return out
}

// destinationProblem says why a key of destinations can never match a host that a step calls.
func destinationProblem(key string) (problem, hint string) {
	if _, rest, found := strings.Cut(key, "://"); found {
		host, _, _ := strings.Cut(rest, "/")
		return fmt.Sprintf("%q is a URL", key), "write the host alone: " + host
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(key, "["), "]")
	if a, err := netip.ParseAddr(bare); err == nil && a.Is6() {
		if key != "["+a.String()+"]" {
			return fmt.Sprintf("%q is not how URLs write this address", key), fmt.Sprintf(`write "[%s]"`, a)
		}
		return "", ""
	}
	host, port, err := net.SplitHostPort(key)
	if err != nil {
		host, port = key, ""
	} else if n, bad := strconv.Atoi(port); bad != nil || n < 1 || n > 65535 || port != strconv.Itoa(n) {
		return fmt.Sprintf("%q: the port is a number from 1 to 65535", key), "write the host alone for all its ports, or api.example.com:8443"
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		if want := net.JoinHostPort(a.String(), port); key != want {
			return fmt.Sprintf("%q is not how URLs write this address", key), fmt.Sprintf("write %q", want)
		}
		return "", ""
	}
	switch before, _, path := strings.Cut(key, "/"); {
	case strings.Contains(key, "*"):
		return fmt.Sprintf("%q is not a host: patterns are not supported", key), "name each host"
	case path && hostName.MatchString(withoutPort(before)):
		return fmt.Sprintf("%q has a path, and limits are for a host", key), "write " + before
	case !hostName.MatchString(host) && isASCII(host):
		return fmt.Sprintf("%q is not a host", key), "write api.example.com, or api.example.com:8443"
	}
	if _, err := ASCIIHost(host); err != nil {
		return fmt.Sprintf("%q is not a valid host name", key), "write the host as in its URL, or in its ASCII form (xn--...)"
	}
	if err := undecodable(host); err != nil {
		return fmt.Sprintf("%q is not a host: %v", key, err), "write the host as in its URL, in its own letters"
	}
	return "", ""
}

// destinationHost returns a key of destinations as destination.Scope writes the host.
func destinationHost(key string) string {
	host, port := key, ""
	if i := strings.LastIndexByte(key, ':'); i > strings.LastIndexByte(key, ']') {
		host, port = key[:i], key[i:]
	}
	ascii, err := ASCIIHost(host)
	if err != nil {
		ascii = host // it is reported
	}
	return strings.ToLower(strings.TrimSuffix(ascii, ".")) + port
}

// allowProblem says what is wrong with an entry of egress.allow.
func allowProblem(text string) (problem, hint string) {
	if _, err := netip.ParsePrefix(text); err == nil {
		return "", ""
	}
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" {
			return fmt.Sprintf("%q has a zone", text), "write " + a.WithZone("").String()
		}
		return "", ""
	}
	if _, rest, found := strings.Cut(text, "://"); found {
		host, _, _ := strings.Cut(rest, "/")
		return fmt.Sprintf("%q is a URL", text), "write the host alone: " + withoutPort(host)
	}
	if before, bits, found := strings.Cut(text, "/"); found {
		if a, err := netip.ParseAddr(before); err == nil {
			return fmt.Sprintf("%q is not a CIDR block: %q is not from 0 to %d", text, bits, a.BitLen()), fmt.Sprintf("write %s/%d", a,
				a.BitLen()-8)
		}
		return fmt.Sprintf("%q is not an address, a CIDR block or a host name", text), "write the host alone: " + withoutPort(before)
	}
	switch host := withoutPort(text); {
	case host != text:
		return fmt.Sprintf("%q has a port, and all ports of a host are allowed", text), "write " + host
	case strings.Contains(text, "*"):
		return fmt.Sprintf("%q is not a host: patterns are not supported", text), "name each host, or a CIDR block such as 10.1.2.0/24"
	case strings.Trim(text, "0123456789.") == "":
		return fmt.Sprintf("%q is not an address", text), "four numbers up to 255, such as 10.1.2.3"
	case !hostName.MatchString(text):
		return fmt.Sprintf("%q is not an address, a CIDR block or a host name", text), "write 10.1.2.3, 10.1.2.0/24 or crm.internal"
	}
	return "", ""
}

// withoutPort cuts off a port such as :8080.
func withoutPort(text string) string {
	if host, port, err := net.SplitHostPort(text); err == nil && onlyDigits(port) {
		return host
	}
	return text
}

func onlyDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
