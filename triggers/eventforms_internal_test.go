package triggers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/signature"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestNextPagesAreReadFromAnswers: links, references, numbers in URLs, and pages that come again.
func TestNextPagesAreReadFromAnswers(t *testing.T) {
	var out strings.Builder
	for _, h := range []string{"", `<a>; rel=next`, `<a>; rel="next"`, `<a>; rel="prev NEXT"`, `<a>; rel=prev, <b>; rel=next`,
		`<a,b>; rel=next`,
		`<a>; title="x, <y>"; rel=next`, `a; rel=next`, `<a; rel=next`, `<a>; rel`, `<a>; REL=next`, ` <a> ; x=1 ; rel=next`,
		`<a>;rel=nextpage`,
		`<a"b>; rel=next, <c>; rel=next`} {
		fmt.Fprintf(&out, "link %s: %q %q\n", h, linkNext(h), splitLinks(h))
	}
	for _, v := range []any{nil, false, true, "", "abc", "/abc", "?a", "https://a", 7, "7", 7.5, []any{1}, map[string]any{}} {
		s, err := reference(v)
		fmt.Fprintf(&out, "reference %v: %q %v, %s\n", v, s, err, way("response.body.next", v))
	}
	for _, c := range [][2]string{{"/a?page=1", "/a?page=2"}, {"/a?page=1", "/a?page=1"}, {"/a", "/a?page=2"}, {"/a",
		"/a?page=-1"}, {"/a", "/a?page=0"},
		{"/a", "/a?since=999999999"}, {"/a", "/a?since=1000000000"}, {"/a", "/a?t=abc"}, {"/a?p=1", "/a?p=1&p=2"}, {"%zz", "/a?p=1"},
		{"/a", "%zz"}} {
		fmt.Fprintf(&out, "counts %s %s: %t\n", c[0], c[1], counts(c[0], c[1]))
	}
	for _, status := range []int{0, 400, 401, 403, 404, 409, 410, 412, 422, 429, 500} {
		fmt.Fprintf(&out, "gone %d: %t\n", status, isGone(fmt.Errorf("page: %w", &plan.Error{Status: status})))
	}
	w := &walk{}
	for i, next := range []string{"b", "c", "d", "e", "f", "e", "g", "h", "i", "b"} {
		w.Pages = i + 1
		fmt.Fprintf(&out, "circles %s: %t\n", next, w.circles(next))
	}
	w = &walk{}
	for i := range maxSame + 2 {
		fmt.Fprintf(&out, "same %d: %v, %d\n", i, w.moves(rowsOf(1), "page"), w.Same)
	}
	fmt.Fprintf(&out, "none: %v %d, other: %v %d\n", w.moves(nil, "page"), w.Same, w.moves(rowsOf(1, 2), "page"), w.Same)
	pr := &progress{Walk: &walk{Empty: maxEmpty - 2}}
	for _, items := range []int{0, 0, 0, 1, 0} {
		pr.doubt = nil
		pr.empties(items)
		fmt.Fprintf(&out, "empty %d: %t\n", pr.Walk.Empty, pr.doubt != nil)
	}
	for _, c := range []struct{ size, items, full, from int }{{0, 0, 0, 1}, {0, 1, 0, 1}, {2, 1, 1, 1}, {2, 1, 2, 1}, {2, 2, 2, 0},
		{2, 1, 3, 0}} {
		for _, kind := range []string{"page", "offset"} {
			p := pollerOf(t, asksAll+fmt.Sprintf(", pages: {%s: {query: n}}", kind))
			p.poll.Pages.Size = c.size
			pr := &progress{Walk: &walk{}, Full: c.full}
			counter := p.poll.Pages.Counter()
			counter.From = c.from
			ended, err := p.count(pr, counter, c.items, rowsOf(1))
			again, err2 := p.count(pr, counter, c.items, rowsOf(2, 3))
			fmt.Fprintf(&out, "%s %+v: %t %v %t %v, counted %t", kind, c, ended, err, again, err2, pr.Walk.Counted)
			if pr.Walk.Count != nil {
				fmt.Fprintf(&out, ", next %d", *pr.Walk.Count)
			}
			out.WriteString("\n")
		}
	}
	testgolden.Compare(t, "nextpages.golden", out.String())
}

// TestPathsAreFoundInAnyForm: which trigger a path means, and which parts of it are hidden.
func TestPathsAreFoundInAnyForm(t *testing.T) {
	var out strings.Builder
	tb := newTable(nil)
	for _, path := range []string{"/hooks/shop", "/hooks/shop/", "/hooks/orders/new", "/api//in", "/hooks/secret"} {
		r := &route{webhook: &workflows.Webhook{Path: path}, trigger: &workflows.Trigger{Name: path}, urlSecret: path == "/hooks/secret"}
		tb.add(r)
	}
	for _, path := range []string{"/hooks/shop", "/hooks/shop/", "/hooks//shop", "/hooks/shop//", "/hooks/Shop", "/hooks/shopp",
		"/hooks/orders",
		"/hooks/orders/old", "/api/in", "/api/in/x", "/hooks/secret/abc", "/hooks/secret/abc/", "/hooks/secret/a/b", "/hooks/secretx",
		"/hooks/shop/abc", "/",
		"", "/x", "/hooks/", "/hooks/zzzzzzzzzzzz", "/hooks/" + strings.Repeat("a", 293), "/hooks/" + strings.Repeat("a", 294)} {
		name := func(r *route) string {
			if r == nil {
				return "none"
			}
			return r.webhook.Path
		}
		keep := (&route{urlSecret: true, webhook: &workflows.Webhook{Path: "/hooks/secret"}}).keepPath(path)
		fmt.Fprintf(&out, "%.40q: %s, nearest %s, kept %.40s\n", path, name(tb.lookup(path)), name(tb.nearest(path)), keep)
	}
	if newTable(nil).nearest("/hooks/a") != nil {
		t.Error("a path is near one of no trigger")
	}
	for _, s := range []string{"a1b2c3d4e5f6g7h", "a1b2c3d4e5f6g7h8", "orders-paid-2024-01", "OrdersPaidInFull",
		"ordersPaidInFull12", "ordersPaidInFull123",
		"1234567890123456", "ORDERSPAIDINFULL", "orders_1234567890", "orders_12345678901234", "ordersXpaidYinZfull",
		"an-orders.paid~in_full"} {
		fmt.Fprintf(&out, "segment %s\n", hideSegments("/a/"+s+"/b"))
	}
	for _, c := range [][2]string{{"", "a"}, {"abc", "abd"}, {"ab", "abc"}, {"abc", "ab"}, {"x", "y"}} {
		fmt.Fprintf(&out, "common %q: %d %d\n", c, common(c[0], c[1]), index([]string{"a", c[0]}, c[0]))
	}
	for _, s := range []string{"a", "a\tb", "a\x1fb", "a\x20b", "a\x7fb", "a\x80b", "\n", ""} {
		fmt.Fprintf(&out, "header %q: %t\n", s, validHeader(s))
	}
	kept := keepHeaders(http.Header{"Content-Type": {"a", "b"}, "X-Signature": {"s"}, "X-Api-Key": {"k"}, "X-Odd": {"o\xff"},
		"Authorization": {"x"},
		"X-Shown-Token": {"t"}}, map[string]bool{"authorization": true, "x-shown-token": false})
	fmt.Fprintf(&out, "kept %v\n", kept)
	for _, fresh := range [][3]string{{"", "a", ""}, {"a", "a", "known"}, {"b", "", ""}, {"", "", "known"}} {
		key, header := commonID(map[string]string{"webhook-id": fresh[0], "x-event-id": fresh[1], "ce-id": "i/1", "ce-source": fresh[2]})
		other, by := commonID(map[string]string{"webhook-id": "***", "idempotency-key": fresh[0], "ce-id": "i/1", "ce-source": fresh[2]})
		fmt.Fprintf(&out, "id %q: %s of %s, %s of %s\n", fresh, key, header, other, by)
	}
	for nth, list := range []string{"a", "b", "c"} {
		fmt.Fprintf(&out, "element %s\n", splitKey(list, []byte("x"), nth))
	}
	testgolden.Compare(t, "paths.golden", out.String())
}

// TestTypeAndTimeAreReadFromAnEvent: the type in full up to its limit, the time if it is one of this era.
func TestTypeAndTimeAreReadFromAnEvent(t *testing.T) {
	compile := func(text string) *workflows.Expr {
		e, err := expr.Compile(text, "body")
		if err != nil {
			t.Fatal(err)
		}
		return &workflows.Expr{Expr: *e}
	}
	id := &identity{eventType: compile("body.type"), eventTime: compile("body.at"), key: []*workflows.Expr{compile("body.key"),
		compile("body.more")}}
	at := func(year int) time.Time { return time.Date(year, 6, 1, 2, 0, 0, 0, time.FixedZone("", 7200)) }
	for _, c := range []struct {
		body map[string]any
		want string
	}{
		{map[string]any{"type": "a", "at": at(2026), "key": "k", "more": 7}, "a 2026-06-01T00:00:00Z k/7 <nil>"},
		{map[string]any{"type": "", "at": at(1970), "key": "", "more": 7}, "t 0001-01-01T00:00:00Z  key is empty: body.key"},
		{map[string]any{"type": 7, "at": at(1971), "key": []any{"a", "b"}, "more": true}, "7 1971-06-01T00:00:00Z a/b/true <nil>"},
		{map[string]any{"type": []any{}, "at": at(2199), "key": []any{}, "more": 7}, "[] 2199-06-01T00:00:00Z  key is empty: body.key"},
		{map[string]any{"type": nil, "at": at(2200), "key": []any{"a", nil}, "more": 7},
			"t 0001-01-01T00:00:00Z  key is empty: body.key"},
		{map[string]any{"at": "2026", "key": map[string]any{}},
			"t 0001-01-01T00:00:00Z  key failed: a key must be text, a number or a boolean"},
		{map[string]any{"type": strings.Repeat("a", 201), "key": "a", "more": nil},
			strings.Repeat("a", 200) + " 0001-01-01T00:00:00Z  key is empty: body.more"},
	} {
		env := &expr.Env{Names: expr.Names{"body": c.body}}
		d := &engine.Delivery{Type: "t"}
		id.typeAndTime(d, env)
		key, err := id.eventKey(env)
		if got := fmt.Sprintf("%s %s %s %v", d.Type, d.Time.Format(time.RFC3339), key, err); got != c.want {
			t.Errorf("%v: %s, want %s", c.body, got, c.want)
		}
	}
}

// TestNumbersAndClaimsOfARequestAreReadAsSent: 1.50 is signed as it is written, and expressions read the claims of a token.
func TestNumbersAndClaimsOfARequestAreReadAsSent(t *testing.T) {
	in := &inbound{header: http.Header{"Content-Type": {"application/json"}}, body: []byte(`{"n":1.50,"i":7,"l":[1.0],"m":{}}`),
		claims: []byte(`{"sub":"a"}`), query: url.Values{}}
	in.prepare(&route{webhook: &workflows.Webhook{}})
	var all route
	all.want.Add()
	in.want = &all.want
	for path, want := range map[string]string{"n": "1.50", "i": "7", "l.0": "1.0", "l": "", "m": "", "x": ""} {
		if got, ok := in.json(path); got != want || ok != (want != "") {
			t.Errorf("%s: %q %t", path, got, ok)
		}
	}
	if got := fmt.Sprint(in.names(&engine.Delivery{}, nil)["claims"]); got != "map[sub:a]" {
		t.Error(got)
	}
	in.becomeClaims()
	if got, _ := in.plain(); string(got) != `{"sub":"a"}` || in.names(&engine.Delivery{},
		nil)["claims"] != nil || in.contentType() != "application/json" {
		t.Errorf("%s", got)
	}
}

// TestFailuresAreCountedForTheirAddress, one for each request that is not genuine; such an address stays unverified.
func TestFailuresAreCountedForTheirAddress(t *testing.T) {
	v, err := signature.Compile(signature.Scheme{Algorithm: "static-token", From: signature.Place{Header: "X-T"},
		Encodings: []string{"raw"}})
	if err != nil {
		t.Fatal(err)
	}
	h, c, now := &Hooks{admission: newAdmission()}, newCaller(), time.Unix(1_800_000_000, 0)
	r := &route{webhook: &workflows.Webhook{}, proofs: []*proof{{verifier: v, written: &workflows.Verify{}}}}
	in := &inbound{at: now, header: http.Header{}}
	in.prepare(r)
	for i := range 3 {
		if j, ok := h.verify(t.Context(), r, in, c); j.genuine || !ok || c.failures != float64(i+1) || c.provedAt.Load() != 0 {
			t.Errorf("%+v: %v failures", j, c.failures)
		}
	}
}

// TestPageThatMovesNoCursorHasNoTop: that of the page before does not count for it.
func TestPageThatMovesNoCursorHasNoTop(t *testing.T) {
	p := pollerOf(t, asksAll)
	w := &walk{Began: clockOfPolls, top: "2026-05-01T09:00:00Z"}
	if p.see(w, rowsOf(nil), nil); w.top != nil {
		t.Errorf("%v", w.top)
	}
}

// TestMissedTimesHaveALimit: a time counts as missed after a while, and after a long downtime the newest ones are made up for.
func TestMissedTimesHaveALimit(t *testing.T) {
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	every := func(d time.Duration, missed string) *scheduler {
		return &scheduler{trigger: &workflows.Trigger{Name: "t"}, schedule: &workflows.Schedule{Missed: missed},
			table: &timetable{every: d}}
	}
	for late, want := range map[time.Duration]string{onTime: "1 1 2", onTime + 1: "0 1 2"} {
		var got []string
		for _, missed := range []string{"skip", "once", "all"} {
			got = append(got, fmt.Sprint(len(every(time.Hour, missed).missed(now.Add(-2*time.Hour), now.Add(late)))))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s late: %s, want %s", late, got, want)
		}
	}
	for n, want := range map[int]int{1: 1, maxMissed: maxMissed, maxMissed + 1: maxMissed, 5 * maxMissed: maxMissed} {
		s := every(time.Second, "all")
		last := now.Add(-time.Duration(n) * time.Second)
		if list := s.missed(last, now); len(list) != want || !list[len(list)-1].Equal(now) || !s.lastBefore(last, now).Equal(now) {
			t.Errorf("of %d times %d are made up for", n, len(list))
		}
	}
	if s := every(time.Hour, "all"); len(s.missed(now, now.Add(time.Hour-1))) != 0 || !s.lastBefore(now,
		now.Add(time.Hour-1)).Equal(now) {
		t.Error("a time that has not come is missed")
	}
	s := every(time.Hour, "")
	for _, jitter := range []time.Duration{0, 1, time.Minute} {
		s.schedule.Jitter = jitter
		if d := s.fires(now).Sub(now); d < 0 || d > 0 && d >= jitter || jitter == time.Minute && d == 0 {
			t.Errorf("with a jitter of %s it fires %s later", jitter, d)
		}
	}
	for stamp, want := range map[string]string{`"every 1h0m0s"`: "every 1h0m0s", `"every 0s"`: "", `"every -1s"`: "",
		`"every x"`: "", `"0 * * * * UTC"`: "0 * * * * UTC",
		`"0 * * * * No/Zone"`: "", `"x UTC"`: "", `"UTC"`: "", `7`: "", `" UTC"`: ""} {
		got := ""
		if x := timetableOf([]byte(stamp)); x != nil {
			got = x.text
		}
		if got != want {
			t.Errorf("%s: %q, want %q", stamp, got, want)
		}
	}
	for key, want := range map[string]bool{"a/2026-05-01T10:00:00Z": true, "a/2026-05-01T10:00:00Z#2026-05-01T09:00:00Z": true,
		"b/2026-05-01T10:00:00Z": false,
		"2026-05-01T10:00:00Z":   false, "a/x": false} {
		if at, ok := plannedAt(key, "a"); ok != want || ok && !at.Equal(now) {
			t.Errorf("%s: %s %t", key, at, ok)
		}
	}
	e := &edit{downs: []downtime{{from: now, to: now.Add(time.Hour)}, {from: now.Add(2 * time.Hour), to: now.Add(3 * time.Hour)}}}
	for minutes, want := range map[int]int{-1: -1, 0: 0, 59: 0, 60: -1, 90: -1, 120: 1, 179: 1, 180: -1} {
		d := e.down(now.Add(time.Duration(minutes) * time.Minute))
		if (d == nil) != (want < 0) || d != nil && d != &e.downs[want] {
			t.Errorf("after %d minutes: %v", minutes, d)
		}
	}
}

// TestSecretIsAwaitedForAWhile: until the window ends, once, and only where a secret is pending.
func TestSecretIsAwaitedForAWhile(t *testing.T) {
	w, now := newWindows(), time.Unix(1_800_000_000, 0)
	for after, want := range map[time.Duration]bool{-1: true, 0: false, 1: false} {
		if err := w.Open("t", now); err != nil {
			t.Fatal(err)
		}
		r := &route{pending: "S", trigger: &workflows.Trigger{Name: "t"}, deps: &Deps{Windows: w}}
		if why := r.unawaited(now.Add(after)); (why == "") != want || w.Awaited("t", now.Add(after)) != want || w.Take("t",
			now.Add(after)) != want {
			t.Errorf("%s: %q", after, why)
		}
		if w.Take("t", now.Add(-time.Hour)) {
			t.Error("taken twice")
		}
	}
	if why := (&route{deps: &Deps{}}).unawaited(now); !strings.Contains(why, "one is set already") {
		t.Error(why)
	}
}

// TestSilenceIsReportedAtItsTime: not before, also where the wait is longer than the pause between two looks,
// and again after that time.
func TestSilenceIsReportedAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &silentInbox{began: time.Now()}
		w := &watcher{trigger: "t", within: 150 * time.Minute, in: in, since: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Hour)
		defer cancel()
		w.run(ctx)
		if got := fmt.Sprint(in.alerts); got != "[2h30m0s 5h0m0s]" {
			t.Error(got)
		}
		in = &silentInbox{began: time.Now(), learned: []time.Duration{0, 0, -1, 150 * time.Minute}}
		w = &watcher{trigger: "t", within: workflows.Learned, in: in, since: time.Now()}
		ctx, cancel = context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		w.run(ctx)
		if got := fmt.Sprint(in.alerts); got != "[3h0m0s]" {
			t.Error(got)
		}
	})
}

var errNoGap = errors.New("no history")

// silentInbox is an inbox without deliveries.
type silentInbox struct {
	Inbox
	began   time.Time
	alerts  []time.Duration
	learned []time.Duration
}

func (s *silentInbox) LearnedGap(context.Context, string) (time.Duration, error) {
	gap := s.learned[0]
	if len(s.learned) > 1 {
		s.learned = s.learned[1:]
	}
	if gap < 0 {
		return time.Minute, errNoGap
	}
	return gap, nil
}

func (s *silentInbox) LastDelivery(context.Context, string) (time.Time, error) {
	return time.Time{}, nil
}

func (s *silentInbox) Leads(context.Context, string) bool { return true }

func (s *silentInbox) Alert(context.Context, engine.Alert) {
	s.alerts = append(s.alerts, time.Since(s.began))
}
