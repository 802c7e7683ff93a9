package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// This file is how concurrency and rate hold runs back. A run of such a workflow
// is stored as queued; it begins when its slot is free and its rate lets it. The
// store counts the slots in the transaction that stores the run, and gives a
// slot on in the one that ends a run, so that the order of the queue is the order
// in which events were matched, over restarts too. Events of these workflows are
// decided one after another (ordered.go).

// SlotRequest is what a run asks for before it begins.
type SlotRequest struct {
	Workflow string
	// Group is that of concurrency; Limit runs of it go on at once, 0 for any number.
	Group    string
	Limit    int
	OnFull   string // queue, drop or replace
	MaxQueue int
	// Stale is an int64 (a whole number, or a time in microseconds) or a float64;
	// nil for no guard of order.
	Stale any
	// RateLimit runs of RateGroup start within RatePer; 0 for any number.
	RateGroup string
	RateLimit int
	RatePer   time.Duration
	RateDrop  bool
}

// GroupState is what a slot's groups hold at the moment.
type GroupState struct {
	// AtWork runs have begun and not ended; Queued wait for their turn.
	AtWork, Queued int
	// Newest is the highest Stale that was applied, or is about to be, in the group.
	Newest any
	// NextStart is the first moment that the rate allows; zero for at once.
	NextStart time.Time
}

// Admission is what becomes of a run that asks for a slot.
type Admission struct {
	// Drop says why the run may not be made; empty when it may.
	Drop string
	// Begins tells that it has its slot now, and starts at Start.
	Begins bool
	Start  time.Time
	// Replace tells that it takes the place of those before it.
	Replace bool
}

// Admit decides. It is pure: the store asks it inside of its transaction.
func (p *SlotRequest) Admit(c GroupState, now time.Time) Admission {
	if p.Stale != nil && c.Newest != nil && lower(p.Stale, c.Newest) {
		return Admission{Drop: fmt.Sprintf("stale: %s is older than %s, the last one applied%s", showStale(p.Stale),
			showStale(c.Newest), inGroup(p.Group))}
	}
	if p.Limit > 0 && (c.AtWork >= p.Limit || c.Queued > 0) {
		switch {
		case p.OnFull == "drop":
			return Admission{Drop: fmt.Sprintf("concurrency: %d at work%s, on_full: drop", c.AtWork, inGroup(p.Group))}
		case p.OnFull == "replace":
			return Admission{Replace: true}
		case c.Queued >= p.MaxQueue:
			return Admission{Drop: fmt.Sprintf("concurrency: %d wait already%s, the most that max_queue allows", c.Queued, inGroup(p.Group))}
		}
		return Admission{}
	}
	start := now
	if c.NextStart.After(now) {
		if p.RateDrop {
			return Admission{Drop: fmt.Sprintf("rate: %d started within %s%s, on_full: drop", p.RateLimit, plain(p.RatePer), inGroup(p.RateGroup))}
		}
		start = c.NextStart
	}
	return Admission{Begins: true, Start: start}
}

func inGroup(group string) string {
	if group == "" {
		return ""
	}
	return fmt.Sprintf(" in group %.200q", group)
}

// plain writes 1m0s as 1m.
func plain(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func lower(a, b any) bool {
	x, whole := a.(int64)
	y, too := b.(int64)
	if whole && too {
		return x < y
	}
	return number(a) < number(b)
}

func number(v any) float64 {
	switch x := v.(type) {
	case int64:
		return float64(x)
	case float64:
		return x
	}
	return 0
}

// timesFrom is the number of microseconds from which a whole number is shown as
// a time: no counter that people order events by comes near it.
const timesFrom = 300_000_000_000_000

func showStale(v any) string {
	if n, ok := v.(int64); ok && n > timesFrom && n < 20*timesFrom {
		return time.UnixMicro(n).UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}

// staleness turns a value into what can be compared: a time in microseconds, or
// a number.
func staleness(v any) (any, error) {
	switch x := v.(type) {
	case time.Time:
		return x.UnixMicro(), nil
	case int:
		return int64(x), nil
	case int64, float64:
		return x, nil
	case json.Number:
		return staleness(x.String())
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
			if t, err := time.Parse(layout, x); err == nil {
				return t.UnixMicro(), nil
			}
		}
		if n, err := strconv.ParseInt(x, 10, 64); err == nil {
			return n, nil
		}
		if f, err := strconv.ParseFloat(x, 64); err == nil {
			return f, nil
		}
		return nil, fmt.Errorf("%.100q is no time and no number", x)
	case nil:
		return nil, errors.New("it is nil; a time or a number is needed")
	}
	return nil, fmt.Errorf("it is %T; a time or a number is needed", v)
}

// slotRequest evaluates what a run asks for; nil when its workflow holds nothing back.
func (rc *runContext) slotRequest() (*SlotRequest, error) {
	w := rc.state.Workflow
	if !w.Bounded() {
		return nil, nil
	}
	vars, failure := rc.state.Vars()
	if failure != nil {
		return nil, failure
	}
	env := &workflows.Env{Names: workflows.Names{"event": rc.state.Event, "inputs": rc.state.Inputs, "run": rc.state.Run,
		"vars": vars}, Now: rc.event.ReceivedAt, Seed: rc.event.ID.String()}
	p := &SlotRequest{Workflow: w.ID}
	var err error
	if c := w.Concurrency; c != nil {
		p.Limit, p.OnFull, p.MaxQueue = c.Limit, c.OnFull, c.MaxQueue
		if p.Group, err = group(c.Group, env); err != nil {
			return nil, fmt.Errorf("concurrency.group: %w", err)
		}
		if c.Stale != nil {
			v, err := c.Stale.Eval(env)
			if err == nil {
				p.Stale, err = staleness(v)
			}
			if err != nil {
				return nil, fmt.Errorf("concurrency.stale: %w", err)
			}
		}
	}
	p.Group = rc.masker().Text(p.Group) // it is stored
	if r := w.Rate; r != nil {
		p.RateLimit, p.RatePer, p.RateDrop = r.Limit, r.Per, r.OnFull == "drop"
		if p.RateGroup, err = group(r.Group, env); err != nil {
			return nil, fmt.Errorf("rate.group: %w", err)
		}
		p.RateGroup = rc.masker().Text(p.RateGroup)
	}
	return p, nil
}

// maxGroup bounds the name of a group, in bytes.
const maxGroup = 1024

func group(v *workflows.Value, env *workflows.Env) (string, error) {
	x, err := v.Render(env, workflows.FillPlain)
	if err != nil {
		return "", err
	}
	name := ""
	if x != nil {
		if name, err = value.Text(x); err != nil {
			return "", err
		}
	}
	if len(name) > maxGroup {
		return "", fmt.Errorf("the name of a group is at most %d bytes, this one has %d", maxGroup, len(name))
	}
	return name, nil
}

// DroppedError says that a run may not be made now.
type DroppedError struct{ Reason string }

// Error implements error.
func (e *DroppedError) Error() string { return e.Reason }

// replaceBeside calls replace on a goroutine of its own, if there is something to replace.
func (e *Engine) replaceBeside(ids []RunID) {
	if len(ids) == 0 {
		return
	}
	e.goroutines.Add(1)
	go func() {
		defer e.goroutines.Done()
		e.replace(ids)
	}()
}

// replace cancels the runs that newer ones take the place of.
func (e *Engine) replace(ids []RunID) {
	for _, id := range ids {
		err := e.cancel(e.work, id, &plan.Error{Message: "a newer run took its place (on_full: replace)", Code: "replaced"})
		if err != nil && !errors.Is(err, ErrStale) && e.work.Err() == nil {
			e.o.Log.Error("a run was not replaced", "run", id, "error", err)
		}
	}
}

// replaceLeft cancels, at a start, those that were to be replaced before it.
func (e *Engine) replaceLeft(ctx context.Context) error {
	ids, err := e.o.Store.Replaced(ctx)
	if err != nil {
		return fmt.Errorf("looking for runs that are replaced: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	e.goroutines.Add(1)
	go func() {
		defer e.goroutines.Done()
		e.replace(ids)
	}()
	return nil
}
