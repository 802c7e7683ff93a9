package triggers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestAPersonsPollObeysTheLeaseOfThePoll: at another node than the one that polls, nothing is asked for and
// the answer says why; when that node has ended, the other one polls.
func TestAPersonsPollObeysTheLeaseOfThePoll(t *testing.T) {
	s := newShop(t)
	s.says(`[{"id": "1"}]`)
	address := postgrestest.Shared(t).Database(t)
	poll := `request: {url: "` + s.URL + `/orders"}, items: response.body, key: item.id, backfill: true`
	a, b := newCounter(t, address, poll, nil), newCounter(t, address, poll, nil)
	a.poll("1 new of 1")
	b.poll("another node polls this trigger")
	if _, err := b.inlets.Poll(context.Background(), "orders"); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("%v", err)
	}
	if n := len(s.requests); n != 1 {
		t.Errorf("%d requests", n)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	b.poll("0 new of 1")
}
