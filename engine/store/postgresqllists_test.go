package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// listed is the time of everything in listedHistory.
var listed = time.Date(2026, 5, 1, 10, 0, 0, 7e6, time.UTC)

func listedID(n int64) int64 { return engine.FirstID(listed) + n }

// listedHistory stores events, decisions and runs of each status.
func listedHistory(t *testing.T, s *store.Store) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range int64(8) {
		d := delivery([]string{"shop", "pay"}[n%2], fmt.Sprint("Order-", n))
		d.Time, d.ReceivedAt, d.Raw = listed, listed, fmt.Appendf(nil, `{"n":%d,"text":"Żółw 50%%_"}`, n)
		if n == 6 {
			d.Key, d.Path, d.Raw = "nul\x00\xff", "/hooks/\xfe", []byte("\xff\x00 no text")
		}
		_, err := s.Accept(ctx, engine.EventID(listedID(n)), d)
		must(err)
		at := listed
		run := &engine.Run{ID: engine.RunID(listedID(100 + n)), Event: engine.EventID(listedID(n)), Workflow: fmt.Sprint("w", n%3), Version: "v1",
			CreatedAt: at, StartedAt: at, Active: time.Second}
		rec := &plan.Record{Path: "send", Attempt: 1, Action: "http/post", Status: plan.Succeeded, StartedAt: at, FinishedAt: at.Add(time.Second),
			Destination: "https://api.example", Input: map[string]any{"a": 1}, Output: map[string]any{"b": "\x00 and é \\u0000"}}
		switch n {
		case 0, 6:
			run.Status, run.FinishedAt, run.Output = engine.Succeeded, at.Add(5*time.Second), map[string]any{"ok": true}
		case 1, 2:
			run.Status, run.FinishedAt = engine.Failed, at.Add(time.Second)
			run.Error = &plan.Error{Message: "HTTP 500 \x00", Code: "http_status", Step: "send", Status: 500, Attempts: 2}
			rec.Status, rec.Error, rec.Output = plan.Failed, run.Error, nil
		case 3:
			run.Status, run.DueAt, rec.Status, rec.FinishedAt, rec.Output = engine.Waiting, time.Time{}, plan.Waiting, time.Time{}, nil
			rec.Waits = []plan.Wait{{Kind: plan.WaitApproval, Approval: "Ship?", By: []string{"ada"}}}
		case 4:
			run.Status, run.StartedAt, run.DueAt, rec = engine.Queued, time.Time{}, at, nil
		case 5:
			run.Status, run.FinishedAt, run.Error = engine.TimedOut, at, &plan.Error{Message: "too long", Code: "timeout"}
		}
		m := engine.Match{Event: run.Event, At: at, Decisions: []engine.Decision{{Workflow: run.Workflow, Version: "v1", Outcome: engine.Matched,
			Run: run.ID}, {Workflow: "other", Version: "v1", Outcome: engine.RuleFailed, Reason: "it is text"}}}
		if n == 7 {
			m.Decisions = []engine.Decision{{Workflow: "other", Version: "v1", Outcome: engine.Held}}
		} else {
			u := engine.RunUpdate{Run: run, New: true, Answers: -1}
			if rec != nil {
				u.Records = []*plan.Record{rec}
			}
			m.Starts = []engine.RunUpdate{u}
		}
		_, err = s.Match(ctx, []engine.Match{m})
		must(err)
		must(s.Refuse(ctx, engine.Refusal{At: at, Trigger: d.Trigger, Reason: "signature", Detail: fmt.Sprint("detail ", n), Method: "POST",
			Path: d.Path, Body: d.Raw, Size: len(d.Raw), Headers: map[string]string{"x": "1"}}))
		must(s.Audit(ctx, engine.AuditEntry{At: at, Who: "ada", Action: "run.replay", Target: run.ID.String(), Status: 201, Detail: "d"}))
		_, err = s.ChangeValue(ctx, engine.ValueChange{ValueRef: engine.ValueRef{Workflow: run.Workflow, Key: d.Key}, Kind: engine.ValueSet,
			Value: fmt.Sprint(n), Now: at, MaxKeys: 100, MaxBytes: 10_000})
		must(err)
	}
	must(s.SaveFile(ctx, "w1", "abc123", []byte("text")))
}

// volatile are the parts of lists that depend on the moment, or on the kind of database.
var volatile = regexp.MustCompile(`"(waited_ms|worked_ms|LastAt|last_at|instance|DatabaseBytes|WALBytes|database_bytes|wal_bytes)":` +
	`("[^"]*"|-?\d+)`)

// TestListsAreTheSameOnBothDatabases reads every list with every filter on SQLite and on PostgreSQL.
func TestListsAreTheSameOnBothDatabases(t *testing.T) {
	t.Parallel()
	lite := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	server := open(t, postgrestest.Shared(t).Database(t), store.Options{})
	listedHistory(t, lite)
	listedHistory(t, server)
	queries := []engine.Query{{}, {Ascending: true, Limit: 3}, {Trigger: "shop"}, {Workflow: "w1"}, {Type: "t"},
		{Since: listed, Until: listed.Add(time.Hour)},
		{Grep: "order-1"}, {Grep: "ŻÓŁW"}, {Grep: "żółw 50%_"}, {Grep: "http 500"}, {Grep: engine.RunID(listedID(101)).String()},
		{Grep: engine.EventID(listedID(1)).String()}, {Host: "api.example"}, {Event: engine.EventID(listedID(1)).String()},
		{WaitsFor: "approval"},
		{WaitsFor: "slot,retry,approval"}, {Who: "ada", Action: "run.replay"}, {Reason: "http_status"}, {DeadOnly: true},
		{DeadOnly: true, Host: "api.example"}, {DeadOnly: true, Since: listed}, {Trigger: "pay", Type: "t", Grep: "detail"}}
	for _, status := range append([]string{"pending", "matched", "unmatched", "held,rule_failed", "by-content", "repeated-body", "conflicting",
		"invalid", "unreadable", "failed,timed_out", "queued,waiting", "signature"}, engine.RunStatuses...) {
		queries = append(queries, engine.Query{Status: status})
	}
	for _, q := range queries {
		for name, read := range listReaders {
			want, got := readList(t, lite, q, read), readList(t, server, q, read)
			if got != want {
				t.Errorf("%s of %+v\n SQLite     %.1500s\n PostgreSQL %.1500s", name, q, want, got)
			}
		}
	}
}

// TestTotalOfAPageEqualsItsList counts lists with their pages, which may show all items, and without.
func TestTotalOfAPageEqualsItsList(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	listedHistory(t, s)
	h := s.History()
	first := engine.Query{Limit: 1, Grep: "o"}
	page, err := h.EventPage(ctx, first)
	if err != nil || page.Next == "" {
		t.Fatal(page, err)
	}
	for _, q := range []engine.Query{{}, {Grep: "order-1"}, {Grep: "nowhere"}, {Trigger: "shop", Limit: 1}, {Workflow: "w1"}, {Limit: 8},
		{Ascending: true, Grep: "o"}, first, {Limit: 1, Grep: "o", After: page.Next}, {Type: "t", After: page.Next}} {
		var events, none engine.Page[engine.EventItem]
		events, err := h.EventPage(ctx, q)
		for _, p := range []*engine.Page[engine.EventItem]{&events, &none} {
			if err == nil {
				err = h.CountEvents(ctx, q, p)
			}
		}
		if err != nil || *events.Total != *none.Total || events.TotalMore != none.TotalMore {
			t.Errorf("%+v: total %v %v of the page, %v %v of the list: %v", q, *events.Total, events.TotalMore, *none.Total, none.TotalMore, err)
		}
	}
	older := engine.Page[engine.RunItem]{Items: []engine.RunItem{}, Next: "run_0000000000000001", SearchedTo: &listed}
	if err := h.CountRuns(ctx, engine.Query{Grep: "nowhere"}, &older); err != nil || *older.Total != 0 || !older.TotalMore {
		t.Errorf("a search that has paused: %+v %v", older, err)
	}
}

// readList returns a list as JSON, or its error where the query is refused.
func readList(t *testing.T, s *store.Store, q engine.Query, read func(context.Context, *store.Store, engine.Query) (any, error)) string {
	t.Helper()
	v, err := read(ctx, s, q)
	if err != nil {
		return "error: " + err.Error()
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return volatile.ReplaceAllString(string(b), `"$1":0`)
}

var listReaders = map[string]func(context.Context, *store.Store, engine.Query) (any, error){
	"events": func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		return s.History().EventPage(ctx, q)
	},
	"runs": func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		return s.History().RunPage(ctx, q)
	},
	"dead": func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		return s.History().DeadLetters(ctx, q)
	},
	"groups": func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		return s.History().DeadGroups(ctx, q)
	},
	"refusals": func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		return s.History().Quarantine(ctx, q)
	},
	"refusal groups": func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		return s.History().RefusalGroups(ctx, q)
	},
	"audit": func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		return s.History().AuditPage(ctx, q)
	},
	"totals": func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		h := s.History()
		var events engine.Page[engine.EventItem]
		var runs engine.Page[engine.RunItem]
		var refusals engine.Page[engine.RefusalItem]
		for _, err := range []error{h.CountEvents(ctx, q, &events), h.CountRuns(ctx, q, &runs), h.CountRefusals(ctx, q, &refusals)} {
			if err != nil {
				return err.Error(), nil
			}
		}
		return []any{events, runs, refusals}, nil
	},
	"feed lines": func(ctx context.Context, s *store.Store, q engine.Query) (any, error) {
		events, err := s.History().FeedEvents(ctx, []engine.EventID{engine.EventID(listedID(1)), engine.EventID(listedID(6))}, q)
		if err != nil {
			return nil, err
		}
		runs, err := s.History().FeedRuns(ctx, []engine.RunID{engine.RunID(listedID(101))}, q, engine.Query{})
		return []any{events, runs}, err
	},
}

// TestDetailsAreTheSameOnBothDatabases reads everything else.
func TestDetailsAreTheSameOnBothDatabases(t *testing.T) {
	t.Parallel()
	lite := open(t, filepath.Join(t.TempDir(), "x.db"), store.Options{})
	server := open(t, postgrestest.Shared(t).Database(t), store.Options{})
	listedHistory(t, lite)
	listedHistory(t, server)
	for name, read := range detailReaders {
		q := engine.Query{}
		want, got := readList(t, lite, q, read), readList(t, server, q, read)
		if got != want {
			t.Errorf("%s\n SQLite     %.2500s\n PostgreSQL %.2500s", name, want, got)
		}
	}
}

var detailReaders = map[string]func(context.Context, *store.Store, engine.Query) (any, error){
	"event and run details": func(ctx context.Context, s *store.Store, _ engine.Query) (any, error) {
		var out []any
		for n := range int64(8) {
			ev, err := s.History().EventDetail(ctx, engine.EventID(listedID(n)))
			if err != nil {
				return nil, err
			}
			run, err := s.History().RunDetail(ctx, engine.RunID(listedID(100+n)))
			if err != nil && n < 7 {
				return nil, err
			}
			loaded, err := s.LoadRun(ctx, engine.RunID(listedID(100+n)))
			if err != nil && n < 7 {
				return nil, err
			}
			out = append(out, ev, run, loaded)
		}
		return out, nil
	},
	"statistics": func(ctx context.Context, s *store.Store, _ engine.Query) (any, error) {
		h := s.History()
		standing, e1 := h.CurrentState(ctx)
		activity, e2 := h.Activity(ctx, listed.Add(-time.Hour), time.Hour, 3)
		trigger, e3 := h.TriggerStats(ctx, "shop", listed.Add(-time.Hour))
		flows, e4 := h.WorkflowStats(ctx, listed.Add(-time.Hour))
		times, e5 := h.HostTimes(ctx, "api.example")
		hosts, e6 := h.FailedHosts(ctx)
		has, e7 := h.HasHost(ctx, "api.example")
		counts, e8 := h.Counts(ctx)
		return []any{standing, activity, trigger, flows, times, hosts, has, counts, fmt.Sprint(e1, e2, e3, e4, e5, e6, e7, e8)}, nil
	},
	"names and versions": func(ctx context.Context, s *store.Store, _ engine.Query) (any, error) {
		h := s.History()
		known, e1 := h.HasName(ctx, "w1", "shop")
		versions, e2 := h.Versions(ctx, "w1")
		for i := range versions {
			versions[i].FirstAt = time.Time{}
		}
		version, workflow, e3 := h.VersionOf(ctx, "abc")
		open, e4 := h.OpenVersions(ctx)
		waits, e5 := h.AwaitedTriggers(ctx)
		files, e6 := h.ProjectFiles(ctx)
		tokens, e7 := h.Tokens(ctx)
		doubts, e8 := h.InDoubt(ctx, []string{engine.RunID(listedID(101)).String()})
		mark, e9 := h.RunMark(ctx, engine.RunID(listedID(101)))
		return []any{known, versions, version, workflow, open, waits, files, tokens, doubts, mark, fmt.Sprint(e1, e2, e3, e4, e5, e6, e7, e8,
			e9)}, nil
	},
	"values": func(ctx context.Context, s *store.Store, _ engine.Query) (any, error) {
		all, e1 := s.History().Values(ctx, engine.ValueQuery{Now: listed})
		some, e2 := s.History().Values(ctx, engine.ValueQuery{Now: listed, Q: "Order", Workflow: "w1"})
		project, e3 := s.History().Values(ctx, engine.ValueQuery{Now: listed, Project: true})
		return []any{all, some, project, fmt.Sprint(e1, e2, e3)}, nil
	},
	"recorded events": func(ctx context.Context, s *store.Store, _ engine.Query) (any, error) {
		page, err := s.History().RecordedPage(ctx, engine.RecordedQuery{Limit: 10})
		var lines []string
		for _, e := range page {
			lines = append(lines, fmt.Sprint(e.Event.ID, e.Pending, len(e.Decisions), len(e.Runs), e.Event.Locked))
		}
		return lines, err
	},
	"work": func(ctx context.Context, s *store.Store, _ engine.Query) (any, error) {
		large, e1 := s.Large(ctx, 1)
		few, alone, e2 := s.Suspects(ctx)
		list, e3 := s.Undone(ctx, []string{"shop", "pay"}, 0, engine.EventID(listedID(99)), 10)
		n, e4 := s.CountEvents(ctx, []string{"shop", "pay"}, 0, engine.EventID(listedID(99)))
		done, e5 := s.DoneSteps(ctx, engine.EventID(listedID(0)), "w0")
		gone, _, e6 := s.History().MissedChanges(ctx, engine.Cursor(listedID(0)))
		resumed, e7 := s.ResumeHeld(ctx, "https://api.example", listed)
		return []any{large, few, alone, list, n, done, gone, resumed, fmt.Sprint(e1, e2, e3, e4, e5, e6, e7)}, nil
	},
}
