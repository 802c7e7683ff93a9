package engine

import (
	"github.com/hookloom/hookloom/workflows"
)

// ActionName is the entry of the table that carries a step out: all actions of
// connectors are one.
func ActionName(s *workflows.Step) string {
	if s.Spec != nil && s.Spec.Connector != nil {
		return "connector"
	}
	return s.Uses
}
