// Package transform implements actions that convert data without external effects: jq programs, CSV
// and XML in both directions. All have limits on time and output size, since the data is untrusted.
//
// It must not know HTTP, connections, or other actions.
package transform

import (
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// fit checks an action's output against the limits of a step's output.
func fit(v any) (any, error) {
	out, err := value.Fit(v)
	if err != nil {
		return nil, plan.Permanent("too_large", "the result %v: process less data", err)
	}
	return out, nil
}

// names returns a list of texts, such as column names.
func names(what string, v any) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, plan.Permanent("invalid_input", "%s is a list of names, such as [id, email]", what)
	}
	var out []string
	for _, x := range list {
		out = append(out, value.Shown(x))
	}
	return out, nil
}
