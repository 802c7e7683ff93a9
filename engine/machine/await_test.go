package machine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
)

// TestWaitersAreNotifiedOfTheEndOfARun, however many wait, before it ends and after,
// and also when no run begins or the time is up.
func TestWaitersAreNotifiedOfTheEndOfARun(t *testing.T) {
	w := newWorld(t, map[string]string{
		"a": "on: hook\nwhen: event.data.go == true\nsteps:\n  - {sleep: 5ms}\n  - {uses: test/act}\noutput: ${{ event.key }}",
		"b": "on: hook\nwhen: event.data.go == true\nsteps: [{sleep: 30ms}]\noutput: not this one"})
	e, s, stop := w.start(nil)
	ctx := context.Background()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			key := fmt.Sprint("k", i%20)
			r, err := e.Accept(ctx, delivery(key, `{"go": true}`))
			if err != nil {
				t.Error(err)
				return
			}
			ended, err := e.Await(ctx, r.Event)
			if err != nil || ended.Run == nil || ended.Run.Status != engine.Succeeded || ended.Names["output"] != key {
				t.Errorf("%s: %+v, %v", key, ended, err)
			}
		}()
	}
	wg.Wait()
	none, err := e.Accept(ctx, delivery("no", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	if ended, err := e.Await(ctx, none.Event); err != nil || ended.Run != nil {
		t.Errorf("no run: %+v, %v", ended, err)
	}
	hold := make(chan struct{})
	w.target.do = func(engine.Input, int) (any, error) { <-hold; return nil, nil }
	slow, err := e.Accept(ctx, delivery("slow", `{"go": true}`))
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if ended, err := e.Await(short, slow.Event); !errors.Is(err, context.DeadlineExceeded) || ended.Run == nil {
		t.Errorf("too slow: %+v, %v", ended, err)
	}
	close(hold)
	settled(t, s, 42)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
