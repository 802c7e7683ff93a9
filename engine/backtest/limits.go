package backtest

import (
	"slices"

	"github.com/hookloom/hookloom/workflows"
)

// noteLimits counts what the record does not hold of a run that was compared.
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
