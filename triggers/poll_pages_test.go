package triggers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
)

// TestPagesAreRequestedByEachMethod: by number, offset and token, in the query and in the
// body, each to the end of the list and no further.
func TestPagesAreRequestedByEachMethod(t *testing.T) {
	for _, x := range []struct{ name, pages, want string }{
		{"page", `{page: {query: p}}`, "p=1 p=2 p=3"},
		{"page from 0", `{page: {query: p, from: 0}}`, "p=0 p=1 p=2"},
		{"a size that is honoured", `{page: {query: p}, size: {query: n, value: 2}}`, "n=2&p=1 n=2&p=2"},
		{"a size above the service's limit", `{page: {query: p}, size: {query: n, value: 50}}`, "n=50&p=1 n=50&p=2 n=50&p=3"},
		{"offset", `{offset: {query: o}}`, "o=0 o=2 o=3"},
		{"until", `{page: {query: p}, until: response.body.last}`, "p=1 p=2"},
		{"token", `{token: response.body.token, query: t}`, " t=T1"},
		{"in the body", `{token: response.body.token, body: after}`, "null T1"},
	} {
		var asked []string
		ask := func(_ context.Context, with map[string]any) (map[string]any, error) {
			q, _ := with["query"].(map[string]any)
			var parts []string
			for _, k := range []string{"n", "o", "p", "t"} {
				if v, ok := q[k]; ok {
					parts = append(parts, fmt.Sprintf("%s=%v", k, v))
				}
			}
			call := strings.Join(parts, "&")
			if b, ok := with["body"].(map[string]any); ok && strings.Contains(x.pages, "body:") {
				call = "null"
				if b["after"] != nil {
					call = fmt.Sprint(b["after"])
				}
			}
			asked = append(asked, call)
			body := map[string]any{"last": len(asked) == 2, "orders": []any{}}
			switch len(asked) {
			case 1:
				body["orders"], body["token"] = []any{map[string]any{"id": 1, "at": 1}, map[string]any{"id": 2, "at": 2}}, "T1"
			case 2:
				body["orders"] = []any{map[string]any{"id": 3, "at": 3}}
			}
			return map[string]any{"status": 200, "headers": map[string]any{}, "url": "http://shop.test/orders", "body": body}, nil
		}
		p := load(t, "triggers:\n  orders:\n    poll: {every: 1h, backfill: true, key: item.id, items: response.body.orders, request: {url: "+
			"'http://shop.test/orders', method: POST, body: {a: 1}}, pages: "+x.pages+"}\n")
		r, err := triggers.DryPoll(context.Background(), p, "orders", ask, lookup, noInbox{})
		if got := strings.Join(asked, " "); err != nil || got != x.want || r.Items != 3 {
			t.Errorf("%s: asked %q, want %q; %d items, %v", x.name, got, x.want, r.Items, err)
		}
	}
}

// TestEmptyPathsFailThePoll with the names that are there, instead of finding
// nothing for ever.
func TestEmptyPathsFailThePoll(t *testing.T) {
	const body = `{"data":[{"id":"a","updated_at":5},{"id":"b","updated_at":6}],"next":2,"token":"abc"}`
	for _, x := range []struct{ poll, body, want string }{
		{`key: item.id, items: response.body.items`, body, "items: response.body.items is nil; write response.body.data; response.body has " +
			"data, next, token"},
		{`key: item.nope, items: response.body.data`, body, "key: item.nope is empty for all of 2 items; item has id, updated_at"},
		{`key: item.id, cursor: item.updatedAt, items: response.body.data`, body,
			"cursor: item.updatedAt is empty for all of 2 items; item has id, updated_at"},
		{`key: item.id, items: response.body.data, pages: {next: response.body.next}`, body,
			"pages.next must be a URL, got the number 2; pages with numbers are written as pages: {page: {query: page}}"},
		{`key: item.id, items: response.body.data, pages: {next: response.body.token}`, body,
			`pages.next must be a URL, got the text "abc"; a token is written as pages: {token: ..., query: NAME}`},
		{`key: item.id`, body, "items is not a list; write response.body.data; response.body has "},
		{`key: item.id, items: response.body.data`, `{"data":null,"next":1}`, "0 new of 0"},
		{`key: item.id, items: response.body.data`, `{"data":[]}`, "0 new of 0"},
		{`key: item.id, items: response.body.data`, `{}`, "0 new of 0"},
	} {
		s := newShop(t)
		c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), x.poll+`, request: {url: "`+s.URL+`/orders"}`, nil)
		s.says(x.body)
		c.poll(x.want)
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAPathOfTheBaseURLIsNotDoubled on the second page of a list, whether the answer
// counts from the host or from the base_url.
func TestAPathOfTheBaseURLIsNotDoubled(t *testing.T) {
	for _, x := range []struct{ base, next, want string }{
		{"/api/v1", "/api/v1/items?page=2", "/api/v1/items?page=2"},
		{"/api/v1", "HOST/api/v1/items?page=2", "/api/v1/items?page=2"},
		{"/api/v1", "/items?page=2", "/api/v1/items?page=2"},
		{"/api/v1", "?page=2", "/api/v1/items?page=2"},
		{"/api", "/apiary?page=2", "/api/apiary?page=2"},
		{"", "/items?page=2", "/items?page=2"},
	} {
		var asked []string
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.RequestURI())
			if r.URL.Query().Get("page") == "" {
				w.Header().Set("Link", "<"+strings.Replace(x.next, "HOST", "http://"+r.Host, 1)+`>; rel="next"`)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `[{"id":"i%d"}]`, len(asked))
		}))
		p := load(t, "connections: {shop: {connector: http, base_url: '"+s.URL+x.base+
			"'}}\ntriggers:\n  orders:\n    poll: {every: 1h, key: item.id, request: {connection: shop, url: /items}, pages: {next: header link}}\n")
		r, err := triggers.DryPoll(context.Background(), p, "orders", actions.Ask(p.Connections, lookup, &http.Client{}, nil), lookup, noInbox{})
		if got := strings.Join(asked, " "); err != nil || r.Items != 2 || got != x.base+"/items "+x.want {
			t.Errorf("%s below %s: %q %d %v", x.next, x.base, got, r.Items, err)
		}
		s.Close()
	}
}

// TestUnchangedFullPageHidesNoNewItems: what is added behind it is found.
func TestUnchangedFullPageHidesNoNewItems(t *testing.T) {
	s := newShop(t)
	second := `[]`
	s.handle = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("p") != "1" {
			_, _ = w.Write([]byte(second))
			return
		}
		w.Header().Set("ETag", `"first"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(`[{"id":"a"},{"id":"b"}]`))
	}
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), `key: item.id, request: {url: "`+s.URL+`/"}, pages: {page: {query: p}, max: 2}`,
		nil)
	c.poll("0 new of 2 in 2")
	s.mu.Lock()
	second = `[{"id":"c"}]`
	s.mu.Unlock()
	c.poll("1 new of 3 in 2")
}

// TestFirstPollRemembersAllPages, over several polls, and starts nothing of them.
func TestFirstPollRemembersAllPages(t *testing.T) {
	s := newShop(t)
	s.handle = func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscan(r.URL.Query().Get("p"), &n) // 0 is no page
		if n > 7 {
			_, _ = w.Write([]byte(`[]`))
			return
		}
		_, _ = fmt.Fprintf(w, `[{"id":"a%d"},{"id":"b%d"}]`, n, n)
	}
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), `key: item.id, request: {url: "`+s.URL+`/"}, pages: {page: {query: p}, max: 3}`,
		nil)
	for range 12 {
		c.poll("0 new")
	}
	if got := c.keys(); got != "" {
		t.Errorf("started %s", got)
	}
}

// TestExpiredPageTokenRestartsTheList and what is left still comes.
func TestExpiredPageTokenRestartsTheList(t *testing.T) {
	s := newShop(t)
	forgotten := false
	s.handle = func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscan(strings.TrimPrefix(r.URL.Query().Get("t"), "T"), &n) // 0 is the first page
		if forgotten && n == 2 {
			forgotten = false
			w.WriteHeader(http.StatusGone)
			return
		}
		token := fmt.Sprintf(`"T%d"`, n+1)
		if n == 3 {
			token = "null"
		}
		_, _ = fmt.Fprintf(w, `{"orders":[{"id":"k%d"}],"token":%s}`, n, token)
	}
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), `backfill: true, key: item.id, items: response.body.orders, request: {url: "`+
		s.URL+`/"}, pages: {token: response.body.token, query: t, max: 2}`, nil)
	c.poll("2 new of 2 in 2")
	forgotten = true
	c.poll("2 new of 4 in 5")
	if got := c.keys(); got != "pk0 pk1 pk2 pk3" {
		t.Errorf("events: %s", got)
	}
}

// TestIncompleteListIsReported, while what is new in it still comes.
func TestIncompleteListIsReported(t *testing.T) {
	s := newShop(t)
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), `key: item.id, cursor: item.at, request: {url: "`+s.URL+
		`/", query: {limit: 3}}`, nil)
	s.says(`[{"id":"c","at":3},{"id":"b","at":2},{"id":"a","at":1}]`)
	c.poll("0 new of 3")
	s.says(`[{"id":"i","at":9},{"id":"h","at":8},{"id":"g","at":7}]`)
	c.poll("the answer of 3 items does not reach back to the last item read, 3: write pages:")
	c.poll("the answer of 3 items does not reach back")
	st, err := c.engine.InletState(context.Background(), "orders", "poll")
	if err != nil || string(st.Cursor) != "3" || st.Failures != 1 || st.Error == "" {
		t.Errorf("%+v %v", st, err)
	}
	if got := c.keys(); got != "pi ph pg" {
		t.Errorf("events: %s", got)
	}
}

// TestFullPageThatReachesTheLastItemIsComplete, unless the service includes the moment that is asked
// for: the answer may then be cut between items of this moment.
func TestFullPageThatReachesTheLastItemIsComplete(t *testing.T) {
	for query, want := range map[string]string{"limit: 3": "2 new of 3",
		`limit: 3, since: "${{ cursor }}"`: "the answer of 3 items does not reach back to the last item read, 3"} {
		s := newShop(t)
		c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), `key: item.id, cursor: item.at, request: {url: "`+s.URL+
			`/", query: {`+query+`}}`, nil)
		s.says(`[{"id":"c","at":3},{"id":"b","at":2},{"id":"a","at":1}]`)
		c.poll("0 new of 3")
		s.says(`[{"id":"e","at":5},{"id":"d","at":4},{"id":"c","at":3}]`)
		c.poll(want)
	}
}

// TestAnItemDatedAheadWithinTheOverlapMovesTheCursor: the clock of the service may be ahead of ours.
func TestAnItemDatedAheadWithinTheOverlapMovesTheCursor(t *testing.T) {
	s := newShop(t)
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), `key: item.id, cursor: item.at, overlap: 10m, request: {url: "`+s.URL+`/"}`, nil)
	now := time.Now().UTC()
	near, far := now.Add(5*time.Minute).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339)
	s.says(fmt.Sprintf(`[{"id":"a","at":%q},{"id":"b","at":%q}]`, near, far))
	if r, err := c.inlets.Poll(context.Background(), "orders"); err != nil || string(r.Cursor) != `"`+near+`"` {
		t.Errorf("the cursor is %s, want %s: %v", r.Cursor, near, err)
	}
}

// TestHintsOfAPollWork when they are followed.
func TestHintsOfAPollWork(t *testing.T) {
	presets, err := triggers.Presets()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ poll, hint string }{
		{`key: item.id, items: body.data`, "write response.body"},
		{`key: item.id, items: data`, "response.body.data"},
		{`key: id`, "item.id"},
		{`key: item.id`, "limit cuts the list, and without cursor: an old item"},
		{`key: item.id, pages: {token: response.body.t}`, "add query: cursor"},
		{`key: item.id, pages: {page: {query: p}, offset: {query: o}}`, "keep page or offset"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"),
			[]byte("triggers:\n  orders:\n    poll: {every: 1h, request: {url: 'https://shop.test/', query: {limit: 50}}, "+x.poll+"}\n"),
			0o600); err != nil {
			t.Fatal(err)
		}
		_, m := workflows.Load(dir, workflows.Catalog{Presets: presets, CheckCron: triggers.CheckCron}, nil)
		if !strings.Contains(fmt.Sprintf("%+v", m), x.hint) {
			t.Errorf("%s: %+v", x.poll, m)
		}
	}
}
