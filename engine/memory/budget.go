package memory

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// This file limits the memory of decoded bodies. JSON grows when it is decoded: a list of empty
// objects takes twenty times its text. An event with a large decoded body therefore holds a share
// of a budget while it is decided and while its runs are active. An event that gets no share waits
// for it without its body, which is in the store.
//
// An event with a share never waits for another one, so every wait ends when attempts do.

// Small is the maximum size in bytes of a body that needs no share when decoded: even the maximum
// number of concurrent runs and decisions with such bodies takes little memory.
const Small = 64 << 10

// DecodedSize estimates the memory of a body in bytes, raw and decoded. It counts the characters
// that produce values in JSON and forms, also inside strings: it may overestimate, and seldom
// underestimates.
func DecodedSize(raw []byte) int64 {
	if len(raw) < Small/50 {
		return int64(len(raw)) * 50 // the maximum
	}
	count := func(what string) int64 { return int64(bytes.Count(raw, []byte(what))) }
	objects, empty := count("{"), count("{}")
	// A non-empty object has room for eight keys (runtime, Swiss maps).
	return int64(len(raw))*2 + (objects-empty)*336 + empty*48 + count("[")*48 + count(",")*48 + count("&")*96
}

// Budget is an amount of memory that can be borrowed. Create it with NewBudget.
type Budget struct {
	mu      sync.Mutex
	size    int64
	free    int64
	waiting []*waiter // first come, first served
}

type waiter struct {
	n     int64
	ready chan struct{}
}

// NewBudget returns a budget of size bytes.
func NewBudget(size int64) *Budget { return &Budget{size: size, free: size} }

// Whole returns the amount to borrow for n bytes: at most the whole budget.
func (b *Budget) Whole(n int64) int64 { return min(n, b.size) }

// Try borrows n bytes if they are free and nobody waits.
func (b *Budget) Try(n int64) bool {
	n = b.Whole(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 || b.free < n {
		return false
	}
	b.free -= n
	return true
}

// Take borrows n bytes; it waits for them until the context ends.
func (b *Budget) Take(ctx context.Context, n int64) error {
	if b.Try(n) {
		return nil
	}
	w := &waiter{n: b.Whole(n), ready: make(chan struct{})}
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
	return nil // it was served at the same time
}

// Give returns n borrowed bytes.
func (b *Budget) Give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += b.Whole(n)
	b.serve()
}

// Lent returns the number of borrowed bytes.
func (b *Budget) Lent() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size - b.free
}

// serve lends to waiting borrowers, in order. The caller holds the lock.
func (b *Budget) serve() {
	for len(b.waiting) > 0 && b.waiting[0].n <= b.free {
		b.free -= b.waiting[0].n
		close(b.waiting[0].ready)
		b.waiting[0] = nil
		b.waiting = b.waiting[1:]
	}
}

// Share is an event's part of the budget; it is returned when its last holder releases it. A small
// event has a nil share.
type Share struct {
	b       *Budget
	n       int64
	holders atomic.Int32
}

// NewShare returns a share of n borrowed bytes with one holder.
func NewShare(b *Budget, n int64) *Share {
	s := &Share{b: b, n: n}
	s.holders.Store(1)
	return s
}

// Retain adds a holder.
func (s *Share) Retain() *Share {
	if s != nil {
		s.holders.Add(1)
	}
	return s
}

// Release releases a share. The last holder returns its bytes.
func (s *Share) Release() {
	if s != nil && s.holders.Add(-1) == 0 {
		s.b.Give(s.n)
	}
}
