package store

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/hookloom/hookloom/engine"
)

// localSignals passes signals on within the process: while one process has the file, there are no
// other readers.
type localSignals struct {
	// any is set while there are subscribers: commits take no lock if there are none.
	any  atomic.Bool
	mu   sync.Mutex
	subs map[*subscription]struct{} // guarded by mu
}

type subscription struct {
	kinds engine.Signal
	// out has room for one signal. Only Publish sends, holding the lock.
	out chan engine.Signal
}

// NewSignals returns Signals that reach only this process.
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

// signal records the changes of the running transaction, to be published after its commit.
func (t *tx) signal(s engine.Signal) { t.w.signal |= s }

// Publish implements engine.Signals.
func (s *Store) Publish(x engine.Signal) { s.o.Signals.Publish(x) }

// Subscribe implements engine.Signals.
func (s *Store) Subscribe(ctx context.Context, kinds engine.Signal) <-chan engine.Signal {
	return s.o.Signals.Subscribe(ctx, kinds)
}
