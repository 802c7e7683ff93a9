package triggers_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookloom/hookloom/triggers"
)

// TestWrongNextPageNameIsReported: the poll fails where the answer
// says that the list continues, and warns where it may; with the names that are there.
// What does end is left in peace.
func TestWrongNextPageNameIsReported(t *testing.T) {
	const next, token = "next: response.body.nxt", "token: response.body.cursr, query: c"
	for _, x := range []struct {
		name, pages, more, link string
		fails, warns            string
	}{
		{"next", next, `"next":"/?p=2"`, "", "pages.next: response.body.nxt has no value, but response.body.next has a value: write pages: " +
			"{next: response.body.next}, if that leads to the next page; response.body has items, next", ""},
		{"a name of the shop's own", "next: response.body.weiter", `"weiteres":"/?p=2"`, "", "write pages: {next: response.body.weiteres}", ""},
		{"links.next", next, `"links":{"next":"https://x.test/?p=2"}`, "", "response.body.links.next has a value", ""},
		{"a HAL link", next, `"_links":{"next":{"href":"/?p=2"}}`, "", "response.body._links.next.href has a value", ""},
		{"has_more", token, `"has_more":true`, "", "response.body.has_more says that the list continues", ""},
		{"hasNextPage", token, `"pageInfo":{"hasNextPage":true,"endCursor":"x"}`, "", "response.body.pageInfo.hasNextPage says", ""},
		{"nextPageToken", token, `"nextPageToken":"x"`, "", "write pages: {token: response.body.nextPageToken, query: NAME}", ""},
		{"OData", next, `"@odata.nextLink":"https://x.test/?p=2"`, "", `write pages: {next: response.body["@odata.nextLink"]}`, ""},
		{"a Link header", next, `"a":1`, `</?p=2>; rel="next"`, "write pages: {next: header link}", ""},
		{"no Link header", "next: header link", `"next_page":"/?p=2"`, "",
			"no Link header with rel=next, but response.body.next_page has a value", ""},
		{"null under another name", next, `"next":null`, "", "", "but the response has response.body.next: check the name"},
		{"a cursor", next, `"cursor":"x"`, "", "", "response.body.cursor: check the name"},
		{"a full page", next + ", size: 2", `"a":1`, "", "", "the page is full with 2 items"},
		{"an expression that computes", "next: 'false ? response.body.next : nil'", `"next":"/?p=2"`, "", "", "response.body.next has a value"},
		{"a page that is not full", next + ", size: 3", `"a":1`, "", "", ""},
		{"its own null", "next: response.body.next", `"next":null,"cursor":"x"`, "", "", ""},
		{"has_more is false", token, `"has_more":false,"cursor":"x"`, "", "", ""},
		{"nothing like it", next, `"text":"hello","total":2,"nextSyncToken":"x"`, "", "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := newShop(t)
			s.handle = func(w http.ResponseWriter, _ *http.Request) {
				if x.link != "" {
					w.Header().Set("Link", x.link)
				}
				_, _ = w.Write([]byte(`{"items":[{"id":1},{"id":2}],` + x.more + `}`))
			}
			c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), `key: item.id, items: response.body.items, request: {url: "`+s.URL+
				`/"}, pages: {`+x.pages+`}`, nil)
			r, err := c.inlets.Poll(context.Background(), "orders")
			switch {
			case x.fails == "" && err != nil, x.fails != "" && (err == nil || !strings.Contains(err.Error(), x.fails)):
				t.Errorf("failed with %v, want %q", err, x.fails)
			case (x.warns == "") != (r.Warning == ""), !strings.Contains(r.Warning, x.warns):
				t.Errorf("warned %q, want %q", r.Warning, x.warns)
			}
			st, err := c.engine.InletState(context.Background(), "orders", "poll")
			if err != nil || !strings.Contains(st.Error, x.fails+x.warns) || (st.Failures > 0) != (x.fails != "") {
				t.Errorf("recorded %d failures, %q, %v", st.Failures, st.Error, err)
			}
		})
	}
}

// TestLastPageWithoutItsNextKeyIsAccepted once that key has led to a page.
func TestLastPageWithoutItsNextKeyIsAccepted(t *testing.T) {
	s := newShop(t)
	s.handle = func(w http.ResponseWriter, r *http.Request) {
		more := `"token":"2"`
		if r.URL.Query().Get("c") != "" {
			more = `"cursor":"2","next_id":"/x"`
		}
		_, _ = w.Write([]byte(`{"items":[{"id":"` + r.URL.Query().Get("c") + `1"}],` + more + `}`))
	}
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), `key: item.id, items: response.body.items, request: {url: "`+s.URL+
		`/"}, pages: {token: response.body.token, query: c}`, nil)
	for range 2 {
		if r, err := c.inlets.Poll(context.Background(), "orders"); err != nil || r.Warning != "" || r.Items != 2 {
			t.Errorf("%+v %v", r, err)
		}
	}
}

func TestDryRunReportsThatAListMayContinue(t *testing.T) {
	ask := func(context.Context, map[string]any) (map[string]any, error) {
		return map[string]any{"status": 200, "headers": map[string]any{}, "url": "http://shop.test/",
			"body": map[string]any{"items": []any{map[string]any{"id": 1}}, "next": nil}}, nil
	}
	p := load(t, "triggers:\n  orders:\n    poll: {every: 1h, key: item.id, items: response.body.items, request: {url: 'http://shop.test/'}, "+
		"pages: {next: response.body.nxt}}\n")
	r, err := triggers.DryPoll(context.Background(), p, "orders", ask, lookup, noInbox{})
	if err != nil || !strings.Contains(r.Warning, "response.body has items, next") {
		t.Errorf("%+v %v", r, err)
	}
}
