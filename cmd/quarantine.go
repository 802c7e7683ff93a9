package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

func (a *app) quarantineCmd() *cobra.Command {
	var f listFlags
	var groups bool
	c := &cobra.Command{Use: "quarantine [ID]", Short: "List refused deliveries and why, or show one", Args: cobra.MaximumNArgs(1),
		Long: `Refused deliveries are stored, up to a number and size, and never run. Each has a
diagnosis: what would have made it valid, found by trying. Once the cause is fixed,
hookloom replay ID verifies it again, as of the time it arrived, and stores it if it
is valid. Requests to unknown paths under /hooks/ are listed too, with the nearest
trigger.`,
		Example: "  hookloom quarantine --trigger stripe --since 1h\n  hookloom quarantine ref_12\n  hookloom replay ref_12",
		RunE: func(c *cobra.Command, args []string) error {
			return f.reading(func(h *store.History) error {
				if len(args) == 1 {
					return a.oneRefusal(c.Context(), h, args[0])
				}
				if groups {
					return a.refusalGroups(c.Context(), h, f.q)
				}
				p, err := listed(c.Context(), h, &f, h.Quarantine, h.CountRefusals, func(i engine.RefusalItem) string { return i.ID })
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(p)
				}
				items := p.Items
				t := newTable("ID", "AT", "TRIGGER", "REASON", "DIAGNOSIS", "FROM", "BYTES")
				for _, i := range items {
					why := i.Diagnosis
					if why == "" {
						why = i.Detail
					}
					if i.Event != "" {
						why = "admitted as " + i.Event
					}
					t.row(i.ID, clock(i.At), i.Trigger, i.Reason, short(why, 100), i.Remote, fmt.Sprint(i.Size))
				}
				return printList(a, t, p)
			})
		}}
	f.add(c)
	c.Flags().BoolVar(&groups, "groups", false, "group them by trigger and reason")
	f.addReason(c, "only for one of these reasons, separated by commas, such as \"signature does not match\"")
	c.Flags().Lookup("status").Usage = "alias of --reason"
	for _, none := range []string{"workflow", "type"} {
		c.Flags().Lookup(none).Hidden = true
	}
	return c
}

// refusalGroups prints all refused deliveries, grouped by trigger and reason.
func (a *app) refusalGroups(ctx context.Context, h *store.History, q engine.Query) error {
	groups, err := h.RefusalGroups(ctx, q)
	if err != nil {
		return queryError(err)
	}
	if a.json() {
		n := len(groups)
		return a.printJSON(engine.Page[engine.RefusalGroup]{Items: groups, Total: &n})
	}
	t := newTable("TRIGGER", "REASON", "REFUSED", "OF DELIVERIES", "FIRST", "LAST", "DIAGNOSIS OF THE LAST")
	for _, g := range groups {
		t.row(g.Trigger, g.Reason, fmt.Sprint(g.Count), fmt.Sprintf("%.1f %%", 100*g.Share), clock(g.First), clock(g.Last),
			short(g.Diagnosis, 60))
	}
	return t.print(a.out)
}

// oneRefusal prints all details of a refused delivery.
func (a *app) oneRefusal(ctx context.Context, h *store.History, id string) error {
	x, _, err := h.Refusal(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return fmt.Errorf("no refused delivery %s in this database", id)
	}
	if err != nil {
		return usageError("%v", err)
	}
	if a.json() {
		return a.printJSON(x)
	}
	a.printf("%s  %s  %s\n", x.ID, x.Trigger, printable(x.Reason))
	a.printf("  received   %s from %s\n  request    %s %s\n", clock(x.At), x.Remote, printable(x.Method), printable(cmp.Or(x.URL, x.Path)))
	if x.Detail != "" {
		a.printf("  detail     %s\n", printable(x.Detail))
	}
	if x.Diagnosis != "" {
		a.printf("  diagnosis  %s\n", printable(x.Diagnosis))
	}
	if x.Event != "" {
		a.printf("  admitted   as %s\n", x.Event)
	}
	a.printf("\nHeaders\n")
	for _, k := range slices.Sorted(maps.Keys(x.Headers)) {
		a.printf("  %s: %s\n", printable(k), printable(x.Headers[k]))
	}
	a.printf("\nBody (%d of %d bytes stored)\n%s\n", x.Kept, x.Size, indented(json.RawMessage(x.Body)))
	return nil
}
