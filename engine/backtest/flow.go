package backtest

import (
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// This file simulates the effect of concurrency and rate on the runs of the edited side. The rules
// are the engine's: engine.SlotRequest and engine.RateStart.

// flow contains the runs of one workflow that compete for slots.
type flow struct {
	groups, rates map[string]*flowGroup
}

// flowGroup is one group of concurrency or of rate.
type flowGroup struct {
	// runs are those that have not ended, in order of arrival.
	runs []*flowRun
	// starts are the latest starts that count towards the rate.
	starts []time.Time
	newest any
}

// flowRun is a run with a slot. it is set while the run can still be replaced.
type flowRun struct {
	start, end time.Time
	it         *item
}

func groupOf(of *map[string]*flowGroup, name string) *flowGroup {
	if *of == nil {
		*of = map[string]*flowGroup{}
	}
	if (*of)[name] == nil {
		(*of)[name] = &flowGroup{}
	}
	return (*of)[name]
}

// ask decides about a run. It returns when the run starts and which runs it replaces, or why it is
// dropped.
func (f *flow) ask(p *engine.SlotRequest, now time.Time) (start time.Time, replaced []*flowRun, drop string) {
	g, r := groupOf(&f.groups, p.Group), groupOf(&f.rates, p.RateGroup)
	g.runs = slices.DeleteFunc(g.runs, func(x *flowRun) bool { return !x.end.After(now) })
	state := engine.GroupState{Newest: g.newest}
	var waiting, atWork []engine.RunID // by their index
	for i, x := range g.runs {
		if x.start.After(now) {
			waiting = append(waiting, engine.RunID(i))
		} else {
			atWork = append(atWork, engine.RunID(i))
		}
	}
	state.Queued, state.AtWork = len(waiting), len(atWork)
	if n := len(r.starts); p.RateLimit > 0 && n > 0 {
		var back time.Time
		if n >= p.RateLimit {
			back = r.starts[n-p.RateLimit]
		}
		state.NextStart = engine.RateStart(r.starts[n-1], back, p.RatePer)
	}
	a := p.Admit(state, now)
	switch {
	case a.Drop != "":
		return start, nil, a.Drop
	case a.Begins:
		start = a.Start
	case a.Replace:
		start = now
		for _, i := range p.Replaces(waiting, atWork) {
			g.runs[i].end = now
			replaced = append(replaced, g.runs[i])
		}
	default:
		start = g.free(p.Limit, now)
	}
	if start.Before(state.NextStart) {
		start = state.NextStart
	}
	return start, replaced, ""
}

// enter gives a run its slot.
func (f *flow) enter(p *engine.SlotRequest, x *flowRun) {
	g, r := groupOf(&f.groups, p.Group), groupOf(&f.rates, p.RateGroup)
	if p.Limit > 0 {
		g.runs = append(g.runs, x)
	}
	if p.Stale != nil {
		g.newest = p.Stale
	}
	if p.RateLimit > 0 {
		r.starts = append(r.starts, x.start)
		r.starts = r.starts[max(0, len(r.starts)-p.RateLimit):]
	}
}

// free returns when one more run of the group may start: they start in order of arrival.
func (g *flowGroup) free(limit int, now time.Time) time.Time {
	ends := make([]time.Time, len(g.runs))
	for i, x := range g.runs {
		ends[i] = x.end
	}
	slices.SortFunc(ends, func(a, b time.Time) int { return b.Compare(a) })
	if len(ends) < limit {
		return now
	}
	return later(ends[limit-1], now)
}

// sameFlow reports whether two versions limit runs in the same way.
func sameFlow(a, b *workflows.Workflow) bool {
	x, y := a.Concurrency, b.Concurrency
	if (x == nil) != (y == nil) || (a.Rate == nil) != (b.Rate == nil) {
		return false
	}
	if x != nil && (x.Limit != y.Limit || x.OnFull != y.OnFull || x.MaxQueue != y.MaxQueue || !x.Group.Same(y.Group) ||
		textOf(x.Stale) != textOf(y.Stale)) {
		return false
	}
	r, s := a.Rate, b.Rate
	return r == nil || r.Limit == s.Limit && r.Per == s.Per && r.OnFull == s.OnFull && r.Group.Same(s.Group)
}

// sameGathering reports whether two versions collect events in the same way.
func sameGathering(a, b *workflows.Workflow) bool {
	x, y := a.Gather, b.Gather
	if x == nil || y == nil {
		return x == y
	}
	return x.Kind == y.Kind && x.Wait == y.Wait && x.Max == y.Max && x.Size == y.Size && slices.Equal(texts(x.Key), texts(y.Key))
}

func textOf(e *workflows.Expr) string {
	if e == nil {
		return ""
	}
	return e.Text
}

// sameRule reports whether two versions have the same conditions for starting a run.
func sameRule(a, b *workflows.Workflow) bool {
	return slices.Equal(texts(a.When), texts(b.When)) && a.Enabled == b.Enabled &&
		slices.EqualFunc(a.Starts, b.Starts, func(x, y workflows.Start) bool {
			return x.Kind == y.Kind && x.Trigger == y.Trigger && slices.Equal(x.Events, y.Events)
		})
}
