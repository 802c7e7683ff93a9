package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hookloom/hookloom/engine"
)

const (
	// streamPause is the interval between reads without a signal, streamBeat between keep-alive
	// messages. streamGather is the delay after a signal, so that many commits cause one read.
	streamPause  = 250 * time.Millisecond
	streamGather = 50 * time.Millisecond
	streamBeat   = 15 * time.Second
	// streamWrite is the timeout of a message: a client that does not read is disconnected.
	streamWrite = 30 * time.Second
	maxStreams  = 64
	// maxAtOnce is the maximum number of changes per read.
	maxAtOnce = 500
)

// stream sends what happens, live (WHATWG HTML, 9.2 Server-sent events): each event when it is
// decided and each status of each run, in commit order, once. The message ids are positions in the
// feed, in the form of event ids. A client that was disconnected, even by a restart of the server,
// continues after its last message with Last-Event-ID or ?after=. If its cursor is older than the
// feed, the missed changes are found by time, and those of the last seconds before the cursor may
// be repeated.
func (c *Console) stream(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	s := &follower{c: c, w: w, out: http.NewResponseController(w), q: engine.Query{Trigger: v.Get("trigger"), Workflow: v.Get("workflow")}}
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
	if s.send("hello", map[string]string{"after": s.at.String()}) != nil || s.out.Flush() != nil {
		return
	}
	look, beat := time.NewTicker(streamPause), time.NewTicker(streamBeat)
	news := c.news(r.Context())
	defer look.Stop()
	defer beat.Stop()
	for {
		if err := s.look(r.Context()); err != nil {
			if r.Context().Err() == nil {
				c.o.Logger.Warn("a live stream was closed", "error", err)
			}
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-c.done:
			return
		case <-beat.C:
			if err := s.write(": here\nid: %s\n\n", s.at); err != nil || s.out.Flush() != nil {
				return
			}
		case <-look.C:
		case <-news:
			select { // further signals are handled together with it
			case <-time.After(streamGather):
			case <-r.Context().Done():
			}
		}
	}
}

// news signals that there may be changes; nil if there are no signals.
func (c *Console) news(ctx context.Context) <-chan engine.Signal {
	if c.o.Signals == nil {
		return nil
	}
	return c.o.Signals.Subscribe(ctx, engine.SignalEvents|engine.SignalRuns|engine.SignalAnswers)
}

// follower is a client of the stream.
type follower struct {
	c   *Console
	w   http.ResponseWriter
	out *http.ResponseController
	q   engine.Query
	// at is the position up to which everything was sent.
	at engine.Cursor
	// one is the run to follow, if only one; mark is what was sent about it.
	one  engine.RunID
	mark string
}

// from finds the client's position. A position beyond the end is treated as the end: it comes from
// another database, or from before this one was restored.
func (s *follower) from(r *http.Request, after, run string) error {
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after = last
	}
	end, err := s.c.o.Log.FeedEnd(r.Context())
	if err != nil {
		return err
	}
	s.at = end
	if run != "" {
		id, err := engine.ParseRunID(run)
		if err != nil {
			return fmt.Errorf("%w: run: %w", engine.ErrQuery, err)
		}
		s.one = id
		s.mark, err = s.c.o.Log.RunMark(r.Context(), id)
		if after != "" {
			s.mark = "" // it may have changed in the meantime
		}
		return err
	}
	if err := s.c.names(r.Context(), s.q); err != nil || after == "" {
		return err
	}
	at, err := engine.ParseCursor(after)
	if err != nil {
		return fmt.Errorf("%w: after: %w", engine.ErrQuery, err)
	}
	s.at = min(at, end)
	return nil
}

// look sends what is new since the last call.
func (s *follower) look(ctx context.Context) error {
	if s.one != 0 {
		return s.lookAtOne(ctx)
	}
	for {
		list, err := s.c.o.Log.Feed(ctx, s.at, maxAtOnce)
		if errors.Is(err, engine.ErrFeedGone) {
			if err := s.sendMissed(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil || len(list) == 0 {
			return err
		}
		if err := s.sendChanges(ctx, list); err != nil {
			return err
		}
	}
}

// sendMissed sends a client the changes before the start of the feed. These messages carry the
// client's own cursor: if it is disconnected during them, they start over.
func (s *follower) sendMissed(ctx context.Context) error {
	list, end, err := s.c.o.Log.MissedChanges(ctx, s.at)
	if err != nil {
		return err
	}
	for len(list) > 0 {
		n := min(len(list), maxAtOnce)
		if err := s.sendChanges(ctx, list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	s.at = end
	return nil
}

// sendChanges sends the changes that the client asked for, in order.
func (s *follower) sendChanges(ctx context.Context, list []engine.FeedChange) error {
	events, runs := engine.ChangedIDs(list)
	eventItems, err := s.c.o.Log.FeedEvents(ctx, events, engine.Query{Trigger: s.q.Trigger})
	if err != nil {
		return err
	}
	runItems, err := s.c.o.Log.FeedRuns(ctx, runs, s.q, engine.Query{})
	if err != nil {
		return err
	}
	for _, x := range list {
		s.at = max(s.at, x.At)
		if e, ok := eventItems[x.Event]; ok && x.Event != 0 {
			err = s.send("event", e)
		} else if r, ok := runItems[x.Run]; ok && x.Run != 0 {
			err = s.send("run", r.As(x.Status))
		}
		if err != nil {
			return err
		}
	}
	return s.out.Flush()
}

// lookAtOne sends a message if the run has changed.
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
	if err := s.send("run", r); err != nil {
		return err
	}
	return s.out.Flush()
}

// send sends a message. JSON contains no line breaks, which would end it.
func (s *follower) send(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding for the stream: %w", err)
	}
	return s.write("id: %s\nevent: %s\ndata: %s\n\n", s.at, name, b)
}

// write writes to the client, with a deadline that also covers the flush.
func (s *follower) write(format string, args ...any) error {
	// Not every ResponseWriter supports deadlines; the server's does.
	_ = s.out.SetWriteDeadline(time.Now().Add(streamWrite))
	_, err := fmt.Fprintf(s.w, format, args...)
	return err
}
