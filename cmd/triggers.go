package cmd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/triggers"
	"github.com/spf13/cobra"
)

// triggersCmd lists triggers with the use of their secrets.
func (a *app) triggersCmd() *cobra.Command {
	var f listFlags
	var await string
	c := &cobra.Command{Use: "triggers", Short: "List triggers, their URLs, and when each secret was last used", Args: cobra.NoArgs,
		Long: `Lists the project's triggers. While you rotate a secret, list both under secret:. The old
one is safe to remove once this list no longer shows it in use. Uses are stored every few
seconds: a crash loses at most the last few seconds.

--await-secret is for providers that send their secret in a handshake (Asana,
Notion): the running server accepts it only within the next 15 minutes, and only once.`,
		Example: "  hookloom triggers\n  hookloom triggers --await-secret asana\n  hookloom triggers --output json",
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := f.load()
			if err != nil {
				return err
			}
			if await != "" {
				return a.awaitSecret(c.Context(), l, await)
			}
			var uses []engine.SecretUse
			inlets := map[string][]engine.InletHealth{}
			if h, err := f.history(); err == nil {
				uses, err = h.SecretUses(c.Context())
				for name, t := range l.project.Triggers {
					for _, inlet := range t.Polled() {
						st, serr := h.InletState(c.Context(), name, inlet)
						inlets[name] = append(inlets[name], st.Health(inlet))
						err = errors.Join(err, serr)
					}
				}
				if err = errors.Join(err, h.Close()); err != nil {
					return err
				}
			}
			return a.printTriggers(l, uses, inlets)
		}}
	c.Flags().StringVar(&await, "await-secret", "", "accept the secret from the next handshake of this trigger's provider")
	f.addPlace(c)
	return c
}

func (a *app) printTriggers(l *loaded, uses []engine.SecretUse, inlets map[string][]engine.InletHealth) error {
	type item struct {
		Name     string               `json:"name"`
		URL      string               `json:"url,omitempty"`
		Provider string               `json:"provider,omitempty"`
		Identity string               `json:"identity,omitempty"`
		Secrets  []engine.SecretState `json:"secrets"`
		Inlets   []engine.InletHealth `json:"inlets,omitempty"`
		Timings  []triggers.Timing    `json:"timings,omitempty"`
	}
	p, now := l.project, time.Now()
	base := strings.TrimRight(p.Server.PublicURL, "/")
	if base == "" {
		base = l.hooksURL()
	}
	items := []item{}
	t := newTable("TRIGGER", "URL", "PROVIDER", "SECRET", "USED", "LAST", "", "EVENTS IDENTIFIED")
	for _, name := range slices.Sorted(maps.Keys(p.Triggers)) {
		w := p.Triggers[name].Webhook
		i := item{Name: name, Secrets: []engine.SecretState{}, Inlets: inlets[name], Timings: triggers.Timings(p, p.Triggers[name], now,
			shownTimes)}
		if w != nil {
			i.Identity = p.IdentityWords(w)
			i.URL, i.Provider, i.Secrets = base+w.Path, w.Provider, engine.SecretStates(name, w.SecretLabels(), uses, time.Now())
		}
		items = append(items, i)
		if len(i.Secrets) == 0 {
			t.row(name, i.URL, i.Provider, "", "", "", "", i.Identity)
		}
		for n, s := range i.Secrets {
			if n > 0 {
				name, i.URL, i.Provider, i.Identity = "", "", "", ""
			}
			t.row(name, i.URL, i.Provider, s.Secret, fmt.Sprint(s.Count), clockPointer(s.LastAt), s.Advice, i.Identity)
		}
	}
	if a.json() {
		return a.printJSON(map[string]any{"items": items})
	}
	if err := errors.Join(t.print(a.out), a.printTimings(now, p)); err != nil || len(inlets) == 0 {
		return err
	}
	a.printf("\n")
	t = newTable("TRIGGER", "ASKS", "LAST", "ANSWERED", "FAILURES", "ERROR")
	for _, name := range slices.Sorted(maps.Keys(inlets)) {
		for _, h := range inlets[name] {
			t.row(name, h.Inlet, clockPointer(h.AskedAt), clockPointer(h.OKAt), fmt.Sprint(h.Failures), short(h.Error, 80))
		}
	}
	return t.print(a.out)
}
