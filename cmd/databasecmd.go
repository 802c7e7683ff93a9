package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/spf13/cobra"
)

// dbCmd creates, updates, shows and copies the tables of a database.
func (a *app) dbCmd() *cobra.Command {
	c := &cobra.Command{Use: "db", Short: "Create, update, show or copy the tables of a database"}
	var f place
	status := &cobra.Command{Use: "status", Short: "Show the server, the schema, and how durable an acknowledgement is", Args: cobra.NoArgs,
		Long: `Connects to the project's PostgreSQL database and shows the server's version, the version
of the schema, where an acknowledged event is stored, and which process uses the database.
Nothing is changed. Exit status 1 if hookloom serve would refuse to start.`,
		Example: "  hookloom db status --db postgres://hookloom@db.example.com/hookloom",
		RunE:    func(c *cobra.Command, _ []string) error { return a.databaseStatus(c.Context(), &f) }}
	f.flags(status.Flags())
	migrate := &cobra.Command{Use: "migrate", Short: "Create or update the tables", Args: cobra.NoArgs,
		Long: `Makes the schema and its tables, or updates them to this version. hookloom serve does the
same when it starts; this command is for a server whose own role may not create tables:
run it with a role that may, then grant the server's role the use of the schema.`,
		Example: "  hookloom db migrate --db postgres://owner@db.example.com/hookloom",
		RunE:    func(c *cobra.Command, _ []string) error { return a.migrateDatabase(c.Context(), &f) }}
	f.flags(migrate.Flags())
	c.AddCommand(status, migrate, a.copyCmd(), a.reopenCmd())
	return c
}

// address returns the address of the project's database; a file has none.
func (p *place) address() (path string, a *postgres.Address, err error) {
	path = database(p.dir, p.db, nil)
	if l, err := p.load(); err == nil {
		path = l.database()
	}
	if !postgres.IsAddress(path) {
		return path, nil, usageError("%s is a SQLite file: hookloom serve updates it when it starts; --db postgres://... names a "+
			"PostgreSQL database", path)
	}
	a, err = postgres.Parse(path)
	return path, a, err
}

// databaseState is what db status prints.
type databaseState struct {
	Database string `json:"database"`
	Release  string `json:"server"`
	Schema   string `json:"schema"`
	// Have is the version of the schema, 0 for none; Want is the one that this program needs.
	Have int `json:"version"`
	Want int `json:"needs"`
	// Worth is where an acknowledged event is; empty if the server does not keep what is promised.
	Worth    string   `json:"acknowledged,omitempty"`
	UsedBy   string   `json:"used_by,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

func (a *app) databaseStatus(ctx context.Context, at *place) error {
	path, address, err := at.address()
	if err != nil {
		return err
	}
	c, err := address.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it only reads
	f, err := address.Inspect(ctx, c)
	if err == nil {
		err = address.Supported(f)
	}
	if err != nil {
		return err
	}
	s := databaseState{Database: address.String(), Release: f.Release, Schema: address.Schema, Worth: f.Worth()}
	var version store.SchemaVersion
	var problems []error
	if !f.Rights.Exists || f.Rights.Usage {
		if version, err = store.PostgresSchema(ctx, address, c); err != nil {
			return address.Explain(err)
		}
	}
	s.Have, s.Want = version.Have, version.Want
	if version.TooNew() {
		problems = append(problems, store.NewerSchema(version))
	}
	unsafe := []error{address.Writable(f), address.Durable(f)}
	if errors.Join(unsafe...) != nil {
		s.Worth = "" // no event is acknowledged
	}
	problems = append(problems, store.ReadableThroughPooler(ctx, address))
	for _, err := range append(append(problems, unsafe...), address.Allowed(f, version.Have < version.Want)) {
		if err != nil {
			s.Problems = append(s.Problems, err.Error())
		}
	}
	if version.Have > 0 {
		if h, err := store.HolderOf(path); err == nil && h != nil {
			s.UsedBy = h.String()
		}
	}
	return a.printDatabaseState(&s)
}

func (a *app) printDatabaseState(s *databaseState) error {
	if a.json() {
		if err := a.printJSON(s); err != nil {
			return err
		}
	} else {
		version := fmt.Sprintf("version %d", s.Have)
		switch {
		case s.Want == 0:
			version = "cannot be read"
		case s.Have == 0:
			version = fmt.Sprintf("does not exist yet: hookloom serve or hookloom db migrate makes version %d", s.Want)
		case s.Have < s.Want:
			version += fmt.Sprintf("; hookloom serve or hookloom db migrate updates it to %d", s.Want)
		}
		worth := "on " + s.Worth
		if s.Worth == "" {
			worth = "nothing: hookloom serve refuses this server until the problem is solved"
		}
		a.printf("database      %s\nserver        PostgreSQL %s\nschema        %s, %s\nacknowledged  %s\n", s.Database, s.Release, s.Schema,
			version, worth)
		if s.UsedBy != "" {
			a.printf("used by       %s; hookloom nodes lists all nodes\n", s.UsedBy)
		}
		for _, p := range s.Problems {
			a.printf("problem       %s\n", p)
		}
	}
	if len(s.Problems) > 0 {
		return &exitError{exitFailure, errors.New("")}
	}
	return nil
}

func (a *app) migrateDatabase(ctx context.Context, at *place) error {
	_, address, err := at.address()
	if err != nil {
		return err
	}
	c, _, err := address.Open(ctx, true)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // each migration is committed
	before, err := store.PostgresSchema(ctx, address, c)
	if err == nil {
		err = store.MigratePostgres(ctx, address, c)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", address, address.Explain(err))
	}
	if a.json() {
		return a.printJSON(map[string]any{"database": address.String(), "from": before.Have, "to": before.Want})
	}
	if before.Have >= before.Want {
		a.printf("%s: schema %s is up to date, version %d\n", address, address.Schema, before.Want)
		return nil
	}
	a.printf("%s: schema %s updated from version %d to %d\n", address, address.Schema, before.Have, before.Want)
	return nil
}

// copyCmd copies a database.
func (a *app) copyCmd() *cobra.Command {
	var from, to string
	c := &cobra.Command{Use: "copy --from DATABASE --to DATABASE", Short: "Copy a database from SQLite to PostgreSQL, or back",
		Args: cobra.NoArgs,
		Long: `Copies all rows of a database into an empty one, and compares both row by row. Stop the
server first: the command is refused while a process uses one of them. Ids, keys and the
name of the installation stay, so open runs continue in the copy with the same
idempotency keys. The source keeps its rows, and is marked: serve and another copy
refuse it from then on, since its open runs would run twice. hookloom db reopen removes
the mark. hookloom serve also refuses an incomplete copy: run the command again, and it
starts over.

A PostgreSQL database also contains certificates and the secrets from handshakes, encrypted
with the project's key. A copy to another PostgreSQL server includes them. With a SQLite
file they belong in the project's folder, and the command names those that it did not copy.`,
		Example: "  hookloom db copy --from hookloom.db --to postgres://hookloom@db.example.com/hookloom",
		RunE: func(c *cobra.Command, _ []string) error {
			if from == "" || to == "" {
				return usageError("--from and --to are required: --from hookloom.db --to postgres://...")
			}
			if err := hasDatabase(from); err != nil {
				return err
			}
			list, err := store.CopyDatabase(c.Context(), from, to, store.Options{})
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(map[string]any{"from": postgres.Name(from), "to": postgres.Name(to), "tables": list})
			}
			t := newTable("TABLE", "ROWS")
			for _, x := range list {
				if len(x.Left) == 0 {
					t.row(x.Table, fmt.Sprint(x.Rows))
				}
			}
			if err := t.print(a.out); err != nil {
				return err
			}
			a.printLeft(list)
			a.printf("%s is copied to %s; each row was compared. Serve %s from now on: hookloom serve refuses the source.\n",
				postgres.Name(from), postgres.Name(to), postgres.Name(to))
			return nil
		}}
	c.Flags().StringVar(&from, "from", "", "the database to copy: a file, or postgres://...")
	c.Flags().StringVar(&to, "to", "", "the new database, which must be empty: a file, or postgres://...")
	return c
}

// printLeft says what a copy from PostgreSQL to a SQLite file does not have.
func (a *app) printLeft(list []store.CopiedTable) {
	for _, x := range list {
		if len(x.Left) == 0 {
			continue
		}
		switch x.Table {
		case "captured_secrets":
			a.printf("Not in the copy: the secrets %s, which providers sent in handshakes. With a SQLite file they belong in .env of the "+
				"project's folder: hookloom triggers --await-secret NAME lets a provider send its secret again.\n", strings.Join(x.Left, ", "))
		case "awaited_secrets":
			a.printf("Not in the copy: the wait for a handshake at %s; hookloom triggers --await-secret begins it again.\n",
				strings.Join(x.Left, ", "))
		default:
			a.printf("Not in the copy: %d certificates and keys of server.tls.acme; they are requested again.\n", len(x.Left))
		}
	}
}

// reopenCmd removes the mark of a copied database, so that it can be served again.
func (a *app) reopenCmd() *cobra.Command {
	var f place
	c := &cobra.Command{Use: "reopen", Short: "Allow a copied database to be served again", Args: cobra.NoArgs,
		Long: `Removes the mark that hookloom db copy left in its source, to undo a move. Stop the server
of the copy first, and do not serve the copy again: runs that were open when it was made
would run twice. Events that have arrived at the copy since are not in the source.`,
		Example: "  hookloom db reopen --db hookloom.db",
		RunE: func(c *cobra.Command, _ []string) error {
			path := database(f.dir, f.db, nil)
			if l, err := f.load(); err == nil {
				path = l.database()
			}
			if err := hasDatabase(path); err != nil {
				return err
			}
			to, err := store.Reopen(c.Context(), path, store.Options{})
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(map[string]any{"database": postgres.Name(path), "copy": to})
			}
			if to == "" {
				a.printf("%s was not copied: it can be served\n", postgres.Name(path))
				return nil
			}
			a.printf("%s can be served again. Do not serve its copy %s.\n", postgres.Name(path), to)
			return nil
		}}
	f.flags(c.Flags())
	return c
}
