package persist

import (
	"context"
	"fmt"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/memory"
)

// maxDecoded is the memory budget for all decoded events and runs, in bytes.
const maxDecoded = 40 << 20

// TryShare returns a stored event with its memory share if the share is available at once. An
// event whose body is not in memory is not loaded: use AwaitShare.
func (s *Store) TryShare(ev *engine.Event) bool {
	n := ev.MemorySize()
	if n == 0 || ev.Share != nil {
		return true
	}
	if ev.Absent > 0 || !s.Decoded.Try(n) {
		return false
	}
	ev.Share = memory.NewShare(s.Decoded, n)
	return true
}

// AwaitShare returns a stored event with its memory share, which the caller must release. It does
// not hold the body while it waits.
func (s *Store) AwaitShare(ctx context.Context, ev *engine.Event) (*engine.Event, error) {
	if s.TryShare(ev) {
		return ev, nil
	}
	ev = ev.WithoutBody()
	n := ev.Absent
	if err := s.Decoded.Take(ctx, n); err != nil {
		return nil, err
	}
	var loaded *engine.Event
	err := s.Retry(func() (err error) {
		loaded, err = s.Store.Event(ctx, ev.ID)
		return err
	})
	if err != nil {
		s.Decoded.Give(n)
		return nil, fmt.Errorf("loading event %s again: %w", ev.ID, err)
	}
	loaded.Share = memory.NewShare(s.Decoded, n)
	return loaded, nil
}
