package engine

import (
	"context"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// RunStore is the way of a run from its first attempt to its end. Its user is package runner:
// due.go, load.go, loop.go, wait.go, call.go, ending.go, gather.go, values.go, pin.go.
type RunStore interface {
	// Recover is called once when the engine starts, before any other run method: runs that
	// were at work for owners that are gone are queued again with one crash more, their open
	// attempts become unknown, and what a clock that was set back made wait too long is moved. It returns how many
	// runs were at work. Running twice changes nothing more.
	Recover(ctx context.Context, now time.Time) (int, error)
	// ClaimDue claims queued and waiting runs whose time has come and which no other owner
	// has, oldest first, and returns them, with when the next one after them is due, zero for
	// none. Suspects are not among them. A claim ends when the run is taken up (Take). What
	// an owner has claimed and not taken up is given back by its next call, which may return
	// it again. The runner calls it. It may run twice.
	ClaimDue(ctx context.Context, owner Owner, now time.Time, limit int) (ids []RunID, next time.Time, err error)
	// Suspects lists the queued runs that SuspectCrashes starts have found at work, and
	// apart from them those that more have. The engine asks once, after Recover.
	Suspects(ctx context.Context) (few, alone []RunID, err error)
	// Take marks a due run as running and loads it with all it needs. The runner calls it. It
	// needs no claim: of two calls one gets the run. It returns ErrStale when the run is at
	// work, has ended, or its rate does not let it start yet; the run then has the time at
	// which it may. Running twice gives ErrStale.
	Take(ctx context.Context, id RunID) (*LoadedRun, error)
	// LoadRun loads a run with all it needs and changes nothing; ErrNotFound when there is none.
	// A row that cannot be read does not make it fail: LoadedRun.Unreadable says what is wrong.
	LoadRun(ctx context.Context, id RunID) (*LoadedRun, error)
	// Run loads one run without its steps; ErrNotFound when there is none.
	Run(ctx context.Context, id RunID) (*Run, error)
	// CommitRun stores one change of a run: attempts that ended, attempts that begin, what steps
	// wait for, and the run's own state. A run that begins to wait for what has come
	// meanwhile is due at once: its DueAt says so when CommitRun returns. When the end of the
	// run lets others begin, next is the first moment. It returns ErrStale when the run is
	// not at work. Running twice gives ErrStale unless the run is still at work; then the
	// rows are written again with the same content.
	CommitRun(ctx context.Context, u RunUpdate) (next time.Time, err error)
	// Replaced lists the runs that newer ones are to take the place of, and that have not
	// ended. The runner cancels them, and asks again after a start.
	Replaced(ctx context.Context) ([]RunID, error)
	// Large lists the open runs whose outputs take more than so many bytes as they are
	// stored, with how many that is. The engine asks at the start, to plan memory.
	Large(ctx context.Context, more int64) (map[RunID]int64, error)
	// SizeOf returns how many bytes what may have come for a waiting step takes as it is
	// stored: an event, or the result of a called run; 0 while there is none.
	SizeOf(ctx context.Context, w EventWait) (int64, error)
	// EventByKey finds the event that a run waits for, nil when there is none: one that counts,
	// that the run was not begun by, and that has not ended an earlier wait of it.
	EventByKey(ctx context.Context, w EventWait, run *Run) (*Event, error)
	// EndCalls lists the orders to end called runs; EndedCall drops one that is carried out,
	// and may run twice. Orders are written with the end of the calling run (CommitRun, Cancel),
	// so that a crash between the two ends leaves the order.
	EndCalls(ctx context.Context) ([]EndCall, error)
	EndedCall(ctx context.Context, id EventID) error
	// ClockSetBack moves the ends of sleeps and waits, the moments at which runs are due, and
	// what rates count, to the time of a clock that was set back. Running twice moves twice.
	ClockSetBack(ctx context.Context, by time.Duration) error
	// ResumeRuns makes the waiting runs due at now whose last attempt was asked to wait
	// (Retry-After) by one of some destinations. It returns how many they were. It may run
	// twice.
	ResumeRuns(ctx context.Context, destinations []string, now time.Time) (int, error)
	// ResumeHeld makes the runs due at now that have an attempt waiting for a destination of
	// this name. It returns how many they were. It may run twice.
	ResumeHeld(ctx context.Context, destination string, now time.Time) (int, error)
	GatherStore
	ValueStore
	VersionStore
}

// GatherStore is what the store does for debounce, batch and cancel_on. Match lets the
// events join; these methods end what they joined.
type GatherStore interface {
	// DueGatherings lists gatherings whose time has come, and when the next one is due.
	// oldest is the first event that is not decided yet, 0 for none: no gathering may be
	// closed before what came before its time is decided.
	DueGatherings(ctx context.Context, now time.Time, limit int) (list []DueGathering, next time.Time, oldest EventID, err error)
	// CloseGathering lets a gathered run begin, in one transaction; the runner calls it at the
	// gathering's time. Running twice gives ErrStale. It returns ErrStale when the gathering is
	// not due any more, is closed, or its run has another event by now.
	CloseGathering(ctx context.Context, c Closing) (Closed, error)
	// Gathered lists the events of a run besides its own, oldest first, and how much memory
	// they take in bytes.
	Gathered(ctx context.Context, id RunID) (ids []EventID, size int64, err error)
	// CancelVersions lists the workflow versions whose open runs events may end.
	CancelVersions(ctx context.Context) ([]Run, error)
	// CancelledBy lists the runs that events have ended, and that are open still: of a crash
	// between Match and the cancellation.
	CancelledBy(ctx context.Context) ([]CancelledBy, error)
}

// ValueStore keeps the values that steps and people store for later runs.
type ValueStore interface {
	// Value returns a kept value that has not expired; ErrNotFound for none.
	Value(ctx context.Context, ref ValueRef, now time.Time) (ValueItem, error)
	// ChangeValue reads a value and writes the next one in one transaction, within the
	// change's limits. With an Op it may run twice: the second call returns the result of
	// the first. Without one, an increment that runs twice counts twice.
	ChangeValue(ctx context.Context, c ValueChange) (ValueNext, error)
}

// VersionStore keeps the texts that open runs began with. The engine writes them when it
// loads a project, before a run can use them. All of its methods may run twice.
type VersionStore interface {
	// SaveVersion keeps a workflow's text under its version, SaveFile another file's.
	SaveVersion(ctx context.Context, w *workflows.Workflow) error
	SaveFile(ctx context.Context, name, version string, text []byte) error
	// Version returns the text that is kept under a version; ErrNotFound for none.
	Version(ctx context.Context, version string) (string, error)
	// SaveUses keeps what runs of a version use of other files, from a run on; AllUses
	// lists all that is kept, the oldest of each version first.
	SaveUses(ctx context.Context, u VersionUses) error
	AllUses(ctx context.Context) ([]VersionUses, error)
	// OpenVersions lists the versions of queued and waiting runs.
	OpenVersions(ctx context.Context) ([]Run, error)
}

// RunEnder ends runs that are not at work. The runner ends those that are, by CommitRun.
type RunEnder interface {
	// Cancel ends a queued or waiting run as its new state says, in one transaction with the
	// events for those that listen to its end, the orders to end what it called, and its
	// place in a group. cut are the steps that waited, as they ended; next is as with CommitRun;
	// ends reports that called runs are to be ended now. It returns ErrStale for a run that is
	// at work or has ended, ErrNotFound for none. Running twice gives ErrStale.
	Cancel(ctx context.Context, r *Run, events []*Event) (cut []*plan.Record, next time.Time, ends bool, err error)
	// End records why a queued or waiting run is to be cancelled, and makes it due for its
	// finally steps. It returns ErrStale for others. It may run twice.
	End(ctx context.Context, id RunID, why *plan.Error, now time.Time) error
}
