package runner

import (
	"context"
	"fmt"
	"sync"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/plan"
)

// This file bounds the memory of what runs at work hold besides their events: the outputs
// of their steps, and answers that are being read. There are four budgets.
//
//	outputs  what the outputs of a run take, beyond Small
//	answers  the bytes of large answers that are being read
//	parsed   the same decoded, until they are on record
//	lookups  what has come for waiting steps, events and results of called runs
//
// A run whose outputs find no room is put down, with all that it has on record, and goes
// on when it is lent what the whole of it takes. So nobody waits for outputs who holds
// some. Who waits for parsed holds answers, and who holds parsed waits for nothing but
// the disk, as does who holds lookups; thus each wait ends.

const (
	maxOutputs = 48 << 20
	maxAnswers = 16 << 20
	maxParsed  = 40 << 20
	maxLookups = 32 << 20
	// storedGrowth is how many times its size in the database a value takes in memory,
	// for runs that were not at work since the start.
	storedGrowth = 6
)

// rooms are those of attempts that have ended and are not on record yet.
type rooms struct {
	mu sync.Mutex
	of map[*plan.Record]*memory.Room
}

func (x *rooms) add(r *plan.Record, room *memory.Room) {
	room.GiveRaw()
	if !room.HoldsDecoded() {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.of == nil {
		x.of = map[*plan.Record]*memory.Room{}
	}
	x.of[r] = room
}

// recorded gives back the rooms of records that are stored.
func (x *rooms) recorded(records []*plan.Record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.of) == 0 {
		return
	}
	for _, r := range records {
		if room := x.of[r]; room != nil {
			room.GiveDecoded()
			delete(x.of, r)
		}
	}
}

func (x *rooms) all() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, room := range x.of {
		room.GiveDecoded()
	}
	x.of = nil
}

// grow asks for the room that the run's outputs take. A run that finds none is crowded:
// nothing more of it begins, and what still comes back is stored and let go.
func (ex *Execution) grow() {
	n := ex.rn.o.Budgets.Outputs.Need(ex.State.Memory()) - ex.lent
	if n <= 0 || ex.crowded {
		return
	}
	if ex.crowded = !ex.rn.o.Budgets.Outputs.Try(n); !ex.crowded {
		ex.lent += n
	}
}

// stored follows an update that is on disk. A crowded run lets go of outputs that are
// stored while other attempts are still under way. From then on the plan cannot be
// asked: it is when the run is loaded again.
func (ex *Execution) stored(records []*plan.Record) {
	ex.rooms.recorded(records)
	ex.lookedUp()
	if !ex.crowded || ex.inFlight == 0 {
		return
	}
	ex.forgot = true
	for _, r := range records {
		if !r.FinishedAt.IsZero() {
			r.Output = nil
		}
	}
}

// roomFor waits for what an event or the result of a called run takes that may have
// come for a waiting step, before it is loaded.
func (ex *Execution) roomFor(w engine.EventWait) error {
	var size int64
	err := ex.rn.store.Retry(func() (err error) {
		size, err = ex.rn.store.SizeOf(ex.rn.work, w)
		return err
	})
	if err != nil || size <= memory.LargeAnswer {
		return err
	}
	n := ex.rn.o.Budgets.Lookups.Whole(size * storedGrowth)
	if ex.looked > 0 {
		ex.rn.o.Budgets.Lookups.Add(n) // it has some, so it may not wait
	} else if err := ex.rn.o.Budgets.Lookups.Take(ex.rn.work, n); err != nil {
		return err
	}
	ex.looked += n
	return nil
}

// lookedUp gives that room back: what came is on record, or is looked up again.
func (ex *Execution) lookedUp() {
	if ex.looked > 0 {
		ex.rn.o.Budgets.Lookups.Add(-ex.looked)
		ex.looked = 0
	}
}

// noteSize keeps what a run takes that is put down, so that it is lent that much before
// it is loaded again.
func (ex *Execution) noteSize() {
	switch {
	case ex.Run.Status.Ended():
		if ex.large {
			ex.rn.large.Delete(ex.Run.ID)
		}
	case ex.State != nil && ex.State.Memory() > memory.Small:
		ex.rn.large.Store(ex.Run.ID, ex.State.Memory())
	}
}

// makeRoom waits for what a large run takes, before it is loaded.
func (rn *Runner) makeRoom(ex *Execution) error {
	v, ok := rn.large.Load(ex.Run.ID)
	if !ok {
		return nil
	}
	ex.large = true
	n := rn.o.Budgets.Outputs.Need(v.(int64))
	if err := rn.o.Budgets.Outputs.Take(rn.work, n); err != nil {
		return err
	}
	ex.lent = n
	return nil
}

// fitRoom makes what a loaded run was lent what it takes.
func (ex *Execution) fitRoom() {
	n := ex.rn.o.Budgets.Outputs.Need(ex.State.Memory())
	switch {
	case n > ex.lent:
		ex.rn.o.Budgets.Outputs.Add(n - ex.lent)
	case n < ex.lent:
		ex.rn.o.Budgets.Outputs.Give(ex.lent - n)
	}
	ex.lent = n
}

// findLarge looks for the runs that are large, at the start.
func (rn *Runner) findLarge(ctx context.Context) error {
	found, err := rn.store.Large(ctx, memory.Small/storedGrowth)
	for id, n := range found {
		rn.large.Store(id, n*storedGrowth)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("looking for large runs: %w", err)
	}
	return nil
}
