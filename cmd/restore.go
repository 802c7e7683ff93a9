package cmd

import (
	"errors"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

func (a *app) restoreCmd() *cobra.Command {
	var at place
	c := &cobra.Command{Use: "restore FILE", Short: "Replace the database with a backup, while no server runs", Args: cobra.ExactArgs(1),
		Long: `Checks the backup in FILE, copies it, moves the current database aside with its -wal
and -shm, and gives the copy its name. FILE is not changed. Stop the server first: the
command does nothing while it runs.

The backup does not contain what the server did afterwards. The command prints what may
happen twice, as far as the current database can be read: calls of runs that were open
then are repeated with the same idempotency key; later events are only in the old
database, and run again, with new keys, if their senders send them again or a poll finds
them again.

The files of runs in FILE.files.age, which backup wrote next to it, are restored to
files/ of the project, with the key of the backup.`,
		Example: "  hookloom restore /backups/hookloom-2026-05-01.db",
		RunE: func(c *cobra.Command, args []string) error {
			path, err := at.sqliteFile("restore puts SQLite files in place; use pg_restore")
			if err != nil {
				return err
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
		a.printf("there was no database before: calls made after the backup are unknown and may be repeated\n")
	case !r.Compared:
		a.printf("the old database cannot be read, so later events are unknown: calls of open runs may be repeated " +
			"with the same\n" +
			"idempotency key, and events that are sent again run again; hookloom recover copies what is readable in the old file\n")
	default:
		a.printf("%s arrived after the backup, only in the old database: those that are sent again run again%s\n",
			counted(int(r.LaterEvents), "event"), first(r.LaterEventIDs))
		a.printf("%s after the backup may be repeated, those of runs that were open then with the same idempotency key%s\n",
			counted(int(r.RepeatedCalls), "call"), first(r.RepeatedCallOf))
	}
	a.printf("hookloom serve starts it\n")
}

// first returns the first of a list.
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
