package engine_test

import (
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// Each inlet has figures of its own, also where it is the late one.
func TestCompareCountsEachInletSeparately(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	see := func(webhook, poll time.Duration) engine.SeenEvent {
		e := engine.SeenEvent{Time: at}
		for inlet, d := range map[engine.Inlet]time.Duration{"webhook": webhook, "poll": poll} {
			if d > 0 {
				e.See(inlet, at.Add(d))
			}
		}
		return e
	}
	c := engine.Compare("orders", at, at.Add(time.Hour),
		engine.Sightings{Events: []engine.SeenEvent{see(2*time.Second, 60*time.Second), see(700*time.Second, 20*time.Second),
			see(time.Second, 0), see(0, 30*time.Second)}, Polls: []engine.PollEntry{{At: at, Requests: 1}}})
	if len(c.Inlets) != 2 {
		t.Fatalf("%+v", c.Inlets)
	}
	if c.Both != 2 || c.WebhookOnly != 1 || c.PollOnly != 1 || c.WebhookDelay.Count != 3 || c.PollDelay.Count != 3 || c.PollDelay.P50 != 30 {
		t.Errorf("%+v, delays %+v and %+v", c, c.WebhookDelay, c.PollDelay)
	}
	w, p := c.Inlets[0], c.Inlets[1]
	if w.Inlet != "webhook" || w.Found != 3 || w.Only != 1 || w.First != 1 || w.Delay.P50 != 2 || w.Behind.Count != 1 || w.Behind.P50 != 680 {
		t.Errorf("the webhook: %+v, delay %+v, behind %+v", w, w.Delay, w.Behind)
	}
	if p.Inlet != "poll" || p.Found != 3 || p.Only != 1 || p.First != 1 || p.Delay.P50 != 30 || p.Behind.Count != 1 || p.Behind.P50 != 58 {
		t.Errorf("the poll: %+v, delay %+v, behind %+v", p, p.Delay, p.Behind)
	}
}

// A sample with a date of last year would make the delay months, and a test is no delivery of the
// provider.
func TestDelayIgnoresTestsAndImplausibleTimes(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	see := func(own time.Duration, test bool) engine.SeenEvent {
		e := engine.SeenEvent{Time: at.Add(own), Test: test}
		e.See("webhook", at)
		return e
	}
	c := engine.Compare("orders", at.Add(-time.Hour), at.Add(time.Hour), engine.Sightings{Events: []engine.SeenEvent{
		see(-7913*time.Hour, false), see(20*time.Hour, false), see(-2*time.Second, false), see(-time.Second, true),
	}})
	if c.Events != 3 || c.Tests != 1 || c.FarTimes != 2 || c.WebhookOnly != 3 {
		t.Errorf("events %d, tests %d, far times %d", c.Events, c.Tests, c.FarTimes)
	}
	if d := c.WebhookDelay; d == nil || d.Count != 1 || d.Max != 2 {
		t.Errorf("the delay: %+v", d)
	}
	for _, i := range c.Intervals {
		if i.Mean > 3600 {
			t.Errorf("every %s: %g s", i.Interval, i.Mean)
		}
	}
}
