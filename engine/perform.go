package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// driver carries one run as far as it can go without waiting.
type driver struct {
	runContext
	ctx context.Context
	// cancel cuts the run: a person cancelled it, or a newer run took its place, as
	// why says, which is written under the engine's lock.
	cancel context.CancelFunc
	why    *plan.Error
	// ending tells that the run is being cancelled and is at its finally steps, written
	// under the engine's lock.
	ending bool
	slot   bool
	// taken is when it took its slot, written under the engine's lock.
	taken time.Time
	// early tells that the run's event is not known to be new yet: the driver must not
	// act, nor stand in a queue. declined tells that it would have had to.
	early, declined bool
	// suspect runs have a slot of their own.
	suspect bool
	// questions are those that the run waits for, as the plan last said.
	questions []plan.Question
	// unsaved are records that the next settlement writes.
	unsaved []*plan.Record
	// due are attempts on record as running and not made yet; inFlight counts those
	// that are being made, and results brings them back.
	due      []plan.Due
	inFlight int
	results  chan *plan.Record
	// wake is when the plan must be asked again though no attempt came back.
	wake time.Time
	// news tells that an answer or an event may have come; nil for workflows that
	// never wait for one. answers is how many the run has seen, awaits what it waits
	// for, written under the engine's lock.
	news    chan struct{}
	answers int
	awaits  []EventWait
	// permits are those of attempts on record and not made yet, by path; held tells
	// that one waited for its destination, turn that its turn may have come, written
	// under the engine's lock.
	permits map[string]*destination.Permit
	held    bool
	turn    chan struct{}
	// alone tells that its event joins no others.
	alone bool
	// calls are events that the next settlement stores.
	calls []*Event
	// share is what the run has of its event's share of memory.
	share *share
	// lent is what it has of the memory for outputs, looked of that for lookups, and rooms are those of answers that
	// are not on record yet; large tells that it is known as a large run. A crowded run
	// found no memory and is put down when it is quiet; one that forgot has let go of
	// outputs, so that its plan cannot be asked.
	lent, looked           int64
	rooms                  rooms
	large, crowded, forgot bool
	// ends are called runs that the next settlement orders to be ended.
	ends []EndCall
	// since is when the present stretch of work began, by the monotonic clock; setBack is
	// by how much the clock was set back meanwhile, in nanoseconds.
	since   time.Time
	setBack atomic.Int64
	// releasedBy are the events that came for waiting steps, by path.
	releasedBy map[string]EventID
	// wrote tells that the run has written kept values.
	wrote atomic.Bool
}

// newDriver makes the driver of a run. Its state comes with begin.
func (e *Engine) newDriver(ev *Event, r *Run) *driver {
	dr := &driver{runContext: runContext{e: e, event: ev, run: r}}
	dr.ctx, dr.cancel = context.WithCancel(e.work)
	return dr
}

// newRun makes the driver of a new run.
func (e *Engine) newRun(ev *Event, w *workflows.Workflow, id RunID, names map[string]any) *driver {
	now := time.Now().UTC()
	dr := e.newDriver(ev, &Run{ID: id, Event: ev.ID, Workflow: w.ID, Version: w.Version, Status: Queued, CreatedAt: now, DueAt: now})
	dr.since, dr.share = time.Now(), ev.share.hold()
	dr.begin(w, names, now)
	if isBatch(w) {
		dr.state.Events = []any{names}
	}
	dr.listen(w)
	return dr
}

// start plans the first steps of a new run. If no worker slot is free, the run is stored as
// queued instead.
func (dr *driver) start(slot bool) Settlement {
	dr.slot = slot
	if !slot {
		dr.declined = dr.early // it would be read back; in the inbox it costs less
		return Settlement{Run: dr.run, New: true, Cancels: dr.cancels}
	}
	dr.run.StartedAt = dr.run.CreatedAt
	s := dr.settle()
	s.New = true
	if !s.Run.Status.Ended() {
		s.Cancels = dr.cancels
	}
	return s
}

// perform is stop 4: the attempts that are on record are made, several at once.
// It comes back with the first that have ended, so that a slow one holds up no
// branch but its own.
func (dr *driver) perform() {
	if len(dr.due) == 1 && dr.inFlight == 0 && dr.wake.IsZero() && dr.turn == nil {
		d := dr.due[0]
		r := dr.attempt(d, dr.allowed(d), dr.permitOf(d))
		dr.hideCredentials(r)
		dr.unsaved = append(dr.unsaved, r)
		dr.due = nil
		return
	}
	if dr.results == nil {
		dr.results = make(chan *plan.Record)
	}
	for _, d := range dr.due {
		dr.inFlight++
		allowed, permit := dr.allowed(d), dr.permitOf(d)
		go func() { dr.results <- dr.attempt(d, allowed, permit) }()
	}
	dr.due = nil
	if dr.inFlight == 0 {
		return
	}
	var timer <-chan time.Time
	if !dr.wake.IsZero() {
		t := time.NewTimer(time.Until(dr.wake))
		defer t.Stop()
		timer = t.C
	}
	select {
	case r := <-dr.results:
		dr.ended(r)
	case <-timer:
		return
	case <-dr.news:
		dr.lookUp()
		return
	case <-dr.turn:
		return
	}
	// Those that have ended meanwhile share the settlement.
	for dr.inFlight > 0 {
		select {
		case r := <-dr.results:
			dr.ended(r)
		default:
			return
		}
	}
}

// putDown gives back the memory of a run that is at work no more. The driver must not
// be used after it.
func (dr *driver) putDown() {
	dr.share.letGo()
	dr.share = nil
	dr.rooms.all()
	dr.lookedUp()
	dr.noteSize()
	if dr.lent > 0 {
		dr.e.outputs.Give(dr.lent)
		dr.lent = 0
	}
}

// abandon breaks off the attempts still under way, whose results can no longer
// be recorded, and waits for them. On record they stay running, thus in doubt.
func (dr *driver) abandon() {
	dr.cancel()
	for dr.inFlight > 0 {
		dr.ended(<-dr.results)
	}
}

func (dr *driver) ended(r *plan.Record) {
	dr.inFlight--
	dr.hideCredentials(r)
	dr.unsaved = append(dr.unsaved, r)
}

// attempt makes one try of one step. It may run beside others and reads nothing
// of the driver that changes.
func (dr *driver) attempt(d plan.Due, allowed time.Duration, permit *destination.Permit) (r *plan.Record) {
	defer func() {
		if p := recover(); p != nil { // one step's bug must not take the other runs down with it
			r.Status, r.FinishedAt, r.Output = plan.Failed, time.Now().UTC(), nil
			r.Error = &plan.Error{Message: fmt.Sprintf("the step panicked: %v", p), Code: "panic", Step: d.Path, Attempts: d.Attempt}
		}
	}()
	r = &plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Succeeded}
	permit.Renew(dr.ctx)
	r.StartedAt = time.Now().UTC()
	if !d.Step.Spec.Leaves {
		r.Input, r.Notes = d.Shown, d.Notes // those that leave have it on record since they were opened
	}
	ctx, cancel := context.WithTimeout(dr.ctx, allowed)
	defer cancel()
	r.Destination = permit.Name()
	if d.Step.Spec.Leaves {
		room := &Room{answers: dr.e.answers, parsed: dr.e.parsed}
		ctx = context.WithValue(ctx, roomKey{}, room)
		defer func() { dr.rooms.add(r, room) }()
	}
	result, err := dr.do(dr.traced(ctx, d.Path, d.Attempt), d)
	r.FinishedAt = time.Now().UTC()
	if err == nil {
		permit.Give(destination.Outcome{})
		r.Output, err = d.Output(dr.run.ID.String(), result)
		if err == nil {
			return r
		}
		permit = nil
	}
	r.Status, r.Error = plan.Failed, dr.explain(ctx, d, err, allowed)
	r.Error.Bound()
	permit.Give(outcome(d.Step, r.Error, dr.ctx.Err() != nil))
	r.Output = r.Error.Details
	if errors.Is(err, ErrUnanswered) || dr.e.work.Err() != nil {
		// The request may have arrived: say so, and let the step's policy settle it.
		r.Status = plan.Unknown
		if dr.e.work.Err() != nil {
			r.Error, r.FinishedAt = nil, time.Now().UTC()
		}
	}
	return r
}

// allowed is how long an attempt may take: the step's timeout, or what is left
// of the run's. Handlers of a run that timed out, and finally, get their own time.
func (dr *driver) allowed(d plan.Due) time.Duration {
	allowed := d.Step.Timeout
	if !d.Deadline.IsZero() {
		allowed = min(allowed, time.Until(d.Deadline))
	}
	if left := dr.state.Workflow.Timeout - dr.run.Active - time.Since(dr.since); !dr.state.TimedOut && !isFinal(d.Path) {
		allowed = min(allowed, left)
	}
	return max(allowed, time.Millisecond)
}

func (dr *driver) do(ctx context.Context, d plan.Due) (result any, err error) {
	defer func() {
		// One step's bug must not take the other runs down with it.
		if p := recover(); p != nil {
			err = &plan.Error{Message: fmt.Sprintf("the action panicked: %v", p), Code: "panic"}
		}
	}()
	a := dr.e.o.Actions[ActionName(d.Step)]
	if a == nil {
		return nil, &plan.Error{Message: fmt.Sprintf("there is no action %s", d.Step.Uses), Code: "unsupported"}
	}
	in := dr.input(d)
	if !d.Step.Spec.Leaves {
		in.With = d.Shown // what it does with them is to show them
	}
	in.Key = idempotencyKey(dr.e.o.Store.Instance(), dr.keyRun(d.Path), d.Path)
	endpoint, err := dr.endpoint(a, in)
	if err != nil {
		return nil, err
	}
	result, err = a.Do(ctx, in)
	return result, dr.gone(ctx, endpoint, d, err)
}

// input is the order of an attempt, without its idempotency key.
func (dr *driver) input(d plan.Due) Input {
	p := dr.e.project.Load()
	// A url: that is one expression is a link that an answer gave.
	link := d.With["connection"] != nil && d.Step.With.Field("url").IsExpression()
	return Input{Spec: d.Step.Spec, With: d.With, Run: dr.run.ID, Path: d.Path, Attempt: d.Attempt,
		Now: d.Began().In(p.Timezone), Connections: p.Connections,
		Inside: dr, Files: dr.e.o.Files, MaxFile: p.FileBounds.MaxFile, Link: link,
		Secret: dr.e.secret, Redact: dr.masker().Text, Client: dr.e.o.Client}
}

// ActionName is the entry of the table that carries a step out: all actions of
// connectors are one.
func ActionName(s *workflows.Step) string {
	if s.Spec != nil && s.Spec.Connector != nil {
		return "connector"
	}
	return s.Uses
}

// explain turns an action's error into what is recorded.
func (dr *driver) explain(ctx context.Context, d plan.Due, err error, took time.Duration) *plan.Error {
	var known *plan.Error
	out := &plan.Error{Message: err.Error(), Code: "failed", Retryable: true}
	if errors.As(err, &known) {
		c := *known
		out = &c
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		out.Code, out.Retryable = "timeout", true
		switch {
		case took >= d.Step.Timeout:
			out.Message = fmt.Sprintf("no answer within %s", took.Round(time.Millisecond))
		case !d.Deadline.IsZero() && !time.Now().Before(d.Deadline):
			out.Message = fmt.Sprintf("cut after %s: %s", took.Round(time.Millisecond), d.CutByGroup())
		default:
			out.Message = fmt.Sprintf("cut after %s: the run took longer than its timeout of %s", took.Round(time.Millisecond),
				dr.state.Workflow.Timeout)
		}
	}
	out.Step, out.Attempts = d.Path, d.Attempt
	out.Message = dr.masker().Text(out.Message)
	return out
}
