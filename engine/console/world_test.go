package console_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/projecttest"
)

// world is a store with one of each thing that the console shows, a project, and the console's options.
// It is made in a synctest bubble, so that all times are the same in each test run.
type world struct {
	t        *testing.T
	now      time.Time
	store    *store.Store
	operator *recordingOperator
	o        console.Options
	p        *workflows.Project
	n        int64
	// names are those of the runs and events, groups that of a dead letter's group.
	names, groups *strings.Replacer
	naming        sync.Once // of names: pages are read at the same time
}

const projectYAML = `server: {public_url: https://hooks.example/}
triggers:
  shop: {webhook: {auth: none, key: body.id, expect: {within: 1h}}}
  feed: {webhook: {auth: none, key: body.id, expect: {within: learned}}}
  quiet: {webhook: {auth: none, key: body.id, expect: {within: 2h}}}
`

const ordersYAML = `name: Orders to the warehouse
description: Ships paid orders.
on: [shop, manual]
when: event.data.amount > 1
concurrency: {group: one}
inputs:
  amount: {type: integer, min: 1, max: 500, required: true}
  note: {type: string, default: none}
steps:
  - id: pack
    sleep: 5s
  - id: check
    if: event.data.amount > 100
    steps: [{id: ask, wait: {approval: "Ship it?"}, timeout: 1h}]
    else: [{sleep: 1m}]
  - id: items
    foreach: event.data.items
    steps: [{id: one, sleep: 1s}]
  - id: both
    parallel: [{sleep: 1m}, {id: paid, wait: {any: [{event: feed, key: event.key}, {approval: "Paid?"}]}, timeout: 1h}]
  - id: kind
    switch: event.data.kind
    cases: {a/b: [{sleep: 1s}]}
    default: [{sleep: 1s}]
  - id: call
    call: billing/refund
    on_failure: [{sleep: 1s}]
on_failure: [{sleep: 1s}]
finally: [{id: tidy, sleep: 1s}]
`

const refundYAML = `on: [manual, call]
inputs: {card: {type: string, secret: true}, full: {type: boolean}, kind: {type: string, options: [late, broken]}, lines: {type: list}}
steps: [{id: log, sleep: 1s}]
`

// at is a time so long ago.
func (w *world) at(ago time.Duration) time.Time { return w.now.Add(-ago) }

// id is the next id of a time so long ago.
func (w *world) id(ago time.Duration) int64 {
	w.n++
	return engine.FirstID(w.at(ago)) + w.n
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newWorld must be called in a bubble.
func newWorld(t *testing.T) *world {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 5, 2, 10, 7, 30, 0, time.UTC)))
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, now: time.Now().UTC(), store: s, operator: &recordingOperator{operator: &operator{}}}
	w.p = projecttest.Load(t, map[string]string{
		"hookloom.yaml":                 projectYAML,
		"workflows/orders.yaml":         ordersYAML,
		"workflows/billing/refund.yaml": refundYAML,
		"workflows/quiet.yaml":          "on: quiet\nenabled: false\nsteps: [{sleep: 1s}]\n",
		"workflows/paused.yaml":         "name: Paused\non: shop\nsteps: [{sleep: 1s}]\n",
	}, workflows.Catalog{})
	w.p.Triggers["feed"].Poll = &workflows.Poll{}
	w.operator.w = w
	w.o = console.Options{Loopback: true, Log: s.History(), Operator: w.operator, Project: func() *workflows.Project { return w.p },
		Logger: slog.New(slog.DiscardHandler), HooksURL: "http://127.0.0.1:8080/",
		Ready: func() console.Readiness { return console.Readiness{} }}
	w.addEvents()
	w.addRuns()
	w.addRest()
	return w
}

// event stores an event of a trigger with its decisions.
func (w *world) event(trigger, key, kind string, ago time.Duration, data any, decisions []engine.Decision,
	starts ...engine.RunUpdate) engine.EventID {
	w.t.Helper()
	raw, err := json.Marshal(data)
	w.must(err)
	id := engine.EventID(w.id(ago))
	d := &engine.Delivery{Trigger: trigger, Inlet: workflows.InletWebhook, Key: key, Type: kind, Time: w.at(ago + 3*time.Second),
		ReceivedAt: w.at(ago), Raw: raw, Method: "POST", Path: "/hooks/" + trigger,
		Headers: map[string]string{"content-type": "application/json"},
		Query:   map[string]string{"shop": "1"}, Dedupe: time.Hour}
	_, err = w.store.Accept(w.t.Context(), id, d)
	w.must(err)
	if decisions == nil && starts == nil {
		return id
	}
	for i := range starts {
		starts[i].Run.Event = id
	}
	_, err = w.store.Match(w.t.Context(), []engine.Match{{Event: id, At: w.at(ago), Decisions: decisions, Starts: starts}})
	w.must(err)
	return id
}

func (w *world) addEvents() {
	yes, no := true, false
	conditions := []engine.Condition{{Expr: "event.data.amount > 1", Result: &yes, Values: map[string]any{"event.data.amount": 9}},
		{Expr: "event.data.kind == 'x'", Result: &no}, {Expr: "later()"}, {Expr: "bad()", Error: "no such function"}}
	v := w.p.Workflows["orders"].Version
	w.operator.conflicting = w.event("shop", "k-filtered", "order.paid", 50*time.Minute, map[string]any{"amount": 1}, []engine.Decision{
		{Workflow: "orders", Version: v, Outcome: engine.Filtered, Conditions: conditions[:2], Reason: "event.data.amount > 1 is false"},
		{Workflow: "paused", Version: "p", Outcome: engine.Disabled, Reason: "the workflow is switched off"},
		{Workflow: "quiet", Version: "q", Outcome: engine.RuleFailed, Conditions: conditions[3:], Reason: "no such function"}})
	w.operator.filtered = w.event("shop", "k-only-filtered", "order.made", 49*time.Minute, map[string]any{"amount": 1}, []engine.Decision{
		{Workflow: "orders", Version: v, Outcome: engine.Filtered, Conditions: conditions[:2],
			Reason: "event.data.amount > 1 is false"}})
	w.event("shop", "k-pending", "order.paid", 2*time.Minute, map[string]any{"amount": 3}, nil)
	w.event("quiet", "k-none", "tick", 3*time.Hour, "plain text", []engine.Decision{})
	again := &engine.Delivery{Trigger: "shop", Inlet: workflows.InletWebhook, Key: "k-filtered", Type: "order.paid", Time: w.at(0),
		ReceivedAt: w.at(40 * time.Minute), Raw: []byte(`{"amount":2}`), Dedupe: time.Hour}
	_, err := w.store.Accept(w.t.Context(), engine.EventID(w.id(40*time.Minute)), again)
	w.must(err)
	same := *again
	same.ReceivedAt, same.Raw = w.at(39*time.Minute), []byte(`{"amount":1}`)
	_, err = w.store.Accept(w.t.Context(), engine.EventID(w.id(39*time.Minute)), &same)
	w.must(err)
}

// run stores a run of the workflow orders in a state, and returns its id.
func (w *world) run(status engine.RunStatus, ago time.Duration, change func(*engine.Run), records ...*plan.Record) engine.RunID {
	w.t.Helper()
	r := &engine.Run{ID: engine.RunID(w.id(ago)), Workflow: "orders", Version: w.p.Workflows["orders"].Version, Status: status,
		CreatedAt: w.at(ago)}
	if status != engine.Queued {
		r.StartedAt = w.at(ago - time.Second)
	}
	if status.Ended() {
		r.FinishedAt = w.at(ago - time.Minute)
	}
	if change != nil {
		change(r)
	}
	w.event("shop", fmt.Sprint("k-", status, "-", w.n), "order.paid", ago, map[string]any{"amount": 9, "items": []int{1, 2}},
		[]engine.Decision{{Workflow: r.Workflow, Version: r.Version, Outcome: engine.Matched, Run: r.ID}},
		engine.RunUpdate{Run: r, New: true, Records: records})
	return r.ID
}

// record is an attempt that began so long before now.
func (w *world) record(path, action string, status plan.Status, ago, took time.Duration) *plan.Record {
	r := &plan.Record{Path: path, Attempt: 1, Action: action, Status: status, StartedAt: w.at(ago),
		Input: map[string]any{"url": "https://a.example/" + path}}
	switch status {
	case plan.Running, plan.Waiting:
	default:
		r.FinishedAt = w.at(ago - took)
		r.Output = map[string]any{"done": path}
	}
	if status == plan.Failed {
		r.Error = &plan.Error{Message: "answer 500", Code: "http_status", Status: 500, Step: path, Attempts: 2, Retryable: true}
		r.Output = nil
	}
	return r
}

func (w *world) addRuns() {
	m, s := time.Minute, time.Second
	failed := &plan.Error{Message: "answer 500", Code: "http_status", Status: 500, Step: "call"}
	again := w.record("call", "http/post", plan.Failed, 29*m, 2*s)
	again.Attempt, again.Destination = 2, "https://a.example"
	again.Notes = []string{"an empty text was inserted"}
	first := w.record("call", "http/post", plan.Failed, 30*m-5*s, 1500*time.Millisecond)
	first.Destination = "https://a.example"
	w.operator.failed = w.run(engine.Failed, 30*m, func(r *engine.Run) { r.Error, r.Text = failed, "stopped" },
		w.record("pack", "log", plan.Succeeded, 30*m-s, 0), w.record("items", "foreach", plan.Succeeded, 30*m-2*s, 2*s),
		w.record("items/0/one", "http/get", plan.Succeeded, 30*m-2*s, s), w.record("items/1/one", "http/get", plan.Succeeded,
			30*m-3*s, s),
		first, again, w.record("finally/tidy", "http/get", plan.Succeeded, 29*m-20*s, 3*s),
		w.record("on_failure/0", "http/get", plan.Succeeded, 29*m-10*s, 3*s))
	w.operator.failed2 = w.run(engine.Failed, 28*m, func(r *engine.Run) { r.Error, r.Version = failed, "an-old-version" }, first)
	w.operator.timedOut = w.run(engine.TimedOut, 26*time.Hour,
		func(r *engine.Run) { r.Error = &plan.Error{Message: "too slow", Code: "timeout", Step: "pack"} })
	w.operator.good = w.run(engine.Succeeded, 20*m, func(r *engine.Run) { r.Output = map[string]any{"ok": true} },
		w.record("pack", "log", plan.Succeeded, 20*m-s, s))
	w.run(engine.Cancelled, 5*24*time.Hour, nil)
	w.operator.queued = w.run(engine.Queued, 10*m, func(r *engine.Run) { r.DueAt = w.at(9 * m) })
	ask := w.record("check/ask", "wait", plan.Waiting, 8*m, 0)
	ask.Waits = []plan.Wait{{Kind: plan.WaitApproval, Approval: "Ship it?", By: []string{"ada", "bob"}, Until: w.at(-time.Hour)}}
	w.operator.asking = w.run(engine.Waiting, 8*m, nil, w.record("pack", "log", plan.Succeeded, 8*m, s), ask)
	doubt := w.record("call", "http/post", plan.Unknown, 6*m, 4*s)
	doubt.Destination = "https://b.example"
	w.operator.doubtful = w.run(engine.Waiting, 6*m, nil, doubt)
	w.operator.running = w.run(engine.Running, 4*m, nil, w.record("pack", "http/post", plan.Running, 3*m, 0))
	for _, ago := range []time.Duration{24*time.Hour + 30*time.Minute, 7*24*time.Hour + 3*time.Hour} {
		w.run(engine.Succeeded, ago, nil)
		w.event("feed", fmt.Sprint("old", ago), "item", ago, map[string]any{"n": 1}, []engine.Decision{})
	}
	var many []*plan.Record
	for i := range 53 {
		status := plan.Succeeded
		if i == 51 {
			status = plan.Failed
		}
		many = append(many, w.record(fmt.Sprintf("items/%d/one", i), "http/get", status, time.Hour-time.Duration(i)*s, s))
	}
	w.operator.long = w.run(engine.Failed, time.Hour, func(r *engine.Run) {
		r.Error = &plan.Error{Message: "answer 500", Code: "http_status", Step: "items/51/one"}
	}, many...)
}

func (w *world) addRest() {
	ctx := w.t.Context()
	for i, reason := range []string{"signature missing", "signature missing", "wrong method"} {
		w.must(w.store.Refuse(ctx, engine.Refusal{At: w.at(time.Duration(3-i) * time.Minute), Trigger: "shop",
			Reason: reason, Detail: "detail",
			Diagnosis: "another secret", RemoteIP: "192.0.2.7", Method: "POST", Path: "/hooks/shop",
			URL:     "https://hooks.example/hooks/shop?a=1",
			Headers: map[string]string{"x-sign": "no"}, Body: []byte("body"), Size: 9}))
	}
	for i, x := range []struct{ who, action, target string }{{"ada", "login", ""}, {"ada", "run.replay", "run_0000000000000002"},
		{"bob", "event.replay", "evt_0000000000000001 x"}, {"bob", "batch.start", "bat_1"}, {"bob", "trigger.poll", "feed"},
		{"bob", "workflow.fire", "billing/refund"}, {"bob", "refusal.admit", "ref_1"}, {"bob", "node.drain", "n1"}} {
		w.must(w.store.Audit(ctx, engine.AuditEntry{At: w.at(time.Duration(20-i) * time.Minute), Who: x.who, Role: "operate",
			Proof:  "token",
			Remote: "192.0.2.7", Action: x.action, Target: x.target, Status: 202, Detail: "a=b"}))
	}
	for i, ref := range []engine.ValueRef{{Key: "next"}, {Workflow: "orders", Key: "last"}, {Workflow: "orders", Key: "seen"}} {
		_, err := w.store.ChangeValue(ctx, engine.ValueChange{ValueRef: ref, By: "ada", Kind: engine.ValueSet,
			Value: fmt.Sprint(i + 1), Now: w.at(time.Minute),
			TTL: time.Duration(i) * time.Hour, MaxKeys: 99, MaxBytes: 9999})
		w.must(err)
	}
	for _, f := range []string{"orders", "billing/refund"} {
		w.must(w.store.SaveVersion(ctx, w.p.Workflows[f]))
	}
	old := *w.p.Workflows["orders"]
	old.Version, old.Text = "an-old-version", []byte("on: shop\nsteps: [{id: pack, sleep: 1s}]\n")
	w.must(w.store.SaveVersion(ctx, &old))
	gone := old
	gone.ID, gone.Version, gone.Text = "gone", "a-gone-version", []byte("on: shop\nsteps: [{uses: nothing/here}]\n")
	w.must(w.store.SaveVersion(ctx, &gone))
	day := 24 * time.Hour
	for i, ago := range []time.Duration{30*day + 12*time.Hour, 7*day + 3*time.Hour, 30 * time.Minute, 20 * time.Minute} {
		item := &engine.Delivery{Trigger: "feed", Inlet: workflows.InletPoll, Key: fmt.Sprint("f", i-2), Type: "item",
			Time:       w.at(ago + time.Minute),
			ReceivedAt: w.at(ago), Raw: []byte(`{"n":1}`), Dedupe: time.Hour}
		_, err := w.store.Poll(ctx, []engine.EventID{engine.EventID(w.id(ago))}, &engine.PollBatch{Trigger: "feed",
			Inlet: "poll", Items: []*engine.Delivery{item},
			State: engine.InletState{Cursor: json.RawMessage(`"c"`), AskedAt: w.at(ago), OKAt: w.at(ago), Failures: i / 3, Error: "no answer"},
			Cost:  engine.PollCost{Requests: 2, Bytes: 100, Outcome: "ok", Took: time.Second, Quota: "4870/5000"}})
		w.must(err)
	}
	w.event("feed", "f0", "item", 25*time.Minute, map[string]any{"n": 1}, nil)
	w.event("feed", "f9", "item", 24*time.Minute, map[string]any{"n": 1}, nil)
}

// commit changes the state of a run that is executing.
func (w *world) commit(id engine.RunID, to engine.RunStatus) error {
	r, err := w.store.Run(w.t.Context(), id)
	if err != nil {
		return err
	}
	r.Status, r.DueAt = to, w.at(-time.Hour)
	_, err = w.store.CommitRun(w.t.Context(), engine.RunUpdate{Run: r})
	return err
}

// decode reads a JSON response.
func (w *world) decode(text string, into any) {
	w.t.Helper()
	w.must(json.Unmarshal([]byte(text), into))
}
