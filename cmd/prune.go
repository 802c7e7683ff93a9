package cmd

import (
	"context"
	"errors"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/console"
	"github.com/hookloom/hookloom/engine/files"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/workflows"
	"github.com/spf13/cobra"
)

func (a *app) pruneCmd() *cobra.Command {
	var f listFlags
	order := map[string]string{}
	var keep, bodies, size string
	c := &cobra.Command{Use: "prune", Short: "Remove old history now", Args: cobra.NoArgs,
		Long: `Removes what is older than the limits in history: (hookloom.yaml). A running server does
this every hour; flags override the settings. Open runs and their data stay, and so do
keys within their trigger's dedupe. It works in small transactions through the running
server, and returns the space to the file system. Without a server it opens the database
itself; if a server starts meanwhile, the command hands over to it.`,
		Example: "  hookloom prune --keep 30d --bodies 7d --max-size 2GB",
		RunE: func(c *cobra.Command, _ []string) error {
			order["keep"], order["bodies"], order["max_size"] = keep, bodies, size
			l, err := f.load()
			if err != nil {
				return err
			}
			h, err := l.project.History.With(keep, bodies, size)
			if err != nil {
				return usageError("%v", err)
			}
			if h.Keep == 0 && h.Bodies == 0 && h.MaxSize == 0 {
				return usageError("no retention is configured: add history: {keep: 30d} to hookloom.yaml, or use --keep, --bodies or --max-size")
			}
			n, err := prune(c.Context(), l, h, order)
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(n)
			}
			a.printf("removed %d runs, %d events, %d bodies, %d keys, %d refused deliveries; freed %s\n", n.Runs, n.Events, n.Bodies, n.Keys,
				n.Refusals, console.Bytes(n.Bytes))
			if n.Files > 0 {
				a.printf("removed %s of deleted runs, %s\n", counted(n.Files, "file"), console.Bytes(n.FileBytes))
			}
			return nil
		}}
	f.addPlace(c)
	c.Flags().StringVar(&keep, "keep", "", "how long events and ended runs are kept, such as 30d")
	c.Flags().StringVar(&bodies, "bodies", "", "how long bodies, inputs and outputs are kept, such as 7d")
	c.Flags().StringVar(&size, "max-size", "", "the maximum size of the database, such as 2GB")
	return c
}

// prune removes old history: through the server that uses the database, or else here. If a server
// needs the database, it gives it up at once, and the server does the rest.
func prune(ctx context.Context, l *loaded, h workflows.History, order map[string]string) (engine.Pruned, error) {
	var n engine.Pruned
	path := l.database()
	if err := hasDatabase(path); err != nil {
		return n, err
	}
	s, err := store.Open(ctx, path, store.Options{Verb: "prune"})
	var inUse *store.InUseError
	if errors.As(err, &inUse) {
		err = adminCall(ctx, l, "POST", "/api/v1/prune", order, &n)
		return n, err
	}
	if err != nil {
		return n, err
	}
	given, err := pruneUntilWanted(ctx, s, engine.PruneOrderOf(l.project, h, time.Now()), &n)
	if err == nil && !given {
		n.Files, n.FileBytes, err = engine.SweepFiles(ctx, files.New(l.project.Dir, l.project.FileBounds.MaxSize), s)
	}
	if diskFull(err) {
		return n, errors.Join(errors.New(console.NoRoomAfterPrune), s.Close())
	}
	if err = errors.Join(err, s.Close()); err != nil || !given {
		return n, err
	}
	rest, err := pruneByServer(ctx, l, order)
	n.Runs, n.Events, n.Bodies, n.Keys = n.Runs+rest.Runs, n.Events+rest.Events, n.Bodies+rest.Bodies, n.Keys+rest.Keys
	n.Refusals, n.Bytes = n.Refusals+rest.Refusals, n.Bytes+rest.Bytes
	n.Files, n.FileBytes = n.Files+rest.Files, n.FileBytes+rest.FileBytes
	return n, err
}

// pruneUntilWanted prunes until it is done, or until another process waits for the database: given
// reports which.
func pruneUntilWanted(ctx context.Context, s *store.Store, o engine.PruneOrder, n *engine.Pruned) (given bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if s.Wanted() {
				cancel(errWanted)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	*n, err = s.Prune(ctx, o)
	cancel(nil)
	<-watched // it reads the lock file, which is closed next
	if errors.Is(context.Cause(ctx), errWanted) {
		return err != nil, nil
	}
	return false, err
}

// errWanted means that another process waits for the database.
var errWanted = errors.New("another process needs the database")

// pruneByServer makes the server that has just taken the database do the rest.
func pruneByServer(ctx context.Context, l *loaded, order map[string]string) (n engine.Pruned, err error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		if h := l.server(); h != nil && h.Admin != "" {
			err = adminCall(ctx, l, "POST", "/api/v1/prune", order, &n)
			return n, err
		}
		if time.Now().After(deadline) {
			return n, errors.New("the rest was not pruned: a server needed the database and does not respond yet; try again when it runs")
		}
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
