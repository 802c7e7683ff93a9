package triggers

import (
	"log/slog"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// slowSink keeps refused deliveries. If proceed is set, each one waits for it.
type slowSink struct {
	engine.Sink
	kept    chan string
	proceed chan struct{}
}

func (s *slowSink) Refuse(r engine.Refusal) {
	s.kept <- r.Path
	if s.proceed != nil {
		<-s.proceed
	}
}

// TestQueuedRefusalsAreKeptAtTheEnd, and one that comes while they are stored is dropped.
func TestQueuedRefusalsAreKeptAtTheEnd(t *testing.T) {
	sink := &slowSink{kept: make(chan string), proceed: make(chan struct{})}
	r := newRefusals(&Hooks{sink: sink, log: slog.New(slog.DiscardHandler)})
	for _, path := range []string{"/a", "/b"} {
		r.add(refusal{table: &table{}, in: &inbound{path: path}})
	}
	if got := <-sink.kept; got != "/a" {
		t.Errorf("%s is kept first", got)
	}
	ended := make(chan struct{})
	go func() {
		r.close()
		close(ended)
	}()
	for closed := false; !closed; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		closed = r.closed
		r.mu.Unlock()
	}
	sink.proceed <- struct{}{}
	if got := <-sink.kept; got != "/b" {
		t.Errorf("%s is kept at the end", got)
	}
	r.add(refusal{table: &table{}, in: &inbound{path: "/c"}})
	select {
	case <-ended:
		t.Error("it ends before the last one is kept")
	default:
	}
	sink.proceed <- struct{}{}
	select {
	case <-ended:
	case got := <-sink.kept:
		t.Errorf("%s is kept after the end", got)
	}
}

// TestMemoryOfRefusalsIsReturned: the limits hold for those that are queued, not for all that ever came.
func TestMemoryOfRefusalsIsReturned(t *testing.T) {
	sink := &slowSink{kept: make(chan string, 2)}
	r := newRefusals(&Hooks{sink: sink, log: slog.New(slog.DiscardHandler)})
	defer r.close()
	body := make([]byte, triggerRefusalBytes)
	for i := range maxRefusalBytes/triggerRefusalBytes + 1 {
		r.add(refusal{table: &table{}, in: &inbound{path: "/a", body: body}})
		if r.flush(); len(sink.kept) != 1 {
			t.Fatalf("delivery %d is not kept", i+1)
		}
		<-sink.kept
	}
}
