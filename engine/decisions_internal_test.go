package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/testgolden"
	"github.com/hookloom/hookloom/workflows"
)

// TestDecisionsOfListenersAreAsRecorded: each kind of event against each state of a workflow without a rule.
func TestDecisionsOfListenersAreAsRecorded(t *testing.T) {
	var out lines
	flags := map[string]func(*Event){"plain": func(*Event) {}, "unreadable": func(e *Event) { e.NotReadable(errors.New("no JSON")) },
		"unreadable, invalid": func(e *Event) { e.NotFitting(errors.New("no id"), true); e.NotReadable(errors.New("no JSON")) },
		"marked":              func(e *Event) { e.NotFitting(errors.New("no id"), false) },
		"a dead letter":       func(e *Event) { e.NotFitting(errors.New("no id"), true) },
		"no fault":            func(e *Event) { e.NotFitting(nil, true); e.NotReadable(nil) }}
	for _, flag := range []string{"plain", "unreadable", "unreadable, invalid", "marked", "a dead letter", "no fault"} {
		for _, kind := range []string{"t", "order.paid"} {
			for _, inlet := range []Inlet{workflows.InletWebhook, workflows.InletPoll} {
				for _, l := range []Listener{{}, {Types: []string{"order.*"}}, {Types: []string{"x", "y"}}, {Off: Disabled}, {Off: Held},
					{Off: Disabled, Types: []string{"x"}}, {Replayed: true}, {Start: workflows.Start{Events: []string{"order.paid"}}}} {
					for _, enabled := range []bool{true, false} {
						l.Workflow = &workflows.Workflow{ID: "w", Version: "v", Enabled: enabled}
						ev := &Event{ID: 7, Delivery: Delivery{Trigger: "t", Type: kind, Inlet: inlet, Raw: []byte(`{"a":1}`), ReceivedAt: noon}}
						flags[flag](ev)
						names, err := ev.Names()
						if err != nil {
							t.Fatal(err)
						}
						d, failed, away := l.Evaluate(ev, names, nil, time.Time{}), l.Evaluate(ev, names, errors.New("no names"), time.Time{}), l.Away()
						out.add("%s %s %s, %v %v %s, enabled %t, replayed %t: %s %s; %s %s; %s %s", flag, kind, inlet, l.Types, l.Start.Events, l.Off,
							enabled, l.Replayed, d.Outcome, d.Reason, failed.Outcome, failed.Reason, away.Outcome, away.Reason)
					}
				}
			}
		}
	}
	for _, n := range []int{399, 400, 401, 480, 600} {
		var d Delivery
		d.NotFitting(errors.New(strings.Repeat("ä", n)), false)
		long := len(d.Flag)
		d.NotReadable(errors.New(strings.Repeat("ö", n/2)))
		out.add("%d letters: %d, then %d bytes: %.40s", n, long, len(d.Flag), d.Flag)
	}
	for n := range 4 {
		var d Delivery
		d.NotReadable(errors.New(strings.Repeat("x", 480+n)))
		out.add("%d letters: %d bytes", 480+n, len(d.Flag))
	}
	testgolden.Compare(t, "decisions.golden", out.String())
}

// TestItemsAndGatheringsAreAsRecorded: what becomes of each polled item, and of each event that joins others.
func TestItemsAndGatheringsAreAsRecorded(t *testing.T) {
	var out lines
	for _, inlet := range []Inlet{workflows.InletPoll, "schedule"} {
		for _, k := range []KnownItem{{}, {Remembered: true}, {Event: 7}, {Event: 8}, {Event: 8, Polled: true}, {Event: 8, Gone: true},
			{Event: 7, Polled: true}, {Polled: true}, {Gone: true}} {
			out.add("%s %+v: %v", inlet, k, k.Result(7, &Delivery{Inlet: inlet}))
		}
	}
	for _, b := range []PollBatch{{}, {Observe: true}, {Remember: true}, {Remember: true, New: map[string]bool{"k": true}},
		{Remember: true, Observe: true, New: map[string]bool{"k": true}}, {Remember: true, Observe: true}} {
		r, none := b.Recorded(&Delivery{Key: "k"})
		out.add("remember %t, observe %t, new %v: %v %t", b.Remember, b.Observe, b.New, r, none)
	}
	for _, g := range []Gathering{{Kind: workflows.Batch, Wait: time.Minute, Size: 3, Bytes: 5},
		{Kind: workflows.Debounce, Wait: time.Minute, Max: 5 * time.Minute, Bytes: 5}} {
		for _, kind := range []string{workflows.Batch, workflows.Debounce} {
			for _, events := range []int{1, 2, 3} {
				for _, ago := range []time.Duration{0, 30 * time.Second, time.Minute, 4 * time.Minute, 270 * time.Second, 6 * time.Minute} {
					for _, bytes := range []int64{0, MaxGathered - 5, MaxGathered - 4} {
						s := GatherState{Kind: kind, First: noon.Add(-ago), Events: events, Bytes: bytes}
						j := g.Join(s, noon)
						out.add("%s joins %s of %d, %v old, %d bytes: refused %t, full %t, due in %v", g.Kind, kind, events, ago, bytes,
							j.Refused, j.Full, j.Due.Sub(noon))
					}
				}
			}
		}
	}
	for _, x := range [][2]any{{1, 1}, {1, 2}, {nil, nil}, {nil, map[string]any{}}, {map[string]any{"a": 1}, map[string]any{"a": 1}},
		{map[string]any{"a": 1, "b": 2}, map[string]any{"b": 3, "c": nil}}, {map[string]any{"a": map[string]any{"b": 1}}, map[string]any{"a": 1}},
		{map[string]any{"a": map[string]any{"b": 1, "c": []any{1}}}, map[string]any{"a": map[string]any{"b": 2, "c": []any{2}}}}} {
		into, below := map[string]any{}, map[string]any{}
		Differences("", x[0], x[1], into)
		Differences("p", x[0], x[1], below)
		out.add("%s and %s: %s; %s", asText(t, x[0]), asText(t, x[1]), asText(t, into), asText(t, below))
	}
	for _, s := range RunStatuses {
		for _, next := range RunStatuses {
			out.add("%s, then %s: %t, ended %t", s, next, RunStatus(s).MayBecome(RunStatus(next)), RunStatus(s).Ended())
		}
	}
	testgolden.Compare(t, "items.golden", out.String())
}
