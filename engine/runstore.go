package engine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// RunStore stores runs from their first attempt to their end. Its user is package runner: due.go,
// load.go, loop.go, wait.go, call.go, ending.go, gather.go, values.go, pin.go.
type RunStore interface {
	// Recover is called once when the engine starts, before any other run method: runs that were
	// executing for owners that are gone are queued again with one more crash, their open attempts
	// become unknown, and times that would be late because the clock was set back are moved. It
	// returns how many runs were executing. Running twice changes nothing more.
	Recover(ctx context.Context, now time.Time) (int, error)
	// ClaimDue claims queued and waiting runs that are due and that no other owner has, oldest
	// first. It returns them, and when the next run after them is due, zero for none. Suspects are
	// not among them. A claim ends when the run is taken (Take). An owner's next call releases the
	// runs that it has claimed and not taken, and may return them again. The runner calls it. It
	// may run twice.
	ClaimDue(ctx context.Context, owner Owner, now time.Time, limit int) (ids []RunID, next time.Time, err error)
	// Suspects lists the queued runs that SuspectCrashes starts have found executing, and
	// separately those with more. The engine calls it after Recover and TakeOver.
	Suspects(ctx context.Context) (few, alone []RunID, err error)
	// Take marks a due run as running. The runner calls it, and then LoadRun, which may fail without the
	// run being lost. It needs no claim: of two calls, one gets the run. It returns ErrStale if the run
	// is running, has ended, or its rate does not allow it to start yet; the run then has the time at
	// which it may. Running twice returns ErrStale.
	Take(ctx context.Context, id RunID) error
	// LoadRun loads a run and changes nothing; ErrNotFound if there is none. It does not fail
	// because of unreadable rows: LoadedRun.Unreadable describes them.
	LoadRun(ctx context.Context, id RunID) (*LoadedRun, error)
	// Run loads one run without its steps; ErrNotFound if there is none.
	Run(ctx context.Context, id RunID) (*Run, error)
	// CommitRun stores one change of a run: attempts that ended, attempts that begin, what steps
	// wait for, and the run's own state. A run that begins to wait for something that has already
	// arrived is due at once: DueAt is set accordingly when CommitRun returns. If the end of the
	// run lets others begin, next is the earliest time. It returns ErrStale if the run is not
	// running. Running twice returns ErrStale unless the run is still running; then the rows are
	// written again with the same content.
	CommitRun(ctx context.Context, u RunUpdate) (next time.Time, err error)
	// Replaced lists the open runs that newer ones replace. The runner cancels them, and calls it
	// again after a start.
	Replaced(ctx context.Context) ([]RunID, error)
	// Large lists the open runs whose stored outputs are larger than a number of bytes, with their
	// size. The engine calls it at the start, to plan memory.
	Large(ctx context.Context, more int64) (map[RunID]int64, error)
	// SizeOf returns the stored size in bytes of what may have arrived for a waiting step: an
	// event, or the result of a called run; 0 if there is none.
	SizeOf(ctx context.Context, w EventWait) (int64, error)
	// EventByKey finds the event that a run waits for, nil if there is none. The event that began
	// the run, and events that ended an earlier wait of it, do not count.
	EventByKey(ctx context.Context, w EventWait, run *Run) (*Event, error)
	// EndCalls lists the orders to end called runs; EndedCall drops an executed one, and may run
	// twice. Orders are written with the end of the calling run (CommitRun, Cancel), so that a
	// crash between the two ends does not lose the order.
	EndCalls(ctx context.Context) ([]EndCall, error)
	EndedCall(ctx context.Context, id EventID) error
	// ClockSetBack moves the ends of sleeps and waits, the due times of runs, and the starts that
	// rates count, to the time of a clock that was set back. Running twice moves them twice.
	ClockSetBack(ctx context.Context, by time.Duration) error
	// ResumeRuns makes runs due at now whose last attempt one of the destinations asked to wait
	// (Retry-After). It returns their number. It may run twice.
	ResumeRuns(ctx context.Context, destinations []string, now time.Time) (int, error)
	// ResumeHeld makes runs due at now that have an attempt waiting for a destination of this name.
	// It returns their number. It may run twice.
	ResumeHeld(ctx context.Context, destination string, now time.Time) (int, error)
	GatherStore
	ValueStore
	VersionStore
}

// GatherStore implements debounce, batch and cancel_on in the store. Match adds events to
// gatherings; these methods close them.
type GatherStore interface {
	// DueGatherings lists gatherings that are due, and when the next one is due. oldest is the
	// first undecided event, 0 for none: a gathering must not be closed before all events from
	// before its time are decided.
	DueGatherings(ctx context.Context, now time.Time, limit int) (list []DueGathering, next time.Time, oldest EventID, err error)
	// CloseGathering lets a gathered run begin, in one transaction; the runner calls it when the
	// gathering is due. Running twice returns ErrStale. It returns ErrStale if the gathering is no
	// longer due, is closed, or its run has another event by now.
	CloseGathering(ctx context.Context, c Closing) (Closed, error)
	// Gathered lists the events of a run besides its own, oldest first, and their size in memory in
	// bytes.
	Gathered(ctx context.Context, id RunID) (ids []EventID, size int64, err error)
	// CancelVersions lists the workflow versions whose open runs events may end.
	CancelVersions(ctx context.Context) ([]Run, error)
	// CancelledBy lists the open runs that events have ended, left by a crash between Match and the
	// cancellation.
	CancelledBy(ctx context.Context) ([]CancelledBy, error)
}

// ValueStore stores the values that steps and people keep for later runs.
type ValueStore interface {
	// Value returns a stored value that has not expired; ErrNotFound for none.
	Value(ctx context.Context, ref ValueRef, now time.Time) (ValueItem, error)
	// ChangeValue reads a value and writes the next one in one transaction, within the
	// change's limits. With an Op it may run twice: the second call returns the result of
	// the first. Without one, an increment that runs twice counts twice.
	ChangeValue(ctx context.Context, c ValueChange) (ValueNext, error)
}

// VersionStore stores the texts that open runs began with. The engine writes them when it loads a
// project, before a run can use them. All of its methods may run twice.
type VersionStore interface {
	// SaveVersion stores a workflow's text under its version, SaveFile another file's.
	SaveVersion(ctx context.Context, w *workflows.Workflow) error
	SaveFile(ctx context.Context, name, version string, text []byte) error
	// Version returns the text stored under a version; ErrNotFound for none.
	Version(ctx context.Context, version string) (string, error)
	// SaveUses stores the other files that runs of a version use, from a given run on; AllUses
	// lists all of them, oldest of each version first.
	SaveUses(ctx context.Context, u VersionUses) error
	AllUses(ctx context.Context) ([]VersionUses, error)
	// OpenVersions lists the versions of queued and waiting runs.
	OpenVersions(ctx context.Context) ([]Run, error)
}

// RunEnder ends runs that are not executing. The runner ends executing ones, by CommitRun.
type RunEnder interface {
	// Cancel ends a queued or waiting run with its new state, in one transaction with the events
	// for workflows that listen to its end, the orders to end the runs it called, and the release
	// of its slot. cut are the steps that waited, as they ended; next is as with CommitRun; ends
	// reports that called runs must be ended now. It returns ErrStale for a run that is executing
	// or has ended, ErrNotFound for none. Running twice returns ErrStale.
	Cancel(ctx context.Context, r *Run, events []*Event) (cut []*plan.Record, next time.Time, ends bool, err error)
	// End records why a queued or waiting run is to be cancelled, and makes it due for its
	// finally steps. It returns ErrStale for others. It may run twice.
	End(ctx context.Context, id RunID, why *plan.Error, now time.Time) error
}
