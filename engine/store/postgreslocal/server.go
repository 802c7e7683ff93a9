// Package postgreslocal starts servers of the PostgreSQL that is installed on this machine, for
// demonstrations and tests. A server has a folder of its own, listens on a free port of
// loopback, and ends with its process, also when that is killed. The package must not know
// Hookloom's tables.
package postgreslocal

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
	"slices"
	"strconv"
	"strings"

	"github.com/hookloom/hookloom/engine/freeport"
)

// Temporary is where a server lies by default. It is not TMPDIR: a socket's name is at most 107 bytes,
// and the user who runs the server must be able to reach it.
const Temporary = "/tmp"

// ErrMissing means that PostgreSQL is not installed.
var ErrMissing = errors.New("PostgreSQL is not installed: there is no initdb (Debian and Ubuntu: apt-get install postgresql; Fedora: dnf " +
	"install postgresql-server; macOS: brew install postgresql@17, with its bin folder in PATH)")

// Server is a server, or the folder of one that is to be made.
type Server struct {
	folder, bin string
	url         *url.URL
	as          *owner
	// guard ends the server, and removes the folder, when its input is closed.
	guard *exec.Cmd
	input *os.File
	// settings are those that Configure was given.
	settings map[string]string
}

// owner is the user who runs the server.
type owner struct{ uid, gid uint32 }

// Prepare finds the programs and creates the folder of a server under parent; superuser is the name of
// its superuser. PostgreSQL refuses to run as root: for root, the folder and the server belong to the
// user postgres, or else to the user nobody.
func Prepare(parent, superuser, password string) (*Server, error) {
	if !supported {
		return nil, errors.New("PostgreSQL is started by this program on Linux and macOS only")
	}
	initdb, err := exec.LookPath("initdb")
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); err != nil && len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return release(a) - release(b) })
		initdb, err = found[len(found)-1], nil
	}
	if err == nil {
		initdb, err = filepath.EvalSymlinks(initdb)
	}
	if err != nil {
		return nil, ErrMissing
	}
	s := &Server{bin: filepath.Dir(initdb), settings: map[string]string{}}
	if s.folder, err = os.MkdirTemp(parent, "hookloom-postgres-"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		if err := s.giveAway(); err != nil {
			return nil, errors.Join(err, os.RemoveAll(s.folder))
		}
	}
	address, err := freeport.Address()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	s.url = &url.URL{Scheme: "postgres", User: url.UserPassword(superuser, password), Host: address, Path: "/postgres"}
	return s, nil
}

// giveAway gives the folder to the user who runs the server.
func (s *Server) giveAway() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return ErrMissing
	}
	uid, _ := strconv.Atoi(u.Uid) // decimal on every system that has initdb
	gid, _ := strconv.Atoi(u.Gid)
	s.as = &owner{uint32(uid), uint32(gid)}
	return os.Chown(s.folder, uid, gid)
}

// release is the number in /usr/lib/postgresql/NUMBER/bin/initdb.
func release(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 sorts first
	return n
}

// Create makes the files of a server with these settings and starts it. The caller calls Remove.
func (s *Server) Create(ctx context.Context, settings map[string]string) error {
	password, _ := s.url.User.Password()
	err := s.Write("password", password)
	if err == nil {
		_, err = s.Run(ctx, "initdb", "-D", s.Data(), "-U", s.url.User.Username(), "--pwfile", filepath.Join(s.folder, "password"),
			"-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	}
	if err == nil {
		err = s.Configure(settings)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(s.folder))
	}
	return s.Begin(ctx)
}

// Begin starts the guard, and the server whose files exist.
func (s *Server) Begin(ctx context.Context) error {
	if err := s.watch(); err != nil {
		return errors.Join(err, os.RemoveAll(s.folder))
	}
	if err := s.Up(ctx); err != nil {
		s.Remove()
		return err
	}
	return nil
}

// Configure writes the settings, with those of earlier calls: those of a new server are durable
// (fsync, full_page_writes and synchronous_commit are on).
func (s *Server) Configure(more map[string]string) error {
	settings := map[string]string{"listen_addresses": "127.0.0.1", "port": s.url.Port(), "unix_socket_directories": s.folder,
		"max_connections": "200", "timezone": "UTC", "wal_level": "replica", "max_wal_senders": "10"}
	maps.Copy(s.settings, more)
	maps.Copy(settings, s.settings)
	var text strings.Builder
	for k, v := range settings {
		fmt.Fprintf(&text, "%s = '%s'\n", k, strings.ReplaceAll(v, "'", "''"))
	}
	return s.Write("data/postgresql.auto.conf", text.String())
}

// Write writes a file in the folder that the server's user owns.
func (s *Server) Write(name, text string) error {
	path := filepath.Join(s.folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if s.as == nil {
		return nil
	}
	return os.Chown(path, int(s.as.uid), int(s.as.gid))
}

// command is one of PostgreSQL's programs, run as the server's user.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	c.Dir = s.folder
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
	password, _ := s.url.User.Password()
	c.Env = append(c.Env, "PGPASSWORD="+password)
	c.SysProcAttr = attributes(s.as)
	return c
}

// Run runs one of PostgreSQL's programs to its end. Its output goes to a file: the server inherits it
// from pg_ctl, and a pipe would stay open.
func (s *Server) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := os.CreateTemp(s.folder, name)
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	c := s.command(ctx, name, args...)
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
	c.SysProcAttr = attributes(s.as)
	if err := c.Start(); err != nil {
		return errors.Join(err, w.Close())
	}
	s.guard, s.input = c, w
	return nil
}

// Remove ends the server and removes its folder.
func (s *Server) Remove() {
	_ = s.input.Close()
	_ = s.guard.Wait() // what it could not remove stays in the folder for temporary files
	_ = os.RemoveAll(s.folder)
}

// Up starts the server and returns when it takes connections.
func (s *Server) Up(ctx context.Context) error {
	_, err := s.Run(ctx, "pg_ctl", "-D", s.Data(), "-l", filepath.Join(s.folder, "log"), "-w", "-t", "60", "start")
	return err
}

// Folder is where the server lies, Data the folder of its files in it.
func (s *Server) Folder() string { return s.folder }

// Data is the folder of the server's files.
func (s *Server) Data() string { return filepath.Join(s.folder, "data") }

// Bin is the folder of PostgreSQL's programs.
func (s *Server) Bin() string { return s.bin }

// URL is the address of the database postgres, for the superuser.
func (s *Server) URL() url.URL { return *s.url }

// Log is what the server has logged.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.folder, "log")) // nothing before the first start
	return string(text)
}
