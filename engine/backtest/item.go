package backtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/registry"
	"github.com/hookloom/hookloom/workflows"
)

// item is one event for one workflow.
type item struct {
	ev       *engine.RecordedEvent
	workflow string
	names    map[string]any
	namesErr error
	// decision and run are the recorded ones; nil if there are none. listener is the edited
	// workflow; its Workflow is nil if it does not listen.
	decision *engine.Decision
	run      *engine.RecordedRun
	listener engine.Listener

	// base is the recorded run as it ran; before is the side to compare with, which is the base
	// unless it is another version; after is the edited one.
	base, before, after         *simulation
	matchedBefore, matchedAfter bool
	typesBefore, typesAfter     string
	assumed                     bool
	change                      *Change
	// problem is why the result is unknown; "" if it is known.
	problem string
	// cause is what made the event on a side; nil for an event that is the same on both. sides is the
	// event as each side makes it; nil for the recorded one. absent reports that the side to compare
	// with does not make it.
	cause  *Cause
	sides  [2]*onSide
	absent bool
	// firing is that of a schedule that the edit changes, if only one side has it; nil for others.
	firing *Firing
	// skipped says why the item is not compared; limits says what the record does not contain about
	// it.
	skipped, limits func(*Limits)
	// elsewhere reports whether it has no run of its own: its run is that of another event, or it was
	// dropped.
	elsewhere bool
	// streamed reports whether its outcome on the edited side also depends on other events
	// (concurrency, rate, debounce, batch), and streamChanged whether the edit changes that.
	streamed, streamChanged bool
	// versionBefore, decided and decidedAfter are the versions by which both sides decided.
	versionBefore         *workflows.Workflow
	decided, decidedAfter engine.Decision
	// streamSides are the outcomes on both sides, if it goes through the stream of its workflow.
	streamSides [2]streamSide
}

// listeners are the workflows of a project by what they listen to.
type listeners struct {
	project   *workflows.Project
	byTrigger map[string][]engine.Listener
	// byRun are those that listen to the ends of a workflow's runs.
	byRun map[string][]engine.Listener
}

func listenersOf(p *workflows.Project) listeners {
	l := listeners{project: p, byTrigger: map[string][]engine.Listener{}, byRun: map[string][]engine.Listener{}}
	for _, id := range slices.Sorted(maps.Keys(p.Workflows)) {
		w := p.Workflows[id]
		for _, s := range w.Starts {
			for _, id := range s.Workflows {
				l.byRun[id] = append(l.byRun[id], engine.Listener{Workflow: w, Start: s})
			}
			if s.Kind != "trigger" {
				continue
			}
			t := p.Triggers[s.Trigger]
			if t != nil && !t.Starts() {
				continue
			}
			x := engine.Listener{Workflow: w, Start: s}
			if t != nil && t.Webhook != nil {
				x.Types = t.Webhook.Events
			}
			if !w.Enabled {
				x.Off = engine.Disabled
			}
			l.byTrigger[s.Trigger] = append(l.byTrigger[s.Trigger], x)
		}
	}
	return l
}

// of returns the workflows that receive an event.
func (l listeners) of(ev *engine.Event) []engine.Listener {
	if ev.Only == "" && ev.Inlet != "manual" {
		return l.byTrigger[ev.Trigger]
	}
	if w := l.project.Workflows[cmp.Or(ev.Only, ev.Trigger)]; w != nil {
		x := engine.Listener{Workflow: w, Start: workflows.Start{Kind: "manual"}}
		if ev.Inlet == workflows.InletWorkflowRun && !w.Enabled { // those who start or call it get an error
			x.Off = engine.Disabled
		}
		return []engine.Listener{x}
	}
	return nil
}

// items pairs the recorded decisions about an event with the edited workflows that listen to it,
// and simulates the recorded runs. all includes the workflows that are not selected.
func (b *run) items(ctx context.Context, ev *engine.RecordedEvent, all bool) (out []*item) {
	names, err := ev.Event.Names()
	find := func(id string) *item {
		if b.o.Workflows != nil && !b.o.Workflows[id] && !all {
			return nil
		}
		if b.o.Chosen != nil && !all && !b.o.Chosen[engine.Chosen{Event: ev.Event.ID, Workflow: id}] {
			return nil
		}
		for _, it := range out {
			if it.workflow == id {
				return it
			}
		}
		it := &item{ev: ev, workflow: id, names: names, namesErr: err}
		out = append(out, it)
		return it
	}
	for i := range ev.Decisions {
		d := &ev.Decisions[i]
		if it := find(d.Workflow); it != nil {
			it.decision = d
			for _, r := range ev.Runs {
				if r.Run.Workflow == d.Workflow {
					it.run = r
				}
			}
		}
	}
	listening, vanishes := b.listen.of(ev.Event), b.vanishes(ev.Event)
	if vanishes != nil {
		listening = nil
	}
	for _, l := range listening {
		if ev.Event.Inlet == workflows.InletWorkflowRun && !b.listensToEnd(l.Workflow, ev.Event.Inputs, afterSide) {
			continue
		}
		if it := find(l.Workflow.ID); it != nil {
			it.listener = l
		}
	}
	for _, it := range out {
		it.firing = vanishes
		if b.prepare(it); it.skipped == nil && it.problem == "" && it.run != nil {
			b.simulateBase(ctx, it)
		}
	}
	return out
}

// onSide is an event as one side makes it, with the names that expressions see.
type onSide struct {
	ev    *engine.Event
	names map[string]any
	err   error
}

func newOnSide(ev *engine.Event) *onSide {
	names, err := ev.Names()
	return &onSide{ev, names, err}
}

// event returns the event of an item on one side, with the names that expressions see.
func (it *item) event(side int) (*engine.Event, map[string]any, error) {
	if x := it.sides[side]; x != nil {
		return x.ev, x.names, x.err
	}
	return it.ev.Event, it.names, it.namesErr
}

// prepare determines what cannot be compared.
func (b *run) prepare(it *item) {
	ev := it.ev.Event
	switch {
	case ev.Locked != nil:
		it.problem = "the event cannot be read: " + ev.Locked.Error()
	case ev.Stripped:
		it.problem = "its body is pruned (history: bodies)"
	case it.ev.Pending:
		it.problem = "it is not decided yet"
	case it.decision == nil:
	case b.o.Chosen == nil && (it.decision.Outcome == engine.Disabled || it.decision.Outcome == engine.Held):
		it.skipped = func(l *Limits) { l.Off++ }
	case it.decision.Outcome == engine.Folded:
		it.elsewhere, it.limits = true, func(l *Limits) { l.Gathered++ }
	case it.decision.Outcome == engine.Dropped:
		it.elsewhere = true
	}
}

// simulateBase simulates the recorded run as it ran.
func (b *run) simulateBase(ctx context.Context, it *item) {
	r := it.run
	if r.Unreadable != nil {
		it.problem = "its record cannot be read: " + r.Unreadable.Error()
		return
	}
	w, err := b.versions.ran(ctx, r.Run, it.ev.Event)
	if err != nil {
		it.problem = err.Error()
		return
	}
	if len(r.Records) == 0 && len(w.Steps) > 0 && r.Run.Status.Ended() && r.Run.Status != engine.Cancelled {
		it.problem, it.limits = "the answers of its steps are pruned", func(l *Limits) { l.AnswersPruned++ }
		return
	}
	rec := newRecorded(r)
	s := b.simulation(ctx, w, it, beforeSide, rec, clockOf(r))
	s.cancelAt, s.why, s.time = cancelledAt(r), cmp.Or(r.Run.Ending, r.Run.Error), timeOf(r)
	s.carryOut()
	it.base = s
	if s.unknown != "" {
		it.problem = s.unknown
		if !r.Run.Status.Ended() {
			it.limits = func(l *Limits) { l.Open++ }
		}
		return
	}
	if why := agrees(s, rec); why != "" {
		it.problem = "the version that ran does not give its record again: " + why
		it.limits = func(l *Limits) { l.Unreproduced++ }
	}
}

// simulation prepares a run of a workflow for an item.
func (b *run) simulation(ctx context.Context, w *workflows.Workflow, it *item, side int, a answers, c *clock) *simulation {
	ev, names, _ := it.event(side)
	id, started := engine.RunID(ev.ID), ev.ReceivedAt
	if it.run != nil {
		id, started = it.run.Run.ID, it.run.Run.StartedAt
		if started.IsZero() {
			started = it.run.Run.CreatedAt
		}
	}
	root := id.String()
	if ev.Inlet == "call" {
		root = cmp.Or(ev.Headers[registry.KeyHeader], root)
	}
	st := plan.NewState(w, names, ev.InputsOf(w), root, started)
	st.Began, st.Answers, st.Secrets = ev.ReceivedAt, map[string]*plan.Answer{}, placeholders(w)
	st.Run = map[string]any{"id": id.String(), "url": "/runs/" + id.String(), "attempt": 1, "started_at": started, "workflow": w.ID,
		"trigger": ev.Trigger, "test": false}
	if registry.IsBatch(w) {
		st.Events = []any{names}
		if it.run != nil {
			for _, more := range it.run.More {
				if names, err := more.Names(); err == nil {
					st.Events = append(st.Events, names)
				}
			}
		}
	}
	return &simulation{w: w, st: st, answers: a, clock: c, host: b.hostOf, sent: b.sent, local: b.local, ctx: ctx}
}

// carryOut is run; a panic ends only this simulation.
func (s *simulation) carryOut() {
	defer func() {
		if p := recover(); p != nil {
			s.unknown = fmt.Sprintf("the simulation panicked, which is a bug in Hookloom: %v", p)
			s.ended = s.st.Now
		}
	}()
	s.run()
}

// placeholders returns placeholders for the secrets of a workflow, whose values are not recorded.
func placeholders(w *workflows.Workflow) map[string]any {
	out := map[string]any{}
	for _, n := range w.SecretNames() {
		out[n] = placeholder(n)
	}
	return out
}

// placeholder returns the placeholder of a secret.
func placeholder(name string) string { return "secret:" + name }

// input returns the input of an attempt that is not made.
func (b *run) input(d plan.Due) engine.Input {
	p := b.o.Project
	return engine.Input{Spec: d.Step.Spec, With: d.With, Path: d.Path, Attempt: d.Attempt, Now: d.Began().In(p.Zone()),
		Connections: p.Connections, Secret: func(name string) (string, bool) { return placeholder(name), true },
		Redact: func(s string) string { return s }}
}

// hostOf returns the host that an attempt would call; empty if unknown.
func (b *run) hostOf(d plan.Due) string {
	a, ok := b.o.Actions[engine.ActionName(d.Step)].(engine.Destined)
	if !ok {
		return ""
	}
	return a.Destination(b.input(d))
}

// local runs an action without external effects.
func (b *run) local(ctx context.Context, d plan.Due) (any, bool, error) {
	a := b.o.Actions[engine.ActionName(d.Step)]
	if a == nil {
		return nil, false, nil
	}
	in := b.input(d)
	in.With = d.Shown
	ctx, cancel := context.WithTimeout(ctx, max(d.Step.Timeout, time.Second))
	defer cancel()
	result, err := a.Do(ctx, in)
	return result, true, err
}

// compareItem decides about an item on both sides and compares the runs.
func (b *run) compareItem(ctx context.Context, it *item) {
	if it.skipped != nil || it.problem != "" {
		return
	}
	before, decided := b.before(ctx, it)
	after := engine.Decision{Outcome: engine.Filtered}
	if w := it.listener.Workflow; w != nil {
		ev, names, err := it.event(afterSide)
		after = it.listener.Evaluate(ev, names, err, time.Time{})
		it.typesAfter = typesOf(after)
	}
	it.matchedBefore, it.matchedAfter = matched(decided.Outcome), after.Outcome == engine.Matched
	it.versionBefore, it.decided, it.decidedAfter = before, decided, after
	if it.matchedAfter || b.o.Against != nil && it.matchedBefore {
		b.inStream(ctx, it)
	}
	switch {
	case it.streamChanged && it.problem == "": // it is compared later, in stream order
	case b.o.Chosen != nil && it.elsewhere && it.matchedAfter:
		b.compareAlone(ctx, it)
	case it.matchedBefore != it.matchedAfter:
		it.change = b.matchChange(ctx, it, before, decided, after)
	case !it.matchedBefore:
		if (decided.Outcome == engine.RuleFailed) != (after.Outcome == engine.RuleFailed) && before != nil && it.listener.Workflow != nil {
			it.change = b.ruleChange(it, before, decided, after)
		}
	case !it.elsewhere:
		b.compareRuns(ctx, it, before)
	}
}

func matched(o engine.Outcome) bool {
	return o == engine.Matched || o == engine.Folded || o == engine.Dropped
}

// before returns the side to compare with: the recorded one, or another version.
func (b *run) before(ctx context.Context, it *item) (*workflows.Workflow, engine.Decision) {
	if b.o.Against != nil {
		ev, names, err := it.event(beforeSide)
		for _, l := range b.against.of(ev) {
			if ev.Inlet == workflows.InletWorkflowRun && !b.listensToEnd(l.Workflow, ev.Inputs, beforeSide) {
				continue
			}
			if l.Workflow.ID == it.workflow && !it.absent {
				d := l.Evaluate(ev, names, err, time.Time{})
				it.typesBefore = typesOf(d)
				return l.Workflow, d
			}
		}
		return nil, engine.Decision{Outcome: engine.Filtered}
	}
	if it.decision == nil {
		return nil, engine.Decision{Outcome: engine.Filtered}
	}
	it.typesBefore = typesOf(*it.decision)
	if it.base != nil {
		return it.base.w, *it.decision
	}
	w, err := b.versions.workflow(ctx, it.workflow, it.decision.Version, it.decision.Run)
	if err != nil {
		it.problem = err.Error()
	}
	return w, *it.decision
}

// beforeRun returns the run of the side to compare with.
func (b *run) beforeRun(ctx context.Context, it *item, w *workflows.Workflow) *simulation {
	if b.o.Against == nil && it.base != nil {
		return it.base
	}
	return b.follow(ctx, it, w, beforeSide)
}

// follow simulates another version for an item, with the answers of the recorded run.
func (b *run) follow(ctx context.Context, it *item, w *workflows.Workflow, side int) *simulation {
	c := &clock{}
	if it.base != nil {
		c = it.base.clock.follow()
	}
	a := &following{base: it.base, answerMade: func(c *call) (*answer, string) { return b.answerMade(ctx, it, c, side) },
		refusal: b.refusal,
		recall:  func(old, c *call) (*answer, bool, string, bool) { return b.callAgain(ctx, it, old, c, side) },
		shared:  &b.shared, mocks: b.mocks[it.workflow], paths: map[string]string{}, taken: map[*call]bool{}, calls: map[string]int{}}
	s := b.simulation(ctx, w, it, side, a, c)
	if it.base != nil {
		s.time = it.base.followTime()
	}
	a.of = s
	it.place(s, side)
	s.carryOut()
	it.assumed = it.assumed || s.assumed > 0
	it.problem = cmp.Or(it.problem, unknownFrom(s))
	return s
}

// place gives a run of one side the start and end that result from the stream of events.
func (it *item) place(s *simulation, side int) {
	f := &it.streamSides[side]
	s.cancelAt, s.why = it.cut(f)
	if f.events != nil && registry.IsBatch(s.w) {
		s.st.Events = f.events
	}
	if !f.start.IsZero() {
		s.st.StartedAt, s.st.Now, s.st.Run["started_at"] = f.start, f.start, f.start
	}
}

func unknownFrom(s *simulation) string {
	if s.unknown == "" {
		return ""
	}
	return "unknown from here: " + s.unknown
}

// compareRuns simulates the edited workflow for a run of both sides, and compares.
func (b *run) compareRuns(ctx context.Context, it *item, w *workflows.Workflow) {
	it.before = b.beforeRun(ctx, it, w)
	it.after = b.follow(ctx, it, it.listener.Workflow, afterSide)
	b.compareSides(it)
}

// paths returns the paths of the edited run's steps in the run that it is compared with.
func (it *item) paths() map[string]string {
	paths := map[string]string{}
	if it.after != nil {
		if f, ok := it.after.answers.(*following); ok {
			paths = f.paths
		}
	}
	if it.before == nil {
		return paths
	}
	f, ok := it.before.answers.(*following)
	if !ok {
		return paths
	}
	of := inverse(f.paths) // both follow the recorded run
	through := make(map[string]string, len(paths))
	for path, base := range paths {
		if p, ok := of[base]; ok {
			through[path] = p
		}
	}
	return through
}

// compareSides compares the simulated runs of both sides.
func (b *run) compareSides(it *item) {
	c := compare(it.before, it.after, it.paths())
	b.noteLimits(it)
	if c == nil {
		return
	}
	full := b.newChange(it, c.Kind)
	full.Requests, full.Path, full.Error, full.Output, full.Assumed = c.Requests, c.Path, c.Error, c.Output, it.assumed
	full.Because = b.why(full, it.before, it.after)
	it.change = full
}
