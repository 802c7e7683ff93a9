package triggers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
)

// This file determines what an edit changes about the recorded firings of schedules.
//
// The record does not say when a server was down. It follows from the times of the schedule that ran:
// one without an event was missed, and one with a late event was made up for. Between these times the
// server is taken to have been down, and the edited schedule does what the engine does after that.

// Firings are the recorded firings of schedules.
type Firings interface {
	// Schedules lists the schedules that have run, with their last timetable.
	Schedules(ctx context.Context) ([]engine.ScheduleState, error)
	// Firings calls do with the key of each event that schedules of a trigger made since a time, and
	// with the time at which it was made.
	Firings(ctx context.Context, trigger string, since time.Time, do func(key string, at time.Time)) error
}

// ChangedSchedules returns the schedules whose times differ from those that ran last, with what that
// changes from one time up to another, which has passed.
func ChangedSchedules(ctx context.Context, h Firings, p *workflows.Project, from, until time.Time) ([]*engine.ScheduleChange, error) {
	ran, err := h.Schedules(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the schedules that ran: %w", err)
	}
	var out []*engine.ScheduleChange
	add := func(e *edit, trigger, id string) error {
		if err := e.read(ctx, h, trigger, id); err != nil {
			return err
		}
		out = append(out, e.change(trigger, id))
		return nil
	}
	now := time.Now()
	for _, name := range sortedNames(p.Triggers) {
		for _, s := range p.Triggers[name].Schedules {
			after, err := newScheduler(p, p.Triggers[name], s)
			if err != nil {
				return nil, err
			}
			i := slices.IndexFunc(ran, func(x engine.ScheduleState) bool { return x.Trigger == name && x.Schedule == s.ID })
			e := &edit{after: after, from: from, until: until, now: now}
			if i >= 0 {
				before := ran[i]
				if ran = slices.Delete(ran, i, i+1); len(before.Timetable) == 0 || bytes.Equal(before.Timetable, after.table.stamp()) {
					continue
				}
				e.before = timetableOf(before.Timetable)
			}
			if err := add(e, name, s.ID); err != nil {
				return nil, err
			}
		}
	}
	for _, x := range ran { // those that the edit removes
		if err := add(&edit{before: timetableOf(x.Timetable), from: from, until: until, now: now}, x.Trigger, x.Schedule); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// newScheduler returns the scheduler of one schedule, to be run or to be asked.
func newScheduler(p *workflows.Project, t *workflows.Trigger, s *workflows.Schedule) (*scheduler, error) {
	zone := s.Timezone
	if zone == nil {
		zone = p.Timezone
	}
	table, err := newTimetable(s.Every, s.Cron, zone)
	if err != nil {
		return nil, fmt.Errorf("trigger %s: %w", t.Name, err)
	}
	return &scheduler{trigger: t, schedule: s, table: table, log: slog.New(slog.DiscardHandler), now: time.Now}, nil
}

// timetableOf reads a stored timetable; nil if this build cannot.
func timetableOf(stamp []byte) *timetable {
	var text string
	if json.Unmarshal(stamp, &text) != nil {
		return nil
	}
	var t *timetable
	var err error
	if every, ok := strings.CutPrefix(text, "every "); ok {
		var d time.Duration
		if d, err = time.ParseDuration(every); err == nil && d > 0 {
			t, err = newTimetable(d, "", time.UTC)
		}
	} else if i := strings.LastIndexByte(text, ' '); i > 0 {
		var zone *time.Location
		if zone, err = time.LoadLocation(text[i+1:]); err == nil {
			t, err = newTimetable(0, text[:i], zone)
		}
	}
	if err != nil {
		return nil
	}
	return t
}

// has reports whether a time is one of the timetable.
func (t *timetable) has(planned time.Time) bool { return t.next(planned.Add(-1)).Equal(planned) }

// edit compares the recorded firings of a schedule with those of an edited one, from one time up to
// another.
type edit struct {
	// before is nil for a new schedule, after for one that is removed.
	before *timetable
	after  *scheduler
	// from and until bound the planned times.
	from, until, now time.Time
	// recorded are the planned times with an event, in seconds and sorted. late are those whose event
	// was made after a downtime, with the time of that.
	recorded []int64
	late     map[int64]time.Time
	downs    []downtime
}

// downtime is a time without a server: from the first time that was missed, to the one at which missed
// times were made up for, or after the last that was missed.
type downtime struct {
	from, to time.Time
	// madeUp are the planned times that the edited schedule fires at its end.
	madeUp []time.Time
}

// plannedAt reads the planned time from the key of a firing of the schedule with an id.
func plannedAt(key, id string) (time.Time, bool) {
	if id != "" {
		var ok bool
		if key, ok = strings.CutPrefix(key, id+"/"); !ok {
			return time.Time{}, false
		}
	}
	key, _, _ = strings.Cut(key, "#") // a clock that was set back
	at, err := time.Parse(time.RFC3339, key)
	return at, err == nil
}

// read reads the recorded firings, and finds the downtimes.
func (e *edit) read(ctx context.Context, h Firings, trigger, id string) error {
	if e.after == nil {
		return nil
	}
	e.late = map[int64]time.Time{}
	err := h.Firings(ctx, trigger, e.from, func(key string, at time.Time) {
		planned, ok := plannedAt(key, id)
		if !ok {
			return
		}
		e.recorded = append(e.recorded, planned.Unix())
		if at.Sub(e.after.fires(planned)) > onTime {
			e.late[planned.Unix()] = at
		}
	})
	if err != nil {
		return fmt.Errorf("reading the firings of %s: %w", trigger, err)
	}
	slices.Sort(e.recorded)
	return e.findDowntimes(ctx)
}

func (e *edit) isRecorded(planned time.Time) bool {
	_, found := slices.BinarySearch(e.recorded, planned.Unix())
	return found
}

// findDowntimes determines when the server was down, by the times of the schedule that ran. These are
// only known since it was edited last: since the last recorded time that is none of them.
func (e *edit) findDowntimes(ctx context.Context) error {
	if e.before == nil {
		return nil
	}
	start := e.from
	for _, x := range slices.Backward(e.recorded) {
		if at := time.Unix(x, 0); !e.before.has(at) {
			start = at
			break
		}
	}
	var open *downtime
	madeUp := false
	end := func() {
		if open != nil && madeUp {
			open.madeUp = e.after.missed(open.from.Add(-1), open.to)
		}
		if open != nil {
			e.downs = append(e.downs, *open)
		}
		open, madeUp = nil, false
	}
	for at := e.before.next(start.Add(-1)); !at.IsZero() && at.Before(e.until); at = e.before.next(at) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		late, isLate := e.late[at.Unix()]
		switch to := at.Add(1); {
		case isLate:
			if open == nil {
				open = &downtime{from: at}
			}
			open.to, madeUp = later(open.to, late), true
		case e.isRecorded(at):
			end()
		case e.now.Sub(e.after.fires(at)) > onTime:
			if open == nil {
				open = &downtime{from: at}
			}
			open.to = later(open.to, to)
		}
	}
	if open != nil && !madeUp {
		open.to = e.until // it is still down
	}
	end()
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// down returns the downtime that a planned time is in; nil for none.
func (e *edit) down(planned time.Time) *downtime {
	i, _ := slices.BinarySearchFunc(e.downs, planned, func(d downtime, t time.Time) int {
		if d.to.After(t) {
			return 1
		}
		return -1
	})
	if i < len(e.downs) && !e.downs[i].from.After(planned) {
		return &e.downs[i]
	}
	return nil
}

// fires reports whether the edited schedule fires at a planned time, and when.
func (e *edit) fires(planned time.Time) (time.Time, bool) {
	if d := e.down(planned); d != nil {
		return d.to, slices.ContainsFunc(d.madeUp, planned.Equal)
	}
	return e.after.fires(planned), e.after.table.has(planned)
}

// next returns the first firing after a planned time that is not recorded; nil if there is none.
func (e *edit) next(after time.Time) (*engine.NewFiring, error) {
	for at := e.after.table.next(later(after, e.from.Add(-1))); !at.IsZero() && at.Before(e.until); at = e.after.table.next(at) {
		d := e.down(at)
		if d != nil && len(d.madeUp) == 0 {
			at = d.to.Add(-1)
			continue
		}
		when, fires := e.fires(at)
		if !fires || e.isRecorded(at) || !when.Before(e.until) {
			continue
		}
		delivery, err := e.after.delivery(at, when)
		if err != nil {
			return nil, fmt.Errorf("the data of %s: %w", e.after.inlet(), err)
		}
		return &engine.NewFiring{Planned: at, Delivery: delivery}, nil
	}
	return nil, nil
}

// change returns the comparison for the backtest.
func (e *edit) change(trigger, id string) *engine.ScheduleChange {
	c := &engine.ScheduleChange{Trigger: trigger, Schedule: id, Zone: time.UTC}
	if e.before != nil {
		c.Before, c.Zone = e.before.text, e.before.zone
	}
	if e.after == nil {
		c.Next = func(time.Time) (*engine.NewFiring, error) { return nil, nil }
		c.Keeps = func(key string) bool { _, ok := plannedAt(key, id); return !ok }
		return c
	}
	c.After, c.Zone, c.Next = e.after.table.text, e.after.table.zone, e.next
	c.Keeps = func(key string) bool {
		planned, ok := plannedAt(key, id)
		if !ok {
			return true // another schedule's
		}
		_, fires := e.fires(planned)
		return fires
	}
	return c
}
