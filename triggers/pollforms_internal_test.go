package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestCronsAreJudgedByTheirFields: whether a cron is accepted, what is said of it, and how it follows the clock.
func TestCronsAreJudgedByTheirFields(t *testing.T) {
	var out strings.Builder
	for _, text := range []string{"", "* * * *", "* * * * *", "0 * * * * *", "TZ=UTC * * * * *", "0,5 * * * *", "0, * * * *",
		",0 * * * *",
		"0 0 1, * *", "0,,5 * * * *", "60 * * * *", "59 23 31 12 7", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 0 *", "0 0 * 13 *",
		"0 0 * * 8", "0 0 30 2 *", "0 0 29 2 *", "0 0 31 4,6 *", "*/0 * * * *", "*/1 * * * *", "*/60 * * * *", "*/61 * * * *",
		"*/x * * * *",
		"* */24 * * *", "* */25 * * *", "* * */31 * *", "* * */32 * *", "* * * * */8", "* * * * */9", "7/2 * * * *", "5-5 * * * *",
		"9-5 * * * *", "0 22-6 * * *", "0 0 * * fri-mon", "0 0 * * 5-7", "0 0 * * 7-7", "0 0 * * 7", "0 0 * * 1,7", "0 0 * * 6-1",
		"0 0 * jan-mar SUN",
		"0 0 * dec-feb *", "0 0 * xyz *", "x * * * *", "0 0 ? * ?", "0 0 L * *", "0 0 LW * *", "0 0 L-3 * *", "0 0 * * 5L", "0 0 * * 55L",
		"0 0 15W * *", "0 0 1W * *", "0 0 115W * *", "0 0 xW * *", "0 0 * * 5#2", "H * * * *", "1-x * * * *", "-1 * * * *", "@hourly",
		"@daily", "@every 5m", "@every 1s", "@every 999ms", "@every x", "@noon", "@reboot", "*/45 * * * *", "*/7 */5 * * *",
		"* */13 * * *",
		"* */23 * * *", "*/59 * * * *", "0 0 1 * 1", "0 0 1 * *", "0 0 * * 1", "0 0 */2 * 1", "0-30/5 * * * *", "5,35 1 * * *",
		"5 1/2 * * *",
		"? 1 * * *", "5 ? 1 1 *"} {
		err := CheckCron(text)
		fmt.Fprintf(&out, "%q: %v\n", text, err)
		if err != nil {
			continue
		}
		fmt.Fprintf(&out, "  wall %t, notes %q\n", byWallClock(text), ExplainCron(text))
		table, err := newTimetable(0, text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2027, 12, 31, 22, 58, 30, 0, time.UTC)
		for range 4 {
			at = table.next(at)
			out.WriteString("  " + at.Format("2006-01-02T15:04:05Z07:00"))
		}
		out.WriteString("\n")
	}
	for _, field := range []string{"7", "0", "1-7", "7-7", "5-7,7", "1-6", "7-1", "*", "17"} {
		fmt.Fprintf(&out, "weekday %s is %s\n", field, sundays(field))
	}
	testgolden.Compare(t, "crons.golden", out.String())
}

// TestCursorsAreReadByTheirForm: how cursors of all forms are ordered, and which are times.
func TestCursorsAreReadByTheirForm(t *testing.T) {
	list := []any{nil, "", 0, 7, -7, 7.5, "7", "007", "7.50", "7.", ".5", "-7", "--7", "+7", "1e3", json.Number("7.25"), "abc",
		"Abc", true,
		firstSecond, firstSecond + 1, lastSecond - 1, lastSecond, firstMilli, firstMilli + 1, lastMilli - 1, lastMilli, 1767225600.25,
		"1767225600", "1767225600.5", "1767225600250", "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z",
		"2026-01-01 00:00:00 +0100", "Thu, 01 Jan 2026 00:00:00 GMT", "2026-01-01T00:00:00+0100", "2026-13-01",
		time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 1e6, time.UTC), strings.Repeat("1", maxDigits),
		strings.Repeat("1", maxDigits+1), "-" + strings.Repeat("1", maxDigits)}
	var out strings.Builder
	moment := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, a := range list {
		at, ok := asTime(a)
		raw, err := encodeCursor(a)
		fmt.Fprintf(&out, "%T %.30s: time %s %t, tick %s, stored %.40s %v, less 5s %.40s\n  ", a, fmt.Sprint(a),
			at.UTC().Format(time.RFC3339Nano), ok, tick(a), raw, err, fmt.Sprint(lookBack(a, 5*time.Second)))
		for _, b := range list {
			out.WriteByte("<=>"[compareCursors(a, b)+1])
		}
		for _, name := range []string{"item.id", "item.created_at"} {
			for _, perItem := range []bool{true, false} {
				p := &poller{poll: &workflows.Poll{Cursor: &workflows.Expr{Expr: expr.Expr{Text: name}}, PerItem: perItem}}
				fmt.Fprintf(&out, " %s %t %t %.40s", name, p.isMoment(a), p.after(a, moment), fmt.Sprint(p.capped(a, moment)))
			}
		}
		out.WriteString("\n")
	}
	for _, raw := range []string{"", "null", "7", "12345678901234567890", `"a"`, "{"} {
		v, err := decodeCursor(json.RawMessage(raw))
		fmt.Fprintf(&out, "stored %q: %T %v %v\n", raw, v, v, err)
	}
	testgolden.Compare(t, "cursors.golden", out.String())
}

// TestWalksAreConfirmedByCounting: when the reading of a list counts as whole, what it reached, and how it begins again.
func TestWalksAreConfirmedByCounting(t *testing.T) {
	var out strings.Builder
	one := 1
	for _, w := range []*walk{{}, {Counted: true}, {Counted: true, Pages: 1, Fresh: 1, Bar: 5}, {Counted: true, Pages: 2},
		{Counted: true, Pages: 2, Fresh: 1}, {Pages: 2, Fresh: 1, Bar: 5, Greatest: 9}, {Counted: true, Pages: 2, Bar: 5, Greatest: 9},
		{Counted: true, Pages: 2, Before: 3, UpToBar: 2}, {Counted: true, Pages: 2, Before: 3, UpToBar: 3},
		{Counted: true, Pages: 2, AheadBefore: 3, Stayed: 2}, {Counted: true, Pages: 2, AheadBefore: 3, Stayed: 3},
		{Counted: true, Pages: 2, Before: 3, Tries: maxTries - 1}, {Counted: true, Pages: 2, Before: 3, Tries: maxTries},
		{Counted: true, Pages: 1, Before: 3, Tries: maxTries}, {Pages: 2, Before: 3, Tries: maxTries},
		{Counted: true, Pages: 2, Before: 3, Tries: maxTries, Fresh: 1}, {Next: "n"}, {Token: "t"}, {Count: &one}, {From: 3},
		{First: true, Base: 1, From: 2, Greatest: 3, Tries: 1, Bar: 4, Before: 5, AheadBefore: 6, All: 7, Ahead: 8, Pages: 9, Second: "s",
			Lowest: 2, Falls: 3, Fresh: 4, UpToBar: 5, Stayed: 6, Empty: 7, Same: 8, Last: "l", Mark: "m"}} {
		texts := make([]string, 3)
		for i, x := range []*walk{w, w.confirm(), w.restart()} {
			b, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = string(b)
		}
		fmt.Fprintf(&out, "%s\n  confirmed %t, fewer %t, loses %t, reached %v, at the start %t\n  confirm %s\n  restart %s\n", texts[0],
			w.confirmed(), w.fewer(), w.loses(), w.reached(), w.atStart(), texts[1], texts[2])
	}
	testgolden.Compare(t, "walks.golden", out.String())
}

// rowsOf makes rows of cursors; the key of each is its number.
func rowsOf(cursors ...any) (rows []row) {
	for i, c := range cursors {
		rows = append(rows, row{cursor: c, delivery: &engine.Delivery{Key: fmt.Sprint(i)}})
	}
	return rows
}

// pollerOf is the poller of a trigger with one poll.
func pollerOf(t *testing.T, poll string) *poller {
	t.Helper()
	p := projectOf(t, "triggers:\n  t:\n    poll: {every: 30m, "+poll+"}\n")
	in := NewInlets(&diary{}, slog.New(slog.DiscardHandler))
	if err := in.Use(p, func(context.Context, map[string]any) (map[string]any, error) { return nil, nil },
		func(string) (string, bool) { return "k+y", true }); err != nil {
		t.Fatal(err)
	}
	x := in.set.all()[0]
	x.now = func() time.Time { return clockOfPolls }
	return x
}

const (
	asksFrom = `request: {url: "https://a.example", query: {since: "${{ cursor }}", limit: 2}}, key: item.id, cursor: item.at`
	asksAll  = `request: {url: "https://a.example", query: {limit: "2"}}, key: item.id, cursor: item.at`
)

// TestListsWithoutPagesEndByTheirOrder: whether an answer is the whole list, where the next request begins, and when items are lost.
func TestListsWithoutPagesEndByTheirOrder(t *testing.T) {
	var out strings.Builder
	none, all := map[string]bool{}, map[string]bool{"0": true, "1": true, "2": true}
	for _, config := range []string{asksFrom, asksFrom + ", overlap: 1m", asksAll} {
		p := pollerOf(t, config)
		fmt.Fprintf(&out, "%s\n", config)
		const early, later, latest, future = "2026-05-01T09:00:00Z", "2026-05-01T09:10:00Z", "2026-05-01T09:20:00Z",
			"2027-01-01T00:00:00Z"
		for _, c := range []struct {
			name  string
			w     walk
			rows  []row
			known map[string]bool
		}{
			{"nothing", walk{}, nil, none}, {"one", walk{top: later}, rowsOf(later), none}, {"full", walk{top: later}, rowsOf(early,
				later), none},
			{"full, first", walk{First: true, top: later}, rowsOf(early, later), none},
			{"full, in the future", walk{}, rowsOf(future, future), none}, {"first, in the future", walk{First: true}, rowsOf(future,
				future), none},
			{"one in the future", walk{}, rowsOf(future), none}, {"partly in the future", walk{top: later}, rowsOf(later, future), none},
			{"newest first", walk{Falls: 1, Lowest: later, Base: early, top: latest}, rowsOf(latest, later), none},
			{"newest first, to the base", walk{Falls: 1, Lowest: early, Base: early, top: latest}, rowsOf(latest, early), none},
			{"newest first, first", walk{First: true, Falls: 1, Lowest: later, Base: early, top: latest}, rowsOf(latest, later), none},
			{"newest first, not full", walk{Falls: 1, Lowest: later, Base: early, top: latest}, rowsOf(latest), none},
			{"mixed", walk{Falls: 1, Rises: true, Lowest: later, Base: early, top: latest}, rowsOf(latest, later), none},
			{"known", walk{top: latest}, rowsOf(latest), all}, {"known and full", walk{top: latest}, rowsOf(latest, latest), all},
			{"continued", walk{From: later, top: latest}, rowsOf(latest), none},
			{"continued, no further", walk{From: latest, top: latest}, rowsOf(latest), none},
			{"no further, full and known", walk{From: latest, top: latest}, rowsOf(latest, latest), all},
			{"no further, full and new", walk{From: latest, top: latest}, rowsOf(latest, latest), none},
			{"no further, one known", walk{From: latest, top: latest}, rowsOf(latest), all},
			{"no further, first", walk{From: latest, top: latest, First: true}, rowsOf(latest, latest), all},
			{"only further ones in the future", walk{From: latest, top: latest}, rowsOf(latest, future), all},
			{"no cursor", walk{From: latest}, rowsOf(nil, latest), all},
		} {
			f := &found{}
			ended := p.onlyPage(f, &c.w, c.rows, c.known)
			fmt.Fprintf(&out, "  %s: cut %t, ended %t, from %v, lost %v\n", c.name, p.cut(c.rows), ended, c.w.From, f.lost)
		}
		for _, w := range []walk{{}, {Base: later}, {From: early}, {From: early, Base: later}, {From: later, Base: later}} {
			fresh := &found{fresh: map[string]bool{"1": true}}
			fmt.Fprintf(&out, "  base %v from %v: reads again %t, with new ones %t, asked %v\n", w.Base, w.From, p.readsAgain(&found{}, &w),
				p.readsAgain(fresh, &w), p.asked(&w))
		}
		for _, w := range []*walk{{}, {Falls: 1}, {Falls: 1, Rises: true}} {
			fmt.Fprintf(&out, "  falls %d rises %t: tagged %t\n", w.Falls, w.Rises, p.tagged(w))
		}
	}
	testgolden.Compare(t, "lists.golden", out.String())
}

// TestPagesAreSeenInTheirOrder: what a walk records of the rows of a page, and when the rest was read before.
func TestPagesAreSeenInTheirOrder(t *testing.T) {
	var out strings.Builder
	at := func(minute int) string {
		return clockOfPolls.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339)
	}
	many := make([]any, certainFalls+2)
	for i := range many {
		many[i] = at(-i)
	}
	for _, config := range []string{asksAll + ", pages: {page: {query: page}}, overlap: 1m",
		asksAll + ", pages: {page: {query: page}}, overlap: 0s",
		strings.Replace(asksAll, "item.at", "response.body.at", 1)} {
		p := pollerOf(t, config)
		fmt.Fprintf(&out, "%s\n", config)
		for _, c := range []struct {
			name  string
			w     walk
			rows  []row
			fresh map[string]bool
		}{
			{"rising", walk{}, rowsOf(at(-9), at(-8), at(-7)), nil}, {"falling", walk{}, rowsOf(at(-7), at(-8), at(-9)),
				map[string]bool{"0": true}},
			{"equal", walk{}, rowsOf(at(-7), at(-7)), map[string]bool{"1": true}},
			{"within the overlap", walk{}, rowsOf(at(-8), at(-7)), nil}, {"beyond the overlap", walk{}, rowsOf(at(-9), at(-7)), nil},
			{"on the first page, ahead", walk{}, rowsOf(at(0), at(1), at(2)), map[string]bool{"2": true}},
			{"on a later page, ahead", walk{Pages: 1}, rowsOf(at(0), at(1), at(2)), map[string]bool{"2": true}},
			{"without a cursor", walk{}, rowsOf(nil, at(-3)), nil}, {"up to the bar", walk{Bar: at(-5)}, rowsOf(at(-6), at(-5), at(-4)),
				map[string]bool{"0": true, "1": true, "2": true}},
			{"after the greatest", walk{Greatest: at(-5)}, rowsOf(at(-6), at(-5), at(-4)), nil},
			{"before the greatest", walk{Greatest: at(-2)}, rowsOf(at(-6)), nil},
			{"resumed, known", walk{resumed: true, Lowest: at(-6)}, rowsOf(at(-5), at(-4)), nil},
			{"resumed, new", walk{resumed: true, Lowest: at(-6)}, rowsOf(at(-4)), map[string]bool{"0": true}},
			{"resumed, equal", walk{resumed: true, Lowest: at(-6)}, rowsOf(at(-6), at(-4)), nil},
			{"falls that are few", walk{Base: at(-9)}, rowsOf(at(-12), at(-13)), nil},
			{"falls from above", walk{Base: at(-9)}, rowsOf(at(-9), at(-12)), nil},
			{"past the base", walk{Base: at(-9), Head: at(-1), Lowest: at(-2), Falls: 1}, rowsOf(at(-12), at(-13)), nil},
			{"at twice the overlap", walk{Base: at(-9), Head: at(-1), Lowest: at(-2), Falls: 1}, rowsOf(at(-11), at(-13)), nil},
			{"past the greatest, first", walk{First: true, Greatest: at(-9), Head: at(-1), Lowest: at(-2), Falls: 1}, rowsOf(at(-12)), nil},
			{"first, without any", walk{First: true, Base: at(-9)}, nil, nil},
			{"certain falls", walk{Base: at(5)}, rowsOf(many[:certainFalls+1]...), nil},
			{"one fall less", walk{Base: at(5)}, rowsOf(many[:certainFalls]...), nil},
			{"rises before", walk{Base: at(-1), Rises: true, Falls: 9}, rowsOf(at(-12)), nil},
		} {
			w := c.w
			w.Began = clockOfPolls
			p.see(&w, c.rows, c.fresh)
			b, err := json.Marshal(w)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "  %s: past all %t, top %v, resumed %t, %s\n", c.name, p.pastAll(&w, c.rows), w.top, w.resumed, b)
			f := &found{}
			for _, firstPage := range []bool{true, false} {
				first := w
				first.First = true
				p.arrived(f, &first, c.rows, firstPage)
				fmt.Fprintf(&out, "    dated %t, added %d", p.dated(c.rows), len(f.since))
			}
			out.WriteString("\n")
		}
	}
	testgolden.Compare(t, "pages.golden", out.String())
}

// TestNewItemsAreTakenUpToTheLimit of one poll, each once. Those of a reconciling poll are left to their webhook for a minute.
func TestNewItemsAreTakenUpToTheLimit(t *testing.T) {
	for _, c := range []struct {
		inlet        string
		first, known bool
		compare      bool
		want         string
	}{
		{"poll", false, false, false, "0 1 false, full true"}, {"poll", true, false, false, "0 1 2 true, full false"},
		{"poll", false, true, false, "0 1 2 true, full false"}, {"poll", false, false, true, "0 1 2 true, full false"},
		{"reconcile", false, true, false, "0 1 true, full false"}, {"reconcile", true, true, false, "0 1 2 true, full false"},
	} {
		p := pollerOf(t, asksAll+", max_items: 2")
		p.inlet, p.poll.Compare = c.inlet, c.compare
		rows := append(rowsOf(1, 2, 3), rowsOf(1)...)
		for i, age := range []time.Duration{onItsWay + 1, onItsWay, onItsWay - 1, 0} {
			rows[i].delivery.Time = clockOfPolls.Add(-age)
		}
		known := map[string]bool{"0": c.known, "1": c.known, "2": c.known}
		f := &found{seen: map[string]bool{}, fresh: map[string]bool{}}
		taken, all := p.admit(f, rows, known, c.first)
		if got := fmt.Sprintf("%s %t, full %t", strings.Join(keysOf(taken), " "), all, f.full(p, c.first)); got != c.want ||
			len(f.rows) != len(taken) || len(f.seen) != len(taken) || (len(f.fresh) == 0) != c.known {
			t.Errorf("%+v: %s, %d rows, %d seen, %d new", c, got, len(f.rows), len(f.seen), len(f.fresh))
		}
	}
	p := pollerOf(t, asksAll)
	for n, want := range map[int]bool{maxPolled - 1: false, maxPolled: true} {
		if got := (&found{rows: make([]row, n)}).full(p, true); got != want {
			t.Errorf("with %d rows it is full: %t", n, got)
		}
	}
}

// TestAPollThatFailsIsTriedLaterAndReported: the pause doubles, a service may ask for a longer one, and silence raises an alert.
func TestAPollThatFailsIsTriedLaterAndReported(t *testing.T) {
	p, now := pollerOf(t, asksAll), clockOfPolls
	p.table = &timetable{every: time.Minute}
	for _, c := range []struct {
		st   engine.InletState
		want time.Duration
	}{
		{engine.InletState{AskedAt: now}, time.Minute}, {engine.InletState{AskedAt: now, Failures: 1}, time.Minute},
		{engine.InletState{AskedAt: now, Failures: 2}, 2 * time.Minute}, {engine.InletState{AskedAt: now, Failures: 6}, 32 * time.Minute},
		{engine.InletState{AskedAt: now, Failures: 7}, time.Hour}, {engine.InletState{AskedAt: now, Failures: 99}, time.Hour},
		{engine.InletState{AskedAt: now, RetryAt: now.Add(time.Minute)}, time.Minute},
		{engine.InletState{AskedAt: now, RetryAt: now.Add(time.Hour)}, time.Hour},
		{engine.InletState{AskedAt: now.Add(jitterOfClocks), RetryAt: now.Add(time.Hour)}, time.Hour},
		{engine.InletState{AskedAt: now.Add(jitterOfClocks + time.Second), RetryAt: now.Add(time.Hour)}, 59*time.Minute + 57*time.Second},
	} {
		if got := p.wait(c.st, now); got != c.want {
			t.Errorf("%+v: %s, want %s", c.st, got, c.want)
		}
	}
	for after, want := range map[time.Duration]time.Duration{0: 0, -1: 0, 1: 1, time.Hour: time.Hour, 25 * time.Hour: 24 * time.Hour} {
		got := retryAt(now, fmt.Errorf("page 1: %w", &plan.Error{RetryAfter: after}))
		if want == 0 && !got.IsZero() || want > 0 && got.Sub(now) != want {
			t.Errorf("%s: %s", after, got)
		}
	}
	for silent, want := range map[time.Duration]bool{alertAfter * time.Minute: false, alertAfter*time.Minute + 1: true} {
		var out strings.Builder
		p.in = &pollRecorder{text: &out}
		p.alert(t.Context(), engine.InletState{OKAt: now.Add(-silent), Failures: 4}, now, errors.New("no answer"))
		if got := strings.Contains(out.String(), "since 2026-05-01T09:5") && strings.Contains(out.String(), "failures:5"); got != want {
			t.Errorf("after %s: %s", silent, &out)
		}
		out.Reset()
		if p.alert(t.Context(), engine.InletState{}, now, errors.New("no answer")); out.Len() > 0 {
			t.Error("a poll that never had an answer raises an alert")
		}
	}
}

// TestSecretsOfAPositionAreReplacedByTheirNames, in any form, and back again.
func TestSecretsOfAPositionAreReplacedByTheirNames(t *testing.T) {
	p := pollerOf(t, asksAll)
	p.env = &expr.Env{Names: expr.Names{"secrets": map[string]any{"KEY": "k+y", "NONE": ""}}}
	for _, token := range []any{"t k+y", 12345678901234567, nil, "k%2By"} {
		w := &walk{Next: "https://a.example/?a=k+y&b=k%2By&c=d", Token: token, Base: 12345678901234567, From: 1, Greatest: "g", Head: 2,
			Lowest: 3,
			Bar:    4, Began: clockOfPolls}
		raw, err := p.seal(&progress{Walk: w, Full: 3, Request: "r", Turned: "x"})
		if err != nil || strings.Contains(string(raw), "k+y") || strings.Contains(string(raw), "k%2By") {
			t.Errorf("%s %v", raw, err)
		}
		var pr progress
		if err := p.unseal(raw, &pr); err != nil || fmt.Sprintf("%+v", *pr.Walk) != fmt.Sprintf("%+v",
			*w) || pr.Full != 3 || pr.Turned != "x" {
			t.Errorf("%v: %+v, want %+v", err, pr.Walk, w)
		}
	}
	if raw, err := p.seal(nil); raw != nil || err != nil {
		t.Errorf("%s %v", raw, err)
	}
	for _, raw := range []string{"{", `{"walk":7}`} {
		if err := p.unseal([]byte(raw), &progress{}); err == nil {
			t.Errorf("%s is read", raw)
		}
	}
	if keys := keysOf(rowsOf(1, 2)); !slices.Equal(keys, []string{"0", "1"}) {
		t.Errorf("%v", keys)
	}
}
