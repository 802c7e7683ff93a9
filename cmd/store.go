package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/redact"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/spf13/cobra"
)

// storeCmd lists, shows and changes the values that steps store.
func (a *app) storeCmd() *cobra.Command {
	var f listFlags
	var project bool
	list := func(c *cobra.Command, _ []string) error {
		return f.reading(func(h *store.History) error { return a.listValues(c.Context(), h, &f, project) })
	}
	c := &cobra.Command{Use: "store", Short: "List the values that steps store between runs; show, set or delete one", Args: cobra.NoArgs,
		Long: `Lists the values of store/set and store/increment. A value belongs to one workflow
(--workflow W) or, with scope: project, to the whole project. Values are read from the
database, and changed through the running server; without a server, in the database.
The limits are 100000 keys, 64MiB in total and 64KiB per value. Secrets cannot be stored.`,
		Example: "  hookloom store --workflow invoices\n  hookloom store get last_invoice --workflow invoices\n" +
			"  hookloom store set limit 20 --ttl 1h\n  hookloom store set seen '{\"id\": 7}' --workflow invoices\n  hookloom store delete limit",
		RunE: list}
	flags := func(c *cobra.Command) *cobra.Command {
		f.addPlace(c)
		c.Flags().StringVar(&f.q.Workflow, "workflow", "", "of this workflow; of the project by default")
		return c
	}
	listing := func(c *cobra.Command) *cobra.Command {
		flags(c)
		c.Flags().Lookup("workflow").Usage = "only of this workflow"
		c.Flags().BoolVar(&project, "project", false, "only of the project")
		c.Flags().StringVar(&f.q.Grep, "grep", "", "only keys with this text")
		c.Flags().IntVar(&f.q.Limit, "limit", 50, "maximum number of values")
		c.Flags().StringVar(&f.q.After, "after", "", "continue after this position (next of the previous list)")
		return c
	}
	listing(c)
	var ttl string
	set := flags(&cobra.Command{Use: "set KEY VALUE", Short: "Store a value: JSON, or plain text", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return a.setValue(c.Context(), &f, args[0], args[1], ttl) }})
	set.Flags().StringVar(&ttl, "ttl", "", "how long it is stored, such as 1h; by default until it is deleted")
	c.AddCommand(
		listing(&cobra.Command{Use: "list", Short: "List values", Args: cobra.NoArgs, RunE: list}),
		flags(&cobra.Command{Use: "get KEY", Short: "Show one value", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return f.reading(func(h *store.History) error {
					item, err := h.Value(c.Context(), engine.ValueRef{Workflow: f.q.Workflow, Key: args[0]}, time.Now())
					if errors.Is(err, engine.ErrNotFound) {
						return fmt.Errorf("there is no key %q%s; hookloom store lists the keys", args[0], ofWorkflow(f.q.Workflow))
					}
					if err != nil {
						return err
					}
					if a.json() {
						return a.printJSON(item)
					}
					a.printf("%s\n", printable(string(item.Value)))
					return nil
				})
			}}),
		set,
		flags(&cobra.Command{Use: "delete KEY", Short: "Delete a key", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error { return a.deleteValue(c.Context(), &f, args[0]) }}),
	)
	return c
}

func ofWorkflow(name string) string {
	if name == "" {
		return " of the project"
	}
	return " of workflow " + name
}

func (a *app) listValues(ctx context.Context, h *store.History, f *listFlags, project bool) error {
	after, err := engine.ParseValueToken(f.q.After)
	if err != nil {
		return usageError("%v", err)
	}
	if f.q.Limit < 1 || f.q.Limit > 1000 {
		return usageError("--limit must be 1 to 1000")
	}
	if err := f.checkNames(ctx, h); err != nil {
		return err
	}
	items, err := h.Values(ctx, engine.ValueQuery{Workflow: f.q.Workflow, Project: project, Q: f.q.Grep, After: after, Limit: f.q.Limit + 1,
		Now: time.Now()})
	if err != nil {
		return err
	}
	page := engine.Page[engine.ValueItem]{Items: items}
	if len(items) > f.q.Limit {
		page.Items = items[:f.q.Limit]
		last := page.Items[f.q.Limit-1]
		page.Next = engine.ValueRef{Workflow: last.Workflow, Key: last.Key}.Token()
	}
	if a.json() {
		page.Items = append([]engine.ValueItem{}, page.Items...)
		return a.printJSON(page)
	}
	t := newTable("OF", "KEY", "VALUE", "EXPIRES", "CHANGED", "BY")
	for _, x := range page.Items {
		until := "never"
		if x.ExpiresAt != nil {
			until = clock(*x.ExpiresAt)
		}
		t.row(cmp.Or(x.Workflow, "(project)"), printable(x.Key), printable(clipText(string(x.Value), 80)), until, clock(x.UpdatedAt),
			printable(x.UpdatedBy))
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	if page.Next != "" {
		a.warnf("there are more: --after %s\n", page.Next)
	}
	return nil
}

func clipText(s string, n int) string {
	r := []rune(s)
	if len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// setValue stores a value: through the server, or in the database if none runs.
func (a *app) setValue(ctx context.Context, f *listFlags, key, text, ttl string) error {
	v, err := value.DecodeJSON([]byte(text))
	if err != nil {
		v = text // a plain word is a text
	}
	raw, err := value.EncodeJSON(v)
	if err != nil {
		return usageError("%v", err)
	}
	change := engine.ValueChange{ValueRef: engine.ValueRef{Workflow: f.q.Workflow, Key: key}, Kind: engine.ValueSet, Value: string(raw),
		By: callerName(ctx)}
	if ttl != "" {
		if change.TTL, err = workflows.ParseDuration(ttl); err != nil || change.TTL <= 0 {
			return usageError("--ttl %s is not a positive duration: write 30s, 1h or 7d", ttl)
		}
	}
	order := map[string]any{"workflow": f.q.Workflow, "key": key, "value": json.RawMessage(raw), "ttl": ttl, "by": change.By}
	if err := a.changeValue(ctx, f, change, "/api/v1/store", order); err != nil || a.json() {
		return err
	}
	a.printf("%s%s is %s\n", printable(key), ofWorkflow(f.q.Workflow), printable(clipText(string(raw), 200)))
	return nil
}

func (a *app) deleteValue(ctx context.Context, f *listFlags, key string) error {
	change := engine.ValueChange{ValueRef: engine.ValueRef{Workflow: f.q.Workflow, Key: key}, Kind: engine.ValueDelete, By: callerName(ctx)}
	order := map[string]any{"workflow": f.q.Workflow, "key": key, "by": change.By}
	if err := a.changeValue(ctx, f, change, "/api/v1/store/delete", order); err != nil || a.json() {
		return err
	}
	a.printf("%s%s is deleted\n", printable(key), ofWorkflow(f.q.Workflow))
	return nil
}

func (a *app) changeValue(ctx context.Context, f *listFlags, change engine.ValueChange, path string, order map[string]any) error {
	l, err := load(f.dir)
	if err != nil {
		return err
	}
	if w := change.Workflow; w != "" && change.Kind == engine.ValueSet && l.project.Workflows[w] == nil {
		return usageError("there is no workflow %q", w)
	}
	file := database(f.dir, f.db, l.project)
	if err := hasDatabase(file); err != nil {
		return fmt.Errorf("%w: hookloom serve makes it", err)
	}
	s, err := store.Open(ctx, file, store.Options{})
	var inUse *store.InUseError
	var out json.RawMessage
	switch {
	case errors.As(err, &inUse):
		err = adminCall(ctx, l, "POST", path, order, &out)
	case err == nil:
		err = errors.Join(a.changeHere(ctx, l, s, change, &out), s.Close())
	}
	if err != nil || !a.json() {
		return err
	}
	return a.printJSON(out)
}

// changeHere changes a value in the database itself.
func (a *app) changeHere(ctx context.Context, l *loaded, s *store.Store, change engine.ValueChange, out *json.RawMessage) error {
	if change.Kind == engine.ValueDelete {
		if _, err := s.Value(ctx, change.ValueRef, time.Now()); err != nil {
			return fmt.Errorf("key %q%s: %w", change.Key, ofWorkflow(change.Workflow), err)
		}
	}
	var secrets []string
	for _, n := range l.project.SecretNames() {
		if v, ok := l.secrets.Lookup(n); ok {
			secrets = append(secrets, v)
		}
	}
	redactor := &redact.Redactor{}
	redactor.Set(secrets)
	if _, err := engine.ChangeValueIn(ctx, s, change, redactor.Text); err != nil {
		return err
	}
	if change.Kind == engine.ValueDelete {
		*out = json.RawMessage(`{"status":"deleted"}`)
		return nil
	}
	item, err := s.Value(ctx, change.ValueRef, time.Now())
	if err != nil {
		return err
	}
	*out, err = json.Marshal(item)
	return err
}
