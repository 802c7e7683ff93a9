package triggers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

// pollAll polls a list n times and gives the keys of the events, and what the polls said.
func pollAll(t *testing.T, poll string, ask triggers.Ask, now func() time.Time, n int) (keys, said string) {
	t.Helper()
	p := load(t, "triggers:\n  goods:\n    poll: {every: 1h, backfill: true, items: response.body.goods, "+poll+"}\n")
	db, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // read only by now
	e := engine.New(engine.Options{Store: db, Secrets: lookup})
	if err := e.Use(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	in := triggers.NewInlets(e, slog.New(slog.DiscardHandler))
	if err := in.Use(p, ask, lookup); err != nil {
		t.Fatal(err)
	}
	in.SetNow(now)
	var all []string
	for range n {
		r, err := in.Poll(context.Background(), "goods")
		if err != nil || r.Warning != "" {
			all = append(all, fmt.Sprint(errors.Join(err, errors.New(r.Warning))))
		}
	}
	events, err := db.History().Events(context.Background(), engine.Query{Limit: 1000, Ascending: true})
	if err != nil {
		t.Fatal(err)
	}
	var came []string
	for _, e := range events {
		came = append(came, e.Key)
	}
	return strings.Join(came, " "), strings.Join(all, "\n")
}

// TestACountedListThatLosesItemsIsReadAgain: what is deleted on a page that was read moves
// an item of the next page to it, where nobody sees it. Such a list is read again and
// compared with all that the reading before had seen. If items vanish during each
// reading, the poll says so, and the next one reads from the same cursor.
func TestACountedListThatLosesItemsIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		// at is what happens before a request, by its number: +n sells n goods, -n deletes good n.
		at         map[int]string
		want, says string
	}{
		{"once", map[int]string{1: "+3", 2: "-1"}, "g1 g3 g2", ""},
		{"at the second reading, which comes further", map[int]string{1: "+3", 2: "-1", 4: "+3", 7: "-2", 11: "-3"}, "g1 g3 g2 g4 g6 g5", ""},
		{"between the readings", map[int]string{1: "+3", 5: "-1", 8: "-2"}, "g1 g2 g3", ""},
		{"during each reading", map[int]string{1: "+10", 9: "-1", 18: "-2", 26: "-3", 33: "-4"},
			"g1 g2 g3 g4 g5 g6 g7 g8 g10 g9", "items vanish from the list during each of 4 readings"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, n := &modelShop{now: time.Now(), filter: "gt", cursor: "seq", pages: "page", limit: 1}, 0
			s.between = func() {
				n++
				number, _ := strconv.Atoi(c.at[n]) // 0 where nothing happens
				for range number {
					s.sells(0)
				}
				for i := range s.goods {
					if s.goods[i].id == -number {
						s.goods = append(s.goods[:i:i], s.goods[i+1:]...)
						break
					}
				}
			}
			keys, said := pollAll(t, `key: item.id, cursor: item.at, overlap: 0s, request: {url: 'http://shop.test/goods', `+
				`query: {since: "${{ cursor }}"}}, pages: {page: {query: n}, max: 50}`, s.ask, func() time.Time { return s.now }, 8)
			if keys != c.want {
				t.Errorf("came %s, want %s", keys, c.want)
			}
			if (said == "") != (c.says == "") || !strings.Contains(said, c.says) {
				t.Errorf("said %q, want %q", said, c.says)
			}
		})
	}
}
