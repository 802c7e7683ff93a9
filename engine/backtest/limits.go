package backtest

import (
	"slices"

	"github.com/hookloom/hookloom/workflows"
)

// noteLimits counts what the record of a compared run does not contain.
func (b *run) noteLimits(it *item) {
	secrets, masked := len(it.before.st.Secrets)+len(it.after.st.Secrets) > 0, false
	for _, c := range it.before.calls {
		masked = masked || c.answer != nil && hasMask(c.answer.output)
	}
	if !secrets && !masked {
		return
	}
	it.limits = func(l *Limits) {
		if secrets {
			l.Secrets++
		}
		if masked {
			l.Masked++
		}
	}
}

func hasMask(v any) bool {
	switch x := v.(type) {
	case string:
		return x == workflows.Mask
	case []any:
		return slices.ContainsFunc(x, hasMask)
	case map[string]any:
		for _, e := range x {
			if hasMask(e) {
				return true
			}
		}
	}
	return false
}

// Lack is something that the history does not contain, with the number of occurrences.
type Lack struct {
	N    int
	Text string
}

// Lacking describes what the history does not contain; it omits what is complete.
func (l Limits) Lacking() []Lack {
	all := []Lack{
		{l.BodiesPruned, "events without their body, which is pruned (history: bodies)"},
		{l.AnswersPruned, "runs without the answers of their steps, which are pruned"},
		{l.Open, "runs that have not ended"},
		{l.Pending, "events that are not decided yet"},
		{l.Off, "events that came while the workflow was switched off; they are not compared"},
		{l.Gathered, "events that are part of the run of another; only whether they match is compared"},
		{l.Secrets, "runs that use secrets; a stand-in was used on both sides"},
		{l.Masked, "runs with answers that are masked in part"},
		{l.Moved, "runs that would begin at another time (concurrency, rate, debounce, batch); they are simulated at that time"},
		{l.Unreproduced, "runs whose record the version that ran does not give again"},
	}
	return slices.DeleteFunc(all, func(x Lack) bool { return x.N == 0 })
}
