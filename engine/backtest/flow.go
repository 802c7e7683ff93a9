package backtest

import (
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// This file is what concurrency and rate do to the stream as a whole, where an edit changes them.
// The edited side is simulated event by event; the other one is what is on record.

// flow is the runs of one workflow that hold each other back.
type flow struct {
	groups, rates map[string]*flowGroup
}

// flowGroup is one group of concurrency or of rate.
type flowGroup struct {
	// runs are those that have not ended, by the time at which they were admitted.
	runs []flowRun
	// starts are the last ones that count for the rate.
	starts []time.Time
	newest any
}

type flowRun struct{ start, end time.Time }

func (f *flow) group(of *map[string]*flowGroup, name string) *flowGroup {
	if *of == nil {
		*of = map[string]*flowGroup{}
	}
	if (*of)[name] == nil {
		(*of)[name] = &flowGroup{}
	}
	return (*of)[name]
}

// admit decides about a run that takes so long. It gives when the run starts, or why it is dropped.
func (f *flow) admit(p *engine.SlotRequest, now time.Time, took time.Duration) (start time.Time, drop string) {
	g, r := f.group(&f.groups, p.Group), f.group(&f.rates, p.RateGroup)
	g.runs = slices.DeleteFunc(g.runs, func(x flowRun) bool { return !x.end.After(now) })
	state := engine.GroupState{Newest: g.newest}
	for _, x := range g.runs {
		if x.start.After(now) {
			state.Queued++
		} else {
			state.AtWork++
		}
	}
	if n := p.RateLimit; n > 0 && len(r.starts) >= n {
		state.NextStart = r.starts[len(r.starts)-n].Add(p.RatePer)
	}
	a := p.Admit(state, now)
	switch {
	case a.Drop != "":
		return start, a.Drop
	case a.Begins:
		start = a.Start
	case a.Replace:
		start = now
		for i := range g.runs {
			g.runs[i].end = now
		}
	default:
		start = g.free(p.Limit, now)
	}
	if !state.NextStart.IsZero() && start.Before(state.NextStart) {
		start = state.NextStart
	}
	if p.Limit > 0 {
		g.runs = append(g.runs, flowRun{start, start.Add(took)})
	}
	if p.Stale != nil {
		g.newest = p.Stale
	}
	if p.RateLimit > 0 {
		r.starts = append(r.starts, start)
		r.starts = r.starts[max(0, len(r.starts)-p.RateLimit):]
	}
	return start, ""
}

// free is when one more run of the group may start: they start in the order of their arrival.
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

// sameFlow reports whether two versions hold runs back alike.
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

// sameGathering reports whether two versions gather events alike.
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

// admit decides about the run of an item on the edited side, in the order of the events.
func (b *run) admit(it *item) {
	if it.slot == nil && !it.flowChanged || it.problem != "" || it.after == nil {
		return
	}
	dropped, wasDropped := "", it.elsewhere
	if it.slot != nil {
		if b.flows[it.workflow] == nil {
			b.flows[it.workflow] = &flow{}
		}
		var start time.Time
		start, dropped = b.flows[it.workflow].admit(it.slot, it.ev.Event.ReceivedAt, it.after.ended.Sub(it.after.st.StartedAt))
		if d := start.Sub(it.ev.Event.ReceivedAt); dropped == "" && d > 0 {
			b.report.Limits.Delayed++
		}
	}
	because := Because{Expression: "concurrency", Before: "runs", After: "runs"}
	if it.after.w.Concurrency == nil && it.after.w.Rate != nil {
		because.Expression = "rate"
	}
	switch {
	case dropped != "" && !wasDropped:
		it.change = b.newChange(it, StopsMatching)
		because.After = "dropped: " + dropped
		for _, x := range it.before.requests() {
			it.change.Requests.Removed = append(it.change.Requests.Removed, requestOf(x))
		}
		it.after, it.matchedAfter = nil, false
	case dropped == "" && wasDropped:
		it.change = b.newChange(it, StartsMatching)
		because.Before = "dropped: " + it.decision.Reason
		for _, x := range it.after.requests() {
			it.change.Requests.Added = append(it.change.Requests.Added, requestOf(x))
		}
		it.matchedBefore, it.elsewhere = false, false
	default:
		return
	}
	it.change.Because, it.change.Assumed = because, it.assumed
}
