package runner

import (
	"math"
	"runtime"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// Begin makes a run of an event and plans its first steps. start is the update that begins the
// run; ex is its execution, nil if the run must wait for a concurrency slot, its rate or other
// events. The caller stores the run and passes ex to Started; if it does not store the run, it
// passes ex to Release. On the fast path (until set) the run has no side effects and does not
// queue: see Declined and Confirm.
func (rn *Runner) Begin(ev *engine.Event, w *workflows.Workflow, id engine.RunID, names map[string]any,
	until time.Time) (start *engine.RunUpdate, ex *Execution, err error) {
	made := rn.newRun(ev, w, id, names)
	defer func() {
		if ex == nil { // it is loaded from the store once it has its slot; or it panicked
			rn.Release(made)
		}
	}()
	held, err := made.heldBack()
	if held != nil || err != nil {
		return held, nil, err
	}
	made.provisional, made.State.Until = !until.IsZero(), until
	s := made.start(rn.takeSlot(made))
	return &s, made, nil
}

// BeginQueued makes a run that waits in the store, and the update that begins it. With alone, its
// event is not gathered with others. A run that a person requested is queued where its workflow
// would drop it.
func (rn *Runner) BeginQueued(ev *engine.Event, w *workflows.Workflow, id engine.RunID, names map[string]any,
	alone bool) (*engine.RunUpdate, error) {
	ex := rn.newRun(ev, w, id, names)
	ex.cancel() // it is loaded from the store later
	defer ex.putDown()
	ex.alone = alone
	start, err := ex.heldBack()
	if err != nil {
		return nil, err
	}
	if start == nil {
		start = &engine.RunUpdate{Run: ex.Run, New: true, Answers: -1, Cancels: ex.Cancels}
	}
	if slot := start.Slot; slot != nil {
		slot.OnFull, slot.MaxQueue, slot.RateDrop = "queue", math.MaxInt, false
	}
	return start, nil
}

// Declined reports that a run begun on the fast path would have had side effects, or would have
// queued: it must not be stored.
func (ex *Execution) Declined() bool { return ex.declined }

// Confirm tells a run begun on the fast path that its event may be stored in time.
func (ex *Execution) Confirm() { ex.provisional, ex.State.Until = false, time.Time{} }

// Decided resumes runs that waited for an event whose decisions are on disk.
func (rn *Runner) Decided(ev *engine.Event, m engine.Match, woken int) {
	if woken > 0 {
		rn.DueAt(m.At)
	}
	if m.Wakes != nil {
		rn.notifyWaiting(*m.Wakes)
	}
	if m.Called {
		rn.notifyWaiting(engine.EventWait{Key: ev.ID.String()})
		if _, is := rn.IsToEnd(ev.ID); is {
			rn.endCalled()
		}
	}
}

// Started continues runs that are on disk: starts are the updates that began them, live those that
// have an execution. It returns the runs to execute now, and applies the other results of storing
// the event.
func (rn *Runner) Started(starts []engine.RunUpdate, live []*Execution, result engine.MatchResult) (going []*Execution) {
	for _, s := range starts {
		rn.began(s)
	}
	for _, ex := range live {
		if rn.follow(ex) {
			going = append(going, ex)
		} else if ex.Run.Status == engine.Waiting && result.Dropped[ex.Run.ID] == "" {
			rn.noteQuestions(ex)
		}
	}
	rn.DueAt(result.Due)
	rn.GatherDue(result.Gather)
	rn.cancelBy(result.Cancelled)
	rn.replaceBeside(result.Replaced)
	return going
}

// began applies what an update began or ended besides its own run.
func (rn *Runner) began(s engine.RunUpdate) {
	for _, ev := range s.Emits {
		rn.o.Arrivals.Arrived(ev)
	}
	if s.Run.Status.Ended() {
		rn.o.Arrivals.RunEnded(s.Run.Event)
	}
	if len(s.Ends) > 0 {
		rn.endCalled()
	}
	if s.Called && s.Run.Status.Ended() {
		rn.DueAt(s.Run.FinishedAt)
		rn.notifyWaiting(engine.EventWait{Key: s.Run.Event.String()})
	}
}

// follow reports whether a run that was just stored continues at once. Otherwise it has ended, or
// RunDue finds it when it is due.
func (rn *Runner) follow(ex *Execution) bool {
	switch {
	case ex.Run.Status.Ended():
		rn.Release(ex)
	case !ex.slot:
		ex.putDown()
		rn.DueAt(ex.Run.DueAt)
		rn.resumeReady(ex)
	case ex.Run.Status != engine.Running:
		rn.Release(ex)
		rn.DueAt(ex.Run.DueAt)
		rn.resumeReady(ex)
	default:
		return true
	}
	return false
}

// ExecuteAll executes runs, each on its own goroutine.
func (rn *Runner) ExecuteAll(going []*Execution) {
	for _, ex := range going {
		rn.goroutines.Add(1)
		go func() {
			defer rn.goroutines.Done()
			GrowStack()
			rn.Execute(ex)
		}()
	}
}

// GrowStack grows a new goroutine's stack to the size that a run needs while there is nothing on
// it to copy. Otherwise the stack would double step by step, with a copy each time.
//
//go:noinline
func GrowStack() {
	var frame [12 << 10]byte
	runtime.KeepAlive(&frame)
}
