package backtest

import (
	"cmp"
	"container/heap"
	"context"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// This file is what concurrency, rate, debounce and batch make of the events as a whole, in
// virtual time: an event arrives when it was received, a gathering closes when it is due, and a
// run holds its place from its start to its end. The edited side is simulated, by the rules that
// the engine asks; the other side is what is recorded.

// stream is the events of one workflow on the edited side.
type stream struct {
	flow flow
	// open are the gatherings that take events, by key.
	open map[string]*gathered
}

// gathered is a gathering: it is the item that has the run, and first is when it began.
type gathered struct {
	it         *item
	g          *engine.Gathering
	first, due time.Time
	events     []any
	n          int
	bytes      int64
	closed     bool
}

// maxHeld bounds the memory of the events that gatherings hold at once.
const maxHeld = 64 << 20

// slightly is how far two starts may lie apart that count as the same moment: the engine takes some
// time from an event to its run.
const slightly = time.Second

// inStream finds out whether what becomes of an item depends on other events, and whether the edit
// changes how.
func (b *run) inStream(it *item, before *workflows.Workflow) {
	after := it.listener.Workflow
	holds := func(w *workflows.Workflow) bool { return w != nil && (w.Gather != nil || w.Bounded()) }
	if b.o.Against != nil || !holds(before) && !holds(after) {
		return
	}
	it.streamed = true
	it.streamChanged = before == nil || !sameFlow(before, after) || !sameGathering(before, after) || !sameRule(before, after)
}

// gathers reports whether the edited workflow collects an item with others.
func (it *item) gathers() bool {
	w := it.listener.Workflow
	return w != nil && w.Gather != nil && it.ev.Event.Inlet != "manual"
}

// arrive takes an item through the stream of its workflow. It is noted now, or when its gathering
// closes or its run can no longer be replaced. Items arrive in the order of their events.
func (b *run) arrive(ctx context.Context, it *item) error {
	now := it.ev.Event.ReceivedAt
	if err := b.agenda.until(now); err != nil {
		return err
	}
	s := b.streams[it.workflow]
	if it.skipped != nil || it.problem != "" || !it.streamed || s == nil && !it.streamChanged {
		return b.note(it)
	}
	if b.o.Sample > 0 || b.o.Query.IDs != nil {
		it.problem, it.limits = "which events share a run or are held back needs all events: without --sample and --explain", nil
		return b.note(it)
	}
	if s == nil {
		s = &stream{open: map[string]*gathered{}}
		b.streams[it.workflow] = s
	}
	if it.gathers() {
		return b.gather(ctx, s, it, now)
	}
	return b.admit(ctx, s, it, now, nil)
}

// gather has an item join the gathering of its key, or begin one.
func (b *run) gather(ctx context.Context, s *stream, it *item, now time.Time) error {
	g, err := registry.GatheringOf(b.simulation(ctx, it.listener.Workflow, it, nil, nil).st, it.ev.Event)
	if err != nil {
		it.problem = err.Error()
		return b.note(it)
	}
	if x := s.open[g.Key]; x != nil {
		j := g.Join(engine.GatherState{Kind: x.g.Kind, First: x.first, Events: x.n, Bytes: x.bytes}, now)
		if !j.Refused {
			return b.join(ctx, s, x, it, g, j)
		}
		if err := b.closeGathering(ctx, s, x, now); err != nil {
			return err
		}
	}
	if b.held += g.Bytes; b.held > maxHeld {
		b.held -= g.Bytes
		it.problem = "too many events wait for debounce or batch at once to simulate which share a run"
		return b.note(it)
	}
	x := &gathered{it: it, g: g, first: now, due: g.Begin(now), n: 1, bytes: g.Bytes, events: []any{it.names}}
	s.open[g.Key] = x
	b.closeLater(ctx, s, x)
	return nil
}

// join puts an item into an open gathering: one of its events has the run, the other is folded.
func (b *run) join(ctx context.Context, s *stream, x *gathered, it *item, g *engine.Gathering, j engine.Joined) error {
	folded, reason := it, engine.FoldedByBatch
	if g.Kind == workflows.Batch {
		x.events, x.bytes, b.held = append(x.events, it.names), x.bytes+g.Bytes, b.held+g.Bytes
	} else {
		folded, reason = x.it, engine.FoldedByDebounce
		b.held += g.Bytes - x.bytes
		x.it, x.events, x.bytes = it, []any{it.names}, g.Bytes
	}
	x.n++
	x.g, x.due = g, j.Due
	if j.Full {
		delete(s.open, g.Key)
	}
	b.closeLater(ctx, s, x)
	return b.noRun(ctx, folded, "folded", reason)
}

func (b *run) closeLater(ctx context.Context, s *stream, x *gathered) {
	due := x.due
	b.agenda.at(due, func() error {
		if x.closed || !x.due.Equal(due) {
			return nil
		}
		return b.closeGathering(ctx, s, x, due)
	})
}

// closeGathering lets the run of a gathering begin.
func (b *run) closeGathering(ctx context.Context, s *stream, x *gathered, now time.Time) error {
	if x.closed = true; s.open[x.g.Key] == x {
		delete(s.open, x.g.Key)
	}
	b.held -= x.bytes
	return b.admit(ctx, s, x.it, now, x.events)
}

// admit asks for a place for a run, and simulates it from when it has one.
func (b *run) admit(ctx context.Context, s *stream, it *item, now time.Time, events []any) error {
	slot, err := registry.SlotRequestOf(b.simulation(ctx, it.listener.Workflow, it, nil, nil).st, it.ev.Event)
	if err != nil {
		it.problem = err.Error()
		return b.note(it)
	}
	if slot == nil {
		b.compareFrom(ctx, it, now, events)
		return b.note(it)
	}
	start, replaced, drop := s.flow.ask(slot, now)
	if drop != "" {
		return b.noRun(ctx, it, "dropped", drop)
	}
	for _, x := range replaced {
		if err := b.replaced(ctx, x, now); err != nil {
			return err
		}
	}
	b.compareFrom(ctx, it, start, events)
	x := &flowRun{start: start, end: start}
	if it.after != nil {
		x.end = start.Add(it.after.ended.Sub(it.after.st.StartedAt))
	}
	if s.flow.enter(slot, x); slot.OnFull != "replace" || it.problem != "" {
		return b.note(it)
	}
	x.it = it
	b.agenda.at(x.end, func() error {
		if x.it == nil {
			return nil
		}
		x.it = nil
		return b.note(it)
	})
	return nil
}

// replaced ends a run whose place a newer one takes.
func (b *run) replaced(ctx context.Context, x *flowRun, now time.Time) error {
	it := x.it
	if x.it = nil; it == nil {
		return nil
	}
	if x.start.After(now) {
		return b.noRun(ctx, it, "replaced", engine.ReplacedByNewer().Message)
	}
	it.cutAt = now
	b.compareFrom(ctx, it, x.start, it.eventsAfter)
	return b.note(it)
}

// compareFrom simulates the run that the edited side makes for an item from a moment on, and
// compares.
func (b *run) compareFrom(ctx context.Context, it *item, start time.Time, events []any) {
	it.change, it.assumed, it.after, it.limits, it.eventsAfter = nil, false, nil, nil, events
	recorded := time.Time{}
	if it.base != nil {
		recorded = it.base.st.StartedAt
	}
	if d := start.Sub(recorded); d > slightly || d < -slightly {
		if it.startAfter = start; it.base != nil {
			b.report.Limits.Moved++
		}
	}
	switch {
	case it.matchedBefore && !it.elsewhere:
		b.compareRuns(ctx, it, it.versionBefore)
	case it.matchedBefore:
		it.after = b.follow(ctx, it, it.listener.Workflow)
		it.change = b.newChange(it, StartsMatching)
		it.change.Because = Because{Expression: b.holder(it), Before: string(it.decided.Outcome) + ": " + it.decided.Reason, After: "runs"}
		for _, x := range it.after.requests() {
			it.change.Requests.Added = append(it.change.Requests.Added, requestOf(x))
		}
		it.change.Assumed = it.assumed
		it.matchedBefore, it.elsewhere = false, false
	default:
		it.change = b.matchChange(ctx, it, it.versionBefore, it.decided, it.decidedAfter)
	}
	if it.problem != "" {
		it.change = nil
	}
}

// noRun notes an item that has no run of its own on the edited side.
func (b *run) noRun(ctx context.Context, it *item, outcome, reason string) error {
	it.limits, it.assumed = nil, false
	switch {
	case it.matchedBefore && !it.elsewhere:
		it.before = b.beforeRun(ctx, it, it.versionBefore)
		it.change = b.newChange(it, StopsMatching)
		it.change.Because = Because{Expression: b.holder(it), Before: "runs", After: outcome + ": " + reason}
		for _, x := range it.before.requests() {
			it.change.Requests.Removed = append(it.change.Requests.Removed, requestOf(x))
		}
	case it.matchedBefore:
		it.change = nil
	default:
		it.change = b.newChange(it, StartsMatching)
		it.change.Because = b.whyMatched(it, it.versionBefore, it.listener.Workflow)
		it.change.Because.After = outcome + ": " + reason
	}
	it.after, it.matchedAfter = nil, false
	return b.note(it)
}

// holder names what collects the runs of a workflow, or holds them back.
func (b *run) holder(it *item) string {
	name := func(w *workflows.Workflow) string {
		switch {
		case w == nil:
			return ""
		case w.Gather != nil:
			return w.Gather.Kind
		case w.Concurrency != nil:
			return "concurrency"
		case w.Rate != nil:
			return "rate"
		}
		return ""
	}
	return cmp.Or(name(it.listener.Workflow), name(it.versionBefore))
}

// cut returns when and why a run of the edited side is ended from outside.
func (it *item) cut() (time.Time, *plan.Error) {
	switch {
	case !it.cutAt.IsZero():
		return it.cutAt, engine.ReplacedByNewer()
	case it.base == nil || it.run == nil:
		return time.Time{}, nil
	}
	why := cmp.Or(it.run.Run.Ending, it.run.Run.Error)
	if it.streamed && it.streamChanged && why != nil && why.Code == engine.ReplacedByNewer().Code {
		return time.Time{}, nil // whether it is replaced is simulated
	}
	return cancelledAt(it.run), why
}

// agenda is what happens later in virtual time.
type agenda struct {
	list agendaHeap
	n    int
}

type agendaEntry struct {
	at time.Time
	n  int
	do func() error
}

func (a *agenda) at(t time.Time, do func() error) {
	a.n++
	heap.Push(&a.list, agendaEntry{t, a.n, do})
}

// until does what is due at a moment or before it, in order.
func (a *agenda) until(t time.Time) error {
	for len(a.list) > 0 && !a.list[0].at.After(t) {
		if err := heap.Pop(&a.list).(agendaEntry).do(); err != nil {
			return err
		}
	}
	return nil
}

// rest does all that is left.
func (a *agenda) rest() error {
	for len(a.list) > 0 {
		if err := a.until(a.list[0].at); err != nil {
			return err
		}
	}
	return nil
}

// agendaHeap implements heap.Interface, the earliest first.
type agendaHeap []agendaEntry

func (h agendaHeap) Len() int { return len(h) }
func (h agendaHeap) Less(i, j int) bool {
	return cmp.Or(h[i].at.Compare(h[j].at), cmp.Compare(h[i].n, h[j].n)) < 0
}
func (h agendaHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *agendaHeap) Push(x any) { *h = append(*h, x.(agendaEntry)) }

// Pop implements heap.Interface.
func (h *agendaHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
