package runner

import (
	"context"
	"fmt"
	"sync"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/plan"
)

// This file bounds the memory of executing runs besides their events: the outputs of their steps,
// and answers that are being read. There are four budgets.
//
//	outputs  what the outputs of a run take, beyond Small
//	answers  the bytes of large answers that are being read
//	parsed   the same decoded, until they are recorded
//	lookups  what has come for waiting steps, events and results of called runs
//
// A run whose outputs find no memory is stored and suspended; it continues once it can reserve the
// whole of what it needs. So no run waits for outputs while it holds some. A run that waits for
// parsed holds answers; a run that holds parsed or lookups waits only for the disk. Each wait
// therefore ends.

const (
	maxOutputs = 48 << 20
	maxAnswers = 16 << 20
	maxParsed  = 40 << 20
	maxLookups = 32 << 20
	// storedGrowth is the ratio of a value's size in memory to its size in the database, for runs
	// that have not been executed since the start.
	storedGrowth = 6
)

// rooms are the reservations of attempts that have ended and are not stored yet.
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

// recorded releases the reservations of records that are stored.
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

// grow reserves the memory of the run's outputs. A run that finds none is crowded: it starts no
// attempts, and the results that still return are stored and dropped.
func (ex *Execution) grow() {
	n := ex.rn.o.Budgets.Outputs.Need(ex.State.Memory()) - ex.lent
	if n <= 0 || ex.crowded {
		return
	}
	if ex.crowded = !ex.rn.o.Budgets.Outputs.Try(n); !ex.crowded {
		ex.lent += n
	}
}

// stored follows an update that is on disk. A crowded run drops the outputs that are stored while
// other attempts are still in flight. From then on the planner cannot be asked until the run is
// loaded again.
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

// roomFor reserves memory for an event, or the result of a called run, that may have arrived for a
// waiting step, before it is loaded.
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
		ex.rn.o.Budgets.Lookups.Add(n) // it holds some, so it may not wait
	} else if err := ex.rn.o.Budgets.Lookups.Take(ex.rn.work, n); err != nil {
		return err
	}
	ex.looked += n
	return nil
}

// lookedUp releases that memory: the arrival is stored, or is looked up again.
func (ex *Execution) lookedUp() {
	if ex.looked > 0 {
		ex.rn.o.Budgets.Lookups.Add(-ex.looked)
		ex.looked = 0
	}
}

// noteSize keeps the memory size of a suspended run, so that as much is reserved before it is
// loaded again.
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

// makeRoom waits for the memory of a large run before it is loaded.
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

// fitRoom adjusts the reservation of a loaded run to its actual size.
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
