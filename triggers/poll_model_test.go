package triggers_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
	"pgregory.net/rapid"
)

// good is an item of a modelShop.
type good struct {
	id, seq     int
	at, visible time.Time
}

// modelShop is a service that lists its goods in one of the ways in which services do.
type modelShop struct {
	now    time.Time
	goods  []good
	last   int
	newest bool   // the list begins with the newest
	filter string // "", gte or gt: what the service makes of since
	cursor string // seconds, zones, seq or digits: what items are asked from
	pages  string // none, page, offset, token, next or link
	limit  int    // what the service gives at most
	// between is called before a page is made: time passes, goods come and go.
	between func()
}

// value is the cursor of an item.
func (s *modelShop) value(g good) any {
	switch s.cursor {
	case "seconds":
		return int(g.at.Unix())
	case "zones":
		return g.at.In(time.FixedZone("", 3600*(g.id%5))).Format(time.RFC3339)
	case "digits":
		return strconv.Itoa(g.seq)
	}
	return g.seq
}

// from reports whether an item is listed under a since parameter.
func (s *modelShop) from(g good, since string) bool {
	if since == "" || since == "0" || s.filter == "" {
		return true
	}
	c := 0
	switch s.cursor {
	case "zones":
		t, err := time.Parse(time.RFC3339, since)
		if err != nil {
			panic("since=" + since)
		}
		c = g.at.Compare(t)
	default:
		n, err := strconv.Atoi(since)
		if err != nil {
			panic("since=" + since)
		}
		own := g.seq
		if s.cursor == "seconds" {
			own = int(g.at.Unix())
		}
		c = own - n
	}
	return c > 0 || c == 0 && s.filter == "gte"
}

// ask answers a request for a page.
func (s *modelShop) ask(_ context.Context, with map[string]any) (map[string]any, error) {
	s.between()
	u, err := url.Parse(fmt.Sprint(with["url"]))
	if err != nil {
		return nil, err
	}
	q := u.Query()
	if m, ok := with["query"].(map[string]any); ok {
		for k, v := range m {
			if v != nil {
				q.Set(k, fmt.Sprint(v))
			}
		}
	}
	var list []good
	for _, g := range s.goods {
		if !g.visible.After(s.now) && s.from(g, q.Get("since")) {
			list = append(list, g)
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		if s.newest {
			i, j = j, i
		}
		a, b := list[i], list[j]
		if s.cursor == "seconds" || s.cursor == "zones" {
			if c := a.at.Compare(b.at); c != 0 {
				return c < 0
			}
		}
		return a.seq < b.seq
	})
	size := s.limit
	if n, err := strconv.Atoi(q.Get("size")); err == nil {
		size = min(size, n)
	}
	number, _ := strconv.Atoi(q.Get("n")) // 0 on the first page
	start := 0
	switch s.pages {
	case "page", "next", "link":
		start = max(number-1, 0) * size
	case "offset":
		start = number
	case "token":
		if after := q.Get("n"); after != "" {
			start = s.behind(list, after)
		}
	}
	start = min(start, len(list))
	end := min(start+size, len(list))
	page, at := []any{}, u.String()
	for _, g := range list[start:end] {
		page = append(page, map[string]any{"id": fmt.Sprintf("g%d", g.id), "at": s.value(g)})
	}
	body, headers := map[string]any{"goods": page}, map[string]any{}
	if end < len(list) {
		q.Set("n", strconv.Itoa(max(number, 1)+1))
		u.RawQuery = q.Encode()
		switch s.pages {
		case "token":
			g := list[end-1]
			body["token"] = fmt.Sprintf("%d/%d", g.at.Unix(), g.seq)
		case "next":
			body["next"] = u.RequestURI()
		case "link":
			headers["link"] = fmt.Sprintf(`<%s>; rel="next"`, u)
		}
	}
	return map[string]any{"status": 200, "headers": headers, "body": body, "url": at}, nil
}

// behind is where a list goes on behind the item that a token names, there or not.
func (s *modelShop) behind(list []good, token string) int {
	at, seq, _ := strings.Cut(token, "/")
	seconds, _ := strconv.ParseInt(at, 10, 64) // the shop's own token
	n, _ := strconv.Atoi(seq)
	for i, g := range list {
		c := g.seq - n
		if d := g.at.Unix() - seconds; d != 0 && (s.cursor == "seconds" || s.cursor == "zones") {
			c = int(d)
		}
		if c > 0 && !s.newest || c < 0 && s.newest {
			return i
		}
	}
	return len(list)
}

// addItem adds an item that becomes visible after a while.
func (s *modelShop) addItem(late time.Duration) {
	s.last++
	at := s.now.Truncate(time.Second)
	s.goods = append(s.goods, good{id: s.last, seq: s.last, at: at, visible: s.now.Add(late)})
}

// paging is how the file says what the shop does.
func (s *modelShop) paging(pages, size int) string {
	sized := ""
	if size > 0 {
		sized = fmt.Sprintf(", size: {query: size, value: %d}", size)
	}
	switch s.pages {
	case "page":
		return fmt.Sprintf(", pages: {page: {query: n}%s, max: %d}", sized, pages)
	case "offset":
		return fmt.Sprintf(", pages: {offset: {query: n}%s, max: %d}", sized, pages)
	case "token":
		return fmt.Sprintf(", pages: {token: response.body.token, query: n, max: %d}", pages)
	case "next":
		return fmt.Sprintf(", pages: {next: response.body.next, max: %d}", pages)
	case "link":
		return fmt.Sprintf(", pages: {next: header link, max: %d}", pages)
	}
	return ""
}

// TestEveryItemOfAnyShopIsDeliveredOnce: whatever the order of a list, its pages, limits and
// cursors, when goods come late, all at once or with the year 2099, and others go
// between two pages, every good that stays is one event, or the poll has said aloud
// that it cannot read the list.
func TestEveryItemOfAnyShopIsDeliveredOnce(t *testing.T) {
	dir, n := t.TempDir(), 0
	if checks := flag.Lookup("rapid.checks"); testing.Short() && checks != nil {
		was := checks.Value.String()
		t.Cleanup(func() { _ = checks.Value.Set(was) }) // it was read from there
		if err := checks.Value.Set("25"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		n++
		modelRun(t, rt, filepath.Join(dir, fmt.Sprintf("%d.db", n)))
	})
}

func modelRun(t *testing.T, rt *rapid.T, path string) {
	draw := func(name string, from, to int) int { return rapid.IntRange(from, to).Draw(rt, name) }
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, name) }
	s := &modelShop{now: time.Now().Truncate(time.Second), newest: draw("newest", 0, 1) == 1, filter: pick("filter", "", "gte", "gt"),
		cursor: pick("cursor", "seconds", "zones", "seq", "digits"),
		pages:  pick("pages", "none", "page", "offset", "token", "next", "link"), limit: draw("limit", 1, 5), between: func() {}}
	timed := s.cursor == "seconds" || s.cursor == "zones"
	overlap := time.Duration(0)
	if timed && (s.filter == "gt" || draw("overlap", 0, 1) == 1) {
		overlap = 2 * time.Minute
	}
	if s.pages == "none" {
		s.limit++ // one item shows no order
	}
	if s.pages == "none" && s.filter == "" {
		s.limit = 1000 // what cannot be asked for cannot be found
	}
	late := func() time.Duration {
		if overlap == 0 {
			return 0
		}
		return time.Duration(draw("late", 0, 60)) * time.Second
	}
	since := ""
	if s.filter != "" {
		since = `since: "${{ cursor }}"`
	}
	unpaged := ""
	if s.pages == "none" {
		unpaged = fmt.Sprintf("limit: %d", s.limit)
	}
	config := fmt.Sprintf("triggers:\n  goods:\n    poll: {every: 1h, backfill: true, key: item.id, cursor: item.at, items: "+
		"response.body.goods, overlap: %s, max_items: %d, request: {url: 'http://shop.test/goods', query: {%s}}%s}\n",
		overlap, draw("max_items", 1, 6), strings.Trim(since+", "+unpaged, ", "), s.paging(draw("max", 1, 3), draw("size", 0, 7)))
	p := load(t, config)
	db, err := store.Open(context.Background(), path, store.Options{Synchronous: "OFF"})
	if err != nil {
		rt.Fatal(err)
	}
	defer func() { _ = db.Close() }() // read only by now
	e := machine.New(machine.Options{Store: db, Secrets: lookup})
	if err := e.Use(context.Background(), p); err != nil {
		rt.Fatal(err)
	}
	in := triggers.NewInlets(e, slog.New(slog.DiscardHandler))
	if err := in.Use(p, s.ask, lookup); err != nil {
		rt.Fatal(err)
	}
	in.SetNow(func() time.Time { return s.now })
	said, fresh := error(nil), 0
	poll := func() (found bool) {
		r, err := in.Poll(context.Background(), "goods")
		said, fresh = errors.Join(said, err), fresh+r.New
		return r.New > 0
	}
	gone := func() {
		if len(s.goods) > 0 {
			i := draw("gone", 0, len(s.goods)-1)
			s.goods = slices.Delete(s.goods, i, i+1)
		}
	}
	for range draw("rounds", 1, 6) {
		for range draw("sold", 0, 8) {
			s.addItem(late())
			s.now = s.now.Add(time.Duration(draw("pause", 0, 2)) * time.Second)
		}
		if draw("far", 0, 9) == 0 && timed {
			s.last++
			s.goods = append(s.goods, good{id: s.last, seq: s.last, at: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), visible: s.now})
		}
		s.between = func() {
			switch draw("between", 0, 5) {
			case 0:
				gone()
			case 1:
				s.addItem(late())
			}
			s.now = s.now.Add(time.Duration(draw("passes", 0, 1)) * time.Second)
		}
		for range draw("polls", 1, 3) {
			poll()
			s.now = s.now.Add(time.Duration(draw("until the next", 5, 100)) * time.Second)
		}
	}
	s.between = func() {}
	s.now = s.now.Add(time.Hour)
	for quiet, polls := 0, 0; quiet < 3*(len(s.goods)+2); polls++ {
		if quiet++; poll() {
			quiet = 0
		}
		if polls > 3000 {
			st, err := e.InletState(context.Background(), "goods", "poll")
			rt.Fatalf("it does not come to an end\n%s%s %s %v", config, st.Cursor, st.Rest, err)
		}
	}
	check(rt, s, db, said, config)
}

// check compares what came with what is there.
func check(rt *rapid.T, s *modelShop, db *store.Store, said error, config string) {
	events, err := db.History().Events(context.Background(), engine.Query{Limit: 1000, Ascending: true})
	if err != nil {
		rt.Fatal(err)
	}
	came := map[string]int{}
	for _, e := range events {
		came[e.Key]++
	}
	var missing []string
	for _, g := range s.goods {
		if came[fmt.Sprintf("g%d", g.id)] == 0 {
			missing = append(missing, fmt.Sprintf("g%d at %v", g.id, s.value(g)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(came)) {
		if came[key] > 1 {
			rt.Fatalf("%s came %d times", key, came[key])
		}
	}
	switch {
	case len(missing) > 0 && said == nil:
		rt.Fatalf("never came, without a word: %s\n%s\n%+v", strings.Join(missing, ", "), config, s.goods)
	case said != nil && (s.pages != "none" || !strings.Contains(said.Error(), "write pages:")):
		rt.Fatalf("%v\n%s", said, config)
	}
}
