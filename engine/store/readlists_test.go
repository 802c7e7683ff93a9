package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// eventQueries are filters of events, each alone and some together.
func eventQueries() map[string]engine.Query {
	out := map[string]engine.Query{
		"all": {}, "a page": {Limit: 3}, "the next page": {Limit: 3, After: laterEvent(21).String()}, "the oldest": {Limit: 2, Ascending: true},
		"the next oldest": {Limit: 2, Ascending: true, After: filledEvent(3).String()}, "wrong cursor": {After: "x"},
		"trigger": {Trigger: "crm"}, "type": {Type: "odd"}, "workflow": {Workflow: "pay", Limit: 5},
		"since": {Since: filledAt.Add(18 * time.Minute)}, "until": {Until: filledAt.Add(2 * time.Minute)},
		"text": {Grep: "size"}, "text of a body": {Grep: `"n":9}`}, "text with signs": {Grep: "100%_"}, "text of all": {Grep: "%"},
		"id of an event": {Grep: laterEvent(4).String()}, "id of a run": {Grep: " " + laterRun(5).String()},
		"several statuses": {Status: "held, pending"}, "several with one alone": {Status: "held,test"}, "unknown status": {Status: "bogus"},
		"trigger, type and text": {Trigger: "pay", Type: "paid", Grep: "p1", Ascending: true},
	}
	for _, status := range append([]string{"pending", "ended_wait", engine.Unreadable, engine.Invalid, "test", "by-content", "repeated-body",
		"conflicting"}, engine.Outcomes...) {
		out["status "+status] = engine.Query{Status: status, Limit: 8}
	}
	return out
}

// runQueries are filters of runs.
func runQueries() map[string]engine.Query {
	out := map[string]engine.Query{
		"all": {}, "a page": {Limit: 3}, "the next page": {Limit: 3, After: laterRun(7).String()}, "the oldest": {Limit: 2, Ascending: true},
		"the next oldest": {Limit: 2, Ascending: true, After: filledRun(3).String()}, "wrong cursor": {After: "x"},
		"workflow": {Workflow: "pay"}, "trigger": {Trigger: "pay", Limit: 2}, "type": {Type: "refunded"}, "host": {Host: "C.example/"},
		"host with scheme": {Host: "http://b.example:81"}, "reason": {Reason: "timeout, cancelled"}, "event": {Event: laterEvent(2).String()},
		"wrong event": {Event: "x"}, "since": {Since: filledAt.Add(7 * time.Minute)}, "until": {Until: filledAt.Add(2 * time.Minute)},
		"text": {Grep: "11111"}, "text of a key": {Grep: "p5"}, "id of a run": {Grep: laterRun(5).String()},
		"id of an event": {Grep: laterEvent(5).String()}, "several statuses": {Status: "failed, succeeded"},
		"open statuses": {Status: "waiting,queued,running"}, "unknown status": {Status: "bogus"}, "dead": {DeadOnly: true},
		"dead at a host": {DeadOnly: true, Host: "a.example"}, "dead with a reason": {DeadOnly: true, Reason: "timeout"},
		"dead since":            {DeadOnly: true, Since: filledAt.Add(2 * time.Minute)},
		"dead until":            {DeadOnly: true, Until: filledAt.Add(2 * time.Minute)},
		"failed with a trigger": {Status: "failed", Trigger: "pay", Ascending: true},
	}
	for _, status := range engine.RunStatuses {
		out["status "+status] = engine.Query{Status: status}
	}
	for _, kind := range engine.WaitKinds {
		out["waits for "+kind] = engine.Query{WaitsFor: kind}
	}
	out["waits for two"] = engine.Query{WaitsFor: "approval, sleep"}
	out["waits for what is unknown"] = engine.Query{WaitsFor: "godot"}
	return out
}

// deadQueries are filters of dead letters.
func deadQueries() map[string]engine.Query {
	return map[string]engine.Query{
		"all": {}, "a page": {Limit: 2}, "after a rule": {Limit: 2, After: laterEvent(11).String()},
		"after a run": {Limit: 2, After: laterRun(3).String()}, "wrong cursor": {After: "x"}, "failed": {Status: "failed"},
		"timed out": {Status: " timed_out"}, "rules": {Status: "rule_failed"}, "rules and runs": {Status: "rule_failed, failed"},
		"unknown status": {Status: "succeeded"}, "reason": {Reason: "http_status"}, "rules by reason": {Reason: "rule_failed"},
		"unknown reason": {Reason: "no_such"}, "host": {Host: "a.example"}, "workflow": {Workflow: "pay"}, "other workflow": {Workflow: "w"},
		"trigger": {Trigger: "pay"}, "type": {Type: "odd"}, "since": {Since: filledAt.Add(3 * time.Minute)},
		"until": {Until: filledAt.Add(3 * time.Minute)}, "since a rule": {Since: filledAt.Add(12 * time.Minute)},
		"until a rule": {Until: filledAt.Add(12 * time.Minute)}, "text of a rule": {Grep: "field total"}, "text of a key": {Grep: "100%_"},
		"id of an event": {Grep: laterEvent(11).String()}, "id of a run": {Grep: laterRun(1).String()}, "oldest": {Ascending: true, Limit: 2},
	}
}

// refusalQueries are filters of refused deliveries, auditQueries those of the audit log.
func refusalQueries() map[string]engine.Query {
	return map[string]engine.Query{
		"all": {}, "a page": {Limit: 1}, "the next page": {Limit: 1, After: "ref_3"}, "wrong cursor": {After: "x"}, "trigger": {Trigger: "pay"},
		"reason": {Reason: "requirement not met"}, "status": {Status: "signature does not match, requirement not met"},
		"unknown reason": {Reason: "no such"}, "since": {Since: filledAt.Add(2 * time.Hour)}, "until": {Until: filledAt.Add(2 * time.Hour)},
		"text": {Grep: "50%_off"}, "id": {Grep: " ref_2"}, "text of a body": {Grep: `"a":1`}, "text of an address": {Grep: "10.0"},
	}
}

func auditQueries() map[string]engine.Query {
	return map[string]engine.Query{
		"all": {}, "a page": {Limit: 1}, "the next page": {Limit: 2, After: "3"}, "wrong cursor": {After: "x"}, "who": {Who: "bob"},
		"action": {Action: "run.cancel, event.send"}, "since": {Since: filledAt.Add(2 * time.Hour)},
		"until": {Until: filledAt.Add(2 * time.Hour)}, "text": {Grep: "ALLOWED"}, "oldest": {Ascending: true, Limit: 2},
	}
}

// shownPage is a list in a short form: ids, the cursor and the total that Count finds for it.
func shownPage[T any](ctx context.Context, p engine.Page[T], q engine.Query, id func(T) string,
	count func(context.Context, engine.Query, *engine.Page[T]) error) (string, error) {
	var ids []string
	for _, x := range p.Items {
		ids = append(ids, id(x))
	}
	all := engine.Page[T]{} // its rows are counted
	if err := count(ctx, q, &all); err != nil {
		return "", err
	}
	err := count(ctx, q, &p) // so are these, unless the page shows all
	return fmt.Sprintf("%s next %q total %d %v, counted %d %v", strings.Join(ids, " "), p.Next, *p.Total, p.TotalMore, *all.Total,
		all.TotalMore), err
}

// readsOfLists are the lists of people, with each filter.
func readsOfLists(h *store.History) (out []oneRead) {
	add := func(kind string, queries map[string]engine.Query, do func(context.Context, engine.Query) (any, error)) {
		for _, name := range slices.Sorted(maps.Keys(queries)) {
			q := queries[name]
			out = append(out, read(kind+" by "+name, func(ctx context.Context) (any, error) { return do(ctx, q) }))
		}
	}
	add("events", eventQueries(), func(ctx context.Context, q engine.Query) (any, error) {
		p, err := h.EventPage(ctx, q)
		if err != nil {
			return nil, err
		}
		return shownPage(ctx, p, q, func(e engine.EventItem) string { return e.ID }, h.CountEvents)
	})
	add("runs", runQueries(), func(ctx context.Context, q engine.Query) (any, error) {
		p, err := h.RunPage(ctx, q)
		if err != nil {
			return nil, err
		}
		return shownPage(ctx, p, q, func(r engine.RunItem) string { return r.ID }, h.CountRuns)
	})
	add("dead letters", deadQueries(), func(ctx context.Context, q engine.Query) (any, error) {
		p, err := h.DeadLetters(ctx, q)
		if err != nil {
			return nil, err
		}
		return shownPage(ctx, p, q, func(d engine.DeadLetter) string { return d.Kind + " " + d.ID }, h.CountDead)
	})
	add("groups of dead letters", deadQueries(), func(ctx context.Context, q engine.Query) (any, error) { return h.DeadGroups(ctx, q) })
	add("refusals", refusalQueries(), func(ctx context.Context, q engine.Query) (any, error) {
		list, err := h.Quarantine(ctx, q)
		if err != nil {
			return nil, err
		}
		return shownPage(ctx, engine.Page[engine.RefusalItem]{Items: list}, q, func(r engine.RefusalItem) string { return r.ID }, h.CountRefusals)
	})
	add("groups of refusals", refusalQueries(), func(ctx context.Context, q engine.Query) (any, error) { return h.RefusalGroups(ctx, q) })
	add("audit", auditQueries(), func(ctx context.Context, q engine.Query) (any, error) {
		p, err := h.AuditPage(ctx, q)
		if err != nil {
			return nil, err
		}
		return shownPage(ctx, p, q, func(a engine.AuditEntry) string { return a.Who + " " + a.Action }, h.CountAudit)
	})
	add("lines of events", eventQueries(), func(ctx context.Context, q engine.Query) (any, error) {
		lines, err := h.FeedEvents(ctx, []engine.EventID{laterEvent(1), laterEvent(19), 9}, q)
		return len(lines), err
	})
	add("lines of runs", runQueries(), func(ctx context.Context, q engine.Query) (any, error) {
		lines, err := h.FeedRuns(ctx, []engine.RunID{laterRun(1), laterRun(6), 9}, q, engine.Query{})
		return len(lines), err
	})
	return out
}
