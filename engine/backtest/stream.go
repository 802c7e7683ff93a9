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

// This file simulates the effect of concurrency, rate, debounce and batch on the sequence of
// events, in virtual time: an event arrives when it was received, a gathering closes when it is
// due, and a run holds its slot from start to end. The edited side is simulated with the engine's
// rules. The other side is the record; another version is simulated like the edited one.

// The sides of a comparison.
const (
	beforeSide = iota
	afterSide
)

// streamKey names a stream: the events of one workflow on one side.
type streamKey struct {
	workflow string
	side     int
}

// stream is the events of one workflow on one side.
type stream struct {
	side int
	flow flow
	// open are the gatherings that accept events, by key.
	open map[string]*gathered
}

// event and names return the event of an item on the side of the stream.
func (s *stream) event(it *item) *engine.Event {
	ev, _, _ := it.event(s.side)
	return ev
}

func (s *stream) names(it *item) map[string]any {
	_, names, _ := it.event(s.side)
	return names
}

// streamSide is the outcome of an item on one side.
type streamSide struct {
	w *workflows.Workflow
	// matched reports whether the rule matches. For a matched item without a run, outcome and
	// reason say what happened to it: folded, dropped or replaced.
	matched         bool
	outcome, reason string
	// start is when the run starts, if not when recorded; cutAt is when a newer run replaces it;
	// events are those of a batch.
	start, cutAt time.Time
	events       []any
	run          *simulation
	settled      bool
}

// runs reports whether the item has its own run.
func (f *streamSide) runs() bool { return f.matched && f.outcome == "" }

// gathered is a gathering: it is the item with the run, and first is when the gathering began.
type gathered struct {
	it         *item
	g          *engine.Gathering
	first, due time.Time
	events     []any
	n          int
	bytes      int64
	closed     bool
}

// maxHeld is the maximum memory of the events in all open gatherings.
const maxHeld = 64 << 20

// slightly is the maximum difference between two starts that count as the same time: the engine
// needs some time between an event and its run.
const slightly = time.Second

// inStream determines whether the outcome of an item depends on other events, and whether the edit
// changes that. Comparing with another version than the one that ran changes it too, if that
// version limits runs differently.
func (b *run) inStream(ctx context.Context, it *item) {
	before, after := it.versionBefore, it.listener.Workflow
	if b.o.Chosen != nil {
		return
	}
	holds := func(w *workflows.Workflow) bool { return w != nil && (w.Gather != nil || w.Bounded()) }
	if !holds(before) && !holds(after) {
		it.elsewhere = it.elsewhere && b.o.Against == nil
		return
	}
	it.streamed = true
	it.streamChanged = !alike(before, after) || b.o.Against != nil && !alike(b.thatRan(ctx, it), after)
}

// alike reports whether two versions treat the sequence of events in the same way.
func alike(a, b *workflows.Workflow) bool {
	return a != nil && b != nil && sameFlow(a, b) && sameGathering(a, b) && sameRule(a, b)
}

// thatRan returns the version that decided about an item; nil if there is none.
func (b *run) thatRan(ctx context.Context, it *item) *workflows.Workflow {
	switch {
	case it.base != nil:
		return it.base.w
	case it.decision == nil:
		return nil
	}
	w, err := b.versions.workflow(ctx, it.workflow, it.decision.Version, it.decision.Run)
	if err != nil {
		return nil
	}
	return w
}

// arrive passes an item through the streams of its workflow, after all that is due before it.
func (b *run) arrive(ctx context.Context, it *item) error {
	if err := b.agenda.until(it.ev.Event.ReceivedAt); err != nil {
		return err
	}
	return b.arriveItem(ctx, it)
}

// arriveItem passes an item through the streams of its workflow. Its result is noted now, or when
// its gathering closes or its run can no longer be replaced. Items arrive in event order.
func (b *run) arriveItem(ctx context.Context, it *item) error {
	now := it.ev.Event.ReceivedAt
	if it.skipped != nil || it.problem != "" || !it.streamed || b.streams[streamKey{it.workflow, afterSide}] == nil && !it.streamChanged {
		return b.note(ctx, it)
	}
	if b.o.Sample > 0 || b.o.Query.IDs != nil || b.outside {
		it.problem, it.limits = "which events share a run or are held back needs all events: without --sample, --explain and --trigger", nil
		return b.note(ctx, it)
	}
	it.streamSides = [2]streamSide{{w: it.versionBefore, matched: it.matchedBefore}, {w: it.listener.Workflow, matched: it.matchedAfter}}
	for side := range it.streamSides {
		f := &it.streamSides[side]
		if side == beforeSide && b.o.Against == nil {
			b.asRecorded(ctx, it)
		}
		f.settled = f.settled || !f.matched
	}
	if it.streamSides[beforeSide].settled && it.streamSides[afterSide].settled {
		return b.settle(ctx, it, afterSide)
	}
	b.unsettle(it)
	for side := range it.streamSides {
		key := streamKey{it.workflow, side}
		if b.streams[key] == nil {
			b.streams[key] = &stream{side: side, open: map[string]*gathered{}}
		}
		if it.streamSides[side].settled {
			continue
		}
		if err := b.enter(ctx, b.streams[key], it, now); err != nil {
			return err
		}
	}
	return nil
}

// asRecorded uses the recorded outcome of an item.
func (b *run) asRecorded(ctx context.Context, it *item) {
	f := &it.streamSides[beforeSide]
	switch f.settled = true; {
	case !f.matched:
	case it.elsewhere:
		f.outcome, f.reason = string(it.decided.Outcome), it.decided.Reason
	default:
		f.run = b.beforeRun(ctx, it, f.w)
	}
}

// compareAlone compares an item that had no run of its own with one that is decided on its own.
func (b *run) compareAlone(ctx context.Context, it *item) {
	it.streamSides = [2]streamSide{{w: it.versionBefore, matched: true}, {w: it.listener.Workflow, matched: true}}
	b.asRecorded(ctx, it)
	it.streamSides[afterSide].run = b.follow(ctx, it, it.listener.Workflow, afterSide)
	b.compareStreamSides(it)
}

func (b *run) enter(ctx context.Context, s *stream, it *item, now time.Time) error {
	if w := it.streamSides[s.side].w; w.Gather != nil && s.event(it).Inlet != "manual" {
		return b.gather(ctx, s, it, now)
	}
	return b.admit(ctx, s, it, now, nil)
}

// fails ends an item whose outcome on one side is unknown.
func (b *run) fails(ctx context.Context, s *stream, it *item, why string) error {
	it.problem = cmp.Or(it.problem, why)
	return b.settle(ctx, it, s.side)
}

// gather adds an item to the gathering of its key, or starts one.
func (b *run) gather(ctx context.Context, s *stream, it *item, now time.Time) error {
	g, err := registry.GatheringOf(b.simulation(ctx, it.streamSides[s.side].w, it, s.side, nil, nil).st, s.event(it))
	if err != nil {
		return b.fails(ctx, s, it, err.Error())
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
		return b.fails(ctx, s, it, "too many events wait for debounce or batch at once to simulate which share a run")
	}
	x := &gathered{it: it, g: g, first: now, due: g.Begin(now), n: 1, bytes: g.Bytes, events: []any{s.names(it)}}
	s.open[g.Key] = x
	b.closeLater(ctx, s, x)
	return nil
}

// join adds an item to an open gathering: one of its events has the run, the other is folded.
func (b *run) join(ctx context.Context, s *stream, x *gathered, it *item, g *engine.Gathering, j engine.Joined) error {
	folded, reason := it, engine.FoldedByBatch
	if g.Kind == workflows.Batch {
		x.events, x.bytes, b.held = append(x.events, s.names(it)), x.bytes+g.Bytes, b.held+g.Bytes
	} else {
		folded, reason = x.it, engine.FoldedByDebounce
		b.held += g.Bytes - x.bytes
		x.it, x.events, x.bytes = it, []any{s.names(it)}, g.Bytes
	}
	x.n++
	x.g, x.due = g, j.Due
	if j.Full {
		delete(s.open, g.Key)
	}
	b.closeLater(ctx, s, x)
	return b.noRun(ctx, s, folded, "folded", reason)
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

// closeGathering starts the run of a gathering.
func (b *run) closeGathering(ctx context.Context, s *stream, x *gathered, now time.Time) error {
	if x.closed = true; s.open[x.g.Key] == x {
		delete(s.open, x.g.Key)
	}
	b.held -= x.bytes
	return b.admit(ctx, s, x.it, now, x.events)
}

// admit requests a slot for a run, and simulates it from the time it gets one.
func (b *run) admit(ctx context.Context, s *stream, it *item, now time.Time, events []any) error {
	f := &it.streamSides[s.side]
	f.events = events
	slot, err := registry.SlotRequestOf(b.simulation(ctx, f.w, it, s.side, nil, nil).st, s.event(it))
	if err != nil {
		return b.fails(ctx, s, it, err.Error())
	}
	if slot == nil {
		b.runFrom(ctx, s, it, now)
		return b.settle(ctx, it, s.side)
	}
	start, replaced, drop := s.flow.ask(slot, now)
	if drop != "" {
		return b.noRun(ctx, s, it, "dropped", drop)
	}
	for _, x := range replaced {
		if err := b.replaced(ctx, s, x, now); err != nil {
			return err
		}
	}
	b.runFrom(ctx, s, it, start)
	x := &flowRun{start: start, end: start.Add(f.run.ended.Sub(f.run.st.StartedAt))}
	if s.flow.enter(slot, x); slot.OnFull != "replace" || f.run.unknown != "" {
		return b.settle(ctx, it, s.side)
	}
	x.it = it
	b.agenda.at(x.end, func() error {
		if x.it == nil {
			return nil
		}
		x.it = nil
		return b.settle(ctx, it, s.side)
	})
	return nil
}

// replaced ends a run that a newer one replaces.
func (b *run) replaced(ctx context.Context, s *stream, x *flowRun, now time.Time) error {
	it := x.it
	if x.it = nil; it == nil {
		return nil
	}
	if x.start.After(now) {
		return b.noRun(ctx, s, it, "replaced", engine.ReplacedByNewer().Message)
	}
	it.streamSides[s.side].cutAt = now
	b.runFrom(ctx, s, it, x.start)
	return b.settle(ctx, it, s.side)
}

// runFrom simulates the run of a side for an item from a time on.
func (b *run) runFrom(ctx context.Context, s *stream, it *item, start time.Time) {
	f, recorded := &it.streamSides[s.side], time.Time{}
	if it.base != nil {
		recorded = it.base.st.StartedAt
	}
	if d := start.Sub(recorded); d > slightly || d < -slightly {
		if f.start = start; it.base != nil && s.side == afterSide {
			b.report.Limits.Moved++
		}
	}
	f.run = b.follow(ctx, it, f.w, s.side)
}

// noRun ends an item that has no run of its own on a side.
func (b *run) noRun(ctx context.Context, s *stream, it *item, outcome, reason string) error {
	f := &it.streamSides[s.side]
	f.run, f.outcome, f.reason = nil, outcome, reason
	return b.settle(ctx, it, s.side)
}

// settle notes an item as soon as its outcomes on both sides are known.
func (b *run) settle(ctx context.Context, it *item, side int) error {
	if it.streamSides[side].settled = true; !it.streamSides[beforeSide].settled || !it.streamSides[afterSide].settled {
		return nil
	}
	b.compareStreamSides(it)
	if err := b.note(ctx, it); err != nil {
		return err
	}
	return b.settled(ctx, it)
}

// compareStreamSides compares the outcomes of an item on both sides.
func (b *run) compareStreamSides(it *item) {
	x, y := &it.streamSides[beforeSide], &it.streamSides[afterSide]
	it.before, it.after, it.change, it.limits = x.run, y.run, nil, nil
	it.assumed = x.run != nil && x.run.assumed > 0 || y.run != nil && y.run.assumed > 0
	it.matchedBefore, it.matchedAfter, it.elsewhere = x.runs(), y.runs(), false
	describe := func(f *streamSide) any {
		if f.run != nil {
			return "runs"
		}
		return f.outcome + ": " + f.reason
	}
	switch {
	case it.problem != "":
	case x.run != nil && y.run != nil:
		b.compareSides(it)
	case x.matched && y.matched && x.run == nil && y.run == nil: // neither side runs it
	case x.matched && y.matched:
		it.change = b.oneSided(it, x.w, it.decided, it.decidedAfter)
		it.change.Because = Because{Expression: b.holder(it), Before: describe(x), After: describe(y)}
	default:
		it.matchedAfter = y.matched // determines which of the two kinds it is
		it.change = b.oneSided(it, x.w, it.decided, it.decidedAfter)
		if it.matchedAfter = y.runs(); y.matched && !y.runs() {
			it.change.Because.After = describe(y)
		}
	}
}

// holder returns the setting that collects or limits the runs of a workflow.
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

// cut returns when and why a run of a side is ended externally.
func (it *item) cut(f *streamSide) (time.Time, *plan.Error) {
	switch {
	case !f.cutAt.IsZero():
		return f.cutAt, engine.ReplacedByNewer()
	case it.base == nil || it.run == nil:
		return time.Time{}, nil
	}
	why := cmp.Or(it.run.Run.Ending, it.run.Run.Error)
	if it.streamed && it.streamChanged && why != nil && why.Code == engine.ReplacedByNewer().Code {
		return time.Time{}, nil // replacement is simulated
	}
	return cancelledAt(it.run), why
}

// agenda contains later actions in virtual time.
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

// until executes everything due up to a time, in order.
func (a *agenda) until(t time.Time) error {
	for len(a.list) > 0 && !a.list[0].at.After(t) {
		if err := heap.Pop(&a.list).(agendaEntry).do(); err != nil {
			return err
		}
	}
	return nil
}

// rest executes everything left.
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
