package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
)

// maxDestination is the longest name of a destination in bytes. A host has at most 253 (RFC 1035, section 2.3.4),
// and the rest of a name is shorter still. A call to a longer one reaches nothing, and fails without a permit:
// the name would be too long for the index of PostgreSQL.
const maxDestination = 1024

// permit acquires the permit of an attempt, unless the run has it.
func (ex *Execution) permit(d plan.Due) *destination.Denial {
	if d.Step.Spec == nil || !d.Step.Spec.SideEffects || ex.permits[d.Path] != nil {
		return nil
	}
	action := ex.rn.o.Actions[engine.ActionName(d.Step)]
	if why, name := ex.heldConnection(action, d); name != "" {
		ex.declined = ex.declined || ex.provisional
		ex.noteHeld(name)
		return &destination.Denial{Why: why, Host: engine.HeldDestination(name)}
	}
	a, ok := action.(engine.Destined)
	if !ok {
		return nil
	}
	name := a.Destination(ex.input(d))
	if name == "" || len(name) > maxDestination {
		return nil
	}
	var limit workflows.Limit
	if c := d.Step.Spec.Connector; c != nil {
		limit = c.Limit
	}
	if ex.provisional {
		p := ex.rn.destinations.TryAcquire(name, limit)
		if p == nil {
			ex.declined = true
			return &destination.Denial{}
		}
		ex.keep(d.Path, p)
		return nil
	}
	if ex.held {
		// From here on its permit may become ready, even while it is executing.
		ex.watchPermit()
	}
	p, h := ex.rn.destinations.Acquire(name, limit, int64(ex.Run.ID))
	if h != nil && !ex.held {
		ex.held = true
		ex.watchPermit()
		p, h = ex.rn.destinations.Acquire(name, limit, int64(ex.Run.ID))
	}
	if h != nil {
		return h
	}
	ex.keep(d.Path, p)
	return nil
}

func (ex *Execution) keep(path string, p *destination.Permit) {
	if ex.permits == nil {
		ex.permits = map[string]*destination.Permit{}
	}
	ex.permits[path] = p
}

// watchPermit makes the channel that signals to an executing run that its permit is ready.
func (ex *Execution) watchPermit() {
	ex.rn.mu.Lock()
	defer ex.rn.mu.Unlock()
	if ex.permitReady == nil {
		ex.permitReady = make(chan struct{}, 1)
	}
}

// permitOf hands an attempt its permit.
func (ex *Execution) permitOf(d plan.Due) *destination.Permit {
	p := ex.permits[d.Path]
	delete(ex.permits, d.Path)
	return p
}

// giveBack releases the permits of attempts that are not made.
func (ex *Execution) giveBack() {
	for path, p := range ex.permits {
		delete(ex.permits, path)
		p.Release(destination.Outcome{Cut: true})
	}
}

// permitReady wakes a run whose reserved permit is ready.
func (rn *Runner) permitReady(id engine.RunID) bool {
	rn.mu.Lock()
	ex := rn.atWork[id]
	if ex != nil && ex.permitReady != nil {
		select {
		case ex.permitReady <- struct{}{}:
		default: // it is already signalled
		}
	}
	rn.mu.Unlock()
	if ex != nil {
		return true // it looks when it advances, or when it is suspended
	}
	return rn.resume(id, false) != nil
}

// hold records that an attempt waits for its destination.
func (ex *Execution) hold(d plan.Due, h *destination.Denial) {
	list := ex.State.Records[d.Path]
	if n := len(list); n > 0 && list[n-1].Status == plan.Waiting {
		return
	}
	r := &plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Waiting, StartedAt: ex.State.Now, Input: d.Shown,
		Waits: []plan.Wait{{Kind: plan.WaitDestination, Destination: ex.Masker().Text(h.Why)}}, Destination: h.Host}
	ex.State.AddRecord(r)
	ex.unsaved = append(ex.unsaved, r)
}

// givesUp fails an attempt whose host has not answered for too long, so that a run does not wait
// forever.
func (ex *Execution) givesUp(d plan.Due, h *destination.Denial) {
	r := &plan.Record{Path: d.Path, Attempt: d.Attempt, Action: d.Step.Uses, Status: plan.Failed, StartedAt: ex.State.Now,
		FinishedAt: ex.State.Now, Input: d.Shown,
		Error: &plan.Error{Message: ex.Masker().Text(fmt.Sprintf("not sent: %s, for %s", h.Why, engine.ShortDuration(ex.rn.o.MaxHeld))),
			Code: "destination_down", Retryable: true, Step: d.Path, Attempts: d.Attempt}}
	ex.State.AddRecord(r)
	ex.unsaved = append(ex.unsaved, r)
}

// endpoint refuses an attempt to a paused endpoint.
func (ex *Execution) endpoint(a engine.Action, in engine.Input) (string, error) {
	x, ok := a.(engine.Endpointed)
	if !ok {
		return "", nil
	}
	raw := x.Endpoint(in)
	if p, paused := ex.rn.paused.Load(endpointKey(raw)); paused {
		shown := p.(engine.Pause).Endpoint
		return "", &plan.Error{Message: fmt.Sprintf("not sent: %s answered 410 Gone before and is paused; hookloom "+
			"destinations --resume %s resumes it", shown, shown), Code: "endpoint_paused"}
	}
	return raw, nil
}

// gone pauses an endpoint that answered 410.
func (ex *Execution) gone(ctx context.Context, raw string, d plan.Due, err error) error {
	var e *plan.Error
	if raw == "" || !errors.As(err, &e) || e.Status != 410 {
		return err
	}
	p := engine.Pause{Key: endpointKey(raw), Endpoint: ex.rn.showEndpoint(raw), Run: ex.Run.ID.String(), At: time.Now().UTC()}
	if serr := ex.rn.store.Pause(context.WithoutCancel(ctx), p); serr != nil {
		ex.rn.o.Log.Error("an endpoint that is gone was not paused", "endpoint", p.Endpoint, "error", serr)
		return err
	}
	ex.rn.paused.Store(p.Key, p)
	ex.rn.o.Log.Warn("an endpoint answered 410 Gone: it is paused", "endpoint", p.Endpoint, "run", p.Run, "resume",
		"hookloom destinations --resume "+p.Endpoint)
	out := *e
	out.Message += "; the endpoint is paused: hookloom destinations --resume " + p.Endpoint + " resumes it"
	return &out
}

func endpointKey(raw string) string {
	sum := sha256.Sum256([]byte(raw))
	return hex.EncodeToString(sum[:12])
}

// showEndpoint is a URL without its query and with secrets masked.
func (rn *Runner) showEndpoint(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "***"
	}
	u.RawQuery, u.User, u.Fragment = "", nil, ""
	return rn.o.Redactor.Text(u.String())
}

func (rn *Runner) loadPaused(ctx context.Context) error {
	list, err := rn.store.Paused(ctx)
	if err != nil {
		return fmt.Errorf("looking for paused endpoints: %w", err)
	}
	for _, p := range list {
		rn.paused.Store(p.Key, p)
	}
	return nil
}

// Paused lists the paused endpoints.
func (rn *Runner) Paused() []engine.Pause {
	out := []engine.Pause{}
	rn.paused.Range(func(_, v any) bool {
		out = append(out, v.(engine.Pause))
		return true
	})
	return out
}

// Unpause resumes endpoints, by key or by their displayed URL, and ends the pause of a destination
// of that name. It returns how many there were.
func (rn *Runner) Unpause(ctx context.Context, endpoint string) (int, error) {
	n := 0
	for _, p := range rn.Paused() {
		if p.Key != endpoint && p.Endpoint != endpoint {
			continue
		}
		if err := rn.store.Unpause(ctx, p.Key); err != nil {
			return n, fmt.Errorf("endpoint %s: %w", p.Endpoint, err)
		}
		rn.paused.Delete(p.Key)
		n++
	}
	held := rn.destinations.Lift(endpoint)
	if err := rn.store.OrderNodes(ctx, engine.NodeOrder{Kind: engine.OrderLift, Subject: endpoint}); err != nil {
		return n + held, fmt.Errorf("destination %s: %w", endpoint, err)
	}
	names := destination.Origins(endpoint, held > 0)
	if len(names) == 0 {
		return n + held, nil
	}
	// The runs that were asked to wait are stored, each separately.
	runs, err := rn.store.ResumeRuns(ctx, names, time.Now())
	if err != nil {
		return n + held, fmt.Errorf("destination %s: %w", endpoint, err)
	}
	if runs > 0 {
		rn.DueAt(time.Now())
	}
	if n+held == 0 {
		return runs, nil // after a restart only the runs know of it
	}
	return n + held, nil
}

// Destinations lists the recently used hosts, by name.
func (rn *Runner) Destinations() []destination.State {
	out := rn.destinations.States()
	for i := range out {
		out[i].Last = rn.o.Redactor.Text(out[i].Last)
	}
	return out
}

// outcome reports the result of an attempt to its host. A delay that the host asks for counts up
// to the step's own max_delay.
func outcome(s *workflows.Step, e *plan.Error, cut bool) destination.Outcome {
	o := destination.Outcome{Cut: cut}
	if e != nil {
		o.Failed = e.Code == "network" || e.Code == "timeout"
		most := workflows.DefaultRetry().MaxDelay
		if s.Retry != nil {
			most = s.Retry.MaxDelay
		}
		o.Status, o.Message, o.RetryAfter = e.Status, e.Message, min(e.RetryAfter, most)
	}
	return o
}
