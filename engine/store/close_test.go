package store_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store"
)

// TestCloseWaitsForTheOpenCommit: the caller of a write learns whether it is stored.
func TestCloseWaitsForTheOpenCommit(t *testing.T) {
	committing, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{Fault: func(int) error {
		once.Do(func() { close(committing); <-proceed })
		return nil
	}})
	stored, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.Accept(ctx, 1, delivery("shop", "k"))
		stored <- err
	}()
	<-committing
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		t.Errorf("closed before the commit: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(proceed)
	if err := <-stored; err != nil {
		t.Errorf("the write: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("the close: %v", err)
	}
}
