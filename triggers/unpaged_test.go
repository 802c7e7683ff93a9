package triggers_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

// TestLateItemOfAnUnpagedListIsFound: an item that shows up within the overlap is
// found, also between items that were read before and fill whole answers. Where an answer
// does not reach it, the poll fails.
func TestLateItemOfAnUnpagedListIsFound(t *testing.T) {
	// Times are seconds since the first poll.
	type item struct{ at, visible int }
	shown := func(at ...int) (out []item) {
		for _, a := range at {
			out = append(out, item{a, a})
		}
		return out
	}
	for _, c := range []struct {
		name, filter, cursor string
		items                []item
		polls                []int
		says                 string
	}{
		{"behind a full answer of known items", "gt", "zones", append(shown(-9, -8, -7, -5, -4, -3), item{-6, 50}),
			[]int{0, 1, 2, 3, 4, 60}, ""},
		{"of the same second as one before it", "gt", "zones", append(shown(-9, -8, -6, -5, -4, -3), item{-6, 50}),
			[]int{0, 1, 2, 3, 4, 60}, ""},
		{"with a filter that includes the moment", "gte", "seconds", append(shown(-9, -8, -7, -5, -4, -3), item{-6, 50}),
			[]int{0, 1, 2, 3, 4, 60}, ""},
		{"in the last of several answers", "gt", "seconds", append(shown(-20, -19, -18, -17, -16, -15, -14, -13, -11, -10, -9), item{-12, 50}),
			[]int{0, 1, 2, 3, 4, 5, 6, 7, 60}, ""},
		{"passed by a reading that takes almost as long as the overlap", "gt", "seconds",
			append(shown(-90, -80, -70, -50, -40, 90, 100, 110), item{-60, 10}), []int{0, 1, 118, 119, 119, 119}, ""},
		{"of a second with more items than an answer holds", "gt", "seconds", append(shown(-9, -8, -6, -6, -4, -3, -2),
			item{-6, 50}, item{-6, 50}), []int{0, 1, 2, 3, 4, 5, 60}, "write pages:"},
		{"behind an answer that ends in the far future", "gt", "zones", append(shown(-9, -8, 0), item{2e9, 0}, item{2e9, 0}, item{2e9, 0}),
			[]int{0, 1, 2, 3, 4}, "write pages:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now().Truncate(time.Second)
			second := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
			s := &modelShop{filter: c.filter, cursor: c.cursor, pages: "none", limit: 3, between: func() {}}
			for i, it := range c.items {
				s.goods = append(s.goods, good{id: i, seq: i, at: second(it.at), visible: second(it.visible)})
			}
			p := load(t, "triggers:\n  goods:\n    poll: {every: 1h, backfill: true, key: item.id, cursor: item.at, items: "+
				"response.body.goods, overlap: 2m, request: {url: 'http://shop.test/goods', query: {since: \"${{ cursor }}\", limit: 3}}}\n")
			db, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() }) // read only by now
			e := machine.New(machine.Options{Store: db, Secrets: lookup})
			if err := e.Use(context.Background(), p); err != nil {
				t.Fatal(err)
			}
			in := triggers.NewInlets(e, slog.New(slog.DiscardHandler))
			if err := in.Use(p, s.ask, lookup); err != nil {
				t.Fatal(err)
			}
			in.SetNow(func() time.Time { return s.now })
			said := ""
			for _, at := range append(c.polls, 3600, 3601, 3602, 3603, 3604, 3605, 3606, 3607, 3608, 3609, 3610) {
				s.now = second(at)
				if _, err := in.Poll(context.Background(), "goods"); err != nil {
					said = err.Error()
				}
			}
			if (said == "") != (c.says == "") || !strings.Contains(said, c.says) {
				t.Errorf("said %q, want %q", said, c.says)
			}
			events, err := db.History().Events(context.Background(), engine.Query{Limit: 1000})
			if err != nil || c.says == "" && len(events) != len(c.items) {
				came := []string{}
				for _, e := range events {
					came = append(came, e.Key)
				}
				t.Errorf("%d of %d items came: %v %v", len(events), len(c.items), came, err)
			}
		})
	}
}
