package sqldb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/workflows/value"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/mattn/go-sqlite3"
)

// target is the database of a connection. Kind is postgres, mysql or sqlite.
type target struct {
	name, kind string
	url        *url.URL
	roots      *x509.CertPool
}

// newTarget parses the URL of a connection.
func newTarget(name string, u *url.URL, ca string) (*target, error) {
	t := &target{name: name, url: u, kind: map[string]string{"postgres": "postgres", "postgresql": "postgres", "mysql": "mysql",
		"mariadb": "mysql", "sqlite": "sqlite"}[u.Scheme]}
	if t.kind == "" {
		return nil, plan.Permanent("invalid_connection", "connection %s: url begins with postgres://, mysql:// or sqlite:", name)
	}
	if t.kind != "sqlite" && (u.Hostname() == "" || u.User.Username() == "" || strings.Contains(u.Host, ",")) {
		return nil, plan.Permanent("invalid_connection", "connection %s: url needs a user and one host: %s://USER:PASSWORD@HOST/DB",
			name, u.Scheme)
	}
	if ca != "" {
		if t.roots = x509.NewCertPool(); !t.roots.AppendCertsFromPEM([]byte(ca)) {
			return nil, plan.Permanent("invalid_connection", "connection %s: ca holds no certificate in PEM", name)
		}
	}
	return t, nil
}

// address returns host:port, empty for a file.
func (t *target) address() string {
	port := t.url.Port()
	switch {
	case t.kind == "sqlite":
		return ""
	case port == "" && t.kind == "postgres":
		port = "5432"
	case port == "":
		port = "3306"
	}
	return net.JoinHostPort(t.url.Hostname(), port)
}

// local reports whether the host is this machine, so that encryption is not required.
func (t *target) local() bool {
	ip := net.ParseIP(t.url.Hostname())
	return t.url.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// open prepares the database for one attempt; the first statement connects.
func (t *target) open(guarded *http.Client, in engine.Input, readOnly bool) (*sql.DB, error) {
	if t.kind == "sqlite" {
		return t.openSQLite(in, readOnly)
	}
	dial, err := egress.DialOf(guarded)
	if err != nil {
		return nil, plan.Permanent("unsupported", "%v", err)
	}
	if t.kind == "mysql" {
		return t.openMySQL(dial)
	}
	return t.openPostgres(dial)
}

// postgresParams are the accepted parameters of a URL: none names a file of this machine.
var postgresParams = []string{"sslmode", "application_name", "search_path", "options", "timezone"}

func (t *target) openPostgres(dial egress.Dial) (*sql.DB, error) {
	q := t.url.Query()
	for k := range q {
		if !slices.Contains(postgresParams, k) {
			return nil, plan.Permanent("invalid_connection", "connection %s: url has the parameter %q; known are %s", t.name, value.CutText(k, 40),
				strings.Join(postgresParams, ", "))
		}
	}
	if q.Get("sslmode") == "" {
		q.Set("sslmode", "verify-full")
		if t.local() {
			q.Set("sslmode", "prefer")
		}
	}
	u := *t.url
	// Only the URL counts, not the process's environment, whose PG* variables are for Hookloom's own database:
	// what the URL leaves out is set, since pgx takes it from there.
	all := maps.Clone(q)
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey", "sslpassword"} {
		all.Set(name, "")
	}
	all.Set("target_session_attrs", "any")
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/" + u.User.Username() // as the server does
	}
	u.Scheme, u.RawQuery = "postgres", all.Encode()
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, plan.Permanent("invalid_connection", "connection %s: url cannot be read; sslmode is disable, prefer, require, verify-ca or "+
			"verify-full", t.name)
	}
	config.Password, _ = t.url.User.Password()
	maps.DeleteFunc(config.RuntimeParams, func(name, _ string) bool { return !q.Has(name) })
	config.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
	// The guard resolves names itself, and checks the resulting addresses.
	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	if t.roots != nil {
		for _, c := range append([]*tls.Config{config.TLSConfig}, fallbackTLS(config)...) {
			if c != nil {
				c.RootCAs = t.roots
			}
		}
	}
	return stdlib.OpenDB(*config), nil
}

func fallbackTLS(config *pgx.ConnConfig) []*tls.Config {
	var out []*tls.Config
	for _, f := range config.Fallbacks {
		out = append(out, f.TLSConfig)
	}
	return out
}

func (t *target) openMySQL(dial egress.Dial) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User = t.url.User.Username()
	c.Passwd, _ = t.url.User.Password()
	c.Net, c.Addr, c.DBName = "tcp", t.address(), strings.TrimPrefix(t.url.Path, "/")
	c.ParseTime, c.Logger = true, &mysql.NopLogger{}
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
	for k := range t.url.Query() {
		if k != "tls" {
			return nil, plan.Permanent("invalid_connection", "connection %s: url has the parameter %q; known is tls", t.name, value.CutText(k, 40))
		}
	}
	mode := t.url.Query().Get("tls")
	config := &tls.Config{ServerName: t.url.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: t.roots}
	switch {
	case mode == "false", mode == "" && t.local():
		config = nil
	case mode == "skip-verify":
		config.InsecureSkipVerify = true // explicitly configured, for a server whose certificate no CA has signed
	case mode != "" && mode != "true":
		return nil, plan.Permanent("invalid_connection", "connection %s: tls is true, skip-verify or false", t.name)
	}
	c.TLS = config
	k, err := mysql.NewConnector(c)
	if err != nil {
		return nil, plan.Permanent("invalid_connection", "connection %s: url cannot be used", t.name)
	}
	return sql.OpenDB(k), nil
}

// openSQLite opens a file of the project, but not Hookloom's own database.
func (t *target) openSQLite(in engine.Input, readOnly bool) (*sql.DB, error) {
	name := t.url.Opaque
	if name == "" {
		name = t.url.Path
	}
	name = strings.TrimPrefix(name, "./")
	if in.Dir == "" || !filepath.IsLocal(name) || t.url.Host != "" || t.url.RawQuery != "" || strings.ContainsAny(name, "?#%") {
		return nil, plan.Permanent("invalid_connection", "connection %s: sqlite: is followed by the path of a file of the project, such as "+
			"sqlite:data/shop.db", t.name)
	}
	root, err := os.OpenRoot(in.Dir)
	if err != nil {
		return nil, plan.Permanent("invalid_connection", "connection %s: the project's folder: %v", t.name, err)
	}
	defer root.Close()
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist) && readOnly:
		return nil, plan.Permanent("no_file", "connection %s: there is no file %s in the project", t.name, name)
	case err != nil && !errors.Is(err, os.ErrNotExist), err == nil && !info.Mode().IsRegular():
		return nil, plan.Permanent("invalid_connection", "connection %s: %s is not a file of the project", t.name, name)
	}
	mode, lock := "rwc", "&_txlock=immediate"
	if readOnly {
		mode, lock = "ro", ""
	}
	d := &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		c.SetLimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0) // a statement can access only this file
		return nil
	}}
	return sql.OpenDB(connectorOf{d, "file:" + filepath.ToSlash(filepath.Join(in.Dir, name)) + "?mode=" + mode +
		"&_busy_timeout=5000&_foreign_keys=1" + lock}), nil
}

// connectorOf opens a SQLite file with its own driver.
type connectorOf struct {
	driver *sqlite3.SQLiteDriver
	dsn    string
}

// Connect implements driver.Connector.
func (c connectorOf) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements driver.Connector.
func (c connectorOf) Driver() driver.Driver { return c.driver }

// refuseOwnDatabase returns an error for Hookloom's own database: only its store may change it.
func (t *target) refuseOwnDatabase(ctx context.Context, tx *sql.Tx) error {
	if t.kind != "sqlite" {
		return nil
	}
	n := 0
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name IN ('runs_view', 'sightings')").Scan(&n)
	if err == nil && n == 2 {
		return plan.Permanent("invalid_connection", "connection %s: this is Hookloom's own database; hookloom store and the store/ actions keep "+
			"values in it", t.name)
	}
	return err
}

// arguments converts values for the driver.
func (t *target) arguments(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch x := a.(type) {
		case json.Number:
			out[i] = x.String()
		case map[string]any, []any:
			out[i] = a // PostgreSQL: an array, or JSON
			if b, err := value.EncodeJSON(a); t.kind != "postgres" && err == nil {
				out[i] = string(b)
			}
		default:
			out[i] = a
		}
	}
	return out
}
