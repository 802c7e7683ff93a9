package engine

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows"
)

// Sightings are the recorded events and polls of a trigger.
type Sightings struct {
	Events []SeenEvent
	Polls  []PollEntry
}

// SeenEvent is one event, and when each inlet saw it first.
type SeenEvent struct {
	Key string
	// Time is the event's own time, if the sender sends one.
	Time          time.Time
	Webhook, Poll time.Time
	// Repeats counts deliveries after the first.
	Repeats   int
	Recovered bool
	// Test reports a sample of hookloom send or the console.
	Test bool
}

// See records that an inlet saw the event; only the first time counts.
func (e *SeenEvent) See(inlet Inlet, at time.Time) {
	to := &e.Webhook
	if inlet == workflows.InletPoll {
		to = &e.Poll
	}
	if to.IsZero() || at.Before(*to) {
		*to = at
	}
}

// PollEntry is what one poll cost.
type PollEntry struct {
	At       time.Time
	Requests int
	Bytes    int64
	Items    int
	Fresh    int
	Outcome  string
	Took     time.Duration
	Quota    string
}

// Comparison compares the webhook of a trigger with its poll.
type Comparison struct {
	Trigger string    `json:"trigger"`
	Since   time.Time `json:"since"`
	// Events, by the inlets that saw them.
	Events      int `json:"events"`
	WebhookOnly int `json:"webhook_only"`
	PollOnly    int `json:"poll_only"`
	Both        int `json:"both"`
	// Recovered are events that only polling found; Repeats are repeated deliveries.
	Recovered int `json:"recovered"`
	Repeats   int `json:"repeats"`
	// Tests are samples of hookloom send and the console, which are not compared. FarTimes are
	// events whose own time is too far from their arrival to be the time at which they happened:
	// they have no delay.
	Tests    int `json:"tests"`
	FarTimes int `json:"far_times"`
	// Inlets are what each inlet found, and its delay: the webhook, then the poll.
	Inlets []InletFigures `json:"inlets"`
	// WebhookDelay and PollDelay are from the event's own time to its arrival; Lag is how much
	// later the poll saw the events that both saw (negative: earlier).
	WebhookDelay *Delays `json:"webhook_delay,omitempty"`
	PollDelay    *Delays `json:"poll_delay,omitempty"`
	Lag          *Delays `json:"lag,omitempty"`
	// The cost of polling.
	Polls           int     `json:"polls"`
	EmptyPolls      int     `json:"empty_polls"`
	FailedPolls     int     `json:"failed_polls"`
	Requests        int     `json:"requests"`
	Bytes           int64   `json:"bytes"`
	RequestsPerFind float64 `json:"requests_per_new_event,omitempty"`
	RequestsPerDay  float64 `json:"requests_per_day,omitempty"`
	Quota           string  `json:"quota,omitempty"`
	// QuotaUsed is the used share of the provider's rate limit, at the last poll whose response
	// reported it. Everyone who uses the same credential shares the limit.
	QuotaUsed float64 `json:"quota_used,omitempty"`
	// Intervals are the cost and delay of other intervals.
	Intervals []IntervalCost `json:"intervals,omitempty"`
	// BreakEven is the interval at which polling would be as fast as the webhook.
	BreakEven *IntervalCost `json:"break_even,omitempty"`
	// Verdict is a sentence that recommends an inlet for the trigger, with the reason.
	Verdict string `json:"verdict"`
}

// InletFigures are what one inlet found of a trigger's events.
type InletFigures struct {
	Inlet Inlet `json:"inlet"`
	// Found are the events that it saw; Only those that no other inlet saw, First those that it saw
	// before the other.
	Found int `json:"found"`
	Only  int `json:"only"`
	First int `json:"first"`
	// Delay is from an event's own time to when the inlet saw it, for events that have one. Behind
	// is the delay after the other inlet, for events that the other saw first.
	Delay  *Delays `json:"delay,omitempty"`
	Behind *Delays `json:"behind,omitempty"`
}

// inlets sums up what each inlet found.
func inlets(events []SeenEvent) []InletFigures {
	out := []InletFigures{{Inlet: workflows.InletWebhook}, {Inlet: workflows.InletPoll}}
	for i := range out {
		f := &out[i]
		var delay, behind []time.Duration
		for i := range events {
			e := &events[i]
			at, other := e.Webhook, e.Poll
			if f.Inlet == workflows.InletPoll {
				at, other = other, at
			}
			if at.IsZero() {
				continue
			}
			f.Found++
			switch {
			case other.IsZero():
				f.Only++
			case at.Before(other):
				f.First++
			default:
				behind = append(behind, at.Sub(other))
			}
			if e.ownTime() {
				delay = append(delay, at.Sub(e.Time))
			}
		}
		f.Delay, f.Behind = DelaysOf(delay), DelaysOf(behind)
	}
	return out
}

// ownTime reports whether the sender sent the time at which the event happened.
func (e *SeenEvent) ownTime() bool {
	return !e.Time.IsZero() && !e.Time.Equal(e.Webhook) && !e.Time.Equal(e.Poll) && !e.farTime()
}

// An event's own time is its time only within these bounds of its arrival: providers repeat a
// delivery for up to a week, and clocks differ by minutes.
const (
	maxEventAge   = 7 * 24 * time.Hour
	maxEventAhead = time.Hour
)

// farTime reports that the event's own time is too far from its arrival, as in samples with a
// fixed date, items of a backfill, and times of another meaning.
func (e *SeenEvent) farTime() bool {
	first := e.Webhook
	if first.IsZero() || !e.Poll.IsZero() && e.Poll.Before(first) {
		first = e.Poll
	}
	delay := first.Sub(e.Time)
	return delay > maxEventAge || delay < -maxEventAhead
}

// Delays are the delays of many events, in seconds.
type Delays struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// IntervalCost is what polling at an interval would have been like, computed from
// the recorded times of the events.
type IntervalCost struct {
	Interval string `json:"interval"`
	// Mean and P95 delay in seconds; requests in a day; the share of polls that would
	// have found nothing, nil if fewer than fewPolls would have been made.
	Mean           float64  `json:"mean_delay"`
	P95            float64  `json:"p95_delay"`
	RequestsPerDay float64  `json:"requests_per_day"`
	Empty          *float64 `json:"empty_share,omitempty"`
}

// fewPolls is the number of polls below which no share of them is estimated.
const fewPolls = 10

// Compare computes a comparison from recorded events and polls.
func Compare(trigger string, since, now time.Time, s Sightings) Comparison {
	isTest := func(e SeenEvent) bool { return e.Test }
	tests := len(s.Events)
	if slices.ContainsFunc(s.Events, isTest) {
		s.Events = slices.DeleteFunc(slices.Clone(s.Events), isTest)
	}
	c := Comparison{Trigger: trigger, Since: since, Events: len(s.Events), Tests: tests - len(s.Events)}
	var webhook, poll, lag []time.Duration
	times := make([]time.Time, 0, len(s.Events))
	for i := range s.Events {
		e := &s.Events[i]
		own := e.ownTime()
		switch {
		case e.Poll.IsZero():
			c.WebhookOnly++
		case e.Webhook.IsZero():
			c.PollOnly++
		default:
			c.Both++
			lag = append(lag, e.Poll.Sub(e.Webhook))
		}
		if own && !e.Webhook.IsZero() {
			webhook = append(webhook, e.Webhook.Sub(e.Time))
		}
		if own && !e.Poll.IsZero() {
			poll = append(poll, e.Poll.Sub(e.Time))
		}
		if e.Recovered {
			c.Recovered++
		}
		c.Repeats += e.Repeats
		if e.farTime() {
			c.FarTimes++
			continue
		}
		times = append(times, e.Time)
	}
	c.WebhookDelay, c.PollDelay, c.Lag = DelaysOf(webhook), DelaysOf(poll), DelaysOf(lag)
	c.Inlets = inlets(s.Events)
	perPoll := c.costs(s.Polls)
	seen := now // when the recorded time began
	if len(s.Polls) > 0 {
		seen = s.Polls[0].At
	}
	c.intervals(times, since, now, seen, perPoll)
	if c.WebhookDelay != nil && c.WebhookDelay.P50 > 0 {
		// On average an event waits half an interval.
		every := time.Duration(2 * c.WebhookDelay.P50 * float64(time.Second))
		c.BreakEven = &IntervalCost{Interval: every.Round(time.Millisecond).String(), Mean: c.WebhookDelay.P50,
			P95: 0.95 * every.Seconds(), RequestsPerDay: perPoll * float64(24*time.Hour) / float64(every)}
	}
	c.Verdict = c.verdict(len(s.Polls) > 0)
	return c
}

// quotaUsed parses left/limit.
func quotaUsed(text string) float64 {
	left, limit, ok := strings.Cut(text, "/")
	l, lerr := strconv.ParseFloat(left, 64)
	m, merr := strconv.ParseFloat(limit, 64)
	if !ok || lerr != nil || merr != nil || m <= 0 || l < 0 || l > m {
		return 0
	}
	return 1 - l/m
}

// costs adds up the cost of polling; it returns the requests per poll.
func (c *Comparison) costs(polls []PollEntry) (perPoll float64) {
	found := 0
	for _, p := range polls {
		c.Polls++
		c.Requests += p.Requests
		c.Bytes += p.Bytes
		found += p.Fresh
		switch {
		case p.Outcome == "failed":
			c.FailedPolls++
		case p.Fresh == 0:
			c.EmptyPolls++
		}
		if p.Quota != "" {
			c.Quota, c.QuotaUsed = p.Quota, quotaUsed(p.Quota)
		}
	}
	if c.Polls == 0 {
		return 1
	}
	if found > 0 {
		c.RequestsPerFind = float64(c.Requests) / float64(found)
	}
	perPoll = float64(c.Requests) / float64(c.Polls)
	// Of n polls, n-1 intervals have passed.
	if span := polls[len(polls)-1].At.Sub(polls[0].At); span > 0 {
		c.RequestsPerDay = float64(c.Requests) * float64(c.Polls-1) * float64(24*time.Hour) / (float64(c.Polls) * float64(span))
	}
	return perPoll
}

// comparedIntervals are the intervals that Compare evaluates.
var comparedIntervals = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, time.Hour}

// intervals simulates polls at each interval over the times at which the events happened. They were watched
// from seen on.
func (c *Comparison) intervals(times []time.Time, since, now, seen time.Time, perPoll float64) {
	if len(times) == 0 {
		return
	}
	slices.SortFunc(times, time.Time.Compare)
	begin := times[0]
	if since.After(begin) {
		begin = since
	}
	waits := make([]time.Duration, len(times))
	for _, every := range comparedIntervals {
		busy, last := 0, int64(math.MinInt64)
		for i, t := range times {
			n := int64(math.Ceil(float64(t.Sub(begin)) / float64(every)))
			if n != last { // the times are in order
				busy, last = busy+1, n
			}
			waits[i] = begin.Add(time.Duration(n) * every).Sub(t)
		}
		d := DelaysOf(waits)
		sum := 0.0
		for _, w := range waits {
			sum += w.Seconds()
		}
		from := begin
		if seen.Before(begin) && !seen.Before(since) {
			from = seen
		}
		x := IntervalCost{Interval: ShortDuration(every), Mean: sum / float64(len(waits)), P95: d.P95,
			RequestsPerDay: perPoll * float64(24*time.Hour) / float64(every)}
		if polls := float64(now.Sub(from)) / float64(every); polls >= fewPolls {
			empty := max(0, 1-float64(busy)/polls)
			x.Empty = &empty
		}
		c.Intervals = append(c.Intervals, x)
	}
}

// DelaysOf summarizes delays; nil for none. Percentiles are by nearest rank.
func DelaysOf(list []time.Duration) *Delays {
	if len(list) == 0 {
		return nil
	}
	slices.Sort(list)
	at := func(p float64) float64 {
		return list[max(0, int(math.Ceil(p*float64(len(list))))-1)].Seconds()
	}
	return &Delays{Count: len(list), P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: list[len(list)-1].Seconds()}
}

// verdict recommends an inlet for the trigger in one sentence.
func (c *Comparison) verdict(polled bool) string {
	seen := c.WebhookOnly + c.Both
	switch {
	case c.Events == 0:
		return "No events are recorded yet: there is nothing to compare."
	case !polled:
		return fmt.Sprintf("Only the webhook has recorded events (%d), and no poll was answered yet: add a poll with compare: true "+
			"to find out what it misses; hookloom poll asks one at once.", seen)
	case seen == 0:
		return fmt.Sprintf("The webhook delivered none of the %d events that polling found: it is broken or not set up; "+
			"only polling works.", c.Events)
	case c.PollOnly > 0:
		return fmt.Sprintf("The webhook missed %d of %d events (%.1f %%) that polling found: keep both; the webhook is "+
			"faster, and the poll finds what it misses.", c.PollOnly, c.Both+c.PollOnly, 100*float64(c.PollOnly)/float64(c.Both+c.PollOnly))
	case c.Both == 0:
		return fmt.Sprintf("The poll found none of the webhook's %d events: their keys differ, or the poll lists "+
			"something else.", c.WebhookOnly)
	}
	s := fmt.Sprintf("The webhook delivered all %d events", c.Events)
	if c.Lag != nil && c.Lag.P50 > 0 {
		s += fmt.Sprintf(", at the median %s before the poll", ShortDuration(time.Duration(c.Lag.P50*float64(time.Second)).Round(time.Second)))
	}
	if c.Requests > 0 {
		s += fmt.Sprintf("; polling made %d requests and found nothing that the webhook did not deliver", c.Requests)
	}
	return s + ": the webhook suits this trigger, and a rare poll is enough as a check."
}
