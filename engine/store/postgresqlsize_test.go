package store_test

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestAPostgreSQLHistoryIsKeptWithinItsSize: the oldest events are removed, and no more than are too much, also
// when the files of the tables have not become smaller since.
func TestAPostgreSQLHistoryIsKeptWithinItsSize(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s, err := store.Open(t.Context(), address, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const number, kilobytes = 4000, 3
	now := time.Now()
	for first := 0; first < number; first += 200 {
		var ids []engine.EventID
		var ds []*engine.Delivery
		for i := first; i < first+200; i++ {
			at := now.Add(time.Duration(i-number) * time.Minute)
			ids = append(ids, engine.EventID(engine.FirstID(at)))
			body := make([]byte, kilobytes<<10)
			_, _ = rand.Read(body) // it cannot fail
			ds = append(ds, &engine.Delivery{Trigger: "t", Inlet: "webhook", Key: "k" + strconv.Itoa(i), Type: "x", Time: at, ReceivedAt: at,
				Raw: body, Dedupe: time.Hour, Unsubscribed: true})
		}
		if _, err := s.AcceptAll(t.Context(), ids, ds); err != nil {
			t.Fatal(err)
		}
	}
	// 4000 events of 3 KB: half of them, with their rows' other parts, take about 7 MB.
	limit := int64(number / 2 * (kilobytes<<10 + 600))
	left := func() (n, oldest int) {
		n, _ = strconv.Atoi(postgrestest.Value(t, address, `SELECT count(*) FROM hookloom.events`))
		oldest, _ = strconv.Atoi(postgrestest.Value(t, address, `SELECT substr(key, 2) FROM hookloom.events ORDER BY id LIMIT 1`))
		return n, oldest
	}
	for _, round := range []string{"the first time", "again"} {
		if _, err := s.Prune(t.Context(), engine.PruneOrder{Now: now, MaxSize: limit, DefaultDedupe: time.Hour}); err != nil {
			t.Fatal(err)
		}
		n, oldest := left()
		if n < number*2/5 || n > number*3/5 {
			t.Fatalf("%s: %d of %d events are left, not about half", round, n, number)
		}
		if oldest != number-n {
			t.Fatalf("%s: %d events are left, and the oldest is number %d", round, n, oldest)
		}
		t.Log(fmt.Sprint(round, ": ", n))
	}
	before, _ := left()
	if _, err := s.Prune(t.Context(), engine.PruneOrder{Now: now, MaxSize: 1 << 40, DefaultDedupe: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if n, _ := left(); n != before {
		t.Errorf("%d events were removed from a history within its size", before-n)
	}
}
