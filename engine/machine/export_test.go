package machine

import (
	"github.com/hookloom/hookloom/engine/memory"
)

// ShrinkMemory sets what the outputs of all runs at work may take together.
func (e *Engine) ShrinkMemory(n int64) { e.outputs = memory.NewBudget(n) }

// MemoryLent is what is lent of all budgets.
func (e *Engine) MemoryLent() (n int64) {
	for _, b := range []*memory.Budget{e.decoded, e.outputs, e.answers, e.parsed, e.lookups} {
		n += b.Lent()
	}
	return n
}
