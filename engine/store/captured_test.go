package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookloom/hookloom/engine"
	"github.com/hookloom/hookloom/engine/store"
	"github.com/hookloom/hookloom/engine/store/postgrestest"
)

// TestOneSecretIsCapturedWhileItsTriggerWaits: the first of two nodes, once, and only in time. Both then have
// it, and the other one hears of it.
func TestOneSecretIsCapturedWhileItsTriggerWaits(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, b := node(t, address, "a"), node(t, address, "b")
	now := time.Now()
	capture := func(s *store.Store, name, value string, at time.Time) bool {
		t.Helper()
		ok, err := s.CaptureSecret(ctx, engine.CapturedSecret{Name: name, Trigger: "hooks", Sealed: []byte(value), At: at})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if capture(a, "KEY", "early", now) {
		t.Error("a secret for which nobody waits was stored")
	}
	if err := a.AwaitSecret(ctx, "hooks", now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if until, err := b.AwaitedSecrets(ctx); err != nil || until["hooks"].UnixMilli() != now.Add(time.Minute).UnixMilli() {
		t.Errorf("the other node knows of %v, %v", until, err)
	}
	if capture(b, "KEY", "late", now.Add(2*time.Minute)) {
		t.Error("a secret that came too late was stored")
	}
	heard := a.Subscribe(ctx, engine.SignalSecrets)
	taken := make(chan bool, 2)
	for _, s := range []*store.Store{a, b} {
		go func() {
			value := fmt.Appendf(nil, "of %d", s.Node())
			ok, err := s.CaptureSecret(ctx, engine.CapturedSecret{Name: "KEY", Trigger: "hooks", Sealed: value, At: now})
			taken <- ok && err == nil
		}()
	}
	if first, second := <-taken, <-taken; first == second {
		t.Errorf("two handshakes at once: %v and %v were taken", first, second)
	}
	select {
	case <-heard:
	case <-time.After(time.Minute):
		t.Error("a node does not hear of the secret")
	}
	for _, s := range []*store.Store{a, b} {
		if list, err := s.CapturedSecrets(ctx); err != nil || len(list) != 1 || list[0].Name != "KEY" || list[0].Trigger != "hooks" {
			t.Errorf("%v, %v", list, err)
		}
	}
	if list, err := a.History().CapturedSecrets(ctx); err != nil || len(list) != 1 {
		t.Errorf("the history has %v, %v", list, err)
	}
	if err := a.AwaitSecret(ctx, "hooks", now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if capture(b, "KEY", "another", now) {
		t.Error("a stored secret was replaced")
	}
}

// TestOneNodeRequestsACertificate: the others see the claim until it ends, and what was stored.
func TestOneNodeRequestsACertificate(t *testing.T) {
	t.Parallel()
	address := postgrestest.Shared(t).Database(t)
	a, b := node(t, address, "a"), node(t, address, "b")
	now := time.Now()
	claims := func(s *store.Store, owner string, at time.Time, want bool) {
		t.Helper()
		if ok, err := s.ClaimCertificate(ctx, "example.com", owner, at, at.Add(time.Minute)); ok != want || err != nil {
			t.Errorf("%s claims: %v, %v", owner, ok, err)
		}
	}
	claims(a, "a", now, true)
	claims(b, "b", now, false)
	claims(a, "a", now, true)
	claims(b, "b", now.Add(2*time.Minute), true)
	if err := a.DropCertificateClaim(ctx, "example.com", "a"); err != nil {
		t.Fatal(err)
	}
	claims(a, "a", now, false)
	if err := b.DropCertificateClaim(ctx, "example.com", "b"); err != nil {
		t.Fatal(err)
	}
	claims(a, "a", now, true)
	if _, err := b.Certificate(ctx, "example.com"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("none is stored: %v", err)
	}
	for _, text := range []string{"one", "two"} {
		if err := a.SaveCertificate(ctx, "example.com", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Certificate(ctx, "example.com"); string(got) != text || err != nil {
			t.Errorf("stored %s, read %s, %v", text, got, err)
		}
	}
	if err := b.DropCertificate(ctx, "example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Certificate(ctx, "example.com"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("it was removed: %v", err)
	}
}

// TestSQLiteFileSharesNoSecrets: its only node keeps them in the project's folder.
func TestSQLiteFileSharesNoSecrets(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "hookloom.db"), store.Options{})
	if _, err := s.CaptureSecret(ctx, engine.CapturedSecret{Name: "KEY"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if list, err := s.History().CapturedSecrets(ctx); list != nil || err != nil {
		t.Errorf("%v, %v", list, err)
	}
}
