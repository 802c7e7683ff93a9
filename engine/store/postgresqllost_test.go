package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestAnotherSchemaHasItsOwnEvents: the address names it.
func TestAnotherSchemaHasItsOwnEvents(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	one, two := open(t, address, store.Options{}), open(t, address+sep+"schema=shop", store.Options{})
	if _, err := one.Accept(ctx, 1, delivery("a", "k")); err != nil {
		t.Fatal(err)
	}
	if r, err := two.Accept(ctx, 2, delivery("a", "k")); err != nil || r.Duplicate {
		t.Errorf("%+v %v", r, err)
	}
	for n, s := range []*store.Store{one, two} {
		items, err := s.History().Events(ctx, engine.Query{})
		if err != nil || len(items) != 1 {
			t.Errorf("schema %d: %+v %v", n, items, err)
		}
		if found, err := s.History().Check(ctx); err != nil || len(found[0].Wrong) > 0 {
			t.Errorf("schema %d: %+v %v", n, found, err)
		}
	}
}

// TestDatabaseSettingsDoNotChangeNodeSessions: its statements have backslashes, and its writer has
// nothing to send while no delivery comes. A setting of the database is that of a role, too.
func TestDatabaseSettingsDoNotChangeNodeSessions(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	alter := "ALTER DATABASE " + strings.TrimPrefix(u.Path, "/") + " SET "
	postgrestest.Exec(t, address, alter+"standard_conforming_strings = off", alter+"idle_session_timeout = '100ms'")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() }) // it was only read by name
	s := open(t, address, store.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if items, err := s.History().Events(ctx, engine.Query{}); err != nil || len(items) != 0 {
		t.Errorf("%+v %v", items, err)
	}
	time.Sleep(500 * time.Millisecond)
	if _, err := s.Accept(ctx, 1, delivery(`a\b`, `k\n'`)); err != nil {
		t.Fatal(err)
	}
	if items, err := s.History().Events(ctx, engine.Query{}); err != nil || len(items) != 1 || items[0].Key != `k\n'` {
		t.Errorf("%+v %v", items, err)
	}
	if text, err := os.ReadFile(log.Name()); err != nil || strings.Contains(string(text), "away") {
		t.Errorf("an idle session counts as an outage: %s %v", text, err)
	}
}

// TestExclusiveCommandIsRefusedBesideAServer: the lease of the server holds.
func TestExclusiveCommandIsRefusedBesideAServer(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	s := open(t, address, store.Options{Verb: "serve"})
	var inUse *store.InUseError
	began := time.Now()
	if _, err := store.Open(ctx, address, store.Options{Verb: "prune"}); !errors.As(err, &inUse) ||
		strings.Contains(err.Error(), postgrestest.Password) {
		t.Errorf("prune: %v", err)
	}
	if waited := time.Since(began); waited > 12*time.Second {
		t.Errorf("a command beside a server has waited for %v, and not only for the end of a lease", waited)
	}
	// To a process in another container with this host's name, the first one's process id means nothing.
	postgrestest.Exec(t, address, `UPDATE hookloom.nodes SET pid = 2147483000, verb = 'serve'`)
	if _, err := store.Open(ctx, address, store.Options{Verb: "prune"}); !errors.As(err, &inUse) {
		t.Errorf("a command, which does not see the first one's process: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	open(t, address, store.Options{})
	if waited := time.Since(began); waited > 3*time.Second {
		t.Errorf("a start after an orderly end has waited for %v", waited)
	}
}

// TestNothingAcknowledgedIsLostWhenTheServerIsKilled kills the database server while events are
// accepted: each acknowledged event is there once, and accepting goes on by itself.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Options{})
	s := open(t, server.Database(t), store.Options{})
	stop, stopped := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var acked sync.Map
	var id, refused atomic.Int64
	for range 8 {
		wg.Go(func() {
			for stop.Err() == nil {
				n := id.Add(1)
				r, err := s.Accept(ctx, engine.EventID(n), delivery("a", fmt.Sprint(n)))
				switch {
				case err == nil && !r.Duplicate && !r.Mine:
					acked.Store(n, true)
				case errors.Is(err, engine.ErrBusy):
					refused.Add(1)
					time.Sleep(5 * time.Millisecond)
				default:
					t.Errorf("event %d: %+v %v", n, r, err)
				}
			}
		})
	}
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		server.Kill(t)
		time.Sleep(200 * time.Millisecond)
		server.Up(t)
	}
	time.Sleep(time.Second)
	stopped()
	wg.Wait()
	stored := map[int64]bool{}
	if _, err := s.History().EachEvent(ctx, "a", "", 1<<30, func(ev *engine.Event) bool {
		stored[int64(ev.ID)] = true
		return true
	}); err != nil {
		t.Fatal(err)
	}
	n := 0
	acked.Range(func(k, _ any) bool {
		if n++; !stored[k.(int64)] {
			t.Errorf("event %v was acknowledged and is lost", k)
		}
		return true
	})
	if last := id.Load(); !stored[last] && !stored[last-1] && !stored[last-8] {
		t.Errorf("of %d events the last ones are not stored: accepting did not go on", last)
	}
	t.Logf("%d acknowledged, %d refused, %d stored", n, refused.Load(), len(stored))
}

// TestACommitWithAWarningIsNotAcknowledged: a cancelled wait for the synchronous standby returns
// success with warning 01000, and a failover would lose what it committed. The role's own setting would
// suppress the warning.
func TestACommitWithAWarningIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Options{})
	server.Exec(t, `ALTER ROLE `+postgrestest.User+` SET client_min_messages = error`)
	s := open(t, server.Database(t), store.Options{})
	if _, err := s.Accept(ctx, 1, delivery("a", "1")); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`, `SELECT pg_reload_conf()`)
	untilCommitsWait(t, server)
	done := make(chan error, 1)
	go func() {
		_, err := s.Accept(ctx, 2, delivery("a", "2"))
		done <- err
	}()
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		server.Exec(t, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
	}
	select {
	case err := <-done:
		t.Fatalf("acknowledged without the standby: %v", err)
	case <-time.After(time.Second):
	}
	if err := s.Full(); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("ready while no commit is confirmed: %v", err)
	}
	server.Exec(t, `ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("not acknowledged when the standby is not needed any more")
	}
	if items, err := s.History().Events(ctx, engine.Query{}); err != nil || len(items) != 2 {
		t.Errorf("%+v %v", items, err)
	}
}

// untilCommitsWait returns when commits wait for a synchronous standby: the checkpointer tells the
// sessions so some time after the reload.
func untilCommitsWait(t *testing.T, server *postgrestest.Server) {
	t.Helper()
	for i := range 50 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.Exec(t, fmt.Sprintf("CREATE TABLE probe_%d (n int)", i))
		}()
		select {
		case <-done:
			time.Sleep(100 * time.Millisecond)
		case <-time.After(time.Second):
			server.Exec(t, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
			<-done
			return
		}
	}
	t.Fatal("commits do not wait for the standby")
}

// TestWeakenedSettingsStopAcknowledgements: until they are what the start asked for.
func TestWeakenedSettingsStopAcknowledgements(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Options{})
	s := open(t, server.Database(t), store.Options{})
	id := int64(0)
	accept := func() error {
		id++
		_, err := s.Accept(ctx, engine.EventID(id), delivery("a", fmt.Sprint(id)))
		return err
	}
	until := func(what string, ok func(error) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			err := accept()
			if ok(err) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	if err := accept(); err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"synchronous_commit", "full_page_writes", "fsync"} {
		server.Exec(t, "ALTER SYSTEM SET "+setting+" = off", "SELECT pg_reload_conf()")
		until(setting+" off", func(err error) bool {
			return errors.Is(err, engine.ErrBusy) && strings.Contains(err.Error(), setting+" is off")
		})
		time.Sleep(2 * reconnects) // it does not change its mind
		if err := accept(); !errors.Is(err, engine.ErrBusy) || !errors.Is(s.Full(), engine.ErrBusy) {
			t.Errorf("%s: acknowledged, or ready: %v, %v", setting, err, s.Full())
		}
		server.Exec(t, "ALTER SYSTEM RESET "+setting, "SELECT pg_reload_conf()")
		until(setting+" on again", func(err error) bool { return err == nil })
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

// TestWeakSettingIsDetectedWithoutDeliveries: the lease reads the settings too.
func TestWeakSettingIsDetectedWithoutDeliveries(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Options{})
	s := open(t, server.Database(t), store.Options{})
	server.Exec(t, "ALTER SYSTEM SET synchronous_commit = local", "SELECT pg_reload_conf()")
	for deadline := time.Now().Add(time.Minute); s.Full() == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not noticed")
		}
	}
	// What the message says helps, while the server's own setting stays weak.
	if err := s.Full(); !strings.Contains(err.Error(), "ALTER ROLE "+postgrestest.User+" SET synchronous_commit = on;") {
		t.Error(err)
	}
	server.Exec(t, "ALTER ROLE "+postgrestest.User+" SET synchronous_commit = on")
	for deadline := time.Now().Add(time.Minute); s.Full() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(s.Full())
		}
	}
}

// reconnects is how often the store tries a database that it cannot use.
const reconnects = 250 * time.Millisecond
