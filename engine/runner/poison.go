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

// suspects are the goroutines that execute them.
type suspects struct {
	// few and alone hold a token while a goroutine executes suspects of that kind.
	few, alone chan struct{}
}

// ResumeSuspects executes the suspects: new ones a few at once, and those that were suspected before one
// after another. Of several nodes, one does this, so that a run that ends its process does not end node
// after node. left reports that there are some that it does not execute yet.
func (rn *Runner) ResumeSuspects(ctx context.Context) (left bool, err error) {
	if !engine.Leads(ctx, rn.store, "suspects") {
		return false, nil
	}
	few, alone, err := rn.store.Suspects(ctx)
	if err != nil {
		return true, fmt.Errorf("looking for runs that may have crashed the process: %w", err)
	}
	left = !rn.beginSuspects(rn.suspects.few, few, rn.resumeFew)
	return !rn.beginSuspects(rn.suspects.alone, alone, func(list []engine.RunID) { rn.resumeAlone(ctx, list) }) || left, nil
}

// beginSuspects executes suspects on a goroutine; false if that of earlier ones is not done.
func (rn *Runner) beginSuspects(busy chan struct{}, list []engine.RunID, execute func([]engine.RunID)) bool {
	if len(list) == 0 {
		return true
	}
	select {
	case busy <- struct{}{}:
	default:
		return false
	}
	rn.goroutines.Add(1)
	go func() {
		defer rn.goroutines.Done()
		defer func() { <-busy }()
		execute(list)
	}()
	return true
}

func (rn *Runner) resumeFew(list []engine.RunID) {
	var atWork []<-chan struct{}
	for _, id := range list {
		if len(atWork) == suspectsAtOnce {
			<-atWork[0]
			atWork = atWork[1:]
		}
		if done := rn.resume(id, true); done != nil {
			atWork = append(atWork, done)
		}
	}
}

func (rn *Runner) resumeAlone(ctx context.Context, list []engine.RunID) {
	select {
	case <-time.After(suspectPause):
	case <-ctx.Done():
		return
	}
	for _, id := range list {
		if done := rn.resume(id, true); done != nil {
			<-done
		}
	}
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
func panicked(p any) error { return fmt.Errorf("this run panicked, which is a bug in Hookloom: %v", p) }
