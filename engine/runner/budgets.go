package runner

import "github.com/hookloom/hookloom/engine/memory"

// Budgets bound the memory of what runs at work hold besides their events, see outputs.go.
type Budgets struct {
	Outputs, Answers, Parsed, Lookups *memory.Budget
}

// NewBudgets gives the budgets of a process.
func NewBudgets() *Budgets {
	return &Budgets{Outputs: memory.NewBudget(maxOutputs), Answers: memory.NewBudget(maxAnswers), Parsed: memory.NewBudget(maxParsed),
		Lookups: memory.NewBudget(maxLookups)}
}
