package triggers_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/machine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/triggers"
)

// provider stands in for the list of a provider, as its documentation has it.
type provider struct {
	name, connection string
	// item makes the i-th item; moment writes a time as the provider does.
	item   func(i int, at time.Time) map[string]any
	newest bool
	// since is the query parameter that leaves out what is older, strict what is as old
	// too; parse reads it.
	since  string
	strict bool
	parse  func(string) (time.Time, error)
	limit  int
	// behind is the query parameter that names the last item of the page before, by its
	// key in ids; position one that holds a position.
	behind, position string
	// wrap makes the answer of a page; next is the URL of the page behind, position its
	// place, both empty on the last one.
	wrap func(items []any, next, position string) (body any, headers map[string]any)
}

func unix(s string) (time.Time, error) {
	f, err := strconv.ParseFloat(s, 64)
	return time.UnixMilli(int64(f * 1000)), err
}

func rfc3339(s string) (time.Time, error) { return time.Parse(time.RFC3339Nano, s) }

func linked(items []any, next, _ string) (any, map[string]any) {
	h := map[string]any{}
	if next != "" {
		h["link"] = "<" + next + `>; rel="next"`
	}
	return items, h
}

var none = map[string]any{}

var providers = []provider{
	{name: "stripe", connection: `auth: {bearer: "${{ secrets.T }}"}`, newest: true, since: "created[gte]", parse: unix, limit: 100,
		behind: "starting_after",
		item: func(i int, at time.Time) map[string]any {
			return map[string]any{"id": fmt.Sprintf("evt_%d", i), "type": "charge.succeeded", "created": int(at.Unix()),
				"data": map[string]any{"object": map[string]any{"id": "ch"}}}
		},
		wrap: func(items []any, next, _ string) (any, map[string]any) {
			return map[string]any{"data": items, "has_more": next != ""}, none
		}},
	{name: "github", connection: `base_url: "https://api.github.com/repos/o/r/hooks/7"`, newest: true, limit: 100, position: "cursor",
		wrap: linked,
		item: func(i int, at time.Time) map[string]any {
			return map[string]any{"id": 100000 + i, "guid": fmt.Sprintf("guid-%d", i), "delivered_at": at.UTC().Format(time.RFC3339Nano),
				"event": "push", "action": nil}
		}},
	{name: "shopify", connection: `base_url: "https://x.myshopify.com"`, since: "updated_at_min", parse: rfc3339, limit: 250,
		position: "page_info",
		item: func(i int, at time.Time) map[string]any {
			s := at.In(time.FixedZone("", -5*3600)).Format(time.RFC3339)
			return map[string]any{"id": 820982911946154508 + i, "created_at": s, "updated_at": s}
		},
		wrap: func(items []any, next, _ string) (any, map[string]any) {
			_, h := linked(nil, next, "")
			return map[string]any{"orders": items}, h
		}},
	{name: "paypal", connection: `base_url: "https://api-m.paypal.com"`, newest: true, since: "start_time", parse: rfc3339, limit: 100,
		position: "page_token",
		item: func(i int, at time.Time) map[string]any {
			return map[string]any{"id": fmt.Sprintf("WH-%d", i), "event_type": "PAYMENT.CAPTURE.COMPLETED",
				"create_time": at.UTC().Format("2006-01-02T15:04:05.000Z")}
		},
		wrap: func(items []any, next, _ string) (any, map[string]any) {
			links := []any{map[string]any{"rel": "self", "href": "https://api-m.paypal.com/v1/notifications/webhooks-events"}}
			if next != "" {
				links = append(links, map[string]any{"rel": "next", "href": next})
			}
			return map[string]any{"events": items, "links": links}, none
		}},
	{name: "paddle", connection: `auth: {bearer: "${{ secrets.T }}"}`, newest: true, limit: 200, position: "after",
		item: func(i int, at time.Time) map[string]any {
			return map[string]any{"event_id": fmt.Sprintf("evt_%06d", i), "event_type": "transaction.completed",
				"occurred_at": at.UTC().Format("2006-01-02T15:04:05.000000Z"), "data": map[string]any{"id": i}}
		},
		wrap: func(items []any, next, _ string) (any, map[string]any) {
			more := next != ""
			if !more {
				next = "https://api.paddle.com/events?after=end" // it is always there
			}
			return map[string]any{"data": items, "meta": map[string]any{"pagination": map[string]any{"next": next, "has_more": more}}}, none
		}},
	{name: "chargebee", connection: `base_url: "https://x.chargebee.com"`, since: "occurred_at[after]", strict: true, parse: unix,
		limit: 100, position: "offset",
		item: func(i int, at time.Time) map[string]any {
			return map[string]any{"event": map[string]any{"id": fmt.Sprintf("ev_%d", i), "event_type": "payment_succeeded",
				"occurred_at": int(at.Unix())}}
		},
		wrap: func(items []any, _, position string) (any, map[string]any) {
			body := map[string]any{"list": items}
			if position != "" {
				body["next_offset"] = position
			}
			return body, none
		}},
	{name: "mailgun", connection: `base_url: "https://api.mailgun.net/v3/example.com"`, since: "begin", parse: unix, limit: 300,
		position: "page",
		item: func(i int, at time.Time) map[string]any {
			return map[string]any{"id": fmt.Sprintf("m%d", i), "event": "delivered", "timestamp": float64(at.UnixMilli()) / 1000}
		},
		wrap: func(items []any, next, position string) (any, map[string]any) {
			if next == "" {
				next = "https://api.mailgun.net/v3/example.com/events?page=1000000" // an empty page ends the list
			}
			return map[string]any{"items": items, "paging": map[string]any{"next": next}}, none
		}},
	{name: "easypost", connection: `base_url: "https://api.easypost.com"`, newest: true, since: "start_datetime", parse: rfc3339, limit: 100,
		behind: "before_id",
		item: func(i int, at time.Time) map[string]any {
			return map[string]any{"id": fmt.Sprintf("evt_%d", i), "description": "tracker.updated", "created_at": at.UTC().Format(time.RFC3339)}
		},
		wrap: func(items []any, next, _ string) (any, map[string]any) {
			return map[string]any{"events": items, "has_more": next != ""}, none
		}},
	{name: "woocommerce", connection: `base_url: "https://shop.example.com"`, since: "modified_after", strict: true, limit: 100,
		position: "page", wrap: linked,
		parse: func(s string) (time.Time, error) { return time.Parse("2006-01-02T15:04:05", s) },
		item: func(i int, at time.Time) map[string]any {
			s := at.UTC().Format("2006-01-02T15:04:05")
			return map[string]any{"id": i, "date_created_gmt": s, "date_modified_gmt": s}
		}},
}

// stand is a provider with what it lists.
type stand struct {
	*provider
	items []any // the oldest first
	times []time.Time
	calls int
}

func (s *stand) add(n int, from time.Time, over time.Duration) {
	for i := range n {
		at := from.Add(over * time.Duration(i) / time.Duration(n)).Truncate(time.Millisecond)
		s.items, s.times = append(s.items, s.item(len(s.items)+1, at)), append(s.times, at)
	}
}

// ask answers as the provider does.
func (s *stand) ask(_ context.Context, with map[string]any) (map[string]any, error) {
	s.calls++
	base, raw := map[string]string{"github": "https://api.github.com/repos/o/r/hooks/7", "shopify": "https://x.myshopify.com",
		"paypal": "https://api-m.paypal.com", "chargebee": "https://x.chargebee.com",
		"mailgun": "https://api.mailgun.net/v3/example.com", "easypost": "https://api.easypost.com",
		"woocommerce": "https://shop.example.com"}[s.name], fmt.Sprint(with["url"])
	if strings.HasPrefix(raw, "/") {
		raw = base + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	if m, ok := with["query"].(map[string]any); ok {
		for k, v := range m {
			if v != nil {
				q.Set(k, fmt.Sprint(v))
				if f, ok := v.(float64); ok {
					q.Set(k, strconv.FormatFloat(f, 'f', -1, 64))
				}
			}
		}
	}
	u.RawQuery = q.Encode()
	if s.name == "github" && !strings.HasSuffix(u.Path, "/deliveries") {
		if !strings.HasPrefix(u.Path, "/repos/o/r/hooks/7/deliveries/1") {
			return nil, fmt.Errorf("there is no %s", u.Path)
		}
		return map[string]any{"status": 200, "headers": none, "url": u.String(),
			"body": map[string]any{"request": map[string]any{"payload": map[string]any{"ref": "main"}}}}, nil
	}
	list, err := s.list(q)
	if err != nil {
		return nil, err
	}
	start, _ := strconv.Atoi(q.Get(s.position)) // none on the first page
	if s.name == "woocommerce" {
		start = max(start-1, 0) * s.limit
	}
	if id := q.Get(s.behind); s.behind != "" && id != "" {
		start = 1 + slices.IndexFunc(list, func(x any) bool { return x.(map[string]any)["id"] == id })
	}
	start = min(start, len(list))
	end, next, position := min(start+s.limit, len(list)), "", ""
	if end < len(list) {
		if position = strconv.Itoa(end); s.name == "woocommerce" {
			position = strconv.Itoa(end/s.limit + 1)
		}
		if s.position != "" {
			q.Set(s.position, position)
		}
		n := *u
		n.RawQuery = q.Encode()
		next = n.String()
	}
	body, headers := s.wrap(list[start:end:end], next, position)
	return map[string]any{"status": 200, "headers": headers, "body": body, "url": u.String(), "bytes": 1}, nil
}

func (s *stand) list(q url.Values) ([]any, error) {
	from := 0
	if v := q.Get(s.since); s.since != "" && v != "" {
		t, err := s.parse(v)
		if err != nil {
			return nil, fmt.Errorf("%s=%s: %w", s.since, v, err)
		}
		for from < len(s.times) && (s.times[from].Truncate(time.Second).Before(t.Truncate(time.Second)) || s.strict &&
			!s.times[from].Truncate(time.Second).After(t)) {
			from++
		}
	}
	list := slices.Clone(s.items[from:])
	if s.newest {
		slices.Reverse(list)
	}
	return list, nil
}

// TestTheListsOfThePresetsLoseNoItems: a burst of ten thousand within a minute, more
// than one poll reads, comes whole and once, and what follows it too.
func TestTheListsOfThePresetsLoseNoItems(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 700 // more than a poll takes
	}
	for i := range providers {
		t.Run(providers[i].name, func(t *testing.T) { readsAll(t, &stand{provider: &providers[i]}, n) })
	}
}

func readsAll(t *testing.T, s *stand, n int) {
	p := load(t, fmt.Sprintf("connections: {%s: {connector: http, %s}}\ntriggers:\n  orders:\n    poll: {provider: %s, every: 5m, max_items: "+
		"2000}\n", s.name, s.connection, s.name))
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
	if err := in.Use(p, s.ask, lookup); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(-time.Hour)
	in.SetNow(func() time.Time { return now })
	s.add(30, now.Add(-time.Hour), 50*time.Minute) // was there already
	came := 0
	polls := func(want int) {
		t.Helper()
		for count, after := 0, 0; after < 4; count++ {
			r, err := in.Poll(context.Background(), "orders")
			if err != nil {
				t.Fatal(err)
			}
			came, now = came+r.New, now.Add(5*time.Second)
			if came >= want {
				after++ // nothing comes twice
			}
			if count > 20+n/50 {
				break
			}
		}
		if came != want {
			t.Fatalf("%d of %d items came in %d requests", came, want, s.calls)
		}
	}
	polls(0)
	s.add(n, now, time.Minute)
	now = now.Add(70 * time.Second)
	polls(n)
	s.add(5, now, time.Second)
	now = now.Add(10 * time.Second)
	polls(n + 5)
}
