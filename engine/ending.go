package engine

import (
	"fmt"
)

// WhyEnded says why a run that another called is ended with it.
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
