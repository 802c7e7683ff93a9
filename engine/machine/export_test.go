package machine

import (
	"github.com/hookloom/hookloom/engine/memory"
)

// ShrinkMemory sets what the outputs of all runs at work may take together.
func (e *Engine) ShrinkMemory(n int64) { e.budgets.Outputs = memory.NewBudget(n) }

// MemoryLent is what is lent of all budgets.
func (e *Engine) MemoryLent() (n int64) {
	b := e.budgets
	for _, b := range []*memory.Budget{e.store.Decoded, b.Outputs, b.Answers, b.Parsed, b.Lookups} {
		n += b.Lent()
	}
	return n
}
