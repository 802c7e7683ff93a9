package cmd

import (
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/triggers"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/spf13/cobra"
)

func (a *app) providersCmd() *cobra.Command {
	var category string
	c := &cobra.Command{Use: "providers [NAME]", Short: "List provider presets, or show how to set one up", Args: cobra.MaximumNArgs(1),
		Long: `Lists the providers whose webhooks are verified by writing provider: NAME and a
secret. With a name it shows how to set up the provider, how it retries, its
parameters and known pitfalls. Presets marked experimental have not been checked
against current documentation: try them with a live account first.`,
		Example: "  hookloom providers\n  hookloom providers --category payments\n  hookloom providers stripe",
		RunE: func(c *cobra.Command, args []string) error {
			library, err := triggers.Presets()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return a.provider(library, args[0])
			}
			return a.providers(library, category)
		}}
	c.Flags().StringVar(&category, "category", "", "only of this category")
	return c
}

func (a *app) providers(library *triggers.Library, category string) error {
	items := []any{}
	t := newTable("PROVIDER", "TITLE", "CATEGORY", "SCHEME", "FACTS")
	for _, name := range library.Names() {
		p, err := library.Read(name)
		if err != nil {
			return err
		}
		if category != "" && p.Category != category {
			continue
		}
		items = append(items, providerItem(p))
		t.row(p.Name, p.Title, p.Category, p.Verify[0].Algorithm, facts(p))
	}
	if a.json() {
		return a.printJSON(map[string]any{"items": items})
	}
	return t.print(a.out)
}

// facts describes how reliable the preset's facts are.
func facts(p *workflows.Preset) string {
	if p.Experimental() {
		return "experimental"
	}
	return p.Confidence
}

func (a *app) provider(library *triggers.Library, name string) error {
	p, err := library.Read(name)
	if err != nil {
		return err
	}
	if p == nil {
		hint := spelling.Nearest(name, library.Names())
		for _, n := range library.Names() {
			if hint == "" && len(name) > 3 && strings.Contains(n, strings.ToLower(name)) {
				hint = n
			}
		}
		if hint != "" {
			hint = fmt.Sprintf("; did you mean %q?", hint)
		}
		return usageError("no provider %q%s (hookloom providers lists them)", name, hint)
	}
	if a.json() {
		return a.printJSON(providerItem(p))
	}
	a.providerSetup(p)
	a.providerFacts(p)
	return nil
}

// providerSetup prints the configuration and the setup steps for a provider.
func (a *app) providerSetup(p *workflows.Preset) {
	a.printf("%s (%s)\n\n  on:\n    webhook:\n      provider: %s\n", p.Title, facts(p), p.Name)
	if !p.SecretOptional {
		a.printf("      secret: ${{ secrets.%s_SECRET }}\n", strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")))
	}
	for _, x := range p.Params {
		if x.Required {
			a.printf("      params: {%s: ...}\n", x.Name)
		}
	}
	a.printf("\nSet up\n")
	for i, s := range p.Setup {
		a.printf("  %d. %s\n", i+1, s)
	}
}

// providerFacts prints what is known about a provider's deliveries.
func (a *app) providerFacts(p *workflows.Preset) {
	a.printf("\n")
	a.printf("%-11s %s\n", "Identity", p.IdentityWords())
	for _, row := range [][2]string{{"Secret", p.SecretName}, {"Docs", p.Docs}, {"Time limit", p.Delivery.Timeout},
		{"Retries", p.Delivery.Retry}, {"Success", p.Delivery.Success}, {"Repeats", p.RetryWords()}} {
		if row[1] != "" {
			a.printf("%-11s %s\n", row[0], row[1])
		}
	}
	if p.MaxBody > 0 {
		a.printf("%-11s up to %s (the default of max_body)\n", "Body size", formatSize(p.MaxBody))
	} else {
		a.printf("%-11s up to 1MiB (the default of max_body; no documented limit is known)\n", "Body size")
	}
	for _, v := range p.Verify {
		only := ""
		if v.Explicit {
			only = fmt.Sprintf(" (only with variant: %s)", v.Variant)
		}
		a.printf("%-11s %s: %s%s\n", "Scheme", v.Variant, v.Algorithm, only)
	}
	if p.ProvesProvider {
		a.printf("%-11s only that %s sent it, not for which customer\n", "Proves", p.Title)
	}
	if len(p.MediaTypes) > 0 {
		a.printf("%-11s %s\n", "Media types", strings.Join(p.MediaTypes, ", "))
	}
	for _, x := range p.Params {
		more := ""
		if x.Default != "" {
			more = fmt.Sprintf(" (default %s)", x.Default)
		}
		a.printf("%-11s %s: %s%s\n", "Parameter", x.Name, x.Help, more)
	}
	if p.List != nil {
		a.printf("%-11s poll: {provider: %s, every: 5m}, with\n            %s\n", "Polling", p.Name, p.List.Setup)
	}
	if len(p.Handshakes) > 0 {
		a.printf("%-11s answered automatically\n", "Handshake")
	}
	if len(p.IPs) > 0 {
		a.printf("%-11s %d ranges as of %s, for allow_ips: [provider] (%s)\n", "Addresses", len(p.IPs), p.IPsAsOf, p.IPsSource)
	}
	if p.Batch != nil {
		a.printf("%-11s a delivery may hold several events; split: %s makes each one an event\n", "Batches", p.Batch.Text)
	}
	for _, n := range p.Notes {
		a.printf("%-11s %s\n", "Note", n)
	}
}

func providerItem(p *workflows.Preset) map[string]any {
	var schemes, params []any
	for _, v := range p.Verify {
		schemes = append(schemes, map[string]any{"variant": v.Variant, "algorithm": v.Algorithm, "explicit": v.Explicit})
	}
	for _, x := range p.Params {
		params = append(params, map[string]any{"name": x.Name, "help": x.Help, "default": x.Default, "required": x.Required})
	}
	return map[string]any{"provider": p.Name, "aliases": p.Aliases, "title": p.Title, "category": p.Category, "docs": p.Docs,
		"confidence": p.Confidence, "experimental": p.Experimental(),
		"sources": p.Sources, "secret": p.SecretName, "schemes": schemes, "params": params, "setup": p.Setup,
		"handshake": len(p.Handshakes) > 0, "polling": p.List != nil, "max_body": maxBody(p), "proves_provider": p.ProvesProvider,
		"media_types": p.MediaTypes,
		"delivery": map[string]any{"timeout": p.Delivery.Timeout, "retry": p.Delivery.Retry, "success": p.Delivery.Success,
			"signed": p.Retries.Signed, "window_seconds": p.Retries.Window.Seconds(), "source": p.Retries.Source}, "identity": p.IdentityWords(),
		"events": p.Events, "notes": p.Notes}
}

// maxBody returns a provider's documented maximum body size in bytes, nil if there is none.
func maxBody(p *workflows.Preset) any {
	if p.MaxBody == 0 {
		return nil
	}
	return p.MaxBody
}

// formatSize formats bytes like presets: 25MB, 1MiB.
func formatSize(n int64) string {
	for _, u := range []struct {
		name string
		of   int64
	}{{"MiB", 1 << 20}, {"MB", 1_000_000}, {"KiB", 1 << 10}, {"KB", 1000}} {
		if n%u.of == 0 {
			return fmt.Sprintf("%d%s", n/u.of, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}
