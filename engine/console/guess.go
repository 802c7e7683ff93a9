package console

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// freeGuesses wrong tokens of one address cost nothing: a person mistypes.
	freeGuesses = 5
	// longestPause is the most that an address waits after a wrong token.
	longestPause = time.Minute
	// forgetGuesses is how long an address must be quiet to begin anew, and
	// maxGuessers how many are followed.
	forgetGuesses = 15 * time.Minute
	maxGuessers   = 10_000
)

// guesses slows down whoever tries tokens, by address.
type guesses struct {
	mu   sync.Mutex
	byIP map[netip.Addr]*guesser
}

type guesser struct {
	wrong int
	last  time.Time
	until time.Time
}

// wait is how long an address has to wait before its next token is looked at; 0 for
// not at all.
func (g *guesses) wait(ip netip.Addr, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	x := g.byIP[network(ip)]
	if x == nil {
		return 0
	}
	return max(0, x.until.Sub(now))
}

// wrong notes a wrong token. It reports whether it is to be logged: the first of an
// address, and the one from which on it has to wait.
func (g *guesses) wrong(ip netip.Addr, now time.Time) (log bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ip = network(ip)
	x := g.byIP[ip]
	if x == nil || now.Sub(x.last) > forgetGuesses {
		g.makeRoom(now)
		x = &guesser{}
		g.byIP[ip] = x
	}
	x.wrong, x.last = x.wrong+1, now
	if over := x.wrong - freeGuesses; over >= 0 {
		x.until = now.Add(min(longestPause, time.Second<<min(over, 6)))
	}
	return x.wrong == 1 || x.wrong == freeGuesses
}

// right forgets an address that knows a token.
func (g *guesses) right(ip netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.byIP, network(ip))
}

func (g *guesses) makeRoom(now time.Time) {
	if g.byIP == nil {
		g.byIP = map[netip.Addr]*guesser{}
	}
	for ip, x := range g.byIP {
		if now.Sub(x.last) > forgetGuesses || len(g.byIP) >= maxGuessers {
			delete(g.byIP, ip)
		}
		if len(g.byIP) < maxGuessers/2 {
			break
		}
	}
}

// network is what one guesser has of addresses: one, or a /64 of IPv6.
func network(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	if ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}
