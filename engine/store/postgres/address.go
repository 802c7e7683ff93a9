// Package postgres connects to PostgreSQL: it reads the address of a database, finds out what the
// server promises and what the role may do, and says in words what is wrong and how to fix it. No
// text that it makes has a password. The package must not know Hookloom's tables.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookloom/hookloom/workflows/spelling"
	"github.com/jackc/pgx/v5"
)

// connectTimeout is how long one host may take to answer, where the address does not say
// connect_timeout.
const connectTimeout = 5 * time.Second

// DefaultSchema is the schema of Hookloom's tables, where the address does not say schema=.
const DefaultSchema = "hookloom"

// Unset is the address of a database whose address is not known: the secret that it needs is not set.
const Unset = "postgres:unset"

// schemes are what the address of a PostgreSQL database begins with.
var schemes = []string{"postgres:", "postgresql:"}

// IsAddress reports whether the name of a database is the address of one on a server. Any other
// name is that of a file. Parse refuses the addresses of other servers than PostgreSQL.
func IsAddress(database string) bool {
	return strings.Contains(database, "://") || hasScheme(database) || keywords.MatchString(database)
}

// keywords matches a connection string of libpq, host=db password=..., which Parse refuses. As the name of
// a file, its password would be shown.
var keywords = regexp.MustCompile(`(?i)^\s*(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode|application_name|` +
	`connect_timeout)\s*=`)

func hasScheme(database string) bool {
	return slices.ContainsFunc(schemes, func(s string) bool { return strings.HasPrefix(database, s) })
}

// Name returns the name of a database, a file or an address, as it may be shown: without a password
// and without parameters that do not say which tables are meant.
func Name(database string) string {
	if !IsAddress(database) {
		return database
	}
	a, err := Parse(database)
	if err == nil {
		return a.String()
	}
	if scheme, _, found := strings.Cut(database, "://"); found && word.MatchString(scheme) {
		return scheme + "://..."
	}
	return "postgres://..."
}

// HasPassword reports whether an address contains a password. Other users of the machine see it when
// the address is an argument of a command.
func HasPassword(database string) bool {
	if !IsAddress(database) {
		return false
	}
	u, err := url.Parse(database)
	if err != nil || u.Opaque != "" || u.Scheme == "" {
		return true // it may be anywhere
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password")
}

// Address is the address of a database.
type Address struct {
	// Schema is the schema of Hookloom's tables.
	Schema string
	// Hints is false if nodes must not use LISTEN and NOTIFY (hints=off), as behind PgBouncer.
	Hints bool
	// AtomicPages is true if the storage writes pages of 8 KiB whole (atomic_pages=yes), so that
	// full_page_writes may be off.
	AtomicPages bool

	config *pgx.ConnConfig
	hosts  string
}

// own are the parameters that Hookloom reads itself, with their values; nil for any.
var own = map[string][]string{"schema": nil, "hints": {"on", "off"}, "atomic_pages": {"yes", "no"}}

// driverParameters are the parameters of an address that the driver reads (pgconn.ParseConfig). It passes
// others to the server.
var driverParameters = strings.Fields(`host port database dbname user password passfile connect_timeout sslmode sslkey sslcert
	sslcertmode sslrootcert sslnegotiation sslpassword sslsni krbspn krbsrvname target_session_attrs service servicefile
	min_protocol_version max_protocol_version channel_binding require_auth application_name options search_path`)

// mistyped returns an error for a parameter that is almost one of the driver's or of Hookloom's. The
// driver would pass it to the server, and use another value for the one that was meant. No setting of a server
// is as near to one of them.
func mistyped(q url.Values) error {
	known := append(slices.Sorted(maps.Keys(own)), driverParameters...)
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if slices.Contains(known, name) {
			continue
		}
		for _, k := range known {
			if limit := min(2, len(k)/4); spelling.Distance(strings.ToLower(name), k, limit+1) <= limit {
				return fmt.Errorf("%s= of the address of the database: there is no such parameter; did you mean %s=?", name, k)
			}
		}
	}
	return nil
}

// word is the scheme of a URL.
var word = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,20}$`)

// identifier is a name that needs no quotes.
var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// notSchemas are schemas of the server, and its reserved key words, which need quotes (PostgreSQL documentation,
// appendix C).
var notSchemas = append([]string{"public", "information_schema"}, strings.Fields(`all analyse analyze and any array as asc asymmetric
	authorization binary both case cast check collate collation column concurrently constraint create cross current_catalog
	current_date current_role current_schema current_time current_timestamp current_user default deferrable desc distinct do else end
	except false fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral
	leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
	references returning right select session_user similar some symmetric system_user table tablesample then to trailing true union
	unique user using variadic verbose when where window with`)...)

// escapes is how a password is written.
const escapes = `write characters such as @ / : # ? % of the password as %40 %2F %3A %23 %3F %25`

// Parse reads an address: postgres://USER:PASSWORD@HOST:PORT/DATABASE with the parameters of libpq
// and those of Hookloom. What is missing comes from libpq's environment (PGPASSWORD, PGPASSFILE,
// PGSSLMODE, ...). An error is a mistake in the address.
func Parse(text string) (*Address, error) {
	text = strings.TrimSpace(text) // a secret from a file often ends with a line break
	if text == Unset {
		return nil, errors.New("the address of the database is not known, because a secret in server.db is not set: hookloom validate says " +
			"which, and where to set it (only serve reads a secret from a command or Vault; for other commands set HOOKLOOM_DB)")
	}
	if !hasScheme(text) {
		return nil, errors.New("the database is a file, or on a PostgreSQL server: write postgres://USER:PASSWORD@HOST:5432/DATABASE")
	}
	u, q, err := split(text)
	if err != nil {
		return nil, err
	}
	if err := mistyped(q); err != nil {
		return nil, err
	}
	a := &Address{Schema: DefaultSchema, Hints: q.Get("hints") != "off", AtomicPages: q.Get("atomic_pages") == "yes"}
	if q.Has("schema") {
		a.Schema = q.Get("schema")
	}
	if !identifier.MatchString(a.Schema) || strings.HasPrefix(a.Schema, "pg_") || slices.Contains(notSchemas, a.Schema) {
		return nil, errors.New("schema= of the address: use the name of a separate schema, of a-z, 0-9 and _, such as " + DefaultSchema)
	}
	for name, values := range own {
		if v := q.Get(name); values != nil && q.Has(name) && !slices.Contains(values, v) {
			return nil, fmt.Errorf("%s=%.60s of the address: it is %s", name, v, strings.Join(values, " or "))
		}
		q.Del(name)
	}
	if !q.Has("application_name") && os.Getenv("PGAPPNAME") == "" {
		q.Set("application_name", "hookloom")
	}
	u.Scheme = "postgres"
	if a.config, err = configOf(u, q); err != nil {
		return nil, unreadable(q)
	}
	if a.config.ConnectTimeout == 0 {
		a.config.ConnectTimeout = connectTimeout
	}
	a.config.DialFunc = dial
	// The statements have backslashes in their texts. Poolers accept this parameter.
	a.config.RuntimeParams["standard_conforming_strings"] = "on"
	// Statements without a name: a pooler such as PgBouncer may give each transaction another
	// connection.
	a.config.DefaultQueryExecMode = pgx.QueryExecModeExec
	a.hosts = u.Host
	if a.hosts == "" || q.Has("host") {
		a.hosts = a.config.Host
	}
	return a, nil
}

// split reads an address as a URL, and its parameters.
func split(text string) (*url.URL, url.Values, error) {
	u, err := url.Parse(text)
	var q url.Values
	if err == nil {
		q, err = parameters(u)
	}
	if err != nil && socketAsHost.MatchString(text) {
		return nil, nil, errors.New("the address of the database cannot be read: write the folder of a socket as a parameter, " +
			"postgres://USER@/DATABASE?host=/FOLDER")
	}
	if err != nil || u.Opaque != "" || strings.Contains(u.Path, "@") || u.Fragment != "" {
		return nil, nil, fmt.Errorf("the address of the database cannot be read: write postgres://USER:PASSWORD@HOST:5432/DATABASE; %s",
			escapes)
	}
	if u.Host == "" && u.Path == "" {
		u.Path = "/" // the driver reads postgres:?x=y as another form
	}
	return u, q, nil
}

// socketAsHost matches a socket's folder in the place of the host, which libpq reads.
var socketAsHost = regexp.MustCompile(`(?i)(//|@)%2f`)

// configOf reads the driver's configuration. As for connections of sql/*, nothing crosses a network without TLS
// unless the address, PGSSLMODE or the service says so.
func configOf(u *url.URL, q url.Values) (*pgx.ConnConfig, error) {
	if q.Get("sslmode") == "" {
		q.Del("sslmode")
	}
	u.RawQuery = encoded(q)
	c, err := pgx.ParseConfig(u.String())
	if err != nil || q.Has("sslmode") || os.Getenv("PGSSLMODE") != "" || allLocal(c) || hasService(q) && !mayOmitTLS(c) {
		return c, err
	}
	q.Set("sslmode", "verify-full")
	u.RawQuery = encoded(q)
	return pgx.ParseConfig(u.String())
}

// hasService reports whether libpq's service file adds to the address.
func hasService(q url.Values) bool { return q.Has("service") || os.Getenv("PGSERVICE") != "" }

// mayOmitTLS reports whether a host is asked without TLS if it offers none: sslmode=prefer, the driver's default.
func mayOmitTLS(c *pgx.ConnConfig) bool {
	host, port, encrypted := c.Host, c.Port, c.TLSConfig != nil
	for _, f := range c.Fallbacks {
		if encrypted && f.TLSConfig == nil && f.Host == host && f.Port == port {
			return true
		}
		host, port, encrypted = f.Host, f.Port, f.TLSConfig != nil
	}
	return false
}

// parameters reads the parameters of an address as libpq and pgx do: + is no space.
func parameters(u *url.URL) (url.Values, error) {
	return url.ParseQuery(strings.ReplaceAll(u.RawQuery, "+", "%2B"))
}

// encoded writes what parameters reads.
func encoded(q url.Values) string { return strings.ReplaceAll(q.Encode(), "+", "%20") }

// WithSchema returns an address that Parse has read before, with another schema.
func WithSchema(address, schema string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return "", err
	}
	q, err := parameters(u)
	if err != nil {
		return "", err
	}
	q.Set("schema", schema)
	u.RawQuery = encoded(q)
	return u.String(), nil
}

// unreadable says which parameter is wrong. The driver's own error may have the password.
func unreadable(q url.Values) error {
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey", "passfile"} {
		path := q.Get(name)
		if path == "" || name == "sslrootcert" && path == "system" {
			continue
		}
		if _, err := os.ReadFile(path); err != nil {
			return fmt.Errorf("%s of the address of the database: %w", name, err)
		}
	}
	if hasService(q) {
		return errors.New("the address of the database cannot be read: service= or PGSERVICE names a section of ~/.pg_service.conf, or of " +
			"the file that PGSERVICEFILE names, with a port that is a number and an sslmode of libpq")
	}
	return errors.New("the address of the database cannot be read: a port is a number, sslmode is disable, prefer, require, verify-ca or " +
		"verify-full, sslrootcert is a file of certificates in PEM, also where PGPORT, PGSSLMODE, ... give them; " + escapes)
}

// allLocal reports whether all hosts are this machine, to which nothing need be encrypted.
func allLocal(c *pgx.ConnConfig) bool {
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	return !slices.ContainsFunc(hosts, func(h string) bool {
		ip := net.ParseIP(h)
		return h != "" && h != "localhost" && !strings.HasPrefix(h, "/") && (ip == nil || !ip.IsLoopback())
	})
}

// String returns the address without the password. Of the parameters it has those that say which
// tables are meant: the folder of a socket, and a schema that is not the default. So commands in
// messages reach the same tables.
func (a *Address) String() string {
	u := url.URL{Scheme: "postgres", User: url.User(a.config.User), Host: a.hosts, Path: "/" + a.config.Database}
	q := url.Values{}
	if strings.HasPrefix(a.hosts, "/") {
		u.Host = ""
		q.Set("host", a.hosts)
	}
	if a.Schema != DefaultSchema {
		q.Set("schema", a.Schema)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Password returns the password, also one that the environment or a file gives; it may be empty.
func (a *Address) Password() string { return a.config.Password }

// Config returns a copy of the driver's configuration.
func (a *Address) Config() *pgx.ConnConfig { return a.config.Copy() }

// Connect opens a connection. An error is an *Error.
func (a *Address) Connect(ctx context.Context) (*pgx.Conn, error) {
	c, err := pgx.ConnectConfig(ctx, a.Config())
	if err != nil {
		return nil, a.Explain(err)
	}
	return c, nil
}
