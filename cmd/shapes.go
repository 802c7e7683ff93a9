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
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

type shapesOptions struct {
	listFlags
	trigger string
	// kind is a type of event, version one of the provider's API; empty for all.
	kind, version string
	events        int
}

// shapesCmd shows the structure of a trigger's events.
func (a *app) shapesCmd() *cobra.Command {
	var o shapesOptions
	c := &cobra.Command{Use: "shapes TRIGGER", Short: "Show what the events of a trigger look like", Args: cobra.ExactArgs(1),
		Annotations: map[string]string{outputs: "schema, fixture, typescript, go"},
		Long: `Reads the newest recorded events of a trigger and lists, for each type of event, the
paths of event.data, their types, how often each is present, and the values of fields
that have few. -o schema prints a JSON Schema, fixture sample data for tests,
typescript and go a type. Where deliveries state the version of the provider's API, the
events of each version are listed separately (--api-version selects one). Values that
were masked are never shown.`,
		Example: "  hookloom shapes stripe\n  hookloom shapes stripe --type payment_intent.succeeded -o fixture > fixtures/paid.json\n" +
			"  hookloom shapes shop -o schema",
		RunE: func(c *cobra.Command, args []string) error {
			if o.trigger = args[0]; o.events < 1 {
				return usageError("--events must be at least 1")
			}
			return a.shapes(c.Context(), &o)
		}}
	o.addPlace(c)
	c.Flags().StringVar(&o.kind, "type", "", "only events of this type")
	c.Flags().StringVar(&o.version, "api-version", "", "only events of this version of the provider's API")
	c.Flags().IntVar(&o.events, "events", 2000, "maximum number of events to read")
	return c
}

func (a *app) shapes(ctx context.Context, o *shapesOptions) error {
	var list []*shape.Shape
	trigger, skipped := o.trigger, 0
	l, err := load(o.dir)
	if err != nil {
		return err
	}
	err = o.reading(func(h *store.History) (err error) {
		list, skipped, err = learned(ctx, h, l.project, *o)
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
		if o.version != "" {
			what += " of version " + o.version
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
		if list[0].Type == list[1].Type || o.kind != "" {
			return usageError("%s has %d versions of %s: choose one with --api-version (%s)", trigger, len(list), cmp.Or(o.kind, list[0].Type),
				versionsOf(list))
		}
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

func versionsOf(list []*shape.Shape) string {
	var names []string
	for _, s := range list {
		names = append(names, cmp.Or(s.Version, "none"))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return strings.Join(names[:min(len(names), 10)], ", ")
}

// learned returns the shapes of a trigger's recorded events by type and version of the provider's API,
// the most frequent first.
func learned(ctx context.Context, h *store.History, p *workflows.Project, o shapesOptions) (list []*shape.Shape, skipped int, err error) {
	byType := map[[2]string]*shape.Shape{}
	unread := 0
	skipped, err = h.EachEvent(ctx, o.trigger, o.kind, o.events, func(ev *engine.Event) bool {
		names, err := ev.Names()
		if err != nil || names["data"] == nil {
			unread++
			return true
		}
		version := p.APIVersion(o.trigger, ev.Headers, names)
		if o.version != "" && version != o.version {
			return true
		}
		s := byType[[2]string{ev.Type, version}]
		if s == nil {
			s = shape.New(o.trigger, ev.Type, version)
			byType[[2]string{ev.Type, version}] = s
			list = append(list, s)
		}
		s.Add(names["data"], ev.ReceivedAt)
		return true
	})
	slices.SortStableFunc(list, func(a, b *shape.Shape) int { return b.Events - a.Events })
	return list, skipped + unread, err
}

func (a *app) printShape(s *shape.Shape) error {
	version := ""
	if s.Version != "" {
		version = ", version " + printable(s.Version)
	}
	a.printf("%s %s%s: %s, %s to %s\n", s.Trigger, printable(s.Type), version, counted(s.Events, "event"), clock(s.First), clock(s.Last))
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
