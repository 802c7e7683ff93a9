package engine

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hookloom/hookloom/workflows/value"
)

// This file bounds the memory of decoded bodies. JSON grows when it is decoded: a list
// of empty objects takes twenty times its text. So each event whose decoded body is
// large has a share of a budget while it is decided and while runs of it are at work.
// Who finds no share waits for it without the body, which is in the store.
//
// Nobody waits for a share who has one, so that the wait ends when attempts do.

const (
	// smallDecoded is the size up to which a decoded body needs no share: as many of
	// them as there can be runs and decisions at once are small too.
	smallDecoded = 64 << 10
	// maxDecoded is the budget of all events and runs.
	maxDecoded = 40 << 20
)

// DecodedSize estimates how many bytes a body takes in memory, as it is and decoded. It
// counts what makes values in JSON and forms, also inside of texts: it may give too
// much, and seldom gives too little.
func DecodedSize(raw []byte) int64 {
	if len(raw) < smallDecoded/50 {
		return int64(len(raw)) * 50 // the most there can be
	}
	count := func(what string) int64 { return int64(bytes.Count(raw, []byte(what))) }
	objects, empty := count("{"), count("{}")
	// An object that holds something has room for eight keys (runtime, Swiss maps).
	return int64(len(raw))*2 + (objects-empty)*336 + empty*48 + count("[")*48 + count(",")*48 + count("&")*96
}

// Budget is an amount of memory that is lent. Make it with NewBudget.
type Budget struct {
	mu      sync.Mutex
	size    int64
	free    int64
	waiting []*borrower // the one that came first is served first
}

type borrower struct {
	n     int64
	ready chan struct{}
}

// NewBudget makes a budget of so many bytes.
func NewBudget(size int64) *Budget { return &Budget{size: size, free: size} }

// whole is what is taken for n bytes: who needs more than there is has it all.
func (b *Budget) whole(n int64) int64 { return min(n, b.size) }

// Try takes n bytes when they are free and nobody waits.
func (b *Budget) Try(n int64) bool {
	n = b.whole(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 || b.free < n {
		return false
	}
	b.free -= n
	return true
}

// Take waits for n bytes until the context ends.
func (b *Budget) Take(ctx context.Context, n int64) error {
	if b.Try(n) {
		return nil
	}
	w := &borrower{n: b.whole(n), ready: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	b.serve()
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, x := range b.waiting {
		if x == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.serve()
			return fmt.Errorf("waiting for memory: %w", ctx.Err())
		}
	}
	return nil // it was served in this moment
}

// Give gives n bytes back that were taken.
func (b *Budget) Give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += b.whole(n)
	b.serve()
}

// serve lends to those who wait, in order. It is called with the lock held.
func (b *Budget) serve() {
	for len(b.waiting) > 0 && b.waiting[0].n <= b.free {
		b.free -= b.waiting[0].n
		close(b.waiting[0].ready)
		b.waiting[0] = nil
		b.waiting = b.waiting[1:]
	}
}

// share is what an event has of the budget; it goes back when the last of those who
// hold it lets go. A nil share is that of a small event.
type share struct {
	b       *Budget
	n       int64
	holders atomic.Int32
}

func newShare(b *Budget, n int64) *share {
	s := &share{b: b, n: n}
	s.holders.Store(1)
	return s
}

// hold adds a holder.
func (s *share) hold() *share {
	if s != nil {
		s.holders.Add(1)
	}
	return s
}

func (s *share) letGo() {
	if s != nil && s.holders.Add(-1) == 0 {
		s.b.Give(s.n)
	}
}

// size is what an event takes in memory; 0 when it needs no share.
func (e *Event) size() int64 {
	if e.absent > 0 {
		return e.absent
	}
	n := DecodedSize(e.Raw)
	if e.Inputs != nil {
		_, _, memory := value.Size(e.Inputs)
		n += int64(memory)
	}
	if n > smallDecoded {
		return n
	}
	return 0
}

// withoutBody is what an event is while it waits for a share: all that is needed to
// load it again. A small event stays as it is.
func (e *Event) withoutBody() *Event {
	n := e.size()
	if n == 0 || e.share != nil {
		return e
	}
	return &Event{ID: e.ID, Delivery: Delivery{Trigger: e.Trigger, Inlet: e.Inlet}, absent: n}
}

// tryShare gives a stored event with a share, if it can have one at once. An event
// that is absent is not loaded: it needs awaitShare.
func (e *Engine) tryShare(ev *Event) bool {
	n := ev.size()
	if n == 0 || ev.share != nil {
		return true
	}
	if ev.absent > 0 || !e.decoded.Try(n) {
		return false
	}
	ev.share = newShare(e.decoded, n)
	return true
}

// awaitShare gives a stored event with its share, which the caller lets go. While it
// waits it does not hold the body.
func (e *Engine) awaitShare(ctx context.Context, ev *Event) (*Event, error) {
	if e.tryShare(ev) {
		return ev, nil
	}
	ev = ev.withoutBody()
	n := ev.absent
	if err := e.decoded.Take(ctx, n); err != nil {
		return nil, err
	}
	loaded, err := e.o.Store.Event(ctx, ev.ID)
	if err != nil {
		e.decoded.Give(n)
		return nil, fmt.Errorf("loading event %s again: %w", ev.ID, err)
	}
	loaded.share = newShare(e.decoded, n)
	return loaded, nil
}
