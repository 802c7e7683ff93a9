package cmd

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// healthCmd checks whether the running server is ready, for health checks of containers and load
// balancers.
func (a *app) healthCmd() *cobra.Command {
	var p place
	c := &cobra.Command{Use: "health", Short: "Check whether the running server is ready", Args: cobra.NoArgs,
		Long: `Requests /readyz of the project's server. Exit status 0 if it is ready to store
deliveries, 1 if it is not or does not answer within 3 seconds. Warnings are printed
and do not change the status.`,
		Example: "  hookloom health\n  hookloom health --dir shop",
		RunE:    func(c *cobra.Command, _ []string) error { return a.health(c.Context(), &p) }}
	p.flags(c.Flags())
	return c
}

func (a *app) health(ctx context.Context, p *place) error {
	l, err := p.load()
	if err != nil {
		return err
	}
	list := serverHealth(ctx, l)
	ready := len(list) > 0 && list[0].Verdict == "ok"
	if a.json() {
		if err := a.printJSON(map[string]any{"ready": ready, "items": list}); err != nil {
			return err
		}
	}
	var problems []string
	for _, d := range list {
		text := d.Found
		if d.Do != "" {
			text += ": " + d.Do
		}
		switch {
		case ready:
			if !a.json() {
				a.printf("%s\n", text)
			}
		default:
			problems = append(problems, text)
		}
	}
	if !ready {
		return errors.New("the server " + strings.Join(problems, "\n"))
	}
	return nil
}
