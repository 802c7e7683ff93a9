package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// lines is the text of a golden file.
type lines struct{ strings.Builder }

func (l *lines) add(format string, args ...any) { fmt.Fprintf(l, format+"\n", args...) }

// asText is a value as JSON.
func asText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// TestComparisonsOfInletsAreAsRecorded: the figures and the verdict of many kinds of histories.
func TestComparisonsOfInletsAreAsRecorded(t *testing.T) {
	var out lines
	at := func(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }
	see := func(own, webhook, poll float64) SeenEvent { // seconds after noon; 0 is never
		e := SeenEvent{Time: at(own)}
		if webhook != 0 {
			e.See(workflows.InletWebhook, at(webhook))
		}
		if poll != 0 {
			e.See(workflows.InletPoll, at(poll))
		}
		return e
	}
	many := func(n int, webhook, poll float64) (list []SeenEvent) {
		for i := range n {
			own, webhook, poll := float64(i*i*7%1800), webhook, poll
			if webhook != 0 {
				webhook += own + float64(i%5)/4
			}
			if poll != 0 {
				poll += own + float64(i%7)
			}
			list = append(list, see(own, webhook, poll))
		}
		return list
	}
	polls := []PollEntry{{At: at(600), Requests: 2, Bytes: 100, Fresh: 3, Outcome: "ok", Quota: "90/100"},
		{At: at(1200), Requests: 1, Bytes: 10, Outcome: "unchanged"}, {At: at(1800), Requests: 2, Bytes: 1, Outcome: "failed", Quota: "25/100"}}
	second := see(10, 12, 40)
	second.See(workflows.InletPoll, at(30))
	second.See(workflows.InletPoll, at(35))
	second.Repeats, second.Recovered = 2, true
	test := see(10, 11, 12)
	test.Test = true
	week := 7 * 24 * 3600.0
	for _, c := range []struct {
		name string
		s    Sightings
	}{
		{"nothing", Sightings{}}, {"only polls", Sightings{Polls: polls}}, {"no polls", Sightings{Events: many(3, 1, 0)}},
		{"one poll", Sightings{Events: many(3, 1, 2), Polls: polls[:1]}},
		{"no webhook", Sightings{Events: many(9, 0, 30), Polls: polls}}, {"no poll", Sightings{Events: many(9, 2, 0), Polls: polls}},
		{"both", Sightings{Events: many(40, 2, 30), Polls: polls}}, {"the poll first", Sightings{Events: many(40, 60, 3), Polls: polls}},
		{"some missed", Sightings{Events: append(many(30, 2, 9), many(3, 0, 9)...), Polls: polls}},
		{"no requests", Sightings{Events: many(5, 2, 30), Polls: []PollEntry{{At: at(600), Outcome: "ok"}}}},
		{"repeated, tests", Sightings{Events: []SeenEvent{second, test}, Polls: polls}},
		{"the same moment", Sightings{Events: []SeenEvent{see(10, 10, 20), see(10, 20, 10), see(10, 20, 20)}, Polls: polls}},
		{"far times", Sightings{Events: []SeenEvent{see(1-week, 1, 0), see(1-week-1, 1, 0), see(3601, 1, 0), see(3602, 1, 0),
			see(1-week, 2, 1), see(1-week, 1, 2), see(1-week, 0, 1), see(1-week, 0, 2)}, Polls: polls}},
		{"before the first", Sightings{Events: []SeenEvent{see(-60, 1, 2), see(-1, 1, 5), see(600, 601, 700)}, Polls: polls}},
	} {
		before := asText(t, c.s.Events)
		out.add("%s: %s", c.name, strings.ReplaceAll(asText(t, Compare("t", at(0), at(3600), c.s)), `,"`, ",\n  \""))
		if asText(t, c.s.Events) != before {
			t.Errorf("%s: the recorded events are changed", c.name)
		}
	}
	for _, text := range []string{"", "5", "5/", "/5", "0/0", "1/0", "0/1", "1/1", "2/1", "-1/4", "1/4", "1/-4", "x/4", "1/x"} {
		out.add("quota %q: %g used", text, quotaUsed(text))
	}
	for n := range 30 {
		list := make([]time.Duration, n)
		for i := range list {
			list[i] = time.Duration(n-i) * time.Second
		}
		out.add("delays of %d: %s", n, asText(t, DelaysOf(list)))
	}
	testgolden.Compare(t, "compare.golden", out.String())
}

// TestSlotsAreGivenAsRecorded: each state of a group against each kind of limit.
func TestSlotsAreGivenAsRecorded(t *testing.T) {
	var out lines
	for _, p := range []SlotRequest{{}, {Limit: 1, OnFull: "queue", MaxQueue: 2, Group: "g"}, {Limit: 2, OnFull: "drop"},
		{Limit: 2, OnFull: "replace", MaxQueue: 1}, {RateLimit: 3, RatePer: time.Hour, RateGroup: "r"},
		{RateLimit: 3, RatePer: 90 * time.Second, RateGroup: "r", RateDrop: true}, {Limit: 1, MaxQueue: 1, Stale: int64(5)},
		{Stale: 5.5, Group: "g"}} {
		for _, s := range []GroupState{{}, {AtWork: 1}, {AtWork: 2}, {AtWork: 3, Queued: 1}, {Queued: 1}, {AtWork: 1, Queued: 2}, {Queued: 3},
			{NextStart: noon}, {NextStart: noon.Add(time.Second)}, {NextStart: noon.Add(-time.Second)}, {Newest: int64(4)}, {Newest: int64(5)},
			{Newest: int64(6)}, {Newest: 5.4}, {Newest: 5.6}, {Newest: 5.5}, {Newest: "x"}} {
			start, begins := s.Turn(p.Limit, noon)
			out.add("%+v, %+v: %+v; turn %v %t", p, s, p.Admit(s, noon), start, begins)
		}
	}
	for _, v := range []any{int64(0), int64(timesFrom), int64(timesFrom + 1), int64(20*timesFrom - 1), int64(20 * timesFrom), 1.5} {
		out.add("stale %v: %s", v, showStale(v))
	}
	for _, limit := range []int{1, 2, 3} {
		for n := range 4 {
			ids := []RunID{11, 12, 13, 14}
			waiting := ids[3:]
			got := (&SlotRequest{Limit: limit}).Replaces(waiting, ids[:n])
			out.add("limit %d, %d at work: replaces %d", limit, n, got)
			if waiting[0] != 14 || ids[0] != 11 {
				t.Error("the lists of the caller are changed")
			}
		}
	}
	for _, back := range []time.Time{{}, noon.Add(-time.Hour), noon.Add(-time.Hour + 1), noon.Add(-2 * time.Hour)} {
		out.add("rate, back %v: %v", back, RateStart(noon, back, time.Hour))
	}
	for _, d := range []time.Duration{0, time.Second, time.Minute, 90 * time.Second, time.Hour, 90 * time.Minute, 24 * time.Hour,
		time.Hour + time.Second, 10 * time.Minute, 10*time.Hour + 10*time.Minute, 20 * time.Second, 100 * time.Millisecond} {
		out.add("%d is %s", d, ShortDuration(d))
	}
	testgolden.Compare(t, "slots.golden", out.String())
}

// TestIDsAreReadAsRecorded: of events, runs, batches and conflicts, and traces with their flags.
func TestIDsAreReadAsRecorded(t *testing.T) {
	var out lines
	for _, s := range []string{"", "evt_", "evt_0000000000000000", "evt_00000000000000ab", "evt_7fffffffffffffff", "evt_8000000000000000",
		"evt_ffffffffffffffff", "evt_000000000000000", "evt_00000000000000000", "evt_000000000000000g", "evt_+00000000000000a",
		"evt_00000000000000AB", "run_00000000000000ab", "bat_00000000000000ab", "00000000000000ab", "cfl_0", "cfl_1", "cfl_-1", "cfl_9x", "cfl_",
		"cfl_9223372036854775807", "cfl_9223372036854775808", "1"} {
		e, eerr := ParseEventID(s)
		r, rerr := ParseRunID(s)
		b, berr := ParseBatchID(s)
		c, cerr := ParseConflictID(s)
		out.add("%q: event %d %v; run %d %v; batch %d %v; conflict %d %v", s, e, eerr, r, rerr, b, berr, c, cerr)
	}
	for _, n := range []int64{0, 1, 15, 16, 0x123456789abcdef, math.MaxInt64} {
		out.add("%d: %s %s %s %s", n, EventID(n), RunID(n), BatchID(n), ConflictID(n))
	}
	const id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	zero := strings.Repeat("0", 32)
	for _, s := range []string{"", "00-" + id + "-" + span + "-01", "00-" + id + "-" + span + "-00", "00-" + id + "-" + span + "-03",
		"00-" + id + "-" + span + "-02", "00-" + id + "-" + span + "-01-x", "01-" + id + "-" + span + "-01-x", "ff-" + id + "-" + span + "-01",
		"0-" + id + "-" + span + "-01", "00-" + id[1:] + "-" + span + "-01", "00-" + id + "-" + span[1:] + "-01", "00-" + id + "-" + span + "-1",
		"00-" + strings.ToUpper(id) + "-" + span + "-01", "00-" + zero + "-" + span + "-01", "00-" + id + "-" + zero[:16] + "-01",
		"00-" + id[1:] + "g-" + span + "-01", "00-" + id + "-" + span + "-0g", "00-" + id + "-" + span} {
		trace := TraceOf(7, map[string]string{"traceparent": s})
		out.add("%s: %x %x %t, %s", s, trace.ID, trace.Parent, trace.Sampled, trace.Header(Span("a", "b")))
	}
	trace := TraceOf(7, nil)
	out.add("request %x, attempt %x", RequestSpan(trace, noon), AttemptSpan(3, "a.b", 2))
	for _, i := range []Identity{-1, 0, 1, 2, 3, 4, 5} {
		out.add("identity %d: %q", i, i)
	}
	for _, i := range []EventItem{{}, {Test: true, Identity: "content", RepeatsBodyOf: "evt_1", Conflicts: 1, Flag: InvalidFlag + ": x"},
		{Identity: "key", Conflicts: 2, Flag: UnreadableFlag + ": x"}, {Outcome: "matched", RuleFailures: 1},
		{Outcome: "rule_failed", RuleFailures: 1}, {Outcome: "matched"}} {
		out.add("%+v: %q, shown %q, invalid %t, unreadable %t", i, i.Marks(), i.Shown(), i.Invalid(), i.Unreadable())
	}
	testgolden.Compare(t, "ids.golden", out.String())
}

// TestWritesOfValuesAreAsRecorded: each kind of write on each kind of value, and the inputs of the actions.
func TestWritesOfValuesAreAsRecorded(t *testing.T) {
	var out lines
	for _, kind := range []string{ValueSet, ValueDelete, ValueIncrement} {
		for _, current := range []string{"", "null", "5", "-5", "9223372036854775806", "9223372036854775807", `"text"`, "1.5",
			`"` + strings.Repeat("x", 98) + `"`, `"` + strings.Repeat("x", 99) + `"`} {
			for _, c := range []ValueChange{{}, {TTL: time.Minute}, {Expect: "5"}, {Expect: "null"},
				{ValueRef: ValueRef{Workflow: "w"}, Expect: current}} {
				c.Kind, c.Key, c.Value, c.Add, c.Now = kind, "k", "7", 1, noon
				got := c.Apply(current, current != "")
				refused := ""
				if got.Refused != nil {
					refused = got.Refused.Code + ": " + got.Refused.Message + " " + asText(t, got.Refused.Details)
					got.Refused = nil
				}
				out.add("%s on %.20s, %v, expected %.20q, %q: %+v %s", kind, current, c.TTL, c.Expect, c.Workflow, got, refused)
			}
		}
		for _, with := range []map[string]any{{}, {"key": "k"}, {"key": 5, "value": []any{1}}, {"key": "k", "expect": nil}, {"key": "k", "by": 3},
			{"key": "k", "by": 1.5}, {"key": "k", "ttl": "1h"}, {"key": "k", "ttl": "0s"}, {"key": "k", "ttl": 5}, {"key": "k", "ttl": "x"},
			{"key": func() {}}, {"key": "k", "expect": func() {}}} {
			c, err := ReadValueChange(kind, with)
			shown := map[string]any{}
			for k, v := range with {
				if shown[k] = v; fmt.Sprintf("%T", v) == "func()" {
					shown[k] = "func"
				}
			}
			if err != nil {
				c = ValueChange{} // what was read before the error depends on the order of a map
			}
			out.add("%s with %v: %q = %s, expected %q, add %d for %v, %v", kind, shown, c.Key, c.Value, c.Expect, c.Add, c.TTL, err)
		}
	}
	secret := func(s string) string { return strings.ReplaceAll(s, "secret", "***") }
	for _, c := range [][3]string{{}, {"k"}, {strings.Repeat("k", MaxValueKey)}, {strings.Repeat("k", MaxValueKey+1)},
		{"k", strings.Repeat("v", MaxKeptValue)}, {"k", strings.Repeat("v", MaxKeptValue+1)}, {"k", "null"}, {"k", "null", ValueSet},
		{"secret"}, {"k", "secret"}} {
		c := ValueChange{ValueRef: ValueRef{Key: c[0]}, Value: c[1], Kind: c[2]}
		out.add("%.9s %.9s %s: %v, %v", c.Key, c.Value, c.Kind, c.Check(secret), c.Check(nil))
	}
	for _, s := range []string{"", "!", "YQ", ValueRef{"w", "k"}.Token(), ValueRef{"", "k"}.Token(), ValueRef{}.Token()} {
		ref, err := ParseValueToken(s)
		out.add("token %q: %+v %v", s, ref, err)
	}
	testgolden.Compare(t, "values.golden", out.String())
}

// TestSecretsAndGapsAreJudgedAsRecorded: each bound of the advice about a secret, and of a learned gap.
func TestSecretsAndGapsAreJudgedAsRecorded(t *testing.T) {
	var out lines
	ago := func(h int) time.Time { return noon.Add(-time.Duration(h) * time.Hour) }
	for _, names := range [][]string{nil, {"A"}, {"A", "B"}, {"A", "B", "C"}} {
		for _, a := range []int{-1, 0, 71, 72, 73, 100} {
			for _, b := range []int{-1, 1, 72, 100} {
				uses := []SecretUse{{Trigger: "other", Secret: "A", Count: 9, FirstAt: ago(900), LastAt: noon}}
				if a >= 0 {
					uses = append(uses, SecretUse{Trigger: "t", Secret: "A", Count: 1, FirstAt: ago(a + 71), LastAt: ago(a)})
				}
				if b >= 0 {
					uses = append(uses, SecretUse{Trigger: "t", Secret: "B", Count: 2, FirstAt: ago(b + 72), LastAt: ago(b)})
				}
				out.add("%v, A %d h ago, B %d h ago: %s", names, a, b, asText(t, SecretStates("t", names, uses, noon)))
			}
		}
	}
	for _, n := range []int{49, 50, 51} {
		for _, span := range []time.Duration{72*time.Hour - 1, 72 * time.Hour, 73 * time.Hour} {
			for _, longest := range []time.Duration{0, 6 * time.Minute, 7 * time.Minute, 24 * time.Hour} {
				out.add("%d events in %v, at most %v apart: %v", n, span, longest,
					Gaps{Events: n, First: noon, Last: noon.Add(span), Longest: longest}.Quiet())
			}
		}
	}
	for _, text := range []string{"", "a", "123", "1234", "12345x", "1.5", "1.", "1.x", "12.34.56", "x1.5", "run_0123456789abcdef",
		"run_0123456789abcde", "run_0123456789abcdef0", "evt_0123456789abcdef",
		"ran_0123456789abcdef", "hl_" + strings.Repeat("a", 32),
		"hl_" + strings.Repeat("a", 31), "hl_" + strings.Repeat("7", 33), "hl_" + strings.Repeat("1", 32), `say "this" and "that"`, `say "this`,
		`""`, "abcdefabcdef", "abcdefabcde", "abcdefabcdefg", "0123456789ab", "012abcdef012", "ABCDEFABCDEF",
		"a 1234 b 5.6 c", "ünï 12345 cödé"} {
		out.add("%q: %q", text, withoutVarying(text))
	}
	testgolden.Compare(t, "advice.golden", out.String())
}
