package store_test

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
)

// longRead is a list, a detail, a total or a chart that people look at. It returns the number of its items.
type longRead struct {
	name string
	read func(context.Context, *store.History) (int, error)
}

// longPage is a page of a list, and the number of items on all pages, as the console shows them.
func longPage[T any](name string, get func(*store.History, context.Context, engine.Query) (engine.Page[T], error),
	count func(*store.History, context.Context, engine.Query, *engine.Page[T]) error) func(string, engine.Query) longRead {
	return func(filter string, q engine.Query) longRead {
		return longRead{name + ": " + filter, func(ctx context.Context, h *store.History) (int, error) {
			p, err := get(h, ctx, q)
			if err == nil {
				err = count(h, ctx, q, &p)
			}
			return len(p.Items), err
		}}
	}
}

// longLists are the pages of all lists, for a history of at most 30 days that ends now.
func longLists(now time.Time, middle engine.RunID) []longRead {
	day := now.Add(-24 * time.Hour)
	runs := longPage("runs", (*store.History).RunPage, (*store.History).CountRuns)
	events := longPage("events", (*store.History).EventPage, (*store.History).CountEvents)
	refused := longPage("refused deliveries", func(h *store.History, ctx context.Context,
		q engine.Query) (engine.Page[engine.RefusalItem], error) {
		items, err := h.Quarantine(ctx, q)
		return engine.Page[engine.RefusalItem]{Items: items}, err
	}, (*store.History).CountRefusals)
	audit := longPage("actions of people", (*store.History).AuditPage, (*store.History).CountAudit)
	dead := longPage("dead letters", (*store.History).DeadLetters, (*store.History).CountDead)
	out := []longRead{
		runs("newest", engine.Query{}), runs("oldest", engine.Query{Ascending: true}), runs("middle", engine.Query{After: middle.String()}),
		runs("failed", engine.Query{Status: "failed"}), runs("cancelled", engine.Query{Status: "cancelled"}),
		runs("failed or timed out", engine.Query{Status: "failed,timed_out"}), runs("waiting", engine.Query{Status: "waiting"}),
		runs("running", engine.Query{Status: "running"}), runs("succeeded", engine.Query{Status: "succeeded"}),
		runs("of a workflow", engine.Query{Workflow: "fail"}), runs("of a trigger", engine.Query{Trigger: "pay"}),
		runs("search without result", engine.Query{Grep: "nowhere"}), runs("of a host", engine.Query{Host: "api.example.com"}),
		runs("of an unknown host", engine.Query{Host: "no.example.com"}), runs("of a reason", engine.Query{Reason: "http_status"}),
		runs("since a day", engine.Query{Since: day}), runs("until two months ago", engine.Query{Until: now.Add(-60 * 24 * time.Hour)}),
		events("newest", engine.Query{}), events("of a trigger", engine.Query{Trigger: "pay"}),
		events("of a type", engine.Query{Type: "gone"}), events("of an unknown type", engine.Query{Type: "none"}),
		events("search without result", engine.Query{Grep: "nowhere"}), events("unmatched", engine.Query{Status: "unmatched"}),
		events("pending", engine.Query{Status: "pending"}), events("failed rules", engine.Query{Status: "rule_failed"}),
		events("of a workflow", engine.Query{Workflow: "fail"}), events("of a day", engine.Query{Since: day}),
		refused("newest", engine.Query{}), audit("newest", engine.Query{}), audit("of a person", engine.Query{Who: "ada"}),
		dead("newest", engine.Query{}), dead("of a workflow", engine.Query{Workflow: "fail"}),
		dead("of a host", engine.Query{Host: "api.example.com"}),
	}
	for name, q := range map[string]engine.Query{"all": {}, "of a workflow": {Workflow: "fail"},
		"of a week": {Since: now.Add(-7 * 24 * time.Hour)}, "of a host": {Host: "api.example.com"}, "of a reason": {Reason: "http_status"},
		"of a trigger": {Trigger: "shop"}} {
		out = append(out, longRead{"dead letters by cause: " + name, func(ctx context.Context, h *store.History) (n int, err error) {
			groups, err := h.DeadGroups(ctx, q)
			for _, g := range groups {
				n += g.Count
			}
			return n, err
		}})
	}
	return out
}

// longCharts are charts and statistics.
func longCharts(now time.Time) []longRead {
	day, month := now.Add(-24*time.Hour), now.Add(-30*24*time.Hour)
	chart := func(name string, step time.Duration, n int) longRead {
		return longRead{"chart: " + name, func(ctx context.Context, h *store.History) (int, error) {
			buckets, err := h.Activity(ctx, now.UTC().Truncate(step).Add(-time.Duration(n-1)*step), step, n)
			return len(buckets), err
		}}
	}
	trigger := func(name string, since time.Time) longRead {
		return longRead{"trigger, " + name, func(ctx context.Context, h *store.History) (int, error) {
			s, err := h.TriggerStats(ctx, "shop", since)
			return s.Events, err
		}}
	}
	flows := func(name string, since time.Time) longRead {
		return longRead{"workflows, " + name, func(ctx context.Context, h *store.History) (int, error) {
			s, err := h.WorkflowStats(ctx, since)
			return len(s), err
		}}
	}
	return []longRead{
		chart("a day by hours", time.Hour, 24), chart("a week by hours", time.Hour, 168), chart("30 days by days", 24*time.Hour, 30),
		chart("30 days by hours", time.Hour, 720), chart("an hour by minutes", time.Minute, 60),
		trigger("a day", day), trigger("30 days", month), flows("a day", day), flows("30 days", month),
		{"current state", func(ctx context.Context, h *store.History) (int, error) {
			s, err := h.CurrentState(ctx)
			return s.DeadLetters, err
		}},
		{"open rows", func(ctx context.Context, h *store.History) (int, error) {
			c, err := h.Counts(ctx)
			return c.Open, err
		}},
		{"compare, a day", func(ctx context.Context, h *store.History) (int, error) {
			s, err := h.Sightings(ctx, "shop", day)
			return engine.Compare("shop", day, now, s).Both, err
		}},
		{"learned gap", func(ctx context.Context, h *store.History) (int, error) {
			_, err := h.LearnedGap(ctx, "shop")
			return 1, err
		}},
		{"refused deliveries by cause", func(ctx context.Context, h *store.History) (int, error) {
			g, err := h.RefusalGroups(ctx, engine.Query{})
			return len(g), err
		}},
	}
}

// longDetails are the pages of single runs, events, hosts and workflows.
func longDetails(middle engine.RunID, last engine.EventID) []longRead {
	return []longRead{
		{"a run", func(ctx context.Context, h *store.History) (int, error) {
			d, err := h.RunDetail(ctx, middle)
			if err != nil {
				return 0, err
			}
			return len(d.Steps), nil
		}},
		{"an event", func(ctx context.Context, h *store.History) (int, error) {
			d, err := h.EventDetail(ctx, last)
			if err != nil {
				return 0, err
			}
			return len(d.Key), nil
		}},
		{"failed hosts", func(ctx context.Context, h *store.History) (int, error) {
			hosts, err := h.FailedHosts(ctx)
			return len(hosts), err
		}},
		{"a host", func(ctx context.Context, h *store.History) (int, error) {
			x, err := h.HostTimes(ctx, "api.example.com")
			return x.Attempts, err
		}},
		{"an unknown host", func(ctx context.Context, h *store.History) (int, error) {
			found, err := h.HasHost(ctx, "no.example.com")
			if found {
				err = errors.Join(err, errors.New("found"))
			}
			return 0, err
		}},
		{"missed events", func(ctx context.Context, h *store.History) (int, error) {
			_, err := h.Missed(ctx, "pay")
			return 1, err
		}},
		{"open versions", func(ctx context.Context, h *store.History) (int, error) {
			v, err := h.OpenVersions(ctx)
			return len(v), err
		}},
	}
}
