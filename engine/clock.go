package engine

import (
	"time"
)

// ClockSteps is the least difference of the clocks that is a step: less is what the
// synchronisation of clocks does all day.
const ClockSteps = 2 * time.Second
