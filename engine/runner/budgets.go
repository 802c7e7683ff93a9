package runner

import "github.com/hookloom/hookloom/engine/memory"

// Budgets bound the memory that running runs use besides their events, see outputs.go.
type Budgets struct {
	Outputs, Answers, Parsed, Lookups *memory.Budget
}

// NewBudgets returns the budgets of a process.
func NewBudgets() *Budgets {
	return &Budgets{Outputs: memory.NewBudget(maxOutputs), Answers: memory.NewBudget(maxAnswers), Parsed: memory.NewBudget(maxParsed),
		Lookups: memory.NewBudget(maxLookups)}
}
