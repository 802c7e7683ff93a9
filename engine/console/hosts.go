package console

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/workflows"
)

// This file lists the hosts that steps call, and their dead letters.

// CheckHost returns an error for a filter by a host that the project does not name and to which no
// attempt is recorded. p and live may be nil.
func CheckHost(ctx context.Context, host string, p *workflows.Project, live func() []destination.State, log HostLog) error {
	if host == "" {
		return nil
	}
	bare := bareHost(host)
	var known []string
	if p != nil {
		known = sortedNames(p.Hosts())
	}
	if live != nil {
		for _, d := range live() {
			known = append(known, bareHost(d.Name))
			if d.Host != "" {
				known = append(known, bareHost(d.Host))
			}
		}
	}
	if slices.Contains(known, bare) {
		return nil
	}
	found, err := log.HasHost(ctx, host)
	if found || err != nil {
		return err
	}
	failed, err := log.FailedHosts(ctx)
	if err != nil {
		return err
	}
	for _, h := range failed {
		known = append(known, bareHost(h))
	}
	slices.Sort(known)
	return fmt.Errorf("%w: no attempt went to host %q; known are %s", engine.ErrQuery, host, some(slices.Compact(known)))
}

// bareHost returns a host without scheme and path.
func bareHost(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	name, _, _ = strings.Cut(name, "/")
	return name
}

// destinationItem is the state of a host, with its dead letters.
type destinationItem struct {
	destination.State
	// DeadLetters is the number of dead letters for it that were not replayed.
	DeadLetters int `json:"dead_letters"`
	// Down reports whether it does not respond.
	Down bool `json:"down"`
}

// unused is the circuit state of a host that was not called since the server started.
const unused = "unused"

// destinations lists the hosts that steps call, those with problems first.
func (c *Console) destinations(ctx context.Context) ([]destinationItem, error) {
	dead, err := c.deadByHost(ctx)
	if err != nil {
		return nil, err
	}
	items := []destinationItem{}
	seen := map[string]bool{}
	for _, d := range c.o.Operator.Destinations() {
		x := destinationItem{State: d, Down: d.Down()}
		if d.Name == d.Host || d.Host == "" {
			x.DeadLetters = dead[d.Name]
			seen[d.Name] = true
		}
		items = append(items, x)
	}
	for _, host := range sortedNames(dead) {
		if !seen[host] {
			items = append(items, destinationItem{State: destination.State{Name: host, Host: host, Circuit: unused},
				DeadLetters: dead[host]})
		}
	}
	trouble := func(x destinationItem) int {
		switch {
		case x.Down:
			return 0
		case x.Waiting > 0:
			return 1
		case x.DeadLetters > 0:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(items, func(a, b destinationItem) int {
		if d := trouble(a) - trouble(b); d != 0 {
			return d
		}
		if d := b.Waiting + b.DeadLetters - a.Waiting - a.DeadLetters; d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return items, nil
}

// deadByHost counts all dead letters by host.
func (c *Console) deadByHost(ctx context.Context) (map[string]int, error) {
	groups, err := c.allDead(ctx)
	out := map[string]int{}
	for _, g := range groups {
		if g.Host != "" {
			out[g.Host] += g.Count
		}
	}
	return out, err
}
