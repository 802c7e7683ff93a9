package memory

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// This file bounds the memory of decoded bodies. JSON grows when it is decoded: a list
// of empty objects takes twenty times its text. So each event whose decoded body is
// large has a share of a budget while it is decided and while runs of it are at work.
// Who finds no share waits for it without the body, which is in the store.
//
// Nobody waits for a share who has one, so that the wait ends when attempts do.

// Small is the size in bytes up to which a decoded body needs no share: as many of them as
// there can be runs and decisions at once are small too.
const Small = 64 << 10

// DecodedSize estimates how many bytes a body takes in memory, as it is and decoded. It
// counts what makes values in JSON and forms, also inside of texts: it may give too
// much, and seldom gives too little.
func DecodedSize(raw []byte) int64 {
	if len(raw) < Small/50 {
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

// Whole is what is taken for n bytes: who needs more than there is has it all.
func (b *Budget) Whole(n int64) int64 { return min(n, b.size) }

// Try takes n bytes when they are free and nobody waits.
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

// Take waits for n bytes until the context ends.
func (b *Budget) Take(ctx context.Context, n int64) error {
	if b.Try(n) {
		return nil
	}
	w := &borrower{n: b.Whole(n), ready: make(chan struct{})}
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

// Give returns n bytes back that were taken.
func (b *Budget) Give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += b.Whole(n)
	b.serve()
}

// Lent is how many bytes are lent.
func (b *Budget) Lent() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size - b.free
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

// Share is what an event has of the budget; it goes back when the last of those who
// hold it lets go. A nil share is that of a small event.
type Share struct {
	b       *Budget
	n       int64
	holders atomic.Int32
}

// NewShare makes a share of n bytes that were taken, with one holder.
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

// Release lets go of a share. The last who does gives its bytes back.
func (s *Share) Release() {
	if s != nil && s.holders.Add(-1) == 0 {
		s.b.Give(s.n)
	}
}
