package postgrestest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Standby starts a streaming copy of the server, whose name (application_name) is name. It is
// read-only until it is promoted.
func (s *Server) Standby(t testing.TB, name string) *Server {
	t.Helper()
	s.ours(t)
	b, err := prepare()
	skipOrFail(t, err)
	if err := s.copyTo(context.WithoutCancel(t.Context()), b, name); err != nil {
		t.Fatal(errors.Join(err, os.RemoveAll(b.own.Folder())))
	}
	if err := b.own.Begin(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.own.Remove)
	return b
}

// copyTo makes the files of a standby.
func (s *Server) copyTo(ctx context.Context, b *Server, name string) error {
	if _, err := b.own.Run(ctx, "pg_basebackup", "-h", "127.0.0.1", "-p", s.url.Port(), "-U", User, "-D", b.Data(), "-X", "stream", "-c",
		"fast", "--no-sync"); err != nil {
		return err
	}
	if err := b.own.Configure(map[string]string{
		"primary_conninfo": "host=127.0.0.1 port=" + s.url.Port() + " user=" + User + " password=" + Password + " application_name=" + name,
	}); err != nil {
		return err
	}
	return b.own.Write(filepath.Join("data", "standby.signal"), "")
}

// Promote makes a standby a server of its own.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.ours(t)
	if _, err := s.own.Run(context.WithoutCancel(t.Context()), "pg_ctl", "-D", s.Data(), "-w", "-t", "60", "promote"); err != nil {
		t.Fatal(err)
	}
}

// UntilSync waits until a standby of the given name confirms commits of the server.
func (s *Server) UntilSync(t testing.TB, name string) {
	t.Helper()
	for range 400 {
		if Value(t, s.URL(), "SELECT coalesce((SELECT sync_state FROM pg_stat_replication WHERE application_name = '"+name+"'), '')") == "sync" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("standby %s does not become synchronous\n%s", name, s.Log())
}
