package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/backtest"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
)

// evaluate implements hookloom eval for the console.
func (s *server) evaluate(ctx context.Context, text, event, data string) (*expr.Evaluation, error) {
	env := &expr.Env{Names: expr.Names{}, Now: time.Now(), Seed: event}
	switch {
	case event != "":
		ev, err := storedEvent(ctx, s.store.History(), &event)
		if err != nil {
			return nil, err
		}
		names, err := ev.Names()
		if err != nil {
			return nil, err
		}
		env.Names, env.Now, env.Seed = expr.Names{"event": names, "inputs": ev.Inputs}, ev.ReceivedAt, event
	case strings.TrimSpace(data) != "":
		v, err := value.DecodeJSON([]byte(strings.TrimSpace(data)))
		if err != nil {
			return nil, fmt.Errorf("the pasted event: %w", err)
		}
		env.Names = namesOfData(v)
	}
	env.Names["vars"] = s.project.Load().Vars
	return expr.Evaluate(text, env)
}

// backtest implements hookloom backtest for the console: one workflow, from disk or from a pasted
// text, or the workflows in use for events that are decided again.
func (s *server) backtest(ctx context.Context, o console.BacktestOrder) (*console.BacktestResult, error) {
	out := &console.BacktestResult{Changes: []backtest.Change{}, Unknown: []backtest.Unknown{}, Unknowns: map[string]int{}}
	options := backtest.Options{History: s.store.History(), Query: o.Query, Limit: o.Limit, Gentle: true,
		Actions: actions.Executors(actions.Options{}),
		Change: func(c backtest.Change) error {
			if out.Changed++; out.Changed <= o.Keep {
				out.Changes = append(out.Changes, c)
			}
			return nil
		},
		Unknown: func(u backtest.Unknown) error {
			if out.UnknownN++; out.UnknownN <= o.Keep {
				out.Unknown = append(out.Unknown, u)
			}
			if _, known := out.Unknowns[u.Reason]; known || len(out.Unknowns) < o.Keep {
				out.Unknowns[u.Reason]++
			}
			return nil
		}}
	if o.Chosen != nil {
		options.Project, options.Chosen = s.project.Load(), make(map[engine.Chosen]bool, len(o.Chosen))
		for _, c := range o.Chosen {
			options.Chosen[c], options.Query.IDs = true, append(options.Query.IDs, c.Event)
		}
		slices.Sort(options.Query.IDs)
		options.Query.IDs = slices.Compact(options.Query.IDs)
		out.Of = len(options.Query.IDs)
	} else {
		l, err := load(s.o.dir)
		if err != nil {
			return nil, err
		}
		if o.Text != "" {
			if err := l.replace(map[string][]byte{"workflows/" + o.Workflow: []byte(o.Text)}); err != nil {
				return nil, err
			}
		}
		if l.mistakes.Errors() > 0 {
			out.Mistakes = l.mistakes.Error()
			return out, nil
		}
		options.Project, options.Workflows, options.Since = l.project, map[string]bool{o.Workflow: true}, o.Since
		options.Schedules = changedSchedules(s.store.History(), l.project)
	}
	options.Tests, _ = options.Project.LoadTests() // their mocks are used; broken tests have none
	var err error
	out.Report, err = backtest.Run(ctx, options)
	if errors.Is(err, context.DeadlineExceeded) && out.Report != nil {
		out.Cut, err = true, nil
	}
	return out, err
}

// storedEvent reads a recorded event; last names the newest, and is replaced by its id.
func storedEvent(ctx context.Context, h eventReader, name *string) (*engine.Event, error) {
	if *name == "last" {
		list, err := h.Events(ctx, engine.Query{Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, errors.New("there is no event in this database yet; hookloom send TRIGGER sends one")
		}
		*name = list[0].ID
	}
	id, err := engine.ParseEventID(*name)
	if err != nil {
		return nil, usageError("%v", err)
	}
	ev, err := h.StoredEvent(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fmt.Errorf("no event %s in this database; hookloom events lists them", id)
	}
	return ev, err
}

// eventReader reads recorded events.
type eventReader interface {
	Events(context.Context, engine.Query) ([]engine.EventItem, error)
	StoredEvent(context.Context, engine.EventID) (*engine.Event, error)
}
