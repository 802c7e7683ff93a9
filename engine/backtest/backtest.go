package backtest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// Options configure a backtest.
type Options struct {
	History engine.RecordHistory
	// Project contains the edited workflows; Workflows are those to compare, nil for all.
	Project   *workflows.Project
	Workflows map[string]bool
	// Against is the workflow to compare with; nil compares with the versions that ran.
	Against *workflows.Workflow
	// Query selects the events. Limit selects the newest of them, and Sample a sample spread over
	// all of them, always the same; 0 selects all.
	Query         engine.RecordedQuery
	Limit, Sample int
	// Chosen, unless nil, are the events and workflows to decide again: each on its own, without
	// effects of other events, and including those that arrived while the workflow was switched
	// off. Further runs that these make otherwise than the recorded ones are compared too.
	Chosen map[engine.Chosen]bool
	// Actions run actions without external effects, and determine where a request would go.
	Actions map[string]engine.Action
	// Gentle leaves at least half of the processor time of one processor, and all of the others, to the
	// rest of the process: a server that takes deliveries meanwhile.
	Gentle bool
	// Since and Until bound the times of the events that Query selects; zero means no bound.
	Since, Until time.Time
	// Schedules returns what the edit changes about the firings of schedules from one time up to
	// another. If it is nil, recorded firings are compared as they came.
	Schedules func(ctx context.Context, from, until time.Time) ([]*engine.ScheduleChange, error)
	// Tests are the tests of the project, whose mocks are used where nothing is recorded.
	Tests []*workflows.Test
	// Change and Unknown are called for each finding, in the order of the events, except for those
	// that wait for others (debounce, batch, on_full: replace). Progress is called with the number
	// of events compared. An error from them ends the backtest.
	Change   func(Change) error
	Unknown  func(Unknown) error
	Progress func(events int)
}

// pageSize is the maximum number of events in memory.
const pageSize = 200

// run is a backtest in progress.
type run struct {
	o        Options
	versions *versions
	listen   listeners
	against  listeners
	differ   expr.Differ
	shared   shared
	mocks    map[string]map[string][]workflows.Mock
	report   Report
	totals   totals
	// streams are those of the edited workflows for which concurrency, rate, debounce, batch or the
	// rule changed. held is the memory of the events waiting in them.
	streams map[streamKey]*stream
	agenda  agenda
	held    int64
	// altered are the recorded events that the edited side makes otherwise, and unsettled what was
	// made by runs that are not compared yet. keys are those of events that only the edited side
	// emits, with their times.
	altered   map[origin]*made
	unsettled map[engine.RunID][]awaited
	keys      map[[2]string]time.Time
	// outside reports that recorded events that are not selected are compared, because a run that is
	// selected makes them otherwise.
	outside bool
	// schedules are those whose times the edit changes.
	schedules []*schedule
	// answered counts the runs of workflows that are not selected whose answers are used.
	answered map[string]int
}

// Run compares what the workflows of a project would do with what was done. It reads the history in
// pages and starts no goroutine that outlives a page. It ignores what is recorded after its start.
// If an error ends it, it returns the report so far.
func Run(ctx context.Context, o Options) (*Report, error) {
	b := &run{o: o, shared: shared{answers: map[string]*call{}}, listen: listenersOf(o.Project), mocks: mocksOf(o.Tests),
		report: Report{Kinds: map[string]int{}}, streams: map[streamKey]*stream{},
		altered: map[origin]*made{}, unsettled: map[engine.RunID][]awaited{}, keys: map[[2]string]time.Time{},
		answered: map[string]int{}}
	b.totals.init()
	if o.Against != nil {
		b.against = listenersOf(withWorkflow(o.Project, o.Against))
	}
	var err error
	if b.versions, err = newVersions(ctx, o.History, o.Project); err != nil {
		return nil, err
	}
	if err = b.pages(ctx); err == nil {
		err = b.rest(ctx)
	}
	b.report.Schedules = b.scheduleCounts()
	b.report.Calls, b.report.Concurrency = b.totals.hosts(), b.totals.concurrency()
	return &b.report, err
}

// withWorkflow returns the project with another text of a workflow.
func withWorkflow(p *workflows.Project, w *workflows.Workflow) *workflows.Project {
	q := *p
	q.Workflows = maps.Clone(p.Workflows)
	q.Workflows[w.ID] = w
	if w.Trigger != nil {
		q.Triggers = map[string]*workflows.Trigger{w.ID: w.Trigger}
		for name, t := range p.Triggers {
			if name != w.ID {
				q.Triggers[name] = t
			}
		}
	}
	return &q
}

// mocksOf collects the mocks of tests by workflow and step: those of the first test that mocks the
// step.
func mocksOf(tests []*workflows.Test) map[string]map[string][]workflows.Mock {
	out := map[string]map[string][]workflows.Mock{}
	for _, t := range tests {
		for step, list := range t.Mocks {
			if out[t.Workflow] == nil {
				out[t.Workflow] = map[string][]workflows.Mock{}
			}
			if out[t.Workflow][step] == nil {
				out[t.Workflow][step] = list
			}
		}
	}
	return out
}

// pages reads and compares the events page by page.
func (b *run) pages(ctx context.Context) error {
	q := b.o.Query
	q.Limit = pageSize
	chosen, all, err := b.choose(ctx, &q)
	if err == nil {
		err = b.readSchedules(ctx, chosen)
	}
	if err != nil {
		return err
	}
	for {
		if !all {
			if len(chosen) == 0 {
				return nil
			}
			q.IDs = chosen[:min(pageSize, len(chosen))]
		}
		page, err := b.o.History.RecordedPage(ctx, q)
		if err != nil {
			return fmt.Errorf("reading the history: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		if err := b.page(ctx, page); err != nil {
			return err
		}
		q.After = page[len(page)-1].Event.ID
		if !all {
			chosen = slices.DeleteFunc(chosen, func(id engine.EventID) bool { return id <= q.After })
		}
	}
}

// choose selects the events of a limit or a sample by their ids; all reports that all events are
// selected. It limits the query to the current events.
func (b *run) choose(ctx context.Context, q *engine.RecordedQuery) (chosen []engine.EventID, all bool, err error) {
	n := b.o.Limit
	if b.o.Sample > 0 {
		n = b.o.Sample
	}
	var last engine.EventID
	rank := func(id engine.EventID) uint64 { return uint64(id) }
	if b.o.Sample > 0 {
		rank = spread
	}
	err = b.o.History.RecordedIDs(ctx, *q, func(id engine.EventID) {
		last = id
		if n == 0 {
			return
		}
		if chosen = append(chosen, id); len(chosen) >= 2*n {
			chosen = highest(chosen, n, rank)
		}
	})
	if err != nil {
		return nil, false, fmt.Errorf("reading the history: %w", err)
	}
	if q.Before == 0 {
		q.Before = last + 1
	}
	if n > 0 {
		chosen = highest(chosen, n, rank)
		slices.Sort(chosen)
	}
	return chosen, n == 0, nil
}

// highest returns the n ids with the highest rank.
func highest(ids []engine.EventID, n int, rank func(engine.EventID) uint64) []engine.EventID {
	slices.SortFunc(ids, func(a, b engine.EventID) int {
		switch x, y := rank(a), rank(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return ids[:min(n, len(ids))]
}

// spread ranks ids so that the highest are spread over all of them, always the same.
func spread(id engine.EventID) uint64 {
	sum := sha256.Sum256(strconv.AppendInt(nil, int64(id), 10))
	return binary.BigEndian.Uint64(sum[:])
}

// page compares the events of one page. It simulates recorded runs first, so that their answers can
// be used for other requests regardless of the order of the workers.
func (b *run) page(ctx context.Context, page []*engine.RecordedEvent) error {
	b.beside(ctx, page)
	items := make([][]*item, len(page))
	began := time.Now()
	b.each(ctx, len(page), func(i int) { items[i] = b.items(ctx, page[i], false) })
	for _, list := range items {
		for _, it := range list {
			if it.base != nil && it.problem == "" {
				b.shared.add(it.base.calls)
			}
		}
	}
	b.each(ctx, len(page), func(i int) {
		for _, it := range items[i] {
			b.compareItem(ctx, it)
		}
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i := range page {
		b.report.Events++
		b.noteEvent(page[i])
		b.countVanished(page[i].Event)
		if err := b.arriveEvent(ctx, page[i], items[i]); err != nil {
			return err
		}
	}
	if b.o.Progress != nil {
		b.o.Progress(b.report.Events)
	}
	if b.o.Gentle {
		return rest(ctx, time.Since(began))
	}
	return nil
}

// rest waits for a time, or until ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gentlePart is how many events a gentle backtest looks at before it rests.
const gentlePart = 10

// each calls do for 0 to n-1 on several goroutines; a gentle backtest calls it on this one, and rests
// in between for as long as it works.
func (b *run) each(ctx context.Context, n int, do func(i int)) {
	if !b.o.Gentle {
		each(n, do)
		return
	}
	began := time.Now()
	for i := range n {
		if ctx.Err() != nil {
			return // page reports it
		}
		if do(i); i%gentlePart == gentlePart-1 {
			if rest(ctx, time.Since(began)) != nil {
				return
			}
			began = time.Now()
		}
	}
}

// each calls do for 0 to n-1, on as many goroutines as there are processors, and waits for all.
func each(n int, do func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				do(i)
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// note adds the result of an item to the report.
func (b *run) note(ctx context.Context, it *item) error {
	if err := b.made(ctx, it); err != nil {
		return err
	}
	r := &b.report
	if it.skipped != nil {
		it.skipped(&r.Limits)
		return nil
	}
	b.totals.add(it)
	if it.matchedBefore && !it.elsewhere {
		r.RunsBefore++
	}
	if it.matchedAfter && !it.elsewhere {
		r.RunsAfter++
	}
	if it.limits != nil {
		it.limits(&r.Limits)
	}
	if it.assumed {
		r.Assumed++
	}
	var errs []error
	if it.problem != "" {
		errs = append(errs, b.o.Unknown(Unknown{Event: it.eventID(), Firing: it.firing, Workflow: it.workflow, Reason: it.problem}))
	}
	switch {
	case it.change != nil:
		r.Kinds[it.change.Kind]++
		errs = append(errs, b.o.Change(*it.change))
	case it.problem == "" && it.matchedBefore && it.matchedAfter && !it.elsewhere:
		r.Unchanged++
	}
	return errors.Join(errs...)
}

func (b *run) noteEvent(ev *engine.RecordedEvent) {
	if ev.Event.Stripped {
		b.report.Limits.BodiesPruned++
	}
	if ev.Pending {
		b.report.Limits.Pending++
	}
}
