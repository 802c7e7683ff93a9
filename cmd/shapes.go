package cmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/shape"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

type shapesOptions struct {
	listFlags
	kind   string
	events int
}

// shapesCmd shows what the events of a trigger look like.
func (a *app) shapesCmd() *cobra.Command {
	var o shapesOptions
	c := &cobra.Command{Use: "shapes TRIGGER", Short: "Show what the events of a trigger look like", Args: cobra.ExactArgs(1),
		Annotations: map[string]string{outputs: "schema, fixture, typescript, go"},
		Long: `Reads the newest recorded events of a trigger and lists, for each type of event, the
paths of event.data, their types, how often each is present, and the values of fields
that have few. -o schema prints a JSON Schema, fixture sample data for tests,
typescript and go a type. Values that were masked are never shown.`,
		Example: "  hookloom shapes stripe\n  hookloom shapes stripe --type payment_intent.succeeded -o fixture > fixtures/paid.json\n" +
			"  hookloom shapes shop -o schema",
		RunE: func(c *cobra.Command, args []string) error { return a.shapes(c.Context(), args[0], &o) }}
	o.addPlace(c)
	c.Flags().StringVar(&o.kind, "type", "", "only events of this type")
	c.Flags().IntVar(&o.events, "events", 2000, "maximum number of events to read")
	return c
}

func (a *app) shapes(ctx context.Context, trigger string, o *shapesOptions) error {
	var list []*shape.Shape
	skipped := 0
	err := o.reading(func(h *store.History) (err error) {
		list, skipped, err = learned(ctx, h, trigger, o.kind, o.events)
		return err
	})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		what := "trigger " + trigger
		if o.kind != "" {
			what += " of type " + o.kind
		}
		return fmt.Errorf("no recorded events of %s; hookloom triggers lists the triggers, hookloom events the received events", what)
	}
	if skipped > 0 {
		a.warnf("%d events have no readable body and were left out\n", skipped)
	}
	switch a.output {
	case "json":
		return a.printJSON(map[string]any{"trigger": trigger, "items": list})
	case "text":
		for i, s := range list {
			if i > 0 {
				a.printf("\n")
			}
			if err := a.printShape(s); err != nil {
				return err
			}
		}
		return nil
	case "typescript":
		for _, s := range list {
			a.printf("%s", s.TypeScript())
		}
		return nil
	case "go":
		for _, s := range list {
			text, err := s.Go()
			if err != nil {
				return err
			}
			a.printf("%s", text)
		}
		return nil
	}
	if len(list) > 1 {
		return usageError("%s has %d types of events: choose one with --type (%s)", trigger, len(list), typesOf(list))
	}
	if a.output == "schema" {
		return a.printJSON(list[0].Schema())
	}
	return a.printJSON(list[0].Fixture())
}

func typesOf(list []*shape.Shape) string {
	var names []string
	for _, s := range list {
		names = append(names, cmp.Or(s.Type, `""`))
	}
	return strings.Join(names[:min(len(names), 10)], ", ")
}

// learned returns the shapes of a trigger's recorded events by type, the most frequent first.
func learned(ctx context.Context, h *store.History, trigger, kind string, limit int) (list []*shape.Shape, skipped int, err error) {
	byType := map[string]*shape.Shape{}
	unread := 0
	skipped, err = h.EachEvent(ctx, trigger, kind, limit, func(ev *engine.Event) bool {
		names, err := ev.Names()
		if err != nil || names["data"] == nil {
			unread++
			return true
		}
		s := byType[ev.Type]
		if s == nil {
			s = shape.New(trigger, ev.Type)
			byType[ev.Type] = s
			list = append(list, s)
		}
		s.Add(names["data"], ev.ReceivedAt)
		return true
	})
	slices.SortStableFunc(list, func(a, b *shape.Shape) int { return b.Events - a.Events })
	return list, skipped + unread, err
}

func (a *app) printShape(s *shape.Shape) error {
	a.printf("%s %s: %s, %s to %s\n", s.Trigger, printable(s.Type), counted(s.Events, "event"), clock(s.First), clock(s.Last))
	t := newTable("PATH", "TYPE", "PRESENT", "VALUES")
	for _, r := range s.Rows() {
		present := "always"
		if r.Present < r.Of {
			present = fmt.Sprintf("%d of %d", r.Present, r.Of)
		}
		t.row(printable(r.Path), strings.Join(r.Types, ", "), present, printable(strings.Join(r.Values, ", ")))
	}
	return t.print(a.out)
}
