package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hookloom/hookloom/actions"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

func (a *app) connectionsCmd() *cobra.Command {
	var at place
	var test bool
	c := &cobra.Command{Use: "connections [NAME]", Short: "List connections with kind, account, scopes, expiry, last use and last error",
		Args: cobra.MaximumNArgs(1),
		Long: `Lists the connections of hookloom.yaml with the state of their tokens. A token
itself is never shown. not_connected and needs_person come with advice; runs that need
such a connection wait for hookloom connect NAME. broken is one whose secret is not
set, or whose settings cannot be filled in.

--test calls the path in test: of the connection or its connector, a cheap GET; without
one, it only fetches the token.`,
		Example: "  hookloom connections\n  hookloom connections crm --test",
		RunE: func(c *cobra.Command, args []string) error {
			l, err := at.load()
			if err != nil {
				return err
			}
			if err := l.listable(); err != nil {
				return err
			}
			name := ""
			if len(args) == 1 {
				name = args[0]
				if err := l.namesConnection(name); err != nil {
					return err
				}
			}
			if test {
				return a.withLinks(c.Context(), l, func(x console.Connections) error { return a.testConnections(c.Context(), x, name) })
			}
			return a.listConnections(c.Context(), l, name)
		}}
	at.flags(c.Flags())
	c.Flags().BoolVar(&test, "test", false, "test all, or NAME, with a harmless call")
	return c
}

// listable returns an error for a project whose connections cannot be read. A connection whose
// secret is not set is listed as broken.
func (l *loaded) listable() error {
	var bad workflows.Mistakes
	for _, m := range l.mistakes {
		if !m.Warning && m.Code != workflows.SecretNotSet && !strings.HasPrefix(filepath.ToSlash(m.File), "workflows/") {
			bad = append(bad, m)
		}
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// connectionsOf lists connections as stored in the database, beside a running server.
func connectionsOf(ctx context.Context, l *loaded) ([]engine.ConnectionItem, error) {
	var states []engine.TokenState
	if hasDatabase(l.database()) == nil {
		h, err := store.OpenHistory(l.database())
		if err != nil {
			return nil, err
		}
		states, err = h.Tokens(ctx)
		if err = errors.Join(err, h.Close()); err != nil {
			return nil, err
		}
	}
	return actions.ConnectionItems(actions.Link(l.project, l.secrets.Lookup), states), nil
}

func (a *app) listConnections(ctx context.Context, l *loaded, name string) error {
	items, err := connectionsOf(ctx, l)
	if err != nil {
		return err
	}
	out := []engine.ConnectionItem{}
	for _, x := range items {
		if name == "" || x.Name == name {
			out = append(out, x)
		}
	}
	if a.json() {
		return a.printJSON(engine.Page[engine.ConnectionItem]{Items: out})
	}
	when := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return clock(*t)
	}
	t := newTable("CONNECTION", "CONNECTOR", "KIND", "ACCOUNT", "SCOPES", "STATUS", "EXPIRES", "LAST USED", "LAST ERROR")
	for _, x := range out {
		kind := x.Kind
		if x.Grant != "" {
			kind += " " + x.Grant
		}
		t.row(x.Name, x.Connector, kind, cmp.Or(printable(x.Account), "-"), cmp.Or(printable(strings.Join(x.Scopes, " ")), "-"), x.Status,
			when(x.ExpiresAt), when(x.LastUsedAt), cmp.Or(printable(short(cmp.Or(x.Why, x.LastError), 100)), "-"))
	}
	return t.print(a.out)
}

// tested is the result of testing a connection.
type tested struct {
	Connection string `json:"connection"`
	Works      bool   `json:"works"`
	Detail     string `json:"detail"`
}

func (a *app) testConnections(ctx context.Context, x console.Connections, name string) error {
	items, err := x.ConnectionItems(ctx)
	if err != nil {
		return err
	}
	out, bad := []tested{}, 0
	for _, item := range items {
		if name != "" && item.Name != name {
			continue
		}
		detail, err := x.TestConnection(ctx, item.Name)
		if err != nil {
			detail, bad = err.Error(), bad+1
		}
		out = append(out, tested{item.Name, err == nil, detail})
	}
	if a.json() {
		if err := a.printJSON(map[string]any{"items": out}); err != nil {
			return err
		}
	} else {
		t := newTable("CONNECTION", "WORKS", "DETAIL")
		for _, r := range out {
			t.row(r.Connection, map[bool]string{true: "yes", false: "no"}[r.Works], printable(r.Detail))
		}
		if err := t.print(a.out); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d connections failed", bad, len(out))
	}
	return nil
}
