package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows/expr"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/spf13/cobra"
)

type evalOptions struct {
	listFlags
	event, data string
}

// evalCmd evaluates an expression or a template over a recorded event.
func (a *app) evalCmd() *cobra.Command {
	var o evalOptions
	c := &cobra.Command{Use: "eval EXPRESSION", Short: "Evaluate an expression or a template over a recorded event", Args: cobra.ExactArgs(1),
		Long: `Evaluates an expression, or a text with ${{ }}, and prints the value, its type and each
part of the expression with its own value. It reads the event of --event, or the
JSON of --data as event.data. Nothing is carried out and nothing is stored; secrets
cannot be read.`,
		Example: "  hookloom eval 'event.data.amount / 100' --event evt_0d3c6f2a41e00000\n" +
			"  hookloom eval 'filter(event.data.lines, #.quantity > 1)' --data order.json\n" +
			"  hookloom eval 'Order ${{ event.data.id }}' --data order.json\n  hookloom eval 'now().Year() > 2000'",
		RunE: func(c *cobra.Command, args []string) error {
			names, at, err := o.names(c)
			if err != nil {
				return err
			}
			return a.eval(&o, args[0], &expr.Env{Names: names, Now: at, Seed: o.event})
		}}
	o.addPlace(c)
	c.Flags().StringVar(&o.event, "event", "", "the id of a recorded event, or last")
	c.Flags().StringVar(&o.data, "data", "", "a JSON file to use as event.data, - for standard input")
	return c
}

// names returns what the expression may read, and the moment of now(): that at which the
// event was received.
func (o *evalOptions) names(c *cobra.Command) (names expr.Names, at time.Time, err error) {
	switch {
	case o.event != "" && o.data != "":
		return nil, at, usageError("--event or --data, not both")
	case o.data != "":
		data, err := o.file(c.InOrStdin())
		if err != nil {
			return nil, at, err
		}
		event := map[string]any{"data": data, "body": data}
		for _, name := range expr.EventFields() {
			if _, ok := event[name]; !ok {
				event[name] = nil
			}
		}
		return expr.Names{"event": event, "inputs": data}, time.Now(), nil
	case o.event == "":
		return expr.Names{}, time.Now(), nil
	}
	err = o.reading(func(h *store.History) error {
		ev, err := o.stored(c, h)
		if err != nil {
			return err
		}
		event, err := ev.Names()
		names, at = expr.Names{"event": event, "inputs": ev.Inputs}, ev.ReceivedAt
		return err
	})
	return names, at, err
}

func (o *evalOptions) stored(c *cobra.Command, h *store.History) (*engine.Event, error) {
	if o.event == "last" {
		list, err := h.Events(c.Context(), engine.Query{Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, errors.New("there is no event in this database yet; hookloom send TRIGGER sends one")
		}
		o.event = list[0].ID
	}
	id, err := engine.ParseEventID(o.event)
	if err != nil {
		return nil, usageError("%v", err)
	}
	ev, err := h.StoredEvent(c.Context(), id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, fmt.Errorf("no event %s in this database; hookloom events lists them", id)
	}
	return ev, err
}

func (o *evalOptions) file(in io.Reader) (any, error) {
	text, err := os.ReadFile(o.data)
	if o.data == "-" {
		text, err = io.ReadAll(io.LimitReader(in, 32<<20))
	}
	if err != nil {
		return nil, err
	}
	v, err := value.DecodeJSON(bytes.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.data, err)
	}
	return v, nil
}

// evaluated is one expression of a template, or the only one.
type evaluated struct {
	*expr.Explanation
	Expression string `json:"expression"`
}

// hint says which names can be read.
func (o *evalOptions) hint() string {
	if o.event == "" && o.data == "" {
		return "no event was given: --event ID (or last) reads a recorded one, --data FILE a JSON file as event.data"
	}
	return "the names here are event and inputs; steps, vars and secrets belong to a run"
}

func (a *app) eval(o *evalOptions, text string, env *expr.Env) error {
	pieces, err := templatePieces(text)
	if err != nil {
		return usageError("%v", err)
	}
	var list []evaluated
	var out strings.Builder
	failed := ""
	for _, p := range pieces {
		if !p.expression {
			out.WriteString(p.text)
			continue
		}
		x, err := expr.Explain(p.text, env)
		if err != nil {
			if strings.Contains(err.Error(), "unknown name") {
				err = fmt.Errorf("%w\n%s", err, o.hint())
			}
			return usageError("%v", err)
		}
		list = append(list, evaluated{x, p.text})
		whole := x.Parts[0]
		failed += whole.Problem
		if t, err := value.Text(whole.Value); err == nil && whole.Value != nil {
			out.WriteString(t)
		} else if err != nil {
			failed += err.Error()
		}
	}
	result, kind := any(out.String()), "text"
	if len(pieces) == 1 && len(list) == 1 {
		result, kind = list[0].Parts[0].Value, list[0].Parts[0].Type
	}
	if failed != "" {
		result, kind = nil, ""
	}
	if err := a.printEval(result, kind, failed, list); err != nil {
		return err
	}
	if failed != "" {
		return &exitError{exitFailure, errors.New("")}
	}
	return nil
}

func (a *app) printEval(result any, kind, failed string, list []evaluated) error {
	if a.json() {
		m := map[string]any{"value": result, "type": kind, "expressions": list}
		if failed != "" {
			m["error"] = failed
		}
		return a.printJSON(m)
	}
	if failed != "" {
		a.printf("error: %s\n", failed)
	} else {
		a.printf("%s\n%s\n", shownValue(result), kind)
	}
	for _, e := range list {
		if len(e.Parts) > 1 {
			t := newTable("PART", "VALUE", "TYPE")
			for _, p := range e.Parts {
				v := shownValue(p.Value)
				if p.Problem != "" {
					v = "error: " + p.Problem
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

// shownValue writes a value as JSON; times as in the API.
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

type templatePiece struct {
	text       string
	expression bool
}

// templatePieces divides a text at its ${{ }}; $${{ stands for the text ${{. A text without
// any is one expression.
func templatePieces(text string) (out []templatePiece, err error) {
	if !strings.Contains(text, "${{") {
		return []templatePiece{{text, true}}, nil
	}
	for text = strings.TrimSpace(text); text != ""; {
		before, rest, found := strings.Cut(text, "${{")
		if found && strings.HasSuffix(before, "$") {
			out = append(out, templatePiece{text: before[:len(before)-1] + "${{"})
			text = rest
			continue
		}
		if before != "" {
			out = append(out, templatePiece{text: before})
		}
		if !found {
			break
		}
		end, err := expr.End(rest)
		if err != nil {
			return nil, err
		}
		out = append(out, templatePiece{strings.TrimSpace(rest[:end]), true})
		text = rest[end+len("}}"):]
	}
	return out, nil
}
