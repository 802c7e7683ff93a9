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
	c := &cobra.Command{Use: "destinations", Short: "List the hosts that steps call, with circuit state, attempts in flight and waiting runs",
		Args: cobra.NoArgs,
		Long: `Lists the hosts as the running server sees them. After repeated failures of a host its
circuit opens: attempts wait, and one probes the host every few seconds. Limits of a
host are set in hookloom.yaml:
  destinations: {api.example.com: {concurrency: 4, rate: 10/s}}

The receiver of an outbound webhook that answers 410 Gone is paused until
--resume URL; its runs fail until then, and can be replayed. --resume with a name from
the list, or a host, ends an open circuit, or a delay that the host asked for
(Retry-After). Runs that wait for either continue at once.`,
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
