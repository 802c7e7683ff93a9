package triggers

import (
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// TestCursorsCompareAsWhatTheyAre: numbers by value also as text, times by moment,
// all else as text.
func TestCursorsCompareAsWhatTheyAre(t *testing.T) {
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

// TestACursorLooksBackInItsOwnForm, whatever that is; what is no time stays.
func TestACursorLooksBackInItsOwnForm(t *testing.T) {
	for _, x := range []struct{ cursor, want any }{
		{1767225600, 1767225540}, {"1767225600", "1767225540"}, {1767225600000, 1767225540000}, {1767225600.5, 1767225540.5},
		{"1767225600.5", "1767225540.5"},
		{"2026-01-01T00:00:00+02:00", "2025-12-31T23:59:00+02:00"}, {"2026-01-01T00:00:00", "2025-12-31T23:59:00"},
		{"2026-01-01 00:00:00", "2025-12-31 23:59:00"},
		{17, 17}, {"17", "17"}, {"evt_17", "evt_17"}, {nil, nil},
	} {
		if got := lookBack(x.cursor, time.Minute); got != x.want {
			t.Errorf("%v: %v, want %v", x.cursor, got, x.want)
		}
	}
}

// TestAnIDIsNoTime: a cap at now must not stop a poll whose ids look like seconds.
func TestAnIDIsNoTime(t *testing.T) {
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

// TestASecretInANextPageIsNotKept, and is there again when the next poll goes on.
func TestASecretInANextPageIsNotKept(t *testing.T) {
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
