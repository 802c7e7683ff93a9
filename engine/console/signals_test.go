package console_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
)

// lossy drops the signals for which keep returns false, counted from 1.
type lossy struct {
	engine.Signals
	keep func(n int) bool
	mu   sync.Mutex
	n    int
}

func (l *lossy) Publish(s engine.Signal) {
	l.mu.Lock()
	l.n++
	keep := l.keep(l.n)
	l.mu.Unlock()
	if keep {
		l.Signals.Publish(s)
	}
}

// live is a reader of the stream that records when each event arrived.
type live struct {
	http.ResponseWriter
	mu   sync.Mutex
	told []string
	at   map[string]time.Time
}

func (l *live) Flush() {}

func (l *live) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, rest, found := bytes.Cut(b, []byte(`"id":"evt_`)); found && bytes.Contains(b, []byte("event: event\n")) {
		id, _, _ := bytes.Cut(rest, []byte(`"`))
		l.told, l.at["evt_"+string(id)] = append(l.told, "evt_"+string(id)), time.Now()
	}
	return len(b), nil
}

// followed stores events, 30 ms apart, while a client reads the stream. It returns what the client
// received, what was stored, and the longest delay.
func followed(t *testing.T, keep func(int) bool) (told, stored []string, longest time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF",
			Signals: &lossy{Signals: store.NewSignals(), keep: keep}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c, err := console.New(console.Options{Loopback: true, Log: s.History(), Signals: s, Operator: &operator{},
			Project: func() *workflows.Project { return &workflows.Project{} }, Logger: slog.New(slog.DiscardHandler),
			Ready: func() console.Readiness { return console.Readiness{} }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/stream", nil)
		r.Host = "127.0.0.1:8081"
		out, done := &live{ResponseWriter: httptest.NewRecorder(), at: map[string]time.Time{}}, make(chan struct{})
		go func() { defer close(done); c.ServeHTTP(out, r) }()
		time.Sleep(10 * time.Millisecond)
		at := map[string]time.Time{}
		for n := range 20 {
			id, now := engine.EventID(1000+n), time.Now()
			if _, _, err := s.AcceptDecided(ctx, id, &engine.Delivery{Trigger: "shop", Inlet: "webhook", Key: fmt.Sprint(n), Type: "t", Time: now,
				ReceivedAt: now, Dedupe: time.Hour}, engine.Match{Event: id, At: now}); err != nil {
				t.Fatal(err)
			}
			stored, at[id.String()] = append(stored, id.String()), now
			time.Sleep(30 * time.Millisecond)
		}
		time.Sleep(time.Second)
		cancel()
		<-done
		told = out.told
		for id, when := range out.at {
			longest = max(longest, when.Sub(at[id]))
		}
	})
	return told, stored, longest
}

// TestLiveReaderGetsEachEventWhenSignalsAreLost checks that it receives each event
// once and in order, and also, later, if all signals are lost.
func TestLiveReaderGetsEachEventWhenSignalsAreLost(t *testing.T) {
	for name, c := range map[string]struct {
		keep    func(int) bool
		longest time.Duration
	}{
		"none is lost":  {func(int) bool { return true }, 60 * time.Millisecond},
		"half are lost": {func(n int) bool { return n%2 == 0 }, 250 * time.Millisecond},
		"all are lost":  {func(int) bool { return false }, 250 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			told, stored, longest := followed(t, c.keep)
			if !slices.Equal(told, stored) || longest > c.longest {
				t.Errorf("told after at most %s: %v, stored: %v", longest, told, stored)
			}
			if name == "all are lost" && longest <= 60*time.Millisecond {
				t.Errorf("without signals a reader looks after %s at most: the test proves nothing", longest)
			}
		})
	}
}
