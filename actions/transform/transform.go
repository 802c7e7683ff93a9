// Package transform is the actions that change the form of data and reach nothing
// outside: jq programs, CSV and XML in both directions. All of them are bounded in time
// and in what they give, since the data is a stranger's.
//
// It must not know HTTP, connections, or other actions.
package transform

import (
	"fmt"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// permanent is an error that no repetition helps.
func permanent(code, format string, args ...any) error {
	return &plan.Error{Message: fmt.Sprintf(format, args...), Code: code}
}

// fit holds what an action gives to the limits of a step's output.
func fit(v any) (any, error) {
	out, err := value.Fit(v)
	if err != nil {
		return nil, permanent("too_large", "the result %v: take less of the data", err)
	}
	return out, nil
}

// text gives an input as text, "" when it is absent.
func text(v any) string {
	s, err := value.Text(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return s
}

// names gives a list of texts, such as names of columns.
func names(what string, v any) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, permanent("invalid_input", "%s is a list of names, such as [id, email]", what)
	}
	var out []string
	for _, x := range list {
		out = append(out, text(x))
	}
	return out, nil
}
