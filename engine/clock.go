package engine

import (
	"time"
)

// ClockSteps is the smallest difference between the clocks that counts as a step: clock
// synchronization causes smaller ones all the time.
const ClockSteps = 2 * time.Second
