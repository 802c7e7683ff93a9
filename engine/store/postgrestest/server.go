// Package postgrestest starts real PostgreSQL servers for tests. A server has a folder of its
// own, listens on a free port of loopback, and has the settings that Hookloom asks for; it ends with
// the test or, if tests share it, with the process, also when that is killed. Where PostgreSQL is
// not installed the tests are skipped. The package must not know Hookloom's tables.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine/store/postgreslocal"
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

// Server is a PostgreSQL server.
type Server struct {
	url *url.URL
	// own is nil for the server that the environment names.
	own *postgreslocal.Server
}

// Options configure a server; zero values are right for most tests.
type Options struct {
	// Settings are lines for postgresql.conf.
	Settings map[string]string
}

// shared is the server of this process.
var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// find returns the server that the environment names, or a new one.
func find(ctx context.Context) (*Server, error) {
	if text := os.Getenv(Address); text != "" {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("%s is not a URL such as postgres://USER:PASSWORD@HOST:5432/postgres", Address)
		}
		return &Server{url: u}, nil
	}
	return create(ctx, Options{})
}

// Shared returns the server that the tests of a process share. It is skipped, with the reason, where
// there is none.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = find(context.WithoutCancel(t.Context())) })
	skipOrFail(t, shared.err)
	return shared.server
}

// Start starts a server that the test has for itself: it may stop and kill it.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := create(context.WithoutCancel(t.Context()), o)
	skipOrFail(t, err)
	t.Cleanup(s.own.Remove)
	return s
}

func skipOrFail(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, postgreslocal.ErrMissing) {
		t.Skipf("SKIPPED: %v, and %s names no server", err, Address)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// create makes a server and starts it.
func create(ctx context.Context, o Options) (*Server, error) {
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	return s, s.own.Create(ctx, o.Settings)
}

// prepare makes the folder of a server: in memory if there is room, as the tests kill processes and
// never the machine, and a busy disk makes each commit slow.
func prepare() (*Server, error) {
	const memory, room = "/dev/shm", 2 << 30
	parent := postgreslocal.Temporary
	if free(memory) > room {
		parent = memory
	}
	own, err := postgreslocal.Prepare(parent, User, Password)
	if err != nil {
		return nil, err
	}
	u := own.URL()
	return &Server{own: own, url: &u}, nil
}

// Data is the folder of the server's files.
func (s *Server) Data() string { return s.own.Data() }

// Bin is the folder of PostgreSQL's programs; empty for a server that the environment names.
func (s *Server) Bin() string {
	if s.own == nil {
		return ""
	}
	return s.own.Bin()
}

// Log is what the server has logged.
func (s *Server) Log() string { return s.own.Log() }

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
