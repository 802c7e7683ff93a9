package triggers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

// pollAll polls a list n times and gives the keys of the events, and what the polls said.
func pollAll(t *testing.T, poll string, ask triggers.Ask, now func() time.Time, n int) (keys, said string) {
	t.Helper()
	p := load(t, "triggers:\n  goods:\n    poll: {every: 1h, backfill: true, items: response.body.goods, "+poll+"}\n")
	db, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // read only by now
	e := machine.New(machine.Options{Store: db, Secrets: lookup})
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

// TestNumberedPagesThatLoseItemsAreReadAgain: what is deleted on a page that was read moves
// an item of the next page to it, where nobody sees it. Such a list is read again and
// compared with all that the reading before had seen. If items vanish during each
// reading, the poll says so, and the next one reads from the same cursor.
func TestNumberedPagesThatLoseItemsAreReadAgain(t *testing.T) {
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
			"g1 g2 g3 g4 g5 g6 g7 g8 g10 g9", "items disappeared from the list during each of 4 reads"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, n := &modelShop{now: time.Now(), filter: "gt", cursor: "seq", pages: "page", limit: 1}, 0
			s.between = func() {
				n++
				number, _ := strconv.Atoi(c.at[n]) // 0 where nothing happens
				for range number {
					s.addItem(0)
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

// TestNumberedPageLinksLoseNoItem: a list whose links to the next page contain its number moves in the same
// way, and one whose links contain the last item does not.
func TestNumberedPageLinksLoseNoItem(t *testing.T) {
	s, n := &modelShop{now: time.Now(), filter: "gt", cursor: "seq", pages: "next", limit: 1}, 0
	for range 3 {
		s.addItem(0)
	}
	s.between = func() {
		if n++; n == 2 {
			s.goods = s.goods[1:]
		}
	}
	keys, said := pollAll(t, `key: item.id, cursor: item.at, overlap: 0s, request: {url: 'http://shop.test/goods', `+
		`query: {since: "${{ cursor }}"}}, pages: {next: response.body.next, max: 50}`, s.ask, func() time.Time { return s.now }, 4)
	if keys != "g1 g3 g2" || said != "" {
		t.Errorf("came %s, said %q", keys, said)
	}
}

// TestDeletedItemWithAFutureDateLosesNoOthers: it moves no cursor, and where it is deleted
// from the first page of a counted list, the list is read again all the same.
func TestDeletedItemWithAFutureDateLosesNoOthers(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	s, n := &modelShop{now: now, newest: true, filter: "gte", cursor: "seconds", pages: "page", limit: 1}, 0
	for i, at := range []time.Time{now.Add(-4 * time.Second), now.Add(-4 * time.Second), now.Add(-2 * time.Second),
		time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)} {
		s.goods = append(s.goods, good{id: i + 1, seq: i + 1, at: at, visible: now})
	}
	s.between = func() {
		switch n++; n {
		case 4: // of the first reading
			s.goods = s.goods[:3]
		case 7: // of the second
			s.goods = s.goods[:2]
		}
	}
	keys, said := pollAll(t, `key: item.id, cursor: item.at, overlap: 0s, request: {url: 'http://shop.test/goods', `+
		`query: {since: "${{ cursor }}"}}, pages: {page: {query: n}, size: {query: size, value: 1}, max: 3}`, s.ask,
		func() time.Time { return s.now }, 12)
	if keys != "g4 g3 g2 g1" || said != "" {
		t.Errorf("came %s, said %s", keys, said)
	}
}

// oddShop answers as a service that is odd: it gets the number of the request and the page
// that is asked for, and gives the items and what else the answer has.
type oddShop func(n int, page string) (items []any, rest map[string]any)

// ask answers a request for a page.
func (s oddShop) ask(n *int) triggers.Ask {
	return func(_ context.Context, with map[string]any) (map[string]any, error) {
		*n++
		u, err := url.Parse(fmt.Sprint(with["url"]))
		if err != nil {
			return nil, err
		}
		page := u.Query().Get("p")
		if q, ok := with["query"].(map[string]any); ok && q["p"] != nil {
			page = fmt.Sprint(q["p"])
		}
		items, rest := s(*n, page)
		body := map[string]any{"goods": items}
		maps.Copy(body, rest)
		return map[string]any{"status": 200, "headers": map[string]any{}, "body": body, "url": u.String()}, nil
	}
}

// items are goods as "id" or "id@cursor".
func items(of string) []any {
	out := []any{}
	for _, s := range strings.Fields(of) {
		id, at, found := strings.Cut(s, "@")
		item := map[string]any{"id": id}
		if n, err := strconv.Atoi(at); err == nil && found {
			item["at"] = n
		}
		out = append(out, item)
	}
	return out
}

// TestOddListsGiveEachItemOnceOrAreReported: an item of an odd list is one event, or the
// poll says what is wrong with the list.
func TestOddListsGiveEachItemOnceOrAreReported(t *testing.T) {
	// pages are answers by page, each with the next page after a bar.
	pages := func(of map[string]string) oddShop {
		return func(_ int, page string) ([]any, map[string]any) {
			list, next, more := strings.Cut(of[page], "|")
			if !more {
				return items(list), map[string]any{"next": nil}
			}
			return items(list), map[string]any{"next": "/goods?p=" + next, "token": next}
		}
	}
	const next, token, page = "pages: {next: response.body.next", "pages: {token: response.body.token, query: p", "pages: {page: {query: p}"
	for _, c := range []struct {
		name, pages string
		shop        oddShop
		want, says  string
	}{
		{"equal times across pages", next, pages(map[string]string{"": "a@5 b@5|2", "2": "c@5 d@5|3", "3": "e@5"}), "a b c d e", ""},
		{"an item without a cursor", next, pages(map[string]string{"": "a@5 b|2", "2": "c d@6"}), "a b c d", ""},
		{"descending", next, pages(map[string]string{"": "f@9 e@8|2", "2": "d@7 c@6|3", "3": "b@5 a@4"}), "f e d c b a", ""},
		{"in no order", token, pages(map[string]string{"": "f@4 e@9|2", "2": "d@7 c@2|3", "3": "b@8 a@1"}), "f e d c b a", ""},
		{"the same item on two pages", next, pages(map[string]string{"": "a@1 b@2|2", "2": "b@2 c@3|3", "3": "c@3 a@4"}), "a b c", ""},
		{"a short page in the middle", token, pages(map[string]string{"": "a@1 b@2|2", "2": "c@3|3", "3": "d@4 e@5"}), "a b c d e", ""},
		{"an empty page in the middle", next, pages(map[string]string{"": "a@1|2", "2": "|3", "3": "b@2"}), "a b", ""},
		{"a link back to the first pages", next, pages(map[string]string{"": "a@1|2", "2": "b@2|3", "3": "c@3|2"}), "a b", "read already"},
		{"a circle that begins later", next, pages(map[string]string{"": "a@1|2", "2": "b@2|3", "3": "c@3|4", "4": "d@4|5", "5": "e@5|6",
			"6": "f@6|4"}), "a b c d e f", "read already"},
		{"a circle of tokens that begins later", token, pages(map[string]string{"": "a@1|2", "2": "b@2|3", "3": "c@3|4", "4": "d@4|3"}),
			"a b c", "read already"},
		{"tokens that are not read", token, func(n int, _ string) ([]any, map[string]any) {
			return items("a@1 b@2"), map[string]any{"token": fmt.Sprint("t", n)}
		}, "a b", "9 pages in a row have the same items: the service does not read p"},
		{"links that are not read", next, func(n int, _ string) ([]any, map[string]any) {
			return items("a@1 b@2"), map[string]any{"next": fmt.Sprint("/goods?p=t", n)}
		}, "a b", "9 pages in a row have the same items"},
		{"numbers that are not read", page, func(int, string) ([]any, map[string]any) { return items("a@1 b@2"), nil }, "a b", "does not read p"},
		{"empty pages without an end", token, func(n int, _ string) ([]any, map[string]any) {
			return items(""), map[string]any{"token": fmt.Sprint("t", n)}
		}, "", "pages in a row have no items"},
		{"a number that is text, and one that is not", next, pages(map[string]string{"": "a@9 b@10|2", "2": "c@100"}), "a b c", ""},
		{"no list at all on a later page", next, func(n int, page string) ([]any, map[string]any) {
			if page == "" {
				return items("a@1"), map[string]any{"next": "/goods?p=2"}
			}
			return nil, map[string]any{"goods": "gone"}
		}, "a", "items is not a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, now := 0, time.Now()
			keys, said := pollAll(t, "key: item.id, cursor: item.at, request: {url: 'http://shop.test/goods'}, "+c.pages+", max: 1}", c.shop.ask(&n),
				func() time.Time { return now }, 130)
			if keys != c.want {
				t.Errorf("came %q, want %q", keys, c.want)
			}
			if (said == "") != (c.says == "") || !strings.Contains(said, c.says) {
				t.Errorf("said %.300q, want %q", said, c.says)
			}
		})
	}
}

// TestLinkIsStoredWithoutItsCredential: a service may repeat the credential of a request in the
// links to its next pages. What is stored of a list that is being read names the
// secret, or is a digest.
func TestLinkIsStoredWithoutItsCredential(t *testing.T) {
	n, asked := 0, ""
	const secret = "a secret & 24 letters long"
	find := func(name string) (string, bool) { return secret, name == "KEY" }
	ask := func(_ context.Context, with map[string]any) (map[string]any, error) {
		n++
		asked = fmt.Sprint(with["url"])
		return map[string]any{"status": 200, "headers": map[string]any{}, "url": asked, "body": map[string]any{"goods": items(fmt.Sprint("g", n)),
			"next": fmt.Sprintf("/goods?key=%s&p=%d", url.QueryEscape(secret), n+1)}}, nil
	}
	p := load(t, "triggers:\n  goods:\n    poll: {every: 1h, backfill: true, items: response.body.goods, key: item.id, request: {url: "+
		"'http://shop.test/goods', query: {key: \"${{ secrets.KEY }}\"}}, pages: {next: response.body.next, max: 1}}\n")
	db, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // read only by now
	e := machine.New(machine.Options{Store: db, Secrets: find})
	if err := e.Use(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	in := triggers.NewInlets(e, slog.New(slog.DiscardHandler))
	if err := in.Use(p, ask, find); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := in.Poll(context.Background(), "goods"); err != nil {
			t.Fatal(err)
		}
		st, err := e.InletState(context.Background(), "goods", "poll")
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{secret, url.QueryEscape(secret), "letters"} {
			if strings.Contains(string(st.Rest), form) {
				t.Errorf("%s is stored: %s", form, st.Rest)
			}
		}
	}
	if want := "http://shop.test/goods?key=" + url.QueryEscape(secret) + "&p=5"; asked != want {
		t.Errorf("asked %s, want %s", asked, want)
	}
}

// TestAShopWithAnotherClockGivesEachItemOnce: its items are dated an hour behind or ahead of
// ours, several have one moment, and each is visible only just within the overlap. Where
// that cannot be, the poll says so.
func TestAShopWithAnotherClockGivesEachItemOnce(t *testing.T) {
	for _, kind := range []string{"none", "page", "next"} {
		for _, newest := range []bool{false, true} {
			for _, off := range []time.Duration{-time.Hour, 0, time.Minute, time.Hour} {
				s, n := &modelShop{now: time.Now().Truncate(time.Second), filter: "gte", cursor: "zones", pages: kind, limit: 4, newest: newest}, 0
				if kind == "none" {
					s.limit = 50
				}
				s.between = func() {
					n++
					s.now = s.now.Add(7 * time.Second)
					for range 3 {
						if n%3 == 0 && n < 60 {
							s.addItem(time.Duration(n*37%114) * time.Second)
							s.goods[len(s.goods)-1].at = s.goods[len(s.goods)-1].at.Add(off)
						}
					}
				}
				keys, said := pollAll(t, `key: item.id, cursor: item.at, overlap: 2m, request: {url: 'http://shop.test/goods', `+
					`query: {since: "${{ cursor }}", limit: 50}}`+s.paging(100, 0), s.ask, func() time.Time { return s.now }, 100)
				got := strings.Fields(keys)
				slices.Sort(got)
				if kind == "none" && off == time.Hour && strings.Contains(said, "dated in the future: write pages:") {
					continue // what is behind the cut cannot be asked for, and the poll says so
				}
				if len(got) != len(s.goods) || len(slices.Compact(got)) != len(s.goods) || said != "" {
					t.Errorf("%s, newest first %v, clock off by %v: %d of %d came, said %.300q", kind, newest, off, len(got), len(s.goods), said)
				}
			}
		}
	}
}
