package triggers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
)

const asList = `key: item.id, cursor: item.at, items: response.body.orders, request: {url: "HOST/orders", query: {since: "${{ ` +
	`cursor ?? 0 }}"}}`

// TestPollEmitsNewItemsOnce: the first remembers, later ones emit what was not
// there, whether the webhook or the poll saw it first it is one event, and what the
// service has not changed costs a 304.
func TestPollEmitsNewItemsOnce(t *testing.T) {
	s := newShop(t)
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), strings.ReplaceAll(asList, "HOST", s.URL), nil)
	s.says(`{"orders":[{"id":"a","at":10},{"id":"b","at":11}]}`)
	c.poll("0 new of 2 in 1")
	s.says(`{"orders":[{"id":"b","at":11},{"id":"c","at":12}]}`)
	c.poll("1 new of 2 in 1")
	c.poll("0 new of 2 in 1")
	if !c.webhook("c").Duplicate || c.webhook("d").Duplicate {
		t.Error("the webhook's view of what the poll saw")
	}
	s.says(`{"orders":[{"id":"d","at":13},{"id":"e","at":14}]}`)
	c.poll("1 new of 2 in 1")
	c.poll("0 new of 2 in 1")
	// What the first poll only remembered is no event: its webhook makes one.
	if c.webhook("a").Duplicate {
		t.Error("a webhook was taken for known because a poll had remembered its item")
	}
	if got := c.keys(); got != "pc wd pe wa" {
		t.Errorf("events: %s", got)
	}
	if got := strings.Join(s.requests, " "); got != "/orders?since=0 /orders?since=11 /orders?since=12 /orders?since=12 /orders?since=14" {
		t.Errorf("asked: %s", got)
	}
	h, err := c.store.History().Sightings(context.Background(), "orders", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	x := engine.Compare("orders", time.Now().Add(-time.Hour), time.Now(), h)
	if x.Events != 4 || x.Both != 2 || x.WebhookOnly != 1 || x.PollOnly != 1 || x.Requests != 5 || x.EmptyPolls != 3 {
		t.Errorf("%+v", x)
	}
	s.mu.Lock()
	s.handle = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(`{"orders":[{"id":"f","at":15}]}`))
	}
	s.mu.Unlock()
	c.poll("1 new of 1 in 1")
	if r, err := c.inlets.Poll(context.Background(), "orders"); err != nil || !r.Unchanged || r.New != 0 || string(r.Cursor) != "15" {
		t.Errorf("304: %+v %v", r, err)
	}
}

// TestPagesAreFollowedWithinBounds: by an expression, by a Link header, not in a
// circle, and never to another host.
func TestPagesAreFollowedWithinBounds(t *testing.T) {
	for _, x := range []struct {
		name, poll, want string
		bodies           []string
		link             string
	}{
		{name: "by an expression", poll: `pages: {next: response.body.next, max: 5}`,
			bodies: []string{`{"orders":[{"id":1,"at":1}],"next":"HOST/orders?page=2"}`, `{"orders":[{"id":2,"at":2}],"next":"/orders?page=3"}`,
				`{"orders":[{"id":3,"at":3}]}`}, want: "3 new of 3 in 3"},
		{name: "at most so many", poll: `pages: {next: response.body.next, max: 2}`,
			bodies: []string{`{"orders":[{"id":1,"at":1}],"next":"HOST/orders?page=2"}`, `{"orders":[{"id":2,"at":2}],"next":"/orders?page=3"}`},
			want:   "2 new of 2 in 2"},
		{name: "in a circle", poll: `pages: {next: response.body.next, max: 50}`, bodies: []string{`{"orders":[],"next":"HOST/orders?page=2"}`},
			want: "its next page was read already"},
		{name: "to another host", poll: `pages: {next: response.body.next, max: 5}`,
			bodies: []string{`{"orders":[],"next":"http://169.254.169.254/latest"}`}, want: "on another host, 169.254.169.254"},
		{name: "by a Link header", poll: `pages: {next: header link, max: 5}`,
			link: `<HOST/orders?page=9>; rel="last", <HOST/orders?page=2>; rel="next"`, bodies: []string{`{"orders":[{"id":1,"at":1}]}`},
			want: "2 new of 2 in 2"},
		{name: "half an answer", bodies: []string{`{"orders":[{"id":1,"at":1},`}, want: "cannot be read as JSON"},
		{name: "no list", bodies: []string{`{"orders":{"id":1}}`}, want: "items is not a list"},
		{name: "an item twice, out of order, and one without a key",
			bodies: []string{`{"orders":[{"id":2,"at":9},{"id":1,"at":1},{"id":2,"at":9},{"at":3}]}`}, want: "3 new of 3 in 1"},
	} {
		s := newShop(t)
		poll := strings.ReplaceAll(asList, "HOST", s.URL) + ", backfill: true"
		if x.poll != "" {
			poll += ", " + x.poll
		}
		c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), poll, nil)
		s.says(x.bodies...)
		if x.link != "" {
			n := 0
			s.handle = func(w http.ResponseWriter, _ *http.Request) {
				if n++; n == 1 {
					w.Header().Set("Link", strings.ReplaceAll(x.link, "HOST", s.URL))
				}
				_, _ = fmt.Fprintf(w, `{"orders":[{"id":%d,"at":1}]}`, n)
			}
		}
		t.Log(x.name)
		c.poll(x.want)
		if err := c.close(); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

// TestFailedPollKeepsItsState: not the cursor, and no item of its first pages; what
// the service says about coming again is kept.
func TestFailedPollKeepsItsState(t *testing.T) {
	s := newShop(t)
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), strings.ReplaceAll(asList, "HOST", s.URL)+
		", backfill: true, pages: {next: response.body.next}", nil)
	s.says(`{"orders":[{"id":1,"at":1}]}`)
	c.poll("1 new")
	fail := map[string]http.HandlerFunc{
		"gone in the middle of the second page": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("page") == "" {
				_, _ = w.Write([]byte(`{"orders":[{"id":7,"at":7}],"next":"/orders?page=2"}`))
				return
			}
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"orders":[{"id":8`))
		},
		"too many requests": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1800")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
	}
	failures := 0
	for name, h := range fail {
		s.mu.Lock()
		s.handle = h
		s.mu.Unlock()
		if _, err := c.inlets.Poll(context.Background(), "orders"); err == nil {
			t.Errorf("%s: no error", name)
		}
		failures++
		st, err := c.engine.InletState(context.Background(), "orders", "poll")
		if err != nil || string(st.Cursor) != "1" || st.Failures != failures || st.Error == "" {
			t.Errorf("%s: %+v %v", name, st, err)
		}
		if name == "too many requests" && time.Until(st.RetryAt) < 29*time.Minute {
			t.Errorf("Retry-After is not kept: %s", st.RetryAt)
		}
	}
	if got := c.keys(); got != "p1" {
		t.Errorf("events: %s", got)
	}
	s.says(`{"orders":[{"id":7,"at":7}]}`)
	c.poll("1 new")
	if st, err := c.engine.InletState(context.Background(), "orders", "poll"); err != nil || st.Failures != 0 || !st.RetryAt.IsZero() ||
		st.Error != "" {
		t.Errorf("%+v %v", st, err)
	}
}

func TestStoreErrorIsReportedBesideThePollError(t *testing.T) {
	s := newShop(t)
	s.handle = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }
	var full atomic.Bool
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), strings.ReplaceAll(asList, "HOST", s.URL), func(int) error {
		if full.Load() {
			return engine.ErrFull
		}
		return nil
	})
	full.Store(true)
	if _, err := c.inlets.Poll(context.Background(), "orders"); !errors.Is(err, engine.ErrFull) || !strings.Contains(err.Error(), "418") {
		t.Errorf("the poll says: %v", err)
	}
}

// TestABigListIsReadInParts, none of which is passed over, the newest first or last,
// and a page of ten thousand stays within bounds.
func TestABigListIsReadInParts(t *testing.T) {
	list := func(from, to int) string {
		var b strings.Builder
		step := 1
		if from > to {
			step = -1
		}
		for i := from; i != to+step; i += step {
			fmt.Fprintf(&b, `,{"id":"k%05d","at":%d,"pad":%q}`, i, i, strings.Repeat("x", 300))
		}
		return `{"orders":[` + b.String()[1:] + `]}`
	}
	for _, poll := range []string{asList, strings.Replace(asList, "cursor: item.at, ", "", 1)} {
		s := newShop(t)
		c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), strings.ReplaceAll(strings.Replace(poll, "${{ cursor ?? 0 }}", "x", 1), "HOST",
			s.URL)+", backfill: true, max_items: 4000", nil)
		s.says(list(10_000, 1))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, want := range []string{"4000 new", "4000 new", "2000 new", "0 new"} {
			c.poll(want)
		}
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 200<<20 {
			t.Errorf("%d MiB more in use", grown>>20)
		}
	}
}

// TestACrashAtAnyWriteOfAPollLosesAndRepeatsNothing: polls go on over crashes at each
// write; in the end every item is one event.
func TestACrashAtAnyWriteOfAPollLosesAndRepeatsNothing(t *testing.T) {
	crash := errors.New("the power is gone")
	for n := 1; ; n++ {
		s := newShop(t)
		path := filepath.Join(t.TempDir(), "x.db")
		poll := strings.ReplaceAll(asList, "HOST", s.URL) + ", backfill: true"
		var gone atomic.Bool
		c := newCounter(t, path, poll, func(i int) error {
			if i >= n {
				gone.Store(true)
				return crash
			}
			return nil
		})
		for i := range 3 {
			s.says(fmt.Sprintf(`{"orders":[{"id":"x%d","at":%d},{"id":"y%d","at":%d}]}`, i, 2*i, i, 2*i+1))
			_, _ = c.inlets.Poll(context.Background(), "orders") // the crash shows in what is stored
		}
		_ = c.close() // as above
		c = newCounter(t, path, poll, nil)
		for i := range 3 {
			s.says(fmt.Sprintf(`{"orders":[{"id":"x%d","at":%d},{"id":"y%d","at":%d}]}`, i, 2*i, i, 2*i+1))
			if _, err := c.inlets.Poll(context.Background(), "orders"); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.keys(); len(strings.Fields(got)) != 6 {
			t.Errorf("n=%d: %s", n, got)
		}
		st, err := c.engine.InletState(context.Background(), "orders", "poll")
		if err != nil || string(st.Cursor) != "5" {
			t.Errorf("n=%d: %s %v", n, st.Cursor, err)
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
		if !gone.Load() {
			return
		}
	}
}

// TestComparingPollStartsNoRuns and still shows what the webhook missed.
func TestComparingPollStartsNoRuns(t *testing.T) {
	s := newShop(t)
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), strings.ReplaceAll(asList, "HOST", s.URL)+", compare: true", nil)
	c.webhook("a")
	s.says(`{"orders":[{"id":"a","at":1},{"id":"b","at":2}]}`)
	c.poll("0 new of 2")
	c.webhook("c")
	if got := c.keys(); got != "wa wc" {
		t.Errorf("events: %s", got)
	}
	h, err := c.store.History().Sightings(context.Background(), "orders", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if x := engine.Compare("orders", time.Now().Add(-time.Hour), time.Now(), h); x.Both != 1 || x.WebhookOnly != 1 || x.PollOnly != 1 ||
		!strings.Contains(x.Verdict, "missed 1 of 2 events (50.0 %)") {
		t.Errorf("%+v", x)
	}
	if c.webhook("b").Duplicate {
		t.Error("what was only compared was taken for an event")
	}
}

// TestReconcilingFindsWhatTheWebhookMissed, runs it once, marks it and says so; what
// has just happened is left to its webhook, and silence is verified by asking.
func TestReconcilingFindsWhatTheWebhookMissed(t *testing.T) {
	s := newShop(t)
	list := strings.ReplaceAll(strings.Replace(asList, "key: item.id", "key: item.id, overlap: 10m", 1), "HOST", s.URL)
	c := openCounter(t, filepath.Join(t.TempDir(), "x.db"), "triggers:\n  orders:\n    webhook: {auth: none, key: body.id, reconcile: "+
		"{every: 1h, "+list+"}}\n", nil)
	now := time.Now().Unix()
	s.says(fmt.Sprintf(`{"orders":[{"id":"old","at":%d}]}`, now-4000))
	c.poll("0 new of 1")
	c.webhook("came")
	s.says(fmt.Sprintf(`{"orders":[{"id":"came","at":%d},{"id":"missed","at":%d},{"id":"justnow","at":%d}]}`, now-300, now-200, now-5))
	c.poll("1 new of 2")
	c.poll("0 new of 2")
	if c.webhook("justnow").Duplicate {
		t.Error("what had just happened was taken from its webhook")
	}
	if got := c.keys(); got != "wcame pmissed wjustnow" {
		t.Errorf("events: %s", got)
	}
	h, err := c.store.History().Sightings(context.Background(), "orders", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if x := engine.Compare("orders", time.Now().Add(-time.Hour), time.Now(), h); x.Recovered != 1 || x.PollOnly != 1 {
		t.Errorf("%+v", x)
	}
	if st, err := c.engine.InletState(context.Background(), "orders", "reconcile"); err != nil || string(st.Cursor) != fmt.Sprint(now-200) {
		t.Errorf("%s %v", st.Cursor, err)
	}
}

// TestPresetDefinesItsList: for Stripe a poll needs nothing but its interval.
func TestPresetDefinesItsList(t *testing.T) {
	p := load(t, "connections: {stripe: {connector: http, auth: {bearer: \"${{ secrets.T }}\"}}}\ntriggers:\n  pay:\n    webhook: {provider: "+
		"stripe, secret: \"${{ secrets.S }}\", reconcile: {every: 15m}}\n    poll: {provider: stripe, every: 5m}\n")
	asked := []map[string]any{}
	ask := func(_ context.Context, with map[string]any) (map[string]any, error) {
		asked = append(asked, with)
		return map[string]any{"status": 200, "headers": map[string]any{}, "url": "https://api.stripe.com/v1/events",
			"body": map[string]any{"has_more": false,
				"data": []any{map[string]any{"id": "evt_9", "type": "charge.refunded", "created": 1767225600,
					"data": map[string]any{"object": map[string]any{"id": "ch_1"}}}}}}, nil
	}
	r, err := triggers.DryPoll(context.Background(), p, "pay", ask, lookup, noInbox{})
	if err != nil || len(r.Found) != 1 || r.Found[0].Key != "evt_9" || r.Found[0].Type != "charge.refunded" ||
		fmt.Sprint(r.Found[0].Data) != "map[id:ch_1]" || string(r.Cursor) != "1767225600" {
		t.Errorf("%+v %v", r, err)
	}
	if asked[0]["connection"] != "stripe" || asked[0]["url"] != "https://api.stripe.com/v1/events" {
		t.Errorf("%v", asked[0])
	}
}

// TestDifferencesBetweenWebhookAndPollAreRecorded, and what they say alike is the same event.
func TestDifferencesBetweenWebhookAndPollAreRecorded(t *testing.T) {
	s := newShop(t)
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"), strings.ReplaceAll(asList, "HOST", s.URL), nil)
	s.says(`{"orders":[]}`)
	c.poll("0 new")
	first := c.webhook("1") // its body is {"id":1}
	s.says(`{"orders":[{"id":1,"at":9}]}`)
	c.poll("0 new of 1")
	d, err := c.store.History().EventDetail(context.Background(), first.Event)
	if err != nil || len(d.Sightings) != 1 || string(d.Sightings[0].Differences) != `{"at":[null,9]}` || d.Sightings[0].Inlet != "poll" {
		t.Errorf("%+v %v", d.Sightings, err)
	}
	s.says(`{"orders":[{"id":2,"at":10}]}`)
	c.poll("1 new of 1")
	again := c.webhook("2")
	c.differs(again.Event, `{"at":[10,null],"id":[2,1]}`)
}

// TestDifferenceFromBeforeTheStartIsRecorded: a delivery that comes before the engine runs is compared
// with what the poll found as any other is.
func TestDifferenceFromBeforeTheStartIsRecorded(t *testing.T) {
	s := newShop(t)
	c := stoppedCounter(t, filepath.Join(t.TempDir(), "x.db"), asTrigger(strings.ReplaceAll(asList, "HOST", s.URL)+", backfill: true"), nil)
	s.says(`{"orders":[{"id":2,"at":10}]}`)
	c.poll("1 new of 1")
	again := c.webhook("2")
	c.run()
	c.differs(again.Event, `{"at":[10,null],"id":[2,1]}`)
}

// TestListedItemsStayRemembered when their keys are older than the trigger's dedupe, and
// what the first poll remembered too.
func TestListedItemsStayRemembered(t *testing.T) {
	s := newShop(t)
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"),
		strings.ReplaceAll(strings.Replace(strings.Replace(asList, "cursor: item.at, ", "dedupe: 2s, ", 1), "${{ cursor ?? 0 }}", "x", 1),
			"HOST", s.URL), nil)
	s.says(`{"orders":[{"id":"first"}]}`)
	c.poll("0 new of 1")
	s.says(`{"orders":[{"id":"first"},{"id":"second"}]}`)
	c.poll("1 new of 2")
	for range 10 {
		time.Sleep(300 * time.Millisecond)
		c.poll("0 new of 2")
	}
	if got := c.keys(); got != "psecond" {
		t.Errorf("events: %s", got)
	}
}

// TestDetailIsRequestedForNewItemsOnly, once each, and is what the event's data is made
// of; an item that is gone by then is taken as the list shows it.
func TestDetailIsRequestedForNewItemsOnly(t *testing.T) {
	s := newShop(t)
	list := `{"orders":[{"id":"a"},{"id":"gone"}]}`
	s.handle = func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/orders/gone"):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(r.URL.Path, "/orders/"):
			_, _ = w.Write([]byte(`{"whole":"` + strings.TrimPrefix(r.URL.Path, "/orders/") + `"}`))
		default:
			s.mu.Lock()
			defer s.mu.Unlock()
			_, _ = w.Write([]byte(list))
		}
	}
	c := newCounter(t, filepath.Join(t.TempDir(), "x.db"),
		strings.ReplaceAll(`key: item.id, backfill: true, items: response.body.orders, request: {url: "HOST/orders"}, detail: {url: `+
			`"HOST/orders/${{ item.id }}"}, data: detail.body`, "HOST", s.URL), nil)
	c.poll("2 new of 2 in 3")
	c.poll("0 new of 2 in 1")
	s.mu.Lock()
	list = `{"orders":[{"id":"a"},{"id":"b"}]}`
	s.mu.Unlock()
	c.poll("1 new of 2 in 2")
	events, err := c.store.History().Events(context.Background(), engine.Query{Ascending: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		id, err := engine.ParseEventID(e.ID)
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.store.History().EventDetail(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(d.Body)+d.Flag)
	}
	if want := `{"whole":"a"} {"id":"gone"}item without detail: answered 404 {"whole":"b"}`; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s", strings.Join(got, " "), want)
	}
}
