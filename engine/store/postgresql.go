package store

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine/store/postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed migrations/postgres/*.sql
var postgresqlMigrations embed.FS

// ownParts are the parts of statements that translate cannot derive, each with PostgreSQL's text.
var ownParts = []struct{ sqlite, postgresql string }{
	{shownUntil, schemaName + `.moved_until(output, ?1)`},
	// The node that accepts an event decides it; the one that makes or takes up a run executes it.
	{insertInbox, `INSERT INTO inbox (event_id, owner_node) VALUES (?, ` + nodeNumber + `)`},
	{insertRun, strings.Replace(strings.Replace(insertRun, `(id,`, `(owner_node, id,`, 1), `VALUES (`, `VALUES (`+nodeNumber+`, `, 1)},
	{takesRun, `UPDATE runs SET owner_node = ` + nodeNumber + `, status = 'running',`},
	// With statistics of another moment the planner takes the list of all waiting runs for short, and reads it
	// for each event. These conditions are in no index: the runs are found by their ids.
	{waitingAmong, `coalesce(status, '') = 'waiting' AND id IN (`},
	{queuedAmong, `coalesce(status, '') = 'queued' AND id IN (`},
	// The planner takes the list of runs that failed at a host for short, and would look up each of them.
	{failedRuns, `coalesce` + failedRuns},
	// json_field is NULL for a text that is not JSON: checking that first costs as much as the field.
	{errorMessage, `CASE WHEN r.error IS NULL THEN '' ELSE coalesce(r.error ->> '$.message', CASE WHEN json_valid(r.error) THEN '' ELSE ` +
		`'the error of this run cannot be read' END) END`},
	{errorStep, `coalesce(r.error ->> '$.step', '')`},
	{errorCode, `coalesce(r.error ->> '$.code', '')`},
	{markResumed, schemaName + `.json_true(error, 'resumed')`},
	{outcomesOf, `coalesce(json_object_agg(d.workflow, d.outcome), '{}')::text`},
	{workflowsOf, `coalesce(json_agg(DISTINCT workflow COLLATE "C"), '[]')::text`},
}

// postgresSize is the size in bytes of the tables, with their indexes.
const postgresSize = `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON ` +
	`n.oid = c.relnamespace WHERE n.nspname || '.' = '` + schemaName + `.' AND c.relkind = 'r'`

// execMode is how statements are executed: prepared once for each connection, or, behind a pooler that
// gives each transaction another connection, parsed each time.
func execMode(a *postgres.Address) pgx.QueryExecMode {
	if !a.Hints {
		return pgx.QueryExecModeCacheDescribe
	}
	return pgx.QueryExecModeCacheStatement
}

// SchemaVersion is the schema of a PostgreSQL database: the version that it has, 0 for none, the one
// that this program makes, and the lowest version whose programs can still use it. A migration that
// only adds what earlier programs do not need says so in its first line: nodes of both versions then
// work side by side until all are updated. What is no longer needed is removed one version later.
type SchemaVersion struct{ Have, Want, Needs int }

// TooNew reports whether this program cannot use the database.
func (v SchemaVersion) TooNew() bool { return v.Have > v.Want && v.Needs > v.Want }

// schemaNeeds is the name of the lowest version in meta. Without it only programs of the newest schema
// can use the database.
const schemaNeeds = "schema_needs"

// stillUsable is the first line of a migration after which programs of an earlier schema can use the
// database.
var stillUsable = regexp.MustCompile(`^-- Programs of schema (\d+) and later can use the database after this migration\.\n`)

// needsSchema is the lowest version whose programs can use a database after a migration.
func needsSchema(text string, number int) int {
	if m := stillUsable.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return min(n, number)
		}
	}
	return number
}

// migrationsOf lists the migrations of PostgreSQL.
func migrationsOf(files fs.FS) ([]string, error) { return fs.Glob(files, "migrations/postgres/*.sql") }

// PostgresSchema reads the version of a database's schema.
func PostgresSchema(ctx context.Context, a *postgres.Address, conn *pgx.Conn) (v SchemaVersion, err error) {
	return postgresSchema(ctx, a, conn, postgresqlMigrations)
}

// postgresSchema is PostgresSchema for a program with the given migrations.
func postgresSchema(ctx context.Context, a *postgres.Address, conn *pgx.Conn, migrations fs.FS) (v SchemaVersion, err error) {
	files, err := migrationsOf(migrations)
	if err != nil {
		return v, err
	}
	v.Want = len(files)
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('`+a.Schema+`.migrations') IS NOT NULL`).Scan(&there); err != nil || !there {
		return v, err
	}
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(number), 0) FROM `+a.Schema+`.migrations`).Scan(&v.Have); err != nil {
		return v, err
	}
	if v.Needs = v.Have; v.Have <= v.Want {
		return v, nil
	}
	err = conn.QueryRow(ctx, `SELECT value::int FROM `+a.Schema+`.meta WHERE name = $1`, schemaNeeds).Scan(&v.Needs)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return v, err
}

// turnMigration is the migration that made the row of turn.
const turnMigration = 3

// NewerSchema is the error for a database of a newer program.
func NewerSchema(v SchemaVersion) error {
	return fmt.Errorf("its tables were made by a newer hookloom (schema version %d, this program knows %d): install that version or a "+
		"later one", v.Have, v.Want)
}

// MigratePostgres brings the schema of a database up to date, each numbered file in a transaction. A
// database of a newer program is rejected. Several programs may call it at once: the first one's
// transaction makes the others wait.
func MigratePostgres(ctx context.Context, a *postgres.Address, conn *pgx.Conn) error {
	return migratePostgres(ctx, a, conn, postgresqlMigrations)
}

// migratePostgres is MigratePostgres for a program with the given migrations.
func migratePostgres(ctx context.Context, a *postgres.Address, conn *pgx.Conn, migrations fs.FS) error {
	v, err := postgresSchema(ctx, a, conn, migrations)
	if err != nil {
		return err
	}
	if v.TooNew() {
		return NewerSchema(v)
	}
	if v.Have >= v.Want {
		return nil
	}
	files, err := migrationsOf(migrations)
	if err != nil {
		return err
	}
	if v.Have == 0 {
		if err := createMissing(ctx, conn, `CREATE SCHEMA IF NOT EXISTS `+a.Schema); err != nil {
			return fmt.Errorf("creating the schema %s: %w", a.Schema, err)
		}
		if err := createMissing(ctx, conn, `CREATE TABLE IF NOT EXISTS `+a.Schema+`.migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL,
			at TIMESTAMPTZ NOT NULL DEFAULT now())`); err != nil {
			return fmt.Errorf("creating the table of migrations: %w", err)
		}
	}
	for i := v.Have; i < v.Want; i++ {
		text, err := fs.ReadFile(migrations, files[i])
		if err != nil {
			return err
		}
		if err := applyPostgres(ctx, a, conn, files[i], text, i+1); err != nil {
			return fmt.Errorf("migration %s: %w", path.Base(files[i]), err)
		}
	}
	return nil
}

// createMissing executes a CREATE IF NOT EXISTS. If two programs do that at once, the second one waits for the
// first one's commit and then fails, since its snapshot did not have the object.
func createMissing(ctx context.Context, conn *pgx.Conn, statement string) error {
	_, err := conn.Exec(ctx, statement)
	var pe *pgconn.PgError
	if errors.As(err, &pe) && slices.Contains([]string{"23505", "42P06", "42P07"}, pe.Code) { // unique, duplicate_schema, duplicate_table
		_, err = conn.Exec(ctx, statement)
	}
	return err
}

// limitMigration removes the limits of the role and of the database: an index of a large table takes longer
// than its other statements.
const limitMigration = `SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`

func applyPostgres(ctx context.Context, a *postgres.Address, conn *pgx.Conn, file string, text []byte, number int) (err error) {
	// A program that waited for another one's migration reads what that one committed.
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
		}
	}()
	if _, err = tx.Exec(ctx, limitMigration); err != nil {
		return err
	}
	// The row comes first: a second program waits for it, and finds that the migration was made.
	tag, err := tx.Exec(ctx, `INSERT INTO `+a.Schema+`.migrations (number, name) VALUES ($1, $2) ON CONFLICT DO NOTHING`, number,
		path.Base(file))
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return tx.Commit(ctx)
	}
	// The nodes that use the database finish their transactions first.
	if number > turnMigration {
		if _, err = tx.Exec(ctx, `SELECT epoch FROM `+a.Schema+`.turn FOR UPDATE`); err != nil {
			return err
		}
	}
	// Without parameters, the simple protocol executes a text of many statements.
	if _, err = tx.Exec(ctx, inSchema(string(text), a.Schema), pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	var random [16]byte
	if _, err = rand.Read(random[:]); err != nil {
		return err
	}
	if _, err = tx.Exec(ctx, `INSERT INTO `+a.Schema+`.meta (name, value) VALUES ('instance', $1) ON CONFLICT DO NOTHING`,
		hex.EncodeToString(random[:])); err != nil {
		return err
	}
	if _, err = tx.Exec(ctx, `INSERT INTO `+a.Schema+`.meta AS m (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET
		value = greatest(m.value::int, excluded.value::int)::text`, schemaNeeds, strconv.Itoa(needsSchema(string(text), number))); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// preparePostgres checks the server, and brings the schema up to date. Rights to change the schema are
// needed only if it is not.
func preparePostgres(ctx context.Context, a *postgres.Address, migrations fs.FS) error {
	for _, migrate := range []bool{false, true} {
		conn, _, err := a.Open(ctx, migrate)
		if err != nil {
			return err
		}
		v, err := postgresSchema(ctx, a, conn, migrations)
		if err == nil && (migrate || v.TooNew()) {
			err = migratePostgres(ctx, a, conn, migrations)
		}
		if err = errors.Join(err, conn.Close(ctx)); err != nil {
			return fmt.Errorf("database %s: %w", a, err)
		}
		if v.Have >= v.Want {
			return nil
		}
	}
	return nil
}

// openPostgres opens a database on a PostgreSQL server, as a node of it.
func (s *Store) openPostgres(ctx context.Context, address string) error {
	a, err := postgres.Parse(address)
	if err != nil {
		return err
	}
	s.path = a.String()
	if s.o.Migrations == nil {
		s.o.Migrations = postgresqlMigrations
	}
	if err := preparePostgres(ctx, a, s.o.Migrations); err != nil {
		return err
	}
	// The writer outlives ctx: it commits what is queued when the process ends.
	pg := newPostgresql(context.WithoutCancel(ctx), a, s.o)
	if err := pg.join(ctx, s.o.Node); err != nil {
		return withFix(a, err)
	}
	s.w = newWriter(nil, nil, "", s.o)
	s.w.pg, s.w.path = pg, s.path
	pg.link, pg.onTurn = newLink(pg, s.w), s.onTurn
	s.readers = openPostgresReaders(a, &pg.trips)
	if err := s.readLast(ctx); err != nil {
		if known := (*postgres.Error)(nil); !errors.As(err, &known) { // it names the address itself
			err = fmt.Errorf("opening database %s: %w", a, err)
		}
		return errors.Join(err, pg.leave(), s.readers.Close())
	}
	s.w.start()
	return nil
}

// onTurn continues what other nodes have written.
func (s *Store) onTurn(other bool, seq, total int64) {
	s.w.feed.last, s.w.feed.total = seq, total
	if other {
		s.quarantine.stale.Store(true)
	}
}

// readLast reads what the process continues from: the newest id, the end of the feed, the instance. A
// database whose copy is served instead is rejected, and so is an incomplete copy.
func (s *Store) readLast(ctx context.Context) error {
	err := s.readers.QueryRowContext(ctx, `SELECT max(coalesce((SELECT max(id) FROM events), 0), coalesce((SELECT max(id) FROM runs), 0), `+
		`coalesce((SELECT max(id) FROM batches), 0))`).Scan(&s.lastID)
	if err == nil {
		err = s.readers.QueryRowContext(ctx, `SELECT coalesce((SELECT seq FROM feed ORDER BY seq DESC LIMIT 1), 0), coalesce((SELECT total FROM `+
			`feed ORDER BY seq DESC LIMIT 1), 0)`).Scan(&s.w.feed.last, &s.w.feed.total)
	}
	if err == nil {
		err = s.readers.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'instance'`).Scan(&s.instance)
	}
	if err == nil && s.o.Verb == "serve" {
		if err = s.incomplete(ctx); err == nil {
			err = s.copied(ctx)
		}
	}
	return err
}
