package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// minVersion is the oldest server that is supported, as server_version_num: 13.
const minVersion = 130000

// Facts are what a server and a role are.
type Facts struct {
	// Version is server_version_num (150018 is 15.18), Release its text.
	Version int
	Release string
	// Standby is true for a server that replays another one's log; ReadOnly is true if the
	// session's transactions are read-only by default.
	Standby, ReadOnly bool
	// Fsync, FullPageWrites, SynchronousCommit and StandbyNames are the settings of the session.
	Fsync, FullPageWrites, SynchronousCommit, StandbyNames string
	// Checksums is whether pages have checksums (data_checksums).
	Checksums string
	// Confirming are the names of the connected standbys that commits wait for; empty also if the
	// role may not see them (pg_monitor).
	Confirming []string
	// Rights are those of the role.
	Rights Rights
}

// Rights are what the role may do with the schema.
type Rights struct {
	// CanCreate is whether the role may make schemas in the database.
	CanCreate bool
	// Exists is whether the schema exists; Usage and Create are the role's rights in it.
	Exists, Usage, Create bool
	// Denied are tables of the schema that the role may not read and change.
	Denied []string
}

// Inspect reads the facts.
func (a *Address) Inspect(ctx context.Context, c *pgx.Conn) (*Facts, error) {
	f := &Facts{}
	err := c.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
		current_setting('transaction_read_only') = 'on', current_setting('fsync'), current_setting('full_page_writes'),
		current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), current_setting('data_checksums'),
		has_database_privilege(current_database(), 'CREATE'),
		ARRAY(SELECT application_name FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum') ORDER BY application_name)`).
		Scan(&f.Version, &f.Release, &f.Standby, &f.ReadOnly, &f.Fsync, &f.FullPageWrites, &f.SynchronousCommit, &f.StandbyNames,
			&f.Checksums, &f.Rights.CanCreate, &f.Confirming)
	if err != nil {
		return nil, a.Explain(err)
	}
	r := &f.Rights
	err = c.QueryRow(ctx, `SELECT count(*) > 0, coalesce(bool_or(has_schema_privilege(oid, 'USAGE')), false),
		coalesce(bool_or(has_schema_privilege(oid, 'CREATE')), false) FROM pg_namespace WHERE nspname = $1`, a.Schema).
		Scan(&r.Exists, &r.Usage, &r.Create)
	if err == nil && r.Usage {
		err = c.QueryRow(ctx, `SELECT ARRAY(SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT (has_table_privilege(c.oid, 'SELECT') AND
			has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
			ORDER BY c.relname)`, a.Schema).Scan(&r.Denied)
	}
	if err != nil {
		return nil, a.Explain(err)
	}
	return f, nil
}

// Supported returns an *Error if the server is too old.
func (a *Address) Supported(f *Facts) error {
	if f.Version >= minVersion {
		return nil
	}
	return &Error{Address: a.String(), Problem: fmt.Sprintf("the server is PostgreSQL %s; Hookloom needs 13 or later", f.Release),
		Fix: "Upgrade the server (pg_upgrade), or use another one."}
}

// Writable returns an *Error if nothing can be written.
func (a *Address) Writable(f *Facts) error {
	e := &Error{Address: a.String()}
	switch {
	case f.Standby:
		a.standby(e)
	case f.ReadOnly:
		e.Problem = "transactions are read-only (default_transaction_read_only is on)"
		e.Fix = fmt.Sprintf("As a superuser: ALTER ROLE %s SET default_transaction_read_only = off; or remove the setting of the database "+
			"or of the server.", quoted(a.config.User))
	default:
		return nil
	}
	return e
}

// Durable returns an *Error if a commit is worth less than Hookloom promises: an answer 2xx means
// that the event is on the server's disk, and on those of its synchronous standbys.
func (a *Address) Durable(f *Facts) error {
	e := &Error{Address: a.String()}
	role := quoted(a.config.User)
	switch {
	case f.Fsync != "on":
		e.Problem = "fsync is off: a power cut loses acknowledged events and may damage the database"
		e.Fix = "Set fsync = on in postgresql.conf (or ALTER SYSTEM SET fsync = on;), and reload the server."
	case f.SynchronousCommit != "on" && f.SynchronousCommit != "remote_apply":
		e.Problem = fmt.Sprintf("synchronous_commit is %s: a crash or a failover loses acknowledged events", f.SynchronousCommit)
		e.Fix = fmt.Sprintf("As a superuser: ALTER ROLE %s SET synchronous_commit = on; and remove synchronous_commit from the address, "+
			"PGOPTIONS and the database's settings.", role)
	case f.FullPageWrites != "on" && !a.AtomicPages:
		e.Problem = "full_page_writes is off: a power cut may damage the database"
		e.Fix = "Set full_page_writes = on, and reload the server. If its storage writes pages of 8 KiB whole (ZFS, Aurora), add " +
			"atomic_pages=yes to the address."
	default:
		return nil
	}
	return e
}

// Allowed returns an *Error with the grants to paste if the role lacks a right. migrate is whether
// the schema must be created or updated.
func (a *Address) Allowed(f *Facts, migrate bool) error {
	role, r := quoted(a.config.User), f.Rights
	e := &Error{Address: a.String(), Fix: a.grants(r.Exists)}
	switch {
	case !r.Exists && !r.CanCreate:
		e.Problem = fmt.Sprintf("there is no schema %s, and role %s may not create it", a.Schema, role)
	case !r.Exists:
		return nil
	case !r.Usage:
		e.Problem = fmt.Sprintf("role %s may not use schema %s", role, a.Schema)
	case migrate && !r.Create:
		e.Problem = fmt.Sprintf("the tables of schema %s must be created or updated, and role %s may not do that", a.Schema, role)
		e.Fix = fmt.Sprintf("Run hookloom db migrate with the role that owns the schema: hookloom db migrate --db "+
			"postgres://OWNER@HOST/DATABASE\nIf the schema is empty, the owner may instead let this role create them: "+
			"GRANT CREATE ON SCHEMA %s TO %s;",
			quoted(a.Schema), role)
	case len(r.Denied) > 0:
		e.Problem = fmt.Sprintf("role %s may not read and change %s of schema %s", role, strings.Join(r.Denied, ", "), a.Schema)
	default:
		return nil
	}
	return e
}

// ready is the check of a server to which Hookloom will write. migrate is whether the schema is to be
// made or changed.
func (a *Address) ready(f *Facts, migrate bool) error {
	for _, check := range []func(*Facts) error{a.Supported, a.Writable, a.Durable} {
		if err := check(f); err != nil {
			return err
		}
	}
	return a.Allowed(f, migrate)
}

// Open opens a connection to a server that keeps Hookloom's promises. migrate is whether the schema
// must be created or updated. An error is an *Error.
func (a *Address) Open(ctx context.Context, migrate bool) (*pgx.Conn, *Facts, error) {
	c, err := a.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	f, err := a.Inspect(ctx, c)
	if err == nil {
		err = a.ready(f, migrate)
	}
	if err != nil {
		_ = c.Close(context.WithoutCancel(ctx)) // nothing was written
		return nil, nil, err
	}
	return c, f, nil
}

// anyOf matches the quorum form of synchronous_standby_names: ANY 2 (s1, s2, s3).
var anyOf = regexp.MustCompile(`(?i)^\s*(ANY|FIRST)?\s*(\d+)?\s*\(?([^()]*)\)?\s*$`)

// Worth says where an acknowledged event is: what the answer 2xx is worth.
func (f *Facts) Worth() string {
	if strings.TrimSpace(f.StandbyNames) == "" {
		return "the disk of this server"
	}
	names := strings.Join(f.Confirming, ", ")
	m := anyOf.FindStringSubmatch(f.StandbyNames)
	switch {
	case m == nil:
		return "the disk of this server and the standbys of " + f.StandbyNames
	case strings.EqualFold(m[1], "ANY"):
		return fmt.Sprintf("the disk of this server and any %s of the standbys %s", m[2], strings.TrimSpace(m[3]))
	case names != "":
		return fmt.Sprintf("the disk of this server and %s %s", standbyWord(len(f.Confirming)), names)
	}
	n := m[2]
	if n == "" {
		n = "1"
	}
	return fmt.Sprintf("the disk of this server and %s of the standbys %s", n, strings.TrimSpace(m[3]))
}

func standbyWord(n int) string {
	if n == 1 {
		return "standby"
	}
	return "standbys"
}
