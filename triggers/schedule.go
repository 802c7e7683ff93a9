package triggers

import (
	"bytes"
	"context"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/robfig/cron/v3"
)

// timetable computes due times: those of a cron in a time zone, or one per interval.
type timetable struct {
	every time.Duration
	cron  cron.Schedule
	zone  *time.Location
	// wall is whether it goes by the wall clock when the clocks go back.
	wall bool
	// text is the timetable as written, to detect an edit.
	text string
}

// newTimetable compiles an inlet's every: or cron:, which were validated.
func newTimetable(every time.Duration, text string, zone *time.Location) (*timetable, error) {
	t := &timetable{every: every, zone: zone, text: "every " + every.String()}
	if text == "" {
		return t, nil
	}
	var err error
	t.wall, t.text = byWallClock(text), text+" "+zone.String()
	t.cron, err = parseCron(text)
	return t, err
}

// next is the first time after t, zero if there is none.
//
// robfig/cron computes only wall-clock readings, as if there were no time zone; the corresponding
// time is computed here. A reading that the clock change skips becomes the first time after the
// gap, a repeated reading becomes the first of the two (docs/polling.md; robfig/cron itself skips
// the first and repeats the second, its issue 541).
func (t *timetable) next(after time.Time) time.Time {
	if t.cron == nil {
		// Multiples since 1970, so that a restart changes nothing.
		return after.Truncate(t.every).Add(t.every)
	}
	if t.wall {
		return t.nextByWall(after)
	}
	local := after.In(t.zone)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), time.UTC)
	// Each earlier reading has occurred, or was skipped, before after. Later ones may have occurred
	// too, if the clock was set back since. Next returns zero if there is none within five years.
	for {
		wall = t.cron.Next(wall)
		if wall.IsZero() {
			return wall
		}
		if at := inZone(wall, t.zone); at.After(after) {
			return at.UTC()
		}
	}
}

// nextByWall returns each reading of the clock as often as the clock shows it. Between two clock
// changes readings and times advance together; after a change the reading starts anew.
func (t *timetable) nextByWall(after time.Time) time.Time {
	local := after.In(t.zone)
	_, offset := local.Zone()
	wall := time.Unix(0, after.UnixNano()).UTC().Add(time.Duration(offset) * time.Second)
	for {
		due := t.cron.Next(wall)
		if due.IsZero() {
			return due
		}
		at := due.Add(-time.Duration(offset) * time.Second)
		_, change := local.ZoneBounds()
		if change.IsZero() || at.Before(change) {
			return at.UTC()
		}
		local = change.In(t.zone)
		_, offset = local.Zone()
		reading := change.UTC().Add(time.Duration(offset) * time.Second)
		if due.Before(reading) {
			return change.UTC() // a reading that the clock skips
		}
		wall = reading.Add(-time.Second)
	}
}

// length is the interval between two times, around a given time.
func (t *timetable) length(now time.Time) time.Duration {
	if t.cron == nil {
		return t.every
	}
	first := t.next(now)
	return max(t.next(first).Sub(first), time.Second)
}

// inZone is the time at which a clock in a zone first shows a reading, or, if it never does, the
// first time after the gap.
func inZone(wall time.Time, zone *time.Location) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	shows := func(t time.Time) bool {
		return t.Hour() == wall.Hour() && t.Minute() == wall.Minute() && t.Day() == wall.Day()
	}
	if shows(at) {
		// The same reading may have occurred before, if the clock was set back.
		_, offset := at.Zone()
		for _, back := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
			earlier := at.Add(-back)
			if _, o := earlier.Zone(); o != offset && shows(earlier) {
				return earlier
			}
		}
		return at
	}
	// In a gap: the change lies within a few hours of where Go puts the reading.
	low, high := at.Add(-4*time.Hour), at.Add(4*time.Hour)
	_, before := low.Zone()
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2).Truncate(time.Second)
		if _, o := middle.Zone(); o == before {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// maxMissed is the number of times that missed: all fires after a downtime.
const maxMissed = 1000

// scheduler runs one schedule of a trigger.
type scheduler struct {
	trigger  *workflows.Trigger
	schedule *workflows.Schedule
	table    *timetable
	in       Inbox
	log      *slog.Logger
	now      func() time.Time
	// set is the schedule's record of a clock that was set back.
	set setBack
}

func (s *scheduler) inlet() string { return "schedule " + s.schedule.ID }

// run fires until ctx ends.
func (s *scheduler) run(ctx context.Context) {
	for {
		if !s.in.Leads(ctx, s.inlet()+" "+s.trigger.Name) {
			if !sleep(ctx, leadAgain) {
				return
			}
			continue
		}
		st, err := s.in.InletState(ctx, s.trigger.Name, s.inlet())
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("cannot read the state of a schedule", "trigger", s.trigger.Name, "error", err)
			}
			if !sleep(ctx, maxFirstPause) {
				return
			}
			continue
		}
		wait, err := s.due(ctx, st)
		if err != nil && ctx.Err() == nil {
			s.log.Error("cannot fire a schedule, trying again", "trigger", s.trigger.Name, "error", err)
			wait = time.Second
		}
		if !sleep(ctx, min(wait, time.Minute)) { // wall clocks are set
			return
		}
	}
}

// due fires the times that are due and returns how long until the next one.
func (s *scheduler) due(ctx context.Context, st engine.InletState) (time.Duration, error) {
	now := s.now()
	s.set = readSetBack(st.Rest)
	if s.clockSetBack(st.AskedAt, now) {
		if err := s.fired(ctx, now, nil); err != nil {
			return 0, err
		}
		return s.fires(s.table.next(now)).Sub(now), nil
	}
	if st.AskedAt.IsZero() {
		// On the first start only later times count.
		return time.Until(s.fires(s.table.next(now))), s.fired(ctx, now, nil)
	}
	if st.Cursor != nil && !bytes.Equal(st.Cursor, s.table.stamp()) {
		// The schedule was edited: times count from now, none is missed.
		return time.Until(s.fires(s.table.next(now))), s.fired(ctx, now, nil)
	}
	planned := s.missed(st.AskedAt, now)
	for _, at := range planned {
		if err := s.fire(ctx, at); err != nil {
			return 0, err
		}
	}
	last := st.AskedAt
	if len(planned) > 0 {
		last = planned[len(planned)-1]
	} else if lastDue := s.lastBefore(st.AskedAt, now); lastDue.After(last) {
		if err := s.fired(ctx, lastDue, nil); err != nil {
			return 0, err
		}
		last = lastDue
	}
	next := s.table.next(last)
	if next.IsZero() {
		return time.Hour, nil
	}
	return s.fires(next).Sub(now), nil
}

// onTime is how late a planned time may be fired without counting as missed.
const onTime = 90 * time.Second

// missed returns the planned times to fire now: the current one, and of those during a downtime the
// ones that missed: selects.
func (s *scheduler) missed(last, now time.Time) []time.Time {
	list := s.passed(last, now)
	if len(list) == 0 {
		return nil
	}
	switch newest := list[len(list)-1]; {
	case s.schedule.Missed == "all":
		return list
	case s.schedule.Missed == "once", now.Sub(s.fires(newest)) <= onTime:
		return list[len(list)-1:]
	}
	return nil
}

// lastBefore is the newest planned time that has passed.
func (s *scheduler) lastBefore(last, now time.Time) time.Time {
	if list := s.passed(last, now); len(list) > 0 {
		return list[len(list)-1]
	}
	return last
}

// passed lists the planned times that have passed since last: the newest maxMissed of them. It
// searches back twice as far each time, so the cost depends on the number found and not on the
// length of the downtime.
func (s *scheduler) passed(last, now time.Time) []time.Time {
	for back := s.table.length(now); ; back *= 2 {
		from, whole := last, back >= now.Sub(last)/2
		if !whole {
			from = now.Add(-back)
		}
		var list []time.Time
		for at := s.table.next(from); !at.IsZero() && !s.fires(at).After(now); at = s.table.next(at) {
			list = append(list, at)
		}
		if whole || len(list) >= maxMissed {
			return list[max(0, len(list)-maxMissed):]
		}
	}
}

// fires returns the time at which a planned time is fired: delayed by its jitter, which is the same
// after a restart.
func (s *scheduler) fires(planned time.Time) time.Time {
	if s.schedule.Jitter <= 0 {
		return planned
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.trigger.Name + s.schedule.ID + planned.UTC().Format(time.RFC3339))) // a hash accepts all writes
	return planned.Add(time.Duration(h.Sum64() % uint64(s.schedule.Jitter)))
}

// fired stores a planned time together with the timetable that it belongs to.
func (s *scheduler) fired(ctx context.Context, planned time.Time, d *engine.Delivery) error {
	return s.in.Fired(ctx, engine.Firing{Trigger: s.trigger.Name, Inlet: s.inlet(), Planned: planned, Timetable: s.table.stamp(),
		SetBack: s.set.encode(), Delivery: d})
}

// stamp is the text of the timetable as JSON, as stored in an inlet's row.
func (t *timetable) stamp() []byte { return value.AppendText(nil, t.text) }

// fire makes the event of a planned time. The time is its key, so it occurs once.
func (s *scheduler) fire(ctx context.Context, planned time.Time) error {
	d, err := s.delivery(planned, s.now().UTC())
	if err != nil {
		return err
	}
	return s.fired(ctx, planned, d)
}

// delivery is the event of a planned time that is fired at now.
func (s *scheduler) delivery(planned, now time.Time) (*engine.Delivery, error) {
	key := planned.UTC().Format(time.RFC3339) + s.set.suffix(planned)
	if s.schedule.ID != "" {
		key = s.schedule.ID + "/" + key
	}
	var data any = map[string]any{}
	if s.schedule.Data != nil {
		v, err := s.schedule.Data.Eval(&expr.Env{Names: expr.Names{"time": planned.UTC()}, Now: now})
		if err != nil {
			return nil, err
		}
		data = v
	}
	raw, err := value.EncodeJSON(data)
	if err != nil {
		return nil, err
	}
	dedupe := s.schedule.Dedupe
	if dedupe == 0 {
		dedupe = workflows.DefaultDedupe
	}
	return &engine.Delivery{Trigger: s.trigger.Name, Inlet: workflows.InletSchedule, Key: key, Type: "schedule",
		Time: planned.UTC(), ReceivedAt: now,
		Headers: map[string]string{"content-type": "application/json"}, Query: map[string]string{}, Raw: raw, Dedupe: dedupe}, nil
}
