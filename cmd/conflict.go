package cmd

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/spf13/cobra"
)

func (a *app) admitCmd() *cobra.Command {
	var at place
	var by string
	c := &cobra.Command{Use: "admit ID", Short: "Store a conflicting delivery as a separate event and run it, through the running server",
		Args: cobra.ExactArgs(1),
		Long: `If a delivery has the key of a known event but another body or type, it is stored as a
conflict, which hookloom event shows. admit takes its id (cfl_...), stores it as an event
with the key KEY#conflict-N, and runs the workflows that listen to it. Repeating it
changes nothing.
For the id of a refused delivery (ref_...) it does what hookloom replay does.`,
		Example: "  hookloom events --status conflicting\n  hookloom event evt_0d3c6f2a41e00000\n  hookloom admit cfl_3",
		RunE: func(c *cobra.Command, args []string) error {
			l, err := at.load()
			if err != nil {
				return err
			}
			if len(args[0]) > 4 && args[0][:4] == "ref_" {
				if err := a.admit(c.Context(), l, args[0]); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				return nil
			}
			if _, err := engine.ParseConflictID(args[0]); err != nil {
				return usageError("%v", err)
			}
			var out struct {
				Status string `json:"status"`
				Event  string `json:"event"`
			}
			if err := adminCall(c.Context(), l, "POST", "/api/v1/conflicts/"+args[0]+"/admit", map[string]string{"by": by}, &out); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if a.json() {
				return a.printJSON(map[string]any{"id": args[0], "status": out.Status, "event": out.Event})
			}
			if out.Status == "duplicate" {
				a.printf("%s was already admitted as %s\n", args[0], out.Event)
				return nil
			}
			a.printf("%s admitted as %s\n", args[0], out.Event)
			return nil
		}}
	at.flags(c.Flags())
	c.Flags().StringVar(&by, "by", os.Getenv("USER"), "your name, stored with the event")
	return c
}

// printIdentity prints how an event was identified, unless it was by its key.
func (a *app) printIdentity(i *engine.EventItem) {
	if i.Test {
		a.printf("  test      a sample of hookloom send or the console\n")
	}
	switch i.Identity {
	case engine.ByContent.String():
		a.printf("  identity  by content: it has no event ID\n")
	case engine.ByHeader.String():
		a.printf("  identity  by an id header of the request\n")
	}
	if i.RepeatsBodyOf != "" {
		a.printf("  body      same body as %s, under another id\n", i.RepeatsBodyOf)
	}
}

// printConflicts prints the deliveries of an event that differ from it.
func (a *app) printConflicts(list []engine.Conflict) {
	for _, c := range list {
		a.printf("\nConflicting delivery %s, %s, %d bytes, received %d %s\n", c.ID, clock(c.At), c.Size, c.Count, plural(c.Count, "time"))
		for _, path := range slices.Sorted(maps.Keys(c.Differences)) {
			pair, err := value.EncodeJSON(c.Differences[path])
			if err == nil {
				a.printf("  %s: %s\n", printable(path), printable(string(pair)))
			}
		}
		if c.Admitted != "" {
			a.printf("  admitted as %s\n", c.Admitted)
		} else {
			a.printf("  hookloom admit %s stores it as a separate event\n", c.ID)
		}
	}
}

// identityPhrase describes what identified an event.
func identityPhrase(word string) string {
	switch word {
	case engine.ByKey.String():
		return "the trigger's key"
	case engine.ByProvider.String():
		return "the provider's key"
	case engine.ByHeader.String():
		return "an id header"
	}
	return "its content"
}
