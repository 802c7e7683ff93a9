package registry

import (
	"github.com/hookloom/hookloom/workflows/expr"

	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/memory"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

// staleness converts a value to a comparable one: a time in microseconds, or a number.
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
		return nil, fmt.Errorf("%.100q is neither a time nor a number", x)
	case nil:
		return nil, errors.New("it is nil, but must be a time or a number")
	}
	return nil, fmt.Errorf("it is %T, but must be a time or a number", v)
}

// SlotRequest evaluates the slot that a run needs; nil if its workflow has no limits.
func (rc *RunContext) SlotRequest() (*engine.SlotRequest, error) {
	p, err := SlotRequestOf(rc.State, rc.Event)
	if p != nil { // its groups are stored
		p.Group, p.RateGroup = rc.Masker().Text(p.Group), rc.Masker().Text(p.RateGroup)
	}
	return p, err
}

// SlotRequestOf evaluates the slot that a run of an event needs, with nothing masked.
func SlotRequestOf(st *plan.State, ev *engine.Event) (*engine.SlotRequest, error) {
	w := st.Workflow
	if !w.Bounded() {
		return nil, nil
	}
	vars, failure := st.Vars()
	if failure != nil {
		return nil, failure
	}
	env := &expr.Env{Names: expr.Names{"event": st.Event, "inputs": st.Inputs, "run": st.Run, "vars": vars}, Now: ev.ReceivedAt,
		Seed: ev.ID.String()}
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
	if r := w.Rate; r != nil {
		p.RateLimit, p.RatePer, p.RateDrop = r.Limit, r.Per, r.OnFull == "drop"
		if p.RateGroup, err = group(r.Group, env); err != nil {
			return nil, fmt.Errorf("rate.group: %w", err)
		}
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

// Gathering evaluates how an event joins others.
func (rc *RunContext) Gathering() (*engine.Gathering, error) {
	g, err := GatheringOf(rc.State, rc.Event)
	if err != nil {
		return nil, err
	}
	g.Key = rc.Masker().Text(g.Key)
	return g, nil
}

// GatheringOf evaluates how an event joins others. Secrets in its key are not masked.
func GatheringOf(st *plan.State, ev *engine.Event) (*engine.Gathering, error) {
	g := st.Workflow.Gather
	key, err := g.KeyOf(keyEnv(st, ev))
	if err != nil {
		return nil, err
	}
	return &engine.Gathering{Kind: g.Kind, Key: key, Wait: g.Wait, Max: g.Max, Size: g.Size, Bytes: memory.DecodedSize(ev.Raw)}, nil
}

// IsBatch reports whether runs of a workflow have several events.
func IsBatch(w *workflows.Workflow) bool { return w.Gather != nil && w.Gather.Kind == workflows.Batch }
