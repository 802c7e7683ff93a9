package triggers_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestManualPollRunsAtAnyNode: the node that polls hands over when no poll is under way, and a poll
// that is under way ends before. No item is found twice.
func TestManualPollRunsAtAnyNode(t *testing.T) {
	s := newShop(t)
	address := postgrestest.Shared(t).Database(t)
	poll := `request: {url: "` + s.URL + `/orders"}, items: response.body, key: item.id, backfill: true`
	a, b := newCounter(t, address, poll, nil), newCounter(t, address, poll, nil)
	var now, most atomic.Int32
	asked, answer := make(chan struct{}, 8), make(chan struct{})
	s.mu.Lock()
	s.handle = func(w http.ResponseWriter, _ *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		asked <- struct{}{}
		<-answer
		_, _ = w.Write([]byte(`[{"id": "1"}]`))
	}
	s.mu.Unlock()
	polled := func(c *counter, want string) (ended chan struct{}) {
		ended = make(chan struct{})
		go func() { defer close(ended); c.poll(want) }()
		return ended
	}
	first := polled(a, "1 new of 1")
	<-asked
	second := polled(b, "0 new of 1")
	select {
	case <-asked:
		t.Error("two nodes poll at once")
	case <-time.After(600 * time.Millisecond): // until the order to hand over was read
	}
	close(answer)
	<-first
	<-second
	a.poll("0 new of 1")
	b.poll("0 new of 1")
	if n := most.Load(); n != 1 {
		t.Errorf("%d polls at once", n)
	}
	if leads := a.engine.Leads(context.Background(), "poll orders"); leads {
		t.Error("the lease did not move to the node that polled last")
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	a.poll("0 new of 1")
}
