package memory

import (
	"context"
	"fmt"
)

// LargeAnswer is the size in bytes from which reading a response needs room.
const LargeAnswer = 64 << 10

// Room is an attempt's part of the memory for responses. A nil Room is unlimited.
type Room struct {
	answers, parsed      *Budget
	pause                func() (resume func())
	lentRaw, lentDecoded int64
}

type roomKey struct{}

// NewRoom returns the room of an attempt, from two budgets. pause is called before a wait for memory
// and resume after it: they pause the attempt's timeout.
func NewRoom(answers, parsed *Budget, pause func() (resume func())) *Room {
	return &Room{answers: answers, parsed: parsed, pause: pause}
}

// take borrows n bytes of a budget, and waits for them if they are not free.
func (r *Room) take(ctx context.Context, b *Budget, n int64) error {
	if b.Try(n) {
		return nil
	}
	defer r.pause()()
	return b.Take(ctx, n)
}

// WithRoom returns a context with a room for RoomOf.
func WithRoom(ctx context.Context, r *Room) context.Context {
	return context.WithValue(ctx, roomKey{}, r)
}

// HoldsDecoded reports whether a response was decoded and is not recorded yet.
func (r *Room) HoldsDecoded() bool { return r.lentDecoded > 0 }

// RoomOf returns the room of the attempt to which a context belongs.
func RoomOf(ctx context.Context) *Room {
	r, _ := ctx.Value(roomKey{}).(*Room)
	return r
}

// Raw waits until n bytes of a response may be read. It must be called once, before Decoded.
func (r *Room) Raw(ctx context.Context, n int64) error {
	if r == nil || r.lentRaw > 0 || r.lentDecoded > 0 {
		return nil
	}
	if err := r.take(ctx, r.answers, n); err != nil {
		return fmt.Errorf("too many large answers are being read at once: %w", err)
	}
	r.lentRaw = n
	return nil
}

// Decoded waits until a response that takes n bytes may be decoded.
func (r *Room) Decoded(ctx context.Context, n int64) error {
	if r == nil || r.lentDecoded > 0 {
		return nil
	}
	if err := r.take(ctx, r.parsed, n); err != nil {
		return fmt.Errorf("too many large answers are being decoded at once: %w", err)
	}
	r.lentDecoded = n
	return nil
}

// GiveRaw returns the memory of the raw bytes, after decoding.
func (r *Room) GiveRaw() {
	if r.lentRaw > 0 {
		r.answers.Give(r.lentRaw)
		r.lentRaw = 0
	}
}

// GiveDecoded returns the rest, after the result is recorded.
func (r *Room) GiveDecoded() {
	if r.lentDecoded > 0 {
		r.parsed.Give(r.lentDecoded)
		r.lentDecoded = 0
	}
}

// Need returns how much of the budget a run needs for its outputs.
func (b *Budget) Need(memory int64) int64 {
	if memory <= Small {
		return 0
	}
	return b.Whole(memory)
}

// Add borrows n bytes even if they are not free, and returns them if n is negative.
func (b *Budget) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free -= n
	b.serve()
}
