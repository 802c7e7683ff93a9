package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
)

// maxCrashes is how often a run may be found at work when the process starts. A
// run that kills the process each time is put aside, or nothing else would run.
const maxCrashes = 3

// suspectsAtOnce bounds those that are suspected for the first time, and
// suspectPause is how long the process must have lived before one is tried alone:
// who is killed again and again from outside proves nothing against his runs.
const (
	suspectsAtOnce = 32
	suspectPause   = time.Second
)

// resumeSuspects works on suspects: the new ones a few at once, and those that
// were found again among a few one after another.
func (rn *Runner) resumeSuspects(ctx context.Context, few, alone []engine.RunID) {
	rn.goroutines.Add(2)
	go func() {
		defer rn.goroutines.Done()
		var atWork []<-chan struct{}
		for _, id := range few {
			if len(atWork) == suspectsAtOnce {
				<-atWork[0]
				atWork = atWork[1:]
			}
			if done := rn.resume(id, true); done != nil {
				atWork = append(atWork, done)
			}
		}
	}()
	go func() {
		defer rn.goroutines.Done()
		if len(alone) == 0 {
			return
		}
		select {
		case <-time.After(suspectPause):
		case <-ctx.Done():
			return
		}
		for _, id := range alone {
			if done := rn.resume(id, true); done != nil {
				<-done
			}
		}
	}()
}

// errGaveUp means that a run was ended as one that cannot go on.
var errGaveUp = errors.New("the run has failed")

// giveUp ends a run that cannot go on as a dead letter, with the reason.
func (rn *Runner) giveUp(ex *Execution, cause error) error {
	now := time.Now().UTC()
	ex.Run.Status, ex.Run.FinishedAt, ex.Run.DueAt = engine.Failed, now, time.Time{}
	ex.Run.Error = &plan.Error{Message: value.CutText(cause.Error(), plan.MaxErrorText), Code: "cannot_run"}
	s := engine.RunUpdate{Run: ex.Run, Called: ex.Event.Inlet == "call", Emits: rn.subscriberEvents(ex.Run, ex.Event), FreesSlot: true,
		Cancelable: true, CloseSteps: true, Mask: ex.Masker()}
	var next time.Time
	err := rn.store.Retry(func() (err error) {
		next, err = rn.store.CommitRun(context.WithoutCancel(rn.work), s)
		return err
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	rn.endCalled() // it may have waited for runs that it called
	rn.began(s)
	rn.DueAt(next)
	rn.ReportUpdate(ex.Event, s)
	rn.logEnd(ex.Run, ex.Masker())
	return errGaveUp
}

// panicked is the error of a run whose execution panicked.
func panicked(p any) error { return fmt.Errorf("this run panicked, which is a bug of Hookloom: %v", p) }
