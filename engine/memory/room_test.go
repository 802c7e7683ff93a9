package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/hookloom/hookloom/engine/memory"
)

// lent fails the test unless exactly n bytes of a budget are borrowed.
func lent(t *testing.T, what string, b *memory.Budget, n int64) {
	t.Helper()
	if got := b.Lent(); got != n {
		t.Errorf("%s: %d bytes are lent, expected %d", what, got, n)
	}
}

// TestShareIsReturnedByItsLastHolder checks that it is returned once.
func TestShareIsReturnedByItsLastHolder(t *testing.T) {
	t.Parallel()
	b := memory.NewBudget(100)
	if !b.Try(60) {
		t.Fatal("it is free")
	}
	s := memory.NewShare(b, 60)
	if s.Retain() != s {
		t.Error("another share")
	}
	s.Release()
	lent(t, "one of two has let go", b, 60)
	s.Release()
	lent(t, "both have let go", b, 0)
	var none *memory.Share
	if none.Retain() != nil {
		t.Error("a small event has a share")
	}
	none.Release()
}

// TestBudgetIsLentToTheLastByte checks that no more is lent.
func TestBudgetIsLentToTheLastByte(t *testing.T) {
	t.Parallel()
	b := memory.NewBudget(100)
	if !b.Try(40) || !b.Try(60) || b.Try(1) {
		t.Error("not lent to the last byte")
	}
	b.Give(100)
	if !b.Try(1000) {
		t.Error("who needs more than there is does not get it all")
	}
	lent(t, "more than there is", b, 100)
	b.Give(1000)
	lent(t, "and given back", b, 0)
}

// TestEarlierWaiterIsServedFirst checks it for a later one that needs less.
func TestEarlierWaiterIsServedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewBudget(100)
		if !b.Try(50) {
			t.Fatal("it is free")
		}
		got := make(chan error, 1)
		go func() { got <- b.Take(t.Context(), 60) }()
		synctest.Wait()
		if b.Try(1) {
			t.Error("a later one was served first")
		}
		b.Give(50)
		if err := <-got; err != nil {
			t.Error(err)
		}
		lent(t, "served", b, 60)
	})
}

// TestForcedReservationReducesTheBudget checks it until the memory is returned.
func TestForcedReservationReducesTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewBudget(100)
		b.Add(130)
		lent(t, "more than there is", b, 130)
		got := make(chan error, 1)
		go func() { got <- b.Take(t.Context(), 50) }()
		b.Add(-70)
		synctest.Wait()
		if len(got) > 0 {
			t.Error("40 free bytes are lent as 50")
		}
		b.Add(-10)
		synctest.Wait()
		if err := <-got; err != nil {
			t.Error(err)
		}
		lent(t, "served", b, 100)
	})
}

// TestSmallOutputsNeedNoMemory also checks that large ones need at most the whole budget.
func TestSmallOutputsNeedNoMemory(t *testing.T) {
	t.Parallel()
	b := memory.NewBudget(1 << 20)
	for n, want := range map[int64]int64{0: 0, 64 << 10: 0, 64<<10 + 1: 64<<10 + 1, 2 << 20: 1 << 20} {
		if got := b.Need(n); got != want {
			t.Errorf("%d bytes need %d, expected %d", n, got, want)
		}
	}
}

// running is the time of an attempt that goes on during waits.
func running() (resume func()) { return func() {} }

// TestResponseReservesMemoryOnceAndReturnsIt checks that raw bytes are held until they are decoded,
// and decoded data until it is recorded.
func TestResponseReservesMemoryOnceAndReturnsIt(t *testing.T) {
	t.Parallel()
	answers, parsed := memory.NewBudget(100), memory.NewBudget(100)
	r := memory.NewRoom(answers, parsed, running)
	ctx := memory.WithRoom(t.Context(), r)
	if memory.RoomOf(ctx) != r || memory.RoomOf(t.Context()) != nil {
		t.Error("the context has another room")
	}
	r.GiveRaw()
	r.GiveDecoded()
	for range 2 {
		if err := r.Raw(ctx, 1); err != nil {
			t.Fatal(err)
		}
		lent(t, "answers", answers, 1)
	}
	if r.HoldsDecoded() {
		t.Error("nothing is decoded")
	}
	for range 2 {
		if err := r.Decoded(ctx, 1); err != nil {
			t.Fatal(err)
		}
		lent(t, "decoded", parsed, 1)
	}
	for range 2 {
		r.GiveRaw()
		lent(t, "answers, given back", answers, 0)
	}
	if err := r.Raw(ctx, 1); err != nil || answers.Lent() != 0 || !r.HoldsDecoded() {
		t.Errorf("an answer that is decoded takes room again: %v", err)
	}
	for range 2 {
		r.GiveDecoded()
		lent(t, "decoded, given back", parsed, 0)
	}
	if r.HoldsDecoded() {
		t.Error("what is on record is held")
	}
}

// TestResponseWithoutABudgetIsUnbounded checks a context without a room.
func TestResponseWithoutABudgetIsUnbounded(t *testing.T) {
	t.Parallel()
	r := memory.RoomOf(t.Context())
	if err := errors.Join(r.Raw(t.Context(), 1<<40), r.Decoded(t.Context(), 1<<40)); err != nil {
		t.Error(err)
	}
}

// TestResponseWithoutMemoryInTimeFails also checks that it holds nothing.
func TestResponseWithoutMemoryInTimeFails(t *testing.T) {
	t.Parallel()
	answers, parsed := memory.NewBudget(10), memory.NewBudget(10)
	if !answers.Try(10) || !parsed.Try(10) {
		t.Fatal("they are free")
	}
	r := memory.NewRoom(answers, parsed, running)
	ended, end := context.WithCancel(t.Context())
	end()
	if err := r.Raw(ended, 5); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := r.Decoded(ended, 5); !errors.Is(err, context.Canceled) || r.HoldsDecoded() {
		t.Errorf("%v", err)
	}
	r.GiveRaw()
	r.GiveDecoded()
	lent(t, "answers", answers, 10)
	lent(t, "decoded", parsed, 10)
}

func TestAShortBodyIsEstimatedAtTheMostItCanTake(t *testing.T) {
	t.Parallel()
	short := make([]byte, 1310) // below 64 KiB / 50
	if got := memory.DecodedSize(short[:1309]); got != 1309*50 || got > memory.Small {
		t.Errorf("%d", got)
	}
	if got := memory.DecodedSize(short); got != 2*1310 {
		t.Errorf("%d bytes for a text without values", got)
	}
}
