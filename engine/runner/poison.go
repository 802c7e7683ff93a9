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

// maxCrashes is how often a run may be found executing when the process starts. A run that crashes
// the process each time is failed, because nothing else could run.
const maxCrashes = 3

// suspectsAtOnce bounds the runs that are suspected for the first time and tried together.
// suspectPause is how long the process must have lived before a suspect is tried alone: a process
// that is killed repeatedly from outside proves nothing against its runs.
const (
	suspectsAtOnce = 32
	suspectPause   = time.Second
)

// resumeSuspects executes suspects: new ones a few at once, and those that were suspected before
// one after another.
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

// errGaveUp means that a run was failed because it cannot continue.
var errGaveUp = errors.New("the run has failed")

// giveUp fails a run that cannot continue, as a dead letter with the reason.
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
