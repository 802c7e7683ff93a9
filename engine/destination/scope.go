package destination

import (
	"maps"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/hookloom/hookloom/workflows"
)

// shared are hosts at which each receiver has its own address, and the number of path segments that
// identify one. A delay requested by one receiver does not apply to the others. The segments
// exclude the token in such addresses.
//
// Sources: discord.com/developers/docs/resources/webhook (/api/webhooks/ID/TOKEN),
// api.slack.com/messaging/webhooks (/services/T/B/TOKEN), help.zapier.com "Trigger Zap workflows
// from webhooks" (/hooks/catch/ACCOUNT/HOOK).
var shared = map[string]int{
	"discord.com": 3, "discordapp.com": 3, "canary.discord.com": 3, "ptb.discord.com": 3,
	"hooks.slack.com": 3, "hooks.zapier.com": 3, "maker.ifttt.com": 2,
}

// Scope returns the name of a URL's destination. origin is its scheme, host and port. The name is
// origin itself, plus the first path segments for a host that many receivers share. The dot that may end
// the name of a host is removed, and an international name is in its ASCII form: the host is the same, and so
// are its limits.
func Scope(origin, rawPath string) string {
	origin = inASCII(origin)
	origin = strings.Replace(strings.TrimSuffix(origin, "."), ".:", ":", 1)
	n := shared[hostname(origin)]
	if n == 0 {
		return origin
	}
	parts := strings.Split(strings.TrimPrefix(rawPath, "/"), "/")
	if len(parts) <= n {
		return origin
	}
	for _, p := range parts[:n] {
		if len(p) > 64 || strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			return origin
		}
	}
	return origin + "/" + strings.Join(parts[:n], "/")
}

// inASCII returns an origin, or a host, with its host in ASCII.
func inASCII(origin string) string {
	start := 0
	if i := strings.Index(origin, "://"); i >= 0 {
		start = i + len("://")
	}
	host, _, _ := strings.Cut(origin[start:], "/")
	rest := origin[start+len(host):]
	if hasPort(host) {
		i := strings.LastIndexByte(host, ':')
		host, rest = host[:i], host[i:]+rest
	}
	ascii, err := workflows.ASCIIHost(host)
	if err != nil {
		return origin // the attempt fails, and says why
	}
	return origin[:start] + ascii + rest
}

// hostname is the host of an origin in lower case, without its port. It runs for every
// attempt, so it does not parse the whole URL.
func hostname(origin string) string {
	_, host, _ := strings.Cut(origin, "://")
	host, _, _ = strings.Cut(host, "/")
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(host)
}

// originOf is a destination's name without the path of its scope.
func originOf(name string) string {
	scheme, rest, ok := strings.Cut(name, "://")
	if !ok {
		return name
	}
	host, _, _ := strings.Cut(rest, "/")
	return name[:len(scheme)+len("://")+len(host)]
}

// nameOf is the key of a destination: a host with limits set by the project is one destination,
// even if receivers share it.
func (ds *Table) nameOf(name string) string {
	if _, bounded := ds.limitOf(name); bounded {
		return originOf(name)
	}
	return name
}

// limitOf returns the limits that the project sets for a destination, and whether there are any. A host
// with this port takes precedence over the host alone, which applies to all of its other ports. Users need
// not know that the name of a destination contains the port of a mail server or database, and not that of https.
func (ds *Table) limitOf(name string) (workflows.Limit, bool) {
	if len(ds.limits) == 0 {
		return workflows.Limit{}, false
	}
	host := strings.ToLower(hostOf(name))
	if l, ok := ds.limits[host]; ok && hasPort(host) {
		return l, true
	}
	if port := defaultPort(name); port != "" && !hasPort(host) {
		if l, ok := ds.limits[host+port]; ok {
			return l, true
		}
	}
	if hasPort(host) {
		host = host[:strings.LastIndexByte(host, ':')]
	}
	l, ok := ds.limits[host]
	return l, ok
}

// hasPort reports whether a host, which may be an IPv6 address in brackets, has a port.
func hasPort(host string) bool {
	return strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']')
}

// defaultPort is the port that names of the scheme lack.
func defaultPort(name string) string {
	switch {
	case strings.HasPrefix(name, "https://"):
		return ":443"
	case strings.HasPrefix(name, "http://"):
		return ":80"
	}
	return ""
}

// held reports whether something other than its limits holds attempts back.
func (d *destination) held(now time.Time) bool {
	return d.asked.After(now) || d.closedUntil.After(now) || d.ramp != nil || d.breaker.State() != gobreaker.StateClosed
}

// Lift removes what holds a destination back: an open circuit, a requested delay, and the slow
// start after an outage. A host's name selects all of its destinations. It returns how many were
// held.
func (ds *Table) Lift(name string) int {
	name = inASCII(strings.TrimRight(name, "/"))
	ds.mu.Lock()
	var lifted []*destination
	now := time.Now()
	maps.DeleteFunc(ds.fromOthers, func(x string, _ time.Time) bool { return x == name || originOf(x) == name || hostOf(x) == name })
	for _, d := range ds.byName {
		if d.name != name && originOf(d.name) != name && hostOf(d.name) != name || !d.held(now) {
			continue
		}
		d.asked, d.passedOn, d.closedUntil, d.ramp, d.limit = time.Time{}, time.Time{}, time.Time{}, nil, d.max
		d.breaker = ds.newBreaker(d)
		lifted = append(lifted, d)
	}
	ds.mu.Unlock()
	for _, d := range lifted {
		ds.offerNext(d)
	}
	return len(lifted)
}

// Origins returns the origins under which attempts to a destination, or to a host, are stored. The
// origin of a name with a path is shared with other destinations: it is returned only if scoped.
func Origins(name string, scoped bool) []string {
	name = inASCII(strings.TrimRight(name, "/"))
	switch origin := originOf(name); {
	case !strings.Contains(name, "://"):
		return []string{"https://" + name, "http://" + name}
	case origin == name || scoped:
		return []string{origin}
	}
	return nil
}
