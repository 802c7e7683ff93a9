package cmd

import (
	"errors"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

func (a *app) restoreCmd() *cobra.Command {
	var at place
	c := &cobra.Command{Use: "restore FILE", Short: "Put a backup in the database's place, while no server runs", Args: cobra.ExactArgs(1),
		Long: `Checks the backup in FILE, copies it, moves the present database aside with its -wal
and -shm, and gives the copy its name. FILE stays as it is. A server that runs is not
touched: stop it first.

What the server did after the backup is not in it. What may happen a second time is
printed, as far as the present database can be read: calls of runs that were open then
are made again with the same idempotency key; events that came later are in the old
database alone, and run again, with new keys, when their senders send them again or a
poll finds them again.

The files of runs in FILE.files.age, which backup wrote beside it, are put back into
files/ of the project, with the key of the backup.`,
		Example: "  hookloom restore /backups/hookloom-2026-05-01.db",
		RunE: func(c *cobra.Command, args []string) error {
			l, err := at.load()
			path := database(at.dir, at.db, nil)
			if err == nil {
				path = l.database()
			}
			r, err := store.Restore(c.Context(), path, args[0])
			if err != nil {
				return err
			}
			if a.json() {
				err = a.printJSON(r)
			} else {
				a.printRestored(r)
			}
			n, ferr := restoreFiles(at.dir, args[0])
			if n > 0 && ferr == nil && !a.json() {
				a.printf("%s of runs restored\n", counted(n, "file"))
			}
			return errors.Join(err, ferr)
		}}
	at.flags(c.Flags())
	return c
}

func (a *app) printRestored(r *store.Restored) {
	a.printf("%s is restored: %s and %s, %d of them open, as of %s\n", r.Database, counted(int(r.Events), "event"),
		counted(int(r.Runs), "run"), r.Open, clock(r.AsOf))
	if r.Aside != "" {
		a.printf("the old database is %s\n", r.Aside)
	}
	switch {
	case r.Aside == "":
		a.printf("there was no database before: what was done after the backup is not known, and may be done again\n")
	case !r.Compared:
		a.printf("the old database cannot be read, so that it is not known what came after the backup: calls of open runs may be made again " +
			"with the same\n" +
			"idempotency key, and events that are sent again run again; hookloom recover reads what the old file still gives\n")
	default:
		a.printf("%s came after the backup and only the old database has them: sent again, they run again%s\n",
			counted(int(r.LaterEvents), "event"), first(r.LaterEventIDs))
		a.printf("%s after the backup may be repeated, those of runs that were open then with the same idempotency key%s\n",
			counted(int(r.RepeatedCalls), "call"), first(r.RepeatedCallOf))
	}
	a.printf("hookloom serve starts it\n")
}

// first names the first of a list.
func first(ids []string) string {
	const shown = 5
	text := ""
	for i, id := range ids {
		if i == shown {
			return text + "\n  ... (--output json lists up to a thousand)"
		}
		text += "\n  " + printable(id)
	}
	return text
}
