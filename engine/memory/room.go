package memory

import (
	"context"
	"fmt"
)

// LargeAnswer is the size in bytes from which an answer needs room to be read.
const LargeAnswer = 64 << 10

// Room is what an attempt has of the memory for answers. A nil Room is unbounded.
type Room struct {
	answers, parsed      *Budget
	lentRaw, lentDecoded int64
}

type roomKey struct{}

// NewRoom makes the room of an attempt, out of two budgets.
func NewRoom(answers, parsed *Budget) *Room { return &Room{answers: answers, parsed: parsed} }

// WithRoom returns a context by which RoomOf finds a room.
func WithRoom(ctx context.Context, r *Room) context.Context {
	return context.WithValue(ctx, roomKey{}, r)
}

// HoldsDecoded reports whether an answer was decoded that is not recorded yet.
func (r *Room) HoldsDecoded() bool { return r.lentDecoded > 0 }

// RoomOf is the room of the attempt that a context belongs to.
func RoomOf(ctx context.Context) *Room {
	r, _ := ctx.Value(roomKey{}).(*Room)
	return r
}

// Raw waits until n bytes of an answer may be read. It is called once, before Decoded.
func (r *Room) Raw(ctx context.Context, n int64) error {
	if r == nil || r.lentRaw > 0 || r.lentDecoded > 0 {
		return nil
	}
	if err := r.answers.Take(ctx, n); err != nil {
		return fmt.Errorf("too many large answers are being read at once: %w", err)
	}
	r.lentRaw = n
	return nil
}

// Decoded waits until an answer that takes n bytes may be decoded.
func (r *Room) Decoded(ctx context.Context, n int64) error {
	if r == nil || r.lentDecoded > 0 {
		return nil
	}
	if err := r.parsed.Take(ctx, n); err != nil {
		return fmt.Errorf("too many large answers are being decoded at once: %w", err)
	}
	r.lentDecoded = n
	return nil
}

// GiveRaw returns the room for bytes back: they are decoded.
func (r *Room) GiveRaw() {
	if r.lentRaw > 0 {
		r.answers.Give(r.lentRaw)
		r.lentRaw = 0
	}
}

// GiveDecoded returns the rest back: what was decoded is recorded.
func (r *Room) GiveDecoded() {
	if r.lentDecoded > 0 {
		r.parsed.Give(r.lentDecoded)
		r.lentDecoded = 0
	}
}

// Need is what a run needs of the budget for what its outputs take.
func (b *Budget) Need(memory int64) int64 {
	if memory <= Small {
		return 0
	}
	return b.Whole(memory)
}

// Add takes n bytes also where they are not free, and gives them back when n is negative.
func (b *Budget) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free -= n
	b.serve()
}
