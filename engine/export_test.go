package engine

// ShrinkMemory sets what the outputs of all runs at work may take together.
func (e *Engine) ShrinkMemory(n int64) { e.outputs = NewBudget(n) }

// MemoryLent is what is lent of all budgets.
func (e *Engine) MemoryLent() (n int64) {
	for _, b := range []*Budget{e.decoded, e.outputs, e.answers, e.parsed, e.lookups} {
		b.mu.Lock()
		n += b.size - b.free
		b.mu.Unlock()
	}
	return n
}
