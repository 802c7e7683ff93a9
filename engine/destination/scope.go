package destination

import (
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"
)

// shared are hosts at which each receiver has an address of its own, and how many
// segments of the path name one. What one of them asks for is not for the others. The
// segments do not reach the token that is part of such addresses.
//
// Sources: discord.com/developers/docs/resources/webhook (/api/webhooks/ID/TOKEN),
// api.slack.com/messaging/webhooks (/services/T/B/TOKEN), help.zapier.com "Trigger Zap
// workflows from webhooks" (/hooks/catch/ACCOUNT/HOOK).
var shared = map[string]int{
	"discord.com": 3, "discordapp.com": 3, "canary.discord.com": 3, "ptb.discord.com": 3,
	"hooks.slack.com": 3, "hooks.zapier.com": 3, "maker.ifttt.com": 2,
}

// Scope returns the name of the destination of a URL whose scheme, host and port are
// given as origin: origin itself, and at a host that many receivers share the first
// segments of the path as well.
func Scope(origin, rawPath string) string {
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

// nameOf is the name under which a destination is kept: a host that has bounds of the
// project's own is one, whoever shares it.
func (ds *Table) nameOf(name string) string {
	if _, bounded := ds.limits[hostOf(name)]; bounded {
		return originOf(name)
	}
	return name
}

// held reports whether something else than its bounds holds attempts back.
func (d *destination) held(now time.Time) bool {
	return d.asked.After(now) || d.closedUntil.After(now) || d.ramp != nil || d.breaker.State() != gobreaker.StateClosed
}

// Lift ends what holds a destination back: an open circuit, the time that it asked to be
// left alone, and the slow start after an outage. A host's name means all of its
// destinations. It returns how many were held.
func (ds *Table) Lift(name string) int {
	name = strings.TrimRight(name, "/")
	ds.mu.Lock()
	var lifted []*destination
	now := time.Now()
	for _, d := range ds.byName {
		if d.name != name && originOf(d.name) != name && hostOf(d.name) != name || !d.held(now) {
			continue
		}
		d.asked, d.closedUntil, d.ramp, d.limit = time.Time{}, time.Time{}, nil, d.max
		d.breaker = ds.newBreaker(d)
		lifted = append(lifted, d)
	}
	ds.mu.Unlock()
	for _, d := range lifted {
		ds.callNext(d)
	}
	return len(lifted)
}

// Origins returns the origins by which attempts to a destination are on record, for the
// name of one or a host. Those of a name with a path are of others too: they are given
// with scoped alone.
func Origins(name string, scoped bool) []string {
	name = strings.TrimRight(name, "/")
	switch origin := originOf(name); {
	case !strings.Contains(name, "://"):
		return []string{"https://" + name, "http://" + name}
	case origin == name || scoped:
		return []string{origin}
	}
	return nil
}
