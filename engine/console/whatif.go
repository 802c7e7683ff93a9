package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/workflows/expr"
)

// This file serves the two what-if pages: a backtest of an edited workflow, and the value of an
// expression for an event. Neither stores or sends anything. Both require the operator role: they
// cost CPU time, and a pasted text may read all events.

func (c *Console) whatIfPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /playground", c.playgroundPage)
	mux.HandleFunc("POST /playground", c.playgroundPage)
	mux.HandleFunc("GET /workflow/changes", c.changesPage)
	mux.HandleFunc("POST /workflow/changes", c.changesPage)
}

// maxExpression is the maximum size of a text in the playground, in bytes.
const maxExpression = 64 << 10

// playgroundPage evaluates an expression or a text with ${{ }} for an event.
func (c *Console) playgroundPage(w http.ResponseWriter, r *http.Request) {
	v := r.Form
	if v == nil {
		v = r.URL.Query()
	}
	text, event, data := v.Get("expression"), strings.TrimSpace(v.Get("event")), v.Get("data")
	show := map[string]any{"Title": "Playground", "Expression": text, "Event": event, "Data": data}
	status := http.StatusOK
	if list, err := c.o.Log.EventPage(r.Context(), engine.Query{Limit: 20}); err == nil {
		show["Recent"] = list.Items // without the list, an id can still be entered
	}
	if r.Method == http.MethodPost {
		result, err := c.evaluate(r.Context(), text, event, data)
		if err != nil {
			show["Problem"], status = err.Error(), http.StatusBadRequest
		} else {
			show["Result"] = result
		}
	}
	c.render(w, r, status, "playground", show)
}

func (c *Console) evaluate(ctx context.Context, text, event, data string) (*expr.Evaluation, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, errors.New("type an expression, such as event.data.amount / 100, or a text with ${{ }}")
	case len(text) > maxExpression:
		return nil, fmt.Errorf("the expression has %d bytes; at most %d are allowed", len(text), maxExpression)
	case event != "" && strings.TrimSpace(data) != "":
		return nil, errors.New("choose a recorded event or paste one, not both")
	}
	return c.o.Evaluate(ctx, text, event, data)
}

// BacktestOrder is what a backtest compares: one workflow, or the events that are decided again.
type BacktestOrder struct {
	Workflow string
	// Text is the edited file; empty for the file on disk.
	Text string
	// Chosen, unless nil, are events that the workflows in use decide again.
	Chosen []engine.Chosen
	Query  engine.RecordedQuery
	// Since bounds the times of the events, like Query.
	Since time.Time
	// Limit is the number of newest events to evaluate.
	Limit int
	// Keep is the maximum number of changes and reasons to return.
	Keep int
}

// BacktestResult is what a backtest found, in the form of hookloom backtest -o json.
type BacktestResult struct {
	*backtest.Report
	// Changes are the first ones of Changed, Unknown those of UnknownN; Unknowns are the reasons of all by
	// how often they came.
	Changes  []backtest.Change  `json:"changes"`
	Changed  int                `json:"changed"`
	Unknown  []backtest.Unknown `json:"unknown"`
	Unknowns map[string]int     `json:"-"`
	UnknownN int                `json:"unknown_runs"`
	// Cut reports whether the time ran out, and Of is how many events were to be compared; 0 if not
	// known.
	Cut bool `json:"cut,omitempty"`
	Of  int  `json:"events_selected,omitempty"`
	// Mistakes are those of the edited files, with positions; nothing was compared in that case.
	Mistakes string `json:"-"`
}

// ReplayPlan is what a batch would do: its forecast, and the backtest of the events that it decides.
type ReplayPlan struct {
	*engine.Forecast
	Backtest *BacktestResult `json:"backtest,omitempty"`
	// Unavailable is why there is no backtest.
	Unavailable string `json:"backtest_problem,omitempty"`
}

// Limits of a backtest in the console: the maximum and default number of events, its time, and the
// number of changes shown.
const (
	maxBacktest     = 20_000
	defaultBacktest = 1000
	backtestTime    = 30 * time.Second
	shownBacktest   = 200
)

// planBounds limit the backtest of a batch: its time, and the number of changes returned.
type planBounds struct {
	time time.Duration
	keep int
}

// The bounds of a plan as usual, and of one that is to be whole.
var (
	usualPlan = planBounds{15 * time.Second, 1000}
	wholePlan = planBounds{time.Hour, 20_000}
)

// changesPage compares an edited workflow with what ran.
func (c *Console) changesPage(w http.ResponseWriter, r *http.Request) {
	v := r.Form
	if v == nil {
		v = r.URL.Query()
	}
	id := v.Get("id")
	flow := c.o.Project().Workflows[id]
	if versions, err := c.o.Log.Versions(r.Context(), id); err != nil || flow == nil && len(versions) == 0 {
		if err == nil {
			err = engine.ErrNotFound
		}
		c.showError(w, r, err)
		return
	}
	show := map[string]any{"Title": "What would change", "ID": id, "Text": v.Get("text"), "Since": v.Get("since"), "Limit": v.Get("limit"),
		"Max": maxBacktest, "Default": defaultBacktest, "Seconds": int(backtestTime.Seconds()),
		"Disk": r.Method != http.MethodPost || v.Get("from") != "text"}
	if flow != nil && v.Get("text") == "" {
		show["Text"] = string(flow.Text)
	}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		o := BacktestOrder{Workflow: id, Keep: shownBacktest}
		if v.Get("from") == "text" {
			o.Text = v.Get("text")
		}
		result, err := c.whatChanges(r, o, v.Get("since"), v.Get("limit"))
		switch {
		case errors.Is(err, errBacktestBusy):
			show["Problem"], status = err.Error(), http.StatusServiceUnavailable
		case err != nil:
			show["Problem"], status = err.Error(), http.StatusBadRequest
		default:
			show["Result"] = result
		}
	}
	c.render(w, r, status, "changes", show)
}

var errBacktestBusy = errors.New("another backtest is under way here; try again when it has ended")

// whatChanges runs one backtest at a time. It ends when the client disconnects or its time is over.
func (c *Console) whatChanges(r *http.Request, o BacktestOrder, since, limit string) (*BacktestResult, error) {
	o.Limit = defaultBacktest
	if limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > maxBacktest {
			return nil, fmt.Errorf("events is a number from 1 to %d", maxBacktest)
		}
		o.Limit = n
	}
	var q engine.Query
	if err := Window(&q, strings.TrimSpace(since), "", time.Now(), c.o.Project().Zone()); err != nil {
		return nil, err
	}
	if !q.Since.IsZero() {
		o.Since = q.Since
		o.Query.After = engine.EventID(engine.FirstID(q.Since)) - 1
	}
	if o.Text == "" && r.Form.Get("from") == "text" {
		return nil, errors.New("paste the edited file, or choose the one on disk")
	}
	return c.backtestOf(r.Context(), o, backtestTime)
}

// backtestOf runs a backtest, one at a time.
func (c *Console) backtestOf(ctx context.Context, o BacktestOrder, limit time.Duration) (*BacktestResult, error) {
	if !c.backtesting.CompareAndSwap(false, true) {
		return nil, errBacktestBusy
	}
	defer c.backtesting.Store(false)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.o.Backtest(ctx, o)
}

// planReplays tells what a batch would do. The backtest is made for those who may start the batch.
func (c *Console) planReplays(ctx context.Context, s engine.Selection, operates bool, bounds planBounds) (*ReplayPlan, error) {
	f, err := c.o.Operator.Forecast(ctx, s)
	if err != nil || !operates || len(f.Chosen) == 0 {
		return &ReplayPlan{Forecast: f}, err
	}
	plan := &ReplayPlan{Forecast: f}
	if plan.Backtest, err = c.backtestOf(ctx, BacktestOrder{Chosen: f.Chosen, Keep: bounds.keep}, bounds.time); err != nil {
		plan.Unavailable = err.Error()
	}
	return plan, ctx.Err()
}

// lineOf formats a value on one line; no value is a dash.
func lineOf(v any) string {
	if v == nil {
		return "-"
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return "?"
	}
	return clip(strings.TrimSpace(b.String()), 2000)
}

// kindWords formats the kind of a change in words.
func kindWords(kind string) string { return strings.ReplaceAll(kind, "_", " ") }
