package triggers_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// numbered makes the shop list ids from the highest or the lowest on, three a page,
// counted by ?o=.
func numbered(s *shop, ids *[]int, newest bool) {
	s.handle = func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		o, _ := strconv.Atoi(r.URL.Query().Get("o")) // none is the first page
		var items []map[string]any
		for i := o; i < min(o+3, len(*ids)); i++ {
			id := (*ids)[i]
			if newest {
				id = (*ids)[len(*ids)-1-i]
			}
			items = append(items, map[string]any{"id": id})
		}
		next := any(nil)
		if o+3 < len(*ids) {
			next = "/?o=" + strconv.Itoa(o+3)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "next": next})
	}
}

func sorted(keys string) string {
	list := strings.Fields(keys)
	slices.Sort(list)
	return strings.Join(list, " ")
}

// TestNewItemsAfterTheFirstPollStartRuns also where the cursor is a number, and the
// first reading of a list whose pages are counted is confirmed by a second one.
func TestNewItemsAfterTheFirstPollStartRuns(t *testing.T) {
	for name, newest := range map[string]bool{"newest first": true, "oldest first": false} {
		for _, cursor := range []string{"item.id", "string(item.id)"} {
			s, ids := newShop(t), []int{0, 1, 2, 3}
			numbered(s, &ids, newest)
			c := newCounter(t, filepath.Join(t.TempDir(), "x.db"),
				`key: item.id, cursor: "`+cursor+`", items: response.body.items, request: {url: "`+s.URL+`/"}, pages: {offset: {query: o}}`, nil)
			c.poll("0 new")
			ids = append(ids, 4, 5)
			for range 4 {
				c.poll(" ")
			}
			if got := sorted(c.keys()); got != "p4 p5" {
				t.Errorf("%s, %s: started %q, want 4 and 5", name, cursor, got)
			}
		}
	}
}

// TestPollReportExplainsTheSecondReading: a list of several counted pages that was read to its end is
// read a second time by the next poll, which is reported as that, and not as a list that continues.
func TestPollReportExplainsTheSecondReading(t *testing.T) {
	s, ids := newShop(t), []int{0, 1, 2, 3}
	numbered(s, &ids, false)
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"),
		`key: item.id, cursor: item.id, items: response.body.items, request: {url: "`+s.URL+`/"}, pages: {offset: {query: o}}`, nil)
	for _, again := range []bool{true, false} {
		r, err := c.inlets.Poll(t.Context(), "orders")
		if err != nil || r.Again != again || r.More != again {
			t.Errorf("again %t, more %t, %v; want %t of both", r.Again, r.More, err, again)
		}
	}
}

// TestOldItemStartsNothingWhenAListIsResumed: what came between two polls of one walk
// has moved items that were read to the page that is read next. That does not make a list
// that begins with the newest one without order, which would be read to its oldest item.
func TestOldItemStartsNothingWhenAListIsResumed(t *testing.T) {
	s := newShop(t)
	var ids []int
	for id := range 14 {
		ids = append(ids, id)
	}
	numbered(s, &ids, true)
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"),
		`key: item.id, cursor: item.id, items: response.body.items, request: {url: "`+s.URL+`/"}, pages: {next: response.body.next, max: 2}`, nil)
	c.inlets.SetFirstPages(0)
	c.poll("0 new")
	for n := range 3 {
		ids = append(ids, 14+2*n, 15+2*n)
		c.poll(" ")
	}
	for range 10 {
		c.poll(" ")
	}
	if got := sorted(c.keys()); got != "p14 p15 p16 p17 p18 p19" {
		t.Errorf("started %q, want 14 to 19", got)
	}
}

// TestLongFirstPollLosesNoLaterItems: a list that is longer than
// pages.max is read to its end by the first poll, in any order and however its items are
// told apart, so that all that is added behind it starts runs.
func TestLongFirstPollLosesNoLaterItems(t *testing.T) {
	for _, cursor := range []string{"", "cursor: item.id, ", `cursor: "string(item.id)", `} {
		for _, pages := range []string{"next: response.body.next", "offset: {query: o}"} {
			for _, newest := range []bool{false, true} {
				s := newShop(t)
				var ids []int
				for id := range 14 {
					ids = append(ids, id)
				}
				numbered(s, &ids, newest)
				c := newCounter(t, filepath.Join(t.TempDir(), "x.db"),
					"key: item.id, "+cursor+`items: response.body.items, request: {url: "`+s.URL+`/", query: {order: asc}}, pages: {`+pages+
						`, max: 2}`, nil)
				c.poll("0 new")
				for n := range 3 {
					s.mu.Lock()
					ids = append(ids, 14+2*n, 15+2*n)
					s.mu.Unlock()
					c.poll(" ")
				}
				for range 15 {
					c.poll(" ")
				}
				if got := sorted(c.keys()); got != "p14 p15 p16 p17 p18 p19" {
					t.Errorf("%s%s, newest first %v: started %q, want 14 to 19", cursor, pages, newest, got)
				}
			}
		}
	}
}

// TestFirstPollKeepsItsPagesIfALaterOneFails beyond pages.max: else a limit of
// the service would have it begin again for ever.
func TestFirstPollKeepsItsPagesIfALaterOneFails(t *testing.T) {
	s, limited := newShop(t), true
	s.handle = func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("t")) // none is the first page
		switch {
		case n == 4 && limited:
			limited = false
			w.WriteHeader(http.StatusTooManyRequests)
		case n == 6:
			_, _ = w.Write([]byte(`{"items":[{"id":6}],"token":null}`))
		default:
			_, _ = w.Write([]byte(`{"items":[{"id":` + strconv.Itoa(n) + `}],"token":"` + strconv.Itoa(n+1) + `"}`))
		}
	}
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"),
		`key: item.id, items: response.body.items, request: {url: "`+s.URL+`/"}, pages: {token: response.body.token, query: t, max: 2}`, nil)
	c.poll("0 new of 4 in 5")
	c.poll("0 new of 3 in 3")
}
