package triggers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// Ask sends a request with the options of http/request and returns its output: status,
// headers, body, url. Its error is a *plan.Error.
type Ask = func(ctx context.Context, with map[string]any) (map[string]any, error)

// Inbox is the part of the engine that polls and schedules use. *machine.Engine implements
// it.
type Inbox interface {
	Poll(ctx context.Context, b *engine.PollBatch) (fresh int, err error)
	InletState(ctx context.Context, trigger, inlet string) (engine.InletState, error)
	Known(ctx context.Context, trigger string, keys []string) (map[string]bool, error)
	LastDelivery(ctx context.Context, trigger string) (time.Time, error)
	LearnedGap(ctx context.Context, trigger string) (time.Duration, error)
	Alert(ctx context.Context, a engine.Alert)
	Fired(ctx context.Context, f engine.Firing) error
	// Leads reports whether this process does work that only one of several may do.
	Leads(ctx context.Context, work string) bool
	// Turn begins such work if this process may do it; end has to be called when it has ended. AskForTurn
	// asks another process for it, and waits for a while.
	Turn(ctx context.Context, work string) (end func(), ok bool)
	AskForTurn(ctx context.Context, work string) (end func(), ok bool)
}

// Bounds of polls.
const (
	// maxPause is the longest pause after failures.
	maxPause = time.Hour
	// alertAfter is the number of intervals without an answer after which an alert is raised.
	alertAfter = 3
	// maxFirstPause spreads the first polls after a start.
	maxFirstPause = 10 * time.Second
	// onItsWay is the age from which an item counts as missed by its webhook.
	onItsWay = time.Minute
	// leadAgain is how long a process waits whose work another one does, before it asks again.
	leadAgain = 2 * time.Second
	// maxPolled is the number of items that one poll reads; they are held in memory.
	maxPolled = 50_000
)

// poller polls the list of one trigger.
type poller struct {
	trigger *workflows.Trigger
	poll    *workflows.Poll
	// inlet names its state: poll, or reconcile.
	inlet string
	ask   Ask
	in    Inbox
	env   *expr.Env // secrets
	log   *slog.Logger
	table *timetable
	now   func() time.Time
	// firstPages bounds the first poll of a list whose items have no time; 0 for pages.max.
	firstPages int
	// version returns the version of the provider's API of an item; empty if it is not known.
	version func(item any) string
	// below is the path of the connection's base_url, once an answer has shown it.
	below string
	// one is held while a poll is running.
	one sync.Mutex
}

// run polls until ctx ends, one poll at a time.
func (p *poller) run(ctx context.Context) {
	for {
		st, err := p.in.InletState(ctx, p.trigger.Name, p.inlet)
		wait := maxFirstPause
		if err == nil {
			wait = p.wait(st, p.now())
		} else if ctx.Err() == nil {
			p.log.Error("cannot read the state of a poll", "trigger", p.trigger.Name, "error", err)
		}
		if !sleep(ctx, min(wait, time.Hour)) {
			return
		}
		if wait > time.Hour {
			continue // it may be due at another time by now: the clock can be set
		}
		end, ok := p.in.Turn(ctx, p.work())
		if !ok {
			if !sleep(ctx, leadAgain) {
				return
			}
			continue // another process polls: what it found moves the next time
		}
		_, err = p.once(ctx)
		end()
		if err != nil && ctx.Err() == nil {
			p.log.Warn("poll failed", "trigger", p.trigger.Name, "error", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// wait returns the time until the next poll. After a downtime there is one poll, soon,
// from the stored cursor. Failures increase the pauses.
func (p *poller) wait(st engine.InletState, now time.Time) time.Duration {
	if st.AskedAt.IsZero() && p.table.cron != nil {
		return p.table.next(now).Sub(now)
	}
	if st.AskedAt.IsZero() {
		return spread(min(p.table.length(now), maxFirstPause))
	}
	if ahead := st.AskedAt.Sub(now); ahead > jitterOfClocks {
		// The clock was set back: continue from the new time.
		st.AskedAt, st.RetryAt = now, st.RetryAt.Add(-ahead)
	}
	next := p.table.next(st.AskedAt)
	if p.table.cron != nil && st.Timetable != "" && st.Timetable != p.table.text {
		next = p.table.next(now) // the times were edited: they count from now, none is late
	}
	if st.Failures > 0 {
		pause := p.table.length(now)
		for range min(st.Failures-1, 12) {
			pause = min(2*pause, maxPause)
		}
		next = st.AskedAt.Add(pause)
	}
	if st.RetryAt.After(next) {
		next = st.RetryAt
	}
	if until := next.Sub(now); until > 0 {
		return until
	}
	return spread(min(p.table.length(now)/10, maxFirstPause))
}

// spread returns a random part of a duration, so that many polls do not start at once.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(rand.Int64N(int64(d)))
}

// PollReport is the result of one poll.
type PollReport struct {
	Requests int   `json:"requests"`
	Bytes    int64 `json:"bytes"`
	Items    int   `json:"items"`
	New      int   `json:"new"`
	// Unchanged reports whether the service answered 304.
	Unchanged bool `json:"unchanged,omitempty"`
	// First reports whether this poll only records existing items.
	First bool `json:"first,omitempty"`
	// More reports whether the list continues: the next poll reads the rest.
	More bool `json:"more,omitempty"`
	// Again reports whether the list was read to its end, and the next poll reads it again to find
	// items that moved to another page in the meantime.
	Again  bool            `json:"again,omitempty"`
	Cursor json.RawMessage `json:"cursor,omitempty"`
	// Warning describes which part of the list may be missing.
	Warning string `json:"warning,omitempty"`
	// Found are the items, for a dry run.
	Found []PollItem `json:"found,omitempty"`
}

// PollItem is one item of a dry run.
type PollItem struct {
	Key  string `json:"key"`
	Type string `json:"type"`
	New  bool   `json:"new"`
	Data any    `json:"data"`
}

// work names what only one process may do at a time.
func (p *poller) work() string { return p.inlet + " " + p.trigger.Name }

// onceHere polls as soon as this process may. A person, or an alert, waits for it.
func (p *poller) onceHere(ctx context.Context) (PollReport, error) {
	end, ok := p.in.AskForTurn(ctx, p.work())
	if !ok {
		return PollReport{}, cmp.Or(ctx.Err(), error(&ElsewhereError{Work: p.work()}))
	}
	defer end()
	return p.once(ctx)
}

// once polls and stores the new items together with the cursor.
func (p *poller) once(ctx context.Context) (PollReport, error) {
	p.one.Lock()
	defer p.one.Unlock()
	st, err := p.in.InletState(ctx, p.trigger.Name, p.inlet)
	if err != nil {
		return PollReport{}, err
	}
	began := p.now()
	b := &engine.PollBatch{Trigger: p.trigger.Name, Inlet: p.inlet, State: st}
	found, err := p.fetch(ctx, st)
	b.Cost = engine.PollCost{Requests: found.requests, Bytes: found.bytes, Outcome: "ok", Took: p.now().Sub(began), Quota: found.quota}
	b.State.AskedAt, b.State.Timetable = began, p.table.text
	r := PollReport{Requests: found.requests, Bytes: found.bytes, Unchanged: found.unchanged}
	if err != nil {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		// Pages before the failure are dropped: the cursor covers all or nothing.
		b.Cost.Outcome, b.State.Failures, b.State.Error = "failed", st.Failures+1, err.Error()
		b.State.RetryAt = retryAt(began, err)
		p.alert(ctx, st, began, err)
		if _, serr := p.in.Poll(ctx, b); serr != nil {
			err = errors.Join(err, serr)
		}
		return r, err
	}
	if st.Failures >= alertAfter {
		p.log.Info("poll works again", "trigger", p.trigger.Name, "failures", st.Failures)
	}
	b.State.OKAt, b.State.Failures, b.State.Error, b.State.RetryAt = began, 0, "", retryAt(began, found.later)
	if found.unchanged {
		b.Cost.Outcome = "unchanged"
		if st.Failures == 0 {
			b.State.Error = st.Error // its warning still applies
		}
	} else {
		b.Items, b.State.Cursor, b.State.Rest = found.items, found.cursor, found.rest
		b.State.ETag, b.State.Modified = found.etag, found.modified
	}
	if r.Warning = found.warning; r.Warning != "" {
		b.State.Error = "warning: " + r.Warning
		p.log.Warn("poll may miss items", "trigger", p.trigger.Name, "warning", r.Warning)
	}
	if found.lost != nil {
		// Polling continues, so new items are still found. OKAt is not updated, so the alert is
		// raised.
		b.Cost.Outcome = "failed"
		b.State.OKAt, b.State.Failures, b.State.Error = st.OKAt, 1, found.lost.Error()
		p.alert(ctx, st, began, found.lost)
	}
	b.Remember, b.New = p.remembers(st), found.since
	b.Observe = p.poll.Compare && p.inlet == "poll"
	r.Items, r.First, r.Cursor, r.More = len(b.Items), b.Remember, b.State.Cursor, found.more
	r.Again = found.again
	r.New, err = p.in.Poll(ctx, b)
	return r, errors.Join(found.lost, err)
}

// remembers reports whether a poll only records existing items: the first walk, unless backfill is
// set.
func (p *poller) remembers(st engine.InletState) bool {
	if p.poll.Backfill || p.poll.Compare {
		return false
	}
	if st.OKAt.IsZero() {
		return true
	}
	var pr progress
	return len(st.Rest) > 0 && p.unseal(st.Rest, &pr) == nil && pr.Walk != nil && pr.Walk.First
}

// alert raises an alert if a poll has had no answer for several intervals.
func (p *poller) alert(ctx context.Context, st engine.InletState, now time.Time, err error) {
	since := st.OKAt
	if since.IsZero() {
		return
	}
	if silent := now.Sub(since); silent > alertAfter*p.table.length(now) {
		p.in.Alert(ctx, engine.Alert{Kind: "poll_failing", Trigger: p.trigger.Name,
			Message: fmt.Sprintf("the poll of trigger %s has had no answer since %s: %v", p.trigger.Name, since.UTC().Format(time.RFC3339), err),
			Data:    map[string]any{"since": since.UTC().Format(time.RFC3339), "failures": st.Failures + 1}})
	}
}

// retryAt returns when the service asks to be called again, at most a day from now.
func retryAt(now time.Time, err error) time.Time {
	var e *plan.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return now.Add(min(e.RetryAfter, 24*time.Hour))
	}
	return time.Time{}
}

func text(v any) string {
	s, err := value.Text(v)
	if v == nil || err != nil {
		return ""
	}
	return s
}
