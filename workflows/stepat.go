package workflows

import (
	"strconv"
	"strings"
)

// StepAt returns the step at a recorded path, such as ship or 2/paid/refund; nil if there is none.
// Paths of foreach and switch records, and of deadlines, give the step that they belong to.
func (w *Workflow) StepAt(path string) *Step {
	parts := strings.Split(path, "/")
	for len(parts) > 1 && (parts[len(parts)-1] == "switch" || parts[len(parts)-1] == "foreach" || parts[len(parts)-1] == "(deadline)") {
		parts = parts[:len(parts)-1]
	}
	switch parts[0] {
	case "on_failure":
		return stepIn(w.OnFailed, parts[1:])
	case "finally":
		return stepIn(w.Finally, parts[1:])
	}
	return stepIn(w.Steps, parts)
}

func stepIn(list []*Step, parts []string) *Step {
	if len(parts) == 0 {
		return nil
	}
	for _, s := range list {
		if s.Key != parts[0] {
			continue
		}
		rest := parts[1:]
		if len(rest) > 0 && s.ForEach != nil {
			if _, err := strconv.Atoi(rest[0]); err == nil {
				rest = rest[1:]
			}
		}
		if len(rest) == 0 {
			return s
		}
		return stepBelow(s, rest)
	}
	return nil
}

// stepBelow returns a step inside another.
func stepBelow(s *Step, parts []string) *Step {
	switch parts[0] {
	case "on_failure":
		return stepIn(s.OnFailure, parts[1:])
	case "else":
		return stepIn(s.Else, parts[1:])
	case "default":
		if s.Body == "switch" {
			return stepIn(s.Default, parts[1:])
		}
	}
	for _, c := range s.Cases {
		if strings.ReplaceAll(c.Value, "/", "%2F") == parts[0] {
			return stepIn(c.Steps, parts[1:])
		}
	}
	if found := stepIn(s.Steps, parts); found != nil {
		return found
	}
	return stepIn(s.Parallel, parts)
}
