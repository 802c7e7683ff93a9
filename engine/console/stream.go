package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const (
	// streamPause lies between two looks, streamBeat between two signs of life.
	streamPause = 250 * time.Millisecond
	streamBeat  = 15 * time.Second
	maxStreams  = 64
	// maxFollowed is how many open runs are looked at each time. The ends of the others
	// are found by the time of their end.
	maxFollowed = 500
	// maxAtOnce is how many events one look tells.
	maxAtOnce = 500
	// An id is given before its row is committed, so rows do not always come in the order
	// of their ids: the last settled before the newest that came are looked at again. A
	// quiet stream moves on after quietFor.
	settled  = time.Second
	quietFor = 30 * time.Second
)

// StreamLog is what the stream reads. The store's History fits.
type StreamLog interface {
	NewEvents(ctx context.Context, after engine.EventID, trigger string, limit int) ([]engine.EventID, error)
	EventItems(context.Context, []engine.EventID) ([]engine.EventItem, error)
	RunItems(context.Context, []engine.RunID) ([]engine.RunItem, error)
	ChangedRuns(ctx context.Context, after engine.RunID, others []engine.RunID, q engine.Query) ([]engine.RunState, error)
	OpenRuns(ctx context.Context, upTo engine.RunID, since time.Time, limit int) ([]engine.RunState, map[engine.RunID]bool, error)
	RunMark(context.Context, engine.RunID) (string, error)
}

// stream tells what happens, live (WHATWG HTML, 9.2 Server-sent events). Its ids are
// moments in the order of the history, in the form of an event's id. A reader that was cut
// off, also by a restart of the server, goes on with Last-Event-ID or ?after=: what came,
// began or ended since then is told. Something may be told twice; nothing is left out.
func (c *Console) stream(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	s := &follower{c: c, w: w, out: http.NewResponseController(w), q: engine.Query{Trigger: v.Get("trigger"), Workflow: v.Get("workflow")}, events: map[engine.EventID]bool{}, runs: map[engine.RunID]engine.RunState{}}
	if err := s.from(r, v.Get("after"), v.Get("run")); err != nil {
		c.fail(w, err)
		return
	}
	if c.streams.Add(1) > maxStreams {
		c.streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "too many live readers")
		return
	}
	defer c.streams.Add(-1)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := s.say("hello", map[string]string{"after": s.at.String()}); err != nil {
		return
	}
	look, beat := time.NewTicker(streamPause), time.NewTicker(streamBeat)
	defer look.Stop()
	defer beat.Stop()
	for {
		if err := s.look(r.Context()); err != nil {
			if r.Context().Err() == nil {
				c.o.Logger.Warn("a live reader was let go", "error", err)
			}
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-c.done:
			return
		case <-beat.C:
			if _, err := fmt.Fprintf(w, ": here\nid: %s\n\n", s.at); err != nil || s.out.Flush() != nil {
				return
			}
		case <-look.C:
		}
	}
}

// follower is one reader of the stream.
type follower struct {
	c   *Console
	w   http.ResponseWriter
	out *http.ResponseController
	q   engine.Query
	// at is the moment up to which all is told, newest the newest id that was.
	at, newest engine.EventID
	// events and runs are those that were told and may be found again; runs has those
	// that have not ended, too, with the status told last.
	events map[engine.EventID]bool
	runs   map[engine.RunID]engine.RunState
	// one is the run that alone is followed, mark what was told of it.
	one  engine.RunID
	mark string
}

// from finds where the reader was.
func (s *follower) from(r *http.Request, after, run string) error {
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after = last
	}
	s.at = engine.EventID(engine.FirstID(time.Now()))
	s.newest = s.at
	if run != "" {
		id, err := engine.ParseRunID(run)
		if err != nil {
			return fmt.Errorf("%w: run: %w", engine.ErrQuery, err)
		}
		s.one = id
		s.mark, err = s.c.o.Log.RunMark(r.Context(), id)
		if after != "" {
			s.mark = "" // it may have changed meanwhile
		}
		return err
	}
	if err := s.c.names(r.Context(), s.q); err != nil {
		return err
	}
	if after == "" {
		return s.resume(r.Context())
	}
	id, err := engine.ParseEventID(after)
	if err != nil {
		return fmt.Errorf("%w: after: %w", engine.ErrQuery, err)
	}
	s.at, s.newest = id, id
	return s.resume(r.Context())
}

// resume follows the runs that were open. Those of which something is on record since are
// told.
func (s *follower) resume(ctx context.Context) error {
	open, changed, err := s.c.o.Log.OpenRuns(ctx, engine.RunID(s.at), engine.RunID(s.at).Time(), maxFollowed)
	for _, x := range open {
		if changed[x.ID] {
			x.Status = "" // tell it
		}
		s.runs[x.ID] = x
	}
	return err
}

// look tells what is new since the last look.
func (s *follower) look(ctx context.Context) error {
	if s.one != 0 {
		return s.lookAtOne(ctx)
	}
	pending, err := s.newEvents(ctx)
	if err != nil {
		return err
	}
	more, err := s.changedRuns(ctx)
	if err != nil {
		return err
	}
	if more != 0 && (pending == 0 || more < pending) {
		pending = more
	}
	s.advance(pending)
	return nil
}

// newEvents tells the events that have come. It gives the first that is not decided yet,
// 0 for none: it is told when it is.
func (s *follower) newEvents(ctx context.Context) (pending engine.EventID, err error) {
	ids, err := s.c.o.Log.NewEvents(ctx, s.at, s.q.Trigger, 20*maxAtOnce)
	if err != nil {
		return 0, err
	}
	full := len(ids) == 20*maxAtOnce
	ids = slices.DeleteFunc(ids, func(id engine.EventID) bool { return s.events[id] })
	if full && len(ids) == 0 {
		return 0, errors.New("too many events at once")
	}
	if len(ids) > maxAtOnce {
		ids, pending = ids[:maxAtOnce], ids[maxAtOnce]
	}
	if len(ids) == 0 {
		return pending, nil
	}
	items, err := s.c.o.Log.EventItems(ctx, ids)
	if err != nil {
		return 0, err
	}
	for _, e := range items {
		id, err := engine.ParseEventID(e.ID)
		if err != nil {
			return 0, err
		}
		if e.Outcome == "pending" {
			if pending == 0 || id < pending {
				pending = id
			}
			continue
		}
		s.events[id], s.newest = true, max(s.newest, id)
		if err := s.say("event", e); err != nil {
			return 0, err
		}
	}
	return pending, nil
}

// changedRuns tells the runs that are new, and those whose status is another one. It gives
// the run after which there may be more, 0 for none.
func (s *follower) changedRuns(ctx context.Context) (more engine.EventID, err error) {
	var open []engine.RunID
	for id, x := range s.runs {
		if x.FinishedAt.IsZero() {
			open = append(open, id)
		}
	}
	slices.Sort(open)
	if n := len(open) - maxFollowed; n > 0 {
		for _, id := range open[:n] {
			if engine.EventID(id) <= s.at {
				delete(s.runs, id)
			}
		}
		open = open[n:]
	}
	states, err := s.c.o.Log.ChangedRuns(ctx, engine.RunID(s.at), open, s.q)
	if err != nil {
		return 0, err
	}
	if len(states) == engine.MaxChanged {
		more = engine.EventID(states[len(states)-1].ID)
	}
	var tell []engine.RunID
	for _, x := range states {
		if had, known := s.runs[x.ID]; !known || had.Status != x.Status {
			s.runs[x.ID] = x
			tell = append(tell, x.ID)
			s.newest = max(s.newest, engine.EventID(x.ID))
		}
	}
	for len(tell) > 0 {
		n := min(len(tell), maxAtOnce)
		items, err := s.c.o.Log.RunItems(ctx, tell[:n])
		if err != nil {
			return 0, err
		}
		for _, r := range items {
			if err := s.say("run", r); err != nil {
				return 0, err
			}
		}
		tell = tell[n:]
	}
	return more, nil
}

// advance moves on to where all is told, and forgets what cannot be found again.
func (s *follower) advance(pending engine.EventID) {
	to := engine.FirstID(engine.RunID(s.newest).Time().Add(-settled))
	to = max(to, engine.FirstID(time.Now().Add(-quietFor)))
	if pending != 0 {
		to = min(to, int64(pending)-1)
	}
	if engine.EventID(to) <= s.at {
		return
	}
	s.at = engine.EventID(to)
	since := engine.RunID(s.at).Time()
	for id := range s.events {
		if id <= s.at {
			delete(s.events, id)
		}
	}
	for id, x := range s.runs {
		if !x.FinishedAt.IsZero() && x.FinishedAt.Before(since) && engine.EventID(id) <= s.at {
			delete(s.runs, id)
		}
	}
}

// lookAtOne tells when something of the one run has changed.
func (s *follower) lookAtOne(ctx context.Context) error {
	mark, err := s.c.o.Log.RunMark(ctx, s.one)
	if err != nil || mark == s.mark {
		return err
	}
	r, err := s.c.o.Log.RunOne(ctx, s.one)
	if err != nil {
		return err
	}
	s.mark = mark
	return s.say("run", r)
}

// say sends one message. JSON holds no line break, which would end it.
func (s *follower) say(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding for the stream: %w", err)
	}
	if _, err := fmt.Fprintf(s.w, "id: %s\nevent: %s\ndata: %s\n\n", s.at, name, b); err != nil {
		return err
	}
	return s.out.Flush()
}
