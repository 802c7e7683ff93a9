package console

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// freeGuesses is the number of wrong tokens per address without a wait, to allow typing
	// mistakes.
	freeGuesses = 5
	// longestPause is the maximum wait after a wrong token.
	longestPause = time.Minute
	// forgetGuesses is the time without wrong tokens after which an address starts over;
	// maxGuessers is the number of addresses tracked.
	forgetGuesses = 15 * time.Minute
	maxGuessers   = 10_000
)

// guesses delays guessing of tokens, per address.
type guesses struct {
	mu   sync.Mutex
	byIP map[netip.Addr]*guesser
}

type guesser struct {
	wrong int
	last  time.Time
	until time.Time
}

// wait returns how long an address must wait before its next token is checked; 0 if it need not.
func (g *guesses) wait(ip netip.Addr, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	x := g.byIP[network(ip)]
	if x == nil {
		return 0
	}
	return max(0, x.until.Sub(now))
}

// wrong records a wrong token. It reports whether to log it: the first of an address, and the one
// after which it has to wait.
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

// forget forgets an address that has a valid token.
func (g *guesses) forget(ip netip.Addr) {
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

// network returns the addresses that one attacker controls: one address, or a /64 of IPv6.
func network(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	if ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}
