package cmd

import (
	"errors"
	"fmt"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/spf13/cobra"
)

func (a *app) recoverCmd() *cobra.Command {
	var at place
	c := &cobra.Command{Use: "recover NEWFILE", Short: "Copy what is readable in a damaged database into a new file", Args: cobra.ExactArgs(1),
		Long: `Reads the project's database (or --db FILE) table by table, skips what cannot be read,
and writes the rest into NEWFILE, which is then a valid database. The damaged files are
not changed: it works on a copy next to NEWFILE, which needs the same space again.

For each table it prints how many rows were readable and where rows are missing. Events
whose checksum is wrong are left out, and so are runs whose event is lost. A backup is
better, if there is one: compare both before hookloom restore NEWFILE puts the new file
in place. Exit status 1 if something was lost.`,
		Example: "  hookloom recover salvaged.db\n  hookloom recover --db hookloom.db.before-restore-20260501T080000Z salvaged.db",
		RunE: func(c *cobra.Command, args []string) error {
			path, err := at.sqliteFile("recover reads SQLite files; restore a backup with pg_restore")
			if err != nil {
				return err
			}
			r, err := store.Recover(c.Context(), path, args[0])
			if err != nil {
				return err
			}
			if a.json() {
				err = a.printJSON(r)
			} else {
				err = a.printRecovered(r)
			}
			if err == nil && r.Damaged() {
				err = &exitError{exitFailure, errors.New("something was lost")}
			}
			return err
		}}
	at.flags(c.Flags())
	return c
}

func (a *app) printRecovered(r *store.Recovered) error {
	t := newTable("TABLE", "ROWS", "GAPS", "LEFT OUT", "PROBLEM")
	for _, x := range r.Tables {
		t.row(x.Table, fmt.Sprint(x.Rows), fmt.Sprint(x.Gaps), fmt.Sprint(x.Refused), short(x.Problem, 60))
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	a.printf("%s: %s and %s, %d of them open\n", r.File, counted(int(r.Events), "event"), counted(int(r.Runs), "run"), r.Open)
	if r.Orphans > 0 {
		a.printf("%s left out: their parent rows are lost\n", counted(int(r.Orphans), "row"))
	}
	if r.Undecided > 0 {
		a.printf("%s without a decision or a run, lost or never made: hookloom replay --trigger T --status unmatched --since 30d "+
			"decides them again\n", counted(int(r.Undecided), "event"))
	}
	if r.Open > 0 && r.Damaged() {
		a.printf("open runs continue; a step whose rows are lost runs again with the same idempotency key\n")
	}
	a.printf("hookloom restore %s replaces the database with it\n", r.File)
	return nil
}
