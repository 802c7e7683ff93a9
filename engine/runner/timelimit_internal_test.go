package runner

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine/memory"
)

// TestAWaitForMemoryDoesNotCountAsTheReceiversTime: an answer that has come is not given up because
// other answers take the memory; the time goes on after the wait, and ends with that of the run.
func TestAWaitForMemoryDoesNotCountAsTheReceiversTime(t *testing.T) {
	for _, c := range []struct {
		name           string
		end            time.Duration // of the run or the group
		before, waited time.Duration
		left           time.Duration // after the wait, until the attempt is ended
		own            bool
	}{
		{"no wait", 0, 0, 0, 30 * time.Second, true},
		{"a wait longer than the timeout", 0, 10 * time.Second, 2 * time.Minute, 20 * time.Second, true},
		{"the run's time is up after the wait", 45 * time.Second, 10 * time.Second, 30 * time.Second, 5 * time.Second, false},
		{"the run's time was up during the wait", 20 * time.Second, 10 * time.Second, 30 * time.Second, time.Millisecond, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := limit{step: 30 * time.Second}
			if c.end > 0 {
				l.end = time.Now().Add(c.end)
			}
			attempt, cancel := newAttemptContext(t.Context(), l)
			defer cancel()
			answers := memory.NewBudget(100)
			room := memory.NewRoom(answers, memory.NewBudget(100), attempt.pause)
			time.Sleep(c.before)
			if c.waited > 0 {
				if !answers.Try(100) {
					t.Fatal("the budget is free")
				}
				time.AfterFunc(c.waited, func() { answers.Give(100) })
			}
			if err := room.Raw(attempt, 50); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			began := time.Now()
			child, stop := context.WithCancel(attempt)
			defer stop()
			<-child.Done()
			if got := time.Since(began); got != c.left || !errors.Is(attempt.Err(), context.DeadlineExceeded) ||
				!errors.Is(context.Cause(child), context.DeadlineExceeded) || attempt.ownTimeout() != c.own {
				t.Errorf("%s: ended after %s, want %s: %v, own timeout %v", c.name, got, c.left, attempt.Err(), attempt.ownTimeout())
			}
		})
	}
}
