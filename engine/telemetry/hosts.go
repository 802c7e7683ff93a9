package telemetry

import (
	"strings"
	"sync"

	"github.com/hookloom/hookloom/workflows"
)

// otherHosts is the label of the hosts beyond the busiest: a payload may choose where
// a step goes, and must not choose how many series there are.
const (
	otherHosts = "other"
	maxHosts   = 100
	// maxCandidates bounds the hosts without a label that are counted.
	maxCandidates = 1000
)

// hosts chooses which destinations have a label of their own: those that the
// project's files name, and the busiest of all others.
type hosts struct {
	project func() *workflows.Project
	// removed is told of a destination that has its label no more.
	removed func(destination string)

	mu sync.Mutex
	// named are the hosts of seen, the project they were read of.
	seen  *workflows.Project
	named map[string]bool
	// labelled and candidates count attempts.
	labelled, candidates map[string]int
}

func newHosts(project func() *workflows.Project, removed func(string)) *hosts {
	return &hosts{project: project, removed: removed, labelled: map[string]int{}, candidates: map[string]int{}}
}

// used counts an attempt to a destination and gives its label.
func (h *hosts) used(destination string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isNamed(destination) {
		return destination
	}
	if n, ok := h.labelled[destination]; ok {
		h.labelled[destination] = n + 1
		return destination
	}
	if len(h.labelled) < maxHosts {
		h.labelled[destination] = 1
		return destination
	}
	if len(h.candidates) >= maxCandidates {
		for d, n := range h.candidates {
			if n /= 2; n == 0 {
				delete(h.candidates, d)
			} else {
				h.candidates[d] = n
			}
		}
	}
	if _, ok := h.candidates[destination]; ok || len(h.candidates) < maxCandidates {
		h.candidates[destination]++
	}
	least, fewest := "", 0
	for d, n := range h.labelled {
		if least == "" || n < fewest {
			least, fewest = d, n
		}
	}
	// Twice as busy, so that two of a kind do not take turns.
	if n := h.candidates[destination]; n > 2*fewest {
		delete(h.labelled, least)
		delete(h.candidates, destination)
		h.labelled[destination] = n
		h.removed(least)
		return destination
	}
	return otherHosts
}

// label returns the label of a destination without counting.
func (h *hosts) label(destination string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.labelled[destination]; ok || h.isNamed(destination) {
		return destination
	}
	return otherHosts
}

// isNamed is called with the lock held.
func (h *hosts) isNamed(destination string) bool {
	if p := h.project(); p != h.seen {
		h.seen, h.named = p, nil
		if p != nil {
			h.named = p.Hosts()
		}
	}
	_, host, _ := strings.Cut(destination, "://")
	return h.named[strings.ToLower(host)]
}
