package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
)

// shown is a store whose runs are written one by one.
type shown struct {
	t  *testing.T
	s  *store.Store
	h  *store.History
	at time.Time
	n  int64
}

func openShown(t *testing.T) *shown {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &shown{t: t, s: s, h: s.History(), at: time.Now().UTC().Add(-time.Hour).Truncate(time.Second)}
}

// run stores an event and a run of it that ends, or waits, with some attempts.
func (x *shown) run(workflow string, status engine.RunStatus, failure *plan.Error, records ...*plan.Record) engine.RunID {
	x.t.Helper()
	x.n++
	x.at = x.at.Add(time.Second)
	ctx, id := context.Background(), engine.FirstID(x.at)
	d := &engine.Delivery{Trigger: "shop", Inlet: "webhook", Key: fmt.Sprintf("k-%d", x.n), Type: "order", Time: x.at, ReceivedAt: x.at,
		Raw: []byte("{}"), Dedupe: time.Hour, Proof: engine.ProofOf(engine.BySignature, "S")}
	if _, err := x.s.Accept(ctx, engine.EventID(id), d); err != nil {
		x.t.Fatal(err)
	}
	run := &engine.Run{ID: engine.RunID(id + 1), Event: engine.EventID(id), Workflow: workflow, Version: "v1", Status: status,
		CreatedAt: x.at, StartedAt: x.at, Error: failure, Active: 40 * time.Millisecond}
	if status.Ended() {
		run.FinishedAt = x.at.Add(10 * time.Second)
	}
	for _, r := range records {
		r.Attempt, r.StartedAt = max(r.Attempt, 1), x.at
		if r.Action == "" {
			r.Action = "http/post"
		}
		if r.Status != plan.Waiting && r.Status != plan.Running {
			r.FinishedAt = x.at.Add(time.Second)
		}
	}
	m := engine.Match{Event: run.Event, At: x.at, Decisions: []engine.Decision{{Workflow: workflow, Version: "v1", Outcome: engine.Matched,
		Run: run.ID}}, Starts: []engine.RunUpdate{{Run: run, New: true, Answers: -1, Records: records}}}
	if _, err := x.s.Match(ctx, []engine.Match{m}); err != nil {
		x.t.Fatal(err)
	}
	return run.ID
}

func failed(host, step, code, message string) (*plan.Error, *plan.Record) {
	e := &plan.Error{Message: message, Code: code, Step: step}
	return e, &plan.Record{Path: step, Status: plan.Failed, Error: e, Destination: host}
}

func (x *shown) dead(workflow, host, step, code, message string) engine.RunID {
	e, r := failed(host, step, code, message)
	return x.run(workflow, engine.Failed, e, r)
}

// All dead letters are counted, not those of a page; host and cause tell them apart.
func TestDeadLettersAreCountedByHostAndCause(t *testing.T) {
	x := openShown(t)
	for i := range 30 {
		x.dead("paid", "https://a.example", "ship", "http_status", fmt.Sprintf("order %d answered 503", 10_000+i))
	}
	x.dead("paid", "https://b.example", "ship", "http_status", "order 99999 answered 503")
	x.dead("paid", "https://b.example:8443", "ship", "timeout", "no answer within 3s")
	x.run("paid", engine.Succeeded, nil, &plan.Record{Path: "ship", Status: plan.Succeeded, Destination: "https://c.example"})
	groups, err := x.h.DeadGroups(t.Context(), engine.Query{})
	if err != nil || len(groups) != 3 || groups[0].Count != 30 || groups[0].Host != "https://a.example" || groups[0].Versions["v1"] != 30 ||
		!groups[0].Last.After(groups[0].First) {
		t.Fatalf("%+v %v", groups, err)
	}
	for _, c := range []struct {
		name string
		q    engine.Query
		want int
	}{
		{"all", engine.Query{}, 32}, {"a host", engine.Query{Host: "b.example"}, 1},
		{"a host with its port", engine.Query{Host: "b.example:8443"}, 1},
		{"a host with its scheme", engine.Query{Host: "https://a.example"}, 30},
		{"another scheme", engine.Query{Host: "http://a.example"}, 0}, {"a reason", engine.Query{Reason: "timeout"}, 1},
		{"two reasons", engine.Query{Reason: "timeout,http_status"}, 32},
		{"a status", engine.Query{Status: "timed_out"}, 0}, {"several", engine.Query{Status: "failed, timed_out"}, 32},
		{"text of a host", engine.Query{Grep: "b.example"}, 2},
		{"until", engine.Query{Until: groups[0].First.Add(time.Millisecond)}, 1}, {"since it gave up", engine.Query{Since: x.at}, 10},
	} {
		p := engine.Page[engine.DeadLetter]{}
		list, err := x.h.DeadLetters(t.Context(), func() engine.Query { q := c.q; q.Limit = 1000; return q }())
		if err == nil {
			err = x.h.CountDead(t.Context(), c.q, &p)
		}
		if err != nil || len(list.Items) != c.want || *p.Total != c.want {
			t.Errorf("%s: %d listed, counted %v, %v; want %d", c.name, len(list.Items), p.Total, err, c.want)
		}
	}
}

// A value that nothing can have is an error that lists those that can be.
func TestUnknownFilterValuesAreErrors(t *testing.T) {
	x := openShown(t)
	x.dead("paid", "https://a.example", "ship", "out_of_stock", "none left")
	ctx := t.Context()
	_, runs := x.h.RunPage(ctx, engine.Query{Status: "failed,bogus"})
	_, waits := x.h.RunPage(ctx, engine.Query{WaitsFor: "godot"})
	_, events := x.h.EventPage(ctx, engine.Query{Status: "bogus"})
	_, dead := x.h.DeadLetters(ctx, engine.Query{Status: "succeeded"})
	_, reason := x.h.DeadGroups(ctx, engine.Query{Reason: "no_such"})
	_, refused := x.h.Quarantine(ctx, engine.Query{Reason: "no such"})
	for name, c := range map[string]struct {
		err   error
		known string
	}{"a status of runs": {runs, "timed_out"}, "waits_for": {waits, "approval"}, "a status of events": {events, "rule_failed"},
		"a status of dead letters":       {dead, "rule_failed"},
		"a reason, also those on record": {reason, "out_of_stock"}, "a reason of refusals": {refused, "signature does not match"}} {
		if !errors.Is(c.err, engine.ErrQuery) || !strings.Contains(fmt.Sprint(c.err), c.known) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if _, err := x.h.DeadGroups(ctx, engine.Query{Reason: "timeout,out_of_stock"}); err != nil {
		t.Errorf("reasons that are known: %v", err)
	}
}

// What a run waits for is told by its open steps, and a person comes first.
func TestListsShowWhatRunsWaitFor(t *testing.T) {
	x := openShown(t)
	until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	wait := func(w plan.Wait) *plan.Record {
		return &plan.Record{Path: "w", Action: "wait", Status: plan.Waiting, Waits: []plan.Wait{w}}
	}
	want := map[string]engine.RunID{
		"approval": x.run("w", engine.Waiting, nil, wait(plan.Wait{Kind: plan.WaitApproval, Approval: "Ship?", Until: until}),
			&plan.Record{Path: "s", Action: "sleep", Status: plan.Waiting, Waits: []plan.Wait{{Kind: plan.WaitSleep, Until: until}}}),
		"review": x.run("w", engine.Waiting, nil, &plan.Record{Path: "a", Status: plan.Unknown, Destination: "https://a.example"}),
		"event":  x.run("w", engine.Waiting, nil, wait(plan.Wait{Kind: plan.WaitEvent, Trigger: "bank", Key: "k"})),
		"call":   x.run("w", engine.Waiting, nil, wait(plan.Wait{Kind: plan.WaitCall, Event: "evt_0000000000000001"})),
		"destination": x.run("w", engine.Waiting, nil, &plan.Record{Path: "a", Status: plan.Waiting, Destination: "https://a.example",
			Waits: []plan.Wait{{Kind: plan.WaitDestination, Destination: "it does not answer"}}}),
		"sleep": x.run("w", engine.Waiting, nil, wait(plan.Wait{Kind: plan.WaitSleep, Until: until})),
		"slot":  x.run("w", engine.Queued, nil),
	}
	for kind, id := range want {
		p, err := x.h.RunPage(t.Context(), engine.Query{WaitsFor: kind})
		if err != nil || len(p.Items) != 1 || p.Items[0].ID != id.String() || p.Items[0].WaitsFor != kind {
			t.Errorf("%s: %+v %v", kind, p.Items, err)
		}
	}
	if p, err := x.h.RunPage(t.Context(), engine.Query{WaitsFor: "destination", Host: "a.example"}); err != nil || len(p.Items) != 1 ||
		p.Items[0].Host != "https://a.example" {
		t.Errorf("by host: %+v %v", p.Items, err)
	}
	both := engine.Page[engine.RunItem]{}
	if err := x.h.CountRuns(t.Context(), engine.Query{WaitsFor: "approval,review"}, &both); err != nil || *both.Total != 2 {
		t.Errorf("waiting for people: %v %v", both.Total, err)
	}
	if n, err := x.h.NeedsPeople(t.Context()); err != nil || n != 2 {
		t.Errorf("the inbox counts %d %v", n, err)
	}
}

// An attempt that waited for its destination has not worked meanwhile, and a step that
// waits has not worked at all.
func TestWaitingTimeIsNotWorkingTime(t *testing.T) {
	x := openShown(t)
	id := x.run("w", engine.Running, nil, &plan.Record{Path: "call", Status: plan.Waiting, Destination: "https://a.example",
		Waits: []plan.Wait{{Kind: plan.WaitDestination, Destination: "busy"}}},
		&plan.Record{Path: "ask", Action: "wait", Status: plan.Waiting, Waits: []plan.Wait{{Kind: plan.WaitApproval, Approval: "?"}}})
	run, err := x.s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	settle := func(records ...*plan.Record) {
		t.Helper()
		if _, err := x.s.CommitRun(t.Context(), engine.RunUpdate{Run: run, Answers: -1, Records: records}); err != nil {
			t.Fatal(err)
		}
	}
	sent, ended := x.at.Add(30*time.Second), x.at.Add(30*time.Second+22*time.Millisecond)
	settle(&plan.Record{Path: "call", Attempt: 1, Action: "http/post", Status: plan.Running, StartedAt: sent,
		Destination: "https://a.example"})
	run.Status, run.FinishedAt, run.Active = engine.Succeeded, ended, 50*time.Millisecond
	settle(&plan.Record{Path: "call", Attempt: 1, Action: "http/post", Status: plan.Succeeded, StartedAt: sent, FinishedAt: ended,
		Destination: "https://a.example"},
		&plan.Record{Path: "ask", Attempt: 1, Action: "wait", Status: plan.Succeeded, StartedAt: x.at, FinishedAt: ended})
	d, err := x.h.RunDetail(t.Context(), id)
	if err != nil || len(d.Steps) != 2 {
		t.Fatalf("%+v %v", d, err)
	}
	if s := d.Steps[0]; s.WaitedMS != 30_000 || s.WorkedMS != 22 || s.Destination != "https://a.example" {
		t.Errorf("the call: %+v", s)
	}
	if s := d.Steps[1]; s.WaitedMS != 30_022 || s.WorkedMS != 0 {
		t.Errorf("the approval: %+v", s)
	}
	if d.WorkedMS != 50 || d.WaitedMS != 29_972 {
		t.Errorf("the run: %d at work, %d waiting", d.WorkedMS, d.WaitedMS)
	}
	stats, err := x.h.WorkflowStats(t.Context(), x.at.Add(-time.Hour))
	if w := stats["w"]; err != nil || w.Worked.P50 != 0.05 || w.Waited.P50 != 29.972 {
		t.Errorf("%+v %v", w, err)
	}
	times, err := x.h.HostTimes(t.Context(), "a.example")
	if err != nil || times.Attempts != 1 || times.Worked.P50 != 0.022 || times.Waited.P50 != 30 {
		t.Errorf("%+v %v", times, err)
	}
}

// Success is over what ended, and nothing else.
func TestSuccessRateCountsEndedRunsOnly(t *testing.T) {
	for _, c := range []struct {
		s    engine.WorkflowStats
		want string
	}{{engine.WorkflowStats{}, "none"}, {engine.WorkflowStats{Runs: 38, Open: 38}, "none"},
		{engine.WorkflowStats{Runs: 3, Cancelled: 3}, "none"},
		{engine.WorkflowStats{Runs: 4, Failed: 1, Open: 2}, "0.50"}, {engine.WorkflowStats{Runs: 4, Failed: 1, Cancelled: 1, Open: 1}, "0.50"},
		{engine.WorkflowStats{Runs: 2}, "1.00"}} {
		got := "none"
		if share, ok := c.s.Success(); ok {
			got = fmt.Sprintf("%.2f", share)
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.s, got, c.want)
		}
	}
}

func TestSearchFindsIds(t *testing.T) {
	x := openShown(t)
	id := x.dead("paid", "", "a", "fail", "x")
	x.run("paid", engine.Succeeded, nil)
	item, err := x.h.RunOne(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{item.ID, item.Event} {
		runs, rerr := x.h.RunPage(t.Context(), engine.Query{Grep: text})
		events, eerr := x.h.EventPage(t.Context(), engine.Query{Grep: text})
		dead, derr := x.h.DeadLetters(t.Context(), engine.Query{Grep: text})
		if err := errors.Join(rerr, eerr, derr); err != nil || len(runs.Items) != 1 || len(events.Items) != 1 ||
			events.Items[0].ID != item.Event || len(dead.Items) != 1 {
			t.Errorf("%s: %d runs, %d events, %d dead letters, %v", text, len(runs.Items), len(events.Items), len(dead.Items), err)
		}
	}
}

// A reader whose cursor is older than the feed hears of runs of old that have ended since.
func TestMissedChangesAreFoundByTheirTime(t *testing.T) {
	x := openShown(t)
	old := x.run("w", engine.Waiting, nil)
	x.run("w", engine.Succeeded, nil)
	x.at = time.Now().UTC().Add(-2 * time.Minute)
	mark := engine.Cursor(engine.FirstID(x.at.Add(time.Minute)))
	if list, _, err := x.h.MissedChanges(t.Context(), mark); err != nil || len(list) != 0 {
		t.Fatalf("%v %v", list, err)
	}
	if _, _, _, err := x.s.Cancel(t.Context(), &engine.Run{ID: old, FinishedAt: time.Now().UTC()}, nil); err != nil {
		t.Fatal(err)
	}
	x.at = time.Now().UTC()
	fresh := x.run("w", engine.Succeeded, nil)
	list, end, err := x.h.MissedChanges(t.Context(), mark)
	want := []engine.FeedChange{{Run: old, Status: engine.Cancelled}, {Event: engine.EventID(fresh - 1)},
		{Run: fresh, Status: engine.Succeeded}}
	if err != nil || !slices.Equal(list, want) {
		t.Errorf("%v %v, want %v", list, err, want)
	}
	if now, err := x.h.FeedEnd(t.Context()); err != nil || now != end {
		t.Errorf("it ends at %s, the feed at %s: %v", end, now, err)
	}
}

// TestABodyIsShownInUTF8: the API's responses are JSON, which is UTF-8 (RFC 8259, 8.1), also if the
// bytes that came are not.
func TestABodyIsShownInUTF8(t *testing.T) {
	x := openShown(t)
	for i, c := range []struct{ contentType, raw, want string }{
		{"application/json", `{"a":"ü"}`, `{"a":"ü"}`},
		{"application/json", "{\"a\":\"H\xe8llo\"}", "{\"a\":\"H\ufffdllo\"}"},
		{"application/json; charset=iso-8859-1", "{\"a\":\"H\xe8llo\"}", `{"a":"Hèllo"}`},
		{"application/json", "{\"\xe8\":1,\"n\":12345678901234567890123}", "{\"\ufffd\":1,\"n\":12345678901234567890123}"},
		{"application/json", "\"\xff\xfe\"", "\"\ufffd\""},
		{"", "{\"a\":\"\xed\xa0\x80\"}", ""},
		{"image/png", "\x89PNG", `"4 bytes that are not text"`},
	} {
		d := &engine.Delivery{Trigger: "shop", Inlet: "webhook", Key: fmt.Sprint(i), Type: "order", Time: x.at, ReceivedAt: x.at,
			Raw: []byte(c.raw), Headers: map[string]string{"content-type": c.contentType}, Dedupe: time.Hour}
		id := engine.EventID(engine.FirstID(x.at.Add(time.Duration(i) * time.Second)))
		if _, err := x.s.Accept(t.Context(), id, d); err != nil {
			t.Fatal(err)
		}
		got, err := x.h.EventDetail(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if body := got.Body; !utf8.Valid(body) || !json.Valid(body) || c.want != "" && string(body) != c.want {
			t.Errorf("%q as %q is shown as %q, expected %q", c.raw, c.contentType, body, c.want)
		}
	}
}
