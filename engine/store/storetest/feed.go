package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
)

// feed are the promises of LiveHistory.
var feed = []test{
	{"changes are listed in the order of their commits", feedInOrder},
	{"a reader beside many writers misses nothing and sees nothing twice", feedIsWhole},
	{"a position of before the feed has its own error", feedGone},
}

func follow(t testing.TB, s Opened, at engine.Cursor, limit int) ([]engine.FeedChange, engine.Cursor) {
	t.Helper()
	list, err := s.History.Feed(t.Context(), at, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.At <= at {
			t.Errorf("%v after %v", c.At, at)
		}
		at = c.At
	}
	return list, at
}

func feedInOrder(t *testing.T, s Opened) {
	// The first event is the reader's start.
	ignored(t, s, 90)
	begin, err := s.History.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ignored(t, s, 2) // the larger id is decided first
	u := running(t, s, 1)
	put(t, s, u, at, plan.Wait{Kind: plan.WaitSleep, Until: at})
	if err := s.Take(t.Context(), run(1)); err != nil {
		t.Fatal(err)
	}
	done := attempt("a", plan.Succeeded)
	done.Waited = true
	commit(t, s, u, engine.Succeeded, done)
	var got string
	for at := begin; ; {
		list, next := follow(t, s, at, 2)
		if len(list) == 0 {
			break
		}
		for _, c := range list {
			if c.Event != 0 {
				got += fmt.Sprintf(" event %d", int64(c.Event-event(0)))
			} else {
				got += fmt.Sprintf(" run %d %s", int64(c.Run-run(0)), c.Status)
			}
		}
		at = next
	}
	if want := " event 2 event 1 run 1 running run 1 waiting run 1 running run 1 succeeded"; got != want {
		t.Errorf("%s\nwant%s", got, want)
	}
}

// ignored stores an event that matches no workflow.
func ignored(t testing.TB, s Opened, n int64) {
	t.Helper()
	accept(t, s, event(n), delivery("hook", event(n).String()))
	match(t, s, engine.Match{Event: event(n), At: at})
}

func feedIsWhole(t *testing.T, s Opened) {
	ignored(t, s, 0)
	cursor, err := s.History.FeedEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 50
	var wg sync.WaitGroup
	for w := range int64(writers) {
		wg.Go(func() {
			for i := range int64(each) {
				n := 1 + i*writers + w
				d := delivery("hook", event(n).String())
				if _, _, err := s.AcceptDecided(t.Context(), event(n), d, engine.Match{Event: event(n), At: at}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[engine.EventID]int{}
	read := func() {
		var list []engine.FeedChange
		list, cursor = follow(t, s, cursor, 20)
		for _, c := range list {
			seen[c.Event]++
		}
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	for going := true; going; {
		select {
		case <-ended:
			going = false
		default:
		}
		read()
	}
	for before := -1; before != len(seen); {
		before = len(seen)
		read()
	}
	if len(seen) != writers*each {
		t.Errorf("%d of %d events were seen", len(seen), writers*each)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was seen %d times", id, n)
		}
	}
}

func feedGone(t *testing.T, s Opened) {
	ignored(t, s, 1)
	if _, err := s.History.Feed(t.Context(), 0, 10); !errors.Is(err, engine.ErrFeedGone) {
		t.Errorf("from the beginning of time: %v", err)
	}
	list, end, err := s.History.MissedChanges(t.Context(), engine.Cursor(event(0)))
	if err != nil || len(list) != 1 || list[0].Event != event(1) {
		t.Errorf("%+v %v", list, err)
	}
	if newest, err := s.History.FeedEnd(t.Context()); err != nil || newest != end {
		t.Errorf("%v %v %v", newest, end, err)
	}
}
