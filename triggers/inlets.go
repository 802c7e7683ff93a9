package triggers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// Inlets runs the polls and schedules of a project. Create it with NewInlets, set a project with
// Use, and call Run; Use may be called again at any time.
type Inlets struct {
	in  Inbox
	log *slog.Logger

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before
	cancel  context.CancelFunc
	running sync.WaitGroup
	set     inletSet
}

// inletSet are the inlets of one project.
type inletSet struct {
	// pollers are the pollers by trigger, for Poll; reconcilers are those of webhooks with
	// reconcile.
	pollers     map[string]*poller
	reconcilers []*poller
	schedulers  []*scheduler
	watchers    []*watcher
}

// all returns each poller once.
func (s *inletSet) all() []*poller {
	out := slices.Clone(s.reconcilers)
	for _, p := range s.pollers {
		if p.inlet == "poll" {
			out = append(out, p)
		}
	}
	return out
}

// NewInlets returns an empty set.
func NewInlets(in Inbox, log *slog.Logger) *Inlets { return &Inlets{in: in, log: log} }

// Use replaces the polls and schedules by those of a project. A poll whose request or key has
// changed keeps its cursor.
func (n *Inlets) Use(p *workflows.Project, ask Ask, secret func(string) (string, bool)) error {
	set := inletSet{pollers: map[string]*poller{}}
	for _, name := range sortedNames(p.Triggers) {
		t := p.Triggers[name]
		if t.Poll != nil {
			poller, err := newPoller(p, t, t.Poll, "poll", ask, secret, n.in, n.log)
			if err != nil {
				return err
			}
			set.pollers[name] = poller
		}
		if t.Webhook != nil && t.Webhook.Reconcile != nil {
			poller, err := newPoller(p, t, t.Webhook.Reconcile, "reconcile", ask, secret, n.in, n.log)
			if err != nil {
				return err
			}
			set.reconcilers = append(set.reconcilers, poller)
			if set.pollers[name] == nil {
				set.pollers[name] = poller
			}
		}
		if t.Webhook != nil && t.Webhook.Expect != 0 {
			set.watchers = append(set.watchers, &watcher{trigger: name, within: t.Webhook.Expect, in: n.in, poller: set.pollers[name],
				since: time.Now()})
		}
		for _, s := range t.Schedules {
			scheduler, err := newScheduler(p, t, s)
			if err != nil {
				return err
			}
			scheduler.in, scheduler.log = n.in, n.log
			set.schedulers = append(set.schedulers, scheduler)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel != nil {
		n.cancel()
		n.running.Wait()
		n.cancel = nil
	}
	n.set = set
	if n.ctx != nil && n.ctx.Err() == nil {
		n.start()
	}
	return nil
}

func newPoller(p *workflows.Project, t *workflows.Trigger, poll *workflows.Poll, inlet string, ask Ask,
	secret func(string) (string, bool), in Inbox, log *slog.Logger) (*poller, error) {
	zone := poll.Timezone
	if zone == nil {
		zone = p.Timezone
	}
	table, err := newTimetable(poll.Every, poll.Cron, zone)
	if err != nil {
		return nil, fmt.Errorf("trigger %s: %w", t.Name, err)
	}
	return &poller{trigger: t, poll: poll, inlet: inlet, ask: ask, in: in, env: setSecrets(p, secret), log: log, table: table,
		firstPages: firstPages, version: func(item any) string { return p.ItemVersion(poll, item) },
		now: func() time.Time { return time.Now().In(p.Timezone) }}, nil
}

// start starts the inlets of the set. It is called with the lock held.
func (n *Inlets) start() {
	ctx, cancel := context.WithCancel(n.ctx)
	n.cancel = cancel
	for _, p := range n.set.all() {
		n.running.Add(1)
		go func() { defer n.running.Done(); p.run(ctx) }()
	}
	for _, w := range n.set.watchers {
		n.running.Add(1)
		go func() { defer n.running.Done(); w.run(ctx) }()
	}
	for _, s := range n.set.schedulers {
		n.running.Add(1)
		go func() { defer n.running.Done(); s.run(ctx) }()
	}
}

// Run runs until ctx ends, and returns when all polls have ended.
func (n *Inlets) Run(ctx context.Context) {
	n.mu.Lock()
	n.ctx = ctx
	n.start()
	n.mu.Unlock()
	<-ctx.Done()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel != nil {
		n.cancel()
	}
	n.running.Wait()
}

// Poll polls a trigger now; a poll that is running, here or in another process, ends first.
func (n *Inlets) Poll(ctx context.Context, trigger string) (PollReport, error) {
	n.mu.Lock()
	p := n.set.pollers[trigger]
	n.mu.Unlock()
	if p == nil {
		return PollReport{}, fmt.Errorf("trigger %q has no poll inlet: %w", trigger, engine.ErrNotFound)
	}
	return p.onceHere(ctx)
}

// ElsewhereError reports that another process does a piece of work, such as a poll, and does not end it.
type ElsewhereError struct {
	Work string
	// Node names that process; empty if unknown.
	Node string
}

// Error implements error.
func (e *ElsewhereError) Error() string {
	name := "another node"
	if e.Node != "" {
		name = "node " + e.Node
	}
	return name + " is polling this trigger, and its poll has not ended yet. Two polls at once could find the same items: try again later"
}

// Is makes it an engine.ErrBusy.
func (e *ElsewhereError) Is(target error) bool { return target == engine.ErrBusy }

// DryPoll sends the requests of a poll and stores nothing. It returns the items and which
// of them are new.
func DryPoll(ctx context.Context, p *workflows.Project, trigger string, ask Ask, secret func(string) (string, bool),
	in Inbox) (PollReport, error) {
	t := p.Triggers[trigger]
	if t == nil || t.Poll == nil {
		return PollReport{}, fmt.Errorf("no trigger %q with a poll inlet", trigger)
	}
	poller, err := newPoller(p, t, t.Poll, "poll", ask, secret, in, slog.New(slog.DiscardHandler))
	if err != nil {
		return PollReport{}, err
	}
	poller.firstPages = 0 // a dry run need not read the entire list
	st, err := in.InletState(ctx, trigger, "poll")
	if err != nil {
		return PollReport{}, err
	}
	first := poller.remembers(st)
	st.ETag, st.Modified, st.Rest = "", "", nil // the current items are wanted, changed or not
	f, err := poller.fetch(ctx, st)
	r := PollReport{Requests: f.requests, Bytes: f.bytes, Unchanged: f.unchanged, Items: len(f.items), First: first, Cursor: f.cursor,
		More: f.more, Warning: f.warning}
	if err = errors.Join(err, f.lost); err != nil {
		return r, err
	}
	var keys []string
	for _, d := range f.items {
		keys = append(keys, d.Key)
	}
	known, err := in.Known(ctx, trigger, keys)
	if err != nil {
		return r, err
	}
	for i, d := range f.items {
		r.Found = append(r.Found, PollItem{Key: d.Key, Type: d.Type, New: !known[d.Key], Data: f.data[i]})
		if !known[d.Key] {
			r.New++
		}
	}
	return r, nil
}
