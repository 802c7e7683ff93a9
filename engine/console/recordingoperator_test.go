package console_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/expr"
)

// recordingOperator is what the console of a world calls. It records the calls that
// change something; they return err.
type recordingOperator struct {
	*operator
	w *world
	// err is the result of the next calls.
	err                   error
	conflicting, filtered engine.EventID
	// Runs of the world by their state.
	failed, failed2, timedOut, good, queued, asking, doubtful, running, long engine.RunID
	already                                                                  bool
	undecided                                                                []string
	off                                                                      map[string]engine.Switch
	outcome                                                                  string
	forecast                                                                 *engine.Forecast
}

func (d *recordingOperator) did(format string, args ...any) error {
	d.asked = append(d.asked, fmt.Sprintf(format, args...))
	return d.err
}

func (d *recordingOperator) Fire(_ context.Context, w string, in map[string]any, who, why string) (engine.Receipt, error) {
	return engine.Receipt{Event: 7}, d.did("fire %s %v by %q because %q", w, in, who, why)
}

func (d *recordingOperator) ReplayRun(_ context.Context, of engine.RunID, o engine.ReplayOrder) (engine.Replayed, error) {
	return engine.Replayed{Run: 8, Already: d.already, InDoubt: 3}, d.did("replay %s %+v", of, o)
}

func (d *recordingOperator) DecideAgain(_ context.Context, id engine.EventID, w string, again bool, by string) (engine.Again, error) {
	a := engine.Again{Workflow: w, Version: "v", Outcome: d.outcome, Reason: "because", AlreadyReplayed: d.already, InDoubt: 1}
	if d.outcome == "matched" {
		a.Run = "run_000000000000000a"
	}
	return a, d.did("decide %s by %s, again %t, for %q", id, w, again, by)
}

func (d *recordingOperator) Undecided(context.Context, engine.EventID) ([]string, error) {
	return d.undecided, d.err
}

func (d *recordingOperator) Forecast(_ context.Context, s engine.Selection) (*engine.Forecast, error) {
	return d.forecast, d.did("forecast %+v", s)
}

func (d *recordingOperator) batch(id engine.BatchID, state string) *engine.Batch {
	b := &engine.Batch{ID: id.String(), At: d.w.at(time.Hour), By: "ada", State: state, Rate: 20, Total: 9, Looked: 4,
		Runs: 3, NotMatched: 1,
		Failed: 2, Known: 5, Selection: engine.Selection{Trigger: "shop", Workflow: "orders", Statuses: []string{"filtered"},
			Since: d.w.at(3 * time.Hour), Until: d.w.at(time.Hour)}}
	if state == engine.BatchCancelled {
		end := d.w.at(time.Minute)
		b.FinishedAt, b.Reason = &end, "cancelled by ada"
	}
	return b
}

func (d *recordingOperator) StartBatch(_ context.Context, s engine.Selection, rate int, by string) (*engine.Batch, error) {
	return d.batch(9, engine.BatchRunning), d.did("batch %+v, %d per second, for %q", s, rate, by)
}

func (d *recordingOperator) ChangeBatch(_ context.Context, id engine.BatchID, to string) (*engine.Batch, error) {
	return d.batch(id, to), d.did("batch %s becomes %s", id, to)
}

func (d *recordingOperator) Batches(context.Context) ([]engine.Batch, error) {
	return []engine.Batch{*d.batch(9, engine.BatchRunning), *d.batch(10, engine.BatchPaused)}, d.err
}

func (d *recordingOperator) Batch(_ context.Context, id engine.BatchID) (*engine.Batch, error) {
	return d.batch(id, map[engine.BatchID]string{9: engine.BatchRunning, 10: engine.BatchPaused, 11: engine.BatchCancelled}[id]), d.err
}

func (d *recordingOperator) Cancel(_ context.Context, id engine.RunID) error {
	return d.did("cancel %s", id)
}

func (d *recordingOperator) Answer(_ context.Context, id engine.RunID, r engine.Response) (plan.Question, error) {
	return plan.Question{Path: "ask", Text: "Ship it?"}, d.did("answer %s %+v", id, r)
}

func (d *recordingOperator) Link(_ context.Context, id engine.RunID, path, by string) (string, plan.Question, error) {
	return "token", plan.Question{Path: "ask", Text: "Ship it?"}, d.did("link %s %s for %q", id, path, by)
}

func (d *recordingOperator) Destinations() []destination.State {
	until := d.w.at(-time.Minute)
	return []destination.State{{Name: "https://idle.example", Host: "https://idle.example", Circuit: "closed", Limit: 5},
		{Name: "https://a.example", Host: "https://a.example", Circuit: "closed", Limit: 5, InUse: 1},
		{Name: "payments", Host: "https://a.example", Circuit: "open", Limit: 2, Waiting: 4, Until: &until, Why: "circuit",
			Last: "timeout"},
		{Name: "https://busy.example", Host: "https://busy.example", Circuit: "half-open", Limit: 1, InUse: 1},
		{Name: "https://queue.example", Host: "https://queue.example", Circuit: "closed", Limit: 1, Waiting: 2}}
}

func (d *recordingOperator) OpenAlerts() []engine.OpenAlert {
	return []engine.OpenAlert{{Kind: engine.AlertRunFailed, Subject: "orders", Message: "a run failed", OpenedAt: d.w.at(time.Minute)}}
}

func (d *recordingOperator) Paused() []engine.Pause {
	return []engine.Pause{{Key: "k", Endpoint: "https://gone.example/x", Run: "run_0000000000000002", At: d.w.at(time.Hour)}}
}

func (d *recordingOperator) Unpause(_ context.Context, endpoint string) (int, error) {
	return len(endpoint) - 1, d.did("unpause %s", endpoint)
}

func (d *recordingOperator) Prune(_ context.Context, h workflows.History) (engine.Pruned, error) {
	return engine.Pruned{}, d.did("prune to %s, bodies %s", h.Keep, h.Bodies)
}

func (d *recordingOperator) Switch(_ context.Context, o engine.SwitchOrder) (engine.Switched, error) {
	since := d.w.at(90 * time.Minute)
	x := engine.Switched{}
	if o.On && o.Workflow == "orders" {
		x = engine.Switched{Missed: 4, Since: &since}
	}
	if o.On && o.Workflow == "paused" {
		x.Held = 1
	}
	return x, d.did("switch %+v", o)
}

func (d *recordingOperator) SwitchedOff() map[string]engine.Switch { return d.off }

func (d *recordingOperator) AdmitConflict(_ context.Context, id, who string) (engine.Receipt, error) {
	return engine.Receipt{Event: 9, Duplicate: d.already}, d.did("admit conflict %s for %q", id, who)
}

func (d *recordingOperator) SetValue(_ context.Context, c engine.ValueChange) (engine.ValueItem, error) {
	return engine.ValueItem{Key: c.Key, Workflow: c.Workflow, Value: []byte("1")}, d.did("set %+v", c)
}

func (d *recordingOperator) DeleteValue(_ context.Context, c engine.ValueChange) error {
	return d.did("delete %+v", c)
}

// whole sets the options that not every server has.
func (d *recordingOperator) whole(o *console.Options) {
	o.Admit = func(_ context.Context, id string) (engine.Receipt, error) {
		return engine.Receipt{Event: 9, Duplicate: d.already}, d.did("admit %s", id)
	}
	o.AwaitSecret = func(trigger string) (time.Time, error) {
		return d.w.at(-15 * time.Minute), d.did("await the secret of %s", trigger)
	}
	o.Poll = func(_ context.Context, trigger string) (any, error) {
		return map[string]int{"items": 3}, d.did("poll %s", trigger)
	}
	o.Send = func(_ context.Context, trigger, kind string) (int, string, error) {
		return 202, " accepted\n", d.did("send %s to %s", kind, trigger)
	}
	o.Judge = func(_ context.Context, trigger, kind string) (string, string, []*engine.Delivery, error) {
		return "accepted", "", []*engine.Delivery{{Trigger: trigger, Inlet: workflows.InletWebhook, Type: "order.paid", Key: "k1",
			Raw: []byte(`{"amount": 2}`), Time: d.w.now, ReceivedAt: d.w.now}}, d.err
	}
	o.Evaluate = func(_ context.Context, text, event, data string) (*expr.Evaluation, error) {
		if d.err != nil {
			return nil, d.err
		}
		return expr.Evaluate(text, &expr.Env{Names: expr.Names{"a": 1, "event": map[string]any{"id": event, "data": data}}})
	}
	o.Backtest = func(_ context.Context, b console.BacktestOrder) (*console.BacktestResult, error) {
		r := &console.BacktestResult{Report: &backtest.Report{Events: 5, RunsBefore: 3, RunsAfter: 4, Unchanged: 1}, Changed: 2,
			Changes: []backtest.Change{{Event: "evt_1", Workflow: b.Workflow, Kind: "run_appears", Assumed: true,
				Because: backtest.Because{Expression: "a > 1", Before: 1}}}, Unknowns: map[string]int{"pruned": 2}, UnknownN: 2,
			Cut: true, Of: 9}
		return r, d.did("backtest %+v", b)
	}
	o.State = func() *engine.ProjectState {
		at := d.w.at(time.Hour)
		return &engine.ProjectState{LoadedAt: d.w.at(2 * time.Hour), FailedAt: &at, Mistakes: "a mistake",
			Kept: []string{"workflows/orders.yaml"},
			Left: []string{"workflows/new.yaml"}}
	}
	o.Acks = func() *engine.Delays { return &engine.Delays{P50: 0.012, P99: 0.5} }
	o.Sent = func(_ context.Context, r *engine.RunDetail, _ func(string) *workflows.Workflow) {
		for i := range r.Steps {
			if r.Steps[i].Action == "http/post" {
				r.Steps[i].Request = &engine.SentRequest{Method: "POST", URL: "https://a.example/x",
					Headers: map[string]string{"b": "2", "a": "1"}, Body: "{}"}
				r.Steps[i].Response = &engine.SentResponse{Status: 500, Headers: map[string]string{"c": "3"}, Body: []byte(`"plain"`)}
			}
		}
	}
	o.Nodes, o.Connections = d, d
}

func (d *recordingOperator) Nodes(context.Context) ([]engine.NodeItem, error) {
	return []engine.NodeItem{{Node: 1, Name: "n1", State: "live", Self: true, Since: d.w.at(time.Hour)},
		{Node: 2, Name: "n2", State: "gone", Since: d.w.at(2 * time.Hour)}}, d.err
}

func (d *recordingOperator) DrainNode(_ context.Context, name string) error {
	return d.did("drain %s", name)
}

func (d *recordingOperator) ConnectionItems(context.Context) ([]engine.ConnectionItem, error) {
	return []engine.ConnectionItem{{Name: "crm", Connector: "crm", Kind: "oauth2", Status: "ready"}}, d.err
}

func (d *recordingOperator) TestConnection(_ context.Context, name string) (string, error) {
	return "GET /me", d.did("test %s", name)
}

func (d *recordingOperator) BeginConnect(_ context.Context, name, redirect string) (engine.ConnectStart, error) {
	return engine.ConnectStart{Status: engine.ConnectAuthorize, Redirect: redirect}, d.did("connect %s to %q", name, redirect)
}

func (d *recordingOperator) FinishConnect(_ context.Context, state, code string) (engine.ConnectEnd, error) {
	return engine.ConnectEnd{Status: "ready", Connection: "crm"}, d.did("finish %s %s", state, code)
}

// calls returns what was asked since the last call, and what was audited.
func (d *recordingOperator) calls() []string {
	out := slices.Clone(d.asked)
	for _, a := range d.audited {
		out = append(out, fmt.Sprintf("audit: %s (%s, %s) %s %q %q %d", a.Who, a.Role, a.Proof, a.Action, a.Target, a.Detail, a.Status))
	}
	d.asked, d.audited = nil, nil
	return out
}
