package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/spf13/cobra"
)

type evalOptions struct {
	listFlags
	event, data string
}

// evalCmd evaluates an expression or a template for a recorded event.
func (a *app) evalCmd() *cobra.Command {
	var o evalOptions
	c := &cobra.Command{Use: "eval EXPRESSION", Short: "Evaluate an expression or a template over a recorded event", Args: cobra.ExactArgs(1),
		Long: `Evaluates an expression, or a text with ${{ }}, and prints the value, its type and each
part of the expression with its own value. It reads the event of --event, or the
JSON of --data as event.data. Nothing is executed or stored; secrets cannot be
read.`,
		Example: "  hookloom eval 'event.data.amount / 100' --event evt_0d3c6f2a41e00000\n" +
			"  hookloom eval 'filter(event.data.lines, #.quantity > 1)' --data order.json\n" +
			"  hookloom eval 'Order ${{ event.data.id }}' --data order.json\n  hookloom eval 'now().Year() > 2000'",
		RunE: func(c *cobra.Command, args []string) error {
			names, at, err := o.names(c)
			if err != nil {
				return err
			}
			if l, err := load(o.dir); err == nil && l.project != nil {
				names["vars"] = l.project.Vars
			}
			return a.eval(&o, args[0], &expr.Env{Names: names, Now: at, Seed: o.event})
		}}
	o.addPlace(c)
	c.Flags().StringVar(&o.event, "event", "", "the id of a recorded event, or last")
	c.Flags().StringVar(&o.data, "data", "", "a JSON file to use as event.data, - for standard input")
	return c
}

// names returns the names that the expression may read, and the time of now(): when the event was
// received.
func (o *evalOptions) names(c *cobra.Command) (names expr.Names, at time.Time, err error) {
	switch {
	case o.event != "" && o.data != "":
		return nil, at, usageError("use --event or --data, not both")
	case o.data != "":
		data, err := o.file(c.InOrStdin())
		if err != nil {
			return nil, at, err
		}
		return namesOfData(data), time.Now(), nil
	case o.event == "":
		return expr.Names{}, time.Now(), nil
	}
	err = o.reading(func(h *store.History) error {
		ev, err := storedEvent(c.Context(), h, &o.event)
		if err != nil {
			return err
		}
		event, err := ev.Names()
		names, at = expr.Names{"event": event, "inputs": ev.Inputs}, ev.ReceivedAt
		return err
	})
	return names, at, err
}

// namesOfData returns the names for data that is not a recorded event: event.data.
func namesOfData(data any) expr.Names {
	event := map[string]any{"data": data, "body": data}
	for _, name := range expr.EventFields() {
		if _, ok := event[name]; !ok {
			event[name] = nil
		}
	}
	return expr.Names{"event": event, "inputs": data}
}

// maxEvalData is the maximum size of --data in bytes.
const maxEvalData = 32 << 20

func (o *evalOptions) file(in io.Reader) (any, error) {
	if o.data != "-" {
		f, err := os.Open(o.data)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxEvalData+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxEvalData {
		return nil, usageError("--data %s is larger than %s, which is more than an event may be", o.data, console.Bytes(maxEvalData))
	}
	v, err := value.DecodeJSON(bytes.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.data, err)
	}
	return v, nil
}

// hint lists the names that can be read.
func (o *evalOptions) hint() string {
	if o.event == "" && o.data == "" {
		return "no event is given: --event ID (or last) reads a recorded one, --data FILE a JSON file as event.data"
	}
	return "only event, inputs and the vars of hookloom.yaml are available here; steps, secrets and the vars of a workflow exist only in a run"
}

func (a *app) eval(o *evalOptions, text string, env *expr.Env) error {
	e, err := expr.Evaluate(text, env)
	if err != nil {
		var why *expr.CompileError
		if errors.As(err, &why) && (why.Code == "unknown-name" || why.Code == "not-here") {
			err = fmt.Errorf("%w\n%s", err, o.hint())
		}
		return usageError("%v", err)
	}
	if err := a.printEval(e); err != nil {
		return err
	}
	if e.Problem != "" {
		return &exitError{exitFailure, errors.New("")}
	}
	return nil
}

func (a *app) printEval(of *expr.Evaluation) error {
	if a.json() {
		return a.printJSON(of)
	}
	if of.Problem != "" {
		a.printf("error: %s\n", of.Problem)
	} else {
		a.printf("%s\n%s\n", shownValue(of.Value), of.Type)
	}
	for _, e := range of.Expressions {
		if len(e.Parts) > 1 {
			t := newTable("PART", "VALUE", "TYPE")
			for _, p := range e.Parts {
				v := shownValue(p.Value)
				if p.Problem != "" {
					first, _, _ := strings.Cut(p.Problem, "\n") // the other lines show the place, as above
					v = "error: " + first
				}
				t.row(strings.Repeat("  ", p.Depth)+p.Text, value.CutText(v, 100), p.Type)
			}
			a.printf("\n")
			if err := t.print(a.out); err != nil {
				return err
			}
		}
		a.printf("\ncost: %d of at most %d steps, %d of at most %d bytes\n", e.Cost.Steps, e.Cost.MaxSteps, e.Cost.Bytes, e.Cost.MaxBytes)
	}
	return nil
}

// shownValue formats a value as JSON; times as in the API.
func shownValue(v any) string {
	if t, ok := v.(time.Time); ok {
		return t.Format(time.RFC3339Nano)
	}
	b, err := value.EncodeJSON(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
