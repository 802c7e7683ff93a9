package triggers

import (
	"context"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// watcher raises an alert if a trigger gets no deliveries for too long. If the service can
// be polled, it finds out whether events are missing or there are none.
type watcher struct {
	trigger string
	// within is the longest expected time without a delivery, or workflows.Learned.
	within time.Duration
	in     Inbox
	// poller polls the service; nil if it cannot be polled.
	poller *poller
	// since is when watching began.
	since time.Time
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	reported := time.Time{}
	learns := w.within == workflows.Learned
	for {
		if learns {
			var err error
			if w.within, err = w.in.LearnedGap(ctx, w.trigger); err != nil || w.within == 0 {
				if !sleep(ctx, time.Hour) { // there is too little history yet
					return
				}
				continue
			}
		}
		last, err := w.in.LastDelivery(ctx, w.trigger)
		if err != nil {
			last = time.Now() // polled again after a while
		}
		for _, t := range []time.Time{w.since, reported} {
			if t.After(last) {
				last = t
			}
		}
		if wait := time.Until(last.Add(w.within)); wait > 0 {
			if !sleep(ctx, min(wait, time.Hour)) {
				return
			}
			continue
		}
		if w.in.Leads(ctx, "silence "+w.trigger) {
			w.tell(ctx)
		}
		reported = time.Now()
		if ctx.Err() != nil {
			return
		}
	}
}

// tell raises the alert, with its cause if a poll can find it.
func (w *watcher) tell(ctx context.Context) {
	a := engine.Alert{Kind: "silence", Trigger: w.trigger, Data: map[string]any{"within": w.within.String(), "verdict": "unknown"}}
	if w.poller == nil {
		a.Message = fmt.Sprintf("trigger %s has had no delivery for %s, and has no poll to check whether anything happened",
			w.trigger, w.within)
		w.in.Alert(ctx, a)
		return
	}
	r, err := w.poller.onceHere(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.Message = fmt.Sprintf("trigger %s has had no delivery for %s, and polling failed: %v", w.trigger, w.within, err)
		w.in.Alert(ctx, a)
	case r.New > 0:
		a.Data["verdict"], a.Data["found"] = "broken webhook", r.New
		a.Message = fmt.Sprintf("the webhook of trigger %s is broken: no delivery for %s, but polling found %d new events", w.trigger,
			w.within, r.New)
		w.in.Alert(ctx, a)
	default:
		w.poller.log.Info("a trigger is quiet because nothing happened: polling found nothing new", "trigger", w.trigger, "within", w.within)
	}
}
