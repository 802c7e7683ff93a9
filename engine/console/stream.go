package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const (
	// streamPause lies between two looks, streamBeat between two signs of life.
	streamPause = 250 * time.Millisecond
	streamBeat  = 15 * time.Second
	maxStreams  = 64
	// maxFollowed is how many open runs one stream follows; those that are older
	// are let go.
	maxFollowed = 500
)

// stream tells what happens, live (WHATWG HTML, 9.2 Server-sent events). Its ids
// are those of events, so that a reader that was cut off, also by a restart of the
// server, goes on where it was: Last-Event-ID, or ?after=.
func (c *Console) stream(w http.ResponseWriter, r *http.Request) {
	if c.streams.Add(1) > maxStreams {
		c.streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "too many live readers")
		return
	}
	defer c.streams.Add(-1)
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("after")
	}
	if after == "" {
		after = engine.EventID(engine.FirstID(time.Now())).String()
	}
	if _, err := engine.ParseEventID(after); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	s := &follower{c: c, w: w, out: http.NewResponseController(w), open: map[string]string{}, q: engine.Query{Trigger: r.URL.Query().Get("trigger"), Workflow: r.URL.Query().Get("workflow"), After: after, Ascending: true, Limit: 200}}
	if err := s.say("", "hello", map[string]string{"after": after}); err != nil {
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
			if _, err := fmt.Fprint(w, ": here\n\n"); err != nil || s.out.Flush() != nil {
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
	// open are the runs that have not ended, with the status told last, and order
	// the order in which they came.
	open  map[string]string
	order []string
}

// look tells what is new since the last look.
func (s *follower) look(ctx context.Context) error {
	page, err := s.c.o.Log.EventPage(ctx, s.q)
	if err != nil {
		return err
	}
	for _, e := range page.Items {
		if e.Outcome == "pending" {
			break // its runs do not exist yet
		}
		s.q.After = e.ID
		if err := s.say(e.ID, "event", e); err != nil {
			return err
		}
		runs, err := s.c.o.Log.RunPage(ctx, engine.Query{Event: e.ID, Workflow: s.q.Workflow, Limit: 200})
		if err != nil {
			return err
		}
		for _, r := range runs.Items {
			if s.open[r.ID] == "" {
				s.order = append(s.order, r.ID)
			}
			if err := s.tell(r); err != nil {
				return err
			}
		}
	}
	return s.followRuns(ctx)
}

// followRuns looks at the runs that were open.
func (s *follower) followRuns(ctx context.Context) error {
	if n := len(s.order) - maxFollowed; n > 0 {
		for _, id := range s.order[:n] {
			delete(s.open, id)
		}
		s.order = s.order[n:]
	}
	still := s.order[:0]
	for _, id := range s.order {
		if s.open[id] == "" {
			continue
		}
		run, err := engine.ParseRunID(id)
		if err != nil {
			return err
		}
		r, err := s.c.o.Log.RunOne(ctx, run)
		if err != nil {
			return err
		}
		if r.Status != s.open[id] {
			if err := s.tell(r); err != nil {
				return err
			}
		}
		if s.open[id] != "" {
			still = append(still, id)
		}
	}
	s.order = still
	return nil
}

// tell sends a run, and follows it until it has ended.
func (s *follower) tell(r engine.RunItem) error {
	s.open[r.ID] = r.Status
	if engine.RunStatus(r.Status).Ended() {
		delete(s.open, r.ID)
	}
	return s.say(s.q.After, "run", r)
}

// say sends one message. JSON holds no line break, which would end it.
func (s *follower) say(id, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding for the stream: %w", err)
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	if _, err := fmt.Fprintf(s.w, "%sevent: %s\ndata: %s\n\n", id, name, b); err != nil {
		return err
	}
	return s.out.Flush()
}
