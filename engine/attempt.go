package engine

import (
	"github.com/hookloom/hookloom/workflows"
)

// ActionName is the key in the table of actions for a step: all actions of connectors share one.
func ActionName(s *workflows.Step) string {
	if s.Spec != nil && s.Spec.Connector != nil {
		return "connector"
	}
	return s.Uses
}
