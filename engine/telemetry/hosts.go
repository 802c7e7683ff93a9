package telemetry

import (
	"strings"
	"sync"

	"github.com/hookloom/hookloom/workflows"
)

// otherHosts is the label of all but the busiest hosts: a payload may determine the host of a step,
// but must not determine the number of series.
const (
	otherHosts = "other"
	maxHosts   = 100
	// maxCandidates is the maximum number of hosts without a label that are counted.
	maxCandidates = 1000
)

// hosts chooses which destinations have their own label: those that the project's files name, and
// the busiest others.
type hosts struct {
	project func() *workflows.Project
	// removed is called when a destination loses its label.
	removed func(destination string)

	mu sync.Mutex
	// named are the hosts in the files of project seen.
	seen  *workflows.Project
	named map[string]bool
	// labelled and candidates count attempts.
	labelled, candidates map[string]int
}

func newHosts(project func() *workflows.Project, removed func(string)) *hosts {
	return &hosts{project: project, removed: removed, labelled: map[string]int{}, candidates: map[string]int{}}
}

// used counts an attempt to a destination and returns its label.
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
	// Twice as busy, so that two hosts do not alternate.
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

// isNamed reports whether the project names the destination. The caller holds the lock.
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
