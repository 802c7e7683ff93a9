package engine

import (
	"context"
	"time"
)

// SuspectBoots is how often a run was found at work when it is suspected of
// ending the process: from then on it works beside a few others, then alone, so
// that the guilty one is told from those that were only there.
const SuspectBoots = 2

// maxBoots is how often a run may be found at work when the process starts. A
// run that kills the process each time is put aside, or nothing else would run.
const maxBoots = 3

// suspectsAtOnce bounds those that are suspected for the first time, and
// suspectPause is how long the process must have lived before one is tried alone:
// who is killed again and again from outside proves nothing against his runs.
const (
	suspectsAtOnce = 32
	suspectPause   = time.Second
)

// resumeSuspects works on suspects: the new ones a few at once, and those that
// were found again among a few one after another.
func (e *Engine) resumeSuspects(ctx context.Context, few, alone []RunID) {
	e.drivers.Add(2)
	go func() {
		defer e.drivers.Done()
		var atWork []<-chan struct{}
		for _, id := range few {
			if len(atWork) == suspectsAtOnce {
				<-atWork[0]
				atWork = atWork[1:]
			}
			if done := e.resume(id, true); done != nil {
				atWork = append(atWork, done)
			}
		}
	}()
	go func() {
		defer e.drivers.Done()
		if len(alone) == 0 {
			return
		}
		select {
		case <-time.After(suspectPause):
		case <-ctx.Done():
			return
		}
		for _, id := range alone {
			if done := e.resume(id, true); done != nil {
				<-done
			}
		}
	}()
}
