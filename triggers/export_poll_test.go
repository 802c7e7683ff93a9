package triggers

import "time"

// SetNow sets the clock of the polls.
func (n *Inlets) SetNow(now func() time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.set.pollers {
		p.now = now
	}
}

// SetFirstPages sets how many pages a first poll reads at most.
func (n *Inlets) SetFirstPages(pages int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.set.pollers {
		p.firstPages = pages
	}
}
