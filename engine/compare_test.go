package engine_test

import (
	"math"
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

// TestComparisonCountsTheCostOfPolling checks the figures and the verdict for each kind of history.
func TestComparisonCountsTheCostOfPolling(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	sec := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	seen := func(own, webhook, poll int) engine.SeenEvent {
		e := engine.SeenEvent{Time: sec(own), Repeats: 1, Recovered: webhook == 0}
		if webhook > 0 {
			e.See("webhook", sec(webhook))
		}
		if poll > 0 {
			e.See("poll", sec(poll))
			e.See("poll", sec(poll+5)) // only the first time counts
		}
		return e
	}
	polls := []engine.PollEntry{{At: at, Requests: 2, Bytes: 100, Fresh: 1, Quota: "90/100"}, {At: sec(60), Requests: 1, Bytes: 50},
		{At: sec(120), Requests: 3, Outcome: "failed", Quota: "75/100"}}
	both := []engine.SeenEvent{seen(0, 2, 60), seen(100, 104, 160)}
	c := engine.Compare("orders", at, sec(86400/2), engine.Sightings{Events: both, Polls: polls})
	if c.Trigger != "orders" || !c.Since.Equal(at) || c.Events != 2 || c.Both != 2 || c.Repeats != 2 || c.Recovered != 0 || c.Polls != 3 ||
		c.EmptyPolls != 1 || c.FailedPolls != 1 || c.Requests != 6 || c.Bytes != 150 || c.RequestsPerFind != 6 || c.RequestsPerDay != 2880 ||
		c.Quota != "75/100" || c.QuotaUsed != 0.25 {
		t.Errorf("the cost: %+v", c)
	}
	if *c.Lag != (engine.Delays{Count: 2, P50: 56, P95: 58, P99: 58, Max: 58}) || c.WebhookDelay.P50 != 2 || c.WebhookDelay.Max != 4 ||
		c.PollDelay.P50 != 60 {
		t.Errorf("the delays: %+v %+v %+v", c.Lag, c.WebhookDelay, c.PollDelay)
	}
	if b := c.BreakEven; b == nil || *b != (engine.IntervalCost{Interval: "4s", Mean: 2, P95: 3.8, RequestsPerDay: 43200}) {
		t.Errorf("polling as fast as the webhook: %+v", b)
	}
	empty := func(x engine.IntervalCost) float64 {
		if x.Empty == nil {
			return -1
		}
		return *x.Empty
	}
	if len(c.Intervals) != 4 || c.Intervals[0].RequestsPerDay != 17280 || empty(c.Intervals[0]) != 1-2.0/4320 ||
		c.Intervals[1].Mean != 10 || c.Intervals[1].P95 != 20 || empty(c.Intervals[1]) != 1-2.0/720 ||
		c.Intervals[2].Mean != 100 || c.Intervals[3].Interval != "1h" || c.Intervals[3].P95 != 3500 {
		t.Errorf("other intervals: %+v", c.Intervals)
	}
	far, known := seen(-8*86400, 2, 0), seen(30, 30, 60)
	known.Repeats = 0
	few := engine.Compare("orders", at, sec(86400/2), engine.Sightings{Polls: polls[:2],
		Events: []engine.SeenEvent{far, known, {Time: sec(70), Webhook: sec(90), Poll: sec(70)}}})
	if few.FarTimes != 1 || few.WebhookDelay != nil || few.PollDelay != nil || few.Intervals[3].Mean != 1780 || few.RequestsPerDay != 2160 {
		t.Errorf("events without a time of their own: %+v, %+v, %+v", few, few.WebhookDelay, few.PollDelay)
	}
	if one := engine.Compare("orders", at, sec(60), engine.Sightings{Polls: polls[:1], Events: both}); one.RequestsPerDay != 0 ||
		one.Intervals[0].RequestsPerDay != 17280 {
		t.Errorf("one poll: %+v", one)
	}
	if none := engine.Compare("orders", at, sec(60), engine.Sightings{Events: both}); none.Intervals[0].RequestsPerDay != 8640 {
		t.Errorf("no polls: %+v", none.Intervals)
	}
	later := engine.Compare("orders", sec(-60), sec(10), engine.Sightings{Events: both[:1]})
	if later.Intervals[1].Mean != 0 || empty(later.Intervals[1]) != -1 {
		t.Errorf("intervals begin with the first event: %+v", later.Intervals)
	}
	after := engine.Compare("orders", sec(-30), sec(86400), engine.Sightings{Events: []engine.SeenEvent{seen(-60, 1, 0), seen(5, 6, 0)}})
	if after.Intervals[1].Mean != 27.5 || after.WebhookDelay.Count != 2 {
		t.Errorf("intervals begin with the period: %+v", after.Intervals)
	}
	for want, s := range map[string]engine.Sightings{
		"No events are recorded yet: there is nothing to compare.": {Polls: polls},
		"Only the webhook has recorded events (1), and no poll was answered yet: add a poll with compare: true to find out what it misses; " +
			"hookloom poll asks one at once.": {Events: []engine.SeenEvent{seen(0, 1, 0)}},
		"The webhook delivered none of the 1 events that polling found: it is broken or not set up; only polling works.": {
			Events: []engine.SeenEvent{seen(0, 0, 1)}, Polls: polls},
		"The webhook missed 1 of 3 events (33.3 %) that polling found: keep both; the webhook is faster, and the poll finds what it misses.": {
			Events: append([]engine.SeenEvent{seen(0, 0, 9), seen(0, 5, 0)}, both...), Polls: polls},
		"The poll found none of the webhook's 1 events: their keys differ, or the poll lists something else.": {
			Events: []engine.SeenEvent{seen(0, 1, 0)}, Polls: polls},
		"The webhook delivered all 2 events, at the median 56s before the poll; polling made 6 requests and found nothing that the webhook " +
			"did not deliver: the webhook suits this trigger, and a rare poll is enough as a check.": {Events: both, Polls: polls},
		"The webhook delivered all 1 events: the webhook suits this trigger, and a rare poll is enough as a check.": {
			Events: []engine.SeenEvent{seen(0, 9, 3)}, Polls: []engine.PollEntry{{At: at}}},
	} {
		if got := engine.Compare("orders", at, sec(600), s).Verdict; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	for quota, want := range map[string]float64{"": 0, "5": 0, "5/10": 0.5, "0/10": 1, "10/10": 0, "11/10": 0, "-1/10": 0, "x/10": 0, "5/x": 0,
		"0/0": 0} {
		p := []engine.PollEntry{{At: at, Quota: quota}}
		if got := engine.Compare("orders", at, at, engine.Sightings{Polls: p}); got.QuotaUsed != want || got.RequestsPerDay != 0 {
			t.Errorf("the quota %q: %v is used, %v requests in a day", quota, got.QuotaUsed, got.RequestsPerDay)
		}
	}
}

// TestFewPollsAreNoHigherRate checks the requests in a day after few polls, and the share of empty polls: of
// the time before the first event too, and none if it is too short.
func TestFewPollsAreNoHigherRate(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	for n := 1; n <= 12; n++ {
		s := engine.Sightings{}
		for i := range n {
			s.Polls = append(s.Polls, engine.PollEntry{At: at.Add(time.Duration(i) * 15 * time.Second), Requests: 1})
		}
		last := s.Polls[n-1].At
		s.Events = []engine.SeenEvent{{Key: "a", Time: last.Add(-time.Second), Poll: last}}
		c := engine.Compare("prices", at.Add(-time.Hour), last.Add(5*time.Second), s)
		want := map[bool]float64{true: 5760}[n > 1]
		if math.Abs(c.RequestsPerDay-want) > 1e-6 {
			t.Errorf("%d polls: %v requests in a day, want %v", n, c.RequestsPerDay, want)
		}
		polls := float64(15*(n-1)+5) / 10
		if got := c.Intervals[0].Empty; (got != nil) != (polls >= 10) || got != nil && math.Abs(*got-(1-1/polls)) > 1e-6 {
			t.Errorf("%d polls: an empty share of %v", n, got)
		}
	}
}
