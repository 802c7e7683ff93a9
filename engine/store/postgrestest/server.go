// Package postgrestest starts real PostgreSQL servers for tests. A server lies in a folder of its
// own, listens on a free port of loopback, and has the settings that Hookloom asks for; it ends with
// the test or, if tests share it, with the process, also when that is killed. Where PostgreSQL is
// not installed the tests are skipped. The package must not know Hookloom's tables.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/freeport"
	"github.com/jackc/pgx/v5"
)

// Address is the environment variable that names another server for the tests that share one: the
// URL of a role that may create databases and roles.
const Address = "HOOKLOOM_TEST_POSTGRES"

// User and Password are those of the superuser. The password has characters that a URL escapes.
const (
	User     = "ada"
	Password = "p@ss/word"
)

// errMissing is the reason for a test to be skipped.
var errMissing = errors.New("no initdb (Debian: apt-get install postgresql) or no Unix, and " + Address + " names no server")

// Server is a PostgreSQL server.
type Server struct {
	// folder is where a server of ours lies; empty for the one that the environment names.
	folder string
	bin    string
	url    *url.URL
	as     *account
	// guard ends the server, and removes the folder, when its input is closed.
	guard *exec.Cmd
	input *os.File
	// settings are those that Options and Restart gave.
	settings map[string]string
}

// account is the user that runs a server, which refuses to run as root.
type account struct{ uid, gid int }

// Options configure a server; zero values are right for most tests.
type Options struct {
	// Settings are lines for postgresql.conf.
	Settings map[string]string
}

// shared is the server of this process.
var shared = sync.OnceValues(func() (*Server, error) {
	if text := os.Getenv(Address); text != "" {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("%s is not a URL such as postgres://USER:PASSWORD@HOST:5432/postgres", Address)
		}
		return &Server{url: u}, nil
	}
	return create(Options{})
})

// Shared returns the server that the tests of a process share. It is skipped, with the reason, where
// there is none.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	skipOrFail(t, err)
	return s
}

// Start starts a server that the test has for itself: it may stop and kill it.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := create(o)
	skipOrFail(t, err)
	t.Cleanup(s.remove)
	return s
}

func skipOrFail(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errMissing) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// create makes a server and starts it.
func create(o Options) (*Server, error) {
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	secret := filepath.Join(s.folder, "password")
	if err := s.write("password", Password); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	if _, err := s.run("initdb", "-D", s.Data(), "-U", User, "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8",
		"--no-sync"); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	if err := s.configure(o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	return s, s.begin()
}

// begin starts the guard and the server.
func (s *Server) begin() error {
	if err := s.watch(); err != nil {
		return errors.Join(err, os.RemoveAll(s.folder))
	}
	if err := s.up(); err != nil {
		s.remove()
		return err
	}
	return nil
}

// prepare finds the programs and makes the folder of a server. PostgreSQL does not run as root.
func prepare() (*Server, error) {
	initdb, err := exec.LookPath("initdb")
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); err != nil && len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return release(a) - release(b) })
		initdb, err = found[len(found)-1], nil
	}
	if err == nil {
		initdb, err = filepath.EvalSymlinks(initdb)
	}
	if err != nil || runtime.GOOS == "windows" {
		return nil, errMissing
	}
	s := &Server{bin: filepath.Dir(initdb)}
	// Not in a test's folder: a socket's name is at most 107 bytes, and the user must be able to
	// reach it.
	if s.folder, err = os.MkdirTemp("/tmp", "hookloom-postgres-"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			u, err = user.Lookup("nobody")
		}
		if err != nil {
			return nil, errors.Join(errMissing, os.RemoveAll(s.folder))
		}
		uid, _ := strconv.Atoi(u.Uid) // decimal on every system that has initdb
		gid, _ := strconv.Atoi(u.Gid)
		s.as = &account{uid, gid}
		if err := os.Chown(s.folder, uid, gid); err != nil {
			return nil, errors.Join(err, os.RemoveAll(s.folder))
		}
	}
	address, err := freeport.Address()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	s.url = &url.URL{Scheme: "postgres", User: url.UserPassword(User, Password), Host: address, Path: "/postgres"}
	return s, nil
}

// release is the number in /usr/lib/postgresql/NUMBER/bin/initdb.
func release(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 sorts first
	return n
}

// configure writes the settings: those of a new server are durable (fsync, full_page_writes and
// synchronous_commit are on).
func (s *Server) configure(o Options) error {
	settings := map[string]string{"listen_addresses": "127.0.0.1", "port": s.url.Port(), "unix_socket_directories": s.folder,
		"max_connections": "200", "timezone": "UTC", "wal_level": "replica", "max_wal_senders": "10"}
	if s.settings == nil {
		s.settings = map[string]string{}
	}
	maps.Copy(s.settings, o.Settings)
	maps.Copy(settings, s.settings)
	var text strings.Builder
	for k, v := range settings {
		fmt.Fprintf(&text, "%s = '%s'\n", k, strings.ReplaceAll(v, "'", "''"))
	}
	return s.write("data/postgresql.auto.conf", text.String())
}

// write writes a file that the server's user owns.
func (s *Server) write(name, text string) error {
	path := filepath.Join(s.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if s.as == nil {
		return nil
	}
	return os.Chown(path, s.as.uid, s.as.gid)
}

// command is one of PostgreSQL's programs, run as the server's user.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.folder
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
	c.Env = append(c.Env, "PGPASSWORD="+Password)
	runAs(c, s.as)
	return c
}

// run runs a program to its end. Its output goes to a file: the server inherits it from pg_ctl, and
// a pipe would stay open.
func (s *Server) run(name string, args ...string) (string, error) {
	out, err := os.CreateTemp(s.folder, name)
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	c := s.command(name, args...)
	c.Stdout, c.Stderr = out, out
	err = c.Run()
	text, rerr := os.ReadFile(out.Name())
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s\n%s", name, err, text, s.Log())
	}
	return string(text), rerr
}

// watch starts the guard: it ends the server and removes the folder when this process ends, however
// it ends, since its input is then closed.
func (s *Server) watch() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	c := exec.Command("/bin/sh", "-c", `cat >/dev/null; "$1/pg_ctl" -D "$2/data" -m immediate stop >/dev/null 2>&1; rm -rf "$2"`,
		"guard", s.bin, s.folder)
	c.Stdin = r
	runAs(c, s.as)
	if err := c.Start(); err != nil {
		return errors.Join(err, w.Close())
	}
	s.guard, s.input = c, w
	return nil
}

// remove ends the server and removes its folder.
func (s *Server) remove() {
	_ = s.input.Close()
	_ = s.guard.Wait() // what it could not remove lies in the folder for temporary files
	_ = os.RemoveAll(s.folder)
}

// up starts the server and returns when it takes connections.
func (s *Server) up() error {
	_, err := s.run("pg_ctl", "-D", s.Data(), "-l", filepath.Join(s.folder, "log"), "-w", "-t", "60", "start")
	return err
}

// Data is the folder of the server's files.
func (s *Server) Data() string { return filepath.Join(s.folder, "data") }

// Bin is the folder of PostgreSQL's programs; empty for a server that the environment names.
func (s *Server) Bin() string { return s.bin }

// Log is what the server has logged.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.folder, "log")) // nothing before the first start
	return string(text)
}

// URL is the address of the database postgres, for the superuser.
func (s *Server) URL() string { return s.url.String() }

// Named is the address of a database.
func (s *Server) Named(database string) string {
	u := *s.url
	u.Path = "/" + database
	return u.String()
}

// As is an address for another role.
func As(address, role, password string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // no address of this package
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

// databases numbers the databases of this process.
var databases atomic.Int64

// Name returns a name that no other test of the server has, for a database or a role.
func Name(prefix string) string {
	return fmt.Sprintf("%s_%d_%d_%d", prefix, os.Getpid(), time.Now().UnixNano()%1e9, databases.Add(1))
}

// Database makes an empty database, which is dropped when the test ends, and returns its address.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := Name("test")
	s.Exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		// The server may be gone by now, with all that it had.
		_ = run(context.WithoutCancel(t.Context()), s.URL(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
	return s.Named(name)
}

// Exec executes statements in the database postgres.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	Exec(t, s.URL(), statements...)
}

// Exec executes statements at an address, one by one.
func Exec(t testing.TB, address string, statements ...string) {
	t.Helper()
	if err := run(t.Context(), address, statements...); err != nil {
		t.Fatal(err)
	}
}

func run(ctx context.Context, address string, statements ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err = c.Exec(ctx, s); err != nil {
			err = fmt.Errorf("%s: %w", s, err)
			break
		}
	}
	return errors.Join(err, c.Close(ctx))
}

// Value reads one value, as text, at an address.
func Value(t testing.TB, address, query string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	var text string
	if err := c.QueryRow(t.Context(), "SELECT ("+query+")::text").Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}
