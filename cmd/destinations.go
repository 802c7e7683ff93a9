package cmd

import (
	"cmp"
	"fmt"
	"net/url"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/destination"
	"github.com/spf13/cobra"
)

func (a *app) destinationsCmd() *cobra.Command {
	var at place
	var resume, host string
	c := &cobra.Command{Use: "destinations", Short: "List the hosts that steps call, with circuit state, attempts under way and waiting runs",
		Args: cobra.NoArgs,
		Long: `Asks the running server. A host that fails again and again is left alone (its
circuit is open) and tried every few seconds; attempts to it wait. Bounds of a host
stand in hookloom.yaml: destinations: {api.example.com: {concurrency: 4, rate: 10/s}}.

The receiver of an outbound webhook that answers 410 Gone gets no more until
--resume URL; its runs fail until then, and can be replayed. --resume with a name of
the list, or a host, ends what holds it: an open circuit, or the time for which it
asked to be left alone (Retry-After). Runs that wait for either go on at once.`,
		Example: "  hookloom destinations\n  hookloom destinations --resume https://partner.example.com/hooks\n" +
			"  hookloom destinations --resume https://api.example.com",
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := at.load()
			if err != nil {
				return err
			}
			if resume != "" {
				var out map[string]any
				if err := adminCall(c.Context(), l, "POST", "/api/v1/destinations/resume", map[string]string{"endpoint": resume}, &out); err != nil {
					return err
				}
				a.printf("%s is resumed\n", resume)
				return nil
			}
			var out struct {
				Items []struct {
					destination.State
					DeadLetters int `json:"dead_letters"`
				} `json:"items"`
				Paused []engine.Pause `json:"paused"`
			}
			path := "/api/v1/destinations"
			if host != "" {
				path += "?host=" + url.QueryEscape(host)
			}
			if err := adminCall(c.Context(), l, "GET", path, nil, &out); err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(out)
			}
			t := newTable("DESTINATION", "CIRCUIT", "UNDER WAY", "OF", "WAITING", "DEAD LETTERS", "NEXT", "WHY", "LAST FAILURE")
			for _, d := range out.Items {
				next := "-"
				if d.Until != nil {
					next = clock(*d.Until)
				}
				t.row(d.Name, d.Circuit, fmt.Sprint(d.InUse), fmt.Sprint(d.Limit), fmt.Sprint(d.Waiting), fmt.Sprint(d.DeadLetters), next,
					cmp.Or(d.Why, "-"), short(d.Last, 80))
			}
			return a.printDestinations(t, out.Paused)
		}}
	at.flags(c.Flags())
	c.Flags().StringVar(&host, "host", "", "only this host")
	c.Flags().StringVar(&resume, "resume", "", "resume a paused endpoint or a held destination")
	return c
}

func (a *app) printDestinations(t *table, paused []engine.Pause) error {
	if err := t.print(a.out); err != nil || len(paused) == 0 {
		return err
	}
	a.printf("\n")
	t = newTable("PAUSED ENDPOINT", "SINCE", "RUN")
	for _, p := range paused {
		t.row(p.Endpoint, clock(p.At), p.Run)
	}
	return t.print(a.out)
}
