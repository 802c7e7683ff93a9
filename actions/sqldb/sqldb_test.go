//go:build unix

package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hookloom/hookloom/actions/sqldb"
	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/egress"
	"github.com/hookloom/hookloom/engine/plan"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
	"github.com/hookloom/hookloom/workflows"
	"github.com/hookloom/hookloom/workflows/value"
)

const password = postgrestest.Password

// project is a folder with a connection, in which steps are run.
type project struct {
	t   *testing.T
	dir string
	p   *workflows.Project
	in  engine.Input
	// client may connect to this machine.
	client *http.Client
}

func open(t *testing.T, url string) *project {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hookloom.yaml"), []byte("connections:\n  sql: {url: \"${{ secrets.SQL_URL }}\"}\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	query, exec := sqldb.QuerySpec, sqldb.ExecSpec
	all := workflows.NewActions(map[string]*workflows.ActionSpec{query.Name: &query, exec.Name: &exec}, nil)
	p, mistakes := workflows.Load(dir, workflows.Catalog{Actions: all}, nil)
	if mistakes.Errors() > 0 {
		t.Fatal(mistakes)
	}
	g, err := egress.NewGuard([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	return &project{t, dir, p, engine.Input{Dir: dir, Connections: p.Connections, Key: "hl_key",
		Secret: func(n string) (string, bool) { return url, n == "SQL_URL" }}, g.Client()}
}

func (p *project) query(with map[string]any) (any, error) {
	in := p.in
	in.With = with
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	return sqldb.Query{Client: p.client}.Do(ctx, in)
}

func (p *project) exec(with map[string]any) (any, error) {
	in := p.in
	in.With = with
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	return sqldb.Exec{Client: p.client}.Do(ctx, in)
}

// want checks an output, or the code and a part of the text of an error.
func (p *project) want(out any, err error, want string) {
	p.t.Helper()
	if err != nil {
		var e *plan.Error
		code, part, _ := strings.Cut(want, ": ")
		if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, part) || strings.Contains(e.Message, password) {
			p.t.Errorf("%v (%+v), want %s", err, e, want)
		}
		return
	}
	if b, err := value.EncodeJSON(out); err != nil || string(b) != want {
		p.t.Errorf("%s %v\nwant %s", b, err, want)
	}
}

// sequence runs the statements that all databases support; ph returns the n-th placeholder.
func (p *project) sequence(key string, ph func(int) string) {
	p.t.Helper()
	out, err := p.exec(map[string]any{"statement": "CREATE TABLE orders (id " + key + ", name VARCHAR(100) UNIQUE, total DECIMAL(10,2))"})
	if err != nil {
		p.t.Fatal(err)
	}
	_ = out
	insert := fmt.Sprintf("INSERT INTO orders (id, name, total) VALUES (%s, %s, %s)", ph(1), ph(2), ph(3))
	drop := `x'); DROP TABLE orders; --`
	out, err = p.exec(map[string]any{"statement": insert, "batch": []any{[]any{1, "a", "19.99"}, []any{2, drop, nil}}})
	if err != nil || out.(map[string]any)["rows_affected"] != 2 {
		p.t.Errorf("batch: %v %v", out, err)
	}
	out, err = p.query(map[string]any{"query": "SELECT id, name FROM orders WHERE name = " + ph(1), "args": []any{drop}})
	p.want(out, err, `{"columns":["id","name"],"count":1,"rows":[{"id":2,"name":"x'); DROP TABLE orders; --"}]}`)
	// A failing statement undoes those before it.
	out, err = p.exec(map[string]any{"statements": []any{map[string]any{"statement": insert, "args": []any{3, "c", 1}},
		map[string]any{"statement": insert, "args": []any{4, "a", 1}}}})
	p.want(out, err, "conflict: ")
	out, err = p.exec(map[string]any{"statement": "UPDATE orders SET total = 1", "expect": 1})
	p.want(out, err, "conflict: 2 rows were affected")
	out, err = p.query(map[string]any{"query": "SELECT COUNT(*) AS n, MAX(id) AS m FROM orders WHERE total = 1 OR id > 2"})
	p.want(out, err, `{"columns":["n","m"],"count":1,"rows":[{"m":null,"n":0}]}`)
	out, err = p.query(map[string]any{"query": "SELECT id FROM orders", "max_rows": 1})
	p.want(out, err, "too_large: more than 1 rows")
	out, err = p.query(map[string]any{"query": "SELECT 1 AS a, 2 AS a"})
	p.want(out, err, `invalid_input: two columns are named "a"`)
	out, err = p.query(map[string]any{"query": "SELECT nothing FROM nowhere"})
	p.want(out, err, "sql: ")
	if _, err = p.query(map[string]any{"query": "DELETE FROM orders"}); err == nil {
		p.t.Error("sql/query deleted rows")
	}
}

func question(int) string { return "?" }

func TestSQLiteFilesOfTheProject(t *testing.T) {
	p := open(t, "sqlite:shop.db")
	out, err := p.query(map[string]any{"query": "SELECT 1"})
	p.want(out, err, "no_file: there is no file shop.db")
	p.sequence("INTEGER PRIMARY KEY", question)
	out, err = p.exec(map[string]any{"statement": "INSERT INTO orders (name) VALUES (?) RETURNING id, name", "args": []any{"ret"}})
	if err != nil || len(out.(map[string]any)["rows"].([]any)) != 1 {
		t.Errorf("%v %v", out, err)
	}
	out, err = p.exec(map[string]any{"statement": "ATTACH DATABASE '/tmp/other.db' AS other"})
	if err == nil {
		t.Errorf("another file was attached: %v", out)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(p.dir, "link.db")); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"sqlite:../x.db", "sqlite:/etc/passwd", "sqlite:link.db", "sqlite:a.db?mode=memory", "oracle://a@b/c",
		"postgres://127.0.0.1/x", "postgres://u:p@h/x?sslkey=/etc/passwd", "postgres://u:p@h1,h2/x", "://" + password, ""} {
		q := open(t, url)
		_ = os.Symlink("/etc/passwd", filepath.Join(q.dir, "link.db"))
		_, err := q.exec(map[string]any{"statement": "SELECT 1"})
		var e *plan.Error
		if !errors.As(err, &e) || e.Code != "invalid_connection" && e.Code != "no_file" || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestHookloomsOwnDatabaseIsRefused guards that only the store writes to it.
func TestHookloomsOwnDatabaseIsRefused(t *testing.T) {
	p := open(t, "sqlite:other.db")
	if _, err := p.exec(map[string]any{"statements": []any{map[string]any{"statement": "CREATE TABLE sightings (a)"},
		map[string]any{"statement": "CREATE VIEW runs_view AS SELECT 1"}}}); err != nil {
		t.Fatal(err)
	}
	out, err := p.exec(map[string]any{"statement": "DELETE FROM sightings"})
	p.want(out, err, "invalid_connection: Hookloom's own database")
}

// asUser runs a command as another user if the tests run as root, which PostgreSQL refuses.
func asUser(t *testing.T, cmd *exec.Cmd, dir string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		return cmd
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody to run the database as")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd
}

func find(name string, more ...string) string {
	for _, pattern := range append(more, name) {
		if p, err := exec.LookPath(pattern); err == nil {
			return p
		}
		if m, _ := filepath.Glob(pattern); len(m) > 0 {
			return m[len(m)-1]
		}
	}
	return ""
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// start runs a server until the test ends, and waits until it accepts connections.
func start(t *testing.T, cmd *exec.Cmd, port string) {
	t.Helper()
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for range 200 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			time.Sleep(300 * time.Millisecond)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the database does not start: " + log.String())
}

func tempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/tmp", "hl-sql")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestPostgreSQL(t *testing.T) {
	server := postgrestest.Shared(t)
	url := server.Database(t)
	p := open(t, url)
	p.sequence("INTEGER PRIMARY KEY", func(n int) string { return "$" + strconv.Itoa(n) })
	out, err := p.query(map[string]any{"query": `SELECT 9007199254740993::bigint AS big, 19.90::numeric AS amount, true AS b, 1.5::float8 AS f,
		'{"a": [1]}'::jsonb AS j, $1::timestamptz AT TIME ZONE 'UTC' AS at, '2026-05-01'::date AS d, '\x00ff'::bytea AS raw, NULL AS nothing,
		'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS u`, "args": []any{"2026-05-01T12:00:00+02:00"}})
	p.want(out, err, `{"columns":["big","amount","b","f","j","at","d","raw","nothing","u"],"count":1,"rows":[{"amount":"19.90",`+
		`"at":"2026-05-01T10:00:00Z","b":true,"big":9007199254740993,"d":"2026-05-01","f":1.5,"j":{"a":[1]},"nothing":null,"raw":"AP8=",`+
		`"u":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}]}`)
	out, err = p.query(map[string]any{"query": "SELECT id FROM orders WHERE id = ANY($1::int[]) ORDER BY id", "args": []any{[]any{1, 2, 9}}})
	p.want(out, err, `{"columns":["id"],"count":2,"rows":[{"id":1},{"id":2}]}`)
	out, err = p.query(map[string]any{"query": "SELECT $1::jsonb AS j", "args": []any{map[string]any{"a": "x"}}})
	p.want(out, err, `{"columns":["j"],"count":1,"rows":[{"j":{"a":"x"}}]}`)
	out, err = p.query(map[string]any{"query": "SELECT repeat('x', 1000000) AS x FROM generate_series(1, 100)"})
	p.want(out, err, "too_large: the rows are larger than 4 MiB")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	in, began := p.in, time.Now()
	in.With = map[string]any{"query": "SELECT pg_sleep(30)"}
	if _, err := (sqldb.Query{Client: p.client}).Do(ctx, in); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("a slow query: %v after %s", err, time.Since(began))
	}
	wrong := open(t, postgrestest.As(url, "eve", password))
	out, err = wrong.query(map[string]any{"query": "SELECT 1"})
	wrong.want(out, err, "no_credential: ")
	secure := open(t, url+"?sslmode=verify-full")
	if out, err = secure.query(map[string]any{"query": "SELECT 1"}); err == nil {
		t.Errorf("without TLS although verify-full asks for it: %v", out)
	}
}

// TestTheEnvironmentChangesNoConnection: PG* variables are for Hookloom's own database.
func TestTheEnvironmentChangesNoConnection(t *testing.T) {
	url := postgrestest.Shared(t).Database(t)
	t.Setenv("PGSSLROOTCERT", "/no/such/file")
	t.Setenv("PGSSLCERT", "/no/such/file")
	t.Setenv("PGDATABASE", "another")
	t.Setenv("PGOPTIONS", "-c statement_timeout=4321")
	t.Setenv("PGTARGETSESSIONATTRS", "standby")
	p := open(t, url)
	out, err := p.query(map[string]any{"query": "SELECT current_setting('statement_timeout') <> '4321ms' AS own"})
	p.want(out, err, `{"columns":["own"],"count":1,"rows":[{"own":true}]}`)
}

func TestMySQL(t *testing.T) {
	server := find("mariadbd", "/usr/sbin/mariadbd", "/usr/sbin/mysqld")
	install := find("mariadb-install-db", "mysql_install_db")
	if server == "" || install == "" {
		t.Skip("SKIPPED: no mariadbd (Debian: apt-get install mariadb-server-core), so sql/ is not tested on a real MySQL")
	}
	dir, port := tempDir(t), freePort(t)
	data := filepath.Join(dir, "data")
	if out, err := asUser(t, exec.Command(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal",
		"--skip-test-db"), dir).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: mariadb-install-db: %v %s", err, out)
	}
	boot := filepath.Join(dir, "init.sql")
	if err := os.WriteFile(boot, []byte("CREATE DATABASE shop;\nCREATE USER ada@'127.0.0.1' IDENTIFIED BY '"+password+
		"';\nGRANT ALL ON shop.* TO ada@'127.0.0.1';\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, asUser(t, exec.Command(server, "--no-defaults", "--datadir="+data, "--port="+port, "--bind-address=127.0.0.1",
		"--socket="+filepath.Join(dir, "s"), "--pid-file="+filepath.Join(dir, "p"), "--init-file="+boot, "--skip-name-resolve"), dir), port)
	url := "mysql://ada:p%40ss%2Fword@127.0.0.1:" + port + "/shop"
	p := open(t, url)
	p.sequence("INTEGER PRIMARY KEY AUTO_INCREMENT", question)
	for _, args := range [][]any{nil, {1}} { // the text protocol, and the binary one
		where := ""
		if args != nil {
			where = " WHERE 1 = ?"
		}
		out, err := p.query(map[string]any{"query": "SELECT 42 AS n, 19.90 AS amount, CAST('2026-05-01 10:00:00' AS DATETIME) AS at, 'é' AS s, " +
			"X'00FF' AS raw, NULL AS nothing" + where, "args": args})
		if args == nil {
			out, err = p.query(map[string]any{"query": "SELECT 42 AS n, 19.90 AS amount, CAST('2026-05-01 10:00:00' AS DATETIME) AS at, 'é' AS s, " +
				"X'00FF' AS raw, NULL AS nothing"})
		}
		p.want(out, err, `{"columns":["n","amount","at","s","raw","nothing"],"count":1,"rows":[{"amount":"19.90","at":"2026-05-01T10:00:00Z",`+
			`"n":42,"nothing":null,"raw":"AP8=","s":"é"}]}`)
	}
	wrong := open(t, strings.Replace(url, "ada", "eve", 1))
	out, err := wrong.query(map[string]any{"query": "SELECT 1"})
	wrong.want(out, err, "no_credential: ")
}

// TestAHostileDatabaseEndsTheAttempt connects to servers that are not databases.
func TestAHostileDatabaseEndsTheAttempt(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"silent":  func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"closes":  func(net.Conn) {},
		"garbage": func(c net.Conn) { fmt.Fprint(c, strings.Repeat("HTTP/1.1 400 Bad Request\r\n", 50)) },
		"endless": func(c net.Conn) {
			for chunk := make([]byte, 64<<10); ; {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		},
	} {
		for _, scheme := range []string{"postgres", "mysql"} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() { defer c.Close(); serve(c) }()
				}
			}()
			p := open(t, scheme+"://ada:p%40ss%2Fword@"+l.Addr().String()+"/shop")
			in := p.in
			in.With = map[string]any{"statement": "DELETE FROM orders"}
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			began := time.Now()
			_, err = sqldb.Exec{Client: p.client}.Do(ctx, in)
			cancel()
			l.Close()
			var e *plan.Error
			if !errors.As(err, &e) || errors.Is(err, engine.ErrUnanswered) || time.Since(began) > 4*time.Second ||
				strings.Contains(err.Error(), password) || e.Code != "network" && e.Code != "sql" {
				t.Errorf("%s, %s: %v %+v after %s", name, scheme, err, e, time.Since(began))
			}
		}
	}
	for _, url := range []string{"postgres://a:b@10.255.255.1/x?sslmode=disable", "mysql://a:b@10.255.255.1/x?tls=false"} {
		p := open(t, url)
		out, err := p.query(map[string]any{"query": "SELECT 1"})
		p.want(out, err, "address_not_allowed: ")
	}
}
