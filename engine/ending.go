package engine

import (
	"fmt"
)

// WhyEnded is the reason recorded for a run that is ended with the run that called it.
func WhyEnded(r *Run) string {
	how := "ended"
	switch {
	case r.Ending != nil || r.Status == Cancelled:
		how = "was cancelled"
	case r.Status == TimedOut:
		how = "timed out"
	case r.Status == Failed:
		how = "failed"
	}
	return fmt.Sprintf("run %s, which called it, %s", r.ID, how)
}
