package store

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hookloom/hookloom/engine"
)

// localSignals passes signals on within the process, which is all there is of readers while
// one process has the file.
type localSignals struct {
	// any is set while there are subscribers: a commit without them takes no lock.
	any  atomic.Bool
	mu   sync.Mutex
	subs map[*subscription]struct{} // guarded by mu
}

type subscription struct {
	kinds engine.Signal
	// out has room for one signal. Only Publish sends, with the lock held.
	out chan engine.Signal
}

// NewSignals passes signals on within the process.
func NewSignals() engine.Signals {
	return &localSignals{subs: map[*subscription]struct{}{}}
}

// Publish implements engine.Signals.
func (l *localSignals) Publish(s engine.Signal) {
	if !l.any.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for sub := range l.subs {
		kinds := s & sub.kinds
		if kinds == 0 {
			continue
		}
		select {
		case missed := <-sub.out:
			kinds |= missed
		default:
		}
		sub.out <- kinds
	}
}

// Subscribe implements engine.Signals.
func (l *localSignals) Subscribe(ctx context.Context, kinds engine.Signal) <-chan engine.Signal {
	sub := &subscription{kinds: kinds, out: make(chan engine.Signal, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[sub] = struct{}{}
	l.any.Store(true)
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.subs, sub)
		l.any.Store(len(l.subs) > 0)
	})
	return sub.out
}

// signal notes what the running transaction changes, to be published after its commit.
func (t *tx) signal(s engine.Signal) { t.w.signal |= s }

// Publish implements engine.Signals.
func (s *Store) Publish(x engine.Signal) { s.o.Signals.Publish(x) }

// Subscribe implements engine.Signals.
func (s *Store) Subscribe(ctx context.Context, kinds engine.Signal) <-chan engine.Signal {
	return s.o.Signals.Subscribe(ctx, kinds)
}
