package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

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
func (rc *runContext) slotRequest() (*engine.SlotRequest, error) {
	w := rc.state.Workflow
	if !w.Bounded() {
		return nil, nil
	}
	vars, failure := rc.state.Vars()
	if failure != nil {
		return nil, failure
	}
	env := &expr.Env{Names: expr.Names{"event": rc.state.Event, "inputs": rc.state.Inputs, "run": rc.state.Run,
		"vars": vars}, Now: rc.event.ReceivedAt, Seed: rc.event.ID.String()}
	p := &engine.SlotRequest{Workflow: w.ID}
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

func group(v *workflows.Value, env *expr.Env) (string, error) {
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

// replaceBeside calls replace on a goroutine of its own, if there is something to replace.
func (e *Engine) replaceBeside(ids []engine.RunID) {
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
func (e *Engine) replace(ids []engine.RunID) {
	for _, id := range ids {
		err := e.cancel(e.work, id, &plan.Error{Message: "a newer run took its place (on_full: replace)", Code: "replaced"})
		if err != nil && !errors.Is(err, engine.ErrStale) && e.work.Err() == nil {
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
