package triggers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestCursorsCompareByType: numbers by value also as text, times by moment,
// all else as text.
func TestCursorsCompareByType(t *testing.T) {
	for _, x := range []struct{ less, more any }{
		{9, 10}, {"9", "10"}, {"9", 10}, {9.5, "10"}, {"-2", "1"},
		{9007199254740992, 9007199254740993}, {"9223372036854775807", "9223372036854775808"},
		{"99999999999999999999999999999998", "99999999999999999999999999999999"},
		{"2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00Z"}, {"2026-01-01T10:00:00.9Z", "2026-01-01T10:00:01Z"},
		{"2026-01-01T10:00:00+0200", "2026-01-01 09:00:00"}, {"Thu, 01 Jan 2026 10:00:00 GMT", "Fri, 02 Jan 2026 09:00:00 GMT"},
		{"abc", "abd"}, {"evt_9", "evt_91"}, {"2026-01-01", "2026-01-02T00:00:01Z"},
	} {
		if a, b := compareCursors(x.less, x.more), compareCursors(x.more, x.less); a >= 0 || b <= 0 || compareCursors(x.less, x.less) != 0 {
			t.Errorf("%v and %v: %d, %d", x.less, x.more, a, b)
		}
	}
}

// TestCursorOverlapKeepsTheFormOfTheCursor, whatever that is; what is no time stays.
func TestCursorOverlapKeepsTheFormOfTheCursor(t *testing.T) {
	for _, x := range []struct{ cursor, want any }{
		{1767225600, 1767225540}, {"1767225600", "1767225540"}, {1767225600000, 1767225540000}, {1767225600.5, 1767225540.5},
		{"1767225600.5", "1767225540.5"},
		{"2026-01-01T00:00:00+02:00", "2025-12-31T23:59:00+02:00"}, {"2026-01-01T00:00:00", "2025-12-31T23:59:00"},
		{"2026-01-01 00:00:00", "2025-12-31 23:59:00"},
		{time.Unix(60, 5), time.Unix(0, 5)}, {1767225600000.0, 1767225540000.0}, {"1767225600000", "1767225540000"},
		{17, 17}, {"17", "17"}, {"0017", "0017"}, {"17.50", "17.50"},
		{"+1767225600", "+1767225600"}, {17.5, 17.5}, {"evt_17", "evt_17"}, {nil, nil},
	} {
		if got := lookBack(x.cursor, time.Minute); got != x.want {
			t.Errorf("%v: %v, want %v", x.cursor, got, x.want)
		}
		if got := lookBack(x.cursor, 0); got != x.cursor {
			t.Errorf("%v by nothing: %v", x.cursor, got)
		}
	}
}

// TestIDIsNotReadAsATime: a cap at now must not stop a poll whose ids look like seconds.
func TestIDIsNotReadAsATime(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		path   string
		cursor any
		want   bool
	}{
		{"item.id", 4070908800, false}, {"item.order_id", "4070908800", false}, {"item.created", 4070908800, true},
		{"item.updatedAt", 4070908800000, true}, {"item.updated_at", "4070908800", true},
		{"item.anything", "2099-01-01T00:00:00Z", true}, {"item.at", "2025-01-01T00:00:00Z", false}, {"item['created']", 4070908800, true},
		{"item.seat", 4070908800, false},
	} {
		p := &poller{poll: &workflows.Poll{Cursor: &workflows.Expr{Expr: expr.Expr{Text: x.path}}, PerItem: true}}
		if got := p.after(x.cursor, now); got != x.want {
			t.Errorf("%s = %v: %v", x.path, x.cursor, got)
		}
		if c := p.capped(x.cursor, now); x.want && p.after(c, now) || !x.want && c != x.cursor {
			t.Errorf("%s = %v is capped to %v", x.path, x.cursor, c)
		}
	}
}

// TestNumbersAreTimesInThisCenturyAndTheNext: seconds and milliseconds from 2001 to 2286, and no others.
func TestNumbersAreTimesInThisCenturyAndTheNext(t *testing.T) {
	for _, x := range []struct {
		v    any
		want time.Time
	}{
		{1_000_000_001, time.Unix(1_000_000_001, 0)}, {9_999_999_999, time.Unix(9_999_999_999, 0)},
		{1_000_000_000_001, time.UnixMilli(1_000_000_000_001)}, {9_999_999_999_999, time.UnixMilli(9_999_999_999_999)},
		{1_000_000_001.5, time.Unix(1_000_000_001, 5e8)}, {"1000000001.5", time.Unix(1_000_000_001, 5e8)},
		{"1000000001", time.Unix(1_000_000_001, 0)}, {time.Unix(5, 0), time.Unix(5, 0)},
		{1_000_000_000, time.Time{}}, {10_000_000_000, time.Time{}}, {1_000_000_000_000, time.Time{}}, {10_000_000_000_000, time.Time{}},
		{0, time.Time{}}, {-1_000_000_001, time.Time{}}, {"1e9", time.Time{}}, {"x", time.Time{}}, {nil, time.Time{}}, {true, time.Time{}},
	} {
		got, ok := asTime(x.v)
		if ok != !x.want.IsZero() || ok && !got.Equal(x.want) {
			t.Errorf("%v: %v %t", x.v, got, ok)
		}
		if !ok && earlier(1, time.Minute) != 1 {
			t.Error("a small number is moved")
		}
	}
	for _, n := range []float64{1_000_000_000, 10_000_000_000, 1_000_000_000_000, 10_000_000_000_000} {
		if got := earlier(n, time.Minute); got != n {
			t.Errorf("%f is moved to %f", n, got)
		}
	}
	for v, want := range map[any]time.Duration{"2026-01-01T00:00:00Z": time.Second, "2026-01-01T00:00:00.5Z": time.Millisecond,
		1767225600: time.Second, 1767225600001: time.Millisecond, "x": time.Second} {
		if got := tick(v); got != want {
			t.Errorf("the resolution of %v is %s", v, got)
		}
	}
}

// TestOnlyWholeNumbersCompareAsNumbers: of at most 100 digits, with a sign and a point at most.
func TestOnlyWholeNumbersCompareAsNumbers(t *testing.T) {
	for text, want := range map[string]bool{"1": true, "-1": true, "1.5": true, "0": true, "9": true, "": false, "-": false, "1.": false,
		".5": false, "1.5.5": false, "--1": false, "+1": false, "1e5": false, "1/2": false, "a": false, ":": false, "1:": false,
		strings.Repeat("1", 100): true, strings.Repeat("1", 101): false} {
		if got := asNumber(text) != nil; got != want {
			t.Errorf("%q is a number: %t", text, got)
		}
	}
}

// TestCursorsAreStoredAsJSON, times in UTC, and what is stored otherwise is told.
func TestCursorsAreStoredAsJSON(t *testing.T) {
	at := time.Date(2026, 1, 1, 1, 0, 0, 5e6, time.FixedZone("", 3600))
	for want, v := range map[string]any{"": nil, `"2026-01-01T00:00:00.005Z"`: at, "12": 12, `"a"`: "a"} {
		raw, err := encodeCursor(v)
		if err != nil || string(raw) != want {
			t.Errorf("%v: %s %v", v, raw, err)
		}
		back, err := decodeCursor(raw)
		if again, err2 := encodeCursor(back); err != nil || err2 != nil || string(again) != want {
			t.Errorf("%v: read as %v, %v %v", v, back, err, err2)
		}
	}
	if _, err := decodeCursor([]byte("{")); err == nil || !strings.Contains(err.Error(), "the stored cursor") {
		t.Errorf("%v", err)
	}
}

// TestSendersWithoutAPresetNameEventsInTheirHeaders: the first header that has a value which is not masked.
func TestSendersWithoutAPresetNameEventsInTheirHeaders(t *testing.T) {
	for _, c := range []struct {
		headers     map[string]string
		key, header string
	}{
		{map[string]string{"webhook-id": " a ", "x-event-id": "b"}, "a", "webhook-id"},
		{map[string]string{"idempotency-key": "k"}, "k", "idempotency-key"},
		{map[string]string{"webhook-id": " ", "idempotency-key": "***", "x-event-id": "b"}, "b", "x-event-id"},
		{map[string]string{"ce-id": "1", "ce-source": "/a/b"}, "/a/b/1", "ce-id"}, {map[string]string{"ce-id": "1"}, "", ""},
		{map[string]string{"ce-source": "/a"}, "", ""}, {map[string]string{"ce-id": "***", "ce-source": "/a"}, "", ""}, {nil, "", ""},
		{map[string]string{"x-event-id": "b", "ce-id": "1", "ce-source": "/a"}, "b", "x-event-id"},
	} {
		if key, header := commonID(c.headers); key != c.key || header != c.header {
			t.Errorf("%v: %q from %q", c.headers, key, header)
		}
	}
}

// TestDigestsSeparateTheirParts: what moves from one part into the next is another content.
func TestDigestsSeparateTheirParts(t *testing.T) {
	if string(claimOf([]byte("ab"), "c")) == string(claimOf([]byte("a"), "bc")) || len(claimOf(nil, "")) != 16 {
		t.Error("two claims are one")
	}
	body := map[string]any{"a": map[string]any{"b": 1, "c": 2}, "d": []any{1}}
	remove(body, []string{"a", "b"})
	remove(body, []string{"d", "x"})
	remove(body, []string{"none", "x"})
	remove(body, []string{"e"})
	if got := fmt.Sprint(body); got != "map[a:map[c:2] d:[1]]" {
		t.Errorf("%s is left", got)
	}
	if remove(body, []string{"d"}); len(body) != 1 {
		t.Errorf("%v is left", body)
	}
}

// TestSecretInANextPageURLIsNotStored, and is there again when the next poll goes on.
func TestSecretInANextPageURLIsNotStored(t *testing.T) {
	p := &poller{poll: &workflows.Poll{}, env: &expr.Env{Names: expr.Names{"secrets": map[string]any{"KEY": "s3cr+et/value"}}}}
	next := "https://a.test/?access_token=s3cr%2Bet%2Fvalue&raw=s3cr+et/value&n=2"
	raw, err := p.seal(&progress{Walk: &walk{Next: next, Greatest: 9007199254740993}})
	if err != nil || len(raw) == 0 {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cr+et", "s3cr%2Bet"} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the secret is kept: %s", raw)
		}
	}
	var back progress
	if err := p.unseal(raw, &back); err != nil || back.Walk.Next != next || back.Walk.Greatest != 9007199254740993 {
		t.Errorf("%+v %v", back.Walk, err)
	}
}

// TestImplausibleEventTimeIsIgnored: a zero or absurd time of a sender is left out.
func TestImplausibleEventTimeIsIgnored(t *testing.T) {
	e, err := expr.Compile("date(body.at)", "body")
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"0001-01-01T00:00:00Z": false, "1970-06-01T00:00:00Z": false, "1971-01-01T00:00:00Z": true,
		"2199-12-31T00:00:00Z": true, "2200-01-01T00:00:00Z": false, "no time": false,
	} {
		var d engine.Delivery
		env := &expr.Env{Names: expr.Names{"body": map[string]any{"at": at}}, Now: time.Now()}
		(&identity{eventTime: &workflows.Expr{Expr: *e}}).typeAndTime(&d, env)
		if got := d.Time.Format(time.RFC3339) == at && !d.Time.IsZero(); got != want {
			t.Errorf("%s: %v", at, d.Time)
		}
	}
}

// TestEqualListElementsHaveSeparateKeys, which are stored and must stay as they are.
func TestEqualListElementsHaveSeparateKeys(t *testing.T) {
	first := splitKey("list", []byte("{}"), 0)
	if got := splitKey("list", []byte("{}"), 1); got != first+"#2" || first != "list/44136fa355b3678a" {
		t.Errorf("%s, then %s", first, got)
	}
}

// TestRecognizedPageCounters: a page or an offset; a token or an id that looks like a number of seconds is neither.
func TestRecognizedPageCounters(t *testing.T) {
	for next, want := range map[string]bool{
		"https://x.example/a?page=2&q=b": true, "https://x.example/a?page=1&q=b": false, "https://x.example/a?page=0&q=b": true,
		"https://x.example/a?page=-1&q=b": false, "https://x.example/a?page=b&q=b": false, "https://x.example/a?page=999999999&q=b": true,
		"https://x.example/a?page=1000000000&q=b": false, "https://x.example/a?page=1&q=b&offset=50": true, ":": false,
	} {
		if got := counts("https://x.example/a?page=1&q=b", next); got != want {
			t.Errorf("%s: %v", next, got)
		}
	}
}

// TestOnlyManyEmptyPagesAreReported, and an item begins the count anew.
func TestOnlyManyEmptyPagesAreReported(t *testing.T) {
	pr := &progress{Walk: &walk{}}
	for range maxEmpty - 1 {
		pr.empties(0)
	}
	if pr.empties(1); pr.doubt != nil || pr.Walk.Empty != 0 {
		t.Fatalf("doubted after a page with an item: %d", pr.Walk.Empty)
	}
	for range maxEmpty - 1 {
		pr.empties(0)
	}
	if pr.doubt != nil {
		t.Error("doubted too early")
	}
	if pr.empties(0); pr.doubt == nil {
		t.Error("not doubted")
	}
}

// TestTimetableOfRareDatesIsListed: a day that comes once in four years has its times too, and one
// that never comes has none.
func TestTimetableOfRareDatesIsListed(t *testing.T) {
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for cron, want := range map[string]int{"0 0 29 2 *": 2, "0 0 30 2 *": 0} {
		list := Timings(nil, &workflows.Trigger{Schedules: []*workflows.Schedule{{Cron: cron, Timezone: time.UTC}}}, at, 2)
		if len(list) != 1 || len(list[0].Next) != want {
			t.Errorf("%s: %+v", cron, list)
		}
	}
}
