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
